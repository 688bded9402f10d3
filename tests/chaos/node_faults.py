"""Faults of the machines that trials run on: removed, added, told to go."""

import contextlib
import json
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.agreement import agree
from tests.chaos.drivers import ON_RAY, SMALL, Driver, Sweep, sweep_in, until
from tests.chaos.outcome import Findings, Outcome
from tests.chaos.processes import workers_of

CHECKPOINT_EVERY_S = 10.0
BUSY_S = 10.0
"""On top of the 10 s between checkpoints: one epoch, the writing itself, and on a busy machine a turn to do them."""
LONG = SMALL.replace("epochs: 2", "epochs: 400")
"""Trials of half a minute on a quiet machine, a minute or two on a busy one."""


@contextlib.contextmanager
def nodes(count: int) -> Iterator[tuple[Any, list[Any]]]:
    """A Ray cluster of real nodes on this machine: a head without CPUs and so many with one CPU each."""
    with cluster_of(num_cpus=0) as cluster:
        yield cluster, [add(cluster) for _ in range(count)]


@contextlib.contextmanager
def cluster_of(**head: Any) -> Iterator[Any]:
    """A Ray cluster whose head is given so much."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"object_store_memory": 80_000_000, **head})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def add(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=80_000_000)


def family_of(node: Any) -> list[psutil.Process]:
    """The processes that a node's daemon has started, its trials among them."""
    (raylet,) = node.all_processes["raylet"]
    return psutil.Process(raylet.process.pid).children(recursive=True)


def nodes_come_and_go(folder: Path) -> Outcome:
    """Each of the two first nodes is taken away in the middle of a trial that has written a checkpoint."""
    findings = Findings(
        "a worker node removed in mid-trial, twice; a node added in between",
        "its trials go on elsewhere from their checkpoints, at most 10 s or one epoch repeated; the new node is used",
    )
    trials = 4
    storage = folder / "storage"
    with nodes(2) as (cluster, workers), sweep_in(folder / "sweep", text=LONG, storage=storage) as sweep:
        driver = sweep.begin("--address", cluster.address, "--storage-path", str(storage), "--trials", str(trials))
        repeated, moved, recovered = [], [], []
        for turn, node in enumerate(workers):
            number = _with_checkpoint(sweep, driver, node)
            attempt = max((sweep.trials / f"{number:05d}").glob("attempt-*"), key=lambda p: int(p.name[8:]))
            removed = time.time()
            cluster.remove_node(node, allow_graceful=False)
            repeated.append(removed - (attempt / "checkpoint.pt").stat().st_mtime)
            moved.append(number)
            if turn == 0:
                newcomer = add(cluster)
            following = attempt.with_name(f"attempt-{int(attempt.name[8:]) + 1}")
            _wait(driver, lambda following=following: following.exists(), "the trial's next attempt")
            recovered.append(time.time() - removed)
        used = _wait(driver, lambda: list(workers_of(family_of(newcomer))), "a trial on the new node")
        findings.must("the sweep ends well", driver.end(900) == 0, driver.text)
        findings.no_traceback(driver.text)
        _must_have_gone_on(findings, sweep, moved)
        findings.work_repeated_s, findings.recover_s = max(repeated), recovered[0]
        allowed = CHECKPOINT_EVERY_S + BUSY_S
        findings.must(f"at most {allowed:.0f} s repeated", max(repeated) <= allowed, repeated)
        shown = ", ".join(f"{seconds:.1f} s" for seconds in repeated)
        findings.note(f"trials {moved} moved, repeating {shown}; the new node worked on trial {used[0]}")
        findings.note("; ".join(driver.lines_with("nodes came or went")))
        findings.note(f"the second one waited {recovered[1]:.1f} s, for a free slot too")
        agree(findings, sweep, trials)
    return findings.outcome()


def _wait(driver: Driver, holds: Any, what: str) -> Any:
    """As `until`, but for no longer than the driver lives."""

    def value() -> Any:
        assert driver.process.poll() is None, f"the driver ended before {what}: {driver.text[-2000:]}"
        return holds()

    return until(value, what, 400)


def _with_checkpoint(sweep: Sweep, driver: Driver, node: Any) -> int:
    """The trial on the node, at some moment after its newest attempt has written a checkpoint."""
    work_s = random.uniform(0, CHECKPOINT_EVERY_S - 1)

    def found() -> int | None:
        for number in workers_of(family_of(node)):
            attempts = sorted((sweep.trials / f"{number:05d}").glob("attempt-*"), key=lambda p: int(p.name[8:]))
            path = attempts[-1] / "checkpoint.pt" if attempts else None
            if path is not None and path.exists() and time.time() - path.stat().st_mtime > work_s:
                return number + 1  # 0 is a number, too
        return None

    return int(_wait(driver, found, "a checkpoint")) - 1


def _must_have_gone_on(findings: Findings, sweep: Sweep, numbers: list[int]) -> None:
    """The trials are done, by a later attempt, and with the epochs of the earlier ones in their records."""
    for number in numbers:
        record = json.loads((sweep.trials / f"{number:05d}" / "result.json").read_text())
        findings.must(f"trial {number} is done", record["state"] == "done", record["reason"])
        findings.must(f"trial {number} had another attempt", record["attempt"] > 1, record["attempt"])
        first = record["epochs"][0]["ended_ms"] if record["epochs"] else record["ended_ms"]
        findings.must(f"trial {number} went on from a checkpoint", first < record["started_ms"], record["started_ms"])


def preempted(folder: Path) -> Outcome:
    """SIGTERM to a trial's process, as a machine that is about to go sends it."""
    findings = Findings(
        "SIGTERM to a trial's process (preemption)",
        "checkpoint within its grace time; preempted, not failed; it goes on from there; gc keeps its networks",
    )
    with sweep_in(folder, text=LONG.replace("epochs: 400", "epochs: 60")) as sweep:
        driver = sweep.begin("--trials", "3", *ON_RAY)
        workers = _wait(driver, lambda: _in_training(driver), "a trial in training")
        number, worker = min(workers.items())
        trial = sweep.trials / f"{number:05d}"
        told = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        _wait(driver, (trial / "attempt-1" / "checkpoint.pt").exists, "the checkpoint")
        grace = time.monotonic() - told
        _wait(driver, (trial / "attempt-2").exists, "the next attempt")
        findings.recover_s = time.monotonic() - told
        findings.work_repeated_s = 0.0
        findings.must("the sweep ends well", driver.end() == 0, driver.text)
        _must_have_gone_on(findings, sweep, [number])
        findings.must("nothing failed", all(r["state"] == "done" for r in sweep.records()), sweep.records())
        findings.must("the checkpoint came within Kubernetes' grace of 30 s", grace < 30, grace)
        findings.note(f"checkpoint {grace:.1f} s after SIGTERM, next attempt after {findings.recover_s:.1f} s")
        code, text = sweep.run("gc", "small", "--yes")
        findings.must("gc ends well", code == 0, text)
        agree(findings, sweep, 3)
    return findings.outcome()


def _in_training(driver: Driver) -> dict[int, psutil.Process]:
    """Trials whose process has used some seconds of processor since it took them: past its imports."""
    return {number: process for number, process in workers_of(driver.family()).items() if _listens(process)}


def _listens(process: psutil.Process) -> bool:
    """Whether it has a handler of its own for SIGTERM now: bit 14 of the caught signals."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return False
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)

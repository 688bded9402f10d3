"""One contender's run: started at the prompt, ended with its budget, its points collected and its front tested."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sparsweep.search.curve import AXES
from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.measures.accuracy import accuracy
from sparsweep.trainables.record import TrialStore
from sparsweep.trainables.tasks import Task
from tests.benchmarks.machine import pace_ms, quiet_environment, root
from tests.benchmarks.search.contenders import Contender, Start, command_of
from tests.benchmarks.search.contest import Contest
from tests.benchmarks.search.family import Family
from tests.benchmarks.search.kept import Run
from tests.benchmarks.search.over_time import front_of

LOOK_S = 0.25
LAST_LINES = 6
QUIET = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Ray's own loggers and reports cost its users time: peers have them off, as ours does."""


class FailedRunError(RuntimeError):
    """The contender ended with a fault; what it said last is in the text."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A finished point with its network's files."""

    at_s: float
    accuracy: float
    removed: float
    network: Path | None
    """None of a point that another one of its trial equals or beats in everything."""


def run(contender: Contender, contest_in: Callable[[Path], Contest], start: Start, tick: Callable[[float], None]) -> (
    Run
):  # fmt: skip
    """Runs it for the budget, and not longer.

    Args:
        contest_in: makes the contest that lies in a folder.
        tick: told the seconds since the prompt.

    Raises:
        FailedRunError: it ended with a fault.
    """
    load, pace = os.getloadavg()[0], pace_ms()
    with _folder() as folder:
        contest = contest_in(folder)
        prompt = _work(contender, contest, start, tick)
        read = points_of_sweep if contender.module is None else points_of_peer
        found = [point for point in read(contest, prompt) if point.at_s <= 60 * start.minutes]
        return Run(
            contender=contender.name, seed=contest.seed, load_before=round(load, 2), pace_ms=round(pace, 1),
            points=tuple((round(p.at_s, 3), p.accuracy, p.removed) for p in found),
            front=tuple(with_test_accuracy(found, Task.from_json(contest.task))),
        )  # fmt: skip


@contextmanager
def _folder() -> Iterator[Path]:
    """A short path: Ray's sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="search-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _work(contender: Contender, contest: Contest, start: Start, tick: Callable[[float], None]) -> float:
    """Runs the contender until its time is up or it ends; when it was started, in seconds since 1970."""
    folder = Path(contest.folder)
    own = {"PYTHONPATH": str(root()), **QUIET} if contender.module or contender.wrapper else {}
    environment = quiet_environment(
        SPARSWEEP_HOME=str(folder / "home"), RAY_TMPDIR=str(folder), SYNETUNE_FOLDER=str(folder / "syne-tune"),
        TMPDIR=str(folder),
    )  # fmt: skip
    environment.pop("PYTHONPATH", None)
    command = command_of(contender, contest, start)
    prompt, clock = time.time(), time.monotonic()
    family = Family.start(command, folder=folder, environment=environment | own, output=folder / "output.txt")
    try:
        while (spent := time.monotonic() - clock) < 60 * start.minutes and family.process.poll() is None:
            tick(spent)
            time.sleep(LOOK_S)
        code = family.process.poll()
    finally:
        family.end()
    if code:
        raise FailedRunError(f"{contender.name} ended with {code}: {_last_words(folder)}")
    return prompt


def _last_words(folder: Path) -> str:
    lines = (folder / "output.txt").read_text(errors="replace").strip().splitlines()
    return "\n".join(lines[-LAST_LINES:]) or "it said nothing"


def points_of_sweep(contest: Contest, prompt: float) -> Iterator[Measured]:
    """Of the one sweep in the home; a point is finished when `sparsweep frontier` shows it for the first time."""
    for trials in (Path(contest.folder) / "home" / "sweeps").glob("*/trials"):
        store = TrialStore(trials)
        for record in store.records_so_far():
            folder = store.folder(record.number).path
            for point in record.points:
                assert point.at_ms is not None, f"{point.id} says not since when it can be seen"
                yield Measured(
                    at_s=point.at_ms / 1e3 - prompt, accuracy=point.accuracy, removed=AXES[contest.axis](point),
                    network=folder / point.network if point.network is not None else None,
                )  # fmt: skip


def points_of_peer(contest: Contest, prompt: float) -> Iterator[Measured]:
    """Of all lines that its processes wrote whole."""
    for file in Path(contest.folder).glob("points-*.jsonl"):
        for line in file.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                noted = json.loads(line)
                accuracy_, removed = noted["values"]
                yield Measured(
                    at_s=noted["at"] - prompt, accuracy=accuracy_, removed=removed, network=Path(noted["network"])
                )


def with_test_accuracy(points: Iterable[Measured], task: Task) -> Iterator[tuple[float, float, float]]:
    """The claimed front, by accuracy descending, each network opened again: accuracy, removed, test accuracy."""
    by_values = {(p.accuracy, p.removed): p.network for p in points if p.network is not None}
    data, score = task.load(), task.score_function()
    for values in sorted(front_of(list(by_values)), reverse=True):
        net = load_network(by_values[values], task.build)
        yield *values, accuracy(net, data.test, score=score)

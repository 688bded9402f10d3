"""Kills, Ctrl-C and failing trials: nothing lost, nothing doubled."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sparsweep.search.frontier import frontier_of
from sparsweep.trainables.point import Point
from tests.chaos.drivers import until
from tests.chaos.processes import workers_of
from tests.flow.conftest import Shell


def records_of(shell: Shell, name: str) -> list[Path]:
    return sorted((shell.home / "sweeps" / name / "trials").glob("*/result.json"))


def wait_for_records(shell: Shell, process: "subprocess.Popen[str]", name: str, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(records_of(shell, name)) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no record came"
        time.sleep(0.05)


def assert_every_trial_once(shell: Shell, name: str, trials: int) -> None:
    """Study, MLflow, records and frontier agree on exactly `trials` trials."""
    from sparsweep.search import with_mlflow

    with_mlflow.settle()
    from mlflow import MlflowClient
    from optuna import load_study

    records = [json.loads(path.read_text()) for path in records_of(shell, name)]
    assert [record["number"] for record in records] == list(range(trials))
    study = load_study(study_name=name, storage=f"sqlite:///{shell.home / 'studies.db'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * trials
    client = MlflowClient(f"sqlite:///{shell.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(f"sparsweep/{name}")
    assert experiment is not None
    tags = [run.data.tags.get("sparsweep.trial") for run in client.search_runs([experiment.experiment_id])]
    assert sorted(filter(None, tags)) == [f"{name}/{number:05d}" for number in range(trials)]
    assert tags.count(None) == 1
    shown = json.loads(shell.run("frontier", name, "--json").stdout)
    points = [Point.from_json(point) for record in records for point in record["points"]]
    macs = {"accuracy": "max", "sparsity": "max", "macs": "min"}
    best = frontier_of([p for p in points if p.network and p.accuracy >= 0.3], macs)  # type: ignore[arg-type]
    assert {(p.trial, p.cut) for p in best} >= {(p["trial"], p["cut"]) for p in shown["points"]} or shown["points"]


TRIALS = 12
"""So many that the latest moment of the kill leaves trials undone on the fastest machine."""


@pytest.mark.parametrize("seed", [0])
def test_a_driver_killed_at_a_random_moment_resumes_with_every_trial_exactly_once(shell: Shell, seed: int) -> None:
    moment = random.Random(seed or time.time_ns())
    process = shell.start("run", "small.yaml", "--trials", str(TRIALS))
    wait_for_records(shell, process, "small", moment.randint(1, 3))
    time.sleep(moment.random())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = len(records_of(shell, "small"))
    assert left < TRIALS
    ended = shell.run("resume", "small")
    assert ended.returncode == 0, ended.stderr
    assert_every_trial_once(shell, "small", TRIALS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("where", [(), ("--address", "local")])
def test_ctrl_c_stops_cleanly_says_how_to_resume_and_keeps_what_finished(shell: Shell, where: tuple[str, ...]) -> None:
    process = shell.start("run", "small.yaml", "--trials", "50", *where)
    wait_for_records(shell, process, "small", 1)
    time.sleep(0.5)  # by forerunners MLflow is being imported
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=250)
    assert process.returncode == 130, err
    assert "sparsweep resume small" in err
    assert "Traceback" not in err
    assert not any(sign in out + err for sign in ("do not answer", "not in MLflow yet")), out + err
    kept = len(records_of(shell, "small"))
    assert kept >= 1
    state = json.loads(shell.run("status", "small", "--json").stdout)
    assert (state["state"], state["done"]) == ("stopped", kept)
    ended = shell.run("resume", "small", "--trials", str(kept + 2), "--inline")
    assert ended.returncode == 0, ended.stderr
    assert len(records_of(shell, "small")) >= kept + 2


@pytest.mark.timeout(600)
def test_ray_takes_over_where_a_forerunner_is_killed(shell: Shell) -> None:
    process = shell.start("run", "small.yaml", "--trials", "20")
    wait_for_records(shell, process, "small", 1)
    driver = psutil.Process(process.pid)
    _, killed = min(until(lambda: workers_of(driver.children(recursive=True)), "a trial at work", 60).items())
    killed.kill()

    def from_ray() -> bool:
        return any("raylet" in child.name() for child in driver.children(recursive=True))

    until(from_ray, "Ray", 120)
    _, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    records = [json.loads(path.read_text()) for path in records_of(shell, "small")]
    assert len(records) == 20
    (failed,) = [record["reason"] for record in records if record["state"] == "failed"]
    assert failed == "the trial's process was killed from outside, perhaps by the system for its memory"


@pytest.mark.timeout(600)
def test_a_background_job_that_ignores_ctrl_c_is_stopped_by_the_command(shell: Shell) -> None:
    deaf = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-m", "sparsweep.search.cli"]
    process = subprocess.Popen(
        [*deaf, "run", "small.yaml", "--trials", "50"], cwd=shell.folder, env=shell.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for_records(shell, process, "small", 1)
    process.send_signal(signal.SIGINT)
    assert shell.run("stop", "small").returncode == 0
    _, err = process.communicate(timeout=250)
    assert process.returncode == 130, err
    assert "sparsweep resume small" in err


SHORT = """
name: short
task: {network: lenet-digits, data: digits}
space: {granularity: filter}
budget: {trials: 2, epochs: 2}
timing: none
trial: {cuts: 2, time_limit: 0.001}
"""


def test_a_trial_that_fails_is_one_failed_trial_with_its_reason_and_never_a_point(shell: Shell) -> None:
    (shell.folder / "short.yaml").write_text(SHORT)
    ended = shell.run("run", "short.yaml", "--inline")
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 1
    assert "no point satisfies" in ended.stdout
    records = [json.loads(path.read_text()) for path in records_of(shell, "short")]
    assert [(record["state"], record["points"]) for record in records] == [("failed", [])] * 2
    assert all(record["reason"].startswith("time limit: ") for record in records)
    state = json.loads(shell.run("status", "short", "--json").stdout)
    assert (state["done"], state["failed"], sum(state["reasons"].values())) == (0, 2, 2)


def test_a_seeded_inline_sweep_repeats_itself(tmp_path: Path) -> None:
    fronts = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        shell = Shell(folder)
        ended = shell.run("run", "small.yaml", "--inline", "--trials", "2", "--seed", "3")
        assert ended.returncode == 0, ended.stderr
        records = [json.loads(path.read_text()) for path in records_of(shell, "small")]
        fronts.append([(r["setting"], [{**p, "network": None, "at_ms": None} for p in r["points"]]) for r in records])
    assert fronts[0] == fronts[1]


def test_the_time_limit_ends_a_sweep_that_can_be_resumed(shell: Shell) -> None:
    ended = shell.run("run", "small.yaml", "--trials", "500", "--time-limit", "8s", "--inline")
    assert ended.returncode == 0, ended.stderr
    assert 1 <= len(records_of(shell, "small")) < 500


def test_two_drivers_cannot_hold_one_name(shell: Shell) -> None:
    process = shell.start("run", "small.yaml", "--trials", "50")
    try:
        wait_for_records(shell, process, "small", 1)
        second = shell.run("resume", "small", "--inline")
        assert second.returncode == 2
        assert f"is being run by process {process.pid} on " in second.stderr
    finally:
        process.kill()
        process.communicate()

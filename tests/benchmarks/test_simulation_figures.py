"""The simulation of sweeps: a small one from its table, and its arithmetic by hand."""

from itertools import pairwise
from pathlib import Path

import pytest

from sparsweep.search.with_optuna.proposer import Proposer
from tests.benchmarks.simulation import recording
from tests.benchmarks.simulation.checks import fronts_of
from tests.benchmarks.simulation.driver import job_in, simulate
from tests.benchmarks.simulation.figures import HEADERS, lines_of, work_of
from tests.benchmarks.simulation.late_samplers import Late, Trials, genetic, late, searched
from tests.benchmarks.simulation.late_samplers import lines_of as lines_of_samplers
from tests.benchmarks.simulation.stopwatch import Call, Spread, Stopwatch
from tests.benchmarks.simulation.surrogate import Surrogate

TABLE = recording.read()


@pytest.fixture
def surrogate(tmp_path: Path) -> Surrogate:
    return Surrogate(job_in(tmp_path, 1).space(), TABLE)


def test_a_recorded_setting_answers_with_its_own_curve(surrogate: Surrogate) -> None:
    real = TABLE.trials[3]
    answer = surrogate.answer(7, real.row, seed=1)
    assert [point.cut for point in answer.points] == [cells["cut"] for cells in real.points]
    assert all(
        point.accuracy == pytest.approx(cells["accuracy"], abs=0.02) and point.trial == 7
        for point, cells in zip(answer.points, real.points, strict=True)
    )
    assert answer.probes.keys() == {2, 6, 18}
    assert answer == surrogate.answer(7, real.row, seed=1)
    assert answer != surrogate.answer(8, real.row, seed=1)


def test_between_two_recorded_settings_answers_what_lies_between(surrogate: Surrogate) -> None:
    shares = surrogate.shares({**TABLE.trials[3].row, "learning_rate": 0.005})
    assert len(shares) == 3
    assert sum(share.weight for share in shares) == pytest.approx(1)
    assert all(first.weight >= second.weight for first, second in pairwise(shares))
    assert {share.trial.row["granularity"] for share in shares} == {TABLE.trials[3].row["granularity"]}


def test_a_small_sweep_is_simulated_to_its_end(tmp_path: Path) -> None:
    said: list[str] = []
    job = job_in(tmp_path, 50)
    found = simulate(job, TABLE, slots=10, trial_s=600, every=25, say=said.append)
    records = list(job.store.records())
    assert [record.number for record in records] == list(range(50))
    assert {record.state for record in records} == {"done", "stopped"}
    moments = sorted([(r.started_ms, 1) for r in records] + [(r.ended_ms, -1) for r in records])
    at_work = [sum(change for _, change in moments[: at + 1]) for at in range(len(moments))]
    assert max(at_work) == 10
    assert [line[0] for line in lines_of(found)] == ["25", "50"]
    assert len(lines_of(found)[0]) == len(HEADERS)
    assert found.resume_calls == 50
    assert fronts_of(job).same
    lost = fronts_of(job).recorded.points[0]
    (job.store.folder(lost.trial).path / "result.json").unlink()
    assert not fronts_of(job).same, "the database still has the point"


def test_the_drivers_work_counts_mlflow_for_every_record() -> None:
    """A proposal of 20 ms, two outcomes of 30 ms, in one of them 10 ms for MLflow, which the other would take too."""
    calls = {
        "proposal": [Call(wall_s=1, own_s=0.02)], "MLflow": [Call(wall_s=1, own_s=0.01)],
        "outcome": [Call(wall_s=1, own_s=0.03), Call(wall_s=1, own_s=0.03)],
    }  # fmt: skip
    assert work_of(calls, 2, mlflow_s=0.01).seconds == pytest.approx(0.02 + 0.06 - 0.01 + 2 * 0.01)
    assert work_of(calls, 2, mlflow_s=0.01).ms == pytest.approx(45)


def test_calls_are_timed_by_name_and_split_by_step() -> None:
    watch = Stopwatch()
    double = watch.timed("double", lambda number: 2 * number)
    assert [double(1), double(2)] == [2, 4]
    counted = watch.counts()
    double(3)
    assert (len(watch.since({}, "double")), len(watch.since(counted, "double"))) == (3, 1)
    watch.forget("double")
    assert watch.counts() == {"double": 2}


def test_spread_of_milliseconds() -> None:
    assert Spread.of([0.001 * each for each in range(1, 101)]) == Spread(median=50.5, p95=96.0)
    assert Spread.of([]) == Spread(median=0, p95=0)


def test_both_late_samplers_go_on_from_the_same_rows(tmp_path: Path) -> None:
    surrogate = Surrogate(job_in(tmp_path, 1).space(), TABLE)
    trials = Trials(surrogate, seed=0, values=1)
    auto = Proposer(surrogate.space, sampler="auto", seed=0, begun=0, objectives=1, say=print)
    before = searched(auto, trials, 0, 60)
    assert auto.memory.finished == 60, "all are told in the end"
    handed = genetic(surrogate, before, seed=0, values=1)
    first = [row for row in handed.rows.values() if row.system_attrs]
    worst = min(row.values[0] for row in first)
    assert len(first) == 50
    assert sum(tried.values[0] < worst for tried in before) == 10, "the best are the first generation"
    found = searched(handed, trials, 60, 20)
    assert len(handed.rows) == 80
    assert late(before, found).front >= late(before, before).front


def test_a_sampler_is_better_only_by_more_than_two_standard_errors() -> None:
    capped = [Late(front=0.97, proposals=0.90), Late(front=0.97, proposals=0.91), Late(front=0.97, proposals=0.90)]
    better = [Late(front=0.97, proposals=0.95), Late(front=0.98, proposals=0.96), Late(front=0.98, proposals=0.95)]
    assert lines_of_samplers("a curve a trial", list(zip(capped, better, strict=True)))[1]
    lines, clearly = lines_of_samplers("a curve a trial", list(zip(better, capped, strict=True)))
    assert not clearly
    assert lines[1][-1] == "-0.0500 ± 0.0000 (0/3)"

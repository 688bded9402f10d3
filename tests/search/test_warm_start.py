"""What a sweep takes over from an earlier one: which rows are its best, and that they are kept."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sparsweep.search.catalogue import catalogue
from sparsweep.search.home import Home
from sparsweep.search.progress import Progress
from sparsweep.search.proposals import Proposals
from sparsweep.search.sweep import Job, _proposals
from sparsweep.search.sweep_folder import SweepFolder, Where, task_of
from sparsweep.search.warm_start import Earlier, best_rows, earlier_of, keep
from sparsweep.search.with_optuna import Told
from sparsweep.spaces.load import read_sweep
from sparsweep.spaces.space import Row
from tests.search.points import make_point
from tests.search.records import commit, make_record

SWEEP = """
task: {network: lenet-digits, data: digits}
space: {sparsity_strength: {low: 1.0e-3, high: 1.0e-2, log: true}, granularity: {choices: [filter]}}
objectives: {accuracy: max, sparsity: max}
budget: {trials: 14}
sampler: {name: auto, seed: 4}
"""


def a_job(home: Path, name: str, more: str = "", text: str = SWEEP) -> Job:
    sweep = read_sweep(f"name: {name}\n{text}{more}", catalogue(), title=name)
    folder = SweepFolder(Home(home).sweep(name))
    return Job(sweep=sweep, where=Where(), folder=folder, home=Home(home), task=task_of(sweep, Where()), inline=True)


def driver_of(job: Job) -> Proposals:
    """What a newly started driver has; trials are not run but answered by `answer`."""
    job.folder.create(job.sweep, job.where)
    progress = Progress(job.sweep.budget.trials, job.axes, job.folder.path / "status.json")
    projector: Any = SimpleNamespace(take=lambda record: None)
    return _proposals(job, progress, projector)


def answer(proposals: Proposals, trials: int) -> list[Row]:
    """Settings in the order in which they are proposed; the stronger the regularisation, the sparser the network."""
    rows = []
    for _ in range(trials):
        plan = proposals.next()
        assert plan is not None
        rows.append(dict(plan.setting))
        point = make_point(accuracy=0.9, sparsity=50 * float(plan.setting["sparsity_strength"]))
        commit(proposals.store, make_record(plan.number, point, setting=rows[-1]))
        proposals.ended(plan.number)
    return rows


def told(epochs: int, *values: float, missed: float = 0.0) -> Told:
    return Told(row={"epochs": epochs}, values=values, violations={"accuracy >= 0.9": missed})


def epochs(rows: list[Row]) -> list[Any]:
    return [row["epochs"] for row in rows]


def test_the_best_are_those_of_most_worth_that_meet_the_constraints() -> None:
    rows = [told(1, 0.2), told(2, 0.9, missed=0.1), told(3, 0.8), told(4, 0.5), told(5, 0.1)]
    assert epochs(best_rows(rows)) == [3, 4, 1]
    assert epochs(best_rows(rows, 1)) == [3]


def test_where_none_meets_them_the_best_of_all_are_taken() -> None:
    assert epochs(best_rows([told(1, 0.2, missed=0.1), told(2, 0.9, missed=0.1)], 1)) == [2]


def test_of_several_objectives_the_front_goes_first() -> None:
    rows = [told(1, 0.9, 0.1), told(2, 0.8, 0.08), told(3, 0.1, 0.7), told(4, 0.5, 0.6)]
    assert epochs(best_rows(rows)) == [4, 1, 3]  # 2 is dominated by 1


def test_nothing_comes_of_nothing() -> None:
    assert best_rows([]) == []


def test_rows_are_kept_beside_the_trials_once(tmp_path: Path) -> None:
    job: Any = SimpleNamespace(
        store=SimpleNamespace(path=tmp_path / "new" / "trials"), sweep=SimpleNamespace(warm_start="old")
    )
    earlier = Earlier(rows=(told(1, 0.2, missed=0.1), told(2, 0.9)), otherwise=("epochs was 1 and is now 2",))
    keep(job, earlier)
    keep(job, Earlier(rows=earlier.rows[:1]))
    assert earlier_of(job) == earlier
    (tmp_path / "new" / "warm_start.json").write_text('{"rows": [{"row": {}}]}')
    with pytest.raises(ValueError, match=r"warm_start\.json is damaged \(KeyError: 'values'\): delete it"):
        earlier_of(job)
    job.sweep.warm_start = None
    assert earlier_of(job) == Earlier()


def test_the_same_seed_and_outcomes_give_the_same_rows_and_a_resumed_sweep_repeats_none(tmp_path: Path) -> None:
    one, two = (a_job(tmp_path, name) for name in ("one", "two"))
    rows = answer(driver_of(one), 13)
    assert rows == answer(driver_of(two), 13)
    rows += answer(driver_of(one), 1)
    assert len({tuple(sorted(row.items())) for row in rows}) == 14


def test_a_sweep_learns_from_an_earlier_one_that_may_go_afterwards(tmp_path: Path) -> None:
    old = answer(driver_of(a_job(tmp_path, "old")), 5)
    job = a_job(tmp_path, "new", "points: [{sparsity_strength: 0.004}]\nwarm_start: old\n")
    rows = answer(driver_of(job), 4)
    best = sorted(old, key=lambda row: -float(row["sparsity_strength"]))
    assert rows[0]["sparsity_strength"] == 0.004
    assert rows[1:] == best[:3]
    shutil.rmtree(tmp_path / "sweeps" / "old")
    resumed = driver_of(job)
    assert [told.row for told in resumed.study.earlier] == old
    good, new = answer(resumed, 2)
    assert good == old[0], "known to be good, and not among the earlier best"
    assert new not in (*old, *rows)
    assert resumed.store.numbers() == [0, 1, 2, 3, 4, 5]
    assert [trial.number for trial in resumed.study.study.trials if trial.state.name != "WAITING"] == list(range(6))


@pytest.mark.parametrize(
    ("name", "given", "changed", "said"),
    [
        ("new", "odl", {}, r"'odl' is no sweep in .*; did you mean old\?; there is old"),
        ("new", "new", {}, r"'new' is this sweep itself; there is old"),
        ("new", "old", {"high: 1.0e-2": "high: 2.0e-2"},
         r"sweep old searched something else: sparsity_strength.high was 0.01 and is now 0.02; search the same task"),
        ("new", "old", {"lenet-digits": "lenet-300-100", "data: digits": "data: mnist"},
         r"task.network was lenet-digits and is now lenet-300-100; task.data was digits and is now mnist"),
        ("new", "old", {"budget:": "trial: {descent: none}\nbudget:"}, r"trial.descent was nested and is now none"),
    ],
)  # fmt: skip
def test_a_warm_start_from_something_else_is_refused(
    name: str, given: str, changed: dict[str, str], said: str, tmp_path: Path
) -> None:
    old = a_job(tmp_path, "old")
    old.folder.create(old.sweep, old.where)
    text = SWEEP
    for before, after in changed.items():
        assert before in text
        text = text.replace(before, after)
    with pytest.raises(ValueError, match=f"^warm_start: .*{said}"):
        earlier_of(a_job(tmp_path, name, f"warm_start: {given}\n", text))


def test_what_was_trained_otherwise_is_tried_first_but_teaches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After one epoch everything is worth little."""
    short = SWEEP.replace("trials: 14", "trials: 14, epochs: 1") + "trial: {cuts: 4, workers: 1}\n"
    old = answer(driver_of(a_job(tmp_path, "old", text=short)), 4)
    proposals = driver_of(a_job(tmp_path, "new", "warm_start: old\n"))
    assert proposals.study.earlier == ()
    assert "epochs was 1 and is now 20; cuts was 4 and is now 16): its best" in capsys.readouterr().err
    best = sorted(old, key=lambda row: -float(row["sparsity_strength"]))
    assert answer(proposals, 3) == best[:3]
    driver_of(a_job(tmp_path, "new", "warm_start: old\n"))
    assert "trained otherwise" in capsys.readouterr().err, "a resumed sweep knows it too"

"""What a user sees while a sweep runs."""

import io
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sparsweep.search.budget import Account
from sparsweep.search.onlooker import Onlooker
from sparsweep.search.progress import Progress, clock
from sparsweep.spaces.constraint import Constraint
from sparsweep.spaces.sweep_file import Budget, Price, Resources
from sparsweep.trainables.record import TrialFolder, TrialStore
from tests.search.points import make_point
from tests.search.records import make_record


@pytest.fixture
def progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Progress:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    return Progress(4, ("macs_removed", "sparsity"), tmp_path / "status.json")


def end(progress: Progress, number: int, accuracy: float, sparsity: float, *, ended_s: float = 2.0) -> None:
    point = make_point(number, accuracy=accuracy, sparsity=sparsity)
    progress.ended(make_record(number, point, ended_s=ended_s))


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (7.4, "0:07"), (754, "12:34"), (3599.6, "1:00:00"), (3723, "1:02:03")]
)
def test_a_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_the_line_before_anything_has_ended(progress: Progress) -> None:
    assert progress.left_s() is None
    assert progress.line() == "[0:00] starting: 0/4 done, 0 running, 0 failed"


def test_the_line_counts_trials_and_names_the_best(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    progress.started(2)
    end(progress, 0, 0.9, 0.5)
    progress.ended(make_record(1, reason="diverged: loss is nan"))
    monkeypatch.setattr(time, "monotonic", lambda: 1083.0)
    assert progress.line() == (
        "[1:23] searching: 1/4 done, 2 running, 1 failed, best accuracy 0.9000, "
        "hypervolume 0.4500 (accuracy x macs removed), 0.000556 CPU h, about 0:02 left"
    )


def test_what_trials_at_work_have_found_is_shown_and_counted_in_nothing(progress: Progress) -> None:
    progress.found([make_point(1, accuracy=0.8, sparsity=0.25)])
    shown = "[0:00] starting: 0/4 done, 0 running, 0 failed, best accuracy 0.8000, hypervolume 0.2000"
    assert progress.line() == f"{shown} (accuracy x macs removed)"
    told = json.loads(progress.status.read_text())
    assert (told["done"], told["best_accuracy"], told["hypervolume"]) == (0, 0.8, pytest.approx(0.2))
    end(progress, 0, 0.9, 0.5)
    progress.found([make_point(1, accuracy=0.8, sparsity=0.25), make_point(1, "01", accuracy=0.5, sparsity=1.0)])
    assert "best accuracy 0.9000, hypervolume 0.7000 (" in progress.line(), ".9 x .5 and .5 x .5 beside it"
    assert progress.history == [(1, 2000, pytest.approx(0.45))]
    progress.found([])
    assert "best accuracy 0.9000, hypervolume 0.4500 (" in progress.line()


def test_an_onlooker_reads_what_has_changed_and_forgets_what_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TrialStore(tmp_path)
    for number in (0, 1):
        store.folder(number).claim_attempt()
    first, second = make_point(0, "00"), make_point(0, "01")
    store.folder(0).show(make_record(0, first, state="unfinished"))
    onlooker = Onlooker(store)
    assert onlooker.look([0, 1]) == [first]
    with monkeypatch.context() as patched:
        patched.setattr(TrialFolder, "so_far", lambda self: pytest.fail(f"{self.path} was read again"))
        assert onlooker.look([0, 1]) == [first]
    store.folder(0).show(make_record(0, first, second, state="unfinished"))
    assert onlooker.look([0, 1]) == [first, second]
    assert onlooker.look([1]) == []


def test_the_time_left_is_shared_by_the_slots_and_ends_with_the_limit(progress: Progress) -> None:
    end(progress, 0, 0.9, 0.5)
    assert progress.left_s() == pytest.approx(3.0)
    progress.slots = 2
    assert progress.left_s() == pytest.approx(1.5)
    progress.deadline = 1000.5
    assert progress.left_s() == pytest.approx(0.5)
    progress.deadline = 990.0
    assert progress.left_s() == 0


def test_the_history_says_when_the_hypervolume_grew(progress: Progress) -> None:
    end(progress, 0, 0.9, 0.5, ended_s=10)
    end(progress, 1, 0.8, 0.4, ended_s=11)
    progress.ended(make_record(2, reason="out of memory", ended_s=12))
    end(progress, 3, 0.5, 0.8, ended_s=13)
    steps, ends_ms, volumes = zip(*progress.history, strict=True)
    assert (steps, ends_ms) == ((1, 2, 3, 4), (10_000, 11_000, 12_000, 13_000))
    assert volumes == pytest.approx((0.45, 0.45, 0.45, 0.45 + 0.5 * 0.3))


def test_the_status_file_says_the_same(progress: Progress) -> None:
    progress.started(1)
    end(progress, 0, 0.9, 0.5)
    for number in (1, 2):
        progress.ended(make_record(number, reason="diverged"))
    status = json.loads(progress.status.read_text())
    assert status.pop("at_ms") > 1_700_000_000_000
    assert status == {
        "budget": 4, "done": 1, "failed": 2, "stopped": 0, "running": 1, "best_accuracy": 0.9, "hypervolume": 0.45,
        "reasons": {"diverged": 2}, "phase": "searching", "ended": None, "left_s": pytest.approx(1.0), "slots": 1,
        "spent": {"trials": 3, "cpu_hours": pytest.approx(3 / 3600), "gpu_hours": 0.0, "cost": None},
    }  # fmt: skip


def test_why_the_search_ended_is_said_and_written(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    progress.search_ended("all 4 trials have ended")
    assert capsys.readouterr().err == "the search has ended: all 4 trials have ended\n"
    assert json.loads(progress.status.read_text())["ended"] == "all 4 trials have ended"


def test_what_was_spent_and_what_is_expected_are_on_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    budget = Budget(trials=100, cost=20, cost_per_hour=Price(gpu=4.0))
    progress = Progress(100, ("sparsity",), tmp_path / "status.json", Account(budget, Resources(gpu=0.5)))
    progress.started(1)
    half_an_hour = replace(make_record(0, make_point(0)), started_ms=0, ended_ms=1_800_000)
    progress.ended(half_an_hour)
    # 0.25 GPU h cost 1; 19 more trials can be paid, of half an hour each
    assert progress.line().endswith(
        "(accuracy x sparsity), 0.250 GPU h, cost 1 of 20, about 9:30:00 and 19 in cost left"
    )
    assert progress.used_share() == 0.05
    progress.limited(4.0)
    monkeypatch.setattr(time, "monotonic", lambda: 1003.0)
    assert progress.used_share() == 0.75


def test_patience_goes_by_every_objective_and_by_points_that_meet_the_constraints_alone(tmp_path: Path) -> None:
    budget = Budget(trials=100, patience=1)
    rules = (Constraint.parse("accuracy >= 0.9"),)
    account = Account(budget, Resources())
    progress = Progress(100, ("macs_removed", "sparsity"), tmp_path / "status.json", account, rules)
    for number, accuracy in enumerate((0.95, 0.8)):  # the second is sparser, but not allowed
        progress.ended(make_record(number, make_point(number, accuracy=accuracy, sparsity=0.5 + 0.3 * number)))
    assert progress.account.over() is not None
    progress.ended(make_record(2, make_point(2, accuracy=0.95, sparsity=0.8, macs_removed=0.5)))
    assert progress.account.over() is None, "in MACs it is no better"


def test_off_a_terminal_the_last_line_is_printed_and_what_is_said_is_not_markup(tmp_path: Path) -> None:
    text = io.StringIO()
    progress = Progress(1, ("sparsity",), tmp_path / "status.json")
    with progress.shown(Console(file=text, width=40)):
        progress.say("cannot open [red]x[/red]")
        progress.entered("done")
    said, last = text.getvalue().splitlines()
    assert said == "cannot open [red]x[/red]"
    assert last.startswith("[0:00] done: 0/1 done")
    assert [phase for phase, _ in progress.entries] == ["done"]


def test_on_a_terminal_the_reasons_of_failures_are_shown(tmp_path: Path) -> None:
    progress = Progress(2, ("sparsity",), tmp_path / "status.json")
    text = io.StringIO()
    with progress.shown(Console(file=text, width=200, force_terminal=True)):
        progress.ended(make_record(0, reason="out of [memory]"))
    assert "failed 1x: out of [memory]" in text.getvalue()


def test_without_a_console_it_is_said_on_standard_error(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    progress.say("going on")
    assert capsys.readouterr().err == "going on\n"


def test_a_status_that_cannot_be_written_stops_nothing(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    progress.status = progress.status.parent / "gone" / "status.json"
    end(progress, 0, 0.9, 0.5)
    assert (progress.tally.done, len(progress.history)) == (1, 1)

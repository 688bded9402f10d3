"""The sweep's bookkeeping: what is handed out, what comes back, and what every kind of interruption leaves."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.storages import InMemoryStorage

from sparsweep.search import proposals as proposals_module
from sparsweep.search.budget import Account
from sparsweep.search.judging import Forgiving, SweepJudge
from sparsweep.search.lease import FencedOutError
from sparsweep.search.proposals import Proposals, outcome_of
from sparsweep.search.with_optuna import Study, delete
from sparsweep.search.worth import searched_points
from sparsweep.spaces.constraint import Constraint
from sparsweep.spaces.space import Row
from sparsweep.spaces.sweep_file import Budget, Resources, Stopping
from sparsweep.trainables.attempt import PREEMPTED
from sparsweep.trainables.death import Death
from sparsweep.trainables.record import Epoch, Rung, TrialRecord, TrialStore
from sparsweep.trainables.tasks import Task
from tests.search.points import make_point
from tests.search.records import GOOD, SPACE, commit, make_record

Make = Callable[..., Proposals]
HALF = make_point(accuracy=0.8, sparsity=0.5)


@pytest.fixture
def storage() -> InMemoryStorage:
    return InMemoryStorage()


@pytest.fixture
def seen() -> list[TrialRecord]:
    return []


@pytest.fixture
def driver(tmp_path: Path, storage: InMemoryStorage, seen: list[TrialRecord]) -> Make:
    """Makes what a newly started driver has over the same study and store."""

    def made(**given: Any) -> Proposals:
        study = Study.open(storage, "digits", SPACE, sampler="random", seed=0, objectives=("curve_value",))
        study.propose_first([GOOD])
        defaults: dict[str, Any] = {
            "study": study, "store": TrialStore(tmp_path / "trials"),
            "task": Task(network="lenet-digits", data="digits"), "fixed": {"epochs": 2}, "axes": ("macs_removed",),
            "constraints": (), "single_point": False, "budget": 3, "deadline": None, "seed": 7,
            "on_record": seen.append,
        }  # fmt: skip
        proposals = Proposals(**(defaults | given))
        proposals.reconcile()
        return proposals

    return made


def handed_out(proposals: Proposals) -> dict[int, Row]:
    rows = {}
    while (plan := proposals.next()) is not None:
        rows[plan.number] = plan.setting
    return rows


def states(proposals: Proposals) -> list[str]:
    return [trial.state.name for trial in proposals.study.study.trials]


def test_no_more_than_the_budget_is_handed_out(driver: Make) -> None:
    proposals = driver(budget=3)
    assert not proposals.exhausted()
    assert list(handed_out(proposals)) == [0, 1, 2]
    assert proposals.next() is None
    for number in range(3):
        commit(proposals.store, make_record(number, HALF))
        proposals.ended(number)
    assert proposals.exhausted()
    assert states(proposals) == ["COMPLETE"] * 3


def test_a_plan_has_its_own_seed_and_is_written_down_before_it_is_handed_out(driver: Make) -> None:
    proposals = driver()
    plan = proposals.next()
    assert plan is not None
    assert (plan.number, plan.setting, plan.seed, plan.fixed) == (0, GOOD, 700_021, {"epochs": 2})
    assert proposals.store.folder(0).proposal() == {"number": 0, "setting": GOOD, "seed": 700_021}


def test_only_so_many_are_handed_out_ahead(driver: Make) -> None:
    proposals = driver(ahead=2)
    assert list(handed_out(proposals)) == [0, 1]
    assert not proposals.exhausted()
    commit(proposals.store, make_record(0, HALF))
    proposals.ended(0)
    assert list(handed_out(proposals)) == [2]


@pytest.mark.parametrize(("ahead", "seeds", "looking"), [(3, 1, [0, 1]), (1, 1, [0]), (99, 1, range(8)), (3, 3, [])])
def test_trials_that_begin_at_once_look_ahead(driver: Make, ahead: int, seeds: int, looking: list[int]) -> None:
    proposals = driver(budget=20, ahead=ahead, seeds=seeds, first_look=0.25, first_look_batch=128)
    looks = {}
    while (plan := proposals.next()) is not None:
        looks[plan.number] = plan.look
        assert plan.look_batch == 128
    assert looks == {number: 0.25 if number in looking else 0.0 for number in looks}
    assert len(looks) == min(ahead, 20)


def test_nobody_looks_ahead_once_something_is_known(driver: Make) -> None:
    proposals = driver(ahead=3, first_look=0.25)
    first = proposals.next()
    assert first is not None
    assert first.look == 0.25
    commit(proposals.store, make_record(0, HALF))
    proposals.ended(0)
    second = proposals.next()
    assert second is not None
    assert (second.number, second.look) == (1, 0.0)
    again = driver(ahead=3, first_look=0.25).next()
    assert again is not None
    assert (again.number, again.look) == (1, 0.0), "nor does a resumed sweep"


def test_what_a_look_found_tells_the_study_nothing_of_the_setting(driver: Make) -> None:
    proposals = driver(ahead=3, first_look=0.25)
    assert proposals.next() is not None
    looked = make_point(cut="look-00", accuracy=0.99, macs=1)
    commit(proposals.store, make_record(0, looked, HALF))
    proposals.ended(0)
    assert proposals.study.study.trials[0].values == [pytest.approx(0.8 * HALF.macs_removed)]


def test_nothing_is_handed_out_after_the_deadline(driver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    proposals = driver(deadline=110.0)
    assert proposals.next() is not None
    now = 109.9
    assert not proposals.late()
    now = 110.0
    assert proposals.late()
    assert proposals.exhausted()
    assert proposals.next() is None


def test_a_record_that_was_not_told_is_told_after_a_restart(driver: Make, seen: list[TrialRecord]) -> None:
    first = driver()
    handed_out(first)
    commit(first.store, make_record(1, HALF))  # killed before `ended`
    second = driver()
    assert states(second) == ["RUNNING", "COMPLETE", "RUNNING"]
    assert second.study.study.trials[1].value == pytest.approx(0.4)
    assert [record.number for record in seen] == [1]
    assert list(handed_out(second)) == [0, 2]


def test_a_record_that_was_told_but_not_projected_is_projected_after_a_restart(
    driver: Make, seen: list[TrialRecord]
) -> None:
    first = driver(on_record=lambda record: None)
    first.next()
    commit(first.store, make_record(0, HALF))
    first.ended(0)
    second = driver()
    assert [record.number for record in seen] == [0]
    assert states(second) == ["COMPLETE"]
    assert list(handed_out(second)) == [1, 2]


def test_proposals_without_a_record_are_handed_out_first_with_their_rows_and_seeds(driver: Make) -> None:
    first = driver()
    rows = handed_out(first)
    seeds = {number: plan.seed for number, plan in first.at_work.items()}
    second = driver()
    assert handed_out(second) == rows
    assert {number: plan.seed for number, plan in second.at_work.items()} == seeds


def test_a_proposal_asked_for_but_never_written_down_is_not_lost(driver: Make) -> None:
    first = driver()
    number, row = first.study.ask()  # killed between the study and the folder
    assert first.store.numbers() == []
    assert handed_out(driver(budget=1)) == {number: row}


def test_a_deleted_study_is_rebuilt_from_the_folders(driver: Make, storage: InMemoryStorage) -> None:
    first = driver()
    rows = handed_out(first)
    commit(first.store, make_record(0, HALF, setting=rows[0]))
    commit(first.store, make_record(2, reason="diverged", setting=rows[2]))
    delete(storage, "digits")
    second = driver()
    assert states(second) == ["COMPLETE", "RUNNING", "FAIL"]
    assert handed_out(second) == {1: rows[1]}


def test_what_was_broken_off_is_gone_on_with_as_far_as_the_budget_goes(driver: Make) -> None:
    first = driver(budget=5)
    assert set(handed_out(first)) == {0, 1, 2, 3, 4}
    commit(first.store, make_record(1, HALF))
    first.ended(1)
    fewer = driver(budget=3)
    assert set(handed_out(fewer)) == {0, 2}, "one of three has ended"
    assert driver(budget=1).exhausted()
    assert set(handed_out(driver(budget=6))) == {0, 2, 3, 4, 5}


def test_a_time_limit_that_breaks_off_the_last_trials_is_what_ended_the_sweep(driver: Make) -> None:
    proposals = driver(budget=2)
    assert set(handed_out(proposals)) == {0, 1}
    proposals.deadline = time.monotonic()
    proposals.ended(0)
    proposals.ended(1)
    assert proposals.exhausted()
    assert proposals.why() == "the time limit is reached"


def test_the_budget_can_grow(driver: Make) -> None:
    first = driver(budget=1)
    first.next()
    commit(first.store, make_record(0, HALF))
    first.ended(0)
    assert driver(budget=1).exhausted()
    assert list(handed_out(driver(budget=3))) == [1, 2]


def test_reconciling_twice_changes_nothing(driver: Make, seen: list[TrialRecord]) -> None:
    first = driver()
    handed_out(first)
    commit(first.store, make_record(1, HALF))
    second, third = driver(), driver()
    assert states(second) == states(third) == ["RUNNING", "COMPLETE", "RUNNING"]
    assert second.left == third.left
    assert [record.number for record in seen] == [1, 1]


def test_records_are_replayed_in_the_order_in_which_they_ended(driver: Make, seen: list[TrialRecord]) -> None:
    first = driver()
    handed_out(first)
    for number, ended_s in ((0, 9.0), (1, 3.0), (2, 6.0)):
        commit(first.store, make_record(number, HALF, ended_s=ended_s))
    driver()
    assert [record.number for record in seen] == [1, 2, 0]


def test_a_death_is_one_failed_record_with_its_reason(driver: Make, seen: list[TrialRecord]) -> None:
    proposals = driver()
    proposals.next()
    proposals.store.folder(0).claim_attempt()
    proposals.ended(0, Death(reason="the trial's process died", node_lost=False))
    assert [(r.number, r.state, r.reason) for r in seen] == [(0, "failed", "the trial's process died")]
    assert states(proposals) == ["FAIL"]
    assert [r.state for r in proposals.store.records()] == ["failed"]
    assert list(handed_out(driver())) == [1, 2]


def test_a_death_before_the_first_attempt_excuses_the_trial_only_so_often(
    driver: Make, seen: list[TrialRecord]
) -> None:
    proposals = driver(budget=1)
    for _ in range(proposals_module.FALSE_STARTS):
        assert list(handed_out(proposals)) == [0]
        proposals.ended(0, Death(reason="no node took it", node_lost=False))
        assert seen == []
    assert list(handed_out(proposals)) == [0]
    proposals.ended(0, Death(reason="no node took it", node_lost=False))
    assert [(r.attempt, r.reason) for r in seen] == [(1, "no node took it")]


def test_a_death_after_the_commit_leaves_the_trial_done(driver: Make, seen: list[TrialRecord]) -> None:
    proposals = driver()
    proposals.next()
    commit(proposals.store, make_record(0, HALF))
    proposals.ended(0, Death(reason="the trial's process died", node_lost=False))
    assert [(r.state, r.reason) for r in seen] == [("done", None)]
    assert states(proposals) == ["COMPLETE"]


def preempt(proposals: Proposals, number: int) -> None:
    folder = proposals.store.folder(number)
    (folder.attempt(folder.claim_attempt()) / PREEMPTED).touch()


def test_a_preempted_trial_goes_back_in_line_with_its_row(driver: Make, seen: list[TrialRecord]) -> None:
    proposals = driver(budget=1)
    plan = proposals.next()
    preempt(proposals, 0)
    proposals.ended(0, Death(reason="the trial's process died", node_lost=False))
    assert seen == []
    assert proposals.next() == plan
    assert states(proposals) == ["RUNNING"]


def test_while_a_trial_is_at_work_it_may_come_back_so_nothing_is_exhausted(driver: Make) -> None:
    proposals = driver(budget=1)
    proposals.next()
    assert proposals.next() is None
    assert not proposals.exhausted()
    preempt(proposals, 0)
    proposals.ended(0, Death(reason="the trial's process died", node_lost=False))
    assert not proposals.exhausted()
    assert proposals.next() is not None


def test_a_death_before_the_next_attempt_of_a_preempted_trial_is_a_failure_not_an_endless_queue(
    driver: Make, seen: list[TrialRecord]
) -> None:
    proposals = driver(budget=1)
    proposals.next()
    preempt(proposals, 0)
    proposals.ended(0, Death(reason="told to end", node_lost=False))
    proposals.next()
    proposals.ended(0, Death(reason="no worker can start", node_lost=False))
    assert [(r.state, r.reason) for r in seen] == [("failed", "no worker can start")]


def test_a_stopped_trial_stays_unfinished_and_is_run_by_the_next_driver(driver: Make, seen: list[TrialRecord]) -> None:
    proposals = driver(budget=1)
    plan = proposals.next()
    proposals.store.folder(0).claim_attempt()
    proposals.ended(0)
    assert (seen, states(proposals)) == ([], ["RUNNING"])
    assert proposals.at_work == {}
    assert driver(budget=1).next() == plan


CURVE = (
    make_point(cut="00", accuracy=0.9, sparsity=0.5, macs_removed=0.5),
    make_point(cut="01", accuracy=0.5, sparsity=0.9, macs_removed=0.8),
)


def test_a_curve_is_worth_its_hypervolume() -> None:
    told = outcome_of(make_record(4, *CURVE), ("macs_removed",), (), single_point=False)
    assert (told.number, told.violations) == (4, {})
    assert told.values == pytest.approx((0.9 * 0.5 + 0.5 * 0.3,))
    assert told.attributes == {"seconds": 1.0, "best_accuracy": 0.9}


def test_points_that_miss_a_constraint_add_nothing_to_the_curve() -> None:
    rules = (Constraint.parse("accuracy >= 0.8"),)
    told = outcome_of(make_record(0, *CURVE), ("macs_removed",), rules, single_point=False)
    assert told.values == pytest.approx((0.45,))
    none = outcome_of(
        make_record(0, *CURVE), ("macs_removed",), (Constraint.parse("accuracy >= 0.95"),), single_point=False
    )
    assert none.values == (0.0,)


def test_a_constraint_on_what_is_measured_at_the_end_is_not_judged_before() -> None:
    rules = [Constraint.parse("speedup >= 2"), Constraint.parse("latency_ms <= 1"), Constraint.parse("sparsity > 0.6")]
    assert searched_points(CURVE, rules) == [CURVE[1]]
    told = outcome_of(make_record(0, CURVE[0]), ("macs_removed",), rules, single_point=True)
    assert told.violations == {"sparsity > 0.6": pytest.approx(0.1)}


def test_a_single_point_is_told_as_one_value_per_objective() -> None:
    rules = (Constraint.parse("accuracy >= 0.95"),)
    axes = ("macs_removed", "macs_ideal_removed", "sparsity", "size_removed")
    point = make_point(accuracy=0.9, sparsity=0.5, macs_removed=0.25, macs_ideal=400)
    told = outcome_of(make_record(0, point), axes, rules, single_point=True)
    assert told.values == pytest.approx((0.9, 0.25, 0.6, 0.5, 0.5))
    assert told.violations == {"accuracy >= 0.95": pytest.approx(0.05)}


def test_a_setting_trained_with_several_seeds_is_worth_the_mean_of_its_curves() -> None:
    """With the second seed its curve is .8 x .5; taken as one, the two would count as the better alone."""
    again = make_point(cut="r1-00", accuracy=0.8, sparsity=0.5, macs_removed=0.5)
    told = outcome_of(make_record(0, *CURVE, again), ("macs_removed",), (), single_point=False)
    assert told.values == pytest.approx((((0.9 * 0.5 + 0.5 * 0.3) + 0.8 * 0.5) / 2,))
    rules = (Constraint.parse("accuracy >= 0.85"),)
    missed = outcome_of(make_record(0, *CURVE, again), ("macs_removed",), rules, single_point=False)
    assert missed.values == pytest.approx((0.9 * 0.5 / 2,)), "a training without a feasible point is worth nothing"


def test_a_single_point_trained_with_several_seeds_is_told_as_its_mean() -> None:
    points = [make_point(cut=cut, accuracy=a, sparsity=s) for cut, a, s in (("own", 0.9, 0.5), ("r1-own", 0.7, 0.7))]
    rules = (Constraint.parse("accuracy >= 0.8"),)
    told = outcome_of(make_record(0, *points), ("sparsity",), rules, single_point=True)
    assert told.values == pytest.approx((0.8, 0.6))
    assert told.violations == {"accuracy >= 0.8": pytest.approx(0.05)}


@pytest.mark.parametrize("single_point", [False, True])
def test_a_failed_trial_has_a_reason_and_no_value(single_point: bool) -> None:
    told = outcome_of(make_record(0, reason="diverged: loss is nan"), ("sparsity",), (), single_point=single_point)
    assert (told.values, told.violations) == (None, {})
    assert told.attributes == {"seconds": 1.0, "reason": "diverged: loss is nan"}


def test_a_trial_lost_with_its_node_goes_on_elsewhere_but_not_for_ever(
    driver: Make, seen: list[TrialRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals_module, "MOST_ATTEMPTS", 3)
    proposals = driver(budget=1)
    lost = Death(reason="its node died", node_lost=True)
    for _ in range(2):
        assert proposals.next() is not None
        proposals.store.folder(0).claim_attempt()
        proposals.ended(0, lost)
        assert seen == []
    assert proposals.next() is not None
    proposals.store.folder(0).claim_attempt()
    proposals.ended(0, lost)
    assert [(r.state, r.reason) for r in seen] == [("failed", "its node died")]


def test_a_proposal_cut_short_by_an_outage_is_taken_up_again_and_not_made_twice(
    driver: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposals = driver(budget=2)
    row = type(proposals.study.space).row

    def cut_short(*_: object) -> None:
        raise OSError("server closed the connection")

    monkeypatch.setattr(type(proposals.study.space), "row", cut_short)
    with pytest.raises(OSError, match="server closed"):
        proposals.next()
    monkeypatch.setattr(type(proposals.study.space), "row", row)
    plans = [proposals.next(), proposals.next(), proposals.next()]
    assert [plan and plan.number for plan in plans] == [0, 1, None]
    assert states(proposals) == ["RUNNING", "RUNNING"]


def test_a_fenced_driver_hands_out_and_tells_nothing(driver: Make, seen: list[TrialRecord]) -> None:
    proposals = driver()
    plan = proposals.next()
    assert plan is not None
    commit(proposals.store, make_record(0, HALF))

    def fenced() -> None:
        raise FencedOutError("taken over")

    proposals.fence = fenced
    with pytest.raises(FencedOutError, match="taken over"):
        proposals.ended(0)
    with pytest.raises(FencedOutError, match="taken over"):
        proposals.next()
    assert seen == []
    assert states(proposals) == ["RUNNING"]


def test_a_trial_whose_record_is_gone_is_run_again_though_the_study_knows_its_outcome(driver: Make) -> None:
    proposals = driver(budget=2)
    rows = handed_out(proposals)
    for number in rows:
        commit(proposals.store, make_record(number, HALF))
        proposals.ended(number)
    (proposals.store.folder(1).path / "result.json").unlink()
    again = driver(budget=2)
    assert not again.exhausted()
    assert handed_out(again) == {1: rows[1]}
    record = replace(make_record(1, HALF), attempt=again.store.folder(1).claim_attempt())
    assert again.store.folder(1).commit(record)
    again.ended(1)
    assert again.exhausted()
    assert states(again) == ["COMPLETE"] * 2


def test_a_trial_that_found_no_room_goes_back_in_line(driver: Make, seen: list[TrialRecord]) -> None:
    proposals = driver(budget=1)
    rows = handed_out(proposals)
    proposals.ended(0, Death(reason="no room", storage_full=True))
    assert (seen, handed_out(proposals)) == ([], rows)


def test_nothing_is_handed_out_without_room_for_it(driver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    proposals = driver(budget=1)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
        with pytest.raises(OSError, match="no room"):
            proposals.next()
    assert list(handed_out(proposals)) == [0]


def test_a_lost_proposal_is_taken_from_its_record_though_the_study_is_lost_too(
    driver: Make, storage: InMemoryStorage
) -> None:
    proposals = driver(budget=2)
    rows = handed_out(proposals)
    for number in rows:
        commit(proposals.store, make_record(number, HALF, setting=rows[number]))
        proposals.ended(number)
    (proposals.store.folder(1).path / "setting.json").unlink()
    delete(storage, "digits")
    again = driver(budget=2)
    assert again.exhausted()
    assert states(again) == ["COMPLETE"] * 2
    assert again.store.folder(1).proposal() == {"number": 1, "setting": rows[1], "seed": 1}


def test_nothing_more_is_handed_out_when_it_is_enough_and_what_is_at_work_ends(driver: Make) -> None:
    said: dict[str, str | None] = {"why": None}
    proposals = driver(budget=9, enough=lambda held, earlier: said["why"])
    assert proposals.next() is not None
    said["why"] = "20 of 20 in cost are spent"
    assert proposals.next() is None
    assert not proposals.exhausted()
    commit(proposals.store, make_record(0, HALF))
    proposals.ended(0)
    assert proposals.exhausted()
    assert proposals.why() == "20 of 20 in cost are spent"
    said["why"] = None  # the last trial brought the hypervolume on after all
    assert not proposals.exhausted()
    assert next(iter(handed_out(proposals))) == 1


def test_how_many_are_at_work_decides_whether_another_may_begin(driver: Make) -> None:
    proposals = driver(budget=9, enough=lambda held, earlier: "no room" if len(held) >= 2 else None)
    assert list(handed_out(proposals)) == [0, 1]
    assert not proposals.exhausted()


def test_why_a_sweep_has_ended(driver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    proposals = driver(budget=1, deadline=100.0)
    assert proposals.why() == "the time limit is reached"
    done = driver(budget=1)
    handed_out(done)
    commit(done.store, make_record(0, HALF))
    done.ended(0)
    assert done.why() == "all 1 trials have ended"


def test_a_trial_that_has_not_begun_goes_back_in_line(driver: Make) -> None:
    proposals = driver(budget=2)
    rows = handed_out(proposals)
    proposals.withdraw(1)
    assert list(proposals.at_work) == [0]
    assert handed_out(proposals) == {1: rows[1]}


def test_a_plan_says_what_its_slot_holds(driver: Make) -> None:
    plan = driver(slot={"cpu": 2.0, "gpu": 0.5}).next()
    assert plan is not None
    assert plan.slot == {"cpu": 2.0, "gpu": 0.5}


def test_a_curve_without_a_feasible_point_is_told_by_how_far_its_nearest_misses() -> None:
    rules = (Constraint.parse("accuracy >= 0.95"), Constraint.parse("sparsity >= 0.8"), Constraint.parse("speedup > 2"))
    told = outcome_of(make_record(0, *CURVE), ("macs_removed",), rules, single_point=False)
    # (0.9, 0.5) misses by 5 % and 38 % of the bounds, (0.5, 0.9) by 47 % and 0
    assert told.violations == {"accuracy >= 0.95": pytest.approx(0.05), "sparsity >= 0.8": pytest.approx(0.3)}
    met = outcome_of(make_record(0, *CURVE), ("macs_removed",), (Constraint.parse("accuracy >= 0.8"),),
                     single_point=False)  # fmt: skip
    assert met.violations == {"accuracy >= 0.8": 0.0}
    assert outcome_of(make_record(0, *CURVE), ("macs_removed",), rules[2:], single_point=False).violations == {}


def stopped(number: int) -> TrialRecord:
    rungs = (Rung(epoch=2, values=(0.4,)), Rung(epoch=6, values=(0.3,)))
    epochs = (Epoch(step=1, phase="train", loss=1.0, accuracy=0.7, ended_ms=1),)
    return replace(make_record(number, reason="not among the best", state="stopped", rungs=rungs), epochs=epochs)


def test_a_stopped_trial_is_pruned_and_says_what_it_reached(driver: Make) -> None:
    proposals = driver(budget=1)
    assert proposals.next() is not None
    commit(proposals.store, stopped(0))
    proposals.ended(0)
    (trial,) = proposals.study.study.trials
    assert (trial.state.name, trial.intermediate_values) == ("PRUNED", {2: 0.4, 6: 0.3})
    assert trial.user_attrs["reached"] == {"2": [0.4], "6": [0.3]}
    assert trial.user_attrs["reason"] == "not among the best"
    assert trial.user_attrs["best_accuracy"] == 0.7
    assert proposals.exhausted(), "it counts as one of the budget"


def test_a_resumed_driver_tells_the_judge_what_the_one_before_knew(driver: Make) -> None:
    first = driver(judge=Forgiving(judge=SweepJudge(axes=("macs_removed",))))
    handed_out(first)
    commit(first.store, stopped(0))
    commit(first.store, make_record(1, HALF, rungs=(Rung(epoch=2, values=(0.9,)),)))
    judge = SweepJudge(axes=("macs_removed",))
    driver(judge=Forgiving(judge=judge))
    known = {epoch: came.values for epoch, came in judge.rungs.items()}
    assert known == {2: {0: (0.4,), 1: (0.9,)}, 6: {0: (0.3,)}}


def test_plans_carry_their_rungs_only_where_somebody_judges(driver: Make) -> None:
    judged = driver(judge=Forgiving(judge=SweepJudge(axes=("macs_removed",))), fixed={"epochs": 20}).next()
    assert judged is not None
    assert (judged.rungs, judged.judged_on_the_way) == ((2, 6, 18), True)
    rule = Stopping(reduction=2, first=4, descents=False)
    judge = Forgiving(judge=SweepJudge(axes=("macs_removed",)))
    other = driver(judge=judge, stopping=rule, fixed={"epochs": 20}, budget=2).next()
    assert other is not None
    assert (other.rungs, other.judged_on_the_way) == ((4, 8, 16), False)
    judge = Forgiving(judge=SweepJudge(axes=("macs_removed",)))
    descending = driver(judge=judge, stopping=Stopping(rule="descents", first=4), budget=3).next()
    assert descending is not None
    assert (descending.rungs, descending.judged_on_the_way) == ((), True)
    alone = driver(budget=4).next()
    assert alone is not None
    assert (alone.rungs, alone.judged_on_the_way) == ((), False)


def test_with_one_point_a_row_a_stopped_trial_is_pruned_too(storage: InMemoryStorage) -> None:
    study = Study.open(storage, "two", SPACE, sampler="tpe", seed=0, objectives=("accuracy", "macs_removed"))
    number, _ = study.ask()
    record = replace(stopped(number), rungs=(Rung(epoch=2, values=(0.4, 0.1)),))
    study.tell(outcome_of(record, ("macs_removed",), (), single_point=True))
    (trial,) = study.study.trials
    assert (trial.state.name, trial.user_attrs["reached"]) == ("PRUNED", {"2": [0.4, 0.1]})
    assert study.ask()[0] == 1, "the sampler goes on"


def test_a_judge_that_raises_costs_its_judgements_and_not_the_sweep(driver: Make, seen: list[TrialRecord]) -> None:
    class Broken(SweepJudge):
        def take(self, record: TrialRecord) -> None:
            raise ZeroDivisionError("no curve")

    said: list[str] = []
    proposals = driver(judge=Forgiving(judge=Broken(axes=("macs_removed",))), say=said.append, fixed={"epochs": 20})
    for number in range(2):
        assert proposals.next() is not None
        commit(proposals.store, make_record(number, HALF))
        proposals.ended(number)
    assert [record.number for record in seen] == [0, 1]
    assert said == ["a trial could not be judged (ZeroDivisionError: no curve); it goes on, and the sweep too"]
    plan = proposals.next()
    assert plan is not None
    assert plan.rungs, "others are judged"


def test_without_a_judge_no_trial_is_stopped_any_more(driver: Make, seen: list[TrialRecord]) -> None:
    class Gone:
        def take(self, record: TrialRecord) -> tuple[str, ...]:
            raise RuntimeError("its process died")

    said: list[str] = []
    proposals = driver(judge=Gone(), say=said.append, fixed={"epochs": 20})
    for number in range(2):
        assert proposals.next() is not None
        commit(proposals.store, make_record(number, HALF))
        proposals.ended(number)
    assert [record.number for record in seen] == [0, 1]
    assert said == [
        "early stopping failed (RuntimeError: its process died); no trial is stopped any more, and the sweep goes on"
    ]
    plan = proposals.next()
    assert plan is not None
    assert plan.rungs == ()


def test_trials_at_work_are_broken_off_where_a_budget_is_overrun(driver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that is ready but has no slot yet holds none."""
    clock = [100.0]
    monkeypatch.setattr("sparsweep.search.proposals.time.monotonic", lambda: clock[0])
    account = Account(Budget(trials=9, gpu_hours=1), Resources(gpu=1.0))
    proposals = driver(budget=9, enough=account.over, overrun=account.overrun)
    for _ in range(3):
        assert proposals.next() is not None
    proposals.began(0)
    proposals.began(1)
    clock[0] += 1800
    assert proposals.held() == [1800, 1800, 0]
    assert proposals.held(without=[2]) == [1800, 1800]
    assert proposals.next() is None
    assert not proposals.late()
    clock[0] += 180
    assert proposals.late()
    for number in range(3):
        proposals.ended(number)
    assert proposals.held() == []
    assert proposals.late(), "nothing begins in their place"
    assert proposals.why() == "1.10 of 1 GPU h are spent; 3 at work were broken off"


def test_what_was_broken_off_is_charged_for_what_it_has_held_before_it_has_a_record(driver: Make) -> None:
    account = Account(Budget(trials=9, gpu_hours=1), Resources(gpu=1.0))
    first = driver(budget=9)
    assert first.next() is not None
    attempt = first.store.folder(0).attempt(1)
    attempt.mkdir(parents=True)
    for name, at_s in (("began", 1000), ("checkpoint.pt", 1000 + 4500)):
        (attempt / name).touch()
        os.utime(attempt / name, (at_s, at_s))
    second = driver(budget=9, enough=account.over, overrun=account.overrun)
    assert second.exhausted(), "another driver with the same limit ends at once"
    assert second.why() == "1.25 of 1 GPU h are spent"
    more = Account(Budget(trials=9, gpu_hours=9), Resources(gpu=1.0))
    third = driver(budget=9, enough=more.over, overrun=more.overrun)
    plan = third.next()
    assert plan is not None
    assert plan.number == 0, "it goes on"
    assert third.held() == [pytest.approx(4500)]
    commit(third.store, replace(make_record(0, HALF), attempt=2))
    third.ended(0)
    assert third.held() == []
    assert third.earlier == {}

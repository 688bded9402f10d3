"""What trials have spent, and when that is enough: in figures that can be checked by hand."""

from typing import Any

import pytest

from sparsweep.search.budget import Account, amount, plateau, spent_words
from sparsweep.spaces.sweep_file import Budget, Price, Resources
from sparsweep.trainables.record import TrialRecord

QUARTER = Resources(cpu=2.0, gpu=0.25)
PRICED = Price(gpu=4.0, cpu=0.5)


def hours(number: int, held: float, *, earlier: float = 0.0, **slot: float) -> TrialRecord:
    """A trial that held its slot for so many hours, and in earlier attempts for `earlier` more."""
    return TrialRecord(
        number=number, attempt=1, setting={"method": "gasl"}, seed=0, state="failed", reason="diverged", points=(),
        epochs=(), started_ms=1000, ended_ms=1000 + round(3.6e6 * held), seconds={}, environment={}, slot=slot,
        earlier_s=3600 * earlier,
    )  # fmt: skip


def account(*records: TrialRecord, resources: Resources = QUARTER, volumes: tuple[float, ...] = (), **budget: Any) -> (
    Account
):  # fmt: skip
    made = Account(Budget(**{"trials": 100, **budget}), resources)
    for at, record in enumerate(records):
        made.take(record, (volumes[at],) if volumes else ())
    return made


def test_a_trial_is_charged_for_its_share_of_the_time_that_it_held() -> None:
    spent = account(hours(0, 2.0, cpu=2.0, gpu=0.25), cost_per_hour=PRICED).spent
    # 2 h x 2 cores, 2 h x 1/4 GPU; 4 x 0.50 + 0.5 x 4.00
    assert (spent.trials, spent.cpu_hours, spent.gpu_hours, spent.cost) == (1, 4.0, 0.5, 4.0)


def test_attempts_that_were_preempted_are_charged_too() -> None:
    assert account(hours(0, 1.0, earlier=0.5, cpu=1.0, gpu=1.0)).spent.gpu_hours == 1.5


def test_what_a_record_does_not_say_is_the_sweep_files_and_without_a_price_nothing_has_a_cost() -> None:
    spent = account(hours(0, 1.0)).spent
    assert (spent.cpu_hours, spent.gpu_hours, spent.cost) == (2.0, 0.25, None)


def test_a_record_is_charged_once() -> None:
    once = hours(0, 1.0)
    assert account(once, once).spent.cpu_hours == 2.0


def test_a_trial_may_begin_while_the_budget_has_room_for_it_beside_those_at_work() -> None:
    known = account(hours(0, 1.0, gpu=1.0), hours(1, 3.0, gpu=1.0), gpu_hours=8)  # 2 h a trial
    assert known.over([]) is None
    assert known.over([0.0]) is None  # 4 + 2 + 2 = 8
    assert known.over([0.0, 0.0]) == "4 of 8 GPU h are spent, and a further trial takes about 2"
    known.take(hours(2, 4.0, gpu=1.0), ())
    assert known.over() == "8 of 8 GPU h are spent"


def test_before_a_trial_has_ended_nothing_is_known_of_what_one_takes() -> None:
    assert account(cpu_hours=0.001).over([0.0] * 7) is None


def test_trials_at_work_are_charged_for_what_they_have_held() -> None:
    """Four GPUs, 5 GPU hours, and the first trials take longer than anybody thought."""
    known, hour = account(resources=Resources(gpu=1.0), gpu_hours=5), 3600.0
    assert known.over([hour] * 4) is None
    assert known.over([1.25 * hour] * 4) == "5 of 5 GPU h are spent"
    assert known.overrun([1.25 * hour] * 4) is None, "they are let to finish"
    assert known.overrun([1.375 * hour] * 4) == "5.50 of 5 GPU h are spent"
    assert account(gpu_hours=5, resources=Resources()).overrun([1000 * hour]) is None, "they hold no GPU"
    priced = account(resources=QUARTER, cost=2, cost_per_hour=PRICED)  # an hour of a slot costs 2.00
    assert (priced.over([0.9 * hour]), priced.overrun([1.1 * hour])) == (None, "2.20 of 2 in cost are spent")


def test_a_trial_at_work_takes_at_least_what_it_has_taken() -> None:
    known = account(hours(0, 1.0, gpu=1.0), resources=Resources(gpu=1.0), gpu_hours=4)  # 1 h a trial
    assert known.over([1800.0]) is None, "1 + 1 + 1"
    assert known.over([2.5 * 3600]) == "3.50 of 4 GPU h are spent, and a further trial takes about 1"


def test_of_several_limits_the_first_that_is_reached_ends_the_sweep() -> None:
    known = account(hours(0, 1.0, cpu=1.0, gpu=1.0), cost=100, cpu_hours=1.5, cost_per_hour=PRICED)
    assert known.over() == "1 of 1.50 CPU h are spent, and a further trial takes about 1"
    assert account(hours(0, 1.0, gpu=1.0), cost=1, cost_per_hour=PRICED).over() == "5 of 1 in cost are spent"


def test_what_is_left_is_the_least_that_any_limit_leaves() -> None:
    known = account(hours(0, 1.0, cpu=0.0, gpu=1.0), trials=10, cost=20, cost_per_hour=PRICED)
    assert (known.used_share(), known.rest_trials(), known.rest_cost()) == (0.2, 4.0, 16.0)
    assert account(hours(0, 1.0, gpu=1.0), trials=3, gpu_hours=50).rest_trials() == 2
    assert account(trials=3).rest_cost() is None


@pytest.mark.parametrize(
    ("volumes", "ends"),
    [
        pytest.param((0.5, 0.6, 0.6), False, id="only two trials since"),
        pytest.param((0.5, 0.6, 0.6, 0.6), False, id="grown over the last three"),
        pytest.param((0.6, 0.6, 0.6, 0.6), True, id="not grown at all"),
        pytest.param((0.6, 0.6, 0.6, 0.60059), True, id="grown by less"),
        pytest.param((0.6, 0.6, 0.6, 0.6007), False, id="grown by more"),
        pytest.param((0.1, 0.6, 0.6, 0.6, 0.6), True, id="grown before"),
        pytest.param((0.0, 0.0, 0.0, 0.0, 0.0), False, id="nothing found yet"),
    ],
)
def test_a_plateau(volumes: tuple[float, ...], ends: bool) -> None:
    each = [(volume,) for volume in volumes]
    assert (plateau(each, Budget(patience=3)) is not None) == ends
    assert plateau(each, Budget()) is None


def test_a_search_goes_on_as_long_as_any_hypervolume_grows() -> None:
    """Single weights: no MACs go, sparsity does."""
    patient = Budget(patience=2)
    assert plateau([(0.1, 0.5), (0.1, 0.6), (0.1, 0.7)], patient) is None
    assert plateau([(0.0, 0.5), (0.0, 0.5), (0.2, 0.5)], patient) is None
    text = "2 trials brought the hypervolume from 0.5000 to 0.5000, by no more than 0.1 %"
    assert plateau([(0.0, 0.5), (0.0, 0.5), (0.0, 0.5)], patient) == text


def test_a_plateau_is_over_when_a_trial_at_work_brings_more_after_all() -> None:
    known = account(*(hours(n, 0.1) for n in range(4)), volumes=(0.5, 0.6, 0.6, 0.6), patience=2)
    assert known.over() == "2 trials brought the hypervolume from 0.6000 to 0.6000, by no more than 0.1 %"
    known.take(hours(4, 0.1), (0.7,))
    assert known.over() is None


def test_where_nothing_meets_the_constraints_patience_goes_by_all_points() -> None:
    known = account(patience=2)
    for number, of_all in enumerate((0.5, 0.6, 0.6, 0.6)):
        assert known.over() is None
        known.take(hours(number, 0.1), (0.0,), (of_all,))
    assert known.over() == "2 trials brought the hypervolume from 0.6000 to 0.6000, by no more than 0.1 %"
    known.take(hours(4, 0.1), (0.1,), (0.6,))
    assert known.over() is None, "the first that meets them"


def test_what_was_spent_in_words() -> None:
    known = account(hours(0, 0.5, cpu=1.0, gpu=1.0), cost=20, cost_per_hour=PRICED)
    assert known.words() == "0.500 GPU h, cost 2.25 of 20"
    assert account(hours(0, 0.01), resources=Resources()).words() == "0.0100 CPU h"
    assert account(hours(0, 1.0, cpu=2.0), gpu_hours=3, cpu_hours=4).words() == "0.250 of 3 GPU h, 2 of 4 CPU h"
    assert account().words() == ""
    assert spent_words({"trials": 1, "cpu_hours": 1.5, "gpu_hours": 0.0, "cost": None}) == "1.50 CPU h"


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (3, "3"), (1250.4, "1,250"), (3.254, "3.25"), (0.01251, "0.0125"), (12.5, "12.50")]
)
def test_an_amount(value: float, shown: str) -> None:
    assert amount(value) == shown

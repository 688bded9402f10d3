"""The comparison of a few runs, by hand: medians, how soon ours is there, ranks, the table."""

import math

import pytest

from tests.benchmarks.search.comparison import best_alternative, mann_whitney, standings, volume_on_test
from tests.benchmarks.search.contenders import CONTENDERS
from tests.benchmarks.search.kept import Run
from tests.benchmarks.search.over_time import Spread, told_at
from tests.benchmarks.search.page import as_json, headers, lines_of, spread_text, verdicts


def run(contender: str, seed: int, *points: tuple[float, float, float]) -> Run:
    """All points lie on the front, and lose a tenth of their accuracy on the test set."""
    front = tuple((accuracy, removed, 0.9 * accuracy) for _, accuracy, removed in points)
    return Run(contender=contender, seed=seed, points=points, front=front, load_before=0.1)


OURS = [run("sparsweep", seed, (first_s, 0.9, 0.6), (40.0, 0.8, 0.9)) for seed, first_s in enumerate((5.0, 6.0, 9.0))]
OPTUNA = [run("optuna", seed, (50.0, accuracy, 0.5)) for seed, accuracy in enumerate((0.8, 0.9, 1.0))]
RANDOM = [run("random", seed, (50.0, 0.9, 0.1)) for seed in range(3)]
RUNS = {"sparsweep": OURS, "optuna": OPTUNA, "random": RANDOM}
"""Ours has 0.54 early and 0.78 in the end; at the end optuna has 0.40, 0.45, 0.50 and random 0.09."""


def test_a_standing_holds_medians_at_the_times_that_are_told() -> None:
    ours, optuna, _ = standings(RUNS, "sparsweep", 60)
    assert {time_s: spread.middle for time_s, spread in ours.at.items()} == pytest.approx(
        {10: 0.54, 30: 0.54, 60: 0.78}
    )
    assert optuna.at[30] == Spread(low=0, middle=0, high=0)
    assert (optuna.end.low, optuna.end.middle, optuna.end.high) == pytest.approx((0.425, 0.45, 0.475))
    assert (optuna.runs, optuna.points, ours.points) == (3, 1, 2)


def test_ours_is_asked_when_it_had_the_other_ones_median_at_the_end() -> None:
    ours, optuna, _ = standings(RUNS, "sparsweep", 60)
    assert ours.reached_s is None
    assert (optuna.reached_s, optuna.share) == (6, 0.1)


def test_ours_may_never_get_there() -> None:
    ahead = [run("optuna", seed, (50.0, 1.0, 0.99)) for seed in range(3)]
    (_, optuna) = standings({"sparsweep": OURS, "optuna": ahead}, "sparsweep", 60)
    assert optuna.reached_s == math.inf
    ((text, met), *_) = verdicts(standings({"sparsweep": OURS, "optuna": ahead}, "sparsweep", 60), CONTENDERS, 60)
    assert text.startswith("sparsweep never has what the best alternative, optuna, has after 60 s (median 0.9900)")
    assert met is False


def test_volume_on_the_test_set_is_of_the_claimed_front_alone() -> None:
    assert volume_on_test(OPTUNA[2]) == pytest.approx(0.9 * 0.5)
    falls = Run(contender="x", seed=0, points=(), front=((0.9, 0.5, 0.4), (0.5, 0.9, 0.5)), load_before=0)
    assert volume_on_test(falls) == pytest.approx(0.5 * 0.9)


def test_the_best_alternative_has_the_highest_median_and_does_not_run_our_trial() -> None:
    found = standings({**RUNS, "optuna-descent": OURS}, "sparsweep", 60)
    alternatives = [c.name for c in CONTENDERS if c.is_alternative]
    assert "optuna-descent" not in alternatives
    best = best_alternative(found, alternatives)
    assert best is not None
    assert best.name == "optuna"
    assert best_alternative(found[:1], alternatives) is None


def test_the_verdict_names_the_best_alternative_and_the_share_of_the_budget() -> None:
    found = standings({**RUNS, "optuna-descent": RANDOM}, "sparsweep", 60)
    (judged, other) = verdicts(found, CONTENDERS, 60)
    assert judged == (
        "sparsweep has after 6.0 s what the best alternative, optuna, has after 60 s (median 0.4500): "
        "0.100 of the budget, target ≤ 0.1",
        True,
    )
    assert other[1] is None
    assert "our trial under another search, optuna-descent" in other[0]


def test_without_ours_nothing_is_judged() -> None:
    assert verdicts(standings({"optuna": OPTUNA}, "sparsweep", 60), CONTENDERS, 60) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "p_value"),
    [
        ([3, 4, 5], [1, 2], 1 / 10),  # 1 of the 10 ways to deal out five values
        ([6, 7, 8, 9, 10], [1, 2, 3, 4, 5], 1 / 252),
        ([1, 2], [3, 4, 5], 1),
        ([2, 3], [1, 2], 2 / 6),  # U = 3.5; of the six ways two have as much, as the tied 2s are dealt either way
        ([1, 1], [1, 1], 1),
    ],
)
def test_mann_whitney_by_hand(ours: list[float], theirs: list[float], p_value: float) -> None:
    assert mann_whitney(ours, theirs) == pytest.approx(p_value)


def test_one_value_a_side_tells_nothing() -> None:
    assert mann_whitney([2], [1, 1]) is None


def test_mann_whitney_of_many_values_is_approximated() -> None:
    p_value = mann_whitney(list(range(20, 40)), list(range(20)))
    assert p_value is not None
    assert p_value < 1e-6


def test_the_table() -> None:
    found = standings(RUNS, "sparsweep", 60)
    lines = lines_of(found, {"moasha": "no such package"})
    head = headers(told_at(60))
    assert head[:6] == ("contender", "runs", "points", "10 s", "30 s", "60 s (end)")
    assert {len(line) for line in lines} == {len(head)}
    assert lines[0][-4:] == ("", "", "", "")
    assert lines[1][-4:-1] == ("6.0 s", "0.100", "0.0500")
    assert lines[1][5] == "0.4500 (0.4250 to 0.4750)"
    assert lines[3][:3] == ("moasha", "0", "not run")


def test_a_contender_that_missed_one_seed_stands_in_the_table_once() -> None:
    assert [line[0] for line in lines_of(standings(RUNS, "sparsweep", 60), {"optuna": "seed 3: ended with 1"})] == [
        "sparsweep", "optuna", "random",
    ]  # fmt: skip


def test_one_run_has_no_quartiles() -> None:
    assert spread_text(Spread.of([0.5])) == "0.5000"


def test_json_says_never_with_null() -> None:
    ahead = [run("optuna", seed, (50.0, 1.0, 0.99)) for seed in range(3)]
    written = as_json(standings({"sparsweep": OURS, "optuna": ahead}, "sparsweep", 60), {}, {"minutes": 1})
    assert [each["reached_s"] for each in written["contenders"]] == [None, None]
    assert list(written["contenders"][0]["at"]) == ["10", "30", "60"]

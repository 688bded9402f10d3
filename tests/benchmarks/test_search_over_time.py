"""Hypervolume over time, on two curves that can be reckoned by hand."""

import math

import pytest

from tests.benchmarks.search.over_time import Curve, Spread, front_of, spread_at, steps_of, told_at

WIDE, NARROW, DOMINATED = (5.0, 0.9, 0.5), (20.0, 0.5, 0.9), (30.0, 0.4, 0.4)
"""Points (seconds, accuracy, share removed): 0.45 alone; the second adds 0.5 x 0.4; the third nothing."""


def test_a_curve_steps_where_a_point_adds_volume() -> None:
    curve = Curve.of([DOMINATED, NARROW, WIDE], end_s=60)
    assert curve.times_s == (5, 20)
    assert curve.values == pytest.approx((0.45, 0.65))


def test_a_curve_is_zero_before_its_first_point_and_stays_after_its_last() -> None:
    curve = Curve.of([WIDE, NARROW], end_s=60)
    assert [curve.at(s) for s in (4.9, 5, 19.9, 20, 60)] == pytest.approx([0, 0.45, 0.45, 0.65, 0.65])


def test_points_after_the_end_do_not_count() -> None:
    assert Curve.of([WIDE, NARROW], end_s=19).values == pytest.approx((0.45,))


def test_points_of_one_trial_come_at_once() -> None:
    curve = Curve.of([(7.0, 0.9, 0.5), (7.0, 0.5, 0.9)], end_s=60)
    assert curve.times_s == (7,)
    assert curve.values == pytest.approx((0.65,))


def test_when_a_curve_reaches_a_volume() -> None:
    curve = Curve.of([WIDE, NARROW], end_s=60)
    assert [curve.reached_s(v) for v in (0.1, 0.45, 0.6, 0.66)] == [5, 5, 20, math.inf]


def test_nothing_found_is_a_curve_of_zeros() -> None:
    curve = Curve.of([], end_s=60)
    assert (curve.at(60), curve.reached_s(0.1)) == (0, math.inf)


def test_a_point_without_gain_makes_no_step() -> None:
    assert Curve.of([(3.0, 0.98, 0.0), WIDE], end_s=60).times_s == (5,)


def test_the_front() -> None:
    assert front_of([(0.9, 0.5), (0.4, 0.4), (0.5, 0.9)]) == [(0.9, 0.5), (0.5, 0.9)]


@pytest.mark.parametrize(
    ("end_s", "times_s"),
    [(42, [10, 30, 42]), (120, [10, 30, 60, 120]), (6, [6]), (700, [10, 30, 60, 120, 300, 600, 700])],
)
def test_the_times_that_are_told_end_with_the_end(end_s: float, times_s: list[float]) -> None:
    assert told_at(end_s) == times_s


def test_the_spread_of_five_and_of_one() -> None:
    assert Spread.of([0.5, 0.1, 0.4, 0.2, 0.3]) == Spread(low=0.2, middle=0.3, high=0.4)
    assert Spread.of([0.7]) == Spread(low=0.7, middle=0.7, high=0.7)


def test_runs_that_have_found_nothing_yet_count_as_zero() -> None:
    early, late = Curve.of([WIDE], end_s=60), Curve.of([(50.0, 0.9, 0.5)], end_s=60)
    assert spread_at([early, early, late], 10).middle == pytest.approx(0.45)
    assert spread_at([early, late, late], 10).middle == 0


def test_steps_of_several_curves_lie_at_all_their_times_and_at_the_end() -> None:
    steps = steps_of([Curve.of([WIDE], end_s=60), Curve.of([(8.0, 0.9, 0.5)], end_s=60)], 60)
    assert [time_s for time_s, _ in steps] == [5, 8, 60]
    assert [spread.middle for _, spread in steps] == pytest.approx([0.225, 0.45, 0.45])

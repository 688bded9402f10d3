"""Who goes on and who ends, in numbers small enough to check by hand."""

from random import Random
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsweep.search.reach import Reach, out_of_reach
from sparsweep.search.stopping import Came, goes_on, places, rungs_of


@pytest.mark.parametrize(
    ("epochs", "reduction", "first", "rungs"),
    [(20, 3, None, (2, 6, 18)), (10, 3, None, (1, 3, 9)), (27, 3, 1, (1, 3, 9)), (16, 2, None, (4, 8)),
     (1, 3, None, ()), (2, 3, None, (1,)), (20, 3, 20, ()), (20, 4, 5, (5,))],
)  # fmt: skip
def test_rungs_lie_below_the_end(epochs: int, reduction: int, first: int | None, rungs: tuple[int, ...]) -> None:
    assert rungs_of(epochs, reduction=reduction, first=first) == rungs


@pytest.mark.parametrize(
    ("value", "others", "on"),
    [
        (0.1, [], True),  # nobody to compare with
        (0.1, [0.9], True),  # two have come: a third of them is nobody yet
        (0.1, [0.9, 0.8], False),  # one of three goes on
        (0.9, [0.1, 0.8], True),
        (0.8, [0.1, 0.9], False),
        (0.8, [0.1, 0.9, 0.2], True),  # two of four (rounded up)
        (0.9, [0.9, 0.9, 0.9], True),  # equals are all the best
        (0.2, [0.9, 0.9, 0.9], False),
    ],
)
def test_the_best_third_goes_on(value: float, others: list[float], on: bool) -> None:
    assert goes_on((value,), [(other,) for other in others], 3) is on


def test_of_several_objectives_the_first_front_goes_on_from_its_ends() -> None:
    """(.5, .5) is dominated by (.6, .6); of the front its most accurate comes first, then the farthest from that."""
    rows = [(0.9, 0.1), (0.1, 0.9), (0.6, 0.6), (0.5, 0.5)]
    assert places(rows) == [0, 1, 2, 3]
    assert goes_on((0.6, 0.6), [(0.9, 0.1), (0.5, 0.5), (0.4, 0.4)], 2)
    assert not goes_on((0.5, 0.5), [(0.9, 0.1), (0.6, 0.6), (0.4, 0.4)], 2)
    assert not goes_on((0.6, 0.6), [(0.9, 0.1), (0.1, 0.9), (0.5, 0.5)], 2), "crowded out by the front's two ends"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_places_are_a_permutation_in_which_nobody_stands_before_who_dominates_him(rows: list[tuple[float, float]]
                                                                                 ) -> None:  # fmt: skip
    found = places(rows)
    assert sorted(found) == list(range(len(rows)))
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            if all(x > y for x, y in zip(a, b, strict=True)):
                assert found[i] < found[j]


def test_whether_one_goes_on_is_decided_as_by_the_places_of_all() -> None:
    chance = Random(0)
    rows = [(chance.random(), chance.random(), round(chance.random(), 1)) for _ in range(60)]
    for count in range(3, 60):
        expected = places(rows[:count])[-1] < -(-count // 3)
        assert goes_on(rows[count - 1], rows[: count - 1], 3) is expected


def test_of_equals_all_are_the_best_with_several_values_too() -> None:
    """Trials from which nothing has been removed yet: alike in every objective."""
    assert all(goes_on((0.1, 0.0), [(0.1, 0.0)] * came, 3) for came in range(12))
    assert goes_on((0.9, 0.1), [(0.9, 0.1), (0.1, 0.9), (0.5, 0.5), (0.4, 0.4)], 3)
    assert not goes_on((0.4, 0.4), [(0.9, 0.1), (0.1, 0.9), (0.5, 0.5), (0.4, 0.4)], 3)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=40))
def test_whoever_comes_again_counts_once_and_is_judged_among_the_others(came: list[tuple[int, int]]) -> None:
    rung, known = Came(), dict[int, tuple[float, ...]]()
    for trial, value in came:
        known.pop(trial, None)
        rung.forget(trial)
        assert rung.goes_on((float(value),), 3) is goes_on((float(value),), list(known.values()), 3)
        known[trial] = (float(value),)
        rung.take(trial, (float(value),))
    assert rung.values == known


def test_thousands_of_trials_at_a_rung_are_judged_in_a_moment() -> None:
    chance = Random(0)
    others = [(chance.random(), chance.random(), chance.random()) for _ in range(10_000)]
    began = process_time()
    assert not goes_on((0.2, 0.2, 0.2), others, 3)
    assert process_time() - began < 1


def test_the_front_in_reach() -> None:
    """(.5 removed, .9) and (.8, .7) are the front; (.4, .8) is below it."""
    reach = Reach()
    reach.take([(0.5, 0.9), (0.4, 0.8), (0.8, 0.7)])
    assert (reach.removed, reach.accuracy) == ([0.5, 0.8], [0.9, 0.7])
    assert reach.gap(0.3, 0.8) == pytest.approx(0.1)
    assert reach.gap(0.5, 0.9) == 0
    assert reach.gap(0.6, 0.5) == pytest.approx(0.2)
    assert reach.gap(0.9, 0.1) == pytest.approx(-0.1), "nobody has removed so much"


def test_how_far_a_curve_came_back() -> None:
    """Gaps .1, .3, .05: from the first .05 closed again, from the second .25."""
    reach = Reach()
    reach.take([(0.9, 0.9)])
    assert reach.comebacks([(0.2, 0.8), (0.4, 0.6), (0.6, 0.85)]) == pytest.approx([0.05, 0.25])


def test_a_descent_ends_where_it_has_fallen_farther_than_curves_come_back() -> None:
    reach = Reach()
    reach.take([(0.9, 0.9)])
    curves = [[(0.2, 0.8), (0.4, 0.7), (0.6, 0.8)]] * 4
    assert not out_of_reach(reach, (0.5, 0.81), curves), "a gap of .09, and .1 has closed before"
    assert out_of_reach(reach, (0.5, 0.7), curves), "a gap of .2"
    assert not out_of_reach(reach, (0.95, 0.1), curves), "beyond the front there is no gap"
    assert not out_of_reach(reach, (0.5, 0.1), curves[:1]), "one curve tells too little"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=30))
def test_the_front_is_the_same_whatever_the_order(points: list[tuple[float, float]]) -> None:
    at_once, one_by_one = Reach(), Reach()
    at_once.take(points)
    for point in reversed(points):
        one_by_one.take([point])
    assert (at_once.removed, at_once.accuracy) == (one_by_one.removed, one_by_one.accuracy)
    assert all(at_once.gap(*point) >= 0 for point in points)

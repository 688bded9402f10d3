"""The knee of a frontier and its other landmarks."""

import math

import pytest
from hypothesis import given, settings

from sparsweep.search.frontier import frontier_of
from sparsweep.search.knee import aliases, bulges, knee
from tests.search.points import THREE, TWO, cloud, clouds, make_point


def test_bulges_are_distances_to_the_line_between_the_ends() -> None:
    # scaled: (1, 0), (0.8, 0.9), (0, 1); the middle lies (0.8 + 0.9 - 1)/√2 beyond the line
    assert bulges([(0.9, 0.4), (0.86, 0.85), (0.7, 0.9)]) == pytest.approx([0, 0.7 / math.sqrt(2), 0])
    assert bulges([]) == []
    assert bulges([(1.0, 2.0), (1.0, 2.0)]) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([(0.95, 0.4), (0.94, 0.9), (0.5, 0.95)], 1, id="the corner"),
        pytest.param([(0.9, 0.5)], 0, id="one point is its own knee"),
        pytest.param([(0.5, 0.9), (0.9, 0.5)], 1, id="of two the more accurate"),
        pytest.param([(0.5, 0.9), (0.7, 0.7), (0.9, 0.5)], 2, id="a straight front: the most accurate"),
        pytest.param([(0.9, 0.5), (0.6, 0.6), (0.5, 0.9)], 0, id="a hollow front: the most accurate end"),
        pytest.param([(0.4, 0.9), (0.8, 0.8), (0.7, 0.9), (0.9, 0.4)], 1, id="as far out: the more accurate"),
        pytest.param([(0.9, 0.5), (0.9, 0.5)], 0, id="all equal: the first"),
    ],
)
def test_knee_of_two_objectives(rows: list[tuple[float, float]], expected: int) -> None:
    found = knee(cloud([(accuracy, sparsity, None) for accuracy, sparsity in rows]), TWO)
    assert found is not None
    assert found.trial == expected


def test_no_knee_without_points() -> None:
    assert knee([], TWO) is None


def test_knee_of_three_objectives_where_one_point_is_best_in_two() -> None:
    # trial 1 is best in sparsity and in speedup: the plane through the best points would be singular
    points = cloud([(1.0, 0.1, 1.0), (0.5, 0.9, 5.0), (0.95, 0.8, 4.0)])
    found = knee(points, THREE)
    assert found is not None
    assert found.trial == 2


def test_an_axis_without_spread_does_not_move_the_knee() -> None:
    points = cloud([(0.95, 0.4, None), (0.94, 0.9, None), (0.5, 0.95, None)])
    assert knee(points, THREE) == knee(points, TWO)


def test_knee_of_a_minimised_objective() -> None:
    points = [make_point(trial, accuracy=a, sparsity=s) for trial, (a, s) in enumerate([(0.9, 0.1), (0.89, 0.8)])]
    points.append(make_point(2, accuracy=0.4, sparsity=0.9))
    found = knee(points, {"accuracy": "max", "size_bytes": "min"})
    assert found is not None
    assert found.trial == 1


@settings(deadline=None)
@given(clouds)
def test_the_knee_is_on_the_frontier_whatever_the_order(rows: list[tuple[float, float, float | None]]) -> None:
    front = frontier_of(cloud(rows), THREE)
    assert knee(front, THREE) == knee(front[::-1], THREE)
    assert aliases(front, THREE) == aliases(front[::-1], THREE)
    assert not front or knee(front, THREE) in front


def test_aliases_name_the_best_points() -> None:
    points = cloud([(0.95, 0.4, 1.2), (0.94, 0.9, 3.0), (0.5, 0.95, 2.0), (0.3, 0.4, None)])
    named = aliases(points, THREE)
    assert {alias: point.trial for alias, point in named.items()} == {
        "most-accurate": 0, "sparsest": 2, "fastest": 1, "knee": 1,
    }  # fmt: skip


def test_nothing_is_fastest_where_nothing_was_timed() -> None:
    assert set(aliases(cloud([(0.9, 0.5, None)]), THREE)) == {"most-accurate", "sparsest", "knee"}
    assert aliases([], THREE) == {}


def test_ties_of_an_alias_go_to_the_other_objectives_then_to_the_first() -> None:
    points = cloud([(0.9, 0.5, None), (0.9, 0.6, None), (0.9, 0.6, None)])
    assert {point.trial for point in aliases(points, TWO).values()} == {1}

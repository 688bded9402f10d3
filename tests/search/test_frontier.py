"""The frontier and its hypervolume, in numbers small enough to check."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise, product
from typing import get_type_hints

import pytest
from hypothesis import given, settings

from sparsweep.search.figures import Objectives
from sparsweep.search.frontier import Frontier, dense_figures, feasible, frontier_of, hypervolume, reference_of
from sparsweep.spaces.constraint import Constraint
from sparsweep.trainables.point import Point
from tests.search.points import THREE, TWO, cloud, clouds, make_latency, make_point, trials

AT_LEAST_HALF = Constraint(figure="accuracy", op=">=", bound=0.5)


def test_a_dominated_point_is_left_out_and_the_rest_falls_in_accuracy() -> None:
    points = cloud([(0.5, 0.9, None), (0.9, 0.5, None), (0.4, 0.8, None)])
    assert trials(frontier_of(points, TWO)) == [1, 0]


def test_one_point_is_the_frontier_and_none_is_empty() -> None:
    assert trials(frontier_of(cloud([(0.9, 0.5, None)]), THREE)) == [0]
    assert frontier_of([], THREE) == ()


def test_one_objective_leaves_its_best_point() -> None:
    assert trials(frontier_of(cloud([(0.5, 0.9, None), (0.9, 0.5, None)]), {"accuracy": "max"})) == [1]


def test_of_equal_points_the_first_by_trial_and_cut_stays() -> None:
    points = [make_point(2, "01"), make_point(1, "05"), make_point(1, "03")]
    assert [point.id for point in frontier_of(points, TWO)] == ["00001/03"]


def test_a_tie_in_one_objective_is_decided_by_the_other() -> None:
    points = cloud([(0.9, 0.5, None), (0.9, 0.6, None)])
    assert trials(frontier_of(points, TWO)) == [1]


def test_a_point_equal_but_for_a_figure_that_is_no_objective_is_a_duplicate() -> None:
    points = [make_point(0, sparsity=0.5, macs_removed=0.1), make_point(1, sparsity=0.5, macs_removed=0.9)]
    assert trials(frontier_of(points, TWO)) == [0]


def test_an_untimed_point_counts_as_speedup_one() -> None:
    slow, untimed, fast = cloud([(0.9, 0.5, 0.8), (0.9, 0.5, None), (0.8, 0.5, 3.0)])
    assert trials(frontier_of([slow, untimed, fast], THREE)) == [1, 2]
    assert untimed.speedup is None


def test_an_untimed_point_counts_as_the_dense_latency() -> None:
    objectives: Objectives = {"accuracy": "max", "latency_ms": "min"}
    points = cloud([(0.9, 0.5, None), (0.8, 0.5, 2.0), (0.85, 0.6, None)])
    assert trials(frontier_of(points, objectives)) == [0, 1]
    # reference: accuracy 0 and 10 ms dense; trial 1 takes 5 ms: 0.8 x (10 - 5); trial 0 adds nothing
    reference = reference_of(objectives, dense_figures(points))
    assert reference == {"accuracy": 0.0, "latency_ms": 10.0}
    assert hypervolume(points, objectives, reference) == pytest.approx(4.0)


def test_where_nothing_was_timed_latency_decides_nothing() -> None:
    objectives: Objectives = {"accuracy": "max", "latency_ms": "min"}
    points = cloud([(0.9, 0.5, None), (0.8, 0.9, None)])
    assert trials(frontier_of(points, objectives)) == [0]
    assert hypervolume(points, objectives, reference_of(objectives, dense_figures(points))) == 0.0


def test_constraints_come_before_dominance() -> None:
    points = cloud([(0.4, 0.9, None), (0.5, 0.6, None), (0.9, 0.5, None)])
    assert trials(feasible(points, [AT_LEAST_HALF])) == [1, 2]
    assert trials(frontier_of(points, TWO, [AT_LEAST_HALF])) == [2, 1]
    assert feasible(points, []) == tuple(points)


def test_an_untimed_point_does_not_satisfy_a_wish_for_speed() -> None:
    points = cloud([(0.9, 0.5, None), (0.8, 0.5, 2.0)])
    assert trials(feasible(points, [Constraint(figure="speedup", op=">=", bound=1.5)])) == [1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_refused(bad: float) -> None:
    point = make_point()
    object.__setattr__(point, "accuracy", bad)
    with pytest.raises(ValueError, match=r"accuracy = .* every figure must be finite"):
        frontier_of([point], TWO)
    with pytest.raises(ValueError, match="every figure must be finite"):
        hypervolume([point], TWO, {"accuracy": 0.0, "sparsity": 0.0})


def test_an_objective_that_no_point_has_is_named() -> None:
    with pytest.raises(ValueError, match=r"objective 'speed' is no figure of network 0; it has .*'speedup'"):
        frontier_of([make_point()], {"accuracy": "max", "speed": "max"})


def test_the_reference_is_the_dense_network_at_accuracy_zero() -> None:
    objectives: Objectives = {
        "accuracy": "max", "sparsity": "max", "speedup": "max", "macs_removed": "max",
        "macs": "min", "macs_ideal": "min", "size_bytes": "min", "weights_left": "min", "latency_ms": "min",
    }  # fmt: skip
    points = [make_point(cut="dense", sparsity=0.0, accuracy=0.95), make_point(sparsity=0.8, speedup=2.0)]
    assert reference_of(objectives, dense_figures(points)) == {
        "accuracy": 0.0, "sparsity": 0.0, "speedup": 1.0, "macs_removed": 0.0,
        "macs": 1000.0, "macs_ideal": 1000.0, "size_bytes": 4000.0, "weights_left": 1000.0, "latency_ms": 10.0,
    }  # fmt: skip
    assert dense_figures(points)["accuracy"] == 0.95
    assert dense_figures([make_point(sparsity=0.8)])["weights_left"] == 1000.0
    assert "weights_left" not in dense_figures([make_point(sparsity=1.0)])
    assert reference_of({"macs": "min"}, dense_figures([])) == {"macs": 0.0}


def test_hypervolume_of_two_squares_less_what_they_share() -> None:
    points = cloud([(0.5, 0.9, None), (0.9, 0.5, None)])
    # 0.5 x 0.9 + 0.9 x 0.5 - 0.5 x 0.5
    assert hypervolume(points, TWO, {"accuracy": 0.0, "sparsity": 0.0}) == pytest.approx(0.65)


def test_hypervolume_of_three_objectives() -> None:
    # (speedup - 1) x accuracy x sparsity: 2 x 0.5 x 0.5, and 1 x 1.0 x 0.2 less the shared 1 x 0.5 x 0.2
    points = cloud([(0.5, 0.5, 3.0), (1.0, 0.2, 2.0), (0.9, 0.9, None)])
    reference = reference_of(THREE, dense_figures(points))
    assert hypervolume(points, THREE, reference) == pytest.approx(0.5 + 0.2 - 0.1)


def test_hypervolume_of_a_minimised_objective() -> None:
    # 1000 dense MACs, 400 left: (1000 - 400) x 0.9
    objectives: Objectives = {"accuracy": "max", "macs": "min"}
    points = [make_point(sparsity=0.6, accuracy=0.9)]
    reference = reference_of(objectives, dense_figures(points))
    assert hypervolume(points, objectives, reference) == pytest.approx(540.0)


def test_points_at_or_beyond_the_reference_add_nothing() -> None:
    points = cloud([(0.9, 0.0, None), (0.0, 0.9, None), (0.3, 0.3, None)])
    assert hypervolume(points, TWO, {"accuracy": 0.0, "sparsity": 0.0}) == pytest.approx(0.09)
    assert hypervolume(points, TWO, {"accuracy": 0.5, "sparsity": 0.0}) == pytest.approx(0.0)
    assert hypervolume([], TWO, {"accuracy": 0.0, "sparsity": 0.0}) == 0.0


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def brute_volume(rows: Sequence[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    """Adds the cells of the grid through all coordinates that some row covers."""
    edges = [sorted({low, *(max(row[at], low) for row in rows)}) for at, low in enumerate(reference)]
    steps = [list(pairwise(axis)) for axis in edges]
    return sum(
        math.prod(high - low for low, high in cell)
        for cell in product(*steps)
        if any(all(row[at] >= cell[at][1] for at in range(len(cell))) for row in rows)
    )


@settings(deadline=None)
@given(clouds)
def test_the_frontier_agrees_with_brute_force(rows: list[tuple[float, float, float | None]]) -> None:
    points = cloud(rows)
    counted = [(accuracy, sparsity, speedup or 1.0) for accuracy, sparsity, speedup in rows]
    kept = {
        trial
        for trial, row in enumerate(counted)
        if not any(dominates(other, row) for other in counted) and row not in counted[:trial]
    }
    front = frontier_of(points, THREE)
    assert set(trials(front)) == kept
    assert [point.accuracy for point in front] == sorted((point.accuracy for point in front), reverse=True)


@settings(deadline=None)
@given(clouds)
def test_the_hypervolume_agrees_with_brute_force(rows: list[tuple[float, float, float | None]]) -> None:
    points = cloud(rows)
    counted = [(accuracy, sparsity, speedup or 1.0) for accuracy, sparsity, speedup in rows]
    reference = {"accuracy": 0.0, "sparsity": 0.0, "speedup": 1.0}
    assert hypervolume(points, THREE, reference) == pytest.approx(brute_volume(counted, (0.0, 0.0, 1.0)))
    flat = [row[:2] for row in counted]
    assert hypervolume(points, TWO, reference) == pytest.approx(brute_volume(flat, (0.0, 0.0)))
    assert hypervolume(frontier_of(points, THREE), THREE, reference) == pytest.approx(
        hypervolume(points, THREE, reference)
    )


def test_the_frontier_as_json() -> None:
    points = cloud([(0.4, 0.95, None), (0.5, 0.9, 2.0), (0.9, 0.5, None), (0.45, 0.8, None)])
    data = json.loads(json.dumps(Frontier.of("digits", points, THREE, [AT_LEAST_HALF]).as_json()))
    assert list(data)[:5] == ["sweep", "objectives", "reference", "hypervolume", "points"]
    assert data["sweep"] == "digits"
    assert data["reference"] == {"accuracy": 0.0, "sparsity": 0.0, "speedup": 1.0}
    assert data["hypervolume"] == pytest.approx(0.5 * 0.9 * (2 - 1))
    assert data["constraints"] == ["accuracy >= 0.5"]
    assert list(data["points"][0])[:17] == [
        "trial", "method", "threshold", "accuracy", "test_accuracy", "sparsity", "layer_sparsity", "weights_left",
        "macs", "macs_ideal", "dense_macs", "size_bytes", "latency_ms", "dense_latency_ms", "speedup", "setting",
        "model_version",
    ]  # fmt: skip
    untimed, timed = data["points"]
    assert (untimed["trial"], untimed["speedup"], untimed["latency_ms"], untimed["latency"]) == (2, None, None, [])
    assert (timed["trial"], timed["speedup"], timed["latency_ms"], timed["dense_latency_ms"]) == (1, 2.0, 5.0, 10.0)
    assert timed["latency"][0]["batch"] == 32
    assert data["hypervolume_macs"] == {
        "value": pytest.approx(0.9 * 0.5 + 0.5 * 0.4 + 0.4 * 0.05),
        "objectives": {"accuracy": "max", "macs_removed": "max"},
        "reference": {"accuracy": 0.0, "macs_removed": 0.0},
    }


def test_a_sweep_without_points_has_an_empty_frontier() -> None:
    data = Frontier.of("digits", [], THREE).as_json()
    assert (data["points"], data["hypervolume"], data["hypervolume_macs"]["value"]) == ([], 0.0, 0.0)


def test_the_speedup_shown_is_that_of_the_largest_batch() -> None:
    point = make_point(latency=(make_latency(2.0, batch=1), make_latency(3.0, batch=32)))
    (row,) = Frontier.of("digits", [point], THREE).as_json()["points"]
    assert row["speedup"] == 3.0
    assert [record["speedup"] for record in row["latency"]] == [2.0, 3.0]


def test_every_number_of_a_point_is_one_of_its_figures() -> None:
    numbers = {name for name, kind in get_type_hints(Point).items() if kind in (int, float, float | None)}
    point = make_point(0, accuracy=0.9, sparsity=0.5).with_(expected_time_removed=0.25, test_accuracy=0.75)
    assert set(point.figures()) == numbers | {"macs_removed", "size_removed"}
    assert (point.figures()["expected_time_removed"], point.figures()["test_accuracy"]) == (0.25, 0.75)
    untested = point.with_(expected_time_removed=None, test_accuracy=None).figures()
    assert set(untested) == set(point.figures()) - {"expected_time_removed", "test_accuracy"}

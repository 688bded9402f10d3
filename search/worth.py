"""What points and settings are worth to the search: under the constraints that can be judged before its end. Pure."""

from collections.abc import Sequence
from statistics import fmean

from sparsweep.search.curve import curve_value
from sparsweep.spaces.constraint import Constraint
from sparsweep.trainables.point import Point, by_training

SEARCHABLE = frozenset(
    {"accuracy", "sparsity", "layer_sparsity", "weights_left", "macs", "macs_ideal", "size_bytes", "macs_removed",
     "size_removed"}
)  # fmt: skip
"""Figures that every point has while the search runs; others are measured at the end."""


def searched_rules(constraints: Sequence[Constraint]) -> list[Constraint]:
    """The constraints that can be judged before the end."""
    return [rule for rule in constraints if rule.figure in SEARCHABLE]


def searched_points(points: Sequence[Point], constraints: Sequence[Constraint]) -> list[Point]:
    """The points that meet every constraint that can be judged before the end."""
    rules = searched_rules(constraints)
    return [point for point in points if all(rule.holds(point.figures()) for rule in rules)]


def setting_value(points: Sequence[Point], axes: Sequence[str], constraints: Sequence[Constraint]) -> float:
    """What a trial's setting is worth: the mean over its trainings of what their curves are.

    Args:
        points: of one training or more; those of a first look say nothing of the setting.
    """
    return fmean(curve_value(searched_points(curve, constraints), axes) for curve in by_training(points))


def curve_violations(points: Sequence[Point], constraints: Sequence[Constraint]) -> dict[str, float]:
    """Per constraint how far the curve's point misses it that comes nearest to meeting all; 0 where one meets all.

    Curves without such a point are all worth 0: by this the sampler knows which of them is nearer to one.
    """
    rules, trained = searched_rules(constraints), (point for curve in by_training(points) for point in curve)
    missed = [{str(rule): rule.violation(point.figures()) for rule in rules} for point in trained]
    scales = {str(rule): abs(rule.bound) or 1.0 for rule in rules}
    return min(missed, key=lambda each: sum(each[name] / scales[name] for name in each), default={})

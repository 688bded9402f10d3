"""How near two settings of a space are: the distance by which recorded trials answer for settings nobody has tried."""

import math
from collections.abc import Mapping

from sparsweep.spaces.space import Choice, Float, Int, Space, Value

Place = Mapping[str, float | Value]
"""By label a number's share of its range, or what was chosen."""


def place_of(space: Space, row: Mapping[str, Value]) -> Place:
    """Where a row lies in its space."""
    ranges = {knob.label: knob.range for knob in space.knobs}
    return {label: _share(value, ranges[label]) for label, value in space.labels_of(row).items()}


def _share(value: Value, allowed: Float | Int | Choice) -> float | Value:
    if isinstance(allowed, Choice) or isinstance(value, str | bool):
        return value if isinstance(value, str) else str(value)
    if isinstance(allowed, Float) and allowed.or_zero and value == 0:
        return "zero"
    if allowed.high == allowed.low:
        return 0.0
    if allowed.log:
        return math.log(value / allowed.low) / math.log(allowed.high / allowed.low)
    return (value - allowed.low) / (allowed.high - allowed.low)


def distance(one: Place, other: Place) -> float:
    """Squared, in shares of the ranges; another choice is a whole range away.

    >>> distance({"a": 0.5, "form": "x"}, {"a": 0.0, "form": "y"})
    1.25
    """
    total = 0.0
    for label in one.keys() | other.keys():
        a, b = one.get(label, ""), other.get(label, "")
        numbers = isinstance(a, float) and isinstance(b, float)
        total += (a - b) ** 2 if numbers else float(a != b)  # type: ignore[operator]
    return total

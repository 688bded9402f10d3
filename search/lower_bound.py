"""What a frontier comes to if luck is left out: every point at the bound of its mean over seeds."""

import math
from collections.abc import Sequence

from sparsweep.trainables.point import Point
from sparsweep.trainables.spread import FIGURES


def at_bound(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points whose bound is known, each with the bounds in place of its own figures.

    A figure's bound is what its mean over seeds is with 95 % confidence no worse than (`Spread.bound`). Speedups and
    latencies stay the network's own: they depend on its shapes alone, and only its own were timed.
    """
    return tuple(_bounded(point) for point in points if point.spread and point.spread.bound("accuracy") is not None)


def _bounded(point: Point) -> Point:
    assert point.spread is not None
    most = {"macs": point.dense_macs, "macs_ideal": point.dense_macs, "size_bytes": point.dense_size_bytes}
    found: dict[str, float | int] = {}
    for name in FIGURES:
        bound = point.spread.bound(name)
        assert bound is not None
        own = getattr(point, name)
        found[name] = min(math.ceil(bound), most.get(name, math.ceil(bound))) if isinstance(own, int) else bound
    return point.with_(**found)

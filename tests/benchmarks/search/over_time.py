"""Hypervolume against time. Pure."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Self

from sparsweep.search.dominance import non_dominated, volume

REFERENCE = (0.0, 0.0)
STEPS_S = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800)
"""Times at which hypervolumes are told, as far as a run goes."""

Found = tuple[float, float, float]
"""A finished point: seconds since the prompt, accuracy, share removed."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The hypervolume of one run: from each of `times_s` on it is the value beside it, before the first one 0."""

    times_s: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, points: Iterable[Found], end_s: float) -> Self:
        """Of the points that were finished by `end_s`, reference 0, 0; in any order."""
        times: list[float] = []
        values: list[float] = []
        front: list[tuple[float, float]] = []
        for at_s, *both in sorted(point for point in points if point[0] <= end_s):
            front = front_of([*front, (both[0], both[1])])
            now = volume(front, REFERENCE)
            if now <= (values[-1] if values else 0.0):
                continue
            if times and times[-1] == at_s:
                values[-1] = now
            else:
                times.append(at_s)
                values.append(now)
        return cls(times_s=tuple(times), values=tuple(values))

    def at(self, time_s: float) -> float:
        place = bisect_right(self.times_s, time_s)
        return self.values[place - 1] if place else 0.0

    def reached_s(self, target: float) -> float:
        """When it first was at least so much; infinite where it never was."""
        return next((t for t, v in zip(self.times_s, self.values, strict=True) if v >= target), math.inf)


def front_of(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other dominates."""
    return [point for point, on in zip(points, non_dominated(points), strict=True) if on]


def told_at(end_s: float) -> list[float]:
    """The times at which hypervolumes are told: STEPS_S before the end, and the end.

    >>> told_at(120)
    [10, 30, 60, 120]
    """
    return [*(step for step in STEPS_S if step < end_s), end_s]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median and quartiles over seeds."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """One value is its own median and quartiles."""
        if len(values) == 1:
            return cls(low=values[0], middle=values[0], high=values[0])
        low, middle, high = quantiles(values, n=4, method="inclusive")
        return cls(low=low, middle=middle, high=high)


def spread_at(curves: Sequence[Curve], time_s: float) -> Spread:
    """Over the runs of one contender."""
    return Spread.of([curve.at(time_s) for curve in curves])


def steps_of(curves: Sequence[Curve], end_s: float) -> list[tuple[float, Spread]]:
    """Every time at which one of the curves steps, with the spread from then on; and the end."""
    times = sorted({time_s for curve in curves for time_s in curve.times_s} | {end_s})
    return [(time_s, spread_at(curves, time_s)) for time_s in times]

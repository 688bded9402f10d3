"""Which descents end early: those that can add next to nothing to the sweep's front any more. Pure.

A descent that has fallen far behind the front adds nothing: so far curves do not come back. One that goes along with it
adds little where it has not far to go: on LeNet-300-100 most of a late descent is such an end, half of a trial's time.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

FULL_CURVES = 2
"""So many descents to the end are known before one is cut short: they say how far a curve comes back."""
COMES_BACK = 0.95
"""Share of what was seen of gaps that closed again which a descent is given."""

LEAST_GAIN = 1e-4
"""Hypervolume of accuracy x share removed for which a descent is gone on with."""

Curve = Sequence[tuple[float, float]]
"""(share removed, accuracy) of one cut after the other."""


@dataclass(kw_only=True)
class Reach:
    """The best accuracy at every share removed, over all trials, and how far curves fall behind it and come back."""

    removed: list[float] = field(default_factory=list)
    """Of the front, ascending."""
    accuracy: list[float] = field(default_factory=list)
    """Of the front, descending."""
    changes: int = 0
    """How often the front has become another one."""

    def take(self, curve: Curve) -> None:
        """Puts a trial's points among the rest."""
        if all(self._covers(*point) for point in curve):
            return
        self.changes += 1
        rows = sorted({*zip(self.removed, self.accuracy, strict=True), *curve}, key=lambda p: (-p[0], -p[1]))
        self.removed, self.accuracy = [], []
        for share, score in rows:
            if not self.accuracy or score > self.accuracy[-1]:
                self.removed.append(share)
                self.accuracy.append(score)
        self.removed.reverse()
        self.accuracy.reverse()

    def _covers(self, share: float, score: float) -> bool:
        """Whether the front is as accurate where at least as much is removed."""
        at = bisect_left(self.removed, share)
        return at < len(self.accuracy) and self.accuracy[at] >= score

    def gap(self, share: float, score: float) -> float:
        """How much more accurate the front is where at least as much is removed; below 0 for what would be on it."""
        at = bisect_left(self.removed, share)
        return (self.accuracy[at] if at < len(self.accuracy) else 0.0) - score

    def most_to_gain(self, share: float, score: float, slack: float) -> float:
        """What the rest of a descent may add to the hypervolume, if it comes back by so much and then goes along with
        the front to its end. Infinity where nobody has removed as much, and where it may come back from anywhere.

        A network that is more accurate than those that are denser counts in their place too.

        >>> reach = Reach(removed=[0.4, 0.5, 0.9], accuracy=[0.95, 0.9, 0.8])
        >>> round(reach.most_to_gain(0.5, 0.89, 0.03), 6), reach.most_to_gain(0.5, 0.8, 0.03)
        (0.01, 0.0)
        >>> reach.most_to_gain(0.9, 0.1, 0.03)
        inf
        """
        if math.isinf(slack) or not self.removed or share >= self.removed[-1]:
            return math.inf
        reached, ahead = score + slack, slack - self.gap(share, score)
        if ahead <= 0:
            return 0.0
        denser, area = 0.0, ahead * (self.removed[-1] - share)
        for end, best in zip(self.removed, self.accuracy, strict=True):
            area += max(reached - best, 0.0) * max(min(end, share) - denser, 0.0)
            denser = end
        return area

    def comebacks(self, curve: Curve) -> list[float]:
        """Of each cut but the last, by how much the gap was smaller at a later cut; below 0 where it only grew."""
        gaps = [self.gap(*point) for point in curve]
        return [gap - min(gaps[at + 1 :]) for at, gap in enumerate(gaps[:-1])]


def out_of_reach(reach: Reach, point: tuple[float, float], finished: Iterable[Curve]) -> bool:
    """Whether next to nothing is to be expected of a descent's further cuts.

    Args:
        point: its newest cut.
        finished: curves that went to their end.
    """
    slack = slack_of([reach.comebacks(curve) for curve in finished if len(curve) > 1])
    return reach.most_to_gain(*point, slack) < LEAST_GAIN


def slack_of(comebacks: Sequence[Sequence[float]]) -> float:
    """How far behind a descent may fall, by the comebacks of curves that went to their end; of too few: infinity."""
    if len(comebacks) < FULL_CURVES:
        return math.inf
    seen = sorted(max(0.0, back) for curve in comebacks for back in curve)
    return seen[min(len(seen) - 1, math.ceil(COMES_BACK * len(seen)))]

"""Which trials end early: asynchronous successive halving that judges a trial by its curve. Pure decisions.

Sparsity comes late in training, so a rung does not ask how sparse a network is now but what a descent from here would
give (`Trial.probe`: a few cuts, not fine-tuned). On the digits its hypervolume ranks trials after a tenth of their
epochs nearly as their whole curves do at the end. A trial goes on while it is among the best 1 / `reduction` of those
that came to its rung so far (Li et al. 2020, arXiv:1810.05934, algorithm 2, stopping variant). Where a trial gives one
point (`descent: none`), trials are ranked by non-dominated fronts and within one by an epsilon-net, as in MOASHA
(Schmucker et al. 2021, arXiv:2106.12639).

A descent ends when it has fallen so far behind the front of the sweep that curves like it have not come back.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

FULL_CURVES = 4
"""So many descents to the end are known before one is cut short: they say how far a curve comes back."""
COMES_BACK = 0.95
"""Share of what was seen of gaps that closed again which a descent is given."""

Values = tuple[float, ...]
"""What a rung knows of a trial: its probe's hypervolume, or one value per objective; all larger is better."""


def rungs_of(epochs: int, *, reduction: int = 3, first: int | None = None) -> tuple[int, ...]:
    """After how many epochs of training a trial is judged.

    Args:
        first: of the lowest rung; a ninth of the epochs (for a reduction of 3) unless given, and at least 1.

    >>> rungs_of(20), rungs_of(10), rungs_of(81, first=1), rungs_of(1)
    ((2, 6, 18), (1, 3, 9), (1, 3, 9, 27), ())
    """
    at = first or max(1, epochs // reduction**2)
    found = []
    while at < epochs:
        found.append(at)
        at *= reduction
    return tuple(found)


def goes_on(values: Values, others: Sequence[Values], reduction: int) -> bool:
    """Whether a trial that comes to a rung is among the best 1 / reduction of all that came, itself included.

    Nobody is stopped before `reduction` trials have come. Of equals all are taken for the best.

    >>> goes_on((0.5,), [(0.9,), (0.8,)], 3), goes_on((0.9,), [(0.5,), (0.9,)], 3), goes_on((0.1,), [(0.9,)], 3)
    (False, True, True)
    """
    came = len(others) + 1
    if came < reduction:
        return True
    if len(values) == 1:
        return sum(other > values for other in others) < math.ceil(came / reduction)
    return _place_of_last([*others, values]) < math.ceil(came / reduction)


def places(rows: Sequence[Values]) -> list[int]:
    """The place of each row, 0 the best: by non-dominated front, within a front by its epsilon-net.

    The net takes first the row that is best in the first objective, then always the one farthest from those taken, each
    objective scaled to its range.

    >>> places([(0.9, 0.1), (0.1, 0.9), (0.6, 0.6), (0.5, 0.5)])
    [0, 1, 2, 3]
    """
    ranks, scaled = _ranks(rows), _scaled(rows)
    order = [i for rank in sorted(set(ranks)) for i in _net([i for i, own in enumerate(ranks) if own == rank], scaled)]
    found = [0] * len(rows)
    for place, i in enumerate(order):
        found[i] = place
    return found


def _place_of_last(rows: Sequence[Values]) -> int:
    """`places(rows)[-1]`, without putting the other fronts in order."""
    ranks = _ranks(rows)
    own = [i for i, rank in enumerate(ranks) if rank == ranks[-1]]
    return sum(rank < ranks[-1] for rank in ranks) + _net(own, _scaled(rows)).index(len(rows) - 1)


def _ranks(rows: Sequence[Values]) -> list[int]:
    """The number of the front that each row is on, 0 the first."""
    import moocore

    return [int(rank) for rank in moocore.pareto_rank(rows, maximise=True)]


def _scaled(rows: Sequence[Values]) -> list[Values]:
    """Each objective in shares of its range."""
    spans = [(min(column), max(column) - min(column) or 1.0) for column in zip(*rows, strict=True)]
    return [tuple((v - low) / span for v, (low, span) in zip(row, spans, strict=True)) for row in rows]


def _net(front: Sequence[int], rows: Sequence[Values]) -> list[int]:
    """The front's rows, so that each next one is the farthest from those before it; of equals the earlier."""
    order = [max(front, key=lambda i: (rows[i], -i))]
    far = {i: math.dist(rows[i], rows[order[0]]) for i in front if i != order[0]}
    while far:
        order.append(max(far, key=lambda i: (far[i], -i)))
        del far[order[-1]]
        far = {i: min(distance, math.dist(rows[i], rows[order[-1]])) for i, distance in far.items()}
    return order


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

    def comebacks(self, curve: Curve) -> list[float]:
        """Of each cut but the last, by how much the gap was smaller at a later cut; below 0 where it only grew."""
        gaps = [self.gap(*point) for point in curve]
        return [gap - min(gaps[at + 1 :]) for at, gap in enumerate(gaps[:-1])]


def out_of_reach(reach: Reach, point: tuple[float, float], finished: Iterable[Curve]) -> bool:
    """Whether a descent is so far behind the front that no further cut is to be expected on it.

    Args:
        point: its newest cut.
        finished: curves that went to their end.
    """
    return reach.gap(*point) > slack_of([reach.comebacks(curve) for curve in finished if len(curve) > 1])


def slack_of(comebacks: Sequence[Sequence[float]]) -> float:
    """How far behind a descent may fall, by the comebacks of curves that went to their end; of too few: infinity."""
    if len(comebacks) < FULL_CURVES:
        return math.inf
    seen = sorted(max(0.0, back) for curve in comebacks for back in curve)
    return seen[min(len(seen) - 1, math.ceil(COMES_BACK * len(seen)))]

"""Which trials end early: asynchronous successive halving that judges a trial by its curve. Pure decisions.

Sparsity comes late in training, so a rung does not ask how sparse a network is now but what a descent from here would
give (`Trial.probe`: a few cuts, not fine-tuned). On the digits its hypervolume ranks trials after a tenth of their
epochs nearly as their whole curves do at the end. A trial goes on while it is among the best 1 / `reduction` of those
that came to its rung so far (Li et al. 2020, arXiv:1810.05934, algorithm 2, stopping variant). Where a trial gives one
point (`descent: none`), trials are ranked by non-dominated fronts and within one by an epsilon-net, as in MOASHA
(Schmucker et al. 2021, arXiv:2106.12639).
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field

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
    better = sum(other > values for other in others) if len(values) == 1 else _place_of_last([*others, values])
    return better < math.ceil(came / reduction)


@dataclass(kw_only=True)
class Came:
    """Who came to one rung so far, and how it stands among the others without looking at each of them."""

    values: dict[int, Values] = field(default_factory=dict)
    """By trial."""
    _ordered: list[Values] = field(default_factory=list)

    def take(self, trial: int, values: Values) -> None:
        """A trial's values; those that it had before are forgotten."""
        self.forget(trial)
        self.values[trial] = values
        insort(self._ordered, values)

    def forget(self, trial: int) -> None:
        """Whatever the trial had."""
        if (before := self.values.pop(trial, None)) is not None:
            del self._ordered[bisect_left(self._ordered, before)]

    def goes_on(self, values: Values, reduction: int) -> bool:
        """As `goes_on` among all that came, of which the trial itself is none."""
        came = len(self.values) + 1
        if len(values) > 1 or came < reduction:
            return goes_on(values, self._ordered, reduction)
        return came - 1 - bisect_right(self._ordered, values) < math.ceil(came / reduction)


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
    """The place of the last row, without putting the other fronts in order; of rows that are equal to it the best."""
    ranks = _ranks(rows)
    own = [i for i, rank in enumerate(ranks) if rank == ranks[-1]]
    order = _net(own, _scaled(rows))
    return sum(rank < ranks[-1] for rank in ranks) + min(order.index(i) for i in own if rows[i] == rows[-1])


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

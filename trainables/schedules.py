"""How many groups or weights each cut of a descent leaves: its schedule.

geometric  even steps of the logarithm of the count
macs       even steps of the logarithm of the multiply-adds that are left, as the trained network's scores foretell them
scores     even steps of the score below which things go: a cut falls into a gap of the scores, not beside it
adaptive   step by step: long steps as long as the validation accuracy holds, short ones where it bends

All end at the same count, after at most as many cuts, and each cut leaves less than the one before. In place of a
schedule the multiply-adds that each cut may leave can be named: `MacsShares`.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import exp, log
from typing import Literal, get_args

import torch
from torch import Tensor

from sparsweep.spaces.space import Choice
from sparsweep.trainables.cut import balanced
from sparsweep.trainables.scores import Scores

CutSchedule = Literal["geometric", "macs", "scores", "adaptive"]
CUT_SCHEDULES: tuple[str, ...] = get_args(CutSchedule)

KNOTS = 16
"""At how many counts the multiply-adds of a descent are counted in advance."""
FALL = 0.01
"""Validation accuracy, in [0, 1], that an adaptive descent wants to lose at each cut."""
LONGEST, SHORTEST = 2.0, 0.5
"""Of an adaptive step, times the even one."""


def descent_keeps(total: int, *, cuts: int, last: int) -> list[int]:
    """How many groups or weights survive each of `cuts` nested cuts: geometric from `total` down to `last`.

    Even steps of the logarithm put the cuts where the trade-off bends. Each cut keeps at least one less than the one
    before; where there are fewer than `cuts` counts from `total` - 1 down to `last`, there are fewer cuts.

    >>> descent_keeps(100, cuts=4, last=5)
    [47, 22, 11, 5]
    """
    if total <= last:
        return []
    cuts = min(cuts, total - last)
    ratio = (last / total) ** (1 / cuts)
    return _falling((total * ratio ** (at + 1) for at in range(cuts)), total, cuts=cuts, last=last)


def _falling(wanted: Iterable[float], total: int, *, cuts: int, last: int) -> list[int]:
    """Whole counts near those wanted, each at least one less than the one before, with room for those that follow."""
    keeps: list[int] = []
    for at, want in enumerate(wanted):
        most = max((keeps[-1] if keeps else total) - 1, last)
        keeps.append(min(max(round(want), last + cuts - 1 - at), most))
    return keeps


def macs_keeps(total: int, macs: Callable[[int], int], *, cuts: int, last: int) -> list[int]:
    """Counts between which the multiply-adds fall by the same ratio: from what `total` executes to what `last` does.

    Even ratios, not even differences: with these three quarters of the cuts would lie where accuracy does not move.

    Args:
        macs: multiply-adds left, >= 1, of so many groups or weights. It is asked at KNOTS counts; between these the
            logarithm of both is taken as straight.

    >>> macs_keeps(100, lambda keep: keep * keep, cuts=2, last=4)
    [20, 4]
    """
    knots = [total, *descent_keeps(total, cuts=KNOTS, last=last)]
    if len(knots) == 1:
        return []
    places = [(log(keep), log(max(macs(keep), 1))) for keep in knots]
    for at in range(1, len(places)):  # rounding to multiples, or a coupling, may let them rise
        places[at] = (places[at][0], min(places[at][1], places[at - 1][1]))
    cuts, (start, end) = min(cuts, total - last), (places[0][1], places[-1][1])
    if start == end:
        return descent_keeps(total, cuts=cuts, last=last)
    steps = [start + (end - start) * (at + 1) / cuts for at in range(cuts - 1)]
    return _falling([*(_count_at(height, places) for height in steps), last], total, cuts=cuts, last=last)


def most_within(macs: Callable[[int], int], limit: int, *, below: int, last: int) -> int:
    """The largest count from `last` to `below` - 1 that leaves at most so many multiply-adds; `last` where none does.

    Args:
        macs: multiply-adds left of so many groups or weights; it does not fall as the count rises.

    >>> most_within(lambda keep: keep * keep, 40, below=100, last=4)
    6
    """
    counts = range(last, max(below, last + 1))
    return counts[max(bisect_right(counts, limit, key=macs) - 1, 0)]


def macs_shares(text: str) -> tuple[float, ...]:
    """The shares of a comma-separated text, falling, each in (0, 1).

    Raises:
        ValueError: a part is no such share, or no less than the one before.

    >>> macs_shares("0.25, 0.1")
    (0.25, 0.1)
    """
    shares = tuple(float(part) for part in text.split(",")) if text.strip() else ()
    if not all(0 < share < 1 for share in shares) or any(after >= before for before, after in pairwise(shares)):
        raise ValueError(f"{text!r} are no shares between 0 and 1, each less than the one before")
    return shares


class MacsShares(Choice):
    """Any text of shares of multiply-adds; `choices` are examples."""

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, str):
            return False
        try:
            macs_shares(value)
        except ValueError:
            return False
        return True


def finetune_epochs_of(at: int, cuts: int, *, first: int, last: int) -> int:
    """Epochs of fine-tuning after cut `at` of so many: from `first` to `last` in even ratios.

    Early cuts heal at once and are dear, late ones are cheap and take long.

    >>> [finetune_epochs_of(at, 4, first=2, last=16) for at in range(4)]
    [2, 4, 8, 16]
    """
    return last if cuts < 2 else round(first * (last / first) ** (at / (cuts - 1)))


def _count_at(height: float, places: Sequence[tuple[float, float]]) -> float:
    """The count at which the broken line through (log count, height), falling, comes down to this height."""
    for (right, above), (left, below) in pairwise(places):
        if below <= height < above:
            return exp(right + (left - right) * (above - height) / (above - below))
    return exp(places[-1][0])


def score_keeps(
    scores: Scores, alive: Mapping[str, Tensor], *, cuts: int, last: int, balance: str = "auto"
) -> list[int]:  # fmt: skip
    """Counts above a threshold that rises in even steps, from the least score alive to the one that `last` are above.

    Ranks and LAMP tell places, between which there are no gaps; under them a score is measured by its layer's mean.
    Where all scores are equal the counts are geometric, and where a step would take nothing it takes one.

    Args:
        alive: what is there yet, per layer in the scores' shape; the counts are of these.
        balance: one of `cut.LAYER_BALANCES`.
    """
    rule = balance if balance in ("mean", "max", "rms", "none") else "mean"
    flats = [balanced(values, rule)[alive[name]].flatten() for name, values in scores.values.items()]
    found = torch.cat(flats).sort().values if flats else torch.zeros(0)
    total = len(found)
    if total <= last:
        return []
    cuts, (least, most) = min(cuts, total - last), (float(found[0]), float(found[total - last - 1]))
    if least == most:
        return descent_keeps(total, cuts=cuts, last=last)
    steps = found.new_tensor([least + (most - least) * (at + 1) / cuts for at in range(cuts - 1)])
    above = total - torch.searchsorted(found, steps, right=True)
    return _falling([*above.tolist(), last], total, cuts=cuts, last=last)


def adapted_keeps(now: int, ahead: Sequence[int], fall: float) -> list[int]:
    """The counts that are still to come, planned anew by what the last cut cost in validation accuracy.

    The way that is left, in logarithms of counts, divided by the cuts that are left is an even step. The next step is
    that times FALL / fall, the length at which this fall would have been FALL, but no less than SHORTEST and no more
    than LONGEST times it, nor more than half of the way; those behind it are even, and planned anew when they come. So
    a descent begins with long steps, and what it saves is spent where accuracy falls. It never goes back to refine a
    step: that would take the network of before, and every cut would no longer build on the one in front of it.

    Args:
        now: the count that the last cut was to leave, or what there was before the first.
        ahead: the plan so far; its length is the number of cuts left, its end the last count.
        fall: in [-1, 1]; before the first cut 0.

    >>> adapted_keeps(47, [22, 11, 5], fall=0.05), adapted_keeps(47, [22, 11, 5], fall=0.0)
    ([32, 13, 5], [15, 9, 5])
    """
    left = len(ahead)
    if left < 2:
        return list(ahead)
    length = LONGEST if fall <= FALL / LONGEST else max(FALL / fall, SHORTEST)
    share = min(length / left, 0.5)
    following = _falling([now * (ahead[-1] / now) ** share], now, cuts=left, last=ahead[-1])[0]
    return [following, *descent_keeps(following, cuts=left - 1, last=ahead[-1])]

"""A row near another one."""

import math
from random import Random

from sparsweep.spaces.draw import value_at
from sparsweep.spaces.space import Choice, Float, Int, Row, Space, Value

SPREAD = 0.25
"""Standard deviation of a step, as a share of a range, in the range's own scale; PriorBand's."""
STAYS = 0.75
"""How likely a choice stays what it is; otherwise it is drawn anew."""


def near(space: Space, row: Row, chance: Random) -> Row:
    """The row with a step in every range, normally distributed and cut off at the range's ends.

    As PriorBand draws from a prior and around its incumbent (Mallik et al. 2023, arXiv:2306.12370).
    """
    here = space.labels_of(row)

    def choose(label: str, allowed: Float | Int | Choice) -> Value:
        value = here.get(label)  # None where it applies only now
        zero = isinstance(allowed, Float) and allowed.or_zero and value == 0
        if value is not None and (isinstance(allowed, Choice) or zero) and chance.random() < STAYS:
            return value
        if value is None or isinstance(value, str) or isinstance(allowed, Choice) or zero:
            return value_at(allowed, chance.random())
        return value_at(allowed, _step(share_of(allowed, value), chance))

    return space.row(choose)


def share_of(allowed: Float | Int, value: float) -> float:
    """Where in its range the value lies, in the range's own scale, in [0, 1]; the inverse of `draw.value_at`."""
    half = 0.5 if isinstance(allowed, Int) else 0.0
    low, high = allowed.low - half, allowed.high + half
    if low >= high:
        return 0.5
    if allowed.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def _step(share: float, chance: Random) -> float:
    while not 0 <= (there := chance.gauss(share, SPREAD)) < 1:
        pass
    return there

"""Rows drawn from shares in [0, 1), each a place in a range; and all rows of a space that has only so many."""

import math
from collections.abc import Callable, Iterator, Mapping
from random import Random

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space, Value

ZERO = ".zero"
"""Suffix of the column that says whether an `or_zero` range is exactly 0."""


def columns(space: Space) -> tuple[str, ...]:
    """What a row is drawn from: one column a label, and one more before it where the range may be exactly 0."""
    found: list[str] = []
    for knob in space.knobs:
        if isinstance(knob.range, Float) and knob.range.or_zero:
            found.append(knob.label + ZERO)
        found.append(knob.label)
    return tuple(found)


def row_at(space: Space, share: Callable[[str], float]) -> Row:
    """The row whose ranges are entered at these shares in [0, 1); `share(column)` is asked for those that apply."""

    def choose(label: str, allowed: Float | Int | Choice) -> Value:
        if isinstance(allowed, Float) and allowed.or_zero and share(label + ZERO) >= 0.5:
            return 0.0
        return value_at(allowed, share(label))

    return space.row(choose)


def random_row(space: Space, chance: Random) -> Row:
    """A row drawn evenly, range by range."""
    return row_at(space, lambda _: chance.random())


def value_at(allowed: Float | Int | Choice, share: float) -> Value:
    """The value at a share in [0, 1) of the range: 0 is its low end, and the first of its choices."""
    if isinstance(allowed, Choice):
        return allowed.choices[min(int(share * len(allowed.choices)), len(allowed.choices) - 1)]
    if isinstance(allowed, Int):
        # half a step beyond either end, so that the ends are as likely as what lies between
        return _clipped(math.floor(_between(allowed.low - 0.5, allowed.high + 0.5, share, allowed.log) + 0.5), allowed)
    return _clipped(_between(allowed.low, allowed.high, share, allowed.log), allowed)


def _clipped(value: float, allowed: Float | Int) -> float:
    return min(max(value, allowed.low), allowed.high)


def _between(low: float, high: float, share: float, log: bool) -> float:
    if log:
        return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return low + share * (high - low)


def every_row(space: Space) -> Iterator[Row] | None:
    """All rows of the space, one after the other; None where a range of real numbers makes them countless."""
    if any(isinstance(knob.range, Float) and knob.range.low < knob.range.high for knob in space.knobs):
        return None
    return _completions(space.knobs, {})


def _completions(knobs: tuple[Knob, ...], row: Row) -> Iterator[Row]:
    if not knobs:
        yield dict(row)
    elif knobs[0].name in row or not knobs[0].applies(row):
        yield from _completions(knobs[1:], row)
    else:
        for value in _values(knobs[0].range):
            yield from _completions(knobs[1:], {**row, knobs[0].name: value})


def _values(allowed: Float | Int | Choice) -> Iterator[Value]:
    if isinstance(allowed, Choice):
        yield from allowed.choices
    elif isinstance(allowed, Int):
        yield from range(allowed.low, allowed.high + 1)
    else:
        if allowed.or_zero and allowed.low > 0:
            yield 0.0
        yield allowed.low


def key_of(row: Mapping[str, Value]) -> tuple[tuple[str, str, Value], ...]:
    """What two rows have in common exactly if they are the same setting; 1, 1.0 and true are not."""
    return tuple((name, type(value).__name__, value) for name, value in sorted(row.items()))

"""Settings that a sweep file gives: what is wrong with them, and the conditions that their knobs need."""

from collections.abc import Iterator, Mapping, Sequence

from sparsweep.spaces.catalogue import Catalogue, misfit
from sparsweep.spaces.faults import Fault, nearest, shown
from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space, Value
from sparsweep.spaces.sweep_file import SweepFile

Wrong = list[tuple[str, str]]
"""Knob and what is wrong with its value."""


def point_faults(sweep: SweepFile, catalogue: Catalogue) -> Iterator[Fault]:
    """Every fault of the file's `points` (lines not yet known); a user's method taken on trust has none."""
    if any(map(catalogue.trusts, sweep.methods)):
        return
    space, seen = sweep.space(catalogue), list[Mapping[str, Value]]()
    for at, point in enumerate(sweep.points):
        if not point:
            yield Fault(place=("points", at), text="is empty: give at least one knob, or leave it out")
        elif point in seen:
            text = f"is the same as points[{seen.index(point) + 1}]: list each once"
            yield Fault(place=("points", at), text=text)
        seen.append(point)
        for name, text in settled(point, space, fixed=tuple(sweep.trial))[1]:
            yield Fault(place=("points", at, name), text=text)


def settled(
    point: Mapping[str, Value], space: Space, *, prefer: Mapping[str, Value] | None = None, fixed: Sequence[str] = ()
) -> tuple[Row, Wrong]:
    """The point with the values of other knobs that its own need, and what is wrong with it.

    Args:
        point: values of some knobs.
        prefer: a row whose values go before others where several would do.
        fixed: knobs that have a value elsewhere.
    """
    row, wrong = Row(), Wrong()
    wrong += [(name, _unknown(name, space, fixed)) for name in point if name not in space.names]
    for name in (name for name in space.names if name in point):
        ranges = [knob for knob in space.knobs if knob.name == name and _reachable(knob, space)]
        open_ones = [knob for knob in ranges if _agree(knob.when, {**point, **row})]
        fitting = [knob for knob in open_ones if point[name] in knob.range]
        if not open_ones:
            wrong.append((name, _needs(ranges, {**point, **row})))
        elif not fitting:
            wrong += [(name, text) for text in misfit(point[name], open_ones[0].range)]
        else:
            best = min(fitting, key=lambda knob: sum((prefer or {}).get(k) != v for k, v in knob.when.items()))
            row.update(best.when)
            row[name] = _typed(point[name], best.range)
    return row, wrong


def _agree(when: Mapping[str, Value], row: Mapping[str, Value]) -> bool:
    return all(row.get(name, value) == value for name, value in when.items())


def _reachable(knob: Knob, space: Space) -> bool:
    """Whether the space has what the knob is conditioned on."""
    return all(any(k.name == name and value in k.range for k in space.knobs) for name, value in knob.when.items())


def _needs(ranges: Sequence[Knob], row: Mapping[str, Value]) -> str:
    if not ranges:
        return "applies to no setting of this space: remove it"
    unmet = [(name, value) for name, value in ranges[0].when.items() if row.get(name, value) != value]
    name, value = unmet[0]
    return f"does not apply with {name} = {shown(row[name])}: it needs {name} = {shown(value)}"


def _unknown(name: str, space: Space, fixed: Sequence[str]) -> str:
    if name in fixed:
        return "is fixed under trial: leave it out here"
    return f"unknown knob {shown(name)}{nearest(name, space.names)} (searched: {', '.join(space.names)})"


def _typed(value: Value, allowed: Float | Int | Choice) -> Value:
    """The value in the range's own kind: 1 of a real-valued range is 1.0."""
    if isinstance(allowed, Choice):
        return next(choice for choice in allowed.choices if choice == value)
    return float(value) if isinstance(allowed, Float) else value

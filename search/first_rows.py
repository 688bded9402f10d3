"""What is proposed before anything is searched: the user's settings, an earlier sweep's best, known-good ones."""

from collections.abc import Mapping, Sequence
from random import Random

from sparsweep.spaces.draw import value_at
from sparsweep.spaces.points import settled
from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space, Value


def first_rows(
    points: Sequence[Mapping[str, Value]], best: Sequence[Row], good: Sequence[Row], space: Space, seed: int
) -> list[Row]:
    """Rows of the space in the order in which they are proposed.

    Args:
        points: settings of the sweep file; what they leave open is filled in.
        best: rows of an earlier sweep.
        good: the methods' known-good rows.
        seed: of what must be drawn.

    Raises:
        ValueError: a point cannot be laid into the space.
    """
    return [*(completed(point, good, space, Random(f"{seed} {at}")) for at, point in enumerate(points)), *best, *good]


def completed(point: Mapping[str, Value], good: Sequence[Row], space: Space, chance: Random) -> Row:
    """The point as a whole row: open knobs are those of its method's first known-good row, or else drawn."""
    of_method = _good_for(point, good, space)
    row, wrong = settled(point, space, prefer=of_method)

    def choose(label: str, allowed: Float | Int | Choice) -> Value:
        name = label.split("[")[0]
        if name in row:
            return row[name]
        if name in of_method:
            return Space((Knob(name=name, range=allowed),)).nearest(of_method)[name]
        return value_at(allowed, chance.random())

    whole = space.row(choose)
    if lost := [*(name for name, _ in wrong), *(name for name in point if whole.get(name) != point[name])]:
        raise ValueError(f"points: {dict(point)} is no setting of the space: {lost[0]} does not go with the others")
    return whole


def _good_for(point: Mapping[str, Value], good: Sequence[Row], space: Space) -> Row:
    first = good[0] if good else {}
    method = settled(point, space, prefer=first)[0].get("method", first.get("method"))
    return next((row for row in good if row.get("method") == method), {})

"""Dominance and hypervolume of plain rows of numbers, in which larger is always better.

moocore does the arithmetic and is imported when first needed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sparsweep.search.figures import Objectives

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rows = Sequence[Sequence[float]]


def oriented(
    figures: Iterable[Mapping[str, float]], objectives: Objectives, absent: Mapping[str, float]
) -> list[list[float]]:
    """One row per mapping and one column per objective, minimised ones negated.

    Args:
        figures: measured numbers by name, one mapping per network.
        objectives: the columns.
        absent: what a network counts as where it has no such figure.

    Raises:
        ValueError: a figure is neither measured nor in `absent`, or not finite: dominance silently breaks on NaN.
    """
    signs = {name: 1.0 if direction == "max" else -1.0 for name, direction in objectives.items()}
    rows: list[list[float]] = []
    for at, own in enumerate(figures):
        counted = {**absent, **own}
        if missing := [name for name in signs if name not in counted]:
            raise ValueError(f"objective {missing[0]!r} is no figure of network {at}; it has {sorted(counted)}")
        if bad := [f"{name} = {counted[name]}" for name in signs if not math.isfinite(counted[name])]:
            raise ValueError(f"network {at} cannot be compared: {', '.join(bad)}; every figure must be finite")
        rows.append([sign * counted[name] for name, sign in signs.items()])
    return rows


def non_dominated(rows: "Rows | NDArray[np.float64]") -> list[bool]:
    """For each row whether no other dominates it; of equal rows only the first is kept."""
    if not len(rows) or not len(rows[0]):
        return [False] * len(rows)
    import moocore

    kept: list[bool] = moocore.is_nondominated(rows, maximise=True).tolist()
    return kept


def volume(rows: Rows, reference: Sequence[float]) -> float:
    """Volume dominated by the rows above the reference; rows at or beyond it add nothing; 0.0 without rows."""
    if not rows or not reference:
        return 0.0
    import moocore

    return float(moocore.hypervolume(rows, ref=reference, maximise=True))

"""Landmarks of a frontier: its knee, and the points that are the best in one figure."""

import math
from collections.abc import Sequence

from sparsweep.search.dominance import Rows, oriented
from sparsweep.search.figures import Objectives
from sparsweep.search.frontier import counted_figures
from sparsweep.trainables.point import Point


def bulges(rows: Rows) -> list[float]:
    """How far each row lies beyond the plane through the corners of the rows' normalised box.

    Columns are scaled to [0, 1] over the rows (larger is better); a column in which all rows agree tells nothing and
    is left out. The plane is Σx = 1; distances are positive on the side of the ideal corner (1, …, 1), at most
    (m - 1)/√m for m columns, and rounded to 9 digits so that ties are ties.
    """
    columns = [column for column in zip(*rows, strict=True) if max(column) > min(column)]
    if not columns:
        return [0.0] * len(rows)
    scaled = [[(value - min(column)) / (max(column) - min(column)) for value in column] for column in columns]
    return [round((sum(row) - 1) / math.sqrt(len(columns)), 9) for row in zip(*scaled, strict=True)]


def knee(frontier: Sequence[Point], objectives: Objectives) -> Point | None:
    """The point where the frontier bends most: beyond it a little more of one objective costs much of another.

    It is the point farthest from the plane through the corners of the frontier's normalised box, each of which is the
    best in one objective at the price of the worst in all others (`bulges`). With two objectives that line joins the
    frontier's two ends and this is the knee of Das 1999, "On characterizing the knee of the Pareto curve based on
    normal-boundary intersection", Structural Optimization 18, 107-115. With three or more his plane goes through the
    points that are best in each objective, which need not span one (a point may be best in two); the corners do.

    Ties go to the higher accuracy, then to the other objectives in their order, then to the first by id. So one point
    is its own knee, of two it is the more accurate one, and so it is where the frontier is straight or hollow.
    None without points.
    """
    if not frontier:
        return None
    rows = _rows(frontier, objectives)
    distances = bulges(rows)
    order = range(len(frontier))
    return frontier[min(order, key=lambda at: (-distances[at], *_rank(frontier[at], rows[at])))]


def aliases(frontier: Sequence[Point], objectives: Objectives) -> dict[str, Point]:
    """`most-accurate`, `sparsest`, `fastest` and `knee`, each with its point; empty without points.

    `fastest` is there only if a speedup was measured. Ties go to the other objectives in their order, then to the
    first by id.
    """
    rows = {point.id: row for point, row in zip(frontier, _rows(frontier, objectives), strict=True)}

    def best(figure: str) -> Point | None:
        able = [point for point in frontier if figure in point.figures()]
        return min(able, key=lambda p: (-p.figures()[figure], *_rank(p, rows[p.id])), default=None)

    named = {
        "most-accurate": best("accuracy"),
        "sparsest": best("sparsity"),
        "fastest": best("speedup"),
        "knee": knee(frontier, objectives),
    }
    return {alias: point for alias, point in named.items() if point is not None}


def _rows(points: Sequence[Point], objectives: Objectives) -> list[list[float]]:
    return oriented(counted_figures(points), objectives, {})


def _rank(point: Point, row: Sequence[float]) -> tuple[float | int | str, ...]:
    """Sorts the better point first: accuracy, the objectives in their order, then the id."""
    return (-point.accuracy, *(-value for value in row), point.trial, point.cut)

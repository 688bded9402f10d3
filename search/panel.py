"""One panel of the picture: accuracy against one figure, the frontier as a staircase among all points."""

import math
from collections.abc import Sequence
from typing import Any

from sparsweep.search.dominance import non_dominated
from sparsweep.search.figures import WORDINGS, shown
from sparsweep.search.frontier import Frontier, dense_figures
from sparsweep.search.knee import knee
from sparsweep.trainables.point import Point

INK, FAINT, FRONT, KNEE = "#1f2933", "#8a97a6", "#0b5fa5", "#d9480f"
METHODS = ("#0b5fa5", "#2b8a3e", "#862e9c", "#c2255c", "#087f8c", "#a67c00", "#5c677d")
"""Colours of the frontier's points by method, each readable on white."""


def draw(panel: Any, figure: str, frontier: Frontier, all_points: Sequence[Point], methods: Sequence[str]) -> None:
    """Draws onto matplotlib axes; points without the figure are left out, those of the frontier counted in a note."""
    on_front = {point.id for point in frontier.points}
    rest = [p for p in all_points if p.id not in on_front and figure in p.figures()]
    front = [p for p in frontier.points if figure in p.figures()]
    panel.scatter(*_columns(rest, figure), s=11, color=FAINT, alpha=0.35, linewidths=0, zorder=2)
    steps = staircase(front, figure)
    panel.step(*_columns(steps, figure), where="post", color=FRONT, linewidth=1.6, alpha=0.75, zorder=3)
    bands = [(point.figures()[figure], *band) for point in front if (band := accuracy_band(point)) is not None]
    panel.vlines([x for x, _, _ in bands], [low for _, low, _ in bands], [high for _, _, high in bands],
                 color=INK, alpha=0.55, linewidth=1.1, zorder=3.5)  # fmt: skip
    for at, method in enumerate(methods):
        of_method = [point for point in front if point.method == method]
        colour = METHODS[at % len(METHODS)]
        panel.scatter(*_columns(of_method, figure), s=38, color=colour, edgecolors="white", linewidths=0.8, zorder=4)
    _dress(panel, figure)
    _frame(panel, figure, front, rest, [point.accuracy for point in frontier.points or all_points])
    _mark_dense(panel, all_points)
    _mark_knee(panel, figure, front, knee(frontier.points, frontier.objectives))
    untimed = len(frontier.points) - len(front)
    if untimed:
        _note(panel, f"{untimed} of the frontier's {len(frontier.points)} not timed", (0.02, 0.08))


def accuracy_band(point: Point) -> tuple[float, float] | None:
    """Mean of the accuracies over seeds, less and plus one standard deviation; None where there was one seed."""
    if point.spread is None or (deviation := point.spread.deviation("accuracy")) is None:
        return None
    mean = point.spread.mean("accuracy")
    return mean - deviation, mean + deviation


def _columns(points: Sequence[Point], figure: str) -> tuple[list[float], list[float]]:
    return [point.figures()[figure] for point in points], [point.accuracy for point in points]


def staircase(front: Sequence[Point], figure: str) -> list[Point]:
    """The points that are not dominated in this panel's two axes, from the best in `figure` to the most accurate."""
    sign = 1 if WORDINGS[figure].better == "max" else -1
    rows = [(point.accuracy, sign * point.figures()[figure]) for point in front]
    kept = [point for point, on in zip(front, non_dominated(rows), strict=True) if on]
    return sorted(kept, key=lambda point: point.accuracy)


def _dress(panel: Any, figure: str) -> None:
    from matplotlib.ticker import EngFormatter, FuncFormatter

    def percent(share: float, _: int | None = None) -> str:
        return f"{100 * share:.4g}"

    formats = {
        "share": FuncFormatter(percent),
        "ratio": FuncFormatter(lambda value, _: f"{value:g}x"),
        "count": EngFormatter(),
        "bytes": EngFormatter(unit="B"),
        "ms": FuncFormatter(lambda value, _: f"{value:g}"),
    }
    panel.xaxis.set_major_formatter(formats[WORDINGS[figure].kind])
    panel.yaxis.set_major_formatter(formats["share"])
    panel.yaxis.set_tick_params(labelleft=True)
    panel.set_xlabel(WORDINGS[figure].axis + (", less to the right" if WORDINGS[figure].better == "min" else ""))
    panel.grid(True, color="#e4e7eb", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(colors=INK, length=0)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        panel.spines[side].set_color("#9aa5b1")


def _frame(panel: Any, figure: str, front: Sequence[Point], rest: Sequence[Point], accuracies: Sequence[float]) -> None:
    """Frames the pruned part of the frontier with some room; what lies outside is counted rather than drawn."""
    lowest, highest = min(accuracies, default=0.0), max(accuracies, default=1.0)
    room = max(0.01, 0.2 * (highest - lowest))
    bottom, top = max(-0.02, lowest - room), min(1.02, highest + room)
    panel.set_ylim(bottom, top)
    pruned = [point.figures()[figure] for point in front if point.cut != "dense"]
    if pruned and max(pruned) > min(pruned):
        margin = 0.12 * (max(pruned) - min(pruned))
        most = 1.01 if WORDINGS[figure].kind == "share" else math.inf
        panel.set_xlim(max(min(pruned) - margin, -margin / 4), min(max(pruned) + margin, most))
    if WORDINGS[figure].better == "min":
        panel.invert_xaxis()
    left, right = sorted(panel.get_xlim())
    outside = sum(p.accuracy < bottom or not left <= p.figures()[figure] <= right for p in (*front, *rest))
    if outside:
        _note(panel, f"{outside} more outside this view", (0.02, 0.03))


def _mark_dense(panel: Any, all_points: Sequence[Point]) -> None:
    dense = dense_figures(all_points).get("accuracy")
    if dense is None:
        return
    panel.axhline(dense, color=INK, linewidth=1, linestyle=(0, (5, 4)), alpha=0.6, zorder=1)
    panel.annotate(
        f"dense {shown('accuracy', dense)}",
        (0.99, dense), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
        horizontalalignment="right", fontsize=8.5, color=INK, alpha=0.8,
    )  # fmt: skip


def _mark_knee(panel: Any, figure: str, front: Sequence[Point], bend: Point | None) -> None:
    if bend is None or bend not in front:
        return
    x, y = bend.figures()[figure], bend.accuracy
    across, up = panel.transAxes.inverted().transform(panel.transData.transform((x, y)))
    beside = (14, 22, "left") if across < 0.4 else (-14, -26 if up > 0.2 else 22, "right")
    panel.scatter([x], [y], s=210, marker="*", color=KNEE, edgecolors="white", linewidths=1, zorder=6)
    panel.annotate(
        f"knee: {shown('accuracy', y)}, {shown(figure, x)}",
        (x, y), beside[:2], textcoords="offset points", horizontalalignment=beside[2],
        fontsize=9.5, fontweight="bold", color=KNEE, zorder=7,
        bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        arrowprops={"arrowstyle": "-", "color": KNEE, "linewidth": 0.9, "shrinkB": 7},
    )  # fmt: skip


def _note(panel: Any, text: str, at: tuple[float, float]) -> None:
    panel.text(*at, text, transform=panel.transAxes, fontsize=8, color="#616e7c", style="italic", zorder=8)

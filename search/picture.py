"""The frontier as a PNG or an SVG: accuracy against every other objective, the knee marked, dominated points faint."""

import os
import time
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from sparsweep.search.caption import conditions_of, drawn_figures, headline_of
from sparsweep.search.figures import WORDINGS
from sparsweep.search.frontier import Frontier
from sparsweep.search.panel import FAINT, INK, KNEE, METHODS, draw
from sparsweep.trainables.point import Point

DOTS_PER_INCH = 150
_KEY_INCHES = 2.3
"""Room for one key of the legend."""


def save_picture(frontier: Frontier, all_points: Sequence[Point], path: Path) -> None:
    """Draws the frontier among all points of its sweep, as the file's ending says; whole or not at all.

    The same points give the same file to the byte: an SVG has no date in it, and text stays text.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figures = drawn_figures(frontier, all_points)
    methods = list(dict.fromkeys(point.method for point in all_points))
    columns = {1: 1, 3: 3}.get(len(figures), 2)
    rows = -(-len(figures) // columns)
    width = 2.6 + 4.9 * columns
    legend_lines = -(-(len(methods) + 2) // int(width / _KEY_INCHES))
    height = 1.15 + 0.22 * legend_lines + 4.4 * rows
    sheet = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(sheet)
    left, top = 0.9 / width, 1 - (0.9 + 0.22 * legend_lines) / height
    sheet.subplots_adjust(left=left, right=0.98, top=top, bottom=0.92 / height, wspace=0.14, hspace=0.25)
    panels = sheet.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for panel, figure in zip(panels, figures, strict=True):
        draw(panel, figure, frontier, all_points, methods)
    for row in range(rows):
        panels[row * columns].set_ylabel(WORDINGS["accuracy"].axis)
    _head(sheet, left, frontier, all_points)
    _legend(sheet, left, top + 0.06 / height, methods)
    _write(sheet, path)


def _head(sheet: Any, left: float, frontier: Frontier, all_points: Sequence[Point]) -> None:
    """Title and headline above the panels, by inches from the top; the conditions below them."""
    height = sheet.get_figheight()
    name = frontier.sweep if len(frontier.sweep) <= 48 else frontier.sweep[:47] + "…"
    small = {"fontsize": 10, "color": "#52606d", "parse_math": False}
    sheet.text(left, 1 - 0.38 / height, f"{name}: frontier", fontsize=15,
               fontweight="bold", color=INK, parse_math=False)  # fmt: skip
    sheet.text(left, 1 - 0.64 / height, headline_of(frontier, all_points), **small)
    sheet.text(left, 0.1 / height, conditions_of(frontier), **{**small, "fontsize": 8.5}, wrap=True)


def _legend(sheet: Any, left: float, bottom: float, methods: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    def key(name: str, **look: Any) -> Any:
        return Line2D([], [], label=name, linestyle="none", markeredgecolor="white", **look)

    keys = [
        key(f"frontier, {method}", marker="o", color=METHODS[at % len(METHODS)], markersize=7.5)
        for at, method in enumerate(methods)
    ]
    keys.append(key("dominated or not feasible", marker="o", color=FAINT, alpha=0.6, markersize=5))
    keys.append(key("knee", marker="*", color=KNEE, markersize=13))
    legend = sheet.legend(
        handles=keys, loc="lower left", bbox_to_anchor=(left - 0.008, bottom),
        ncols=int(sheet.get_figwidth() / _KEY_INCHES),
        frameon=False, fontsize=9.5, handletextpad=0.2, columnspacing=1.4, borderaxespad=0,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _write(sheet: Any, path: Path) -> None:
    """The whole file or nothing, as `write_atomically` does for text."""
    from matplotlib import rc_context

    held, form = BytesIO(), path.suffix.lower().removeprefix(".")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "sparsweep"}):
            sheet.savefig(held, format=form, dpi=DOTS_PER_INCH, metadata={"Date": None} if form == "svg" else None)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    with beside.open("wb") as file:
        file.write(held.getvalue())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)

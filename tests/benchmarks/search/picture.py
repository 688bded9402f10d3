"""Hypervolume against time, a line and a band a contender, as a PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.search.over_time import Curve, steps_of

COLOURS = ("#0b6e4f", "#c0392b", "#e67e22", "#2c5f9e", "#8e44ad", "#7f8c8d", "#17a2a2", "#b7950b", "#4a4a4a")
FIRST_S = 2.0


def save_picture(curves: Mapping[str, Sequence[Curve]], end_s: float, title: str, path: Path) -> None:
    """Median lines with quartile bands over the logarithm of the seconds since the prompt; the first one is ours."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(9, 5.4), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(sheet)
    panel = sheet.subplots()
    for at, (name, own) in enumerate(curves.items()):
        _draw(panel, name, own, end_s, COLOURS[at % len(COLOURS)], ours=at == 0)
    panel.set_xscale("log")
    panel.set_xlim(FIRST_S, end_s)
    panel.xaxis.set_major_formatter("{x:g}")
    panel.set_ylim(0, 1)
    panel.set_xlabel("seconds since the prompt")
    panel.set_ylabel("hypervolume")
    panel.set_title(title, loc="left", fontsize=11)
    panel.grid(color="#e1e5ea", linewidth=0.6)
    panel.legend(loc="lower right", frameon=False, fontsize=9)
    sheet.savefig(path, format="png")


def _draw(panel: Any, name: str, curves: Sequence[Curve], end_s: float, colour: str, *, ours: bool) -> None:
    steps = steps_of(curves, end_s)
    times = [FIRST_S / 10, *(time_s for time_s, _ in steps)]
    lows, middles, highs = ([0.0, *(getattr(s, part) for _, s in steps)] for part in ("low", "middle", "high"))
    panel.step(times, middles, where="post", color=colour, linewidth=2.4 if ours else 1.4, label=name)
    panel.fill_between(times, lows, highs, step="post", color=colour, alpha=0.15, linewidth=0)

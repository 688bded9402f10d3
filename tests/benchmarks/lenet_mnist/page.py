"""The table, the answer on attention, and the picture, as Markdown, JSON and PNG."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tests.benchmarks.lenet_mnist.attention import Answer, adjusted, verdict
from tests.benchmarks.lenet_mnist.claims import Claim, Control
from tests.benchmarks.lenet_mnist.published import NETWORKS, Published

HEADERS = ("published", "error %", "weights", "MACs", "ours: error %", "weights", "MACs", "by", "helped by", "")
ANSWERS = ("network", "prunes", "form", "λ_a", "sparsity", "with - without, points", "95 % interval", "p (Holm)", "")
COLOURS = {"none": "#0b5fa5", "shifts": "#2b8a3e", "shifts and distilled": "#862e9c"}
PLACES = tuple(
    ((side * right, up), "left" if side > 0 else "right")
    for right, up in ((7, 0), (6, 6), (6, -6), (10, 13), (10, -13), (16, 22), (16, -22), (22, 32), (22, -32), (28, 44))
    for side in (1, -1)
)
"""Of a name beside its point, in points of 1/72 inch, and where its text is anchored; the nearest first."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A published row with what stands against it: without any help, and with whatever helps."""

    row: Published
    claims: tuple[Claim, ...]
    """The best of each help, `none` first."""
    most_pct: float
    controls: tuple[Control, ...] = ()

    @property
    def dominated(self) -> bool:
        return self.told is not None

    @property
    def told(self) -> Claim | None:
        """Of the claims that dominate the row the one with the least help."""
        return next((claim for claim in self.claims if claim.dominates), None)


def cells(line: Line, *, ran: bool = True) -> list[tuple[str, ...]]:
    """The line under HEADERS: one a claim, or one that says that there is none, or that nothing was `ran` yet."""
    row = line.row
    most = f"{line.most_pct:.2f}" if math.isfinite(line.most_pct) else f"dense + {row.delta_error_pct:.2f}"
    own = (row.name, most, _count(row.weights_left), _count(row.macs))
    if not line.claims:
        return [(*own, "", "", "", "no network so small" if ran else "not run yet", "", "no" if ran else "")]
    said = [*map(_claimed, line.claims), *(_controlled(control, line.most_pct) for control in line.controls)]
    return [(*(own if at == 0 else ("", "", "", "")), *each) for at, each in enumerate(said)]


def _claimed(claim: Claim) -> tuple[str, ...]:
    gap = claim.error_pct - claim.most_pct
    macs = [claim.row.counted(cut.macs, cut.macs_ideal) for cut in claim.cuts]
    setting = claim.setting
    return (
        f"{claim.error_pct:.2f} ± {claim.spread_pct:.2f}", _count(round(mean(c.weights_left for c in claim.cuts))),
        _count(round(mean(macs))), f"{setting.method} (λ_a = {setting.attention:g}), {setting.granularity}",
        setting.help, f"dominated by {-gap:.2f}" if claim.dominates else f"{gap:.2f} short",
    )  # fmt: skip


def _controlled(control: Control, most_pct: float) -> tuple[str, ...]:
    error, spread = mean(control.errors_pct), stdev(control.errors_pct)
    return (
        f"{error:.2f} ± {spread:.2f}", _count(round(control.weights_left)), _count(round(control.macs)),
        f"control: {control.what}", control.help, f"{error - most_pct:+.2f}",
    )  # fmt: skip


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def score(lines: Iterable[Line], network: str) -> tuple[int, int, int]:
    """How many rows of a network are dominated, how many of these without help, and how many there are."""
    own = [line for line in lines if line.row.network == network]
    alone = sum(any(c.dominates and c.setting.help == "none" for c in line.claims) for line in own)
    return sum(line.dominated for line in own), alone, len(own)


def answer_lines(answers: Sequence[Answer]) -> list[tuple[str, ...]]:
    """The lines under ANSWERS; verdicts depend on how many there are."""
    return [_answer_cells(answer, p) for answer, p in zip(answers, adjusted(answers), strict=True)]


def _answer_cells(answer: Answer, p: float) -> tuple[str, ...]:
    low, high = answer.interval
    return (
        answer.network, answer.granularity, answer.form, f"{answer.strength:g}", f"{answer.sparsity:g}",
        f"{mean(answer.differences):+.2f}", f"{low:+.2f} to {high:+.2f}", f"{p:.2g}", verdict(answer, p),
    )  # fmt: skip


def save_picture(lines: Sequence[Line], path: Path) -> None:
    """Published rows and our claims: error against weights and against MACs, a row of panels a network."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(11, 9), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(sheet)
    panels = sheet.subplots(len(NETWORKS), 2, squeeze=False)
    of = {network: [line for line in lines if line.row.network == network] for network in NETWORKS}
    all_panels = [
        (panel, network, figure)
        for network, row in zip(NETWORKS, panels, strict=True)
        for panel, figure in zip(row, ("weights", "MACs"), strict=True)
    ]
    for panel, network, figure in all_panels:
        _draw(panel, of[network], figure)
        panel.set_title(f"{network}: test error against {figure}", loc="left", fontsize=10)
    _key(sheet)
    sheet.canvas.draw()
    sheet.set_layout_engine("none")  # names stand where they do not meet: nothing may move any more
    for panel, network, figure in all_panels:
        write_names(panel, _published(of[network], figure))
    sheet.savefig(path, format="png")


def _draw(panel: Any, lines: Sequence[Line], figure: str) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    for x, y, _ in _published(lines, figure):
        panel.plot([x], [y], marker="x", color="#52606d", markersize=7, linestyle="none")
    for claim in (claim for line in lines for claim in line.claims):
        _mark(panel, claim, figure)
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(axis="x", labelsize=8)
    panel.margins(x=0.2)
    panel.set_xlabel(f"{figure} left")
    panel.set_ylabel("test error (%)")
    panel.grid(color="#e1e5ea", linewidth=0.6)


def _published(lines: Sequence[Line], figure: str) -> list[tuple[float, float, str]]:
    """Of rows that give the figure: it, the error, the name; the smallest first."""
    known = [(line.row.weights_left if figure == "weights" else line.row.macs, line) for line in lines]
    return sorted((float(x), line.most_pct, line.row.method) for x, line in known if x is not None)


def write_names(panel: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """Writes names beside their points, where no other name is and, if there is such a place, no mark."""
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    drawn = panel.figure.canvas.get_renderer()
    marks = [panel.transData.transform(mark) for line in panel.lines for mark in line.get_xydata()]
    taken: list[Bbox] = []
    for x, y, name in points:
        places = []
        for offset, side in PLACES:
            text = panel.annotate(
                name, (x, y), offset, textcoords="offset points", fontsize=6.5, ha=side, va="center",
                arrowprops={"arrowstyle": "-", "color": "#9aa5b1", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3},
            )  # fmt: skip
            text.update_positions(drawn)
            box = Text.get_window_extent(text, drawn)  # without the line to its point
            hidden = sum(box.overlaps(each) for each in taken), sum(box.contains(*mark) for mark in marks)
            x0, y0, x1, y1 = panel.bbox.extents
            outside = not (x0 < box.x0 and box.x1 < x1 and y0 < box.y0 and box.y1 < y1)
            places.append((hidden[0] + outside, hidden[1], len(places), text, box))
        best = min(places, key=lambda place: place[:3])
        taken.append(best[4])
        for place in places:
            if place is not best:
                place[3].remove()


def _key(sheet: Any) -> None:
    """What the marks stand for."""
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], marker="x", color="#52606d", linestyle="none", label="published")]
    for helped, colour in COLOURS.items():
        label = f"ours, {'without help' if helped == 'none' else helped}"
        marks.append(Line2D([], [], marker="o", color=colour, linestyle="none", label=label))
    sheet.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=8, frameon=False)


def _mark(panel: Any, claim: Claim, figure: str) -> None:
    sizes = {
        "weights": [cut.weights_left for cut in claim.cuts],
        "MACs": [claim.row.counted(cut.macs, cut.macs_ideal) for cut in claim.cuts],
    }
    panel.errorbar(
        mean(sizes[figure]), claim.error_pct, yerr=claim.spread_pct, marker="o", markersize=5, linestyle="none",
        color=COLOURS.get(claim.setting.help, "#087f8c"), elinewidth=1,
    )  # fmt: skip

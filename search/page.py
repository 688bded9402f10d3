"""The frontier as one self-contained interactive page: nothing is loaded, no text of a user is markup."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from sparsweep.search.caption import conditions_of, drawn_figures, headline_of
from sparsweep.search.figures import WORDINGS, shown
from sparsweep.search.frontier import Frontier, dense_figures
from sparsweep.search.knee import aliases
from sparsweep.search.page_template import TEMPLATE
from sparsweep.search.panel import accuracy_band
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import write_atomically

_UP = ("accuracy", "test_accuracy")
_HEADS = ("accuracy", "test_accuracy", "sparsity", "macs", "macs_removed", "speedup", "latency_ms", "size_bytes")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page below the frontier: a title, plain lines, perhaps a figure."""

    title: str
    lines: Sequence[str] = ()
    figure: Mapping[str, Any] | None = None
    """`data` and `layout` of plotly's; their texts are escaped already, as plotly reads them as markup."""


def save_html(
    frontier: Frontier, all_points: Sequence[Point], path: Path, *, kind: str = "frontier",
    sections: Sequence[Section] = (),
) -> None:  # fmt: skip
    """Writes the page: axes to choose, figures and setting of a point on hover, the frontier as a table below.

    Args:
        kind: what the page is called beside the sweep's name.
        sections: what follows below the table.
    """
    from plotly.offline import get_plotlyjs

    figures = [
        {"id": f"figure-{at}", "data": each.figure["data"], "layout": each.figure["layout"]}
        for at, each in enumerate(sections)
        if each.figure is not None
    ]
    parts = {
        "SWEEP": escape(frontier.sweep),
        "KIND": escape(kind),
        "HEADLINE": escape(headline_of(frontier, all_points)),
        "CONDITIONS": escape(conditions_of(frontier)),
        "TABLE": _table(frontier),
        "SECTIONS": "\n".join(_section(each, at) for at, each in enumerate(sections)),
        "DATA": _embedded(_data(frontier, all_points)),
        "FIGURES": _embedded(figures),
        "PLOTLY": get_plotlyjs(),
    }
    page = TEMPLATE
    for marker, text in parts.items():
        page = page.replace(f"<!--{marker}-->", text)
    write_atomically(path, page)


def frontier_html(frontier: Frontier) -> str:
    """The frontier as a heading and a table, for a notebook; texts of users stay text."""
    told = f"{len(frontier.points)} points on the frontier of {frontier.sweep}"
    volume = f"hypervolume {frontier.macs_hypervolume:.4f} (accuracy x MACs removed)"
    return f"<p><b>{escape(told)}</b>; {volume}</p>\n{table_html(frontier)}"


def table_html(frontier: Frontier, most: int | None = None) -> str:
    """The frontier's table; texts of users stay text.

    Args:
        most: shows no more points than that, those with an alias first, and tells how many are left out.
    """
    left_out = 0 if most is None else max(len(frontier.points) - most, 0)
    more = f"\n<p>and {left_out} more</p>" if left_out else ""
    return f"<table>\n{_table(frontier, most)}\n</table>{more}"


def _embedded(content: Any) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _section(section: Section, at: int) -> str:
    lines = [f"<p>{escape(line)}</p>" for line in section.lines]
    figure = [] if section.figure is None else [f'<div class="figure" id="figure-{at}"></div>']
    return "\n".join([f"<section>\n<h2>{escape(section.title)}</h2>", *lines, *figure, "</section>"])


def _data(frontier: Frontier, all_points: Sequence[Point]) -> dict[str, Any]:
    """What the page's script draws. Texts are escaped here: plotly reads names and hover texts as markup."""
    measured = {name for point in all_points for name in point.figures() if name in WORDINGS}
    across = [name for name in (*drawn_figures(frontier, all_points), *WORDINGS) if name in measured - {*_UP}]
    methods = list(dict.fromkeys(point.method for point in all_points))
    front = {point.id for point in frontier.points}
    named = aliases(frontier.points, frontier.objectives)
    return {
        "axes": {
            name: {"label": wording.label, "axis": wording.axis, "kind": wording.kind, "better": wording.better}
            for name, wording in WORDINGS.items()
            if name in measured
        },
        "across": list(dict.fromkeys(across)) or ["sparsity"],
        "up": [name for name in _UP if name in measured] or ["accuracy"],
        "methods": [escape(method) for method in methods],
        "dense": dense_figures(all_points).get("accuracy"),
        "points": [
            {
                "figures": {name: value for name, value in point.figures().items() if name in measured},
                "front": point.id in front,
                "uncut": point.cut == "dense",
                "knee": "knee" in named and point == named["knee"],
                "method": methods.index(point.method),
                "band": accuracy_band(point),
                "text": _hover(point),
            }
            for point in all_points
        ],
    }


def _hover(point: Point) -> str:
    figures = point.figures()
    lines = [f"<b>{escape(point.method)} {escape(point.id)}</b>"]
    lines += [f"{WORDINGS[name].label}: {shown(name, figures.get(name))}" for name in _HEADS]
    lines += [f"{escape(name)} = {escape(str(value))}" for name, value in _setting(point)]
    return "<br>".join(lines)


def _setting(point: Point) -> list[tuple[str, str]]:
    """The row as short texts; the method is told elsewhere."""
    texts = {name: f"{v:.4g}" if isinstance(v, float) else str(v) for name, v in point.setting.items()}
    return [(name, text) for name, text in texts.items() if name != "method"]


def _table(frontier: Frontier, most: int | None = None) -> str:
    named = aliases(frontier.points, frontier.objectives)
    heads = "".join(f"<th>{escape(WORDINGS[name].label)}</th>" for name in _HEADS)
    words = "".join(f'<th class="text">{head}</th>' for head in ("trial/cut", "method", "version", "setting"))
    first = sorted(frontier.points, key=lambda point: point not in named.values())[:most]
    shown_now = {point.id for point in first}
    body = "\n".join(
        _row(point, [alias for alias, one in named.items() if one == point])
        for point in frontier.points
        if point.id in shown_now
    )
    return f"<thead><tr>{heads}{words}</tr></thead>\n<tbody>\n{body}\n</tbody>"


def _row(point: Point, names: Sequence[str]) -> str:
    figures = point.figures()
    numbers = "".join(f"<td>{shown(name, figures.get(name))}</td>" for name in _HEADS)
    version = " ".join([*([point.model_version] if point.model_version else []), *names])
    setting = ", ".join(f"{name} {text}" for name, text in _setting(point))
    words = "".join(f'<td class="text">{escape(text)}</td>' for text in (point.id, point.method, version))
    mark = ' class="knee"' if "knee" in names else ""
    return f'<tr{mark}>{numbers}{words}<td class="text setting">{escape(setting)}</td></tr>'

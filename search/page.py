"""The frontier as one self-contained interactive page: nothing is loaded, no text of a user is markup."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from sparsweep.search.caption import conditions_of, drawn_figures, headline_of
from sparsweep.search.figures import WORDINGS, shown
from sparsweep.search.frontier import Frontier, dense_figures
from sparsweep.search.knee import aliases
from sparsweep.search.page_template import TEMPLATE
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import write_atomically

_UP = ("accuracy", "test_accuracy")
_HEADS = ("accuracy", "test_accuracy", "sparsity", "macs", "macs_removed", "speedup", "latency_ms", "size_bytes")


def save_html(frontier: Frontier, all_points: Sequence[Point], path: Path) -> None:
    """Writes the page: axes to choose, figures and setting of a point on hover, the frontier as a table below."""
    from plotly.offline import get_plotlyjs

    parts = {
        "SWEEP": escape(frontier.sweep),
        "HEADLINE": escape(headline_of(frontier, all_points)),
        "CONDITIONS": escape(conditions_of(frontier)),
        "TABLE": _table(frontier),
        "DATA": json.dumps(_data(frontier, all_points), allow_nan=False).replace("<", "\\u003c"),
        "PLOTLY": get_plotlyjs(),
    }
    page = TEMPLATE
    for marker, text in parts.items():
        page = page.replace(f"<!--{marker}-->", text)
    write_atomically(path, page)


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


def _table(frontier: Frontier) -> str:
    named = aliases(frontier.points, frontier.objectives)
    heads = "".join(f"<th>{escape(WORDINGS[name].label)}</th>" for name in _HEADS)
    words = "".join(f'<th class="text">{head}</th>' for head in ("trial/cut", "method", "version", "setting"))
    body = "\n".join(_row(point, [alias for alias, one in named.items() if one == point]) for point in frontier.points)
    return f"<thead><tr>{heads}{words}</tr></thead>\n<tbody>\n{body}\n</tbody>"


def _row(point: Point, names: Sequence[str]) -> str:
    figures = point.figures()
    numbers = "".join(f"<td>{shown(name, figures.get(name))}</td>" for name in _HEADS)
    version = " ".join([*([point.model_version] if point.model_version else []), *names])
    setting = ", ".join(f"{name} {text}" for name, text in _setting(point))
    words = "".join(f'<td class="text">{escape(text)}</td>' for text in (point.id, point.method, version))
    mark = ' class="knee"' if "knee" in names else ""
    return f'<tr{mark}>{numbers}{words}<td class="text setting">{escape(setting)}</td></tr>'

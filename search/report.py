"""What a person sees of a frontier: a table in the terminal, a picture, a page."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from sparsweep.search.figures import Objectives, shown
from sparsweep.search.frontier import Frontier
from sparsweep.search.knee import aliases
from sparsweep.search.page import save_html
from sparsweep.search.picture import save_picture
from sparsweep.trainables.point import Point

if TYPE_CHECKING:
    from rich.table import Table

_ROOMY = 92
"""Columns from which the table may have two blanks between its columns."""
_WRITERS = {".png": save_picture, ".svg": save_picture, ".html": save_html}


def save_plot(frontier: Frontier, all_points: Sequence[Point], path: Path) -> None:
    """Writes what the ending of `path` says: `.png` or `.svg` a picture, `.html` an interactive page.

    Raises:
        ValueError: another ending, or a folder that is not there.
    """
    check_plot_path(path)
    _WRITERS[path.suffix.lower()](frontier, all_points, path)


def check_plot_path(path: Path) -> None:
    """Raises ValueError where `save_plot` could not write; to be asked before long work."""
    if path.suffix.lower() not in _WRITERS:
        raise ValueError(f"cannot draw {path.name}: end the name in {', '.join(_WRITERS)}")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path.name}: there is no folder {path.parent}; create it first")


def frontier_table(
    points: Sequence[Point], objectives: Objectives, *, title: str | None = None, width: int = 100
) -> "Table":
    """The frontier as a terminal table, one point a row; it fits 80 columns, and breathes from 92 on.

    Args:
        points: the frontier, in the order of the rows.
        objectives: the frontier's axes, which decide the aliases.
        title: a line above; plain text.
        width: columns of the terminal.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heading = Text(title, style="bold") if title else None
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    roomy = width >= _ROOMY
    table.padding = (0, 1 if roomy else 0, 0, 0)
    repeated = any(point.spread for point in points)
    for header in ("accuracy", *(("±",) if repeated else ()), "test", "sparsity", "MACs", "fewer", "speedup", "size"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("method trial/cut", overflow="fold")
    table.add_column("version", no_wrap=True)
    known = aliases(points, objectives)
    for point in points:
        names = [alias for alias, one in known.items() if one == point]
        style = "bold" if "knee" in names else ""
        version = " ".join([*([point.model_version] if point.model_version else []), *names])
        version = version if roomy else fill(version, len("most-accurate"), break_on_hyphens=False)
        accuracy, *others = _cells(point)
        spread = (_deviation(point),) if repeated else ()
        table.add_row(*(Text(cell) for cell in (accuracy, *spread, *others, version)), style=style)
    return table


def _cells(point: Point) -> tuple[str, ...]:
    fewer = f"{point.dense_macs / point.macs:.1f}x" if point.macs else shown("speedup", None)
    return (
        _percent(point.accuracy),
        _percent(point.test_accuracy),
        _percent(point.sparsity),
        shown("macs", point.macs),
        fewer,
        shown("speedup", point.speedup),
        shown("size_bytes", point.size_bytes),
        f"{point.method} {point.trial}/{point.cut}",
    )


def _deviation(point: Point) -> str:
    """The accuracy's standard deviation over seeds, in percentage points; of a setting that failed with one, that."""
    if point.spread is None or (deviation := point.spread.deviation("accuracy")) is None:
        return "" if point.spread is None or not point.spread.failed else "failed"
    return f"{100 * deviation:.1f}" + ("*" if point.spread.failed else "")


def _percent(share: float | None) -> str:
    return shown("accuracy", share).replace(" ", "")

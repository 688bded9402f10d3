"""Rows of figures side by side, against their targets, as text and as Markdown. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

HEADERS = ("figure", "unit", "ours", "bare Ray", "plain script", "target", "")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of ours, beside the same of a bare Ray class trainable and of the plain script where there is one."""

    name: str
    unit: str
    ours: float | None = None
    bare: float | None = None
    plain: float | None = None
    limit: float | None = None
    """The target: `ours` at most this; None where none is set."""

    @property
    def missed(self) -> bool:
        return self.limit is not None and not (self.ours is not None and self.ours <= self.limit)

    def cells(self) -> tuple[str, ...]:
        """As they stand under HEADERS."""
        target = "" if self.limit is None else f"≤ {number(self.limit)}"
        mark = "" if self.limit is None else "MISSED" if self.missed else "met"
        return (self.name, self.unit, number(self.ours), number(self.bare), number(self.plain), target, mark)


def number(value: float | None) -> str:
    """A whole number as it is, else three digits that say something; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def as_text(rows: Sequence[Row]) -> str:
    """The rows under HEADERS, for the terminal."""
    return lines_as_text(HEADERS, [row.cells() for row in rows], left=2)


def lines_as_text(headers: Sequence[str], lines: Sequence[Sequence[str]], *, left: int = 0) -> str:
    """A table whose columns are as wide as they must be; the first `left` ones are flush left."""
    widths = [max(map(len, column)) for column in zip(headers, *lines, strict=True)]

    def aligned(line: Sequence[str]) -> str:
        cells = enumerate(zip(line, widths, strict=True))
        return "  ".join(cell.ljust(wide) if at < left else cell.rjust(wide) for at, (cell, wide) in cells)

    return "\n".join([aligned(headers), "─" * len(aligned(headers)), *map(aligned, lines)])


def as_markdown(title: str, command: str, machine: Mapping[str, Any], headers: Sequence[str],
                lines: Sequence[Sequence[str]], remarks: Sequence[str]) -> str:  # fmt: skip
    """A page that says what was run, where, and what came out."""
    where = [f"- {name}: {value}" for name, value in machine.items()]
    table = [f"| {' | '.join(headers)} |", f"|{'---|' * len(headers)}", *(f"| {' | '.join(line)} |" for line in lines)]
    said = [f"- {remark}" for remark in remarks]
    return "\n".join([f"# {title}", "", f"`{command}`", "", *where, "", *table, "", *said, ""])


def as_json(rows: Sequence[Row], machine: Mapping[str, Any]) -> dict[str, Any]:
    """All figures by name, with the machine."""
    return {"machine": dict(machine), "figures": [{**asdict(row), "missed": row.missed} for row in rows]}

"""Faults of a sweep file: all of them in one message, each with its line and in plain words."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

Place = tuple[str | int, ...]
"""Where in the file: keys and list positions from the top, as in ("constraints", 0)."""

MOST_SHOWN: Final = 100


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong, and what to do about it."""

    place: Place
    text: str
    line: int | None = None
    """From 1; None where the fault is not in the file's text."""
    origin: str | None = None
    """What gave the value instead of the file's text, such as `--trials`."""

    def __str__(self) -> str:
        lead = self.origin or (f"line {self.line}" if self.line else "")
        where = "" if self.origin else written(self.place)
        return visible(": ".join(part for part in (lead, where, self.text) if part))


class SweepFileError(ValueError):
    """A sweep file that cannot be used; `str` is the message for the user."""

    def __init__(self, title: str, faults: Iterable[Fault] = ()) -> None:
        self.faults = tuple(sorted(dict.fromkeys(faults), key=_in_file))
        count = len(self.faults)
        title = visible(title)
        lines = [f"{title}: {count} fault{'s' if count > 1 else ''}" if count else title]
        lines += [f"  {fault}" for fault in self.faults[:MOST_SHOWN]]
        if count > MOST_SHOWN:
            lines.append(f"  and {count - MOST_SHOWN} more")
        super().__init__("\n".join(lines))


def _in_file(fault: Fault) -> tuple[int, list[str]]:
    """By line, what has none last; then by place, list positions in their order."""
    return fault.line or 1 << 62, [f"{part:09}" if isinstance(part, int) else part for part in fault.place]


def visible(text: str) -> str:
    """The text on one line, with what a terminal would obey or hide spelled out: `\\x1b[2J`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def written(place: Place) -> str:
    """`space.sparsity_strength`, `constraints[1]` (positions from 1, as people count)."""
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{_short(part)}"
    return text.removeprefix(".")


def shown(value: object) -> str:
    """A value as its writer would know it again, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return repr(_short(value)) if isinstance(value, str) else _short(str(value))


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean objectives?`, or nothing where no allowed name is near."""
    by_lower = {candidate.lower(): candidate for candidate in allowed}
    close = difflib.get_close_matches(name.lower()[:100], by_lower, n=1)
    begun = [candidate for candidate in by_lower if candidate.startswith(f"{name.lower()[:100]}_")]
    meant = close or begun
    return f"; did you mean {' or '.join(by_lower[each] for each in meant)}?" if meant else ""


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."

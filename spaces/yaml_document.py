"""YAML text as plain data that remembers the line of every key.

Scalars are read by the core schema of YAML 1.2, where `3e-4` is a number and `no` is a word. Anchors, aliases, tags and
doubled keys are faults: a sweep file needs none of them, and they hide mistakes (or bombs).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from sparsweep.spaces.faults import Fault, Place, SweepFileError, shown

DEEPEST: Final = 20
MOST_EVENTS: Final = 20_000
LONGEST_NUMBER: Final = 40
_INT: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, object]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_UNPRINTABLE: Final = yaml.reader.Reader.NON_PRINTABLE


@dataclass(frozen=True, kw_only=True)
class Document:
    """A mapping with string keys; sequences are tuples. What is unreadable stands as None and is among the faults."""

    data: dict[str, Any]
    lines: dict[Place, int]
    faults: tuple[Fault, ...]

    def line_of(self, place: Place) -> int | None:
        """The line of the place, or of the innermost thing around it that has one."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.lines:
                return self.lines[place[:length]]
        return None


def read_document(text: str, title: str) -> Document:
    """The text as data.

    Raises:
        SweepFileError: it is empty, not YAML, not one mapping, or past the bounds of any honest sweep file.
    """
    bad = _UNPRINTABLE.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        fault = Fault(place=(), line=line, text=f"control character U+{ord(bad[0]):04X}: remove it")
        raise SweepFileError(title, [fault])
    reader = _Reader(title, _events(text, title))
    data = reader.document()
    return Document(data=data, lines=reader.lines, faults=tuple(reader.faults))


def _events(text: str, title: str) -> Iterator[Any]:
    """The parser's events; whatever it stumbles over becomes one fault."""
    try:
        for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
            if number > MOST_EVENTS:
                raise _fatal(title, event, f"more than {MOST_EVENTS} entries: no sweep needs so many")
            yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        column = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = "; ".join(part for part in (error.context, error.problem) if part)
        hint = ": indent with spaces" if "'\\t'" in problem else ""
        raise SweepFileError(title, [Fault(place=(), text=f"{column}not YAML: {problem}{hint}")]) from None
    except SweepFileError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError):  # such as the escape "\UFFFFFFFF"
        raise SweepFileError(title, [Fault(place=(), text="not YAML: an escape or directive is wrong")]) from None


def _fatal(title: str, event: Any, text: str) -> SweepFileError:
    return SweepFileError(title, [Fault(place=(), line=_line(event), text=text)])


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


@dataclass
class _Reader:
    title: str
    events: Iterator[Any]
    lines: dict[Place, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise SweepFileError(self.title, [Fault(place=(), text=_EMPTY)])
        event = next(self.events)
        if not isinstance(event, yaml.MappingStartEvent):
            nothing = isinstance(event, yaml.ScalarEvent) and event.value == ""
            text = _EMPTY if nothing else "the top is not a mapping: start with lines such as task: {...}"
            raise _fatal(self.title, event, text)
        data = self._value(event, ())
        next(self.events)  # the document's end
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _fatal(self.title, event, "a second document begins here: one sweep a file")
        assert isinstance(data, dict)
        return data

    def _fault(self, place: Place, event: Any, text: str) -> None:
        self.faults.append(Fault(place=place, line=_line(event), text=text))

    def _value(self, event: Any, place: Place) -> Any:
        if len(place) > DEEPEST:
            raise _fatal(self.title, event, f"nested more than {DEEPEST} deep: no sweep is")
        if event.anchor is not None:
            sign = "alias *" if isinstance(event, yaml.AliasEvent) else "anchor &"
            self._fault(place, event, f"{sign}{event.anchor} is not read here: write the value out")
        if isinstance(event, yaml.AliasEvent):
            return None
        if event.tag not in (None, "!"):
            self._fault(place, event, f"tag {shown(event.tag)} is not read here: write the plain value")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(place)
        return self._scalar(event, place)

    def _mapping(self, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._fault(place, event, "a key must be one plain word")
                self._value(event, (*place, "?"))
                self._value(next(self.events), (*place, "?"))
                continue
            key = event.value
            here = (*place, key)
            if key in found:
                self._fault(here, event, f"written twice (first on line {self.lines[here]}): keep one")
            self.lines.setdefault(here, _line(event))
            value = self._value(next(self.events), here)
            if event.anchor is not None or event.tag is not None or _UNPRINTABLE.search(key):
                self._fault(here, event, "a key must be one plain word")  # and it goes no further
            else:
                found.setdefault(key, value)
        return found

    def _sequence(self, place: Place) -> tuple[Any, ...]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            here = (*place, len(found))
            self.lines[here] = _line(event)
            found.append(self._value(event, here))
        return tuple(found)

    def _scalar(self, event: Any, place: Place) -> object:
        text: str = event.value
        if _UNPRINTABLE.search(text):
            self._fault(place, event, "holds a control character: remove it")
            return None
        if event.style is not None:
            return text
        if text in _WORDS:
            return _WORDS[text]
        number = _INT.fullmatch(text) or _FLOAT.fullmatch(text)
        if not number:
            return text
        if len(text) > LONGEST_NUMBER:
            self._fault(place, event, f"a number of {len(text)} characters: write at most {LONGEST_NUMBER}")
            return None
        return int(text) if _INT.fullmatch(text) else float(text)


_EMPTY: Final = "the file is empty: at least task: {network: NAME, data: NAME} is needed"

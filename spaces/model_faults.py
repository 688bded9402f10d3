"""What the models found wrong, in plain sentences: key, what was given, what is allowed, what to do."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from sparsweep.spaces.faults import Fault, Place, nearest, shown
from sparsweep.spaces.space import Choice, Float, Int
from sparsweep.spaces.sweep_file import SweepFile

_RANGES: Final[Mapping[str, type[BaseModel]]] = {"Float": Float, "Int": Int, "Choice": Choice}
_SCALARS: Final = ("str", "bool", "int", "float")
_HOW: Final = {
    "task": "write task: {network: NAME, data: NAME}",
    "task.network": "write network: NAME (see sparsweep list tasks)",
    "task.data": "write data: NAME (see sparsweep list tasks)",
    "objectives.accuracy": "a frontier needs it: write accuracy: max",
}


def model_faults(data: Mapping[str, Any]) -> tuple[SweepFile | None, list[Fault]]:
    """The sweep that the data spell, or else every fault that can be seen without a catalogue (lines not yet known)."""
    try:
        return SweepFile.model_validate(data), []
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, list(dict.fromkeys(fault for detail in details for fault in _faults(detail)))


def _faults(detail: Any) -> Iterator[Fault]:
    place, scalar = _place(detail["loc"])
    if scalar:
        yield Fault(
            place=place, text=f"{shown(detail['input'])} cannot be a value: write a word, a number, true or false"
        )
        return
    say = _SENTENCES.get(detail["type"], _unforeseen)
    yield Fault(place=place, text=say(place, detail["input"], detail.get("ctx", {})))


def _place(loc: tuple[str | int, ...]) -> tuple[Place, bool]:
    """Where the user wrote it: without the names of the models; and whether it is one of a value's four kinds."""
    parts = list(loc)
    if len(parts) > 2 and parts[0] == "space" and parts[2] in _RANGES:
        del parts[2]
    in_space = parts[0] == "space" and len(parts) == 5 and parts[2] == "choices"
    in_trial = parts[0] == "trial" and len(parts) == 3
    in_points = parts[0] == "points" and len(parts) == 4
    if (in_space or in_trial or in_points) and parts[-1] in _SCALARS:
        return tuple(parts[:-1]), True
    return tuple(parts), False


def _keys(place: Place) -> tuple[str, ...]:
    """The keys that the mapping at the place may have."""
    model: Any = SweepFile
    if place[:1] == ("space",) and len(place) == 2:
        return tuple(dict.fromkeys(name for kind in _RANGES.values() for name in kind.model_fields))
    for part in place:
        field = {info.alias or name: info for name, info in model.model_fields.items()}[str(part)]
        model = field.annotation
        model = next((kind for kind in get_args(model) if hasattr(kind, "model_fields")), model)  # of `Price | None`
    return tuple(info.alias or name for name, info in model.model_fields.items())


def _unknown_key(place: Place, given: Any, ctx: Any) -> str:
    keys = _keys(place[:-1])
    if place[0] == "space" and place[-1] in keys:
        return "does not go with the others: write {low: …, high: …} or {choices: […]}"
    return "unknown key" + (nearest(str(place[-1]), keys) or f" (allowed: {', '.join(keys)})")


def _missing(place: Place, given: Any, ctx: Any) -> str:
    if place[0] == "space":
        return "is missing: write {low: …, high: …} or {choices: […]}"
    return f"is missing: {_HOW['.'.join(map(str, place))]}"


def _one_of(place: Place, given: Any, ctx: Any) -> str:
    if place[0] == "objectives":
        return f"{shown(given)} is not its direction: write {place[-1]}: {ctx['expected'].strip(chr(39))}"
    allowed = [word.strip("'") for word in ctx["expected"].replace(" or ", ", ").split(", ")]
    return f"{shown(given)} is not one of {', '.join(allowed)}{nearest(str(given), allowed)}"


def _mapping(place: Place, given: Any, ctx: Any) -> str:
    if place[0] == "space" and len(place) == 2:
        return f"{shown(given)} is not a range: write {{low: …, high: …}}, {{choices: […]}} or one value"
    if place[-1] == "cost_per_hour":
        return f"{shown(given)} is not a mapping: write {{gpu: 2.50}} or {{cpu: 0.04}}, the price of one for an hour"
    if place[0] == "points":
        return f"{shown(given)} is not a setting: write {{knob: value, …}}"
    return f"{shown(given)} is not a mapping: write {place[-1]}: {{key: value}}"


def _said(text: str) -> Callable[[Place, Any, Any], str]:
    return lambda place, given, ctx: f"{shown(given)} {text.format(**ctx)}"


def _unforeseen(place: Place, given: Any, ctx: Any) -> str:
    return f"{shown(given)} cannot be used here"


_WHOLE: Final = _said("is not a whole number: write one, such as 8")
_NUMBER: Final = _said("is not a number: write one, such as 0.01")
_SENTENCES: Final[Mapping[str, Callable[[Place, Any, Any], str]]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "literal_error": _one_of,
    "value_error": lambda place, given, ctx: str(ctx["error"]),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type", "mapping_type"), _mapping),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    "finite_number": _said("is not a finite number: write one, such as 0.01"),
    "bool_type": _said("is neither true nor false: write one of them"),
    "string_type": _said("is not text: write a word, in quotes if it looks like a number"),
    "tuple_type": _said("is not a list: write [...]"),
    "greater_than": _said("is too small: it must be more than {gt:g}"),
    "greater_than_equal": _said("is too small: it must be at least {ge:g}"),
    "less_than_equal": _said("is too large: it must be at most {le}"),
    "less_than": _said("is too large: it must be less than {lt:g}"),
    "dataclass_exact_type": _said("is not a constraint: write one in quotes, such as 'accuracy >= 0.97'"),
}

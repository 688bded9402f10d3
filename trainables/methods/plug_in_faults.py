"""What is wrong with a user's class, read off the class alone: every fault at once, in words."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from sparsweep.spaces.catalogue import misfit, misfits
from sparsweep.spaces.faults import nearest
from sparsweep.spaces.space import Choice, Float, Int, Space
from sparsweep.trainables.methods.method import Method
from sparsweep.trainables.options import ALLOWED

FUNCTIONS = ("check", "prepare", "learning_rates", "penalty", "after_step", "fold", "scores")
NOT_KNOBS = {"method", "time_limit", *ALLOWED}


def class_faults(found: Any) -> Iterator[str]:
    """Everything that keeps `found` from being a method; nothing where it is one."""
    if not isinstance(found, type):
        yield f"is a {type(found).__name__}, not a class: write class NAME(Method)"
    elif not issubclass(found, Method):
        lacks = [name for name in FUNCTIONS if not callable(getattr(found, name, None))]
        missing = f"; it also lacks {', '.join(lacks)}, of which a Method inherits all but scores" if lacks else ""
        yield f"is not a Method: write class {found.__name__}(Method){missing}"
    else:
        yield from _shape_faults(found)
        attributes = list(_attribute_faults(found))
        yield from attributes or _range_faults(found)


def _shape_faults(found: type[Method]) -> Iterator[str]:
    """How the class is made."""
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        yield f"lacks {', '.join(missing)}: define it in the class"
    if wrong := [name for name in FUNCTIONS if not callable(getattr(found, name))]:
        yield f"{', '.join(wrong)} cannot be called: a method's functions are functions"
    params = vars(found).get("__dataclass_params__")
    if params is None or not is_dataclass(found):
        yield f"is not a dataclass: write @dataclass(frozen=True, kw_only=True) above class {found.__name__}"
        return
    open_fields = [field.name for field in fields(found) if not field.kw_only]
    if not params.frozen or open_fields:
        yield f"is not frozen and kw_only: write @dataclass(frozen=True, kw_only=True) above class {found.__name__}"
    for field in fields(found):
        if field.init and field.default is MISSING and field.default_factory is MISSING:
            yield f"knob {field.name} has no default: give it one"


def _attribute_faults(found: type[Method]) -> Iterator[str]:
    """What stands beside the knobs: is all there, and of the right kind?"""
    kinds = {
        "paper": (str, "text: where the method is from, such as 'none'"),
        "allowed": (Mapping, "a mapping from every knob to the widest legal Float, Int or Choice"),
        "default_space": (Space, "a Space of the knobs that are searched by default"),
        "known_good": (tuple, "a tuple of settings, such as ({'threshold': 0.1},)"),
        "descends": (bool, "true or false"),
        "wants_classes": (bool, "true or false"),
    }
    for name, (kind, meaning) in kinds.items():
        value = getattr(found, name, MISSING)
        if value is MISSING:
            yield f"lacks {name}: {meaning}"
        elif not isinstance(value, kind):
            yield f"{name} is {_a(value)}; it must be {meaning}"
    allowed, rows = getattr(found, "allowed", None), getattr(found, "known_good", None)
    for knob, legal in allowed.items() if isinstance(allowed, Mapping) else ():
        if not isinstance(legal, Float | Int | Choice):
            yield f"allowed: {knob} is {_a(legal)}; it must be a Float, Int or Choice"
    for at, row in enumerate(rows if isinstance(rows, tuple) else ()):
        if not isinstance(row, Mapping):
            yield f"known_good[{at}] is {_a(row)}; it must be a mapping from knobs to values"


def _range_faults(found: type[Method]) -> Iterator[str]:
    """Do knobs, ranges, defaults and settings agree?"""
    knobs = {field.name: field for field in fields(found) if field.init} if is_dataclass(found) else {}
    for knob, legal in found.allowed.items():
        if knob in NOT_KNOBS:
            yield f"allowed: {knob} is an option of the trial: give the knob another name"
        elif knob not in knobs:
            yield f"allowed: {knob} is not a field of the class{nearest(knob, knobs)}: write {knob}: float = ..."
        elif (default := knobs[knob].default) is not MISSING:
            yield from (f"the default of {knob}: {text}" for text in misfit(default, legal))
    legal_of = {**ALLOWED, **found.allowed}
    for searched in found.default_space.knobs:
        if searched.name not in legal_of:
            yield f"default_space: unknown knob {searched.name}{nearest(searched.name, legal_of)}: add it to allowed"
        else:
            wrong = misfits(searched.range, legal_of[searched.name])
            yield from (f"default_space: {searched.label}: {text}" for text in wrong)
    for at, row in enumerate(found.known_good):
        for name, value in row.items():
            if name not in legal_of:
                yield f"known_good[{at}]: unknown knob {name}{nearest(name, legal_of)}"
            else:
                yield from (f"known_good[{at}]: {name}: {text}" for text in misfit(value, legal_of[name]))


def _a(value: object) -> str:
    return f"of type {type(value).__name__}"

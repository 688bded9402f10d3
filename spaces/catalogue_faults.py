"""What a sweep file asks for that the catalogue does not have, or that its method or trial cannot take.

Works on the file's data before they are known to be sound, so that all faults come at once: what has not the right
shape is passed over here, as the models report it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from sparsweep.spaces.catalogue import ZOO, Catalogue, is_plug_in, misfit, misfits
from sparsweep.spaces.duration import duration_s
from sparsweep.spaces.faults import Fault, nearest, shown
from sparsweep.spaces.space import Choice, Float, Int, Value
from sparsweep.spaces.sweep_file import SweepFile, user_range


def catalogue_faults(data: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Fault]:
    """Every fault of the data (lines not yet known) that needs the catalogue to be seen."""
    task, trial, space = (_mapping(data.get(key)) for key in ("task", "trial", "space"))
    yield from _task_faults(task, catalogue)
    listed = data.get("methods", SweepFile.model_fields["methods"].default)
    named = [(at, name) for at, name in enumerate(listed) if isinstance(name, str)] if _is_list(listed) else []
    faults = {at: text for at, name in named if (text := _method_fault(name, catalogue))}
    yield from (Fault(place=("methods", at), text=text) for at, text in faults.items())
    methods = tuple(dict.fromkeys(name for at, name in named if at not in faults))
    # with a misspelt method among them no knob can be called unknown
    sure = bool(methods) and not faults and not any(map(catalogue.trusts, methods))
    yield from _trial_faults(trial, methods, catalogue)
    yield from _space_faults(space, trial, methods if sure else (), catalogue)


def _method_fault(name: str, catalogue: Catalogue) -> str | None:
    """What is wrong with a method's name, or with the user's method that it stands for."""
    try:
        catalogue.entry(name)
    except KeyError:
        return f"{_unknown('method', name, catalogue.methods).removesuffix(')')}, or module:Class of your own)"
    except ValueError as fault:
        return str(fault)
    return None


def _task_faults(task: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Fault]:
    known: dict[str, Mapping[str, Any]] = {
        "network": catalogue.networks, "data": catalogue.data,
        "loss": {"cross_entropy": ()}, "score": {"accuracy": ()},
    }  # fmt: skip
    for key, table in known.items():
        name = task.get(key)
        if isinstance(name, str) and name not in table and (text := _name_fault(key, name, table, catalogue)):
            yield Fault(place=("task", key), text=text)
    network, data = task.get("network"), task.get("data")
    if isinstance(network, str) and isinstance(data, str):
        yield from _shape_faults(network, data, task, catalogue)


def _name_fault(key: str, name: str, table: Mapping[str, Any], catalogue: Catalogue) -> str | None:
    """What is wrong with a name that is none of the table's."""
    if key == "network" and name.startswith(ZOO):
        return None  # torchvision knows: asked before anything is trained
    if not is_plug_in(name):
        return _unknown(key, name, table)
    try:
        if catalogue.function is not None:
            catalogue.function(name)
    except ValueError as fault:
        return str(fault)
    return None


def _shape_faults(network: str, data: str, task: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Fault]:
    takes, gives = catalogue.networks.get(network, ()), catalogue.data.get(data, ())
    if takes and gives and takes != gives:
        fitting = [name for name, shape in catalogue.networks.items() if shape == gives]
        advice = f"use {' or '.join(fitting)} for these data" if fitting else "no built-in network takes these data"
        text = f"network {network} takes {_by(takes)}, but data {data} gives {_by(gives)}: {advice}"
        yield Fault(place=("task",), text=text)
    for key in ("example_shape", "num_classes"):
        if takes and key in task:
            text = f"network {network} takes {_by(takes)} and has outputs of its own: leave {key} out"
            yield Fault(place=("task", key), text=text)
    if gives and not takes and isinstance(shape := task.get("example_shape"), tuple) and shape != gives:
        text = f"data {data} gives {_by(gives)}: leave example_shape out"
        yield Fault(place=("task", "example_shape"), text=text)
    if "stem" in task and not network.startswith(ZOO):
        yield Fault(place=("task", "stem"), text=f"is for networks of torchvision, not for {network}: leave it out")
    if "corrupt" in task and data != "imagefolder":
        yield Fault(place=("task", "corrupt"), text=f"is for data: imagefolder, not for {data}: leave it out")


def _trial_faults(trial: Mapping[str, Any], methods: tuple[str, ...], catalogue: Catalogue) -> Iterator[Fault]:
    for name, value in trial.items():
        place = ("trial", name)
        owners = _owners(name, methods, catalogue)
        if name not in catalogue.trial and owners:
            text = f"is a knob of {' and '.join(owners)}, not an option of the trial: write it under space"
            yield Fault(place=place, text=text)
        elif name not in catalogue.trial:
            yield Fault(place=place, text=_unknown("option", name, catalogue.trial))
        elif name == "time_limit":
            try:
                duration_s(value)
            except ValueError as error:
                yield Fault(place=place, text=str(error))
        elif isinstance(value, Value):
            ranges = [catalogue.trial[name], *(catalogue.range_of(method, name) for method in methods)]
            for allowed in ranges:
                if allowed is not None:
                    yield from (Fault(place=place, text=text) for text in misfit(value, allowed))


def _space_faults(
    space: Mapping[str, Any], trial: Mapping[str, Any], methods: tuple[str, ...], catalogue: Catalogue
) -> Iterator[Fault]:
    ranges = {name: given for name, value in space.items() if (given := _range(value)) is not None}
    for name in space:
        place = ("space", name)
        if name in trial:
            yield Fault(place=place, text="is searched here and fixed under trial: keep one of the two")
        if name in ("method", "time_limit"):
            where = "methods" if name == "method" else "trial or budget"
            yield Fault(place=place, text=f"cannot be searched: write it under {where}")
        elif methods and not _homes(name, methods, catalogue):
            yield Fault(place=place, text=_unknown_knob(name, methods, catalogue))
        elif name in ranges and methods:
            texts = [text for allowed in _homes(name, methods, catalogue) for text in misfits(ranges[name], allowed)]
            yield from (Fault(place=place, text=text) for text in dict.fromkeys(texts))
            yield from (Fault(place=place, text=text) for text in _idle(name, ranges, methods, catalogue))


def _homes(name: str, methods: Iterable[str], catalogue: Catalogue) -> list[Float | Int | Choice]:
    """The widest ranges of the knob in the chosen methods and the trial; none where there is no such knob."""
    found = [catalogue.range_of(method, name) for method in methods]
    return [allowed for allowed in found if allowed is not None]


def _idle(
    name: str, ranges: Mapping[str, Float | Int | Choice], methods: Iterable[str], catalogue: Catalogue
) -> Iterator[str]:
    """A knob that the file's other ranges keep out of every row."""
    takers = [entry for entry in map(catalogue.entry, methods) if entry.takes(name)]
    conditions = [entry.space.condition_of(name) for entry in takers]
    unmet = [[(k, v) for k, v in each.items() if k in ranges and v not in ranges[k]] for each in conditions]
    if unmet and all(unmet):
        knob, value = unmet[0][0]
        yield f"would do nothing: it needs {knob} = {shown(value)}, which {knob} under space excludes"


def _unknown_knob(name: str, methods: tuple[str, ...], catalogue: Catalogue) -> str:
    knobs = {knob for method in methods for knob in catalogue.entry(method).allowed}
    if others := _owners(name, methods, catalogue):
        wrong = f"is a knob of {' and '.join(others)}, not of {' or '.join(methods)}: list such a method, or remove it"
        return f"{wrong} (knobs of {' and '.join(methods)}: {', '.join(sorted(knobs))})"
    return _unknown("knob", name, sorted(knobs | set(catalogue.trial) - {"time_limit"}))


def _owners(knob: str, methods: tuple[str, ...], catalogue: Catalogue) -> list[str]:
    """The methods that have this knob, the sweep's own first."""
    known = dict.fromkeys((*methods, *catalogue.methods))
    return [method for method in known if knob in catalogue.entry(method).allowed]


def _unknown(what: str, name: str, allowed: Iterable[str]) -> str:
    names = tuple(allowed)
    return f"unknown {what} {shown(name)}{nearest(name, names)} (allowed: {', '.join(names)})"


def _range(value: Any) -> Float | Int | Choice | None:
    try:
        return user_range.validate_python(value)
    except ValidationError:
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))

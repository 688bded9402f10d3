"""Methods that cannot serve the sweep's network: found before anything is started, told all at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, product
from pathlib import Path

import torch
from torch import nn

from sparsweep.spaces.catalogue import is_plug_in
from sparsweep.spaces.faults import shown
from sparsweep.spaces.space import Choice, Row, Space, Value
from sparsweep.trainables.measures.runtimes import absent
from sparsweep.trainables.methods import Method, method_of
from sparsweep.trainables.rehearsal import random_state_kept, rehearse
from sparsweep.trainables.tasks import Task
from sparsweep.trainables.tasks.data import even_sample
from sparsweep.trainables.tasks.soundness import check_task

MOST_SETTINGS = 128
"""How many combinations of a method's choices are checked; every single choice is among the first of them."""
REHEARSED_EXAMPLES = 64


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What a method says of the network at some of its settings."""

    method: str
    text: str
    settings: tuple[Row, ...]


def refuse_absent(runtimes: Sequence[str], on: str = "cpu") -> None:
    """Raises ValueError where a runtime that networks are to be timed in cannot be had here; all are told."""
    reasons = {runtime: reason for runtime in runtimes if (reason := absent(runtime, on))}
    if reasons:
        raise ValueError("; ".join(f"runtime {runtime}: {reason}" for runtime, reason in reasons.items()))


def refuse_unsuitable(methods: Sequence[str], space: Space, task: Task, code_root: Path | None) -> None:
    """Builds every method at every combination of its choices and asks it; a user's own is also rehearsed.

    Raises:
        ValueError: something was refused; names method, setting, network and what the method says to do.
    """
    lines: list[str] = []
    with random_state_kept():
        check_task(task)
        # as a trial builds it: some operations depend on the memory layout
        net = task.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name in methods:
            rows = settings_of(name, method_of(name, code_root), space)
            refusals = _refusals(name, rows, net, task, code_root)
            lines += [_line(refusal, rows) for refusal in refusals]
    if lines:
        raise ValueError("\n  ".join([f"the network {task.network} cannot be pruned as the sweep asks:", *lines]))


def settings_of(name: str, method: type[Method], space: Space) -> list[Row]:
    """Settings of the method in the space, one for every combination of those of its knobs that are choices.

    Other knobs have the value of the method's first known-good setting, or one near it. At most MOST_SETTINGS.
    """
    own = space.fixing({"method": name})
    choices: dict[str, dict[Value, None]] = {}
    for knob in own.knobs:
        if knob.name in method.allowed and isinstance(knob.range, Choice):
            choices.setdefault(knob.name, {}).update(dict.fromkeys(knob.range.choices))
    usual = {**(method.known_good[0] if method.known_good else {}), **{k: next(iter(v)) for k, v in choices.items()}}
    singles = ({**usual, knob: value} for knob, values in choices.items() for value in values)
    combined = ({**usual, **dict(zip(choices, values, strict=True))} for values in product(*choices.values()))
    rows = (own.nearest(row) for row in islice(chain(singles, combined), MOST_SETTINGS))
    return list({tuple(sorted(row.items())): row for row in rows}.values())


def _refusals(name: str, rows: Sequence[Row], net: nn.Module, task: Task, code_root: Path | None) -> Iterator[Refusal]:
    found: dict[str, list[Row]] = {}
    rehearsed: set[tuple[str, Value]] = set()
    chosen = method_of(name, code_root)
    for row in rows:
        knobs = {knob: value for knob, value in row.items() if knob in chosen.allowed}
        fresh = is_plug_in(name) and (not rehearsed or not rehearsed.issuperset(knobs.items()))
        rehearsed |= set(knobs.items())
        if text := _refusal(chosen, knobs, net, task, rehearsing=fresh):
            found.setdefault(text, []).append(row)
    for text, refused in found.items():
        yield Refusal(method=name, text=text, settings=tuple(refused))


def _refusal(chosen: type[Method], knobs: Row, net: nn.Module, task: Task, *, rehearsing: bool) -> str | None:
    """Why the method cannot be run with these knobs; None where it can."""
    if chosen.wants_classes and not task.load().has_classes:
        return "it reads each label as one class, and these data have other targets: leave the method out"
    try:
        method = chosen(**knobs)
        method.check(net, task.example_shape)
    except ValueError as fault:
        return str(fault)
    except Exception as fault:
        return f"check raised {type(fault).__name__}: {' '.join(str(fault).split())}"
    if not rehearsing:
        return None
    sample = even_sample(task.load().train, REHEARSED_EXAMPLES, torch.Generator().manual_seed(0))
    try:
        rehearse(method, net, sample, task.example_shape, task.loss_function())
    except ValueError as fault:
        return str(fault)
    return None


def _line(refusal: Refusal, rows: Sequence[Row]) -> str:
    """One refusal; of the setting only what tells the refused from the others."""
    telling: dict[str, dict[Value, None]] = {}
    matching = list(rows)
    for knob in dict.fromkeys(knob for row in rows for knob in row):
        here, anywhere = (_values(knob, each) for each in (refusal.settings, matching))
        if here and len(here) < len(anywhere):
            telling[knob] = here
            matching = [row for row in matching if row.get(knob) in here]
    told = [f"{knob} = {' or '.join(map(_plain, values))}" for knob, values in telling.items()]
    setting = f" with {', '.join(told)}" if told else ""
    return f"method {refusal.method}{setting}: {refusal.text}"


def _values(knob: str, rows: Sequence[Mapping[str, Value]]) -> dict[Value, None]:
    return dict.fromkeys(row[knob] for row in rows if knob in row)


def _plain(value: Value) -> str:
    return value if isinstance(value, str) else shown(value)

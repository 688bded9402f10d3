"""A row as Optuna stores it, and back: one parameter a label, and `label.zero` where a range may be exactly 0.

Two layouts. In the study a row has the parameters that apply to it. A sampler that cannot handle parameters which come
and go (Gaussian process, genetic) sees every parameter in every row; those that do not apply have their range's middle.
"""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sparsweep.spaces.draw import ZERO
from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space, Value


def suggest(trial: optuna.Trial, label: str, allowed: Float | Int | Choice) -> Value:
    """The trial's value for a labelled range, drawn now or read if it has one."""
    value: Value
    if isinstance(allowed, Choice):
        value = trial.suggest_categorical(label, list(allowed.choices))
    elif isinstance(allowed, Int):
        value = trial.suggest_int(label, allowed.low, allowed.high, log=allowed.log)
    elif allowed.or_zero and trial.suggest_categorical(label + ZERO, [False, True]):
        value = 0.0
    else:
        value = trial.suggest_float(label, allowed.low, allowed.high, log=allowed.log)
    return value


def suggest_all(trial: optuna.Trial, space: Space) -> Row:
    """The row that the trial's values make when every parameter is asked for, whether it applies or not."""
    zeros = {k.label: trial.suggest_categorical(k.label + ZERO, [False, True]) for k in space.knobs if _has_zero(k)}
    plain = {knob.label: suggest(trial, knob.label, _without_zero(knob.range)) for knob in space.knobs}
    return space.row(lambda label, _: 0.0 if zeros.get(label) else plain[label])


def parameters(space: Space, row: Mapping[str, Value]) -> dict[str, Any]:
    """The row as the study stores it."""
    ranges = {knob.label: knob.range for knob in space.knobs}
    found: dict[str, Any] = {}
    for label, value in space.labels_of(row).items():
        allowed = ranges[label]
        if isinstance(allowed, Choice):
            found[label] = value
            continue
        zero = isinstance(allowed, Float) and allowed.or_zero and value == 0
        if isinstance(allowed, Float) and allowed.or_zero:
            found[label + ZERO] = zero
        if not zero:
            found[label] = value
    return found


def all_parameters(space: Space, row: Mapping[str, Value]) -> dict[str, Any]:
    """The row with every parameter of the space; those that do not apply to it have their range's middle."""
    middles = {knob.label: _middle(knob) for knob in space.knobs}
    return {**{k.label + ZERO: False for k in space.knobs if _has_zero(k)}, **middles, **parameters(space, row)}


def row_of(space: Space, found: Mapping[str, Any]) -> Row | None:
    """The row that stored parameters spell; None where one is missing, as of a proposal that was cut short."""
    try:
        return space.row(lambda label, _: 0.0 if found.get(label + ZERO) else found[label])
    except KeyError:
        return None


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """By parameter what Optuna may draw."""
    found: dict[str, BaseDistribution] = {}
    for knob in space.knobs:
        allowed = knob.range
        if isinstance(allowed, Choice):
            found[knob.label] = CategoricalDistribution(list(allowed.choices))
        elif isinstance(allowed, Int):
            found[knob.label] = IntDistribution(allowed.low, allowed.high, log=allowed.log)
        else:
            found[knob.label] = FloatDistribution(allowed.low, allowed.high, log=allowed.log)
            if allowed.or_zero:
                found[knob.label + ZERO] = CategoricalDistribution([False, True])
    return found


def _has_zero(knob: Knob) -> bool:
    return isinstance(knob.range, Float) and knob.range.or_zero


def _without_zero(allowed: Float | Int | Choice) -> Float | Int | Choice:
    return allowed.model_copy(update={"or_zero": False}) if isinstance(allowed, Float) else allowed


def _middle(knob: Knob) -> Value:
    return Space((Knob(name="value", range=_without_zero(knob.range)),)).nearest({})["value"]

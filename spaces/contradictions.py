"""Parts of a sweep file that cannot go together: limits without what they count, constraints that nothing can meet,
wishes for a speedup that nobody measures.

Works on the file's data before they are known to be sound, as `catalogue_faults` does.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sparsweep.spaces.constraint import SHARES, Constraint
from sparsweep.spaces.faults import Fault
from sparsweep.spaces.sweep_file import untimed

TIMED: Final = ("speedup", "latency_ms")
"""Figures that only a measurement gives."""
_PRICES: Final = "write cost_per_hour: {gpu: 2.50}, the price of one GPU for an hour, or {cpu: 0.04}, that of one core"


def contradictions(data: Mapping[str, Any]) -> Iterator[Fault]:
    """Every contradiction in the data (lines not yet known)."""
    yield from _budget_faults(_given(data.get("budget")), _given(data.get("resources")))
    yield from _constraint_faults(data.get("constraints"))
    yield from _descent_faults(_given(data.get("trial")), _given(data.get("space")))
    stopping = _given(data.get("stopping"))
    if stopping.get("rule") == "descents" and stopping.get("descents") is False:
        yield Fault(
            place=("stopping", "descents"), text="leaves rule: descents nothing to end: write rule: none, or halving"
        )
    if untimed(data.get("timing")):
        yield from _untimed_faults(data)


def _untimed_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    """What asks for a measured time where `timing: none` measures none."""
    why = "is not measured with timing: none"
    for name in _given(data.get("objectives")):
        if name in TIMED:
            yield Fault(place=("objectives", name), text=f"{why}: leave out timing, or write macs: min instead")
    for at, rule in _rules(data.get("constraints")):
        if rule.figure in TIMED:
            text = f"{rule} can hold for no network, as {rule.figure} {why}: leave out timing, or constrain macs"
            yield Fault(place=("constraints", at), text=text)
    if _given(data.get("timing")).get("look_up") is True:
        text = "looks up times, and runtimes: [] times nothing: remove one of both"
        yield Fault(place=("timing", "look_up"), text=text)


def _descent_faults(trial: Mapping[str, Any], space: Mapping[str, Any]) -> Iterator[Fault]:
    """How much cuts take, said twice."""
    if not trial.get("macs_shares"):
        return
    for part, said in (("trial", trial), ("space", space)):
        for name in ("cuts", "cut_schedule", "last_share"):
            if name in said:
                text = "does nothing beside trial.macs_shares, which names every cut: remove one of both"
                yield Fault(place=(part, name), text=text)


def _budget_faults(budget: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[Fault]:
    gpus = resources.get("gpu", 0)
    without_gpu = isinstance(gpus, int | float) and not gpus > 0
    price = _given(budget.get("cost_per_hour"))
    if "gpu_hours" in budget and without_gpu:
        text = "trials hold no GPU: write resources: {gpu: 1}, or limit cpu_hours"
        yield Fault(place=("budget", "gpu_hours"), text=text)
    if "cost" in budget and "cost_per_hour" not in budget:
        yield Fault(place=("budget", "cost"), text=f"has no price to go by: {_PRICES}")
    if "cost_per_hour" in budget and all(isinstance(each, int | float) and each == 0 for each in price.values()):
        yield Fault(place=("budget", "cost_per_hour"), text=f"names no price: {_PRICES}")
    elif set(price) == {"gpu"} and without_gpu:
        text = "trials hold no GPU, so nothing would cost anything: write resources: {gpu: 1}, or a price of cpu"
        yield Fault(place=("budget", "cost_per_hour"), text=text)
    if "min_growth" in budget and "patience" not in budget:
        text = "does nothing without patience: write how many trials may bring less, such as patience: 12"
        yield Fault(place=("budget", "min_growth"), text=text)
    if "first_look_batch" in budget and not budget.get("first_look"):
        text = (
            "does nothing without first_look: write the share of the epochs that a look takes, such as first_look: 0.3"
        )
        yield Fault(place=("budget", "first_look_batch"), text=text)


def _given(part: Any) -> Mapping[str, Any]:
    """What is said in a part of the file; nothing where it is not a mapping."""
    return {key: value for key, value in part.items() if value is not None} if isinstance(part, Mapping) else {}


def _constraint_faults(listed: Any) -> Iterator[Fault]:
    """By figure: what no network can meet, by itself or together with those before it."""
    before: dict[str, list[Constraint]] = {}
    for at, rule in _rules(listed):
        others = before.setdefault(rule.figure, [])
        if not _can_hold([rule]):
            span = "from 0 to 1" if rule.figure in SHARES else "never below 0"
            fault = f"{rule} can hold for no network, as {rule.figure} is {span}: remove or change it"
        else:
            against = [other for other in others if not _can_hold([other, rule])]
            fault = f"{rule} and {against[0]} exclude each other: keep one of the two" if against else ""
            others.append(rule)
        if fault:
            yield Fault(place=("constraints", at), text=fault)


def _rules(listed: Any) -> Iterator[tuple[int, Constraint]]:
    """The constraints that can be read, with their places; of the others the models tell."""
    for at, text in enumerate(listed if isinstance(listed, list | tuple) else ()):
        try:
            if isinstance(text, str):
                yield at, Constraint.parse(text)
        except ValueError:
            continue


def _can_hold(rules: list[Constraint]) -> bool:
    """Whether some value of their figure meets all of them; ends of ranges as (how far in, whether left out)."""
    top = 1.0 if rules[0].figure in SHARES else math.inf
    low = max([(0.0, False), *((rule.bound, rule.op == ">") for rule in rules if rule.op in (">", ">=", "=="))])
    high = max([(-top, False), *((-rule.bound, rule.op == "<") for rule in rules if rule.op in ("<", "<=", "=="))])
    return low[0] < -high[0] or (low[0] == -high[0] and not low[1] and not high[1])

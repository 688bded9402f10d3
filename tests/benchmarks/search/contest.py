"""What every contender is given: the preset's task, options and space, the same slots, the same first setting."""

import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space, Value, range_adapter
from sparsweep.trainables.tasks import Task
from sparsweep.trainables.trial import TrialPlan

AXES = {"digits": "macs_removed", "lenet300-mnist": "macs_ideal_removed"}
"""By preset what stands against accuracy. Single weights leave the executed MACs as they are: there it is the share
that an ideal sparse kernel would save."""
SATURATES: Mapping[str, bool] = {"digits": True, "lenet300-mnist": False}
"""Whether every good search has nearly all that there is within minutes, so that only how soon it does tells them
apart."""
ZERO = "_is_zero"
"""Suffix of the parameter that says whether an `or_zero` range is exactly 0."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """One contender's run: what is searched, with which seed, where it writes."""

    task: Mapping[str, Any]
    """`Task.as_json`."""
    fixed: Mapping[str, Any]
    """Options of the trial that the preset fixes, epochs among them."""
    knobs: tuple[Mapping[str, Any], ...]
    known_good: tuple[Row, ...]
    """Proposed first by everybody, as `sparsweep run` does."""
    axis: str
    axes: tuple[str, ...]
    """By which `sparsweep run` values a curve of this task."""
    constraints: tuple[str, ...]
    """Of the preset; a curve's points that miss one are worth nothing to the search."""
    seed: int
    slots: int
    folder: str
    """Of this run: points, networks, databases."""

    @property
    def epochs(self) -> int:
        return int(self.fixed["epochs"])

    def space(self) -> Space:
        return Space(
            tuple(
                Knob(name=knob["name"], range=range_adapter.validate_json(json.dumps(knob["range"])), when=knob["when"])
                for knob in self.knobs
            )
        )

    def plan(self, row: Row, *, descent: str) -> TrialPlan:
        """The trial of a setting; equal settings of equal seed are equal trials."""
        drawn = zlib.crc32(json.dumps(row, sort_keys=True).encode()) % 100_003
        return TrialPlan(
            number=0, setting=row, seed=self.seed * 100_003 + drawn, task=Task.from_json(self.task),
            fixed={**self.fixed, "descent": descent},
        )  # fmt: skip

    def write(self) -> Path:
        """Writes it into its folder, for a contender's own processes."""
        path = Path(self.folder) / "contest.json"
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote."""
        data = json.loads(path.read_text())
        return cls(**data | {key: tuple(data[key]) for key in ("knobs", "known_good", "axes", "constraints")})


def knobs_as_json(space: Space) -> tuple[dict[str, Any], ...]:
    """The space as `Contest.knobs` has it; the ranges' own words tell Choice, Int and Float apart."""
    return tuple(
        {"name": knob.name, "range": knob.range.model_dump(mode="json"), "when": dict(knob.when)}
        for knob in space.knobs
    )


def parameter(label: str) -> str:
    """A knob's label as every engine takes it: MLflow allows no brackets.

    >>> parameter("sparsity_strength[granularity=filter,proximal=False]")
    'sparsity_strength.granularity.filter.proximal.False'
    """
    return re.sub(r"\W+", ".", label).strip(".")


def row_of(space: Space, parameters: Mapping[str, Value]) -> Row:
    """The setting that an engine's parameters stand for; those whose condition does not hold are not read."""

    def chosen(label: str, allowed: Float | Int | Choice) -> Value:
        name = parameter(label)
        return 0.0 if parameters.get(name + ZERO) else parameters[name]

    return space.row(chosen)


def parameters_of(space: Space, row: Mapping[str, Value]) -> dict[str, Value]:
    """A setting as an engine's parameters: what `row_of` reads."""
    ranges = {knob.label: knob.range for knob in space.knobs}
    found: dict[str, Value] = {}
    for label, value in space.labels_of(row).items():
        allowed, name = ranges[label], parameter(label)
        if isinstance(allowed, Float) and allowed.or_zero:
            found[name + ZERO] = value == 0
            if value == 0:
                continue
        found[name] = value
    return found


def suggested(trial: Any) -> Callable[[str, Float | Int | Choice], Value]:
    """What chooses for `Space.row` by an Optuna trial's suggestions."""

    def chosen(label: str, allowed: Float | Int | Choice) -> Value:
        name = parameter(label)
        if isinstance(allowed, Choice):
            value: Value = trial.suggest_categorical(name, list(allowed.choices))
        elif isinstance(allowed, Int):
            value = trial.suggest_int(name, allowed.low, allowed.high, log=allowed.log)
        elif allowed.or_zero and trial.suggest_categorical(name + ZERO, [False, True]):
            value = 0.0
        else:
            value = trial.suggest_float(name, allowed.low, allowed.high, log=allowed.log)
        return value

    return chosen

"""The sweep file as validated models: what to search, for which task, towards what, within which budget.

`load.load_sweep` makes one from YAML and checks it against a catalogue; these models alone know none.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    field_validator,
    model_validator,
)

from sparsweep.spaces.catalogue import Catalogue, fitted
from sparsweep.spaces.constraint import Constraint
from sparsweep.spaces.duration import duration_s
from sparsweep.spaces.faults import shown
from sparsweep.spaces.space import AnyRange, Choice, Float, Int, Knob, Space, Value, of_methods

Direction = Literal["max", "min"]
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_name(text: str) -> bool:
    """Whether a sweep or a model can be called so."""
    return _NAME.fullmatch(text) is not None


def _named(value: str) -> str:
    if not is_name(value):
        raise ValueError(
            f"{shown(value)} cannot be a name: use 1 to 64 letters, digits, dots, dashes or underscores, "
            "the first a letter or digit"
        )
    return value


def _one_value(value: Any) -> Any:
    """A bare value is a choice of one."""
    if isinstance(value, list | tuple):
        raise ValueError("is a list: write {choices: [...]}")
    return {"choices": (value,)} if isinstance(value, str | bool | int | float) else value


def _constraint(value: Any) -> Any:
    return Constraint.parse(value) if isinstance(value, str) else value


Name = Annotated[str, Field(strict=True), BeforeValidator(lambda v: _named(v) if isinstance(v, str) else v)]
Seconds = Annotated[float, BeforeValidator(duration_s)]
UserRange = Annotated[AnyRange, BeforeValidator(_one_value)]
user_range: Final[TypeAdapter[Float | Int | Choice]] = TypeAdapter(UserRange)
Size = Annotated[int, Field(ge=1, le=1_000_000)]
Written = Annotated[Constraint, BeforeValidator(_constraint), PlainSerializer(str)]


class Part(BaseModel):
    """A part of a sweep file: frozen, strict, no unknown keys, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Task(Part):
    """What is pruned, and on what it is judged."""

    network: str
    """A built-in name, `torchvision/NAME`, or `module:function` that builds one."""
    data: str
    """A built-in name, or `module:function` that loads them."""
    data_root: str | None = None
    """The folder of the data; `--data-root` goes before it."""
    example_shape: tuple[Size, ...] | None = None
    """Of one input, without the batch; the data's own unless given."""
    num_classes: Size | None = None
    """Outputs of the network; as many as the data have classes unless given."""
    stem: Literal["imagenet", "cifar"] = "imagenet"
    """Of a network of torchvision's: `cifar` adapts its first layers to images of about 32x32."""
    start_from: str | None = None
    """Weights that every trial starts from, a file in safetensors."""
    loss: str = "cross_entropy"
    """What training makes small: `cross_entropy`, or `module:function` of outputs and labels."""
    score: str = "accuracy"
    """What the sweep calls accuracy: `accuracy`, or `module:function` of outputs and labels, in [0, 1]."""
    corrupt: Literal["refuse", "skip"] = "refuse"
    """What becomes of an image that cannot be read."""

    def written(self) -> dict[str, Any]:
        """What differs from the defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def identity(self) -> dict[str, Any]:
        """What makes two tasks the same; where the data lie does not."""
        return {key: value for key, value in self.written().items() if key != "data_root"}


class Objectives(Part):
    """The frontier's axes. Accuracy is always one; each has one direction that makes sense."""

    accuracy: Literal["max"]
    sparsity: Literal["max"] | None = None
    speedup: Literal["max"] | None = None
    macs: Literal["min"] | None = None
    macs_ideal: Literal["min"] | None = None
    size_bytes: Literal["min"] | None = None
    latency_ms: Literal["min"] | None = None
    weights_left: Literal["min"] | None = None

    @property
    def directions(self) -> dict[str, Direction]:
        """The chosen objectives in the order of the fields above."""
        return {name: way for name, way in self.model_dump().items() if way is not None}


class Price(Part):
    """What an hour costs, in whatever currency `cost` is meant; a trial pays for the share that it holds."""

    gpu: float = Field(default=0.0, ge=0, le=1e9)
    """Of one whole GPU."""
    cpu: float = Field(default=0.0, ge=0, le=1e9)
    """Of one processor core."""


class Budget(Part):
    """When a sweep ends: after so many trials, or earlier, as soon as one of the other limits is reached."""

    trials: int = Field(default=24, ge=1, le=1_000_000)
    epochs: int = Field(default=20, ge=1, le=1_000_000)
    """Of training a trial; no limit of the sweep's."""
    first_look: float = Field(default=0.0, ge=0, lt=1)
    """With what share of the epochs, of training and fine-tuning, the first trials go all the way down once before they
    are trained: a frontier early, for so much of one trial a slot. 0: none, as wherever there are several `seeds`, of
    which nothing is shown before all are trained."""
    first_look_batch: int | None = Field(default=None, ge=1, le=1_000_000)
    """Images in a batch of these looks, else as many as in training. An epoch of larger ones takes less time; learning
    rates grow with them."""
    time_limit_s: Seconds | None = Field(default=None, alias="time_limit")
    gpu_hours: float | None = Field(default=None, gt=0, le=1e9)
    """Time that trials held their slots, times the GPUs of a slot."""
    cpu_hours: float | None = Field(default=None, gt=0, le=1e9)
    cost: float | None = Field(default=None, gt=0, le=1e12)
    cost_per_hour: Price | None = None
    patience: int | None = Field(default=None, ge=1, le=1_000_000)
    """Ended trials over which the hypervolume must grow by more than `min_growth`."""
    min_growth: float | None = Field(default=None, ge=0, le=1)
    """A share of the hypervolume; 0.001 where it is not given."""


UNTIMED: Final = "none"
"""`timing: none`: nothing is timed."""
Runtime = Literal["eager", "channels_last", "compile", "onnx", "csr", "2:4"]


class Timing(Part):
    """How the networks near the front are timed, dense and compact each in the fastest of these runtimes.

    `timing: none`, which is no runtime at all, leaves them untimed: no speedup, no latency, and no waiting for them.
    """

    runtimes: tuple[Runtime, ...] = ("eager",)
    batch: int = Field(default=32, ge=1, le=1_000_000)
    """At which `speedup` is meant; batch 1 is timed too."""
    threads: int = Field(default=1, ge=1, le=1024)
    round_ms: float = Field(default=40.0, ge=1, le=60_000)
    """How long a round of the timing takes at least. Rounds grow until they agree with each other, which very short
    ones reach later than longer ones; a measurement is given up after the time of 500."""
    look_up: bool = False
    """Whether the search goes by the time that layers take, timed at a grid of widths before it starts, not by MACs."""

    @model_validator(mode="before")
    @classmethod
    def _in_a_word(cls, given: Any) -> Any:
        """`timing: none`."""
        if isinstance(given, str) and given != UNTIMED:
            raise ValueError(f"{shown(given)} is neither none nor a mapping such as {{runtimes: [eager], batch: 32}}")
        return {"runtimes": ()} if given == UNTIMED else given

    @field_validator("runtimes")
    @classmethod
    def _some_and_distinct(cls, runtimes: tuple[Runtime, ...]) -> tuple[Runtime, ...]:
        if len(set(runtimes)) < len(runtimes):
            raise ValueError(f"[{', '.join(runtimes)}] names a runtime twice: name each once, such as [eager, onnx]")
        if runtimes and set(runtimes) <= {"csr", "2:4"}:
            raise ValueError(f"[{', '.join(runtimes)}] has none for the dense network: add eager")
        return runtimes


def untimed(timing: Any) -> bool:
    """Whether a file's `timing` says that nothing is timed."""
    return timing == UNTIMED or (isinstance(timing, Mapping) and timing.get("runtimes") in ([], ()))


class Stopping(Part):
    """What ends early: trainings, by asynchronous successive halving of what they would give if they were cut now, and
    descents that are too far below the front to come back."""

    rule: Literal["halving", "descents", "none"] = "none"
    """`descents` ends descents alone."""
    reduction: int = Field(default=3, ge=2, le=100)
    """Of the trials that come to a rung the best 1 / reduction go on."""
    first: int | None = Field(default=None, ge=1, le=1_000_000)
    """Epochs of training before the first rung; each next one is `reduction` times as high."""
    descents: bool = True
    """Whether `halving` ends descents too."""

    @model_validator(mode="before")
    @classmethod
    def _in_a_word(cls, given: Any) -> Any:
        """`stopping: none`, `descents` or `halving`, or whether."""
        if isinstance(given, bool):
            return {"rule": "halving" if given else "none"}
        return {"rule": given} if isinstance(given, str) else given


class Resources(Part):
    """What one trial occupies."""

    cpu: float = Field(default=1.0, gt=0, le=100_000)
    gpu: float = Field(default=0.0, ge=0, le=100_000)
    slots: int | None = Field(default=None, ge=1, le=100_000)
    """How many trials are asked for at once where the cluster grows by itself; by default as many as fit now."""

    @field_validator("gpu")
    @classmethod
    def _whole_above_one(cls, gpu: float) -> float:
        if gpu > 1 and gpu != int(gpu):
            raise ValueError(f"{gpu} GPUs cannot be given: above 1 only whole numbers can")
        return gpu


class Sampler(Part):
    """How settings are proposed; the seed fixes proposals and trainings alike."""

    name: Literal["auto", "tpe", "gp", "nsga2", "random"] = "auto"
    seed: int = Field(default=0, ge=0, le=2**32 - 1)


class Registry(Part):
    """Where the frontier's networks are registered, and how many of them at most."""

    model: Name | None = None
    keep: int = Field(default=8, ge=1, le=10_000)


class SweepFile(Part):
    """One sweep: everything but the task has a default."""

    name: Name
    task: Task
    methods: tuple[str, ...] = ("gasl",)
    ranges: Mapping[str, UserRange] = Field(default_factory=dict, alias="space")
    """Only what differs from the methods' own ranges."""
    objectives: Objectives = Objectives(accuracy="max", sparsity="max", speedup="max")
    """Where nothing is timed, MACs take the speedup's place."""
    constraints: tuple[Written, ...] = ()
    budget: Budget = Budget()
    trial: Mapping[str, Value] = Field(default_factory=dict)
    """Options of the trial that are fixed; `time_limit` in seconds."""
    resources: Resources = Resources()
    timing: Timing = Timing()
    sampler: Sampler = Sampler()
    points: tuple[Mapping[str, Value], ...] = ()
    """Settings that are tried first; knobs that one leaves open are its method's known-good ones, or drawn."""
    warm_start: Name | None = None
    """An earlier sweep of the same task and space: the sampler knows its outcomes, and its best are tried first."""
    stopping: Stopping = Stopping()
    seeds: int = Field(default=1, ge=1, le=100)
    """With how many seeds a setting is trained that is about to enter the front."""
    registry: Registry = Registry()

    @model_validator(mode="before")
    @classmethod
    def _untimed(cls, data: Any) -> Any:
        """The default objectives where there is no speedup."""
        if isinstance(data, Mapping) and "objectives" not in data and untimed(data.get("timing")):
            return {**data, "objectives": {"accuracy": "max", "sparsity": "max", "macs": "min"}}
        return data

    @field_validator("methods")
    @classmethod
    def _some_and_distinct(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        if not methods:
            raise ValueError("is empty: list at least one method, such as [gasl]")
        if len(set(methods)) < len(methods):
            raise ValueError(f"[{', '.join(methods)}] lists a method twice: list each once")
        return methods

    @field_validator("objectives")
    @classmethod
    def _against_accuracy(cls, objectives: Objectives) -> Objectives:
        if len(objectives.directions) < 2:
            raise ValueError("accuracy alone has no frontier: add another objective, such as sparsity: max")
        return objectives

    @property
    def model(self) -> str:
        """Name of the registered model: the sweep's own unless the file gives one."""
        return self.registry.model or self.name

    def space(self, catalogue: Catalogue) -> Space:
        """What is searched: the methods' spaces with the user's ranges, less what `trial` fixes."""
        entries = {method: catalogue.entry(method) for method in self.methods}
        owned = {name for entry in entries.values() for name in (*entry.space.names, *entry.allowed)}
        spaces: dict[str, Space] = {}
        for method, entry in entries.items():
            mine = {
                name: fitted(given, catalogue.range_of(method, name))
                for name, given in self.ranges.items()
                if entry.takes(name) or (name in owned and name in catalogue.trial)
            }
            spaces[method] = entry.space.with_ranges(mine).fixing(self.trial)
        shared = [
            Knob(name=name, range=fitted(given, catalogue.trial.get(name)))
            for name, given in self.ranges.items()
            if name not in owned
        ]
        return Space((*of_methods(spaces).knobs, *shared))

    def as_json(self) -> dict[str, Any]:
        """Plain data with every default written out, in the file's own words: a sweep file again."""
        data = self.model_dump(mode="json", by_alias=True, exclude={"objectives"})
        data["objectives"] = dict(self.objectives.directions)
        data["task"] = self.task.written()
        data["registry"]["model"] = self.model
        return {key: data[key] for key in _KEYS}

    @property
    def yaml_text(self) -> str:
        """`as_json` as YAML, one key a line; JSON is YAML, and leaves no doubt about what is text."""
        return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in self.as_json().items())

    @property
    def text_to_edit(self) -> str:
        """As YAML that a person goes on with: what is left at nothing is left out, what is short is on one line."""
        data = {key: value for key, value in _stripped(self.as_json()).items() if value not in ({}, [])}
        return yaml.safe_dump(data, default_flow_style=None, sort_keys=False, allow_unicode=True, width=math.inf)

    def identity(self) -> dict[str, Any]:
        """What makes two sweeps the same search; trials, time limit, resources and registry may differ on resume."""
        data = self.as_json()
        same = {key: data[key] for key in ("task", "methods", "space", "objectives", "trial", "sampler")}
        same["task"] = self.task.identity()
        same |= {key: data[key] for key in ("points", "warm_start") if data[key]}
        if self.seeds > 1:
            same["seeds"] = self.seeds
        if self.timing.look_up:
            same["timing"] = {"batch": self.timing.batch, "look_up": True}
        return {**same, "constraints": sorted(data["constraints"]), "epochs": self.budget.epochs}


def _stripped(value: Any) -> Any:
    """Plain data without what is None."""
    if isinstance(value, Mapping):
        return {key: _stripped(each) for key, each in value.items() if each is not None}
    return value


_KEYS: Final = tuple(info.alias or name for name, info in SweepFile.model_fields.items())

"""A space: knobs with inclusive ranges, some of them only where another knob has a certain value.

Pure data. An engine turns a space into rows by handing `Space.row` a function that chooses a value for a range.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, TypeAdapter, model_validator

Value = str | bool | int | float
Row = dict[str, Value]


class Range(BaseModel):
    """What one knob may be. Frozen, strict, and impossible to make empty."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Float(Range):
    """Real numbers in [low, high], both included; `log` draws the logarithm evenly; `or_zero` adds exactly 0."""

    low: float
    high: float
    log: bool = False
    or_zero: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Float":
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"low {self.low} and high {self.high} must be finite numbers")
        _check_order(self.low, self.high, self.log, "; for exactly 0 beside a log range add or_zero: true")
        return self

    def __contains__(self, value: object) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (self.low <= value <= self.high or (self.or_zero and value == 0))  # type: ignore[operator]


class Int(Range):
    """Whole numbers low, low + 1, … high, both included."""

    low: int
    high: int
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Int":
        _check_order(self.low, self.high, self.log, "")
        return self

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high


class Choice(Range):
    """One of the listed values; at least one, none twice."""

    choices: tuple[Value, ...]

    @model_validator(mode="after")
    def _distinct(self) -> "Choice":
        if not self.choices:
            raise ValueError("choices is empty: list at least one value")
        if any(isinstance(c, float) and not math.isfinite(c) for c in self.choices):
            raise ValueError(f"choices {list(self.choices)} holds a number that is not finite: remove it")
        if len({(isinstance(c, bool), c) for c in self.choices}) < len(self.choices):
            raise ValueError(f"choices {list(self.choices)} holds a value twice: list each once")
        return self

    def __contains__(self, value: object) -> bool:
        return any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in self.choices)


def _check_order(low: float, high: float, log: bool, hint: str) -> None:
    if low > high:
        raise ValueError(f"low {low} is greater than high {high}: swap them")
    if log and low <= 0:
        raise ValueError(f"a log range needs low > 0, not {low}{hint}")


def _kind(value: Any) -> str:
    """Which range a YAML mapping spells: choices → Choice; whole low and high → Int; otherwise Float."""
    if isinstance(value, Range):
        return type(value).__name__
    if not isinstance(value, Mapping):
        return "Float"
    if "choices" in value:
        return "Choice"
    whole = all(isinstance(value.get(k), int) and not isinstance(value.get(k), bool) for k in ("low", "high"))
    return "Int" if whole and "or_zero" not in value else "Float"


AnyRange = Annotated[
    Annotated[Float, Tag("Float")] | Annotated[Int, Tag("Int")] | Annotated[Choice, Tag("Choice")],
    Discriminator(_kind),
]
range_adapter: TypeAdapter[Float | Int | Choice] = TypeAdapter(AnyRange)


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One range of one knob; `when` names values of earlier knobs without which this range does not apply."""

    name: str
    range: Float | Int | Choice
    when: Mapping[str, Value] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Unique within a space: `threshold`, or `sparsity_strength[granularity=weight]`."""
        conditions = ",".join(f"{k}={v}" for k, v in self.when.items())
        return f"{self.name}[{conditions}]" if conditions else self.name

    def applies(self, row: Mapping[str, Value]) -> bool:
        return all(k in row and row[k] == v for k, v in self.when.items())


@dataclass(frozen=True)
class Space:
    """Knobs in the order in which they are chosen.

    A name may stand several times with different `when`; at most one of them applies to any row (the first that does).
    """

    knobs: tuple[Knob, ...]

    def __post_init__(self) -> None:
        labels = [knob.label for knob in self.knobs]
        doubled = sorted({label for label in labels if labels.count(label) > 1})
        if doubled:
            raise ValueError(f"the space has {doubled} twice: one range each")
        for at, knob in enumerate(self.knobs):
            missing = set(knob.when) - {k.name for k in self.knobs[:at]}
            if missing:
                raise ValueError(f"{knob.label}: {sorted(missing)} must be chosen before it")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(knob.name for knob in self.knobs))

    def row(self, choose: "Callable[[str, Float | Int | Choice], Value]") -> Row:
        """One row: `choose(label, range)` is asked once for every range that applies."""
        row: Row = {}
        for knob in self.knobs:
            if knob.name not in row and knob.applies(row):
                row[knob.name] = choose(knob.label, knob.range)
        return row

    def labels_of(self, row: Mapping[str, Value]) -> dict[str, Value]:
        """The row keyed by label, as engines store it; raises ValueError naming every value outside its range."""
        labelled: dict[str, Value] = {}
        faults: list[str] = []

        def take(label: str, allowed: Float | Int | Choice) -> Value:
            name = label.split("[")[0]
            if name not in row:
                faults.append(f"{name} is missing: give a value in {allowed!r}")
                return allowed.choices[0] if isinstance(allowed, Choice) else allowed.low
            if row[name] not in allowed:
                faults.append(f"{name} = {row[name]!r} is outside {allowed!r}")
            labelled[label] = row[name]
            return row[name]

        self.row(take)
        if faults:
            raise ValueError("; ".join(faults))
        return labelled

    def with_ranges(self, ranges: "Mapping[str, Float | Int | Choice]") -> "Space":
        """The same space with the named knobs' ranges replaced (all alternatives of a name by the one given).

        What all alternatives are conditioned on stays their condition; new names are added at the end.
        """
        knobs: list[Knob] = []
        replaced: set[str] = set()
        for knob in self.knobs:
            if knob.name not in ranges:
                knobs.append(knob)
            elif knob.name not in replaced:
                replaced.add(knob.name)
                knobs.append(Knob(name=knob.name, range=ranges[knob.name], when=self.condition_of(knob.name)))
        knobs.extend(Knob(name=name, range=ranges[name]) for name in ranges if name not in replaced)
        return Space(_choices_first(knobs))

    def without(self, names: set[str]) -> "Space":
        """The space less the knobs that are fixed elsewhere."""
        return Space(tuple(knob for knob in self.knobs if knob.name not in names))

    def condition_of(self, name: str) -> dict[str, Value]:
        """What every alternative of the knob is conditioned on; without it the knob is in no row."""
        conditions = [set(knob.when.items()) for knob in self.knobs if knob.name == name]
        common = set.intersection(*conditions) if conditions else set()
        return dict(sorted(common, key=lambda item: item[0]))

    def fixing(self, values: Mapping[str, Value]) -> "Space":
        """The space less the knobs that have a value elsewhere; conditions on that value are settled by it."""
        knobs: dict[str, Knob] = {}
        for knob in self.knobs:
            settled = {name: wanted for name, wanted in knob.when.items() if name in values}
            if knob.name in values or any(values[name] != wanted for name, wanted in settled.items()):
                continue
            when = {name: wanted for name, wanted in knob.when.items() if name not in settled}
            rest = Knob(name=knob.name, range=knob.range, when=when)
            knobs.setdefault(rest.label, rest)
        return Space(tuple(knobs.values()))

    def nearest(self, row: Mapping[str, Value]) -> Row:
        """A row inside the space that keeps what it can of `row` (a known-good setting laid into a narrowed space)."""

        def clip(label: str, allowed: Float | Int | Choice) -> Value:
            wanted = row.get(label.split("[")[0])
            if isinstance(allowed, Choice):
                return wanted if wanted is not None and wanted in allowed else allowed.choices[0]
            if wanted is None or isinstance(wanted, str | bool) or math.isnan(wanted):
                return _middle(allowed)
            if wanted in allowed:
                return wanted
            clipped = min(max(wanted, allowed.low), allowed.high)
            return round(clipped) if isinstance(allowed, Int) else clipped

        return self.row(clip)

    def as_json(self) -> list[dict[str, Any]]:
        """Plain data, stable under the order of knobs' definition: what a name's reuse is compared by."""
        return [
            {"label": k.label, "kind": type(k.range).__name__, **k.range.model_dump(mode="json")} for k in self.knobs
        ]


def _choices_first(knobs: list[Knob]) -> tuple[Knob, ...]:
    """A knob that others depend on must be chosen before them; otherwise the given order stays."""
    needed = {name for knob in knobs for name in knob.when}
    return tuple(sorted(knobs, key=lambda knob: knob.name not in needed))


def _middle(allowed: Float | Int) -> float | int:
    middle = math.sqrt(allowed.low * allowed.high) if allowed.log else (allowed.low + allowed.high) / 2
    clipped = min(max(middle, allowed.low), allowed.high)  # low == high: the root may miss it by its last bit
    return round(clipped) if isinstance(allowed, Int) else clipped


def of_methods(spaces: Mapping[str, Space]) -> Space:
    """One space for several methods: the method is itself a choice, each method's knobs apply only with it.

    With a single method the choice is still recorded in every row, as the constant it is.
    """
    knobs = [Knob(name="method", range=Choice(choices=tuple(spaces)))]
    several = len(spaces) > 1
    for method, space in spaces.items():
        extra: Mapping[str, Value] = {"method": method} if several else {}
        knobs.extend(Knob(name=k.name, range=k.range, when={**extra, **k.when}) for k in space.knobs)
    return Space(tuple(knobs))

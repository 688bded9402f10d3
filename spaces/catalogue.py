"""The catalogue: which methods, networks, data and trial options exist. `search` hands it in."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sparsweep.spaces.duration import LONGEST_S
from sparsweep.spaces.faults import nearest, shown
from sparsweep.spaces.space import Choice, Float, Int, Space, Value


@dataclass(frozen=True, kw_only=True)
class MethodEntry:
    """One method: what is searched unless the sweep file says otherwise, and the widest range each knob can take."""

    space: Space
    """The default space: the method's own knobs, and options of the trial that it likes searched (learning_rate)."""
    allowed: Mapping[str, Float | Int | Choice]
    """Widest legal range of each of the method's own knobs, searched by default or not."""

    def takes(self, knob: str) -> bool:
        return knob in self.allowed or knob in self.space.names


ZOO = "torchvision/"
"""How the names of torchvision's networks begin."""

_TRUSTED = MethodEntry(space=Space(()), allowed={})


def is_plug_in(method: str) -> bool:
    """Whether a method's name is `module:Class`, a user's own."""
    return ":" in method


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Everything that a sweep file may name.

    Raises:
        ValueError: a method's default space leaves what is allowed.
    """

    methods: Mapping[str, MethodEntry]
    networks: Mapping[str, tuple[int, ...]]
    """Shape of one example that the network takes, by name: `lenet-digits` (1, 8, 8); () where it takes many."""
    data: Mapping[str, tuple[int, ...]]
    """Shape of one example that the data give, by name; () where only the data tell."""
    trial: Mapping[str, Float | Int | Choice]
    """Widest legal range of each option of a trial; `time_limit` (seconds) is written as a duration."""
    plug_in: Callable[[str], MethodEntry] | None = None
    """Imports a user's method `module:Class`, ValueError where it cannot; None takes such a name on trust."""

    function: Callable[[str], object] | None = None
    """Imports a user's own `module:function`, ValueError where it cannot; None takes such a name on trust."""

    def __post_init__(self) -> None:
        bad = [
            f"{method}: {knob.label}: {fault}"
            for method, entry in self.methods.items()
            for knob in entry.space.knobs
            for fault in misfits(knob.range, self.range_of(method, knob.name))
        ]
        if bad:
            raise ValueError(f"the catalogue contradicts itself: {'; '.join(bad)}")

    def range_of(self, method: str, knob: str) -> Float | Int | Choice | None:
        """The widest range of a knob of a method or of its trial; None where there is no such knob."""
        return self.entry(method).allowed.get(knob) or self.trial.get(knob)

    def trusts(self, method: str) -> bool:
        """Whether the method is a user's own that is not looked at here."""
        return is_plug_in(method) and self.plug_in is None

    def entry(self, method: str) -> MethodEntry:
        """A method by its name. Raises ValueError where a user's own cannot be had; KeyError if there is none."""
        if method in self.methods or not is_plug_in(method):
            return self.methods[method]
        return _TRUSTED if self.plug_in is None else self.plug_in(method)


def misfits(given: Float | Int | Choice, allowed: Float | Int | Choice | None) -> Iterator[str]:
    """What of the given range lies outside the allowed one, in words; nothing where it fits."""
    if allowed is None:
        yield "no such knob is allowed"
    elif isinstance(given, Choice):
        for choice in given.choices:
            yield from misfit(choice, allowed)
    elif isinstance(allowed, Choice):
        yield f"has no low and high: it is {words(allowed)}, so write choices: [...]"
    elif isinstance(allowed, Int) and isinstance(given, Float):
        yield f"low {given.low} to high {given.high} are not whole: it must be {words(allowed)}"
    else:
        for end, value in (("low", given.low), ("high", given.high)):
            if value not in allowed:
                yield f"{end} {value} is not allowed: it must be {words(allowed)}"
        if isinstance(given, Float) and given.or_zero and 0 not in allowed:
            yield f"or_zero is not allowed: it must be {words(allowed)}"


def misfit(value: Value, allowed: Float | Int | Choice) -> Iterator[str]:
    """Why one value is not in the allowed range; nothing where it is."""
    if value in allowed:
        return
    texts = [choice for choice in allowed.choices if isinstance(choice, str)] if isinstance(allowed, Choice) else []
    hint = nearest(value, texts) if isinstance(value, str) else ""
    yield f"{shown(value)} is not allowed: it must be {words(allowed)}{hint}"


def words(allowed: Float | Int | Choice) -> str:
    """The range as a reader would say it."""
    if isinstance(allowed, Choice):
        return f"one of {', '.join(c if isinstance(c, str) else shown(c) for c in allowed.choices)}"
    if isinstance(allowed, Int):
        return f"a whole number from {allowed.low} to {allowed.high}"
    zero = "0 or " if allowed.or_zero and allowed.low > 0 else ""
    return f"{zero}a number from {allowed.low:g} to {allowed.high:g}"


def fitted(given: Float | Int | Choice, allowed: Float | Int | Choice | None) -> Float | Int | Choice:
    """The same range in the knob's own kind: `{low: 1, high: 10}` of a real-valued knob draws real numbers."""
    if not isinstance(allowed, Float) or isinstance(given, Float):
        return given
    if isinstance(given, Int):
        return Float(low=given.low, high=given.high, log=given.log)
    return Choice(choices=tuple(dict.fromkeys(c if isinstance(c, str | bool) else float(c) for c in given.choices)))


TIME_LIMIT_RANGE = Float(low=0, high=LONGEST_S)
"""What a catalogue lists for `time_limit`."""

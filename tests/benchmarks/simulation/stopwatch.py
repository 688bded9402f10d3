"""What calls of the driver's own code cost: wall and processor time, by name and by how many trials had ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call: seconds by the clock on the wall, and of this process's own work."""

    wall_s: float
    own_s: float


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Milliseconds of some calls."""

    median: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        """Zeros where nothing was called."""
        ordered = sorted(1e3 * each for each in seconds) or [0.0]
        return cls(median=median(ordered), p95=ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)])


@dataclass
class Stopwatch:
    """Takes the time of calls."""

    calls: dict[str, list[Call]] = field(default_factory=dict)

    def timed(self, name: str, function: Callable[P, T]) -> Callable[P, T]:
        """The function, timed under this name at every call."""

        def run(*given: P.args, **named: P.kwargs) -> T:
            wall, own = time.perf_counter(), time.process_time()
            try:
                return function(*given, **named)
            finally:
                took = Call(wall_s=time.perf_counter() - wall, own_s=time.process_time() - own)
                self.calls.setdefault(name, []).append(took)

        return run

    def forget(self, name: str) -> None:
        """The newest call did nothing."""
        self.calls[name].pop()

    def last_s(self, name: str) -> float:
        """Processor seconds of the newest call."""
        return self.calls[name][-1].own_s

    def own_s(self, name: str) -> float:
        """Processor seconds of all calls."""
        return sum(call.own_s for call in self.calls.get(name, ()))

    def counts(self) -> dict[str, int]:
        """How many calls there were by now."""
        return {name: len(calls) for name, calls in self.calls.items()}

    def since(self, counts: dict[str, int], name: str) -> list[Call]:
        """The calls after those that were counted."""
        return self.calls.get(name, [])[counts.get(name, 0) :]

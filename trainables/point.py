"""A point: one measured pruned network."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from sparsweep.spaces.space import Value
from sparsweep.trainables.spread import Spread

_REPEATED = re.compile(r"r([1-9][0-9]*)-(.+)")
LOOK: Final = -1
"""In place of a training's number: a first look, which is none of a setting's trainings."""
_LOOK = "look-"


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long one forward pass takes, dense and compact interleaved in one process.

    A network's time in a round is that of the fastest of so many `turns` in a row. `speedup` is the median over
    `pairs` rounds of the ratio dense / compact; `iqr_share` the larger of the two interquartile ranges over their
    medians. A record with `iqr_share` > 0.1 is never made.
    """

    batch: int
    latency_ms: float
    dense_latency_ms: float
    speedup: float
    iqr_share: float
    pairs: int
    device: str
    """The processor's or the GPU's name."""
    threads: int
    runtime: str
    """What ran the compact network; see `measures.runtimes`."""
    dense_runtime: str = "eager"
    """What ran the dense one."""
    dtype: str = "float32"
    turns: int = 1
    csr_layers: tuple[str, ...] = ()
    """Layers of the compact network whose weights were held as CSR."""


def latencies(records: Iterable[Mapping[str, Any]]) -> tuple[Latency, ...]:
    """Records from plain data."""
    return tuple(Latency(**{**record, "csr_layers": tuple(record.get("csr_layers", ()))}) for record in records)


def best_of(records: Sequence[Latency]) -> Latency | None:
    """The record that counts: at the largest batch, with dense and compact each in its fastest runtime.

    Where that pair was too noisy to be published it is the one in which the dense network is at its best. Half
    precision changes outputs, so it stands beside and does not count.
    """
    whole = [record for record in records if record.dtype == "float32"]
    largest = max((record.batch for record in whole), default=0)
    at = [record for record in whole if record.batch == largest]
    if not at:
        return None
    dense = min(at, key=lambda record: record.dense_latency_ms).dense_runtime
    compact = min(at, key=lambda record: record.latency_ms).runtime
    fair = [record for record in at if record.dense_runtime == dense]
    return next((record for record in fair if record.runtime == compact), fair[0])


NUMBERS: Final = (
    "trial", "threshold", "accuracy", "sparsity", "layer_sparsity", "weights_left", "macs", "macs_ideal", "dense_macs",
    "size_bytes", "dense_size_bytes", "expected_time_removed", "test_accuracy",
)  # fmt: skip
"""Fields of a point that are numbers, in their order; the last two may be None."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One measured pruned network; a trial gives many. Shares are in [0, 1].

    Raises:
        ValueError: a figure is NaN, infinite or outside its range (a point that is not finite must not exist:
            dominance silently breaks on NaN).
    """

    trial: int
    """Number of the proposal, from 0."""
    cut: str
    """`own` (the method's own cut, untouched), `own-tuned`, `dense`, or `00`…`15` down the descent; `r1-03` is `03` of
    the setting's second training, with another seed, and `look-03` of a first look (`cut_name`)."""
    method: str
    threshold: float
    """The balanced score under which this cut removes; for the own cut the method's own threshold."""
    accuracy: float
    """Share of the validation examples classified right (or the task's score)."""
    sparsity: float
    """Zero weights / all prunable weights of the original network; removed weights count as zero."""
    layer_sparsity: float
    """Unweighted mean of the layers' sparsities."""
    weights_left: int
    """Non-zero prunable weights."""
    macs: int
    """Multiply-adds of one forward pass of one example as executed by the compact network."""
    macs_ideal: int
    """Multiply-adds that meet a non-zero weight: what an ideal sparse kernel would execute."""
    dense_macs: int
    size_bytes: int
    """Bytes of the compact network's tensors as stored."""
    dense_size_bytes: int
    widths: tuple[int, ...]
    """Output units left in each prunable layer."""
    setting: Mapping[str, Value]
    expected_time_removed: float | None = None
    """Share of the dense network's time that a look-up of layer times expects to be gone (`measures.layer_times`): the
    search goes by it where it is asked to, and it is never published as a speedup."""
    network: str | None = None
    """Path of the compact network's files without ending, relative to the trial's folder; None if not delivered."""
    test_accuracy: float | None = None
    """Measured once, at the end, for points of the final frontier."""
    latency: tuple[Latency, ...] = ()
    """Records by batch size and runtime, of one device, for points near the front."""
    model_version: str | None = None
    spread: Spread | None = None
    """Over all trainings of the setting; None where it was trained with one seed."""
    at_ms: int | None = field(default=None, compare=False)
    """Milliseconds since 1970 at which others could first see it, by the trial's clock; None before that, and in
    records of before this was kept."""

    def __post_init__(self) -> None:
        originals = {n: getattr(self, n) for n in ("dense_macs", "dense_size_bytes")}
        if bad := [f"{n} = {v} is not above 0" for n, v in originals.items() if not v > 0]:
            raise ValueError(f"point {self.id} cannot exist: {', '.join(bad)}")
        bad = [f"{name} = {value}" for name, value in self._all_figures() if not math.isfinite(value)]
        counts = {n: getattr(self, n) for n in ("weights_left", "macs", "macs_ideal", "size_bytes")}
        bad += [f"{n} = {v} is less than 0" for n, v in counts.items() if v < 0]
        shares = {n: getattr(self, n) for n in ("accuracy", "sparsity", "layer_sparsity", "test_accuracy")}
        bad += [f"{n} = {v} is not in [0, 1]" for n, v in shares.items() if v is not None and not 0 <= v <= 1]
        if bad:
            raise ValueError(f"point {self.id} cannot exist: {', '.join(bad)}")

    @property
    def id(self) -> str:
        """Unique within its sweep: `00007/12`."""
        return f"{self.trial:05d}/{self.cut}"

    @property
    def training(self) -> int:
        """Of which training of its setting it is: 0 the first, others with other seeds; LOOK of none."""
        if self.cut.startswith(_LOOK):
            return LOOK
        match = _REPEATED.fullmatch(self.cut)
        return int(match[1]) if match else 0

    @property
    def base_cut(self) -> str:
        """Name of the same cut in the first training."""
        match = _REPEATED.fullmatch(self.cut)
        return match[2] if match else self.cut.removeprefix(_LOOK)

    @property
    def speedup(self) -> float | None:
        """Measured speedup (`best_of`); None where none was measured."""
        return self.timing.speedup if self.timing else None

    @property
    def timing(self) -> Latency | None:
        """The latency record that counts."""
        return best_of(self.latency) if self.latency else None

    @property
    def macs_removed(self) -> float:
        """1 - macs / dense_macs: what stands in for speedup while the search runs."""
        return 1 - self.macs / self.dense_macs

    @property
    def size_removed(self) -> float:
        return 1 - self.size_bytes / self.dense_size_bytes

    def figures(self) -> dict[str, float]:
        """Every measured number that is there, by name."""
        own = vars(self)
        numbers = {name: value for name in NUMBERS if (value := own[name]) is not None}
        if (at := self.timing) is not None:
            numbers |= {"latency_ms": at.latency_ms, "dense_latency_ms": at.dense_latency_ms, "speedup": at.speedup}
        numbers |= {"macs_removed": self.macs_removed, "size_removed": self.size_removed}
        return numbers

    def _all_figures(self) -> Iterator[tuple[str, float]]:
        yield from self.figures().items()
        for record in self.latency:
            for name in ("latency_ms", "dense_latency_ms", "speedup", "iqr_share"):
                yield f"{name} at batch {record.batch}", getattr(record, name)

    def with_(self, **changes: Any) -> Self:
        return replace(self, **changes)

    def as_json(self) -> dict[str, Any]:
        return {
            **vars(self),
            "widths": list(self.widths),
            "setting": dict(self.setting),
            "latency": [dict(vars(record)) for record in self.latency],
            "spread": self.spread.as_json() if self.spread else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The point that `as_json` wrote; unknown keys are an error, as they mean another schema."""
        return cls(
            **{
                **data,
                "widths": tuple(data["widths"]),
                "latency": latencies(data["latency"]),
                "spread": Spread.from_json(spread) if (spread := data.get("spread")) else None,
            }
        )


FIRST_FIGURES: Final = ("accuracy", "macs", "weights_left")


def made_of(point: Point) -> str:
    """What tells this network from another one that the same cut gave: a trial that goes on elsewhere may not come to
    the same bits, and what was measured of the one does not hold of the other."""
    return " ".join(f"{name}={getattr(point, name)!r}" for name in FIRST_FIGURES)


def cut_name(base: str, training: int) -> str:
    """Name of a cut in a training of its setting, or in a first look: `03`, `r1-03`, `look-03`."""
    if training == LOOK:
        return _LOOK + base
    return f"r{training}-{base}" if training else base


def by_training(points: Iterable[Point]) -> list[tuple[Point, ...]]:
    """A trial's points, those of each training together; those of a first look are left out."""
    found: dict[int, list[Point]] = {}
    for point in points:
        if point.training != LOOK:
            found.setdefault(point.training, []).append(point)
    return [tuple(each) for _, each in sorted(found.items())]

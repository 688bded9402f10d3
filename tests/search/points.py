"""Points for tests: every figure follows from the few that a test names."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from sparsweep.search.figures import Objectives
from sparsweep.trainables.point import Latency, Point

TWO: Objectives = {"accuracy": "max", "sparsity": "max"}
THREE: Objectives = {"accuracy": "max", "sparsity": "max", "speedup": "max"}

DENSE_MACS = 1000
DENSE_SIZE_BYTES = 4000
DENSE_WEIGHTS = 1000


def make_point(
    trial: int = 0,
    cut: str = "00",
    *,
    accuracy: float = 0.9,
    sparsity: float = 0.5,
    macs_removed: float | None = None,
    speedup: float | None = None,
    latency: tuple[Latency, ...] | None = None,
    **figures: Any,
) -> Point:
    """A point of a network of 1000 weights, 1000 MACs and 4000 bytes.

    Unless named, the shares of MACs and of bytes removed equal `sparsity`; a `speedup` is one record at batch 32
    against 10 ms dense; None leaves the point untimed. Any other field of Point may be given by name.
    """
    removed = sparsity if macs_removed is None else macs_removed
    given: dict[str, Any] = {
        "method": "gasl",
        "threshold": 0.01,
        "layer_sparsity": sparsity,
        "weights_left": round(DENSE_WEIGHTS * (1 - sparsity)),
        "macs": round(DENSE_MACS * (1 - removed)),
        "macs_ideal": round(DENSE_MACS * (1 - removed)),
        "dense_macs": DENSE_MACS,
        "size_bytes": round(DENSE_SIZE_BYTES * (1 - sparsity)),
        "dense_size_bytes": DENSE_SIZE_BYTES,
        "widths": (20, 50, 100),
        "setting": {"method": "gasl", "sparsity_strength": 1e-3},
        **figures,
    }
    records = latency if latency is not None else () if speedup is None else (make_latency(speedup),)
    return Point(trial=trial, cut=cut, accuracy=accuracy, sparsity=sparsity, latency=records, **given)


def make_latency(speedup: float, *, batch: int = 32, dense_latency_ms: float = 10.0) -> Latency:
    """A quiet record: compact takes dense / speedup."""
    return Latency(
        batch=batch,
        latency_ms=dense_latency_ms / speedup,
        dense_latency_ms=dense_latency_ms,
        speedup=speedup,
        iqr_share=0.01,
        pairs=50,
        device="cpu",
        threads=1,
        runtime="eager",
    )


def cloud(rows: Sequence[tuple[float, float, float | None]]) -> list[Point]:
    return [
        make_point(trial, accuracy=accuracy, sparsity=sparsity, speedup=speedup)
        for trial, (accuracy, sparsity, speedup) in enumerate(rows)
    ]


def trials(points: Sequence[Point]) -> list[int]:
    return [point.trial for point in points]


tenths = st.integers(0, 10).map(lambda tenth: tenth / 10)
clouds = st.lists(st.tuples(tenths, tenths, st.none() | st.integers(1, 5).map(float)), max_size=12)

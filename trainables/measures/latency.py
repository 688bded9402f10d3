"""How long one forward pass takes: dense and compact interleaved in one process, and how much to trust it.

Latency depends on shapes, not on weights (but for sparse kernels), and cannot be measured beside busy neighbours: the
caller sees to it that the device is otherwise idle.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils import benchmark

from sparsweep.trainables.measures.runtimes import BESIDE, Runner, prepared
from sparsweep.trainables.point import Latency

NOISY = 0.1
"""Interquartile range over median above which a measurement is noise: it is repeated, never published."""


def measure_latency(
    dense: nn.Module, compact: nn.Module, example_shape: tuple[int, ...], *, batch: int, device: str,
    runtime: str = "eager", threads: int = 1, **how: float,
) -> Latency | None:  # fmt: skip
    """Both networks in one runtime; see `compare`.

    Raises:
        UnsuitableError: the runtime cannot serve one of them.
    """
    inputs = torch.rand(batch, *example_shape)
    runners = [
        prepared(dense, BESIDE.get(runtime, runtime), inputs, threads=threads),
        prepared(compact, runtime, inputs, threads=threads),
    ]
    return compare(runners[0], runners[1], batch=batch, device=device, threads=threads, **how)


def compare(
    dense: Runner, compact: Runner, *, batch: int, device: str, threads: int = 1, block_s: float = 0.005,
    pairs: float = 21, most_pairs: float = 161, most_s: float = 20.0,
) -> Latency | None:  # fmt: skip
    """Medians over interleaved pairs of blocks of about `block_s` seconds each, after a warm-up.

    A noisy sample is not thrown away but grown: short bursts from elsewhere then fall outside the quartiles.

    Args:
        device: label of the device for the record, such as the processor's name.
        pairs: how many pairs are taken at least, and how many more while the spread is above NOISY.
        most_pairs: when to give up.
        most_s: when to give up on a large network, whose pairs take seconds each; the first `pairs` are always taken.

    Returns:
        The record, or None if the measurement is still noisy then.
    """
    timers = [
        benchmark.Timer("net(inputs)", globals={"net": r.call, "inputs": r.inputs}, num_threads=threads)
        for r in (dense, compact)
    ]
    times: list[list[float]] = []
    began = time.perf_counter()
    with torch.inference_mode(), _flushing_denormals():
        loops = [max(1, round(block_s / _estimate(timer))) for timer in timers]
        while not times or (len(times) < most_pairs and time.perf_counter() - began < most_s):
            times += [[t.timeit(n).mean for t, n in zip(timers, loops, strict=True)] for _ in range(int(pairs))]
            record = _record(
                times, batch=batch, device=device, threads=threads, runtime=compact.runtime, dtype=compact.dtype,
                dense_runtime=dense.runtime, csr_layers=compact.csr_layers,
            )  # fmt: skip
            if record.iqr_share <= NOISY:
                return record
    return None


@contextmanager
def _flushing_denormals() -> Iterator[None]:
    """Numbers too small to matter slow a pruned network down tenfold; the process's own setting is put back."""
    smallest = torch.tensor(5e-324, dtype=torch.float64)
    was_on = bool(smallest * 1 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_on)


def _estimate(timer: benchmark.Timer) -> float:
    """Seconds of one pass, measured warm: after 20 passes, or fewer of a network that takes long."""
    passes = min(20, max(2, round(0.1 / max(timer.timeit(1).mean, 1e-7))))
    timer.timeit(passes)
    return max(timer.timeit(passes).mean, 1e-7)


def _record(times: list[list[float]], **about: Any) -> Latency:
    dense, compact = ([pair[i] for pair in times] for i in (0, 1))
    return Latency(
        latency_ms=statistics.median(compact) * 1e3,
        dense_latency_ms=statistics.median(dense) * 1e3,
        speedup=statistics.median(d / c for d, c in times),
        iqr_share=max(_iqr_share(dense), _iqr_share(compact)),
        pairs=len(times),
        **about,
    )


def _iqr_share(values: list[float]) -> float:
    quarter, median, three_quarters = statistics.quantiles(values, n=4)
    return (three_quarters - quarter) / median

"""How long one forward pass takes: dense and compact interleaved in one process, and how much to trust it.

Latency depends on shapes, not on weights (but for sparse kernels), and cannot be measured beside busy neighbours: the
caller sees to it that the device is otherwise idle. Neighbours outside a virtual machine remain: for seconds on end
they made ResNet-20 take 3.4 to 5.4 ms on an idle one. They only ever add time, so what counts of several turns in a row
is the fastest; how many turns such a round takes grows until rounds agree with each other.
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
    round_s: float = 0.04, pairs: float = 21, most_turns: float = 64, most_s: float = 20.0,
) -> Latency | None:  # fmt: skip
    """Medians over rounds of interleaved turns of about `block_s` seconds each, after a warm-up.

    A noisy sample is not thrown away but doubled, and its turns are gathered into longer rounds.

    Args:
        device: label of the device for the record, such as the processor's name.
        round_s: how many seconds a round takes at least.
        pairs: how many rounds there are at least.
        most_turns: of a round of `pairs`; when to give up.
        most_s: when to give up on a large network, whose turns take seconds each; the first `pairs` are always taken.

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
        estimates = [_estimate(timer) for timer in timers]
        loops = [max(1, round(block_s / estimate)) for estimate in estimates]
        turn_s = sum(n * estimate for n, estimate in zip(loops, estimates, strict=True))
        shortest = min(max(1, round(round_s / turn_s)), int(most_turns))
        wanted = shortest
        while not times or (wanted <= most_turns and 2 * (time.perf_counter() - began) < most_s):
            while len(times) < pairs * wanted:
                times.append([t.timeit(n).mean for t, n in zip(timers, loops, strict=True)])
            turns = shortest
            while turns <= wanted:
                record = _record(
                    _rounds(times, turns), turns=turns, batch=batch, device=device, threads=threads,
                    runtime=compact.runtime, dtype=compact.dtype, dense_runtime=dense.runtime,
                    csr_layers=compact.csr_layers,
                )  # fmt: skip
                if record.iqr_share <= NOISY:
                    return record
                turns *= 2
            wanted *= 2
    return None


def _rounds(times: list[list[float]], turns: int) -> list[list[float]]:
    """The fastest of each so many turns in a row, for each network."""
    whole = len(times) - len(times) % turns
    return [[min(each) for each in zip(*times[i : i + turns], strict=True)] for i in range(0, whole, turns)]


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

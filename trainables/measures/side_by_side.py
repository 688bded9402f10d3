"""One dense network beside its compact ones, in every runtime that is asked for, and each in its fastest."""

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sparsweep.trainables.measures.latency import compare
from sparsweep.trainables.measures.runtimes import BESIDE, Runner, UnsuitableError, prepared
from sparsweep.trainables.point import Latency

Pair = tuple[str, str]
"""What runs the compact network, what runs the dense one."""


@dataclass(kw_only=True)
class Bench:
    """Keeps the dense network ready in every runtime and batch that it was asked for."""

    dense: nn.Module
    example_shape: tuple[int, ...]
    device: str
    """Label for the records."""
    on: str = "cpu"
    threads: int = 1
    most_s: float = 20.0
    """Seconds after which a measurement that stays noisy is given up."""
    round_s: float = 0.04
    """How long a round takes at least."""
    patience_s: float = 60.0
    """Seconds left for measurements that stay noisy: each of them is given up after half of what is left, so that a
    noisy machine costs no more than this in all."""
    _ready: dict[tuple[str, int], Runner] = field(default_factory=dict)

    def measure(self, compact: nn.Module, runtimes: tuple[str, ...], batch: int) -> dict[Pair, Latency | str | None]:
        """Records by pair of runtimes; why not, where one cannot serve a network; None where it stayed noisy.

        Dense and compact are timed in the same runtime, and, if another one is faster for each, each in its own.
        """
        inputs = torch.rand(batch, *self.example_shape, device=self.on)
        _check_runs(compact.to(self.on).eval(), inputs)
        ready: dict[str, Runner] = {}
        found: dict[Pair, Latency | str | None] = {}
        for runtime in runtimes:
            beside = BESIDE.get(runtime, runtime)
            try:
                dense = self._dense(beside, batch)
                ready[runtime] = prepared(compact.to(self.on), runtime, inputs, threads=self.threads)
                found[runtime, beside] = self._compare(dense, ready[runtime], batch)
            except UnsuitableError as fault:
                found[runtime, beside] = str(fault)
        records = [r for r in found.values() if isinstance(r, Latency) and r.dtype == "float32"]
        if records:
            fastest = min(records, key=lambda r: r.latency_ms).runtime
            of_dense = min(records, key=lambda r: r.dense_latency_ms).dense_runtime
            if (fastest, of_dense) not in found:
                found[fastest, of_dense] = self._compare(self._dense(of_dense, batch), ready[fastest], batch)
        return found

    def _compare(self, dense: Runner, compact: Runner, batch: int) -> Latency | None:
        began = time.perf_counter()
        record = compare(
            dense, compact, batch=batch, device=self.device, threads=self.threads,
            most_s=min(self.most_s, self.patience_s / 2), round_s=self.round_s,
        )  # fmt: skip
        if record is None:
            self.patience_s = max(0.0, self.patience_s - (time.perf_counter() - began))
        return record

    def _dense(self, runtime: str, batch: int) -> Runner:
        if (runtime, batch) not in self._ready:
            inputs = torch.rand(batch, *self.example_shape, device=self.on)
            self._ready[runtime, batch] = prepared(self.dense.to(self.on), runtime, inputs, threads=self.threads)
        return self._ready[runtime, batch]


@torch.inference_mode()
def _check_runs(net: nn.Module, inputs: Tensor) -> None:
    """Raises ValueError where the network does not take so many examples."""
    try:
        net(inputs)
    except Exception as fault:  # whatever the network's own code, or the allocator, raises
        first = (str(fault).strip().splitlines() or [type(fault).__name__])[0][:160]
        raise ValueError(f"the network does not take a batch of {len(inputs)} ({first}): choose another") from fault

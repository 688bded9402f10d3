"""The meter: times near-front networks on a quiet device, once per shape.

Latency depends on shapes alone, so what was timed once is looked up by shapes, device, runtimes, batch and threads.
Held as CSR it depends on where the zeros are too: such a network's key names how many weights each layer has left.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.trainables.record import read_whole, write_atomically

if TYPE_CHECKING:
    from sparsweep.trainables.tasks import Task

ROUND_MS = 40.0
MOST_ROUNDS = 500
"""So many rounds' time is spent on a measurement that stays noisy, before it is given up."""
PATIENCE_ROUNDS = 1500
"""So many rounds' time is spent on all that stays noisy together."""
Cells = dict[str, dict[str, Any]]
"""By `cell`: a record as plain data, or {"unsuitable": why} where the runtime cannot serve the network."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How networks are timed."""

    batches: tuple[int, ...] = (1, 32)
    """`speedup` is meant at the largest."""
    runtimes: tuple[str, ...] = ("eager",)
    """See `measures.runtimes`; dense and compact count each in its fastest."""
    threads: int = 1
    round_ms: float = ROUND_MS
    """How long each round takes at least; what was timed in shorter ones does not count as known."""

    @property
    def throughput_batch(self) -> int:
        return max(self.batches)

    def as_json(self) -> dict[str, Any]:
        """Plain data; `from_json` is its inverse."""
        return {**asdict(self), "batches": list(self.batches), "runtimes": list(self.runtimes)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Timing":
        return cls(**{**data, "batches": tuple(data["batches"]), "runtimes": tuple(data["runtimes"])})

    def cell(self, key: str, device: str, batch: int, *way: str) -> str:
        """Under which name a latency is kept."""
        rounds = () if self.round_ms == ROUND_MS else (f"{self.round_ms:g}ms",)
        return "|".join([cell(key, device, batch, self.threads, *way), *rounds])


Job = Sequence[Any]
"""Key of a network, path (without ending) of its files, batches to time it at."""


def time_networks(
    task: Mapping[str, Any], jobs: Sequence[Job], timing: Mapping[str, Any], on: str = "cpu"
) -> tuple[str, Cells]:
    """Times compact networks beside their dense original; runs alone on its device, in a process of its own.

    Args:
        task: of the dense network, as `Task.as_json` gives it.
        jobs: of the compact networks.
        timing: as `Timing.as_json` gives it.
        on: torch's name of the device.

    Returns:
        The device's label, and what was measured; what stayed noisy is missing.
    """
    import torch

    from sparsweep.trainables.compact.architecture import load_network
    from sparsweep.trainables.measures.device import device_label
    from sparsweep.trainables.measures.side_by_side import Bench
    from sparsweep.trainables.tasks import Task

    how = Timing.from_json(timing)
    torch.set_num_threads(how.threads)
    built = Task.from_json(task)
    label = device_label(on)
    bench = Bench(
        dense=built.build(), example_shape=built.example_shape, device=label, on=on, threads=how.threads,
        round_s=how.round_ms / 1e3, most_s=MOST_ROUNDS * how.round_ms / 1e3,
        patience_s=PATIENCE_ROUNDS * how.round_ms / 1e3,
    )  # fmt: skip
    found: Cells = {}
    wanted = [(batch, key, path) for key, path, batches in jobs for batch in batches]
    for batch, key, path in sorted(wanted, key=lambda job: -job[0]):  # `speedup` first, while there is patience
        compact = load_network(Path(path), built.build)
        for pair, result in bench.measure(compact, how.runtimes, batch).items():
            record = {"unsuitable": result} if isinstance(result, str) else result and asdict(result)
            if record:
                found[how.cell(key, label, batch, *pair)] = record
    return label, found


def layer_times_of(task: Mapping[str, Any], batch: int, threads: int) -> dict[str, Any]:
    """`LayerTimes` of a task's dense network as plain data; runs alone on its device."""
    import torch

    from sparsweep.trainables.compact.attention import split_attention
    from sparsweep.trainables.measures.device import device_label
    from sparsweep.trainables.measures.layer_times import time_layers
    from sparsweep.trainables.tasks import Task

    torch.set_num_threads(threads)
    built = Task.from_json(task)
    net = split_attention(built.build())
    return time_layers(net, built.example_shape, batch=batch, device=device_label(), threads=threads).as_json()


def shape_key(network: str, architecture: Mapping[str, Any], left: Mapping[str, int] | None = None) -> str:
    """What latency depends on: the network (see `Task.identity`) and the in- and outputs of every layer (`s`: selected
    from more); with `left` the weights that are not zero too."""

    def shape(name: str, layer: Mapping[str, Any]) -> str:
        zeros = f"/{left[name]}" if left is not None else ""
        return f"{layer['in']}{'s' if layer.get('selected') else ''}x{layer['out']}{zeros}"

    layers = architecture["layers"]
    return f"{network}|" + ",".join(f"{name}:{shape(name, layer)}" for name, layer in layers.items())


def cell(key: str, device: str, batch: int, threads: int, runtime: str, dense_runtime: str = "") -> str:
    """What a latency is of: network, device, runtimes, batch, threads."""
    ran = runtime if dense_runtime in ("", runtime) else f"{runtime}/{dense_runtime}"
    return f"{key}|{device}|{ran}|b{batch}|t{threads}"


def _device_here() -> str:
    from sparsweep.trainables.measures.device import processor

    return processor()


class Meter:
    """Latencies by shape, kept in a file beside the sweeps."""

    def __init__(
        self, path: Path, run_alone: Callable[[Callable[..., Any], Sequence[Any]], Any], timing: Timing | None = None
    ) -> None:
        """`run_alone(function, arguments)` calls it, with plain data, while nothing else runs on the device."""
        self.path, self.run_alone, self.timing = path, run_alone, timing or Timing()

    def measure(
        self, task: "Task", points: Mapping[str, Path], *, device: str | None = None, on: str = "cpu"
    ) -> dict[str, list[dict[str, Any]]]:
        """Per name the records of all batches and runtimes as plain data; a noisy one is left out, never published.

        Args:
            task: of all these networks.
            points: by name the path (without ending) of a network's files.
            device: label under which to look for what is known; this machine's processor unless given.
        """
        known, here = self._known(), device or _device_here()
        keys = {name: self._key(task.identity(), path) for name, path in points.items()}
        jobs: dict[str, Job] = {}
        for name, key in keys.items():
            if missing := [batch for batch in self.timing.batches if not self._complete(known, key, here, batch)]:
                jobs[key] = (key, str(points[name]), missing)
        label = here
        if jobs:
            arguments = (task.resolved().as_json(), list(jobs.values()), self.timing.as_json(), on)
            label, timed = self.run_alone(time_networks, arguments)
            known |= self._known() | timed  # the file again: what another sweep has added meanwhile
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps(known))
        return {name: self._records(known, key, label if key in jobs else here) for name, key in keys.items()}

    def _key(self, network: str, path: Path) -> str:
        left = None
        if "csr" in self.timing.runtimes:
            from safetensors.torch import load_file

            weights = load_file(f"{path}.safetensors")
            left = {name.removesuffix(".weight"): int(tensor.count_nonzero()) for name, tensor in weights.items()}
        return shape_key(network, json.loads(Path(f"{path}.json").read_text()), left)

    def _complete(self, known: Cells, key: str, device: str, batch: int) -> bool:
        """Whether all runtimes are known; the pair of the two fastest, if they differ, is timed with them."""
        return all(self.timing.cell(key, device, batch, *way) in known for way in _ways(self.timing.runtimes))

    def _records(self, known: Cells, key: str, device: str) -> list[dict[str, Any]]:
        """Of the batches of which nothing is missing: else the fastest runtime might be the one that is."""
        runtimes = self.timing.runtimes
        ways = dict.fromkeys([*_ways(runtimes), *product(runtimes, runtimes)])
        names = [
            self.timing.cell(key, device, batch, *way)
            for batch in self.timing.batches
            if self._complete(known, key, device, batch)
            for way in ways
        ]
        return [known[name] for name in names if name in known and "unsuitable" not in known[name]]

    def _known(self) -> Cells:
        return read_whole(self.path, "delete it, and the networks are timed again") if self.path.exists() else {}


def _ways(runtimes: Sequence[str]) -> list[tuple[str, str]]:
    """What runs the compact network and the dense one beside it."""
    from sparsweep.trainables.measures.runtimes import BESIDE

    return [(runtime, BESIDE.get(runtime, runtime)) for runtime in runtimes]

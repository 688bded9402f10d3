"""The meter: times near-front networks on a quiet device, once per shape.

Latency depends on shapes alone, so what was timed once is looked up by shapes, device, runtime, batch and threads.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.trainables.point import SPEEDUP_BATCH, Point
from sparsweep.trainables.record import read_whole, write_atomically

if TYPE_CHECKING:
    from sparsweep.trainables.tasks import Task

BATCHES = (1, SPEEDUP_BATCH)
RUNTIME = "eager"
THREADS = 1

Timed = dict[str, dict[int, dict[str, Any] | None]]
"""By key of a network: by batch the record as plain data, or None where it stayed noisy."""


Job = tuple[str, str, list[int]]
"""Key of a network, path (without ending) of its files, batches to time it at."""


def time_networks(task: Mapping[str, Any], jobs: Sequence[Job]) -> tuple[str, Timed]:
    """Times compact networks beside their dense original; runs alone on its device, in a process of its own.

    Args:
        task: of the dense network, as `Task.as_json` gives it.
        jobs: of the compact networks.

    Returns:
        The device's label, and per key and batch the record.
    """
    import torch

    from sparsweep.trainables.attempt import processor
    from sparsweep.trainables.compact.architecture import load_network
    from sparsweep.trainables.measures.latency import measure_latency
    from sparsweep.trainables.tasks import Task

    torch.set_num_threads(THREADS)
    built = Task.from_json(task)
    device, dense, timed = processor(), built.build(), {}
    for key, path, batches in jobs:
        compact = load_network(Path(path), built.build)
        timed[key] = {
            batch: asdict(record)
            if (record := measure_latency(dense, compact, built.example_shape, batch=batch, device=device))
            else None
            for batch in batches
        }
    return device, timed


def shape_key(network: str, architecture: Mapping[str, Any]) -> str:
    """What latency depends on: the network (see `Task.identity`) and the in- and outputs of every layer (`s`: selected)
    from more."""

    def shape(layer: Mapping[str, Any]) -> str:
        return f"{layer['in']}{'s' if layer.get('selected') else ''}x{layer['out']}"

    return f"{network}|" + ",".join(f"{name}:{shape(layer)}" for name, layer in architecture["layers"].items())


def cell(key: str, device: str, batch: int) -> str:
    """Under which name a latency is kept."""
    return f"{key}|{device}|{RUNTIME}|b{batch}|t{THREADS}"


def _device_here() -> str:
    from sparsweep.trainables.attempt import processor

    return processor()


class Meter:
    """Latencies by shape, kept in a file beside the sweeps."""

    def __init__(self, path: Path, run_alone: Callable[[Callable[..., Any], Sequence[Any]], Any]) -> None:
        """`run_alone(function, arguments)` calls it while nothing else runs on the device."""
        self.path, self.run_alone = path, run_alone

    def measure(self, task: "Task", points: Sequence[Point], folder_of: Callable[[int], Path]) -> dict[str, list[Any]]:
        """Per point id the records of all batches as plain data; a noisy one is left out, never published."""
        known, here = self._known(), _device_here()
        network = task.identity()
        keys, device = dict[str, str](), here
        jobs: dict[str, Job] = {}
        for point in points:
            if point.network is None:
                continue
            path = folder_of(point.trial) / point.network
            key = shape_key(network, json.loads(Path(f"{path}.json").read_text()))
            keys[point.id] = key
            if missing := [batch for batch in BATCHES if cell(key, here, batch) not in known]:
                jobs[key] = (key, str(path), missing)
        if jobs:
            device, timed = self.run_alone(time_networks, (task.resolved().as_json(), list(jobs.values())))
            known |= self._known()  # what another sweep has added meanwhile
            for key, records in timed.items():
                known |= {cell(key, device, batch): r for batch, r in records.items() if r is not None}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps(known))
        found = dict[str, list[Any]]()
        for name, key in keys.items():
            labels = [device if key in jobs and batch in jobs[key][2] else here for batch in BATCHES]
            cells = [cell(key, label, batch) for label, batch in zip(labels, BATCHES, strict=True)]
            found[name] = [known[each] for each in cells if each in known]
        return found

    def _known(self) -> dict[str, dict[str, Any]]:
        return read_whole(self.path, "delete it, and the networks are timed again") if self.path.exists() else {}

"""Measure registered versions again, on this machine, and add the records to them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sparsweep.search.devices import tag_of
from sparsweep.search.meter import Meter, Timing
from sparsweep.trainables.measures.device import device_label
from sparsweep.trainables.own_code import is_own
from sparsweep.trainables.point import Latency, latencies
from sparsweep.trainables.tasks import Task

if TYPE_CHECKING:
    from sparsweep.search.with_mlflow import ModelVersionInfo, Registry


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one version measures here."""

    version: str
    records: tuple[Latency, ...]
    """Empty where it stayed too noisy to be published."""


def measure_versions(
    registry: "Registry", model: str, versions: Sequence["ModelVersionInfo"], timing: Timing, *, on: str = "cpu",
    code_root: Path | None = None, say: Callable[[str], None] = lambda text: None,
) -> list[Measured]:  # fmt: skip
    """Times each version beside its dense network and tags it with the records, one version after the other.

    Nothing is unpickled, and no code of the user's is run unless the folder that holds it is given.

    Args:
        on: torch's name of the device.
        code_root: where a network that is named `module:function` is found.

    Raises:
        ValueError: a version that cannot be measured, or a batch that its network does not take.
    """
    measured = []
    label = device_label(on)
    for info in versions:
        say(f"version {info.version} on {label}")
        with TemporaryDirectory(prefix="sparsweep-measure-") as space:
            folder = registry.download(model, info.version, Path(space) / "version", part="sparsweep")
            (folder / "architecture.json").rename(folder / "network.json")  # as a trial leaves them
            task = _task(folder, model, info.version, code_root)
            meter = Meter(Path(space) / "latency.json", lambda function, given: function(*given), timing)
            found = meter.measure(task, {info.version: folder / "network"}, device=label, on=on)[info.version]
        complete = any(record["batch"] == timing.throughput_batch for record in found)
        records = latencies(found) if complete else ()
        if records:
            registry.tag(model, info.version, {tag_of(label): _merged(info.tags.get(tag_of(label)), records)})
        measured.append(Measured(version=info.version, records=records))
    return measured


def _merged(before: str | None, records: Sequence[Latency]) -> str:
    """The records as a tag; those of other batches, threads and runtimes stay."""

    def way(record: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(record.get(name) for name in ("batch", "threads", "runtime", "dense_runtime"))

    kept = {way(record): record for record in json.loads(before or "[]")}
    kept |= {way(vars(record)): dict(vars(record)) for record in records}
    return json.dumps(list(kept.values()))


def _task(folder: Path, model: str, version: str, code_root: Path | None) -> Task:
    try:
        task = Task.from_json(json.loads((folder / "task.json").read_text()))
    except (OSError, ValueError, TypeError, KeyError) as fault:
        raise ValueError(
            f"version {version} of {model} does not say which network it was cut from, so there is nothing to measure "
            "it beside: only versions that this sparsweep registered can be measured"
        ) from fault
    if is_own(task.network) and code_root is None:
        raise ValueError(
            f"version {version} of {model} was cut from {task.network}, code of your own: give --code DIR, the folder "
            "in which it is found"
        )
    return replace(task, code_root=code_root)

"""What registered versions measure on one device: the sweep's own records, and those that `sparsweep measure` added.

A frontier found on one machine is ranked anew for the one that will serve it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from sparsweep.search.figures import Objectives
from sparsweep.search.frontier import Frontier
from sparsweep.spaces.constraint import Constraint
from sparsweep.trainables.point import Latency, Point, latencies

if TYPE_CHECKING:
    from sparsweep.search.with_mlflow import ModelVersionInfo

FIRST = "latency"
"""Tag with the records that the sweep measured; those of a device that was added are under `latency.NAME`."""
_INTEGERS = {f.name for f in fields(Point) if f.type is int}
_NUMBERS = {f.name for f in fields(Point) if f.type in (int, float, float | None)}


def tag_of(device: str) -> str:
    """Under which tag a device's records are kept.

    >>> tag_of("AMD EPYC 7B13 @ 2.4 GHz")
    'latency.amd-epyc-7b13-2-4-ghz'
    """
    return f"{FIRST}.{re.sub('[^a-z0-9]+', '-', device.lower()).strip('-')}"


def records_by_device(tags: Mapping[str, str]) -> dict[str, tuple[Latency, ...]]:
    """By device all records of a version; one that was measured again counts as it was the last time.

    A tag that somebody has damaged counts as not measured.
    """
    named = sorted(name for name in tags if name.startswith(f"{FIRST}."))
    found: dict[str, dict[tuple[Any, ...], Latency]] = {}
    for name in [FIRST, *named] if FIRST in tags else named:
        for record in _readable(tags[name]):
            way = (record.batch, record.threads, record.runtime, record.dense_runtime)
            found.setdefault(record.device, {})[way] = record
    return {device: tuple(records.values()) for device, records in found.items()}


def _readable(text: str) -> tuple[Latency, ...]:
    try:
        return latencies(json.loads(text))
    except (ValueError, TypeError):
        return ()


def point_of(info: "ModelVersionInfo", records: Sequence[Latency] = ()) -> Point | None:
    """The point that a version's tags describe, with these records; None for a version that is not ours."""
    numbers = {name: info.figures[name] for name in _NUMBERS if name in info.figures}
    if info.point is None or "accuracy" not in numbers:
        return None
    exact: dict[str, Any] = {name: int(value) if name in _INTEGERS else value for name, value in numbers.items()}
    return Point(
        **exact, cut=info.tags["cut"], method=info.tags["method"], widths=(), setting={}, latency=tuple(records),
        model_version=info.version,
    )  # fmt: skip


def frontier_on(
    device: str, model: str, versions: Sequence["ModelVersionInfo"], objectives: Objectives,
    constraints: Sequence[Constraint] = (),
) -> tuple[Frontier, list[str]]:  # fmt: skip
    """The frontier of the versions that were measured on a device, and which of them were not.

    Only versions of the newest version's task are compared.

    Raises:
        ValueError: none was measured there; the devices that there are are named.
    """
    newest = next((info.fingerprint for info in reversed(versions) if info.fingerprint is not None), None)
    peers = [info for info in versions if info.fingerprint == newest]
    there = measured_on(device, model, peers)
    points = [point_of(info, records_by_device(info.tags)[device]) for info in there]
    missing = [info.version for info in peers if info.version not in {each.version for each in there}]
    return Frontier.of(model, [point for point in points if point], objectives, constraints), missing


def peers_of(model: str, versions: Sequence["ModelVersionInfo"], device: str | None) -> list["ModelVersionInfo"]:
    """The versions that a pick chooses among: those of the newest one's task, with their figures on a device if named.

    Raises:
        ValueError: none was measured on that device.
    """
    newest = versions[-1].fingerprint if versions else None
    peers = [info for info in versions if info.fingerprint == newest]
    return peers if device is None else measured_on(device, model, peers)


def measured_on(device: str, model: str, versions: Sequence["ModelVersionInfo"]) -> list["ModelVersionInfo"]:
    """Those that were measured on a device, with their figures there. Raises ValueError where none was."""
    there = [found for info in versions if (found := on_device(info, device)) is not None]
    if not there:
        others = sorted({name for info in versions for name in records_by_device(info.tags)})
        raise ValueError(
            f"no version of {model} was measured on {device!r}, but on {', '.join(map(repr, others)) or 'no device'}: "
            f"run sparsweep measure {model} on that machine"
        )
    return there


def on_device(info: "ModelVersionInfo", device: str) -> "ModelVersionInfo | None":
    """The version with its figures as they are on a device; None where it was not measured there."""
    records = records_by_device(info.tags).get(device)
    point = point_of(info, records) if records else None
    return None if point is None else replace(info, figures={**info.figures, **point.figures()})

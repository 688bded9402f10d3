"""What the page reads: sweeps and their points, from the stores alone."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from sparsweep.search.curve import search_axes
from sparsweep.search.home import Home
from sparsweep.search.overview import Tally, state_of, tally_of
from sparsweep.search.published import points_for
from sparsweep.search.sweep_folder import SweepFolder, task_of, with_measured
from sparsweep.search.ui.cloud import Cloud
from sparsweep.search.ui.schemas import Layer, PointDetail, Reached, SweepDetail, SweepState
from sparsweep.spaces.faults import nearest, shown
from sparsweep.spaces.sweep_file import is_name
from sparsweep.trainables.point import Point
from sparsweep.trainables.tasks import Task


class NotThereError(LookupError):
    """What was asked for does not exist, or not any more."""


@dataclass
class Reader:
    """Reads one home; keeps what it has read of each sweep's points."""

    home: Home
    _clouds: dict[str, Cloud] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def folder(self, name: str) -> SweepFolder:
        """Raises NotThereError with the names that there are."""
        folder = SweepFolder(self.home.sweep(name))
        if not is_name(name) or not folder.exists():
            known = self.home.sweeps()
            there = (
                f"there is {', '.join(known)}" if known else "there is none yet: start one with sparsweep run digits"
            )
            raise NotThereError(f"no sweep {shown(name)}{nearest(name, known)}; {there}")
        return folder

    def sweeps(self) -> list[SweepState]:
        """All sweeps of the home, those at work first, then by the time of their last change."""
        found = [self.state(SweepFolder(self.home.sweep(name))) for name in self.home.sweeps()]
        return sorted(found, key=lambda each: (each.state != "running", -(each.changed_ms or 0), each.sweep))

    def state(self, folder: SweepFolder) -> SweepState:
        try:
            return SweepState(**state_of(folder, self._tally), **_told(folder))
        except ValueError as fault:
            return SweepState(sweep=folder.name, state="unreadable", fault=str(fault))

    def _tally(self, folder: SweepFolder) -> Tally:
        """From what was read already, where somebody looks at the sweep."""
        known = self._clouds.get(folder.name)
        if known is None:
            return tally_of(folder)
        known.refresh()
        return known.tally or tally_of(folder)

    def detail(self, name: str) -> SweepDetail:
        """Raises NotThereError, and ValueError where the sweep cannot be read."""
        folder = self.folder(name)
        sweep, _ = folder.read()
        cloud = self.cloud(name)
        failed = [line for line in cloud.trials.values() if line.state == "failed"]
        return SweepDetail(
            **self.state(folder).model_dump(), text=sweep.text_to_edit, objectives=dict(sweep.objectives.directions),
            axes=list(search_axes(sweep.objectives.directions)), constraints=list(map(str, sweep.constraints)),
            model=sweep.model, history=[Reached(trials=n, ended_ms=at, hypervolume=v) for n, at, v in cloud.history],
            failures=[{"number": t.number, "reason": t.reason, "ended_ms": t.ended_ms} for t in failed],
            published=points_for(sweep.task.network, sweep.task.data),
        )  # fmt: skip

    def cloud(self, name: str) -> Cloud:
        """The sweep's points, up to date. Raises NotThereError, and ValueError where it cannot be read."""
        folder = self.folder(name)
        with self._lock:
            cloud = self._clouds.setdefault(name, Cloud(folder))
        cloud.refresh()
        return cloud

    def point(self, name: str, trial: int, cut: str) -> PointDetail:
        """Raises NotThereError, and ValueError where the record or the network cannot be read."""
        folder = self.folder(name)
        sweep, where = folder.read()
        record = folder.store(where).folder(trial).latest()
        points = with_measured(record.points if record else (), folder.measured())
        point = next((point for point in points if point.cut == cut), None)
        if record is None or point is None:
            raise NotThereError(f"sweep {name} has no point {trial:05d}/{shown(cut)}")
        path = folder.store(where).folder(trial).path
        return PointDetail(
            id=point.id, point=point.as_json(), figures=point.figures(),
            layers=layers_of(point, path, task_of(sweep, where)),
            epochs=[asdict(epoch) for epoch in record.epochs], command=f"sparsweep logs {name}/{trial:05d}",
        )  # fmt: skip


def _told(folder: SweepFolder) -> dict[str, Any]:
    """What the driver last wrote of itself, beside what `state_of` counts."""
    known: Mapping[str, Any] = {}
    with suppress(OSError, ValueError):
        known = json.loads((folder.path / "status.json").read_text())
    return {
        "running": known.get("running", 0), "phase": known.get("phase", "starting"),
        "changed_ms": known.get("at_ms"), "slots": known.get("slots"), "left_s": known.get("left_s"),
    }  # fmt: skip


def layers_of(point: Point, trial: Path, task: Task) -> list[Layer]:
    """Layer by layer what is left, in the network's order; nothing where the network was not kept, or is gone.

    Raises:
        ValueError: the network's files are damaged.
    """
    from sparsweep.trainables.compact.architecture import load_network
    from sparsweep.trainables.compact.attention import split_attention
    from sparsweep.trainables.groups import prunable_layers
    from sparsweep.trainables.measures.macs import layer_macs

    if point.network is None or not (trial / f"{point.network}.json").exists():
        return []
    dense, compact = split_attention(task.build()), load_network(trial / point.network, task.build)
    shape = task.example_shape
    macs, before = layer_macs(compact, shape), layer_macs(dense, shape)
    left = prunable_layers(compact)
    return [
        Layer(
            name=name, outputs=left[name].weight.shape[0], inputs=left[name].weight[0].numel(),
            dense_outputs=layer.weight.shape[0], dense_inputs=layer.weight[0].numel(), macs=macs[name],
            dense_macs=before[name],
        )
        for name, layer in prunable_layers(dense).items() if name in left
    ]  # fmt: skip

"""The table of real trials that a simulation answers from: made once, read ever after.

One row a trial: its setting, its curve, what it would have given at each rung, and how long it took. A trial that
failed has its reason and no points.
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sparsweep.search.catalogue import catalogue
from sparsweep.search.with_optuna.proposer import Proposer
from sparsweep.spaces.load import load_sweep
from sparsweep.spaces.space import Row
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.judgement import Verdict
from sparsweep.trainables.point import Point

HERE: Final = Path(__file__).parent
TABLE: Final = HERE / "digits.json"
COLUMNS: Final = (
    "cut", "threshold", "accuracy", "sparsity", "layer_sparsity", "weights_left", "macs", "macs_ideal", "size_bytes",
    "widths",
)  # fmt: skip
DIGITS: Final = 6
"""Significant ones of a figure; the table stays small."""


def sweep() -> SweepFile:
    """What is recorded and simulated."""
    return load_sweep(str(HERE / "digits.yaml"), catalogue())


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One real trial."""

    row: Row
    reason: str | None
    """Why it failed."""
    train_s: float
    """Seconds until the first cut."""
    descend_s: float
    points: tuple[Mapping[str, Any], ...]
    """By column, in the order in which they were measured."""
    probes: Mapping[int, tuple[Mapping[str, Any], ...]]
    """By epoch what a judge was shown (`Trial.probe`)."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """All recorded trials, and what they have in common."""

    dense_macs: int
    dense_size_bytes: int
    trials: tuple[Recorded, ...]


def read(path: Path = TABLE) -> Table:
    """The table as it was recorded."""
    data = json.loads(path.read_text())
    return Table(
        dense_macs=data["dense_macs"], dense_size_bytes=data["dense_size_bytes"],
        trials=tuple(_trial(each) for each in data["trials"]),
    )  # fmt: skip


def _trial(data: Mapping[str, Any]) -> Recorded:
    return Recorded(
        row=data["row"], reason=data["reason"], train_s=data["train_s"], descend_s=data["descend_s"],
        points=_points(data["points"]), probes={int(at): _points(rows) for at, rows in data["probes"].items()},
    )  # fmt: skip


def _points(rows: Sequence[Sequence[Any]]) -> tuple[Mapping[str, Any], ...]:
    return tuple(dict(zip(COLUMNS, row, strict=True)) for row in rows)


def record(count: int, path: Path = TABLE) -> None:
    """Runs trials at quasi-random settings, one after the other, until the table has so many; what it has is kept."""
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    searched = sweep()
    spread = Proposer(searched.space(catalogue()), sampler="auto", seed=0, begun=0, objectives=1, say=print)
    data = json.loads(path.read_text()) if path.exists() else {"trials": []}
    for number in range(len(data["trials"]), count):
        row, _ = spread.next(number)  # no outcome is told, so all of them are quasi-random
        found = _run(searched, number, row)
        data |= found.pop("dense") or {}
        data["trials"].append(found)
        path.write_text(json.dumps(data, separators=(",", ":")))
        print(f"… {number + 1} of {count}: {len(found['points'])} points", file=sys.stderr, flush=True)


class _Witness:
    """Lets a trial go on and keeps what it showed."""

    def __init__(self) -> None:
        self.probes: dict[int, list[list[Any]]] = {}

    def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
        self.probes[epoch] = [_cells(point) for point in probe]
        return Verdict()

    def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
        return Verdict()


def _run(searched: SweepFile, number: int, row: Row) -> dict[str, Any]:
    """One trial, to its end."""
    from sparsweep.search.stopping import rungs_of
    from sparsweep.trainables.attempt import run_trial
    from sparsweep.trainables.record import TrialFolder
    from sparsweep.trainables.tasks import Task
    from sparsweep.trainables.trial import TrialPlan

    epochs, witness = searched.budget.epochs, _Witness()
    plan = TrialPlan(
        number=number, setting=row, seed=number, task=Task(network=searched.task.network, data=searched.task.data),
        fixed={"epochs": epochs, **searched.trial}, rungs=rungs_of(epochs),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        done = run_trial(plan, TrialFolder(Path(folder) / "00000"), judge=witness)
    descend_s = done.seconds.get("descend", 0.0)
    dense = {name: getattr(done.points[0], name) for name in ("dense_macs", "dense_size_bytes")} if done.points else {}
    return {
        "row": dict(row), "reason": done.reason, "probes": witness.probes, "descend_s": round(descend_s, 3),
        "train_s": round(sum(done.seconds.values()) - descend_s - done.seconds.get("judged", 0.0), 3),
        "points": [_cells(point) for point in done.points], "dense": dense,
    }  # fmt: skip


def _cells(point: Point) -> list[Any]:
    """A point under COLUMNS."""
    cells = (getattr(point, name) for name in COLUMNS)
    return [float(f"{cell:.{DIGITS}g}") if isinstance(cell, float) else cell for cell in cells]

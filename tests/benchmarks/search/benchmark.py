"""What one benchmark runs: its task, budget, seeds and contenders, and what identifies each run."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sparsweep.search.catalogue import catalogue
from sparsweep.search.curve import search_axes
from sparsweep.search.sweep import known_good_rows
from sparsweep.search.sweep_folder import Where, task_of
from sparsweep.spaces.load import load_sweep
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.tasks import Task
from tests.benchmarks.machine import machine, root
from tests.benchmarks.search.contenders import Contender, aside_of, sources_of, sweep_text
from tests.benchmarks.search.contest import AXES, Contest, knobs_as_json
from tests.benchmarks.search.kept import Shelf, digest
from tests.benchmarks.search.syne_tune_environment import SYNE_TUNE


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Contenders on a task, each with the same budget and the same seeds."""

    preset: str
    minutes: float
    """Budget of a run, start-up included."""
    seeds: int
    data_root: str | None
    keep: Path
    contenders: tuple[Contender, ...]
    found_on: Mapping[str, Any] = field(default_factory=machine)
    slots: int = field(default_factory=lambda: os.cpu_count() or 1)
    """As many as `sparsweep run` takes on this machine."""

    @property
    def end_s(self) -> float:
        return 60 * self.minutes

    @property
    def axis(self) -> str:
        """What stands against accuracy."""
        return AXES[self.preset]

    @property
    def shelf(self) -> Shelf:
        return Shelf(folder=self.keep / self.preset)

    @cached_property
    def sweep(self) -> SweepFile:
        return load_sweep(self.preset, catalogue())

    @cached_property
    def task(self) -> Task:
        return task_of(self.sweep, Where(data_root=self.data_root))

    def contest(self, seed: int, folder: Path) -> Contest:
        """What the contenders are given with a seed."""
        space = self.sweep.space(catalogue())
        good = known_good_rows(self.sweep.methods, space)
        return Contest(
            task=self.task.as_json(), fixed={"epochs": self.sweep.budget.epochs, **self.sweep.trial},
            knobs=knobs_as_json(space), known_good=tuple(space.nearest(row) for row in good),
            axis=self.axis, axes=search_axes(self.sweep.objectives.directions),
            constraints=tuple(map(str, self.sweep.constraints)), seed=seed, slots=self.slots, folder=str(folder),
        )  # fmt: skip

    def _given(self) -> dict[str, Any]:
        """What of the sweep file the others are given."""
        given = asdict(self.contest(0, Path()))
        return {name: part for name, part in given.items() if name not in ("task", "seed", "folder")}

    def settings(self, contender: Contender) -> dict[str, Any]:
        """Everything that a run depends on beside its seed, its code included; only equal settings are compared."""
        return {
            "task": self.preset, "axis": self.axis, "minutes": self.minutes, "slots": self.slots,
            "sweep": sweep_text(contender, self.preset) if contender.module is None else self._given(),
            "data": self.task.fingerprint(),
            "contender": [contender.module, *contender.options],
            "code": digest(root(), sources_of(contender), aside_of(contender)),
            "processor": self.found_on["processor"], "versions": self.found_on["versions"],
            **({"wrapper": contender.wrapper} if contender.wrapper else {}),
            **({"syne-tune": SYNE_TUNE} if contender.module == "moasha" else {}),
        }  # fmt: skip

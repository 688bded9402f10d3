"""Sweeps in a notebook: run or open one, see how far it is, take its points as tables, pick a network and load it.

    from sparsweep.search.notebook import Sweep

    sweep = Sweep.run("digits", inline=True)
    sweep.pick("accuracy >= 0.97", best="macs").load()

What is told here is what the commands tell, by the same functions. Importing this module is cheap: torch and the
engines are imported by what needs them.
"""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from sparsweep.search.home import Home

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import nn

    from sparsweep.search.frontier import Frontier
    from sparsweep.search.sweep_folder import SweepFolder
    from sparsweep.search.with_mlflow import ModelVersionInfo, Registry
    from sparsweep.trainables.point import Point
    from sparsweep.trainables.record import TrialRecord
    from sparsweep.trainables.tasks.split import Data

COLUMNS = 110
"""Width of the lines that a running sweep prints."""


@dataclass(frozen=True)
class Sweep:
    """One sweep by name; every question is answered from its files as they are at that moment.

    So a sweep may be looked at while it is being run, here or elsewhere.
    """

    name: str
    home: Home

    @classmethod
    def open(cls, name: str, home: str | Path | None = None) -> Self:
        """A sweep that is there.

        Args:
            home: the folder that holds the state; None finds it as the commands do (SPARSWEEP_HOME, or `.sparsweep`
                upward from the working directory).

        Raises:
            ValueError: there is no such sweep; the names that there are are told.
        """
        found = cls(name, _home(home))
        return cls(found._folder.name, found.home)

    @classmethod
    def run(
        cls, source: str | Path, *, trials: int | None = None, epochs: int | None = None,
        time_limit: str | float | None = None, seed: int | None = None, name: str | None = None,
        data_root: str | Path | None = None, inline: bool = False, home: str | Path | None = None,
    ) -> Self:  # fmt: skip
        """Runs a sweep to the end of its budget, as `sparsweep run` does; goes on with one that has begun.

        Lines on its progress are printed now and then. Addresses of a cluster, a tracking server and a study's
        database come from the environment, as they do for the command. Interrupting the kernel stops the sweep; what
        finished is kept.

        Args:
            source: a preset's name, a YAML file, or the YAML text itself (which has line breaks, or `key: value`); a
                `Path` is always a file.
            trials: after so many it ends; here and below None leaves what the sweep says.
            epochs: of training a trial.
            time_limit: `"30m"`, or seconds.
            seed: fixes proposals and trainings.
            name: the sweep's; a file's own name, or `sweep` for a text, where none is given.
            data_root: the folder of the data.
            inline: runs trials in this process, one after the other, without starting Ray.
            home: as in `open`.

        Raises:
            ValueError: the sweep has faults (all of them are told), its name stands for another search, or this is not
                the process's main thread. Nothing has been started.
            StoppedError: it was stopped before its end.
        """
        _import_bars()
        from sparsweep.search.redaction import without_secrets
        from sparsweep.search.starting import new_job, where_of
        from sparsweep.search.sweep import StoppedError, run_sweep
        from sparsweep.spaces.load import Overrides

        if threading.current_thread() is not threading.main_thread():
            raise ValueError("a sweep is run from the main thread only, where signals come: call Sweep.run there")
        is_text = isinstance(source, str) and ("\n" in source or ": " in source)
        path = str(source.absolute()) if isinstance(source, Path) else source
        overrides = Overrides(name=name, trials=trials, epochs=epochs, time_limit=time_limit, seed=seed)
        where = where_of({"data_root": None if data_root is None else str(data_root)})
        job = new_job(path, overrides, where, _home(home), inline=inline, is_text=is_text)
        console = _console()
        console.print(f"sweep {job.folder.name} in {job.folder.path}", highlight=False, markup=False, soft_wrap=True)
        try:
            with _process_as_it_was():
                run_sweep(job, console)
        except StoppedError as stopped:  # notebooks are saved with what they said
            raise StoppedError(without_secrets(str(stopped))) from None
        return cls(job.folder.name, job.home)

    @property
    def state(self) -> dict[str, Any]:
        """What `sparsweep status NAME --json` says: `state` (running, stopped, finished), counts, why trials failed."""
        from sparsweep.search.overview import state_of

        return state_of(self._folder)

    @property
    def frontier(self) -> "Frontier":
        """The frontier as it is now. Raises ValueError where a record is damaged."""
        from sparsweep.search.delivery import frontier_indexed

        sweep, where = self._folder.read()
        found, _ = frontier_indexed(sweep, self._folder, where)
        return found

    @property
    def history(self) -> "DataFrame":
        """How the hypervolume grew: `trials` that had ended, `hours` since the first began, `hypervolume`.

        The hypervolume is the one that is shown live: accuracy x the first axis of the search, in [0, 1] for shares.
        """
        import pandas

        from sparsweep.search.curve import search_axes
        from sparsweep.search.sweep_report import growth_of

        sweep, _ = self._folder.read()
        records = sorted(self._records(), key=lambda record: (record.ended_ms, record.number))
        axes = search_axes(sweep.objectives.directions, look_up=sweep.timing.look_up)
        return pandas.DataFrame(map(vars, growth_of(records, axes)), columns=["trials", "hours", "hypervolume"])

    @property
    def data(self) -> "Data":
        """The task's data: `train`, `validation` and `test`, each with `inputs` and `labels`.

        A user's own `module:function` is imported for it. Raises ValueError where the data cannot be read.
        """
        from sparsweep.search.sweep_folder import task_of

        return task_of(*self._folder.read()).load()

    def to_pandas(self) -> "DataFrame":
        """All points, a row each: `sweep`, whether on the `frontier`, and what `Frontier.to_pandas` tells of one."""
        from sparsweep.search.frontier import table_of

        front, points = self._frontier_and_points()
        table, on = table_of(points), {point.id for point in front.points}
        table.insert(0, "sweep", self.name)
        table.insert(1, "frontier", [point.id in on for point in points])
        return table

    def trials(self) -> "DataFrame":
        """A row for each trial that has ended, by number.

        `state` is done, failed or stopped (early); `reason` says why, `duration_s` are the seconds that it held its
        slot in all attempts, `accuracy` is its best, and the setting's knobs are `setting.KNOB`.
        """
        import pandas

        first = ("trial", "state", "reason", "method", "duration_s", "points", "accuracy", "seed")
        rows = [_trial_row(record) for record in self._records()]
        return pandas.DataFrame(rows) if rows else pandas.DataFrame(columns=list(first))

    def pick(self, *wishes: str, best: str = "knee") -> "PickedVersion":
        """The version that satisfies every wish and is the best in one figure, as `sparsweep pick MODEL` finds it.

        The choice is among all versions of the sweep's model for its newest task, other sweeps' into it included.

        Args:
            wishes: such as `"accuracy >= 0.97"`.
            best: accuracy, sparsity, speedup, size_bytes, macs or knee.

        Raises:
            ValueError: a wish cannot be read, nothing was published yet, nobody has the figure, or no version
                satisfies all wishes (the nearest misses are told).
        """
        from sparsweep.search.model_address import ModelAddress
        from sparsweep.search.model_commands import version_picked
        from sparsweep.search.pick import NothingFits
        from sparsweep.spaces.constraint import Constraint

        rules = [Constraint.parse(text, allow_test_accuracy=True) for text in wishes]
        registry, model = self._registry()
        found = version_picked(registry, ModelAddress(model=model), rules, best, None)
        if isinstance(found, NothingFits):
            raise ValueError("; ".join([found.reason, *(miss.text for miss in found.misses)]))
        info = next(info for info in registry.versions(model) if info.version == str(found.chosen.version))
        return PickedVersion(info=info, reason=found.reason, next_best=found.next_best, registry=registry)

    def _repr_html_(self) -> str:
        """How a notebook shows it: state, progress, the frontier as picture and table, why trials failed."""
        from sparsweep.search.notebook_html import sweep_html, unreadable_html

        try:
            sweep, _ = self._folder.read()
            front, points = self._frontier_and_points()
            return sweep_html(self.state, front, points, sweep.constraints)
        except ValueError as fault:
            return unreadable_html(self.name, str(fault))

    @property
    def _folder(self) -> "SweepFolder":
        _import_bars()
        from sparsweep.search.sweep_folder import sweep_in

        return sweep_in(self.home, self.name)

    def _records(self) -> "list[TrialRecord]":
        _, where = self._folder.read()
        return list(self._folder.store(where).records())

    def _frontier_and_points(self) -> "tuple[Frontier, list[Point]]":
        from sparsweep.search.delivery import frontier_now

        sweep, where = self._folder.read()
        return frontier_now(sweep, self._folder, self._folder.store(where))

    def _registry(self) -> "tuple[Registry, str]":
        """The registry that the sweep publishes into, and its model there."""
        from sparsweep.search.model_commands import registry_at

        sweep, where = self._folder.read()
        uri = where.tracking_uri or self.home.tracking_uri
        when = (
            f"{self.name} publishes its frontier when its search has ended and a point is on it; it is "
            f"{self.state['state']}: look at it, or go on with sparsweep resume {self.name}"
        )
        if uri == self.home.tracking_uri and not (self.home.path / "mlflow.db").exists():
            raise ValueError(f"there is no registry in {self.home.path} yet; {when}")
        registry = registry_at(uri, self.home, sweep.model)
        try:
            registry.versions(sweep.model)
        except ValueError as fault:
            raise ValueError(f"{fault}; {when}") from fault
        return registry, sweep.model


@dataclass(frozen=True, kw_only=True, repr=False)
class PickedVersion:
    """A registered network with the reason why it was picked."""

    info: "ModelVersionInfo"
    reason: str
    next_best: str
    """One sentence on the runner-up; says so where there is none."""
    registry: "Registry"

    @property
    def uri(self) -> str:
        """Its address in MLflow: `models:/digits/3`."""
        return f"models:/{self.info.model}/{self.info.version}"

    @property
    def figures(self) -> Mapping[str, float]:
        """By name, as in `Point.figures`: accuracy, test_accuracy, sparsity, macs…"""
        return self.info.figures

    def load(self) -> "nn.Module":
        """The network in evaluation mode, for any batch size, from its trusted form: nothing is unpickled.

        Raises:
            ValueError: the version has no trusted form, or it is damaged.
        """
        from sparsweep.search.export import fetch_trusted
        from sparsweep.trainables.delivery.formats import read_trusted

        with TemporaryDirectory(prefix="sparsweep-load-") as space:
            fetch_trusted(self.registry, self.info, Path(space) / "trusted")
            return read_trusted(Path(space) / "trusted")

    def __repr__(self) -> str:
        return f"{self.uri}: {self.reason}; {self.next_best}"

    def _repr_html_(self) -> str:
        """How a notebook shows it: figures, reason, the next best."""
        from sparsweep.search.notebook_html import picked_html

        return picked_html(self.uri, self.figures, self.reason, self.next_best)


def _home(given: str | Path | None) -> Home:
    return Home.find() if given is None else Home(Path(given).expanduser().resolve())


def _trial_row(record: "TrialRecord") -> dict[str, Any]:
    knobs = {f"setting.{name}": value for name, value in record.setting.items() if name != "method"}
    best = max((point.accuracy for point in record.points), default=None)
    return {
        "trial": record.number, "state": record.state, "reason": record.reason, "method": record.method,
        "duration_s": record.held_s, "points": len(record.points), "accuracy": best, "seed": record.seed, **knobs,
    }  # fmt: skip


def _import_bars() -> None:
    """Imports tqdm for Optuna and MLflow: without ipywidgets it warns of bars that it cannot draw; none is drawn."""
    with suppress(ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tqdm.auto  # type: ignore[import-untyped]  # noqa: F401


def _console() -> Any:
    """Plain lines into the cell's output; rich would make each of them a piece of HTML."""
    from rich.console import Console

    return Console(file=sys.stdout, width=COLUMNS, force_jupyter=False, force_terminal=False, color_system=None)


@contextmanager
def _process_as_it_was() -> Iterator[None]:
    """Torch has one thread while the sweep runs, as under the command; what a sweep sets in the process is put back."""
    import torch

    threads, switching, handler = torch.get_num_threads(), sys.getswitchinterval(), signal.getsignal(signal.SIGUSR1)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        sys.setswitchinterval(switching)
        if handler is not None:
            signal.signal(signal.SIGUSR1, handler)

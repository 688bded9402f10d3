"""A driver as `sparsweep run` has it, but for its slots: study, records, index, judge and progress are the real ones.

MLflow takes a sample of the records only, each of which is timed; the points study, a database too, takes all.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Final

import psutil

from sparsweep.search.budget import Account
from sparsweep.search.curve import AXES
from sparsweep.search.home import Home
from sparsweep.search.progress import Progress
from sparsweep.search.sweep import Job, _Ledger, _proposals
from sparsweep.search.sweep_folder import SweepFolder, Where, task_of
from sparsweep.search.worth import searched_points
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.record import TrialRecord
from tests.benchmarks.simulation.head_start import give
from tests.benchmarks.simulation.recording import Table, sweep
from tests.benchmarks.simulation.slots import SimulatedEngine
from tests.benchmarks.simulation.stopwatch import Call, Stopwatch
from tests.benchmarks.simulation.surrogate import Surrogate

MLFLOW_EVERY: Final = 100
"""Of so many records MLflow takes one."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What the driver took for the trials since the step before."""

    ended: int
    """Trials by now."""
    calls: dict[str, list[Call]]
    """By name, of these trials alone."""
    rss_mb: float
    """Resident memory by now."""
    now_s: float
    """By the simulated clock."""


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """One whole simulation."""

    job: Job
    watch: Stopwatch
    steps: tuple[Step, ...]
    known: int
    """Trials that had ended before it began."""
    now_s: float
    """Simulated seconds in all."""
    at_work_s: float
    """Of all slots together."""
    resume_s: float
    """Processor seconds until a new driver of the same sweep knows everything."""
    resume_calls: int
    """Trials that it had to be told of again: all that have a record."""


@dataclass(kw_only=True)
class Projection:
    """What `search.projector.Projector` is to a sweep, at once and in the same thread."""

    ledger: _Ledger
    watch: Stopwatch
    every: int = MLFLOW_EVERY
    taken: int = 0

    def take(self, record: TrialRecord) -> None:
        """Puts the points into their study, and now and then the record into MLflow."""
        self.watch.timed("points study", self._study)(record)
        if self.taken % self.every == 0:
            self.watch.timed("MLflow", self.ledger.ledger.log_trial)(record, curve_value=None)
        self.taken += 1

    def _study(self, record: TrialRecord) -> None:
        axes = self.ledger.job.axes
        points = searched_points(record.points, self.ledger.job.sweep.constraints)
        kept = [point for point in points if point.network is not None]
        self.ledger.study.add((p.id, record.setting, (p.accuracy, *(AXES[a](p) for a in axes))) for p in kept)


@dataclass
class Nothing:
    """Takes records and forgets them: what was projected is projected."""

    taken: list[int] = field(default_factory=list)

    def take(self, record: TrialRecord) -> None:
        self.taken.append(record.number)


def job_in(home: Path, trials: int, searched: SweepFile | None = None) -> Job:
    """The recorded sweep with another budget, with all of its state under a folder."""
    searched = searched or sweep()
    searched = searched.model_copy(update={"budget": searched.budget.model_copy(update={"trials": trials})})
    folder, where = SweepFolder(home / "sweeps" / searched.name), Where()
    folder.create(searched, where)
    return Job(sweep=searched, where=where, folder=folder, home=Home(home), task=task_of(searched, where), inline=True)


def simulate(
    job: Job, table: Table, *, slots: int, trial_s: float, every: int, say: Callable[[str], None], known: int = 0
) -> Simulated:
    """Runs the sweep to its end.

    Args:
        trial_s: simulated seconds that a trial takes in the mean of the table.
        every: trials of a step.
        say: takes a line after every step.
        known: trials that have ended before it begins (`head_start`).
    """
    surrogate = Surrogate(job.space(), table)
    stretch = trial_s / mean(each.train_s + each.descend_s for each in table.trials)
    watch, steps = Stopwatch(), list[Step]()
    projection = Projection(ledger=_Ledger(job, near_store=lambda function, given: function(*given)), watch=watch)
    if known:
        give(job, projection.ledger.study, surrogate, known, stretch)
        say(f"{known} trials are there")
    began, progress, earlier = time.process_time(), _progress(job), Nothing()
    proposals = _proposals(job, progress, earlier)  # type: ignore[arg-type]
    resume_s, told = time.process_time() - began, len(earlier.taken)
    heard = proposals.on_record

    def on_record(record: TrialRecord) -> None:
        heard(record)
        projection.take(record)

    proposals.on_record = on_record
    for name in ("ask", "tell"):
        setattr(proposals.study, name, watch.timed(name, getattr(proposals.study, name)))
    counted: dict[str, int] = {}

    def on_step(ended: int) -> None:
        calls = {name: watch.since(counted, name) for name in watch.calls}
        counted.update(watch.counts())
        rss_mb = psutil.Process(os.getpid()).memory_info().rss / 1e6
        steps.append(Step(ended=known + ended, calls=calls, rss_mb=rss_mb, now_s=engine.now_s))
        say(progress.line())

    engine = SimulatedEngine(
        surrogate=surrogate, slots=slots, watch=watch, every=every, on_step=on_step, stretch=stretch,
    )  # fmt: skip
    engine.run(proposals, progress)
    if not known:
        resume_s, told = resumed(job)
    return Simulated(
        job=job, watch=watch, steps=tuple(steps), known=known, now_s=engine.now_s, at_work_s=engine.at_work_s,
        resume_s=resume_s, resume_calls=told,
    )  # fmt: skip


def resumed(job: Job) -> tuple[float, int]:
    """Processor seconds of a new driver until it knows everything, and how many records it was told of."""
    projection, began = Nothing(), time.process_time()
    _proposals(job, _progress(job), projection)  # type: ignore[arg-type]
    return time.process_time() - began, len(projection.taken)


def _progress(job: Job) -> Progress:
    account = Account(job.sweep.budget, job.sweep.resources)
    return Progress(job.sweep.budget.trials, job.axes, job.folder.path / "status.json", account)

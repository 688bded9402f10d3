"""What a simulated sweep is held against: its front from three sources, and what plain Optuna would take."""

import time
from dataclasses import dataclass
from typing import Final

import optuna

from sparsweep.search.delivery import frontier_indexed, frontier_now
from sparsweep.search.dominance import non_dominated
from sparsweep.search.frontier import Frontier
from sparsweep.search.sweep import Job
from sparsweep.search.sweep_folder import Where
from sparsweep.search.with_optuna import open_storage
from sparsweep.search.with_optuna.rows import distributions, parameters, row_of, suggest
from tests.benchmarks.simulation.recording import Table
from tests.benchmarks.simulation.stopwatch import Spread
from tests.benchmarks.simulation.surrogate import Surrogate

ASKS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Fronts:
    """The same front three times."""

    indexed: Frontier
    recorded: Frontier
    in_database: tuple[str, ...]
    """Ids, by the study of the points."""
    points: int
    """Of the sweep, by its index."""
    index_ms: float
    """Processor time of the answer by the index."""

    @property
    def same(self) -> bool:
        """Whether all three agree, the first two in every figure."""
        ids = sorted(point.id for point in self.recorded.points)
        return self.indexed == self.recorded and ids == sorted(self.in_database)


def fronts_of(job: Job) -> Fronts:
    """By the index, from all records, and from the database."""
    began = time.process_time()
    indexed, count = frontier_indexed(job.sweep, job.folder, Where())
    took_ms = 1e3 * (time.process_time() - began)
    recorded, _ = frontier_now(job.sweep, job.folder, job.store)
    return Fronts(
        indexed=indexed, recorded=recorded, in_database=_in_database(job), points=count, index_ms=took_ms
    )  # fmt: skip


def _in_database(job: Job) -> tuple[str, ...]:
    """Nothing was timed, so the speedup of all points is the same: accuracy and sparsity decide."""
    study = optuna.load_study(study_name=f"{job.folder.name}/points", storage=open_storage(job.study_storage))
    sparsity = 1 + job.axes.index("sparsity")
    known = sorted((trial.user_attrs["point"], trial.values) for trial in study.get_trials(deepcopy=False))
    on = non_dominated([(values[0], values[sparsity]) for _, values in known])
    return tuple(name for (name, _), kept in zip(known, on, strict=True) if kept)


def plain_optuna(job: Job, table: Table) -> Spread:
    """Processor milliseconds of asking Optuna's TPE with its defaults for a row, with as many rows as the sweep has.

    In memory, several objectives, a row a trial: accuracy and the two shares of the trial's own cut.
    """
    space, surrogate = job.space(), Surrogate(job.space(), table)
    known = optuna.load_study(study_name=job.folder.name, storage=open_storage(job.study_storage)).get_trials(False)
    plain = optuna.create_study(directions=["maximize"] * 3, sampler=optuna.samplers.TPESampler(seed=0))
    allowed = distributions(space)
    for trial in known:
        row = row_of(space, trial.params)
        if row is None or not (points := surrogate.answer(trial.number, row, 0).points):
            continue
        found = parameters(space, row)
        values = [points[0].accuracy, points[0].macs_removed, points[0].sparsity]
        plain.add_trial(
            optuna.trial.create_trial(params=found, distributions={n: allowed[n] for n in found}, values=values)
        )
    took = []
    for _ in range(ASKS):
        began, asked = time.process_time(), plain.ask()
        space.row(lambda label, range_, asked=asked: suggest(asked, label, range_))  # type: ignore[misc]
        took.append(time.process_time() - began)
    return Spread.of(took)

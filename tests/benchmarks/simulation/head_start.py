"""A sweep that is far gone already: records of trials at random settings, and what the databases know of them.

So a simulation can begin where it matters, without the hours before.
"""

from collections.abc import Iterator
from random import Random

from optuna.trial import FrozenTrial, create_trial

from sparsweep.search.curve import AXES
from sparsweep.search.proposals import outcome_of
from sparsweep.search.stopping import rungs_of
from sparsweep.search.sweep import Job, _judge
from sparsweep.search.with_optuna import PointsStudy, Study, open_storage
from sparsweep.search.with_optuna.memory import CONSTRAINT
from sparsweep.search.with_optuna.rows import distributions, parameters
from sparsweep.search.with_optuna.study import _told_as
from sparsweep.search.with_optuna.writing import add_trials
from sparsweep.search.worth import searched_points
from sparsweep.spaces.draw import random_row
from sparsweep.trainables.judgement import LENIENT
from sparsweep.trainables.record import TrialRecord
from sparsweep.trainables.trial import TrialPlan
from tests.benchmarks.simulation.slots import Life
from tests.benchmarks.simulation.surrogate import Surrogate

AT_ONCE = 500
"""Rows of a transaction."""


def give(job: Job, points: PointsStudy, surrogate: Surrogate, trials: int, stretch: float) -> None:
    """Puts so many trials that have ended into the sweep's folder, its study and its points study."""
    study = Study.open(
        open_storage(job.study_storage), job.folder.name, job.space(), sampler=job.sweep.sampler.name,
        seed=job.sweep.sampler.seed, objectives=("curve_value",),
    )  # fmt: skip
    batch: list[TrialRecord] = []
    for record in _ended(job, surrogate, trials, stretch):
        batch.append(record)
        if len(batch) == AT_ONCE or record.number == trials - 1:
            add_trials(study.study, [_as_trial(job, each) for each in batch])
            points.add(
                (point.id, each.setting, (point.accuracy, *(AXES[axis](point) for axis in job.axes)))
                for each in batch
                for point in searched_points(each.points, job.sweep.constraints)
                if point.network is not None
            )
            batch.clear()


def _ended(job: Job, surrogate: Surrogate, trials: int, stretch: float) -> Iterator[TrialRecord]:
    """One trial after the other, each judged by what came before."""
    space, judge, chance, stopping = job.space(), _judge(job, False), Random(0), job.sweep.stopping
    epochs = job.sweep.budget.epochs
    for number in range(trials):
        row, folder = random_row(space, chance), job.store.folder(number)
        plan = TrialPlan(
            number=number, setting=row, seed=number, task=job.task, fixed=job.fixed(),
            rungs=rungs_of(epochs, reduction=stopping.reduction, first=stopping.first) if judge else (),
            judged_on_the_way=judge is not None and stopping.descents,
        )  # fmt: skip
        folder.propose(number, row, number)
        answer = surrogate.answer(number, row, number)
        life = Life(plan=plan, answer=answer, store=job.store, began_s=-1e6, stretch=stretch)
        for _ in life.events(judge or LENIENT):
            pass
        record = folder.record()
        assert record is not None
        if judge is not None:
            judge.take(record)
        yield record


def _as_trial(job: Job, record: TrialRecord) -> FrozenTrial:
    outcome = outcome_of(record, job.axes, job.sweep.constraints, single_point=False)
    state, values = _told_as(outcome)
    found, allowed = parameters(job.space(), record.setting), distributions(job.space())
    reached = {str(epoch): list(values) for epoch, values in outcome.reached.items()}
    return create_trial(
        state=state, values=values, params=found, distributions={name: allowed[name] for name in found},
        user_attrs={**outcome.attributes, **({"reached": reached} if reached else {})},
        system_attrs={CONSTRAINT + name: missed for name, missed in outcome.violations.items()},
    )  # fmt: skip

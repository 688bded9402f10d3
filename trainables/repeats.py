"""The trainings of one trial: the first, and, if its setting is worth it, the same again with other seeds.

The first trials of a sweep may begin with a look: the whole way down after a share of the epochs, so that there is a
frontier early. Its points count as points do, but nothing is learnt from them about the setting.

Trainings follow each other in one slot as one trial, so that nothing enters the front before all of them are done and
whoever proposes hears of one outcome a setting. Each keeps its own networks: one more candidate is one more candidate.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Self

from sparsweep.trainables.point import LOOK, Point, by_training
from sparsweep.trainables.record import Epoch, Rung
from sparsweep.trainables.spread import spread_of
from sparsweep.trainables.trial import Trial, TrialPlan

APART = 1_000_000_007
"""Between the seeds of a trial's trainings; far more than the trials of a sweep."""


def plan_of(plan: TrialPlan, training: int) -> TrialPlan:
    """The plan of one training of a trial, or of its first look; nobody judges a look or a repetition on its way."""
    if training == 0:
        return plan
    seed = plan.seed + APART * max(training, 0)
    return replace(plan, seed=seed, training=training, rungs=(), judged_on_the_way=False)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What the first look and the trainings before the present one have left."""

    trainings: int = 0
    points: tuple[Point, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    rungs: tuple[Rung, ...] = ()
    """Of the first."""
    ended_early: str | None = None
    """Why the first was cut short."""

    def and_(self, trial: Trial) -> Self:
        """With one more; its epochs go on counting."""
        last = self.epochs[-1].step if self.epochs else 0
        phases = dict.fromkeys((*self.seconds, *trial.seconds))
        return replace(
            self, trainings=self.trainings + (trial.plan.training != LOOK), points=(*self.points, *trial.points),
            epochs=(*self.epochs, *(replace(epoch, step=last + epoch.step) for epoch in trial.epochs)),
            seconds={phase: self.seconds.get(phase, 0.0) + trial.seconds.get(phase, 0.0) for phase in phases},
            rungs=(*self.rungs, *trial.rungs), ended_early=self.ended_early or trial.ended_early,
        )  # fmt: skip

    def as_text(self) -> str:
        points = [point.as_json() for point in self.points]
        return json.dumps({**asdict(replace(self, points=())), "points": points})

    @classmethod
    def from_text(cls, text: str) -> Self:
        data = json.loads(text)
        data["points"] = tuple(Point.from_json(point) for point in data["points"])
        data["epochs"] = tuple(Epoch(**epoch) for epoch in data["epochs"])
        data["rungs"] = tuple(Rung(epoch=rung["epoch"], values=tuple(rung["values"])) for rung in data["rungs"])
        return cls(**data)


def with_spread(points: Sequence[Point], trainings: int, failed: int) -> tuple[Point, ...]:
    """The points with what all trainings came to at their cuts; as they are where there was one alone.

    Args:
        trainings: that were begun.
        failed: of these, how many ended without a network.
    """
    if trainings < 2:
        return tuple(points)
    curves = [{point.base_cut: point.figures() for point in curve} for curve in by_training(points)]
    cuts = dict.fromkeys(point.base_cut for point in points)
    spreads = {cut: spread_of([curve[cut] for curve in curves if cut in curve], failed) for cut in cuts}
    return tuple(point.with_(spread=spreads[point.base_cut]) for point in points)

"""Slots in simulated time: trials that a surrogate answers for, beside a driver whose own code is the real one.

What the driver's code takes of a processor passes on the simulated clock too, one call after the other, so a driver
that is too slow leaves slots empty here as it would there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final

from sparsweep.search.progress import Progress
from sparsweep.search.proposals import Proposals
from sparsweep.search.sweep import Engine
from sparsweep.trainables.judgement import LENIENT, Judge
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import Epoch, Rung, State, TrialRecord, TrialStore
from sparsweep.trainables.trial import TrialPlan
from tests.benchmarks.simulation.stopwatch import Stopwatch
from tests.benchmarks.simulation.surrogate import Answer, Surrogate

BEGAN_MS: Final = 1_700_000_000_000
"""When simulated time begins, in ms since 1970."""


@dataclass(kw_only=True)
class Life:
    """One trial in a slot, with what it would have measured."""

    plan: TrialPlan
    answer: Answer
    store: TrialStore
    began_s: float
    stretch: float
    """By how much trials take longer than the recorded ones."""
    rungs: list[Rung] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    def events(self, judge: Judge) -> Iterator[float]:
        """Simulated seconds at which it has something to do next; the last is its end, when its record is there."""
        epochs, trained_s = self.plan.options().epochs, self.began_s + self.stretch * self.answer.train_s
        for epoch in self.plan.rungs:
            yield self.began_s + self.stretch * self.answer.train_s * epoch / epochs
            if self.answer.reason is None and self._is_stopped(judge, epoch):
                return
        yield trained_s
        if self.answer.reason is not None:
            self._commit("failed", self.answer.reason, trained_s, epochs)
            return
        descent = [point for point in self.answer.points if point.cut.isdigit()]
        self.points = [point for point in self.answer.points if not point.cut.isdigit()]
        for done, point in enumerate(descent, 1):
            at_s = trained_s + self.stretch * self.answer.descend_s * done / len(descent)
            yield at_s
            self.points.append(point)
            reason = judge.at_cut(self.plan.number, self.points).reason if self.plan.judged_on_the_way else None
            if reason is not None or done == len(descent):
                self._commit("done", reason, at_s, epochs + done)
                return
        self._commit("done", None, trained_s, epochs)

    def _is_stopped(self, judge: Judge, epoch: int) -> bool:
        verdict = judge.at_rung(self.plan.number, epoch, self.answer.probes[epoch])
        if verdict.values:
            self.rungs.append(Rung(epoch=epoch, values=verdict.values))
        if verdict.reason is not None:
            at_s = self.began_s + self.stretch * self.answer.train_s * epoch / self.plan.options().epochs
            self._commit("stopped", verdict.reason, at_s, epoch)
        return verdict.reason is not None

    def _commit(self, state: State, reason: str | None, at_s: float, epochs: int) -> None:
        points = tuple(self.points) if state == "done" else ()
        best = max((point.accuracy for point in self.answer.points), default=0.1)
        ended_ms = BEGAN_MS + round(1e3 * at_s)
        folder = self.store.folder(self.plan.number)
        record = TrialRecord(
            number=self.plan.number, attempt=folder.claim_attempt(), setting=self.plan.setting, seed=self.plan.seed,
            state=state, reason=reason, points=points, rungs=tuple(self.rungs), seconds={}, environment={},
            epochs=tuple(
                Epoch(step=step, phase="train", loss=1 / step, accuracy=best, ended_ms=ended_ms)
                for step in range(1, epochs + 1)
            ),
            started_ms=BEGAN_MS + round(1e3 * self.began_s), ended_ms=ended_ms, slot=self.plan.slot,
        )  # fmt: skip
        folder.commit(record)


class TimedJudge:
    """The judge, and what its answers take: on a cluster it is a process of its own."""

    def __init__(self, judge: Judge, watch: Stopwatch) -> None:
        self.at_rung: Callable[[int, int, Sequence[Point]], Any] = watch.timed("rung", judge.at_rung)
        self.at_cut: Callable[[int, Sequence[Point]], Any] = watch.timed("cut", judge.at_cut)


@dataclass(kw_only=True)
class SimulatedEngine(Engine):
    """So many slots, each of which takes the next trial as soon as the driver has one."""

    surrogate: Surrogate
    slots: int
    stretch: float
    watch: Stopwatch
    every: int
    """After so many ended trials `on_step` is told."""
    on_step: Callable[[int], None]
    now_s: float = 0.0
    """The simulated clock."""
    driver_s: float = 0.0
    """Until when the driver is at work."""
    at_work_s: float = 0.0
    """Of all slots together, spent in trials."""

    def run(self, proposals: Proposals, progress: Progress) -> None:
        proposals.ahead = self.slots
        following, ended = self.watch.timed("proposal", proposals.next), self.watch.timed("outcome", proposals.ended)
        judge = TimedJudge(proposals.judge, self.watch) if proposals.judge is not None else LENIENT
        events: list[tuple[float, int, Life, Iterator[float]]] = []
        done = 0
        while True:
            while len(events) < self.slots:
                if (plan := following()) is None:
                    self.watch.forget("proposal")
                    break
                self._works("proposal")
                life = self._life(plan, proposals.store)
                steps = life.events(judge)  # type: ignore[arg-type]
                heappush(events, (next(steps), plan.number, life, steps))
            progress.started(len(events))
            if not events:
                return
            self.now_s, number, life, steps = heappop(events)
            if (at_s := next(steps, None)) is not None:
                heappush(events, (at_s, number, life, steps))
                continue
            self.at_work_s += self.now_s - life.began_s
            ended(number)
            self._works("outcome")
            done += 1
            if done % self.every == 0:
                self.on_step(done)

    def _life(self, plan: TrialPlan, store: TrialStore) -> Life:
        answer = self.surrogate.answer(plan.number, plan.setting, plan.seed)
        return Life(plan=plan, answer=answer, store=store, began_s=self.driver_s, stretch=self.stretch)

    def _works(self, name: str) -> None:
        self.driver_s = max(self.driver_s, self.now_s) + self.watch.last_s(name)

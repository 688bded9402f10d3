"""What is to be tried next, and what came of it: the sweep's own bookkeeping between the study and the slots.

The study is the truth about what was proposed, the records in the trial store about what came of it. `reconcile`
brings the two together after any interruption.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from sparsweep.search.curve import AXES
from sparsweep.search.stopping import rungs_of
from sparsweep.search.with_optuna import Outcome, Study
from sparsweep.search.worth import curve_violations, searched_rules, setting_value
from sparsweep.spaces.constraint import Constraint
from sparsweep.spaces.space import Row
from sparsweep.spaces.sweep_file import Stopping
from sparsweep.trainables.attempt import PREEMPTED, lost, was_preempted
from sparsweep.trainables.death import Death
from sparsweep.trainables.judgement import Judge
from sparsweep.trainables.measures.layer_times import LayerTimes
from sparsweep.trainables.point import by_training
from sparsweep.trainables.record import TrialFolder, TrialRecord, TrialStore, check_room
from sparsweep.trainables.tasks import Task
from sparsweep.trainables.trial import TrialPlan

FALSE_STARTS = 3
"""So often a trial's process may die before the trial has begun: that says something of its machine, not of it."""
MOST_LOOKS = 8
"""So many trials of a sweep look ahead at most; of more there is hardly more to see."""
MOST_ATTEMPTS = 20
"""A trial whose nodes died so often is given up: perhaps it is the trial that kills them."""


class Listener(Judge, Protocol):
    """A judge that hears what came of every trial."""

    def take(self, record: TrialRecord) -> Sequence[str]:
        """What has gone wrong with judging since the last record, a line each. Raises where there is no judge left."""
        ...


@dataclass(kw_only=True)
class Proposals:
    """Hands out trials until the budget is spent, and takes their records back."""

    study: Study
    store: TrialStore
    task: Task
    fixed: Mapping[str, Any]
    """Trial options fixed by the sweep."""
    code_root: Path | None = None
    """The folder in which users' own methods are found."""
    layer_times: LayerTimes | None = None
    """From which trials look up the time of their cuts."""
    axes: Sequence[str]
    constraints: Sequence[Constraint]
    single_point: bool
    """`descent: none`: a row is one point, told with a value per objective."""
    budget: int
    deadline: float | None
    """time.monotonic() after which nothing more is handed out."""
    seed: int
    ahead: int = 1_000_000
    """How many trials may be handed out at once; the rest is told to wait."""
    on_record: Callable[[TrialRecord], None]
    slot: Mapping[str, float] = field(default_factory=dict)
    """What a trial holds: shares of `cpu` and `gpu`."""
    enough: Callable[[Sequence[float], float], str | None] = lambda held, earlier: None
    """Why no further trial may begin while others are at work that have held their slots for so many seconds, and some
    that are not at work did so earlier, trials and time aside; None where one may."""
    overrun: Callable[[Sequence[float], float], str | None] = lambda held, earlier: None
    """Why those at work may not even go on; None where they may."""
    left: deque[tuple[int, Row]] = field(default_factory=deque)
    at_work: dict[int, TrialPlan] = field(default_factory=dict)
    since: dict[int, float] = field(default_factory=dict)
    """time.monotonic() at which trials at work got their slots."""
    earlier: dict[int, float] = field(default_factory=dict)
    """Of trials without a record, the seconds that earlier attempts held a slot."""
    overran: str | None = None
    """Why those at work were broken off, if they were."""
    asked: int = 0
    false_starts: Counter[int] = field(default_factory=Counter)
    unsure: bool = False
    """Whether the last proposal was cut short, so that the study may hold one that is not known here."""
    stopping: Stopping | None = field(default_factory=Stopping)
    """When the judge is asked whether a trial goes on; None: never."""
    seeds: int = 1
    """With how many seeds a setting is trained that is about to enter the front."""
    first_look: float = 0.0
    """With what share of the epochs the first trials, one a slot, look ahead, so that there is a frontier early."""
    first_look_batch: int | None = None
    """In batches of how many images; None: as many as in training."""
    heard: int = 0
    """Records that were told."""
    judge: "Listener | None" = None
    """Is told every record, so that it can judge trials; None where nobody judges."""
    say: Callable[[str], None] = lambda _: None
    """Takes what the user should know, in one line."""
    fence: Callable[[], None] = lambda: None
    """Raises where another driver has taken the sweep over: nothing more is handed out or told."""

    _faults: set[str] = field(default_factory=set)
    """Of the judge, that the user knows of."""

    broken_off: int = 0
    """Trials that were stopped before their end; a resumed sweep goes on with them."""

    def reconcile(self) -> None:
        """Replays the records into the study and queues what was proposed but has no record, as far as the budget goes.

        That may be a trial whose outcome the study knows: its record was lost, and so were its networks.
        """
        proposed: dict[int, Row] = {}
        records = 0
        for number in self.store.numbers():
            folder = self.store.folder(number)
            if (proposal := folder.proposal()) is None and (record := folder.record()) is not None:
                folder.propose(number, record.setting, record.seed)  # its file was lost: the record has it too
                proposal = folder.proposal()
            if proposal is not None:
                proposed[number] = proposal["setting"]
                self.study.restore(number, proposal["setting"])
        for record in sorted(self.store.records(), key=lambda record: (record.ended_ms, record.number)):
            self._tell(record)
            self.on_record(record)
            proposed.pop(record.number, None)
            records += 1
        unfinished = sorted((proposed | self.study.unfinished()).items())
        self.left = deque(unfinished[: max(self.budget - records, 0)])
        for number, _ in unfinished:
            self._look_back(number)
        self.asked = self.study.proposed()

    def _look_back(self, number: int) -> None:
        """What a trial without a record has taken so far."""
        folder = self.store.folder(number)
        if (seconds := folder.held_before(folder.newest_attempt() + 1)) > 0:
            self.earlier[number] = seconds

    def late(self) -> bool:
        """Whether what is at work is to be broken off: the sweep's time is up, or its budget is overrun."""
        if self.overran is None:
            self.overran = self.overrun(self.held(), self._held_earlier())
        return self._out_of_time() or self.overran is not None

    def _out_of_time(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def began(self, number: int) -> None:
        """A trial that was handed out has got its slot."""
        if number in self.at_work:
            self.since[number] = time.monotonic()

    def let_go(self, number: int) -> None:
        """A trial's slot is free again, whether it is known already or not what came of it."""
        self.since.pop(number, None)

    def held(self, without: Collection[int] = ()) -> list[float]:
        """For how many seconds each trial at work has held its slots; 0 for one that waits for its first.

        Args:
            without: trials that are not to be counted.
        """
        now, since = time.monotonic(), dict(self.since)  # others look on while trials begin and end
        at_work = [number for number in list(self.at_work) if number not in without]
        return [self.earlier.get(number, 0.0) + now - since.get(number, now) for number in at_work]

    def _held_earlier(self) -> float:
        """Seconds of the trials that are to be gone on with but are not at work."""
        return sum(seconds for number, seconds in list(self.earlier.items()) if number not in self.at_work)

    def full(self, waiting: Collection[int] = ()) -> bool:
        """Whether no further trial may begin beside those at work.

        Args:
            waiting: trials that were handed out but are not to be counted.
        """
        return self.enough(self.held(without=waiting), self._held_earlier()) is not None

    def exhausted(self) -> bool:
        """Whether nothing more will be handed out; what is at work may be preempted and come back."""
        return self.late() or (not self.at_work and (self._all_asked() or self.full()))

    def why(self) -> str:
        """What ended the sweep, once it is exhausted."""
        if not self.at_work and self._all_asked() and not self.broken_off:
            return f"all {self.budget} trials have ended"
        if self._out_of_time():
            return "the time limit is reached"
        if self.overran is not None:
            return self.overran + (f"; {self.broken_off} at work were broken off" if self.broken_off else "")
        return self.enough((), self._held_earlier()) or "it was stopped"

    def _all_asked(self) -> bool:
        return not self.left and self.asked >= self.budget

    def next(self) -> TrialPlan | None:
        """The next trial to run; None when the budget is spent (`exhausted`) or enough are at work already.

        Raises:
            OSError: there is no room for a trial's files.
        """
        if self.late() or self._all_asked() or len(self.at_work) >= self.ahead or self.full():
            return None
        self.fence()
        check_room(next(folder for folder in (self.store.path, *self.store.path.parents) if folder.exists()))
        number, row = self.left[0] if self.left else self._ask()
        seed = self.seed * 100_003 + number
        self.store.folder(number).propose(number, row, seed)
        plan = TrialPlan(
            number=number, setting=row, seed=seed, task=self.task, fixed=self.fixed, code_root=self.code_root,
            layer_times=self.layer_times, slot=self.slot, seeds=self.seeds,
            look=self.first_look if self._looks(number) else 0.0, look_batch=self.first_look_batch,
        )  # fmt: skip
        if self.judge is not None and (when := self.stopping) is not None:
            halved = when.rule != "descents"
            rungs = rungs_of(plan.options().epochs, reduction=when.reduction, first=when.first) if halved else ()
            plan = replace(plan, rungs=rungs, judged_on_the_way=when.descents or not halved)
        self.at_work[number] = plan
        if self.left and self.left[0][0] == number:
            self.left.popleft()
        return plan

    def _looks(self, number: int) -> bool:
        """Whether a trial begins with a look: of those that begin at once, before anything is known.

        Of settings that are trained with several seeds nothing is shown before all of them are.
        """
        at_once = min(max(self.ahead - 1, 1), MOST_LOOKS)
        return number < at_once and self.heard == 0 and self.seeds == 1

    def withdraw(self, number: int) -> None:
        """Puts a trial that was handed out and has not begun back in line."""
        self.left.appendleft((number, self._off(number).setting))

    def _ask(self) -> tuple[int, Row]:
        """A new proposal; one that a database's outage cut short is taken up before another is made."""
        if self.unsure:
            waiting = {number for number, _ in self.left} | set(self.at_work)
            orphans = {n: r for n, r in sorted(self.study.unfinished().items()) if n not in waiting}
            self.asked, self.unsure = self.study.proposed(), False
            if orphans:
                self.left.extend(orphans.items())
                return self.left[0]
        self.unsure = True
        number, row = self.study.ask()
        self.asked, self.unsure = self.asked + 1, False
        return number, row

    def ended(self, number: int, death: Death | None = None) -> None:
        """A trial's process has ended: its record is told on.

        Args:
            death: why the process died, where it could not say so itself; the trial then counts as failed unless it
                had committed, or was preempted or lost with its node, which puts it back in line. Without a record and
                without a death the trial was stopped and can be resumed.

        Asked again after an exception (a database that was away), it does what is left to do.
        """
        self.fence()
        plan, folder = self.at_work[number], self.store.folder(number)
        record = folder.record()
        if record is None and death is not None:
            if self._excused(number, folder, death):
                self.left.append((number, plan.setting))
                self._look_back(number)
                self._off(number)
                return
            record = lost(plan, folder, death.reason)
        self.let_go(number)
        if record is not None:
            self._tell(record)
            self.earlier.pop(number, None)  # its record counts it
            self.on_record(record)
        self.broken_off += record is None
        self._off(number)

    def _off(self, number: int) -> TrialPlan:
        """A trial is not at work any more."""
        self.since.pop(number, None)
        return self.at_work.pop(number)

    def _excused(self, number: int, folder: TrialFolder, death: Death) -> bool:
        """Whether the trial goes on elsewhere; a preemption excuses one death, not every later one."""
        newest = folder.newest_attempt()
        if was_preempted(folder):
            (folder.attempt(newest) / PREEMPTED).unlink()
            return True
        if newest == 0 and self.false_starts[number] < FALSE_STARTS:
            self.false_starts[number] += 1
            return True
        return (death.node_lost or death.storage_full) and newest < MOST_ATTEMPTS

    def _tell(self, record: TrialRecord) -> None:
        self.heard += 1
        self.study.tell(outcome_of(record, self.axes, self.constraints, single_point=self.single_point))
        if self.judge is not None:
            try:
                for fault in set(self.judge.take(record)) - self._faults:
                    self._faults.add(fault)
                    self.say(f"a trial could not be judged ({fault}); it goes on, and the sweep too")
            except Exception as fault:  # it costs its judgements, not the sweep
                self.judge = None
                also = ", every setting is trained with all seeds" if self.seeds > 1 else ""
                self.say(
                    f"early stopping failed ({type(fault).__name__}: {fault}); no trial is stopped any more{also}, and "
                    "the sweep goes on"
                )


def outcome_of(
    record: TrialRecord, axes: Sequence[str], constraints: Sequence[Constraint], *, single_point: bool
) -> Outcome:
    """What the study is told of a record."""
    attributes: dict[str, Any] = {"seconds": round((record.ended_ms - record.started_ms) / 1e3, 3)}
    if record.reason is not None:
        attributes["reason"] = record.reason
    if record.state == "stopped":
        reached = {rung.epoch: rung.values for rung in record.rungs}
        attributes["best_accuracy"] = max(epoch.accuracy for epoch in record.epochs)
        return Outcome(number=record.number, values=None, attributes=attributes, violations={}, reached=reached)
    if record.state == "failed":
        return Outcome(number=record.number, values=None, attributes=attributes, violations={})
    if single_point:
        ends = [points[-1] for points in by_training(record.points)]
        searched = searched_rules(constraints)
        rules = {str(rule): fmean(rule.violation(end.figures()) for end in ends) for rule in searched}
        values = (fmean(end.accuracy for end in ends), *(fmean(AXES[axis](end) for end in ends) for axis in axes))
        return Outcome(number=record.number, values=values, attributes=attributes, violations=rules)
    worth = setting_value(record.points, axes, constraints)
    attributes["best_accuracy"] = max(point.accuracy for point in record.points)
    missed = curve_violations(record.points, constraints)
    return Outcome(number=record.number, values=(worth,), attributes=attributes, violations=missed)

"""Keeps the paperwork off the slots: proposals are asked for ahead, outcomes are told behind, in a thread of its own.

Asking the sampler and telling a database take tens of milliseconds each; a slot that waited for them would idle.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from sparsweep.search.proposals import Proposals
from sparsweep.search.with_optuna import OUTAGES, reason_of
from sparsweep.trainables.death import Death
from sparsweep.trainables.record import FULL
from sparsweep.trainables.trial import TrialPlan

T = TypeVar("T")

IDLE_S = 0.05
HEAD_START_S = 0.05
"""How long paperwork waits after a trial's end, so that the slot is filled again first: all share one interpreter.
Where no trial is ready it is the paperwork that the slot waits for."""
BACKLOG = 3
"""With so many outcomes waiting there is no head start any more."""
PAUSE_S = 1.0
"""Between two tries of a study that does not answer."""
PATIENCE_S = 900.0
"""How long a study may not answer before the sweep gives up; trials at work end and keep their records meanwhile."""


class Clerk:
    """Stands between proposals and slots; a source of trials whose every answer is immediate.

    How many trials are proposed ahead of the slots is `proposals.ahead` less the slots: one is enough to keep them
    busy, and every further one would be proposed knowing less.
    """

    def __init__(self, proposals: Proposals, say: Callable[[str], None] = lambda line: None) -> None:
        self.proposals = proposals
        self.say = say
        """Takes one line for the user."""
        self.fault: BaseException | None = None
        self._ready: deque[TrialPlan] = deque()
        self._ended: queue.SimpleQueue[tuple[int, Death | None] | None] = queue.SimpleQueue()
        self._spent = False
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="clerk", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def next(self) -> TrialPlan | None:
        """The next trial, if one is ready."""
        try:
            return self._ready.popleft()
        except IndexError:
            return None

    def began(self, number: int) -> None:
        """A slot has begun with a trial."""
        self.proposals.began(number)

    def exhausted(self) -> bool:
        """Whether no trial will come any more."""
        return self.fault is not None or (self._spent and not self._ready)

    def running(self) -> int:
        """How many trials are with the slots."""
        return max(len(self.proposals.at_work) - len(self._ready), 0)

    def ended(self, number: int, death: Death | None = None) -> None:
        """See `Proposals.ended`; done soon."""
        self.proposals.let_go(number)
        self._ended.put((number, death))

    def close(self) -> None:
        """Waits until every outcome is told; what was proposed but not run stays unfinished in the study.

        Slots that were stopped may have committed without a word: their records are told too.

        Raises:
            BaseException: what the study or the store raised, if anything.
        """
        self._closing = True
        self._ended.put(None)
        self._thread.join()
        if self.fault is not None:
            raise self.fault
        for number in list(self.proposals.at_work):
            self.proposals.ended(number)

    def _work(self) -> None:
        try:
            while True:
                plan = self._propose()
                self._spent = self.proposals.exhausted()
                try:
                    ended = self._ended.get(timeout=0 if plan else IDLE_S)
                except queue.Empty:
                    continue
                if ended is None:
                    return
                if self._ready and self._ended.qsize() < BACKLOG:
                    time.sleep(HEAD_START_S)
                number, death = ended
                self._patiently(lambda: self.proposals.ended(number, death))  # noqa: B023
                self._withdraw()
        except BaseException as fault:
            self.fault = fault

    def _propose(self) -> TrialPlan | None:
        """Makes one more trial ready, if one is wanted."""
        plan = self._patiently(self.proposals.next)
        if plan is not None:
            self._ready.append(plan)
        return plan

    def _withdraw(self) -> None:
        """Takes back what was made ready, where the sweep has found meanwhile that it has enough."""
        with suppress(IndexError):  # a slot was faster
            while self._ready and self.proposals.full(waiting=[plan.number for plan in list(self._ready)]):
                self.proposals.withdraw(self._ready.pop().number)

    def _patiently(self, step: Callable[[], T]) -> T:
        """The step's answer; while a database is away it is asked again and again, and the user told once."""
        began: float | None = None
        while True:
            try:
                answer = step()
            except OUTAGES as fault:
                if began is None:
                    began = time.monotonic()
                    self.say(f"{_trouble(fault)} ({reason_of(fault)}); trials at work go on, trying again")
                if self._closing or time.monotonic() - began > PATIENCE_S:
                    raise
                time.sleep(PAUSE_S)
            else:
                if began is not None:
                    self.say(f"the sweep goes on after {time.monotonic() - began:.0f} s")
                return answer


def _trouble(fault: BaseException) -> str:
    if isinstance(fault, OSError) and fault.errno in FULL:
        return "the disk is full"
    return "the study does not answer"

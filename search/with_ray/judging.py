"""The sweep's judge as an actor, which trials ask from their own processes; a judge that is away lets them go on."""

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sparsweep.trainables.judgement import LENIENT, Judge, Verdict
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import TrialRecord

# isort: split
import ray

if TYPE_CHECKING:
    from sparsweep.search.judging import SweepJudge

Answer = TypeVar("Answer")
ANSWER_S = 20.0
"""So long a trial waits for an answer before it goes on without one."""


class JudgeActor:
    """Holds the judge in a process of its own, which needs no slot."""

    def __init__(self, judge: "SweepJudge") -> None:
        self.judge = judge

    def take(self, record: TrialRecord) -> None:
        self.judge.take(record)

    def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
        return self.judge.at_rung(number, epoch, probe)

    def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
        return self.judge.at_cut(number, points)

    def worth_repeating(self, number: int, points: Sequence[Point]) -> bool:
        return self.judge.worth_repeating(number, points)


class RemoteJudge:
    """What a trial, or the driver, holds of the actor."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def take(self, record: TrialRecord) -> None:
        """Hands a record over; nothing is waited for."""
        with contextlib.suppress(ray.exceptions.RayError):
            self.actor.take.remote(record)

    def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
        return self._asked(lambda: self.actor.at_rung.remote(number, epoch, probe), Verdict())

    def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
        return self._asked(lambda: self.actor.at_cut.remote(number, points), Verdict())

    def worth_repeating(self, number: int, points: Sequence[Point]) -> bool:
        return self._asked(lambda: self.actor.worth_repeating.remote(number, points), True)

    def _asked(self, ask: Callable[[], Any], otherwise: Answer) -> Answer:
        try:
            answer: Answer = ray.get(ask(), timeout=ANSWER_S)
        except (ray.exceptions.RayError, TimeoutError):  # its node died, it raised, or it is overrun
            return otherwise
        return answer


def remote_judge(judge: "SweepJudge") -> RemoteJudge:
    """Starts the actor; it ends with the driver."""
    actor = ray.remote(num_cpus=0, max_restarts=0)(JudgeActor)
    return RemoteJudge(actor.remote(judge))


def judge_of(actor: Any | None) -> Judge:
    """What a trial asks; None: nobody."""
    return LENIENT if actor is None else RemoteJudge(actor)

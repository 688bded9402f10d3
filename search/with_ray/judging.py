"""The sweep's judge as an actor, which trials ask from their own processes; a judge that is away lets them go on."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sparsweep.trainables.judgement import LENIENT, Judge, Verdict
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import TrialRecord

# isort: split
import ray

if TYPE_CHECKING:
    from sparsweep.search.judging import Forgiving

T = TypeVar("T")

ANSWER_S = 20.0
"""So long a trial waits for an answer before it goes on without one."""


class JudgeFailedError(RuntimeError):
    """The judge's process has died."""


class RemoteJudge:
    """What a trial, or the driver, holds of the actor."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self._told: list[Any] = []
        """Answers to records that have not come yet."""

    def take(self, record: TrialRecord) -> tuple[str, ...]:
        """Hands a record over; what the judge has raised is heard with a later one, nothing is waited for.

        Raises:
            JudgeFailedError: its process has died meanwhile.
        """
        try:
            faults = self._heard()
            self._told.append(self.actor.take.remote(record))
        except ray.exceptions.RayError as fault:
            raise JudgeFailedError(f"its process died ({type(fault).__name__})") from fault
        return faults

    def _heard(self) -> tuple[str, ...]:
        if not self._told:
            return ()
        come, self._told = ray.wait(self._told, num_returns=len(self._told), timeout=0)
        return tuple(fault for faults in ray.get(come) for fault in faults)

    def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
        return self._asked(lambda: self.actor.at_rung.remote(number, epoch, probe), Verdict())

    def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
        return self._asked(lambda: self.actor.at_cut.remote(number, points), Verdict())

    def worth_repeating(self, number: int, points: Sequence[Point]) -> bool:
        return self._asked(lambda: self.actor.worth_repeating.remote(number, points), True)

    def _asked(self, ask: Callable[[], Any], otherwise: T) -> T:
        try:
            answer: T = ray.get(ask(), timeout=ANSWER_S)
        except (ray.exceptions.RayError, TimeoutError):  # its node died, or it is overrun
            return otherwise
        return answer


def remote_judge(judge: "Forgiving") -> RemoteJudge:
    """Moves a judge into an actor, which needs no slot and ends with the driver."""
    actor = ray.remote(num_cpus=0, max_restarts=0)(type(judge))
    return RemoteJudge(judge.handed_over(lambda mine: actor.remote(judge=mine)))


def judge_of(actor: Any | None) -> Judge:
    """What a trial asks; None: nobody."""
    return LENIENT if actor is None else RemoteJudge(actor)

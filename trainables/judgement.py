"""Whether a trial is worth going on with: what it asks while it works, and what it is answered.

Who answers is the search's business (`search.judging`); a trial without a judge goes to its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sparsweep.trainables.point import Point


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """An answer. It ends the trial's training, or its descent, where it has a reason to."""

    values: tuple[float, ...] = ()
    """What the trial was judged by; all larger is better."""
    reason: str | None = None
    """One line; None: go on."""


class Judge(Protocol):
    """Judges trials by their numbers."""

    def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
        """In the middle of its training; `probe` is what the trial would give if it were cut now (`Trial.probe`)."""
        ...

    def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
        """On its way down; `points` are all that it has measured."""
        ...

    def worth_repeating(self, number: int, points: Sequence[Point]) -> bool:
        """At the end of its first training: whether it is to be trained with the other seeds too."""
        ...


class _Lenient:
    """Lets everything go on."""

    def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
        return Verdict()

    def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
        return Verdict()

    def worth_repeating(self, number: int, points: Sequence[Point]) -> bool:
        return True


LENIENT: Judge = _Lenient()
"""Lets everything go on."""

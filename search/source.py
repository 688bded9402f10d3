"""Where slots get their trials from, and whom they tell what came of them."""

from typing import Protocol

from sparsweep.trainables.death import Death
from sparsweep.trainables.trial import TrialPlan


class Source(Protocol):
    """Every answer is immediate; `search.clerk.Clerk` is one."""

    def next(self) -> TrialPlan | None: ...
    def exhausted(self) -> bool: ...
    def began(self, number: int) -> None: ...
    def ended(self, number: int, death: Death | None = None) -> None: ...

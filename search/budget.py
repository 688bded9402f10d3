"""What a sweep has spent, and whether a further trial may begin. Pure decisions; `proposals` asks them.

A trial is charged for the time that it held its slot, in all its attempts, whatever came of it. What is counted comes
from the records alone, so that it is the same after a resume. Trials at work are charged for what they have held so
far, so that a budget holds before the first of them has ended, and where one hangs.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sparsweep.spaces.sweep_file import Budget, Resources
from sparsweep.trainables.record import TrialRecord

OVERRUN = 1.1
"""Times a limit of hours or cost: there trials at work are broken off. Without this tenth the last of them would be
whenever one takes longer than the mean, and what it has taken would be lost."""
MIN_GROWTH = 0.001
"""Of the hypervolume, that must be exceeded over `patience` trials unless the sweep file says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What trials that ended have taken."""

    trials: int = 0
    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    cost: float | None = None
    """In the currency of the sweep file's prices; None where it has none."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One end of a sweep, and how far it is."""

    words: str
    """Names it, with its unit: `GPU h`."""
    spent: float
    limit: float
    trials: int
    """How many ended trials have spent it."""
    by_second: float = 0.0
    """What a trial at work spends."""

    @property
    def by_trial(self) -> float:
        """What a trial is expected to take: the mean of those that ended; 0 before the first."""
        return self.spent / self.trials if self.trials else 0.0

    def over(self, held: Sequence[float], earlier: float) -> str | None:
        """Why a further trial may not begin beside those at work.

        Each of them will take as much as the mean, or as it has taken already.

        Args:
            held: for how many seconds each of them has held its slot.
            earlier: for how many seconds trials have that are to be gone on with.
        """
        so_far, before = [seconds * self.by_second for seconds in held], self.spent + earlier * self.by_second
        now = before + sum(so_far)
        of = f"{amount(now)} of {amount(self.limit)} {self.words} are spent"
        if now >= self.limit:
            return of
        expected = self.by_trial + sum(max(self.by_trial, each) for each in so_far)
        if before + expected > self.limit * (1 + 1e-9):
            return f"{of}, and a further trial takes about {amount(self.by_trial)}"
        return None

    def overrun(self, held: Sequence[float], earlier: float) -> str | None:
        """Why trials at work may not even go on."""
        now = self.spent + (sum(held) + earlier) * self.by_second
        if now < OVERRUN * self.limit:
            return None
        return f"{amount(now)} of {amount(self.limit)} {self.words} are spent"


@dataclass
class Account:
    """Takes each record once and says what was spent, what is left, and when it is enough."""

    budget: Budget
    resources: Resources
    spent: Spent = field(init=False)
    _met: list[Sequence[float]] = field(default_factory=list)
    _of_all: list[Sequence[float]] = field(default_factory=list)
    _taken: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.spent = Spent(cost=None if self.budget.cost_per_hour is None else 0.0)

    def take(self, record: TrialRecord, met: Sequence[float], of_all: Sequence[float] = ()) -> None:
        """Counts a record that was not counted yet, and the hypervolumes after it, one an axis.

        Args:
            met: of the points that meet the constraints.
            of_all: of all points; what patience goes by as long as none meets them.
        """
        if record.number in self._taken:
            return
        self._taken.add(record.number)
        self.spent = with_record(self.spent, record, self.budget, self.resources)
        self._met.append(tuple(met))
        self._of_all.append(tuple(of_all))

    def over(self, held: Sequence[float] = (), earlier: float = 0.0) -> str | None:
        """Why no further trial may begin; None where one may. How many there are is not asked here.

        Args:
            held: for how many seconds each trial at work has held its slot.
            earlier: for how many seconds trials have that are to be gone on with.
        """
        volumes = self._met if self._met and any(self._met[-1]) else self._of_all
        texts = (plateau(volumes, self.budget), *(limit.over(held, earlier) for limit in self.limits()))
        return next((text for text in texts if text), None)

    def overrun(self, held: Sequence[float], earlier: float = 0.0) -> str | None:
        """Why trials at work may not even go on: with what they have held so far, a limit is passed by a tenth."""
        return next((text for limit in self.limits() if (text := limit.overrun(held, earlier))), None)

    def limits(self) -> Iterator[Limit]:
        """The limits that the sweep file sets, but for trials and time."""
        b, s, one = self.budget, self.spent, Spent()
        hour = with_held(one, 3600.0, {}, b, self.resources)
        given = (
            (b.cost, s.cost, hour.cost, "in cost"), (b.gpu_hours, s.gpu_hours, hour.gpu_hours, "GPU h"),
            (b.cpu_hours, s.cpu_hours, hour.cpu_hours, "CPU h"),
        )  # fmt: skip
        for limit, spent, by_hour, words in given:
            if limit is not None:
                yield Limit(
                    words=words, spent=spent or 0.0, limit=limit, trials=s.trials, by_second=(by_hour or 0.0) / 3600
                )

    def used_share(self) -> float:
        """How much of the budget is gone, in [0, 1], by the limit that is nearest."""
        shares = [limit.spent / limit.limit for limit in self.limits()]
        return min(max([self.spent.trials / self.budget.trials, *shares]), 1.0)

    def rest_trials(self) -> float:
        """How many more trials are expected to be run, those at work included."""
        rest = [(each.limit - each.spent) / each.by_trial for each in self.limits() if each.by_trial]
        return max(min([self.budget.trials - self.spent.trials, *rest]), 0.0)

    def rest_cost(self) -> float | None:
        """What they are expected to cost; None without a price, or before the first has ended."""
        if self.spent.cost is None or not self.spent.trials:
            return None
        return self.rest_trials() * self.spent.cost / self.spent.trials

    def words(self) -> str:
        """`1.2 of 10 GPU h, cost 3.25 of 20`: what was spent, for a line; empty before the first trial has ended."""
        return spent_words(vars(self.spent), self.budget)


def with_record(spent: Spent, record: TrialRecord, budget: Budget, resources: Resources) -> Spent:
    """With one more trial: at what it held itself, or at the sweep file's resources where its record does not say."""
    return with_held(spent, record.held_s, record.slot, budget, resources)


def with_held(
    spent: Spent, held_s: float, slot: Mapping[str, float], budget: Budget, resources: Resources
) -> Spent:  # fmt: skip
    """With one more trial that held a slot for so many seconds."""
    hours, price = held_s / 3600, budget.cost_per_hour
    cpu, gpu = hours * slot.get("cpu", resources.cpu), hours * slot.get("gpu", resources.gpu)
    return replace(
        spent, trials=spent.trials + 1, cpu_hours=spent.cpu_hours + cpu, gpu_hours=spent.gpu_hours + gpu,
        cost=None if price is None else (spent.cost or 0.0) + cpu * price.cpu + gpu * price.gpu,
    )  # fmt: skip


def spent_words(spent: Mapping[str, Any], budget: Budget | None = None) -> str:
    """What was spent, with its limits if they are given: GPU hours, else CPU hours, and cost; empty for no trial.

    Args:
        spent: the fields of Spent.
    """
    if not spent["trials"]:
        return ""
    limits = {} if budget is None else {name: getattr(budget, name) for name in ("gpu_hours", "cpu_hours", "cost")}
    texts = []
    if spent["gpu_hours"] or limits.get("gpu_hours"):
        texts.append(f"{_of(spent['gpu_hours'], limits.get('gpu_hours'))} GPU h")
    if not texts or limits.get("cpu_hours"):
        texts.append(f"{_of(spent['cpu_hours'], limits.get('cpu_hours'))} CPU h")
    if spent["cost"] is not None:
        texts.append(f"cost {_of(spent['cost'], limits.get('cost'))}")
    return ", ".join(texts)


def plateau(volumes: Sequence[Sequence[float]], budget: Budget) -> str | None:
    """Says that the last `patience` ended trials brought too little; None while they did not, or nothing was found yet.

    Args:
        volumes: the hypervolumes after each ended trial, of accuracy against each axis: as long as one of them grows,
            the search goes on.
    """
    patience = budget.patience
    if patience is None or len(volumes) <= patience:
        return None
    least_share = MIN_GROWTH if budget.min_growth is None else budget.min_growth
    both = list(zip(volumes[-1 - patience], volumes[-1], strict=True))
    if any(now > before * (1 + least_share) for before, now in both):
        return None
    if (found := next(((before, now) for before, now in both if before > 0), None)) is None:
        return None
    least = f"{100 * least_share:.3g} %"
    return f"{patience} trials brought the hypervolume from {found[0]:.4f} to {found[1]:.4f}, by no more than {least}"


def amount(value: float) -> str:
    """Three digits that say something, and whole numbers as they are: `0.0125`, `3.25`, `1,250`."""
    if value >= 1000 or value == round(value):
        return f"{value:,.0f}"
    digits = 2 - math.floor(math.log10(value)) if 0 < value < 1 else 2
    return f"{value:.{digits}f}"


def _of(spent: float, limit: float | None) -> str:
    return amount(spent) if limit is None else f"{amount(spent)} of {amount(limit)}"

"""What a trial costs beside its work: the time of its slot outside training, descent and measuring. Pure arithmetic.

slot   |<-------- trial 0 -------->|<-- between -->|<-------- trial 2 -------->|
       started   work   ended      commit, report,  started ...
                                   proposal, reset
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median, quantiles


@dataclass(frozen=True, kw_only=True)
class Worked:
    """One trial in its slot, by its own clock."""

    started_ms: float
    ended_ms: float
    work_ms: float
    """What the trial is for: training, descent and measuring."""
    process: int | None = None
    """The process it ran in, which is its slot; None where that was not recorded."""


@dataclass(frozen=True, kw_only=True)
class SlotTime:
    """Time of a slot that no trial's work fills, for one trial and the way to the next."""

    inside_ms: float
    """Between the trial's start and end: setting up, keeping networks."""
    between_ms: float
    """From the trial's end to the start of the next one."""

    @property
    def total_ms(self) -> float:
        return self.inside_ms + self.between_ms


def slots_of(trials: Sequence[Worked]) -> list[list[Worked]]:
    """The trials by slot, each slot in order: by process, or else each in the slot that has been free the longest.

    Without processes there are as many slots as trials that overlap. That is right also where Ray runs short trials on
    one of its slots alone: with actor reuse the next trial takes the first process that is free, and others may never
    be started. Which of several free slots a trial took shifts time between its neighbours and leaves the sum.
    """
    slots: list[list[Worked]] = []
    for trial in sorted(trials, key=lambda t: t.started_ms):
        if trial.process is not None:
            free = [slot for slot in slots if slot[-1].process == trial.process]
        else:
            free = [slot for slot in slots if slot[-1].ended_ms <= trial.started_ms]
        if free:
            min(free, key=lambda slot: slot[-1].ended_ms).append(trial)
        else:
            slots.append([trial])
    return slots


def slot_times(trials: Sequence[Worked]) -> list[SlotTime]:
    """One for each trial that has one before and one after it in its slot.

    Each slot's first trial is left out, as its process imports and loads data; the last has no next one.
    """
    return [
        SlotTime(
            inside_ms=trial.ended_ms - trial.started_ms - trial.work_ms,
            between_ms=following.started_ms - trial.ended_ms,
        )
        for slot in slots_of(trials)
        for trial, following in pairwise(slot[1:])
    ]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median and 90th percentile of some values."""

    median: float
    p90: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Raises ValueError for fewer than two values: too few trials ran."""
        if len(values) < 2:
            raise ValueError(f"{len(values)} values have no spread: run more trials (--trials)")
        return cls(median=median(values), p90=quantiles(values, n=10, method="inclusive")[8], count=len(values))


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes between all pairs (Theil 1950, Sen 1968): one step or one outlier does not move it.

    Args:
        samples: (x, y), at least two different x.
    """
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for at, earlier in enumerate(samples)
        for later in samples[at + 1 :]
        if later[0] != earlier[0]
    ]
    return median(slopes)

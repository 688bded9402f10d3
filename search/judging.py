"""The judge of a sweep's trials: what `search.stopping` and `search.reach` decide, with the memory that it takes.

Trials on Ray ask it across processes (`with_ray.judging`). It is told every record, so that a resumed sweep's judge
knows what the one before knew.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sparsweep.search.curve import AXES, curve_value, near_front
from sparsweep.search.reach import LEAST_GAIN, Curve, Reach, slack_of
from sparsweep.search.stopping import Came, Values
from sparsweep.search.worth import searched_points
from sparsweep.spaces.constraint import Constraint
from sparsweep.trainables.judgement import Verdict
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import TrialRecord

T = TypeVar("T")

REMEMBERED = 100
"""So many of the newest whole descents say how far a curve comes back."""


@dataclass(kw_only=True)
class _Slack:
    """How far behind a descent may fall along one axis: reckoned anew only where the front or the curves changed."""

    curves: deque[Curve] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """The newest whole ones."""
    _comebacks: deque[list[float]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Of the curves, by the front that `_changes` names."""
    _changes: int = -1
    _share: float | None = None

    def take(self, curve: Curve, reach: Reach) -> None:
        """One more curve that went to its end."""
        if len(curve) > 1:
            self.curves.append(curve)
            self._comebacks.append(reach.comebacks(curve))
            self._share = None

    def share(self, reach: Reach) -> float:
        """Of accuracy; infinity before enough curves have ended."""
        if self._changes != reach.changes:
            self._comebacks = deque(map(reach.comebacks, self.curves), maxlen=REMEMBERED)
            self._changes, self._share = reach.changes, None
        if self._share is None:
            self._share = slack_of(self._comebacks)
        return self._share


@dataclass(kw_only=True)
class SweepJudge:
    """Judges by what has been seen so far; a trial that is asked about twice counts once."""

    axes: Sequence[str]
    constraints: Sequence[Constraint] = ()
    reduction: int = 3
    single_point: bool = False
    """`descent: none`: a probe is one point, judged by a value per objective."""
    rungs: dict[int, Came] = field(default_factory=dict)
    """By epoch."""
    reaches: dict[str, Reach] = field(default_factory=dict)
    """By axis."""
    slacks: dict[str, _Slack] = field(default_factory=dict)
    """By axis."""
    front: tuple[Point, ...] = ()
    """Of all trials' points that meet the constraints."""

    def take(self, record: TrialRecord) -> None:
        """What came of a trial."""
        for rung in record.rungs:
            self.rungs.setdefault(rung.epoch, Came()).take(record.number, rung.values)
        self._see(record.points)
        self.front = near_front((*self.front, *searched_points(record.points, self.constraints)), self.axes)
        if record.state == "done" and record.reason is None:
            way = _way_down(record.points)
            for axis in self.axes:
                self.slacks.setdefault(axis, _Slack()).take(_curve(way, axis), self.reaches[axis])

    def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
        """Among the best at this rung so far?"""
        came, values = self.rungs.setdefault(epoch, Came()), self._values(probe)
        came.forget(number)
        on = came.goes_on(values, self.reduction)
        came.take(number, values)
        if on:
            return Verdict(values=values)
        shown = " x ".join(f"{value:.4f}" for value in values)
        return Verdict(
            values=values,
            reason=f"stopped after {epoch} epochs: worth {shown}, not among the best 1/{self.reduction} of "
            f"{len(came.values)} that came so far",
        )

    def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
        """Can its next cuts still add to the front?"""
        self._see(points[-1:])
        now, most = points[-1], 0.0
        for axis in self.axes:
            reach, slack = self.reaches[axis], self.slacks.get(axis)
            if slack is None or (gain := reach.most_to_gain(*_place(now, axis), slack.share(reach))) >= LEAST_GAIN:
                return Verdict()
            most = max(most, gain)
        gap = min(self.reaches[axis].gap(*_place(now, axis)) for axis in self.axes)
        where = f"{gap:.4f} below the front" if gap > 0 else "on the front"
        return Verdict(
            reason=f"descent ended at cut {now.cut}: {where}, it could add at most {most:.6f} to the hypervolume"
        )

    def worth_repeating(self, number: int, points: Sequence[Point]) -> bool:
        """Is one of them about to enter the front?"""
        others = [self._row(point) for point in self.front if point.trial != number]
        rows = [self._row(point) for point in searched_points(points, self.constraints)]
        return any(not any(_no_worse(other, row) for other in others) for row in rows)

    def _row(self, point: Point) -> Values:
        return (point.accuracy, *(AXES[axis](point) for axis in self.axes))

    def _values(self, probe: Sequence[Point]) -> Values:
        """What a rung knows of a trial. A probe is not fine-tuned: what is asked of accuracy is not asked of it yet."""
        if self.single_point:
            return self._row(probe[-1])
        rules = [rule for rule in self.constraints if rule.figure != "accuracy"]
        return (curve_value(searched_points(probe, rules), self.axes),)

    def _see(self, points: Sequence[Point]) -> None:
        for axis in self.axes:
            self.reaches.setdefault(axis, Reach()).take(_curve(points, axis))


@dataclass(kw_only=True)
class Forgiving:
    """A judge whose faults cost that judgement alone: the trial goes on, and the driver hears of it with a record.

    Threads may ask it side by side.
    """

    judge: SweepJudge
    faults: list[str] = field(default_factory=list)
    """Since the last record, each once."""
    _one: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, record: TrialRecord) -> tuple[str, ...]:
        """What came of a trial; what the judge has raised since the last one."""
        self._asked(lambda: self.judge.take(record), None)
        with self._one:
            faults, self.faults = tuple(self.faults), []
        return faults

    def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
        return self._asked(lambda: self.judge.at_rung(number, epoch, probe), Verdict())

    def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
        return self._asked(lambda: self.judge.at_cut(number, points), Verdict())

    def worth_repeating(self, number: int, points: Sequence[Point]) -> bool:
        return self._asked(lambda: self.judge.worth_repeating(number, points), True)

    def handed_over(self, to: Callable[[SweepJudge], T]) -> T:
        """What `to` makes of the judge, which nobody asks or tells anything meanwhile."""
        with self._one:
            return to(self.judge)

    def _asked(self, ask: Callable[[], T], otherwise: T) -> T:
        with self._one:
            try:
                return ask()
            except Exception as fault:
                said = f"{type(fault).__name__}: {fault}"
                if said not in self.faults:
                    self.faults.append(said)
                return otherwise


def _no_worse(row: Values, than: Values) -> bool:
    return all(mine >= theirs for mine, theirs in zip(row, than, strict=True))


def _way_down(points: Sequence[Point]) -> tuple[Point, ...]:
    """The descent's cuts alone, in their order."""
    return tuple(sorted((point for point in points if point.cut.isdigit()), key=lambda point: int(point.cut)))


def _curve(points: Sequence[Point], axis: str) -> Curve:
    return [_place(point, axis) for point in points]


def _place(point: Point, axis: str) -> tuple[float, float]:
    return AXES[axis](point), point.accuracy

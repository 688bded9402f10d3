"""From runs to the comparison: hypervolumes over time, how soon ours has what others end with, tests. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from sparsweep.search.dominance import volume
from tests.benchmarks.search.kept import Run
from tests.benchmarks.search.over_time import REFERENCE, Curve, Spread, spread_at, told_at

TARGET_SHARE, LONG_SHARE = 1 / 10, 1 / 30
"""Of a budget, and of one of LONG_S or more, within which ours is to have what the best alternative has at its end."""
LONG_S = 1200.0
FULL_SEEDS = 5
MOST_RESAMPLES = 200_000


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One contender over its seeds, and ours against it."""

    name: str
    runs: int
    at: Mapping[float, Spread]
    """Hypervolume by seconds since the prompt; the last is the end."""
    test: Spread
    """Hypervolume of test accuracy over the claimed front at the end."""
    points: float
    """Median of the points that were finished."""
    first_s: float
    """Median over the seeds of when its first point was finished; infinite where none was."""
    own_s: float
    """Median over the seeds of when it had its own median at the end."""
    reached_s: float | None = None
    """Median over the seeds of when ours has this one's median at the end; infinite if never, None for ours."""
    behind_s: float | None = None
    """For how long, from ours' `first_s` to the end, ours' median is below this one's; None for ours."""
    p_value: float | None = None
    p_test: float | None = None

    @property
    def end(self) -> Spread:
        return self.at[max(self.at)]

    @property
    def share(self) -> float | None:
        """`reached_s` over the budget."""
        return None if self.reached_s is None else self.reached_s / max(self.at)


def standings(runs: Mapping[str, Sequence[Run]], ours: str, end_s: float) -> list[Standing]:
    """Contenders that have runs, in the given order; compared with ours where that has runs too."""
    mine = list(runs.get(ours, ()))
    return [_standing(name, own, () if name == ours else mine, end_s) for name, own in runs.items() if own]


def _standing(name: str, own: Sequence[Run], mine: Sequence[Run], end_s: float) -> Standing:
    curves = [Curve.of(run.points, end_s) for run in own]
    at = {time_s: spread_at(curves, time_s) for time_s in told_at(end_s)}
    tests = [volume_on_test(run) for run in own]
    reached_s = behind_s = p_value = p_test = None
    if mine:
        ours = [Curve.of(run.points, end_s) for run in mine]
        behind_s = behind(ours, curves, end_s)
        reached_s = median(curve.reached_s(at[end_s].middle) for curve in ours)
        p_value = mann_whitney([c.at(end_s) for c in ours], [c.at(end_s) for c in curves])
        p_test = mann_whitney([volume_on_test(run) for run in mine], tests)
    return Standing(
        name=name, runs=len(own), at=at, test=Spread.of(tests), reached_s=reached_s, p_value=p_value, p_test=p_test,
        points=median(sum(point[0] <= end_s for point in run.points) for run in own), first_s=first_of(curves),
        own_s=median(curve.reached_s(at[end_s].middle) for curve in curves), behind_s=behind_s,
    )  # fmt: skip


def target_share(end_s: float) -> float:
    """Of a budget of so many seconds."""
    return LONG_SHARE if end_s >= LONG_S else TARGET_SHARE


def first_of(curves: Sequence[Curve]) -> float:
    """Median over the runs of when there was something."""
    return median(curve.times_s[0] if curve.times_s else math.inf for curve in curves)


def behind(ours: Sequence[Curve], theirs: Sequence[Curve], end_s: float) -> float:
    """Seconds, from when ours has begun to the end, in which the median of ours is below the other one."""
    begun = min(first_of(ours), end_s)
    steps = {time_s for curve in (*ours, *theirs) for time_s in curve.times_s if begun < time_s < end_s}
    times = [begun, *sorted(steps), end_s]
    return sum(
        after - before
        for before, after in pairwise(times)
        if spread_at(ours, before).middle < spread_at(theirs, before).middle
    )


def volume_on_test(run: Run) -> float:
    """Hypervolume of test accuracy x share removed over the points of the claimed front."""
    return volume([(tested, removed) for _, removed, tested in run.front], REFERENCE)


def best_alternative(found: Sequence[Standing], alternatives: Sequence[str]) -> Standing | None:
    """The one with the highest median at the end; None where none has run."""
    return max((s for s in found if s.name in alternatives), key=lambda s: s.end.middle, default=None)


def mann_whitney(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """One-sided: how likely ranks so much in favour of ours are if neither is better (Mann and Whitney 1947).

    Exact, by all ways to deal the values out, ties included. None where a side has a single value: that tells nothing.
    """
    from scipy.stats import PermutationMethod, mannwhitneyu

    if min(len(ours), len(theirs)) < 2:
        return None
    exact = math.comb(len(ours) + len(theirs), len(ours)) <= MOST_RESAMPLES
    method = PermutationMethod(n_resamples=MOST_RESAMPLES) if exact else "asymptotic"
    return float(mannwhitneyu(ours, theirs, alternative="greater", method=method).pvalue)

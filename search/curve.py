"""What one trial's curve is worth while speedup is not measured: accuracy against shares that the search can count."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from sparsweep.search.dominance import non_dominated, volume
from sparsweep.search.figures import Objectives
from sparsweep.trainables.point import Point

AXES: Mapping[str, Callable[[Point], float]] = {
    "macs_removed": lambda point: point.macs_removed,
    "macs_ideal_removed": lambda point: 1 - point.macs_ideal / point.dense_macs,
    "expected_time_removed": lambda point: point.expected_time_removed or 0.0,
    "sparsity": lambda point: point.sparsity,
    "size_removed": lambda point: point.size_removed,
}
"""Shares in (-inf, 1], 0 for the dense network; larger is better."""

_STANDS_FOR = {
    "speedup": "macs_removed",
    "latency_ms": "macs_removed",
    "macs": "macs_removed",
    "macs_removed": "macs_removed",
    "macs_ideal": "macs_ideal_removed",
    "sparsity": "sparsity",
    "layer_sparsity": "sparsity",
    "weights_left": "sparsity",
    "size_bytes": "size_removed",
    "size_removed": "size_removed",
}


LOOKED_UP = ("speedup", "latency_ms")
"""Objectives for which layer times can be looked up while the search runs."""


def search_axes(objectives: Objectives, *, look_up: bool = False) -> tuple[str, ...]:
    """The share that stands for each objective but accuracy: none twice, `macs_removed` first if it is there.

    Args:
        look_up: whether the time that layers are expected to take stands for speedup and latency, instead of MACs.

    Raises:
        ValueError: an objective has no such share, or accuracy is the only one.
    """
    others = [name for name in objectives if name != "accuracy"]
    if unknown := [name for name in others if name not in _STANDS_FOR]:
        raise ValueError(f"the search cannot go by {unknown}: choose objectives from {['accuracy', *_STANDS_FOR]}")
    if not others:
        raise ValueError(f"no objective beside accuracy for pruning to better: add one of {list(_STANDS_FOR)}")
    timed = LOOKED_UP if look_up else ()
    axes = dict.fromkeys("expected_time_removed" if name in timed else _STANDS_FOR[name] for name in others)
    return tuple(sorted(axes, key=lambda axis: axis not in ("macs_removed", "expected_time_removed")))


def curve_value(points: Sequence[Point], axes: Sequence[str]) -> float:
    """What the sampler is told of a trial, in [0, 1]: the mean over the axes of the hypervolume accuracy x axis.

    The reference is (0, 0). It depends on the trial's own points alone, so it stays the same as the sweep goes on.
    """
    return sum(headline(points, (axis,)) for axis in axes) / len(axes)


def headline(points: Sequence[Point], axes: Sequence[str]) -> float:
    """Hypervolume of accuracy x the first axis above (0, 0), in [0, 1]: the number shown live. 0.0 without points."""
    return volume(_rows(points, axes[:1]), (0.0, 0.0))


def near_front(points: Sequence[Point], axes: Sequence[str]) -> tuple[Point, ...]:
    """The points worth delivering and timing: not dominated over accuracy and all axes, in the given order."""
    kept = non_dominated(_rows(points, axes))
    return tuple(point for point, on in zip(points, kept, strict=True) if on)


def _rows(points: Iterable[Point], axes: Sequence[str]) -> list[list[float]]:
    return [[point.accuracy, *(AXES[axis](point) for axis in axes)] for point in points]


class LiveFront:
    """The headline of a running sweep: give it each trial's points once; only the non-dominated ones are kept."""

    def __init__(self, axes: Sequence[str]) -> None:
        self.axis = tuple(axes[:1])
        self.points: tuple[Point, ...] = ()
        self.headline = 0.0

    def take(self, points: Iterable[Point]) -> float:
        """The headline with these points among the rest."""
        self.points = near_front((*self.points, *points), self.axis)
        self.headline = headline(self.points, self.axis)
        return self.headline

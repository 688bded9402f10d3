"""The frontier of a sweep: the points that no other point dominates, and the volume they dominate.

Pure functions over points. A speedup that was not measured counts as 1, a latency that was not measured as the dense
network's: what has not been shown to be faster is not faster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from sparsweep.search.curve import headline
from sparsweep.search.dominance import non_dominated, oriented, volume
from sparsweep.search.figures import Objectives
from sparsweep.spaces.constraint import Constraint
from sparsweep.trainables.point import NUMBERS, Point

if TYPE_CHECKING:
    from pandas import DataFrame

_OF_THE_DENSE = {"sparsity": 0.0, "layer_sparsity": 0.0, "macs_removed": 0.0, "size_removed": 0.0, "speedup": 1.0}
_WORDS = ("point", "method", "version")
_ALWAYS = (*(name for name in NUMBERS[:-2] if name != "trial"), "macs_removed", "size_removed")
"""Figures that every point has."""
_MACS_PLANE = {"objectives": {"accuracy": "max", "macs_removed": "max"}}


def dense_figures(points: Sequence[Point]) -> dict[str, float]:
    """The dense network's figures, as far as its pruned points tell.

    Sparsity and removed shares are 0 and the speedup is 1 by definition. `accuracy` is the best of the cuts named
    `dense`, `latency_ms` the median of the dense latencies that were timed; both are absent where nothing tells.
    """
    figures = dict(_OF_THE_DENSE)
    if not points:
        return figures
    figures["macs"] = figures["macs_ideal"] = float(points[0].dense_macs)
    figures["size_bytes"] = float(points[0].dense_size_bytes)
    fullest = min(points, key=lambda point: point.sparsity)
    if fullest.sparsity < 1:
        figures["weights_left"] = float(round(fullest.weights_left / (1 - fullest.sparsity)))
    if uncut := [point.accuracy for point in points if point.cut == "dense"]:
        figures["accuracy"] = max(uncut)
    if timed := [at.dense_latency_ms for point in points if (at := point.timing)]:
        figures["latency_ms"] = median(timed)
    return figures


def _absent(dense: Mapping[str, float]) -> dict[str, float]:
    """What an untimed point counts as. Where nothing was timed, all latencies are the same 0 and decide nothing."""
    return {"speedup": 1.0, "latency_ms": dense.get("latency_ms", 0.0)}


def counted_figures(points: Sequence[Point]) -> list[dict[str, float]]:
    """Each point's figures as dominance sees them: `speedup` and `latency_ms` always there."""
    absent = _absent(dense_figures(points))
    return [{**absent, **point.figures()} for point in points]


def feasible(points: Sequence[Point], constraints: Sequence[Constraint]) -> tuple[Point, ...]:
    """The points that satisfy every constraint, in the given order; an unmeasured figure satisfies none."""
    return tuple(point for point in points if all(wish.holds(point.figures()) for wish in constraints))


def frontier_of(
    points: Sequence[Point], objectives: Objectives, constraints: Sequence[Constraint] = ()
) -> tuple[Point, ...]:
    """The feasible points that no feasible point dominates, by accuracy descending.

    Of points equal in all objectives the first by trial and cut stays.

    Raises:
        ValueError: a figure is not finite, or an objective is no figure of a point.
    """
    absent = _absent(dense_figures(points))
    ordered = sorted(feasible(points, constraints), key=lambda point: (point.trial, point.cut))
    rows = oriented((point.figures() for point in ordered), objectives, absent)
    kept = [(point, row) for point, row, on in zip(ordered, rows, non_dominated(rows), strict=True) if on]
    kept.sort(key=lambda pair: (-pair[0].accuracy, [-value for value in pair[1]]))
    return tuple(point for point, _ in kept)


def reference_of(objectives: Objectives, dense: Mapping[str, float]) -> dict[str, float]:
    """What a point must beat to count: the dense network (`dense_figures`), at accuracy 0.

    So sparsity 0, speedup 1, and for macs, size_bytes, weights_left and latency_ms the dense network's own value;
    0 where that is unknown (nothing timed), so that the axis then adds no volume.
    """
    return {name: 0.0 if name == "accuracy" else dense.get(name, 0.0) for name in objectives}


def hypervolume(points: Sequence[Point], objectives: Objectives, reference: Mapping[str, float]) -> float:
    """Volume that the points dominate above the reference, in the product of the objectives' units.

    A point at or beyond the reference in any objective adds nothing, and so does one that was not timed where
    speedup or latency is an objective. No point: 0.0.

    Raises:
        ValueError: a figure is not finite, or the reference lacks an objective.
    """
    rows = oriented((point.figures() for point in points), objectives, _absent(reference))
    (bound,) = oriented([reference], objectives, {})
    return volume(rows, bound)


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """The frontier of one sweep with its hypervolume, as it is recorded and drawn."""

    sweep: str
    objectives: Objectives
    constraints: tuple[str, ...]
    reference: Mapping[str, float]
    hypervolume: float
    macs_hypervolume: float
    """Accuracy x share of MACs removed above (0, 0), over all points of the sweep: the number shown live."""
    points: tuple[Point, ...]
    """By accuracy descending."""

    @classmethod
    def of(
        cls, sweep: str, points: Sequence[Point], objectives: Objectives, constraints: Sequence[Constraint] = ()
    ) -> Self:
        """The frontier over all points of a sweep. Raises ValueError as `frontier_of` does."""
        reference = reference_of(objectives, dense_figures(points))
        front = frontier_of(points, objectives, constraints)
        return cls(
            sweep=sweep,
            objectives=dict(objectives),
            constraints=tuple(str(wish) for wish in constraints),
            reference=reference,
            hypervolume=hypervolume(front, objectives, reference),
            macs_hypervolume=headline(points, ("macs_removed",)),
            points=front,
        )

    def to_pandas(self) -> "DataFrame":
        """A row a point (`table_of`)."""
        return table_of(self.points)

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from sparsweep.search.page import frontier_html

        return frontier_html(self)

    def as_json(self) -> dict[str, Any]:
        """What `sparsweep frontier --json` prints; shares in [0, 1], null where a figure was not measured."""
        return {
            "sweep": self.sweep,
            "objectives": dict(self.objectives),
            "reference": dict(self.reference),
            "hypervolume": self.hypervolume,
            "points": [_point_as_json(point) for point in self.points],
            "constraints": list(self.constraints),
            "hypervolume_macs": {
                "value": self.macs_hypervolume,
                **_MACS_PLANE,
                "reference": {"accuracy": 0.0, "macs_removed": 0.0},
            },
        }


def table_of(points: Sequence[Point]) -> "DataFrame":
    """A row a point: its figures under their own names, its setting's knobs as `setting.KNOB`.

    What was not measured is NaN. Without points the columns that every point has are there.
    """
    import pandas

    rows = []
    for point in points:
        knobs = {f"setting.{name}": value for name, value in point.setting.items() if name != "method"}
        told = {"point": point.id, "method": point.method, "version": point.model_version}
        rows.append({**told, **{n: v for n, v in point.figures().items() if n != "trial"}, **knobs})
    return pandas.DataFrame(rows) if rows else pandas.DataFrame(columns=[*_WORDS, *_ALWAYS])


def _point_as_json(point: Point) -> dict[str, Any]:
    figures = point.figures()
    return {
        "trial": point.trial,
        "method": point.method,
        "threshold": point.threshold,
        "accuracy": point.accuracy,
        "test_accuracy": point.test_accuracy,
        "sparsity": point.sparsity,
        "layer_sparsity": point.layer_sparsity,
        "weights_left": point.weights_left,
        "macs": point.macs,
        "macs_ideal": point.macs_ideal,
        "dense_macs": point.dense_macs,
        "size_bytes": point.size_bytes,
        "latency_ms": figures.get("latency_ms"),
        "dense_latency_ms": figures.get("dense_latency_ms"),
        "speedup": point.speedup,
        "setting": dict(point.setting),
        "model_version": point.model_version,
        "cut": point.cut,
        "latency": [asdict(record) for record in point.latency],
        "macs_removed": point.macs_removed,
        "spread": point.spread.summary() if point.spread else None,
    }

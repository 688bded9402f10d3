"""What a trial of any setting would have given, by the real trials of a table: so that thousands cost nothing.

The three recorded settings that are nearest among those of the same choices of method and granularity answer together,
each the more the nearer it is: cut by cut, with noise that is the trial's own. Where the nearest failed, so does this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from sparsweep.spaces.space import Row, Space, Value
from sparsweep.trainables.attempt import own_front
from sparsweep.trainables.point import Point
from tests.benchmarks.nearness import distance, place_of
from tests.benchmarks.simulation.recording import Recorded, Table

NEIGHBOURS: Final = 3
ALIKE: Final = ("method", "granularity")
"""Choices that an answering trial has in common with the one that is asked about."""
ACCURACY_NOISE: Final = 0.004
"""Standard deviation; one of the 297 validation images is 0.0034."""
SIZE_NOISE: Final = 0.01
"""Of what is left of the network, as a share of it."""
TIME_NOISE: Final = 0.15
"""Of how long a trial takes, as a share of it."""
LEAST: Final = 1e-6


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a trial goes."""

    reason: str | None
    """Why it fails."""
    train_s: float
    descend_s: float
    points: tuple[Point, ...]
    """In the order in which they are measured; those on its own front have their network."""
    probes: Mapping[int, tuple[Point, ...]]
    """By epoch what its judge is shown."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """A recorded trial and how much it has to say, in (0, 1]."""

    trial: Recorded
    weight: float


class Surrogate:
    """Answers for the trials of one sweep; the same number, seed and row get the same answer."""

    def __init__(self, space: Space, table: Table) -> None:
        self.space, self.table = space, table
        self.places = [place_of(space, trial.row) for trial in table.trials]

    def answer(self, number: int, row: Row, seed: int) -> Answer:
        """How the trial of this number and setting goes."""
        shares, chance = self.shares(row), Random(f"{seed} {number}")
        slow = max(chance.gauss(1, TIME_NOISE), 0.1)
        times = {
            name: slow * sum(s.weight * getattr(s.trial, name) for s in shares) for name in ("train_s", "descend_s")
        }
        nearest = shares[0].trial
        if nearest.reason is not None:
            return Answer(reason=nearest.reason, points=(), probes={}, **times)
        points = self._points(number, row, [(s.weight, s.trial.points) for s in shares], chance)
        kept = {id(point) for point in own_front(points)}
        whole = tuple(p.with_(network=f"attempt-1/{p.cut}") if id(p) in kept else p for p in points)
        probes = {
            epoch: tuple(self._points(number, row, [(s.weight, s.trial.probes.get(epoch, ())) for s in shares], chance))
            for epoch in nearest.probes
        }
        return Answer(reason=None, points=whole, probes=probes, **times)

    def curve(self, number: int, row: Row, seed: int) -> tuple[Point, ...]:
        """Its points alone; the noise is not that of `answer`."""
        curves = [(share.weight, share.trial.points) for share in self.shares(row)]
        return tuple(self._points(number, row, curves, Random(f"{seed} {number} curve")))

    def shares(self, row: Mapping[str, Value]) -> list[Share]:
        """Those that answer for a row, the nearest first; one that failed is alone."""
        place = place_of(self.space, row)
        alike = [at for at, each in enumerate(self.table.trials) if all(each.row[n] == row[n] for n in ALIKE)]
        if not alike:
            raise ValueError(f"no recorded trial has {[row[name] for name in ALIKE]}: record more")
        far = sorted((distance(place, self.places[at]), at) for at in alike)
        nearest = self.table.trials[far[0][1]]
        if nearest.reason is not None:
            return [Share(trial=nearest, weight=1.0)]
        near = [(d, self.table.trials[at]) for d, at in far if self.table.trials[at].reason is None][:NEIGHBOURS]
        total = sum(1 / (d + LEAST) for d, _ in near)
        return [Share(trial=trial, weight=1 / (d + LEAST) / total) for d, trial in near]

    def _points(
        self, number: int, row: Row, curves: Sequence[tuple[float, Sequence[Mapping[str, Any]]]], chance: Random
    ) -> list[Point]:
        """The cuts of the first curve, each the mean of all curves' cuts of its name."""
        by_cut = [(weight, {cells["cut"]: cells for cells in curve}) for weight, curve in curves]
        return [
            self._point(number, row, [(w, cuts[first["cut"]]) for w, cuts in by_cut if first["cut"] in cuts], chance)
            for first in curves[0][1]
        ]

    def _point(
        self, number: int, row: Row, cells: Sequence[tuple[float, Mapping[str, Any]]], chance: Random
    ) -> Point:  # fmt: skip
        total = sum(weight for weight, _ in cells)

        def mean(name: str) -> float:
            return sum(weight * each[name] for weight, each in cells) / total

        left = max(chance.gauss(1, SIZE_NOISE), 0.5)
        sparsities = {name: min(max(1 - left * (1 - mean(name)), 0), 1) for name in ("sparsity", "layer_sparsity")}
        whole = {"macs": self.table.dense_macs, "macs_ideal": self.table.dense_macs, "weights_left": 1 << 40,
                 "size_bytes": self.table.dense_size_bytes}  # fmt: skip
        return Point(
            trial=number, cut=cells[0][1]["cut"], method=str(row["method"]), threshold=mean("threshold"), setting=row,
            accuracy=min(max(chance.gauss(mean("accuracy"), ACCURACY_NOISE), 0), 1), **sparsities,
            **{name: min(round(left * mean(name)), most) for name, most in whole.items()},
            dense_macs=self.table.dense_macs, dense_size_bytes=self.table.dense_size_bytes,
            widths=tuple(cells[0][1]["widths"]),
        )  # fmt: skip

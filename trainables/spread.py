"""How much a cut's figures differ between trainings of one setting with different seeds.

One training is one draw: on small tasks accuracies of the same setting differ by more than neighbours on the front do.
A setting that is about to enter the front is trained again with other seeds (`seeds:` of the sweep file), its cuts are
matched by name, so that each keeps as many groups or weights in every training, and each point carries what all of
them came to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from statistics import fmean, stdev
from typing import Any, Self

CONFIDENCE = 0.95
"""Of a bound: so sure is one that the mean over seeds is no worse."""
FIGURES = ("accuracy", "sparsity", "layer_sparsity", "weights_left", "macs", "macs_ideal", "size_bytes")
"""What every training measures of a cut; larger is better of the shares, smaller of the counts."""
_SHARES = FIGURES[:3]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The figures of one cut over all trainings of its setting that have the cut.

    Raises:
        ValueError: a figure is missing, or the figures are of different numbers of trainings.
    """

    values: Mapping[str, tuple[float, ...]]
    """By figure one value a training, in the order of the trainings."""
    failed: int = 0
    """Trainings of the setting that ended without a network."""

    def __post_init__(self) -> None:
        lengths = {len(each) for each in self.values.values()}
        if set(self.values) != set(FIGURES) or len(lengths) != 1 or 0 in lengths or self.failed < 0:
            raise ValueError(f"a spread of {sorted(self.values)} over {sorted(lengths)} trainings cannot exist")

    @property
    def seeds(self) -> int:
        """Trainings that have this cut."""
        return len(self.values["accuracy"])

    def mean(self, figure: str) -> float:
        return fmean(self.values[figure])

    def deviation(self, figure: str) -> float | None:
        """The sample's standard deviation; None of one training."""
        return stdev(self.values[figure]) if self.seeds > 1 else None

    def bound(self, figure: str) -> float | None:
        """What the mean over seeds is with 95 % confidence no worse than (Student's t, one-sided).

        None where it cannot be known: of one training, or where a training failed.
        """
        deviation = self.deviation(figure)
        if deviation is None or self.failed:
            return None
        margin = _student(self.seeds - 1) * deviation / sqrt(self.seeds)
        return max(self.mean(figure) - margin, 0.0) if figure in _SHARES else self.mean(figure) + margin

    def summary(self) -> dict[str, Any]:
        """For who reads a frontier: by figure mean, standard deviation and bound."""
        told = {n: {"mean": self.mean(n), "deviation": self.deviation(n), "bound": self.bound(n)} for n in self.values}
        return {"seeds": self.seeds, "failed": self.failed, "confidence": CONFIDENCE, **told}

    def as_json(self) -> dict[str, Any]:
        return {"values": {name: list(each) for name, each in self.values.items()}, "failed": self.failed}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(values={name: tuple(each) for name, each in data["values"].items()}, failed=data["failed"])


def spread_of(figures: Sequence[Mapping[str, float]], failed: int = 0) -> Spread:
    """Of one cut's figures in each training."""
    return Spread(values={name: tuple(each[name] for each in figures) for name in FIGURES}, failed=failed)


@cache
def _student(freedom: int) -> float:
    """Quantile of Student's t for CONFIDENCE.

    >>> round(_student(2), 3)
    2.92
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, CONFIDENCE))

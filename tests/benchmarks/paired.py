"""Two methods compared on the same seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import mean, stdev


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Differences first minus second over pairs of equal seed."""

    mean: float
    standard_error: float
    """Of the mean difference."""
    wins: int
    count: int
    p_value: float
    """Of the sign test, one-sided: how likely so many wins of the first are if neither is better; ties do not count."""

    @classmethod
    def of(cls, first: Sequence[float], second: Sequence[float]) -> "Paired":
        """Raises ValueError for fewer than two pairs."""
        differences = [a - b for a, b in zip(first, second, strict=True)]
        if len(differences) < 2:
            raise ValueError(f"{len(differences)} pairs tell nothing: compare over two seeds or more (--pairs)")
        return cls(
            mean=mean(differences), standard_error=stdev(differences) / sqrt(len(differences)),
            wins=sum(d > 0 for d in differences), count=len(differences), p_value=_sign_test(differences),
        )  # fmt: skip


def _sign_test(differences: Sequence[float]) -> float:
    signs = [d > 0 for d in differences if d]
    as_many = sum(comb(len(signs), wins) for wins in range(sum(signs), len(signs) + 1))
    return as_many / float(2 ** len(signs))

"""A constraint on a point: a figure, a comparison, a bound, as in `accuracy >= 0.97`. Read by hand, never evaluated."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from sparsweep.spaces.faults import nearest, shown

SHARES: Final = ("accuracy", "sparsity", "layer_sparsity", "macs_removed", "size_removed", "test_accuracy")
"""Figures in [0, 1]; only these may be written as a percentage."""
FIGURES: Final = (*SHARES, "weights_left", "macs", "macs_ideal", "size_bytes", "latency_ms", "speedup")
"""Every figure of a point that a constraint may name."""

COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
"""By their signs; they take arrays too."""
_NUMBER: Final = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_WHOLE: Final = re.compile(r"\s*([^\W\d]\w*)\s*([<>=!~≤≥]++)\s*(\S.*?)\s*")
_BOUND: Final = re.compile(rf"({_NUMBER})(?:[eE]([+-]?[0-9]+))?\s*(%?)")
_MEANT: Final = {"=": "==", "=>": ">=", "=<": "<=", "≥": ">=", "≤": "<="}
_LONGEST: Final = 100
_EXAMPLES: Final = {
    "weights_left": "5000", "macs": "200000", "macs_ideal": "200000", "size_bytes": "20000", "latency_ms": "1.5",
    "speedup": "2",
}  # fmt: skip
"""Of what is no share, in the figure's own unit."""


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """`figure op bound`, where `op` is one of >=, <=, >, <, == and `bound` is finite (shares: in [0, 1])."""

    figure: str
    op: str
    bound: float

    @classmethod
    def parse(cls, text: str, *, allow_test_accuracy: bool = False) -> Self:
        """The constraint that `text` spells; `97%` is 0.97.

        Args:
            text: NAME OP NUMBER.
            allow_test_accuracy: a pick among measured points may name it; a search must not see it.

        Raises:
            ValueError: it cannot be read, names no figure, or its bound is impossible.
        """
        match = _WHOLE.fullmatch(text) if len(text) <= _LONGEST else None
        if match is None:
            raise ValueError(f"{shown(text)} cannot be read: write a name, a comparison and a number: accuracy >= 0.97")
        figure, op, number = match.groups()
        _check_figure(figure, allow_test_accuracy)
        if op not in COMPARE:
            meant = f"; did you mean {_MEANT[op]}?" if op in _MEANT else ""
            raise ValueError(f"unknown comparison {op}{meant} (allowed: {', '.join(COMPARE)})")
        return cls(figure=figure, op=op, bound=_bound(figure, number))

    def holds(self, figures: Mapping[str, float]) -> bool:
        """Whether the figures satisfy it; a figure that was not measured does not."""
        return self.figure in figures and bool(COMPARE[self.op](figures[self.figure], self.bound))

    def violation(self, figures: Mapping[str, float]) -> float:
        """0 where it holds, else the distance to the bound (> 0, in the figure's unit); infinite where unmeasured."""
        if self.holds(figures):
            return 0.0
        distance = abs(figures.get(self.figure, math.inf) - self.bound)
        # at the bound of a strict comparison the distance is 0, and yet it is violated
        return math.inf if math.isnan(distance) else max(distance, math.ulp(self.bound))

    def __str__(self) -> str:
        whole = self.bound.is_integer() and abs(self.bound) < 1e15
        return f"{self.figure} {self.op} {int(self.bound) if whole else self.bound}"


def _check_figure(figure: str, allow_test_accuracy: bool) -> None:
    if figure == "test_accuracy" and not allow_test_accuracy:
        raise ValueError(
            "test_accuracy may not steer a search, which must not see the test set: constrain accuracy, "
            "and choose by test_accuracy afterwards with sparsweep pick --where"
        )
    allowed = FIGURES if allow_test_accuracy else tuple(name for name in FIGURES if name != "test_accuracy")
    if figure not in allowed:
        raise ValueError(f"unknown figure {shown(figure)}{nearest(figure, allowed)} (allowed: {', '.join(allowed)})")


def _not_a_number(figure: str, text: str) -> str:
    such = _EXAMPLES.get(figure, "0.97")
    return f"{shown(text)} is not a finite number: write {figure} against one, such as {such}"


def _bound(figure: str, text: str) -> float:
    match = _BOUND.fullmatch(text)
    if match is None:
        raise ValueError(_not_a_number(figure, text))
    mantissa, exponent, percent = match.groups()
    bound = float(f"{mantissa}e{int(exponent or 0) - (2 if percent else 0)}")
    if not math.isfinite(bound):
        raise ValueError(_not_a_number(figure, text))
    text = "".join(text.split())  # between number and % there may be any white space
    if percent and figure not in SHARES:
        raise ValueError(f"{figure} is not a share, so {text} of it means nothing: write a plain number")
    if figure in SHARES and not 0 <= bound <= 1:
        meant = f"; did you mean {text}%?" if not percent and not exponent and 1 < bound <= 100 else ""
        raise ValueError(f"{figure} is a share from 0 to 1 and cannot be held against {text}{meant}")
    return bound

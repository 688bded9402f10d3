"""What a point's figures are called, in which unit they are shown, and which direction is better."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["max", "min"]
Objectives = Mapping[str, Direction]
"""Axes of a frontier: names of figures, each with the direction in which it gets better."""

UNKNOWN = "\u2013"
"""Shown in place of a figure that was not measured."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How one figure is spoken of: `label` in a sentence, `axis` along a picture's edge."""

    label: str
    axis: str
    kind: Literal["share", "ratio", "count", "bytes", "ms"]
    better: Direction


def _wording(label: str, axis: str, kind: Literal["share", "ratio", "count", "bytes", "ms"]) -> Wording:
    better: Direction = "max" if kind in ("share", "ratio") else "min"
    return Wording(label=label, axis=axis, kind=kind, better=better)


WORDINGS: Mapping[str, Wording] = {
    "accuracy": _wording("accuracy", "validation accuracy (%)", "share"),
    "test_accuracy": _wording("test accuracy", "test accuracy (%)", "share"),
    "sparsity": _wording("sparsity", "sparsity (% of weights at zero)", "share"),
    "layer_sparsity": _wording("mean sparsity of the layers", "mean sparsity of the layers (%)", "share"),
    "speedup": _wording("speedup", "measured speedup (dense = 1x)", "ratio"),
    "expected_time_removed": _wording("expected time removed", "time expected to be removed (% of dense)", "share"),
    "macs_removed": _wording("MACs removed", "MACs removed (% of dense)", "share"),
    "size_removed": _wording("size removed", "size removed (% of dense)", "share"),
    "macs": _wording("MACs", "MACs of one example", "count"),
    "macs_ideal": _wording("non-zero MACs", "MACs that meet a non-zero weight", "count"),
    "weights_left": _wording("weights left", "non-zero weights left", "count"),
    "size_bytes": _wording("size", "size (bytes)", "bytes"),
    "latency_ms": _wording("latency", "latency of one batch (ms)", "ms"),
}
"""Every figure that a frontier, a pick or a picture may be asked about."""


def label(figure: str) -> str:
    """The figure's name in words; an unknown one keeps its own name."""
    return WORDINGS[figure].label if figure in WORDINGS else figure


def shown(figure: str, value: float | None) -> str:
    """The value as a person reads it: `98.61 %`, `4.52x`, `61.2 k`, `12.3 kB`, `0.841 ms`, or a dash."""
    if value is None:
        return UNKNOWN
    kind = WORDINGS[figure].kind if figure in WORDINGS else "plain"
    if kind == "share":
        return f"{100 * value:.2f} %"
    if kind == "ratio":
        return f"{value:.2f}x"
    if kind == "ms":
        return f"{value:.3g} ms"
    if kind in ("count", "bytes"):
        return _scaled(value, "B" if kind == "bytes" else "")
    return f"{value:g}"


def _scaled(value: float, unit: str) -> str:
    """Two or three digits and a decimal prefix: `950`, `61.2 k`, `131 k`, `12.3 MB`."""
    for limit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * limit:
            digits = 1 if abs(value) < 99.95 * limit else 0
            return f"{value / limit:.{digits}f} {prefix}{unit}"
    return f"{value:.0f} {unit}".rstrip()

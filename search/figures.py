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
    """How one figure is spoken of; `label` reads within a sentence and on an axis."""

    label: str
    kind: Literal["share", "ratio", "count", "bytes", "ms"]
    better: Direction


WORDINGS: Mapping[str, Wording] = {
    "accuracy": Wording(label="accuracy", kind="share", better="max"),
    "test_accuracy": Wording(label="test accuracy", kind="share", better="max"),
    "sparsity": Wording(label="sparsity", kind="share", better="max"),
    "layer_sparsity": Wording(label="mean sparsity of the layers", kind="share", better="max"),
    "speedup": Wording(label="speedup", kind="ratio", better="max"),
    "macs_removed": Wording(label="MACs removed", kind="share", better="max"),
    "size_removed": Wording(label="size removed", kind="share", better="max"),
    "macs": Wording(label="MACs", kind="count", better="min"),
    "macs_ideal": Wording(label="non-zero MACs", kind="count", better="min"),
    "weights_left": Wording(label="weights left", kind="count", better="min"),
    "size_bytes": Wording(label="size", kind="bytes", better="min"),
    "latency_ms": Wording(label="latency", kind="ms", better="min"),
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
    """Three or four digits and a decimal prefix: `950`, `61.2 k`, `12.3 MB`."""
    for limit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.99995 * limit:
            return f"{value / limit:.1f} {prefix}{unit}"
    return f"{value:.0f} {unit}".rstrip()

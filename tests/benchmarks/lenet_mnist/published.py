"""The published points of LeNet-300-100 and LeNet-5 on MNIST, and what it takes to dominate one."""

import csv
from dataclasses import dataclass
from typing import Literal

from sparsweep.search.published import TABLE

Kind = Literal["dense", "structured", "unstructured"]
NETWORKS = ("lenet-300-100", "lenet-5")


@dataclass(frozen=True, kw_only=True)
class Published:
    """One row of the table. What the source does not give is None."""

    network: str
    method: str
    kind: Kind
    error_pct: float | None
    """Test error."""
    delta_error_pct: float | None
    """By how much it is above the source's own dense network, where only that is given."""
    kept_units: str
    weights_left: int | None
    macs: int | None
    source: str

    @property
    def name(self) -> str:
        return f"{self.method} {self.kept_units}".strip()

    def most_error_pct(self, dense_pct: float) -> float:
        """What a point's error may be at most; `dense_pct` is that of our own dense network."""
        return self.error_pct if self.error_pct is not None else dense_pct + (self.delta_error_pct or 0.0)

    def counted(self, macs: int, macs_ideal: int) -> int:
        """Which of a network's multiply-adds count against this row."""
        return macs if self.kind == "structured" else macs_ideal

    def is_met_by(self, weights_left: int, macs: int, macs_ideal: int) -> bool:
        """Whether a network has no more weights and MACs, of those that the row gives.

        MACs as executed count against a structured row, those that meet a non-zero weight against another.
        """
        limits = ((weights_left, self.weights_left), (self.counted(macs, macs_ideal), self.macs))
        return all(most is None or own <= most for own, most in limits)


def published() -> tuple[Published, ...]:
    """All rows but the dense ones, in the table's order."""
    with TABLE.open(newline="") as file:
        rows = [_row(line) for line in csv.DictReader(file)]
    return tuple(row for row in rows if row.kind != "dense")


def _row(line: dict[str, str]) -> Published:
    kind = line["kind"]
    assert kind in ("dense", "structured", "unstructured"), kind
    numbers = {name: float(line[name]) if line[name] else None for name in ("error_pct", "delta_error_pct")}
    counts = {name: int(line[name]) if line[name] else None for name in ("weights_left", "macs")}
    texts = {name: line[name] for name in ("network", "method", "kept_units", "source")}
    return Published(kind=kind, **numbers, **counts, **texts)

"""Points of the literature, to be drawn beside a frontier: published.csv, with the source of each."""

import csv
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("published.csv")
WEIGHTS = {"lenet-300-100": 266_200, "lenet-5": 430_500}
MACS = {"lenet-300-100": 266_200, "lenet-5": 2_293_000}
"""Of the dense networks, from the table's own dense rows."""


def points_for(network: str, data: str) -> list[dict[str, Any]]:
    """Published points of a network on data, by `Point`'s names of figures; those that give a test error."""
    if data != "mnist" or network not in WEIGHTS:
        return []
    return [_point(line) for line in _lines() if line["network"] == network and line["error_pct"]]


@cache
def _lines() -> tuple[dict[str, str], ...]:
    with TABLE.open(newline="") as file:
        return tuple(csv.DictReader(file))


def _point(line: dict[str, str]) -> dict[str, Any]:
    network = line["network"]
    told: dict[str, Any] = {
        "method": line["method"], "source": line["source"], "kind": line["kind"],
        "test_accuracy": 1 - float(line["error_pct"]) / 100,
    }  # fmt: skip
    if line["weights_left"]:
        left = int(line["weights_left"])
        told |= {"weights_left": left, "sparsity": 1 - left / WEIGHTS[network]}
    if line["macs"] and line["kind"] != "unstructured":
        told |= {"macs": int(line["macs"]), "macs_removed": 1 - int(line["macs"]) / MACS[network]}
    return told

"""The benchmark's arithmetic, and that a run goes on from its table, on figures that can be reckoned by hand."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import descents
from tests.benchmarks.descents import ARMS, Curve, curves_of, interval, lines_of


def curves(**worths: float) -> dict[str, Curve]:
    """The named arms' worths, all others .5."""
    return {arm: Curve(worth=worths.get(arm, 0.5), cpu_seconds=2.0) for arm in ARMS}


def test_a_line_compares_with_the_first_arm_and_a_seed_counts_once() -> None:
    seeds = [[curves(macs=0.6), curves(macs=0.4)], [curves(macs=0.6), curves(macs=0.6)]]  # gains 0 and .1
    geometric, macs, *_ = lines_of("filter", 16, seeds)
    assert geometric == ("filter", "16", "geometric", "4", "0.5000", "0.0000", "", "", "", "2.0")
    low, high = interval([0.0, 0.1])
    assert macs[3:6] == ("4", "0.5500", "0.0707")
    assert macs[6:] == ("+0.0500", f"{low:+.4f} … {high:+.4f}", "3/4", "2.0")


def test_what_stands_in_the_table_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def once(row: object, seed: int, fixed: object, folder: Path) -> dict[str, Curve]:
        asked.append(seed)
        return curves(macs=0.7)

    monkeypatch.setattr(descents, "descents_of", once)
    table = tmp_path / "table.json"
    first = curves_of("weight", 3, {"cuts": 6}, table)
    assert curves_of("weight", 3, {"cuts": 6}, table) == first
    assert len(asked) == len(descents.SETTINGS["weight"]) == len(json.loads(table.read_text()))
    kept = json.loads(table.read_text())
    for each in kept.values():
        del each["macs"]
    table.write_text(json.dumps(kept))  # of an earlier version, without this arm
    assert curves_of("weight", 3, {"cuts": 6}, table) == first
    assert len(asked) == 2 * len(first)
    curves_of("weight", 4, {"cuts": 6}, None)
    assert asked[-1] == 4
    assert len(json.loads(table.read_text())) == len(first)

"""Every fault as a test. Those that take minutes have the marker `chaos`: `pytest -m chaos tests/chaos`."""

from pathlib import Path

import pytest

from tests.chaos.damage import can_mount
from tests.chaos.outcome import Findings
from tests.chaos.scenarios import QUICK, SCENARIOS

NEEDS_MOUNT = pytest.mark.skipif(not can_mount(), reason="a tiny file system can be made by root only")


def _marks(name: str) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.chaos, pytest.mark.timeout(1800)]
    return [*marks, NEEDS_MOUNT] if name == "disk-full" else marks


@pytest.mark.filterwarnings("ignore")  # of the engines, which are asked here about what the sweeps left
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", QUICK)
def test_a_fault_in_short_leaves_nothing_lost_and_nothing_doubled(name: str, tmp_path: Path) -> None:
    outcome = QUICK[name](tmp_path)
    assert outcome.held, outcome.happened


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(name)) for name in SCENARIOS])
def test_a_fault_leaves_nothing_lost_and_nothing_doubled(name: str, tmp_path: Path) -> None:
    outcome = SCENARIOS[name](tmp_path)
    assert outcome.held, outcome.happened


def test_a_finding_that_does_not_hold_is_told_and_counts() -> None:
    findings = Findings("a fault", "nothing happens")
    findings.must("one is one", True)
    assert findings.outcome().held
    findings.must("one is two", False, "it is one | 1")
    assert not findings.outcome().held
    assert findings.outcome().cells()[2] == "NOT: one is two (it is one / 1)"
    assert not Findings("a fault", "nothing is lost", lost=1).outcome().held

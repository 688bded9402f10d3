"""The projector: records reach the ledger whole, once and in order, or the user is told that they did not."""

import time

import pytest

from sparsweep.search import projector
from sparsweep.search.projector import Projector
from sparsweep.trainables.record import TrialRecord
from tests.search.records import make_record


class FakeLedger:
    """Fails as often as it is told to, then takes everything."""

    def __init__(self, failures: float = 0, fault: str = "connection refused\nlong traceback") -> None:
        self.failures, self.fault = failures, fault
        self.taken: list[int] = []
        self.tries = 0
        self.slowness_s = 0.0

    def log(self, record: TrialRecord) -> None:
        self.tries += 1
        time.sleep(self.slowness_s)
        if self.failures > 0:
            self.failures -= 1
            raise OSError(self.fault)
        self.taken.append(record.number)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "PAUSE_S", 0.01)


def project(ledger: FakeLedger, records: int, *, first_fails: int = 0) -> tuple[Projector, list[str]]:
    said: list[str] = []
    refusals = [OSError("no schema yet")] * first_fails

    def opened() -> FakeLedger:
        if refusals:
            raise refusals.pop()
        return ledger

    made = Projector(open_ledger=opened, say=said.append)
    made.start()
    for number in range(records):
        made.take(make_record(number))
    return made, said


def test_records_are_taken_in_their_order() -> None:
    ledger = FakeLedger()
    made, said = project(ledger, 50)
    assert made.drain() is ledger
    assert ledger.taken == list(range(50))
    assert (said, made.missed) == ([], [])


def test_an_outage_loses_nothing_and_is_said_once_at_its_beginning_and_once_at_its_end() -> None:
    ledger = FakeLedger(failures=3)
    made, said = project(ledger, 4)
    assert made.drain() is ledger
    assert ledger.taken == [0, 1, 2, 3]
    assert said == [
        "the record stores do not answer (connection refused); going on, trying again",
        "records are being taken again",
    ]


def test_a_ledger_that_cannot_be_opened_at_first_is_opened_later() -> None:
    ledger = FakeLedger()
    made, said = project(ledger, 2, first_fails=2)
    assert made.drain() is ledger
    assert ledger.taken == [0, 1]
    assert said[0] == "the record stores do not answer (no schema yet); going on, trying again"


def test_a_fault_without_a_text_is_named_by_its_kind() -> None:
    made, said = project(FakeLedger(failures=1, fault=""), 1)
    made.drain()
    assert said[0] == "the record stores do not answer (OSError); going on, trying again"


def test_a_ledger_that_never_works_ends_the_wait_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "PATIENCE_S", 0.1)
    ledger = FakeLedger(failures=float("inf"))
    made, said = project(ledger, 3)
    began = time.monotonic()
    made.drain()
    assert time.monotonic() - began < 2
    assert made.missed == [0, 1, 2]
    assert said[-1] == "3 trials are not in MLflow yet; sparsweep resume writes them later"


def test_once_the_patience_is_over_nothing_more_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "PATIENCE_S", 0.05)
    ledger = FakeLedger(failures=float("inf"))
    made, _ = project(ledger, 1)
    while ledger.tries == 0:
        time.sleep(0.01)
    ledger.slowness_s = 0.2
    for number in range(1, 100):
        made.take(make_record(number))
    began = time.monotonic()
    made.drain()
    assert time.monotonic() - began < 3  # 99 slow tries would take 20 s
    assert made.missed == list(range(100))


def test_a_sweep_without_records_still_opens_the_ledger() -> None:
    ledger = FakeLedger()
    made, _ = project(ledger, 0)
    assert made.drain() is ledger


def test_a_sweep_without_records_and_without_a_ledger_ends_quietly() -> None:
    made, said = project(FakeLedger(), 0, first_fails=9)
    assert made.drain() is None
    assert said == ["the record stores do not answer (no schema yet); going on, trying again"]

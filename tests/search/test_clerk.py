"""The clerk between proposals and slots: answers at once, tells behind, loses nothing when it closes."""

import time
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest

from sparsweep.search import clerk as clerk_module
from sparsweep.search.clerk import Clerk


class Plan(int):
    """A trial that is nothing but its number."""

    @property
    def number(self) -> int:
        return int(self)


class Proposals:
    """Three proposals, at most `ahead` out at once."""

    def __init__(self, ahead: int = 2, faults: int = 0) -> None:
        self.ahead, self.faults = ahead, faults
        self.left = [0, 1, 2]
        self.at_work: dict[int, Any] = {}
        self.told: list[tuple[int, str | None]] = []
        self.why: str | None = None
        self.withdrawn: list[int] = []
        self.slots: list[int] = []

    def full(self, waiting: Collection[int] = ()) -> bool:
        return self.why is not None

    def began(self, number: int) -> None:
        self.slots.append(number)

    def let_go(self, number: int) -> None:
        self.slots = [each for each in self.slots if each != number]

    def withdraw(self, number: int) -> None:
        del self.at_work[number]
        self.withdrawn.append(number)

    def exhausted(self) -> bool:
        return not self.left and not self.at_work

    def next(self) -> Any:
        if self.faults:
            self.faults -= 1
            raise OSError("database is locked")
        if not self.left or len(self.at_work) >= self.ahead:
            return None
        number = self.left.pop(0)
        self.at_work[number] = number
        return Plan(number)

    def ended(self, number: int, death: str | None = None) -> None:
        del self.at_work[number]
        self.told.append((number, death))


def taken(clerk: Clerk) -> Any:
    """The next trial, once it is ready."""
    deadline = time.monotonic() + 10
    while (plan := clerk.next()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return plan


def started(proposals: Proposals) -> Clerk:
    clerk = Clerk(proposals)  # type: ignore[arg-type]
    clerk.start()
    return clerk


def test_a_slot_is_charged_from_its_trials_beginning_to_its_end_not_to_when_it_is_told() -> None:
    proposals = Proposals(ahead=2)
    clerk = started(proposals)
    number = taken(clerk)
    assert proposals.slots == [], "Tune has it, and waits for a process"
    clerk.began(number)
    assert proposals.slots == [0]
    clerk.ended(number)
    assert proposals.slots == []
    clerk.close()


def test_trials_come_in_order_no_more_than_ahead_and_outcomes_are_told() -> None:
    proposals = Proposals(ahead=2)
    clerk = started(proposals)
    assert [taken(clerk), taken(clerk)] == [0, 1]
    assert clerk.next() is None
    assert clerk.running() == 2
    clerk.ended(0)
    assert taken(clerk) == 2
    clerk.ended(1, "killed")
    clerk.ended(2)
    clerk.close()
    assert proposals.told == [(0, None), (1, "killed"), (2, None)]
    assert proposals.exhausted()


def test_where_many_trials_end_at_once_no_outcome_waits_for_the_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clerk_module, "HEAD_START_S", 1.0)
    proposals = Proposals(ahead=40)
    proposals.left = list(range(40))
    clerk = started(proposals)
    for number in [taken(clerk) for _ in range(40)]:
        clerk.ended(number)
    began = time.monotonic()
    clerk.close()
    assert [number for number, _ in proposals.told] == list(range(40))
    assert time.monotonic() - began < 20, "40 head starts would be 40 s; only the last few have one"


def test_where_no_trial_is_ready_the_paperwork_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clerk_module, "HEAD_START_S", 3600.0)
    proposals = Proposals(ahead=2)
    proposals.left = list(range(4))
    clerk = started(proposals)
    for number in [taken(clerk), taken(clerk)]:
        clerk.ended(number)
        assert taken(clerk) == number + 2
    assert [number for number, _ in proposals.told] == [0, 1]


def test_it_is_exhausted_only_once_nothing_can_come_back() -> None:
    clerk = started(Proposals(ahead=3))
    numbers = [taken(clerk) for _ in range(3)]
    time.sleep(0.1)
    assert not clerk.exhausted()
    for number in numbers:
        clerk.ended(number)
    deadline = time.monotonic() + 10
    while not clerk.exhausted():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    clerk.close()


def test_closing_tells_what_the_slots_committed_without_a_word() -> None:
    proposals = Proposals(ahead=2)
    clerk = started(proposals)
    taken(clerk)
    clerk.close()
    assert (0, None) in proposals.told
    assert not proposals.at_work


def test_a_study_that_does_not_answer_for_a_while_is_asked_again_and_the_user_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clerk_module, "PAUSE_S", 0.01)
    said: list[str] = []
    clerk = Clerk(Proposals(faults=3), said.append)  # type: ignore[arg-type]
    clerk.start()
    assert taken(clerk) == 0
    clerk.close()
    assert said == [
        "the study does not answer (database is locked); trials at work go on, trying again",
        "the sweep goes on after 0 s",
    ]


def test_a_study_that_never_answers_ends_the_sweep_with_its_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clerk_module, "PAUSE_S", 0.01)
    monkeypatch.setattr(clerk_module, "PATIENCE_S", 0.05)
    clerk = started(Proposals(faults=1000))
    deadline = time.monotonic() + 10
    while not clerk.exhausted():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    with pytest.raises(OSError, match="database is locked"):
        clerk.close()


def test_a_mistake_of_our_own_is_not_tried_again() -> None:
    proposals = Proposals()
    proposals.next = lambda: 1 / 0  # type: ignore[method-assign]
    clerk = started(proposals)
    with pytest.raises(ZeroDivisionError):
        clerk.close()


def test_what_is_ready_is_taken_back_when_a_record_says_that_it_is_enough() -> None:
    proposals = Proposals(ahead=3)
    proposals.left = [SimpleNamespace(number=number) for number in range(3)]  # type: ignore[misc]
    proposals.next = lambda: _handed(proposals)  # type: ignore[method-assign]
    clerk = started(proposals)
    assert taken(clerk).number == 0
    deadline = time.monotonic() + 10
    while proposals.left:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    proposals.why = "it is enough"
    clerk.ended(0)
    while not proposals.told or proposals.at_work:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert proposals.withdrawn == [2, 1]
    assert clerk.next() is None
    clerk.close()


def _handed(proposals: Proposals) -> Any:
    if not proposals.left or proposals.why:
        return None
    plan: Any = proposals.left.pop(0)
    proposals.at_work[plan.number] = plan
    return plan

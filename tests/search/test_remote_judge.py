"""A judge in a process of its own: it answers across processes, and the driver is told when it has failed."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from sparsweep.search.judging import Forgiving, SweepJudge
from sparsweep.search.with_ray.judging import JudgeFailedError, RemoteJudge, remote_judge
from sparsweep.trainables.judgement import Verdict
from tests.search.points import make_point
from tests.search.records import make_record

HALF = make_point(0, accuracy=0.9, sparsity=0.5)


def broken() -> Forgiving:
    """Raises where a descent is cut; a class of its own here, so that it travels to a process without this file."""

    class Broken(SweepJudge):
        def at_cut(self, number: int, points: Any) -> Verdict:
            raise ZeroDivisionError("no curve")

    return Forgiving(judge=Broken(axes=("macs_removed",), reduction=2))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def told_in_the_end(judge: RemoteJudge, patience_s: float = 60) -> str:
    """What the driver is told, as it hands over one record after the other."""
    began, number = time.monotonic(), 1
    while time.monotonic() - began < patience_s:
        try:
            if faults := judge.take(make_record(number, HALF)):
                return faults[0]
        except JudgeFailedError as fault:
            return str(fault)
        number += 1
        time.sleep(0.1)
    return "nothing"


def test_what_a_judge_raises_costs_that_judgement_alone_and_is_said_once() -> None:
    judge = broken()
    assert judge.take(make_record(0, HALF)) == ()
    assert judge.at_rung(0, 2, [HALF]).values == (pytest.approx(0.45),)
    assert [judge.at_cut(number, [HALF]) for number in (0, 1)] == [Verdict(), Verdict()]
    assert judge.take(make_record(1, HALF)) == ("ZeroDivisionError: no curve",)
    assert judge.take(make_record(2, HALF)) == ()
    assert judge.at_rung(1, 2, [HALF]).values, "others are judged"


def test_a_judge_that_raises_in_its_own_process_is_told_of_with_a_later_record(cluster: None) -> None:
    judge = remote_judge(broken())
    judge.take(make_record(0, HALF))
    assert judge.at_rung(0, 2, [HALF]).values == (pytest.approx(0.45),)
    assert judge.at_cut(0, [HALF]) == Verdict(), "the trial goes on"
    assert told_in_the_end(judge) == "ZeroDivisionError: no curve"


def test_a_judge_whose_process_dies_lets_trials_go_on_and_is_told_of(cluster: None) -> None:
    import ray

    judge = remote_judge(Forgiving(judge=SweepJudge(axes=("macs_removed",))))
    judge.take(make_record(0, HALF))
    assert judge.at_rung(0, 2, [HALF]).values
    ray.kill(judge.actor)
    began, number = time.monotonic(), 1
    while judge.at_rung(number, 2, [HALF]) != Verdict():  # the order to end may come after a question
        assert time.monotonic() - began < 60
        number += 1
    assert told_in_the_end(judge).startswith("its process died (")

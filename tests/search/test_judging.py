"""The sweep's judge: what it is told, what it remembers, what it answers."""

import threading
import time
from collections.abc import Sequence
from random import Random

import pytest

from sparsweep.search.judging import REMEMBERED, Forgiving, SweepJudge
from sparsweep.search.reach import Reach, out_of_reach
from sparsweep.spaces.constraint import Constraint
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import Rung
from tests.search.points import make_point
from tests.search.records import make_record

AXES = ("macs_removed",)


def probe(accuracy: float, removed: float = 0.5) -> list:
    return [make_point(accuracy=accuracy, sparsity=removed)]


def descent(number: int, *accuracies: float) -> list:
    """Cuts 00, 01, ... with a tenth more of the MACs removed each."""
    return [
        make_point(number, cut=f"{at:02d}", accuracy=accuracy, sparsity=0.1 * (at + 1))
        for at, accuracy in enumerate(accuracies)
    ]  # fmt: skip


def test_a_rung_is_judged_by_the_probes_hypervolume() -> None:
    judge = SweepJudge(axes=AXES)
    assert [judge.at_rung(n, 2, probe(a)).reason for n, a in enumerate((0.9, 0.8))] == [None, None]
    verdict = judge.at_rung(2, 2, probe(0.6))
    assert verdict.values == (pytest.approx(0.3),)
    assert verdict.reason == "stopped after 2 epochs: worth 0.3000, not among the best 1/3 of 3 that came so far"
    assert judge.at_rung(3, 6, probe(0.1)).reason is None, "another rung is another comparison"


def test_points_that_miss_a_constraint_are_worth_nothing_at_a_rung() -> None:
    judge = SweepJudge(axes=AXES, constraints=(Constraint.parse("sparsity >= 0.5"),))
    assert judge.at_rung(0, 2, probe(0.9, removed=0.4)).values == (0.0,)
    assert judge.at_rung(1, 2, probe(0.9, removed=0.5)).values == (pytest.approx(0.45),)


def test_what_is_asked_of_accuracy_is_not_asked_before_fine_tuning() -> None:
    """Otherwise all that come to a rung would be worth nothing, and the best as little as the rest."""
    judge = SweepJudge(axes=AXES, constraints=(Constraint.parse("accuracy >= 0.97"),))
    assert [judge.at_rung(n, 2, probe(a)).reason is None for n, a in enumerate((0.9, 0.8, 0.6))] == [True, True, False]


def test_a_trial_that_is_asked_about_again_counts_once() -> None:
    judge = SweepJudge(axes=AXES)
    for _ in range(3):
        assert judge.at_rung(0, 2, probe(0.5)).reason is None
    assert {epoch: came.values for epoch, came in judge.rungs.items()} == {2: {0: (pytest.approx(0.25),)}}


def test_records_bring_a_resumed_judge_to_where_it_was() -> None:
    judge, resumed = SweepJudge(axes=AXES), SweepJudge(axes=AXES)
    values = [judge.at_rung(n, 2, probe(a)).values for n, a in enumerate((0.9, 0.8, 0.3))]
    for number, each in enumerate(values):
        record = make_record(number, state="stopped", reason="why", rungs=(Rung(epoch=2, values=each),))
        resumed.take(record)
    assert resumed.rungs == judge.rungs
    assert resumed.at_rung(3, 2, probe(0.2)) == judge.at_rung(3, 2, probe(0.2))


def test_a_trial_that_failed_after_a_rung_is_one_of_those_that_came() -> None:
    """It was worth as much when it came; leaving it out would let worse ones on in its place."""
    judge = SweepJudge(axes=AXES, reduction=2)
    rungs = (Rung(epoch=2, values=(0.9,)),)
    judge.take(make_record(0, state="failed", reason="diverged", rungs=rungs))
    assert judge.at_rung(1, 2, probe(0.8)).reason is not None
    judge.take(make_record(1, state="failed", reason="diverged"))
    assert set(judge.rungs[2].values) == {0, 1}, "what came to no rung says nothing of one"


def test_where_a_trial_gives_one_point_it_is_judged_by_all_objectives() -> None:
    judge = SweepJudge(axes=AXES, single_point=True, reduction=2)
    assert judge.at_rung(0, 2, probe(0.9, 0.1)).values == (0.9, pytest.approx(0.1))
    assert judge.at_rung(1, 2, probe(0.1, 0.9)).reason is not None, "the net takes the most accurate first"
    assert judge.at_rung(2, 2, probe(0.95, 0.95)).reason is None
    assert judge.at_rung(3, 2, probe(0.05, 0.05)).reason is not None


def test_a_descent_ends_once_it_is_out_of_reach_of_the_front() -> None:
    """Four curves like .9 .8 .85 made the front; one that is at .3 where they are at .85 does not come back."""
    judge = SweepJudge(axes=AXES)
    for number in range(4):
        judge.take(make_record(number, *descent(number, 0.9, 0.8, 0.85)))
    assert judge.at_cut(4, descent(4, 0.9, 0.84)).reason is None, "level with what came back by .05"
    reason = judge.at_cut(6, descent(6, 0.8, 0.3)).reason
    assert reason == (
        "descent ended at cut 01: 0.5500 below the front, it could add at most 0.000000 to the hypervolume"
    )


def test_a_descent_along_the_front_ends_where_it_has_hardly_far_to_go() -> None:
    """Curves come back by .01; half of the way is worth .005, the last hundredth of it next to nothing."""
    judge = SweepJudge(axes=AXES)
    ends = [make_point(cut=f"{at:02d}", accuracy=a, sparsity=s) for at, (a, s) in enumerate(
        [(0.90, 0.5), (0.88, 0.9), (0.89, 0.99), (0.80, 0.997)]
    )]  # fmt: skip
    for number in range(2):
        judge.take(make_record(number, *(point.with_(trial=number) for point in ends)))
    way = [(0.90, 0.5), (0.80, 0.992)]
    along = [make_point(2, cut=f"{at:02d}", accuracy=a, sparsity=s) for at, (a, s) in enumerate(way)]
    assert judge.at_cut(2, along[:1]).reason is None
    reason = judge.at_cut(2, along).reason
    assert reason == "descent ended at cut 01: on the front, it could add at most 0.000070 to the hypervolume"
    beyond = make_point(2, cut="02", accuracy=0.1, sparsity=0.998)
    assert judge.at_cut(2, [*along, beyond]).reason is None, "nobody has removed as much"


def test_a_descent_goes_on_while_it_may_reach_the_front_in_one_axis() -> None:
    """The same points, but nobody has removed weights yet: in sparsity nothing is ahead of it."""
    judge = SweepJudge(axes=("macs_removed", "size_removed"))
    for number in range(4):
        curve = [point.with_(size_bytes=point.dense_size_bytes) for point in descent(number, 0.9, 0.8, 0.7)]
        judge.take(make_record(number, *curve))
    ahead = [point.with_(size_bytes=1) for point in descent(6, 0.8, 0.3)]
    assert judge.at_cut(6, ahead).reason is None


def test_descents_that_were_cut_short_do_not_tell_how_far_curves_come_back() -> None:
    judge = SweepJudge(axes=AXES)
    for number in range(4):
        judge.take(make_record(number, *descent(number, 0.9, 0.8, 0.7), state="done", reason="descent ended"))
    assert not judge.slacks
    assert judge.at_cut(6, descent(6, 0.8, 0.3)).reason is None


def test_a_setting_is_repeated_that_is_about_to_enter_the_front() -> None:
    judge = SweepJudge(axes=AXES)
    assert judge.worth_repeating(0, descent(0, 0.9, 0.8)), "the first"
    judge.take(make_record(0, *descent(0, 0.9, 0.8)))
    assert not judge.worth_repeating(1, descent(1, 0.9, 0.8)), "equal is not better"
    assert not judge.worth_repeating(1, descent(1, 0.85, 0.8))
    assert judge.worth_repeating(1, descent(1, 0.1, 0.81)), "one of its points is enough"
    assert judge.worth_repeating(1, [make_point(1, accuracy=0.1, sparsity=0.99)]), "and in any objective"


def test_what_misses_a_constraint_does_not_enter_the_front() -> None:
    judge = SweepJudge(axes=AXES, constraints=(Constraint.parse("accuracy >= 0.95"),))
    assert not judge.worth_repeating(0, descent(0, 0.9, 0.8))
    assert judge.worth_repeating(0, descent(0, 0.96, 0.8))


def test_a_trial_does_not_stand_in_its_own_way() -> None:
    """Its record may be known already: asked again after a driver's death."""
    judge = SweepJudge(axes=AXES)
    judge.take(make_record(0, *descent(0, 0.9, 0.8)))
    assert judge.worth_repeating(0, descent(0, 0.9, 0.8))


def test_a_slack_that_is_remembered_is_the_one_reckoned_anew() -> None:
    """Curves end, the front moves, descents are cut, in any order: the judge decides as the pure rule does."""
    chance, judge, reach = Random(3), SweepJudge(axes=("macs_removed",)), Reach()
    whole: list[list[tuple[float, float]]] = []
    stopped = []
    for number in range(200):
        points = descent(number, *(min(0.4 + 0.002 * number + chance.uniform(-0.3, 0.1), 1) for _ in range(6)))
        curve = [(point.macs_removed, point.accuracy) for point in points]
        reach.take(curve[:3])
        verdict = [judge.at_cut(number, points[:cuts]) for cuts in (1, 2, 3)][-1]
        assert (verdict.reason is not None) is out_of_reach(reach, curve[2], whole[-REMEMBERED:])
        stopped.append(verdict.reason is not None)
        if number % 3:
            reach.take(curve)
            judge.take(make_record(number, *points))
            whole.append(curve)
    assert 0 < sum(stopped) < 200


def test_a_judge_is_handed_over_between_two_answers() -> None:
    """It is copied then: not while one who is asked changes what it remembers."""
    asked, answer, order = threading.Event(), threading.Event(), []

    class Slow(SweepJudge):
        def worth_repeating(self, number: int, points: Sequence[Point]) -> bool:
            asked.set()
            answer.wait(10)
            order.append("answered")
            return True

    judge = Forgiving(judge=Slow(axes=AXES))
    trial = threading.Thread(target=lambda: judge.worth_repeating(0, probe(0.9)))
    trial.start()
    assert asked.wait(10)
    driver = threading.Thread(target=lambda: judge.handed_over(lambda mine: order.append(f"handed over: {mine.axes}")))
    driver.start()
    time.sleep(0.1)
    answer.set()
    trial.join()
    driver.join()
    assert order == ["answered", f"handed over: {AXES}"]

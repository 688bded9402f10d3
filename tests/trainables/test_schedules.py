"""How much each cut takes: each schedule by hand, and in a trial."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from sparsweep.trainables.attempt import Attempt, run_trial
from sparsweep.trainables.descent import NEAR, Descent
from sparsweep.trainables.options import ALLOWED
from sparsweep.trainables.record import TrialFolder, TrialRecord
from sparsweep.trainables.schedules import (
    CUT_SCHEDULES,
    KNOTS,
    adapted_keeps,
    descent_keeps,
    macs_keeps,
    macs_shares,
    most_within,
    score_keeps,
)
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks import NETWORKS, Task
from sparsweep.trainables.tasks.networks import Network
from sparsweep.trainables.trial import PROBES, Trial
from tests.trainables.nets import Residual, plan, scores_of


def test_a_descent_is_geometric_and_ends_at_its_last() -> None:
    assert descent_keeps(100, cuts=4, last=5) == [47, 22, 11, 5]
    assert descent_keeps(170, cuts=16, last=7)[-1] == 7
    assert descent_keeps(10, cuts=1, last=3) == [3]


def test_each_cut_removes_something_as_long_as_there_is_room() -> None:
    assert descent_keeps(20, cuts=16, last=3) == [18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    assert descent_keeps(4, cuts=5, last=2) == [3, 2]
    assert descent_keeps(4, cuts=2, last=4) == []


# macs ---------------------------------------------------------------------------------------------------------------


def test_multiply_adds_fall_by_the_same_ratio() -> None:
    assert macs_keeps(100, lambda keep: keep**2, cuts=2, last=4) == [20, 4], "10,000, 400, 16"
    assert macs_keeps(100, lambda keep: keep, cuts=2, last=4) == descent_keeps(100, cuts=2, last=4)
    keeps = macs_keeps(170, lambda keep: keep**2 + 300 * keep, cuts=6, last=7)
    macs = [keep**2 + 300 * keep for keep in (170, *keeps)]
    assert [after / before for before, after in pairwise(macs)] == pytest.approx(
        [(macs[-1] / macs[0]) ** (1 / 6)] * 6, rel=0.06
    )


def test_where_counts_cost_nothing_few_cuts_are_spent() -> None:
    def macs(keep: int) -> int:
        return 1000 if keep >= 50 else 20 * keep

    assert macs_keeps(100, macs, cuts=3, last=5)[0] < 50, "half of the groups are no multiply-adds"
    assert macs_keeps(100, lambda keep: 1000, cuts=3, last=5) == descent_keeps(100, cuts=3, last=5)


def test_multiply_adds_that_rise_on_the_way_down_are_taken_as_flat() -> None:
    keeps = macs_keeps(100, lambda keep: 1000 + 100 * (keep % 2) if keep > 30 else keep, cuts=4, last=5)
    assert len(keeps) == 4
    assert keeps[-1] == 5
    assert all(a > b for a, b in pairwise([100, *keeps]))


def test_a_network_is_counted_at_few_places() -> None:
    asked: list[int] = []
    macs_keeps(10_000, lambda keep: asked.append(keep) or keep, cuts=40, last=100)  # type: ignore[func-returns-value]
    assert len(asked) == KNOTS + 1


# scores -------------------------------------------------------------------------------------------------------------


def everything(scores: Any) -> dict[str, torch.Tensor]:
    return {name: torch.ones_like(values, dtype=torch.bool) for name, values in scores.values.items()}


def test_a_cut_falls_into_the_gaps_of_the_scores() -> None:
    scores = scores_of(a=[1, 1.1, 1.2, 5, 5.1, 9, 9.2, 9.4])  # thresholds 3.7, 6.5, and 9.2, which leaves one
    for balance in ("none", "mean", "auto"):
        assert score_keeps(scores, everything(scores), cuts=3, last=1, balance=balance) == [5, 3, 1]


def test_a_step_without_a_score_takes_one() -> None:
    scores = scores_of(a=[0, 0, 0, 0, 0, 0, 0, 7, 8, 9, 10])  # thresholds 2.25, 4.5, 6.75, 9: 4, 4, 4 and 1 are above
    assert score_keeps(scores, everything(scores), cuts=4, last=1, balance="none") == [4, 3, 2, 1]


def test_only_what_is_alive_counts_and_layers_are_measured_by_their_own_mean() -> None:
    scores = scores_of(a=[1, 2, 3, 4], b=[10, 20, 30, 40])
    whole = everything(scores)
    assert score_keeps(scores, whole, cuts=3, last=2) == [6, 4, 2], "both layers alike: .4, .8, 1.2 of the mean go"
    assert score_keeps(scores, whole, cuts=3, last=2, balance="none") == [4, 3, 2], "thresholds 7.3, 13.7, 20"
    alive = {"a": torch.tensor([False, True, True, True]), "b": torch.tensor([True, True, False, False])}
    assert score_keeps(scores, alive, cuts=2, last=1) == [2, 1], "of .8, 1.2, 1.6 and .4, .8 two are above .8"


def test_equal_scores_tell_nothing() -> None:
    scores = scores_of(a=[3.0] * 50, b=[1.0] * 50)
    assert score_keeps(scores, everything(scores), cuts=4, last=5) == descent_keeps(100, cuts=4, last=5)


# adaptive -----------------------------------------------------------------------------------------------------------


def test_an_adaptive_descent_begins_with_long_steps() -> None:
    assert descent_keeps(100, cuts=4, last=5) == [47, 22, 11, 5]
    assert adapted_keeps(100, [47, 22, 11, 5], fall=0.0) == [22, 13, 8, 5], "half of the way at once, the rest even"


@pytest.mark.parametrize(("fall", "following"), [(-0.5, 61), (0.0, 61), (0.005, 61), (0.01, 78), (0.02, 88), (1.0, 88)])
def test_the_next_step_is_as_long_as_the_last_one_was_cheap(fall: float, following: int) -> None:
    ahead = descent_keeps(100, cuts=12, last=5)
    ahead = adapted_keeps(100, ahead, fall)
    assert ahead[0] == following
    assert ahead[1:] == descent_keeps(following, cuts=11, last=5)


def test_the_last_cut_goes_to_the_end_whatever_fell() -> None:
    assert adapted_keeps(47, [5], fall=1.0) == [5]
    assert adapted_keeps(47, [], fall=0.0) == []
    assert adapted_keeps(7, [6, 5], fall=0.0) == [6, 5], "room for both"


@pytest.mark.parametrize("falls", [[0.0] * 16, [1.0] * 16, [0.0] * 6 + [0.1] * 10, [0.1, 0.0] * 8])
def test_there_are_never_more_cuts_and_each_takes_something(falls: list[float]) -> None:
    now, ahead, made = 170, descent_keeps(170, cuts=16, last=7), []
    for fall in falls:
        ahead = adapted_keeps(now, ahead, fall)
        now, ahead = ahead[0], ahead[1:]
        made.append(now)
    assert ahead == []
    assert made[-1] == 7
    assert all(a > b for a, b in pairwise([170, *made]))


# named shares -------------------------------------------------------------------------------------------------------


def test_as_much_is_left_as_a_limit_allows() -> None:
    def squared(keep: int) -> int:
        return keep * keep

    assert [most_within(squared, limit, below=100, last=4) for limit in (36, 48, 49, 1)] == [6, 6, 7, 4]
    assert most_within(squared, 10**6, below=100, last=4) == 99, "each cut leaves less than the one before"
    assert most_within(squared, 10**6, below=4, last=4) == 4


def test_shares_are_read_from_a_text() -> None:
    assert macs_shares("0.25,0.1 , .05") == (0.25, 0.1, 0.05)
    assert macs_shares("") == ()


@pytest.mark.parametrize("text", ["1.0", ",", "0", "0.1, 0.2", "0.1, 0.1", "half", "-0.1", "nan", "0.5; 0.2"])
def test_what_are_no_falling_shares_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"shares between|could not convert"):
        macs_shares(text)
    assert text not in ALLOWED["macs_shares"]


# All of them --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [1, 2, 16])
@pytest.mark.parametrize(("total", "last"), [(20, 3), (4, 3), (5, 1)])
def test_every_schedule_falls_strictly_to_the_same_end(total: int, last: int, cuts: int) -> None:
    scores = scores_of(a=[float(at * at) for at in range(total)])
    geometric = descent_keeps(total, cuts=cuts, last=last)
    for keeps in (
        geometric, macs_keeps(total, lambda keep: keep**2, cuts=cuts, last=last),
        score_keeps(scores, everything(scores), cuts=cuts, last=last), adapted_keeps(total, geometric, fall=0.0),
    ):  # fmt: skip
        assert len(keeps) == len(geometric)
        assert keeps[-1] == last
        assert all(a > b for a, b in pairwise([total, *keeps]))


def test_nothing_to_cut_is_no_cut() -> None:
    scores = scores_of(a=[1, 2, 3])
    assert macs_keeps(3, lambda keep: keep, cuts=4, last=3) == []
    assert score_keeps(scores, everything(scores), cuts=4, last=3) == []
    assert score_keeps(scores_of(), {}, cuts=4, last=0) == []


def test_a_word_that_is_no_schedule_is_refused() -> None:
    assert all(name in ALLOWED["cut_schedule"] for name in CUT_SCHEDULES)
    assert "linear" not in ALLOWED["cut_schedule"]


# In a trial ---------------------------------------------------------------------------------------------------------

WAYS = {"epochs": 1, "cuts": 3, "finetune_epochs": 1, "further_descents": "weight"}


def figures(record: TrialRecord) -> list[Any]:
    return [(p.cut, p.accuracy, p.macs, p.weights_left, p.threshold) for p in record.points]


@pytest.mark.parametrize(
    "planned",
    [
        *({"cut_schedule": name} for name in CUT_SCHEDULES if name != "geometric"),
        {"macs_shares": "0.5, 0.2, 0.1", "last_finetune_epochs": 2},
    ],
    ids=lambda planned: next(iter(planned.values())),
)
def test_a_trial_interrupted_anywhere_goes_on_to_the_same_bits(planned: dict[str, Any], tmp_path: Path) -> None:
    given = plan(fixed={**WAYS, **planned})
    whole = run_trial(given, TrialFolder(tmp_path / "whole"), debug=True)
    assert [p.cut for p in whole.points[2:]] == [f"{way}0{at}" for way in ("", "weight-") for at in range(3)]
    folder = TrialFolder(tmp_path / "interrupted")
    for way, done in (("", 1), ("", 2), ("weight", 1)):
        attempt = Attempt.begin(given, folder)
        assert attempt.run(until=lambda trial, way=way, done=done: (trial.descent.way.name, trial.done) == (way, done))  # type: ignore[misc]
        attempt.save()
    last = Attempt.begin(given, folder)
    last.run()
    assert figures(last.commit()) == figures(whole)


def descended(tmp_path: Path, **fixed: Any) -> Trial:
    trial = Trial.start(plan(fixed={"epochs": 2, "finetune_epochs": 0, **fixed}), tmp_path)
    while trial.advance():
        pass
    return trial


def test_multiply_adds_of_a_trial_fall_evenly(tmp_path: Path) -> None:
    trial = descended(tmp_path, cuts=6, cut_schedule="macs", further_descents="weight")
    executed = [point.macs for point in trial.points if point.cut.isdigit()]
    ratios = [after / before for before, after in pairwise(executed)]
    assert max(ratios) / min(ratios) < 1.35, "whole channels are coarse at the end"
    ideal = [point.macs_ideal for point in trial.points if point.cut.startswith("weight-")]
    ratios = [after / before for before, after in pairwise(ideal)]
    assert max(ratios) / min(ratios) < 1.1


def test_an_adaptive_descent_follows_the_accuracy_of_its_own_points(tmp_path: Path) -> None:
    trial = descended(tmp_path, cuts=6, cut_schedule="adaptive")
    points = [point for point in trial.points if point.cut.isdigit()]
    accuracies = [trial.epochs[-1].accuracy, *(point.accuracy for point in points)]
    falls = [0.0, *(before - after for before, after in pairwise(accuracies))]
    now, ahead = 170, descent_keeps(170, cuts=6, last=7)
    for point, fall in zip(points, falls, strict=False):
        now, *ahead = adapted_keeps(now, ahead, fall)
        assert sum(point.widths[:-1]) == now
    assert now == 7


@pytest.mark.parametrize("schedule", CUT_SCHEDULES)
def test_every_schedule_serves_inputs_and_coupled_filters(
    schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(build=Residual, example_shape=(1, 8, 8), about="")
    monkeypatch.setitem(NETWORKS, "residual", network)  # type: ignore[arg-type]
    fixed = {"epochs": 1, "cuts": 4, "finetune_epochs": 0, "cut_schedule": schedule, "channel_multiple": 4}
    given = plan(method="magnitude", granularity="filter", final_sparsity=0.0)
    given = replace(given, task=Task(network="residual", data="digits"), fixed={**fixed, "further_descents": "input"})
    trial = Trial.start(given, tmp_path)
    while trial.advance():
        pass
    assert [point.cut for point in trial.points[1:]] == [f"{way}0{at}" for way in ("", "input-") for at in range(4)]
    for point in trial.points:
        _, stem, inner, outer = point.widths
        assert stem == outer
        assert point.cut.startswith(("own", "input")) or stem % 4 == inner % 4 == 0


def test_probes_are_geometric_whatever_the_schedule(tmp_path: Path) -> None:
    probes = []
    for at, schedule in enumerate(("geometric", "macs")):
        (tmp_path / str(at)).mkdir()
        trial = Trial.start(plan(fixed={"epochs": 2, "cut_schedule": schedule, "regrowth": at / 2}), tmp_path / str(at))
        trial.advance()
        probes.append([(point.cut, point.macs, point.accuracy) for point in trial.probe()])
    assert probes[0] == probes[1]
    assert len(probes[0]) == 1 + PROBES


def test_every_cut_comes_within_its_share_and_takes_no_more_than_that(tmp_path: Path) -> None:
    shares = (0.6, 0.3, 0.1)
    trial = descended(
        tmp_path, finetune_epochs=1, macs_shares="0.6, 0.3, 0.1", further_descents="weight", cut_schedule="adaptive"
    )
    dense = trial.dense.macs.total
    filters = [point for point in trial.points if point.cut.isdigit()]
    weights = [point for point in trial.points if point.cut.startswith("weight-")]
    assert trial.descent.steps == [0, 1, 2]
    assert [point.cut for point in (*filters, *weights)] == ["00", "01", "02", "weight-00", "weight-01", "weight-02"]
    for point, share in zip(filters, shares, strict=True):
        assert 0.98 * share * dense < point.macs <= share * dense, "what is left of a share is filled with what fits"
    for point, share in zip(weights, shares, strict=True):
        assert 0.99 * share * dense < point.macs_ideal <= share * dense


def test_a_share_is_filled_in_multiples_where_widths_are_to_be_such(tmp_path: Path) -> None:
    trial = descended(tmp_path, finetune_epochs=0, macs_shares="0.6, 0.3, 0.1", channel_multiple=4)
    cuts = [point for point in trial.points if point.cut.isdigit()]
    assert [point.cut for point in cuts] == ["00", "01", "02"]
    for point, share in zip(cuts, (0.6, 0.3, 0.1), strict=True):
        assert 0.8 * share < point.macs / point.dense_macs <= share
        assert all(width % 4 == 0 for width in point.widths[:-1]), point.widths


@pytest.mark.parametrize("multiple", [1, 4])
def test_what_a_limit_leaves_is_filled_whatever_the_scores_costs_and_ties(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, multiple: int
) -> None:
    trial, chance = Trial.start(plan(fixed={"channel_multiple": multiple}), tmp_path), Random(0)
    filled_up = 0
    for _ in range(150):
        sizes = [4 * chance.randint(1, 6) for _ in range(chance.randint(1, 4))]
        names = [str(at) for at in range(len(sizes))]
        scores = Scores(
            granularity="filter", own={}, threshold=0.0,
            values={n: torch.tensor([chance.random() for _ in range(s)]) for n, s in zip(names, sizes, strict=True)},
        )  # fmt: skip
        tied = len(sizes) > 1 and sizes[0] == sizes[1] and multiple == 1
        ties = {name: torch.arange(sizes[0]) for name in names[:2]} if tied else {}
        costs = {name: chance.randint(1, 40) for name in names}
        monkeypatch.setattr(Descent, "_ties", lambda self, scores, ties=ties: ties)
        monkeypatch.setattr(
            Descent, "_executed",
            lambda self, net, scores, left, costs=costs: sum(costs[n] * int(m.sum()) for n, m in left.items()),
        )  # fmt: skip
        descent = Descent(ground=trial.descent.ground)
        descent.alive = {name: torch.ones(size, dtype=torch.bool) for name, size in zip(names, sizes, strict=True)}
        total = descent._executed(trial.net, scores, descent.alive)
        limit = round(total * chance.uniform(0.1, 1.0))
        keep = most_within(
            lambda count, descent=descent, scores=scores: descent._foretold(trial.net, scores, count),
            limit, below=sum(sizes), last=len(sizes),
        )  # fmt: skip
        first, _ = descent.survivors(scores, keep, descent.alive)
        if (before := descent._executed(trial.net, scores, first)) > limit:
            continue  # not even the least of every layer fits
        left = descent._filled(trial.net, scores, first, keep, limit)
        assert all(bool((left[name] | ~there).all()) for name, there in first.items()), "what was kept stays"
        after = descent._executed(trial.net, scores, left)
        assert before <= after <= limit
        filled_up += after > before
        steps = {n: multiple * costs[n] for n in names if int(left[n].sum()) < len(left[n]) and n not in ties}
        assert after >= NEAR * limit or all(after + step > limit for step in steps.values()), "nothing more fits"
        assert all(int(there.sum()) % multiple == 0 for there in left.values())
    assert filled_up >= 20


def test_shares_that_ask_for_nothing_or_too_much_are_left_out(tmp_path: Path) -> None:
    trial = descended(tmp_path, descent_from="own", macs_shares="0.9999, 0.4, 0.0001")
    own, *cuts = [point for point in trial.points if point.cut not in ("own-tuned",)]
    assert own.macs < 0.9999 * trial.dense.macs.total
    assert [point.cut for point in cuts] == ["01"], "a share has its number in every training"


def test_shares_above_the_own_cut_are_left_out_below_it(tmp_path: Path) -> None:
    shares = "0.9, 0.7, 0.5, 0.3, 0.1"
    for folder in ("trained", "below_own"):
        (tmp_path / folder).mkdir()
    trained = descended(tmp_path / "trained", macs_shares=shares)
    below = descended(tmp_path / "below_own", macs_shares=shares, descent_from="below_own")
    assert {point.cut for point in below.points} < {point.cut for point in trained.points}
    assert below.points[-1].cut == trained.points[-1].cut == "04", "a share keeps its number"
    assert below.points[-1].macs <= 0.1 * below.dense.macs.total


def test_fine_tuning_grows_from_cut_to_cut(tmp_path: Path) -> None:
    trial = descended(tmp_path, cuts=3, finetune_epochs=1, last_finetune_epochs=4, further_descents="weight")
    assert sum(epoch.phase == "finetune" for epoch in trial.epochs) == 1 + 2 * (1 + 2 + 4)
    assert trial.options.tuned_after(0, 1) == 4, "the only one is the last one"
    options = replace(trial.options, finetune_epochs=0)
    assert [options.tuned_after(at, 3) for at in range(3)] == [0, 0, 0], "without fine-tuning there is none to grow"
    shorter = replace(trial.options, finetune_epochs=8, last_finetune_epochs=2)
    assert [shorter.tuned_after(at, 3) for at in range(3)] == [8, 4, 2]

"""A trial that is judged while it works: probing changes nothing of it, and it ends where it is told to."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsweep.trainables.attempt import Attempt, run_trial
from sparsweep.trainables.judgement import Verdict
from sparsweep.trainables.methods import METHODS
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import Rung, TrialFolder, TrialRecord
from sparsweep.trainables.trial import PROBES, Trial, TrialPlan
from tests.trainables.nets import plan


class Scripted:
    """Judges as it is told to, and keeps what it was asked."""

    def __init__(self, *, ends_at_epoch: int = 0, ends_at_cut: str = "") -> None:
        self.ends_at_epoch, self.ends_at_cut = ends_at_epoch, ends_at_cut
        self.probes: dict[int, Sequence[Point]] = {}
        self.cuts: list[str] = []

    def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
        self.probes[epoch] = probe
        return Verdict(values=(0.5,), reason="not worth it" if epoch == self.ends_at_epoch else None)

    def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
        self.cuts.append(points[-1].cut)
        return Verdict(reason="out of reach" if points[-1].cut == self.ends_at_cut else None)


def judged(**more: Any) -> TrialPlan:
    fixed = {"epochs": 3, "cuts": 3, "finetune_epochs": 1, **more.pop("fixed", {})}
    return replace(plan(fixed=fixed, **more), rungs=(1, 2), judged_on_the_way=True)


def figures(record: TrialRecord) -> list[Any]:
    return [(p.cut, p.accuracy, p.macs, p.weights_left) for p in record.points]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_probing_changes_nothing_of_the_trial(method: str, tmp_path: Path) -> None:
    given = {"fixed": {"epochs": 2, "cuts": 2}, "method": method}
    if method in ("anp",):
        given["granularity"] = "filter"
    trials = []
    for name in ("left alone", "probed"):
        (tmp_path / name).mkdir()
        trials.append(Trial.start(plan(**given), tmp_path / name))
        assert trials[-1].advance()
    before = torch.get_rng_state()
    found = trials[1].probe()
    assert torch.equal(torch.get_rng_state(), before)
    assert trials[1].points == []
    assert not list(trials[1].folder.iterdir()), "nothing of a probe is kept"
    assert all(0 <= point.accuracy <= 1 and point.network is None for point in found)
    if trials[1].method.descends:
        assert [point.cut for point in found] == ["own", *(f"{at:02d}" for at in range(PROBES))]
        assert found[-1].sparsity > found[1].sparsity
    states = []
    for trial in trials:
        torch.set_rng_state(before)
        assert trial.advance()
        states.append(trial.net.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("more", [{}, {"cut_schedule": "adaptive", "regrowth": 0.5}])
def test_a_judge_that_lets_it_go_on_changes_no_figure(more: dict[str, Any], tmp_path: Path) -> None:
    judge = Scripted()
    asked = run_trial(judged(fixed=more), TrialFolder(tmp_path / "asked"), debug=True, judge=judge)
    alone = run_trial(judged(fixed=more), TrialFolder(tmp_path / "alone"), debug=True)
    assert figures(asked) == figures(alone)
    assert (asked.state, asked.reason, asked.rungs) == (
        "done", None, (Rung(epoch=1, values=(0.5,)), Rung(epoch=2, values=(0.5,))),
    )  # fmt: skip
    assert alone.rungs == (), "a trial without a judge was judged by nothing"
    assert (sorted(judge.probes), judge.cuts) == ([1, 2], ["00", "01"]), "after the last cut there is nothing to judge"
    assert asked.seconds["judged"] > 0


def test_stopped_at_a_rung_it_has_no_points_and_a_reason(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "00000")
    record = run_trial(judged(), folder, debug=True, judge=Scripted(ends_at_epoch=2))
    assert (record.state, record.reason, record.points) == ("stopped", "not worth it", ())
    assert [epoch.step for epoch in record.epochs] == [1, 2]
    assert folder.record() == record, "it is committed, rungs and all"


def test_a_descent_that_ends_early_keeps_its_points(tmp_path: Path) -> None:
    record = run_trial(judged(), TrialFolder(tmp_path / "00000"), debug=True, judge=Scripted(ends_at_cut="00"))
    assert (record.state, record.reason) == ("done", "out of reach")
    assert [point.cut for point in record.points] == ["own", "own-tuned", "00"]


def test_an_interrupted_trial_is_not_judged_twice_at_one_rung(tmp_path: Path) -> None:
    folder, judge = TrialFolder(tmp_path / "00000"), Scripted()
    first = Attempt.begin(judged(), folder)
    assert first.run(until=lambda trial: trial.done == 1, judge=judge)
    first.save()
    again = Scripted()
    second = Attempt.begin(judged(), folder)
    second.run(judge=again)
    record = second.commit()
    assert (sorted(judge.probes), sorted(again.probes)) == ([1], [2])
    assert [rung.epoch for rung in record.rungs] == [1, 2]


def test_a_trial_that_was_told_to_go_just_when_it_was_stopped_stays_stopped(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "00000")
    first = Attempt.begin(judged(), folder)
    assert not first.run(judge=Scripted(ends_at_epoch=1))
    first.save()
    second = Attempt.begin(judged(), folder)
    assert not second.run()
    assert second.commit().state == "stopped"

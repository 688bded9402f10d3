"""A descent that sets out from the method's own cut: within it, to the same bits after an interruption."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsweep.trainables import descent as descent_module
from sparsweep.trainables.attempt import Attempt, run_trial
from sparsweep.trainables.descent import HARDLY_LESS
from sparsweep.trainables.groups import masks_of
from sparsweep.trainables.options import ALLOWED, TrialOptions
from sparsweep.trainables.record import TrialFolder
from sparsweep.trainables.schedules import adapted_keeps
from sparsweep.trainables.trial import Trial, TrialPlan
from tests.trainables.nets import plan

FIXED = {"epochs": 1, "cuts": 3, "finetune_epochs": 1, "descent_from": "own"}
HALF = 0.01
"""A threshold that about half of the weights are above after an epoch on digits."""
HALF_OF_FILTERS = 0.3
"""The same of the filters' norms."""


def given(**fixed: Any) -> TrialPlan:
    return plan(granularity="weight", threshold=HALF, sparsity_strength=1e-4, fixed={**FIXED, **fixed})


def figures(points: Any) -> list[Any]:
    return [(p.cut, p.accuracy, p.macs, p.weights_left, p.threshold) for p in points]


def finished(wanted: TrialPlan, folder: Path) -> Trial:
    folder.mkdir()
    trial = Trial.start(wanted, folder)
    while trial.advance():
        pass
    return trial


def test_from_the_trained_network_unless_it_is_said() -> None:
    assert TrialOptions.from_row({}, {}).descent_from == "trained"
    assert all(word in ALLOWED["descent_from"] for word in ("trained", "below_own", "own"))
    assert "tuned" not in ALLOWED["descent_from"]


def test_every_cut_lies_within_the_own_cut(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    trial = Trial.start(given(further_descents="filter"), folder)
    while trial.phase != "descend":
        trial.advance()
    own = {name: mask.bool().clone() for name, mask in masks_of(trial.net).items()}
    left = sum(int(mask.sum()) for mask in own.values())
    assert 0 < left < sum(mask.numel() for mask in own.values())
    steps = 0
    while trial.advance():
        masks = masks_of(trial.net)
        assert all(bool((own[name] | ~masks[name].bool()).all()) for name in own)
        steps += 1
    assert steps >= 5, "both ways down"
    cuts = {point.cut: point.weights_left for point in trial.points}
    assert cuts["own-tuned"] == left
    assert left > cuts["00"] > cuts["01"] > cuts["02"]
    assert left > cuts["filter-00"]


def test_the_own_cut_is_what_it_is_without(tmp_path: Path) -> None:
    own = finished(given(last_share=0.9), tmp_path / "own")
    trained = finished(given(last_share=0.9, descent_from="trained"), tmp_path / "trained")
    assert figures(own.points[:2]) == figures(trained.points[:2])
    assert trained.points[-1].weights_left > own.points[1].weights_left, "what the own cut took is there again"
    assert len(own.points) == 2, "it has less than the last cut keeps"


@pytest.mark.parametrize(
    ("granularity", "threshold"),
    [("weight", HALF), ("filter", HALF_OF_FILTERS), ("weight", 1e-9), ("weight", 1e3), ("filter", 1e3)],
)
def test_below_the_own_cut_is_the_way_down_from_the_trained_network_without_its_beginning(
    granularity: str, threshold: float, tmp_path: Path
) -> None:
    other = {"weight": "filter", "filter": "weight"}[granularity]
    macs = {}
    for start in ("trained", "below_own"):
        wanted = given(descent_from=start, cuts=6, last_share=0.02, finetune_epochs=0, further_descents=other)
        setting = {**wanted.setting, "threshold": threshold, "granularity": granularity}
        trial = finished(replace(wanted, setting=setting), tmp_path / start)
        macs[start] = {point.cut: point.macs_ideal for point in trial.points}
    own = macs["trained"]["own"]
    whole = [each for name, each in macs["trained"].items() if name.isdigit()]
    below = [each for name, each in macs["below_own"].items() if name.isdigit()]
    assert below == ([each for each in whole if each <= HARDLY_LESS * own] or whole)
    assert macs["below_own"][f"{other}-00"] == macs["trained"][f"{other}-00"], "other ways have no own cut"
    assert (len(below) < len(whole)) == (1e-9 < threshold < 1e3), "where all or nothing is left, all stay"


def test_an_interrupted_trial_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    wanted = given(cut_schedule="adaptive", distillation=0.5, further_descents="filter")
    whole = run_trial(wanted, TrialFolder(tmp_path / "whole"), debug=True)
    folder = TrialFolder(tmp_path / "interrupted")
    for way, done in (("", 0), ("", 2), ("filter", 1)):
        attempt = Attempt.begin(wanted, folder)
        assert attempt.run(
            until=lambda t, way=way, done=done: (t.phase, t.descent.way.name, t.done) == ("descend", way, done)  # type: ignore[misc]
        )
        attempt.save()
    last = Attempt.begin(wanted, folder)
    last.run()
    assert figures(last.commit().points) == figures(whole.points)


def test_fine_tuning_learns_from_the_network_before_anything_was_cut(tmp_path: Path) -> None:
    trial = finished(given(distillation=0.5), tmp_path / "distilled")
    assert trial.teacher is not None
    taught = trial.teacher.net.state_dict()
    assert all(torch.equal(tensor, taught[name]) for name, tensor in trial.trained.items())


@pytest.mark.parametrize(("tuned", "own"), [(1, "own-tuned"), (0, "own")])
def test_an_adaptive_descent_weighs_its_first_cut_against_the_own_one(
    tuned: int, own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falls: list[float] = []

    def noted(keep: int, later: list[int], *, fall: float) -> list[int]:
        falls.append(fall)
        return adapted_keeps(keep, later, fall=fall)

    monkeypatch.setattr(descent_module, "adapted_keeps", noted)
    trial = finished(given(cut_schedule="adaptive", finetune_epochs=tuned), tmp_path / "adaptive")
    accuracy = {point.cut: point.accuracy for point in trial.points}
    assert falls[:2] == [0.0, accuracy[own] - accuracy["00"]]
    assert falls[2] == accuracy["00"] - accuracy["01"]


def test_an_own_cut_that_leaves_nothing_to_cut_ends_the_trial(tmp_path: Path) -> None:
    wanted = plan(granularity="filter", threshold=1e3, fixed=FIXED)
    assert [point.cut for point in finished(wanted, tmp_path / "nothing").points] == ["own", "own-tuned"]

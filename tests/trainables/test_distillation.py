"""Learning from the uncut network: the loss by hand, and who the teacher is."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from sparsweep.trainables.attempt import Attempt, run_trial
from sparsweep.trainables.record import TrialFolder
from sparsweep.trainables.training import Teacher
from sparsweep.trainables.trial import Trial
from tests.trainables.nets import plan

THREE_TO_ONE = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
"""Divergence of (1/2, 1/2) from (3/4, 1/4): .1308."""
DISTILLED = {"epochs": 1, "cuts": 2, "distillation": 0.5, "finetune_epochs": 1}


def teacher(share: float = 0.5, temperature: float = 1.0, *, of_classes: bool = True) -> Teacher:
    return Teacher(net=nn.Identity(), share=share, temperature=temperature, of_classes=of_classes)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_divergence_of_softened_outputs(temperature: float) -> None:
    wanted = torch.tensor([[temperature * math.log(3), 0.0]]).repeat(4, 1)
    found = teacher(temperature=temperature).distance(torch.zeros(4, 2), wanted)
    assert float(found) == pytest.approx(temperature**2 * THREE_TO_ONE, rel=1e-5)


def test_nothing_is_to_be_learnt_where_outputs_agree() -> None:
    outputs = torch.randn(5, 3)
    assert float(teacher().distance(outputs, outputs + 7)) == pytest.approx(0, abs=1e-6), "logits may be shifted"


def test_outputs_that_are_no_classes_are_compared_as_they_are() -> None:
    assert float(teacher(of_classes=False).distance(torch.zeros(2, 1), torch.full((2, 1), 3.0))) == 9.0


@pytest.mark.parametrize(("share", "expected"), [(0.25, 0.75 * 2 + 0.25 * THREE_TO_ONE), (1.0, THREE_TO_ONE)])
def test_the_teachers_share_of_the_loss(share: float, expected: float) -> None:
    inputs = torch.tensor([[math.log(3), 0.0]])
    mixed = teacher(share).mixed(torch.tensor(2.0), torch.zeros(1, 2), inputs)
    assert float(mixed) == pytest.approx(expected, rel=1e-5)


def test_the_teacher_is_the_network_before_anything_was_cut(tmp_path: Path) -> None:
    trial = Trial.start(plan(fixed=DISTILLED), tmp_path)
    while trial.phase == "train":
        trial.advance()
    before = {name: weight.clone() for name, weight in trial.net.state_dict().items()}
    while trial.advance():
        pass
    assert trial.uncut is not None
    taught = trial.uncut.state_dict()
    assert all(torch.equal(taught[name], before[name]) for name in taught)
    assert not all(torch.equal(trial.net.state_dict()[name], before[name]) for name in taught)


def test_it_changes_what_is_learnt_and_an_interrupted_trial_learns_the_same(tmp_path: Path) -> None:
    whole = run_trial(plan(fixed=DISTILLED), TrialFolder(tmp_path / "whole"), debug=True)
    without = run_trial(plan(fixed={**DISTILLED, "distillation": 0.0}), TrialFolder(tmp_path / "without"), debug=True)
    assert [e.loss for e in whole.epochs[1:]] != [e.loss for e in without.epochs[1:]]
    folder = TrialFolder(tmp_path / "interrupted")
    first = Attempt.begin(plan(fixed=DISTILLED), folder)
    first.run(until=lambda trial: trial.phase == "descend" and trial.done == 1)
    first.save()
    second = Attempt.begin(plan(fixed=DISTILLED), folder)
    second.run()
    assert [e.loss for e in second.commit().epochs] == [e.loss for e in whole.epochs]

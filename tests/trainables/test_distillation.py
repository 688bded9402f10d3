"""Learning from the uncut network: the loss by hand, and who the teacher is."""

import math
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from sparsweep.trainables import teacher as teachers
from sparsweep.trainables.attempt import Attempt, run_trial
from sparsweep.trainables.record import TrialFolder
from sparsweep.trainables.tasks.split import Split
from sparsweep.trainables.tasks.streamed import StreamedSplit
from sparsweep.trainables.teacher import Shown, Teacher, answers_in_advance
from sparsweep.trainables.training import optimizer_of, train_epoch
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
    shown = Shown(inputs=torch.tensor([[math.log(3), 0.0]]), examples=torch.tensor([0]), variants=torch.tensor([0]))
    mixed = teacher(share).mixed(torch.tensor(2.0), torch.zeros(1, 2), shown)
    assert float(mixed) == pytest.approx(expected, rel=1e-5)


def test_the_teacher_is_the_network_before_anything_was_cut(tmp_path: Path) -> None:
    trial = Trial.start(plan(fixed=DISTILLED), tmp_path)
    while trial.phase == "train":
        trial.advance()
    before = {name: weight.clone() for name, weight in trial.net.state_dict().items()}
    while trial.advance():
        pass
    assert trial.teacher is not None
    taught = trial.teacher.net.state_dict()
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


# What a teacher remembers -------------------------------------------------------------------------------------


def images(count: int = 40) -> Split:
    drawn = torch.Generator().manual_seed(0)
    return Split(inputs=torch.rand(count, 1, 4, 4, generator=drawn), labels=torch.arange(count) % 2)


def net() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval()


class Asked(Teacher):
    """Keeps what it was shown and what it answered."""

    seen: ClassVar[list[tuple[Shown, torch.Tensor]]] = []

    def answers(self, shown: Shown) -> torch.Tensor:
        found = super().answers(shown)
        self.seen.append((shown, found))
        return found


@pytest.mark.parametrize("augment", ["none", "shift1"])
def test_what_is_remembered_is_what_the_teacher_would_say_of_the_very_image(augment: str) -> None:
    memory = answers_in_advance(net(), images(), augment, epochs=100)
    assert memory is not None
    assert tuple(memory.shape) == ({"none": 1, "shift1": 9}[augment], 40, 2)
    asked, student = Asked(net=net(), share=0.5, temperature=1.0, memory=memory), net()
    asked.seen.clear()
    train_epoch(
        student, None, optimizer_of(student, 1e-3), images(), batch_size=16, learning_rate=1e-3, schedule="constant",
        span=(0, 1), order=torch.Generator().manual_seed(3), augment=augment, teacher=asked,
    )  # fmt: skip
    assert sorted(int(number) for shown, _ in asked.seen for number in shown.examples) == list(range(40))
    for shown, answers in asked.seen:
        assert torch.allclose(answers, net()(shown.inputs), atol=1e-6)
    if augment == "shift1":
        assert len({int(variant) for shown, _ in asked.seen for variant in shown.variants}) > 5


def test_nothing_is_asked_in_advance_where_that_is_more_work_or_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answers_in_advance(net(), images(), "shift1", epochs=9) is None
    assert answers_in_advance(net(), images(), "shift1", epochs=10) is not None
    assert answers_in_advance(net(), images(), "none", epochs=1) is None
    streamed = StreamedSplit(inputs=torch.zeros(0, 1, 4, 4), labels=torch.zeros(0), source=[(torch.zeros(1, 4, 4), 0)])
    assert answers_in_advance(net(), streamed, "none", epochs=100) is None, "its examples may change"
    monkeypatch.setattr(teachers, "MOST_REMEMBERED", 9 * 40 * 2 * 4)
    assert answers_in_advance(net(), images(), "shift1", epochs=100) is not None
    assert answers_in_advance(net(), images(41), "shift1", epochs=100) is None

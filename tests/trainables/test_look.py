"""A first look: the whole way down after a share of the epochs, before a trial is trained as it would be without it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsweep.search.worth import curve_violations, setting_value
from sparsweep.spaces.constraint import Constraint
from sparsweep.trainables import attempt as attempt_module
from sparsweep.trainables.attempt import Attempt, run_trial
from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.look import options_for_a_look
from sparsweep.trainables.options import TrialOptions
from sparsweep.trainables.point import LOOK, Point, by_training, cut_name
from sparsweep.trainables.record import TrialFolder, TrialRecord
from sparsweep.trainables.training import DivergedError
from sparsweep.trainables.trial import Trial, TrialPlan
from tests.search.points import make_point
from tests.trainables.nets import plan

FIXED = {"epochs": 4, "cuts": 3, "finetune_epochs": 2}
LOOKED = ["look-own", "look-own-tuned", "look-00", "look-01", "look-02"]
TRAINED = ["own", "own-tuned", "00", "01", "02"]
ADVANCES = 12
"""Of a look two epochs, the own cut and three cuts; of the training four epochs and as much."""


def looking(**more: Any) -> TrialPlan:
    return replace(plan(fixed={**FIXED, **more}), look=0.5)


def figures(points: Sequence[Point]) -> list[Any]:
    return [(p.cut, p.accuracy, p.macs, p.weights_left) for p in points]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrialRecord, TrialFolder]:
    folder = TrialFolder(tmp_path_factory.mktemp("look") / "00007")
    return run_trial(looking(), folder, debug=True), folder


def test_a_look_goes_all_the_way_down_in_a_share_of_the_epochs(whole: tuple[TrialRecord, TrialFolder]) -> None:
    record, _ = whole
    assert [point.cut for point in record.points] == LOOKED + TRAINED
    phases = [epoch.phase for epoch in record.epochs]
    assert phases == ["train"] * 2 + ["finetune"] * 4 + ["train"] * 4 + ["finetune"] * 8
    assert [epoch.step for epoch in record.epochs] == list(range(1, 19))
    times = [point.at_ms or 0 for point in record.points]
    assert times == sorted(times)


def test_the_training_after_it_is_the_one_that_there_would_be_without(
    whole: tuple[TrialRecord, TrialFolder], tmp_path: Path
) -> None:
    record, _ = whole
    alone = run_trial(replace(looking(), look=0.0), TrialFolder(tmp_path / "00007"), debug=True)
    assert figures(record.points[len(LOOKED) :]) == figures(alone.points)
    assert figures(record.points[: len(LOOKED)]) != figures(alone.points)


def test_the_setting_is_worth_what_its_training_came_to(whole: tuple[TrialRecord, TrialFolder]) -> None:
    points = whole[0].points
    trained = points[len(LOOKED) :]
    assert by_training(points) == [trained]
    assert setting_value(points, ("macs_removed",), ()) == setting_value(trained, ("macs_removed",), ())
    good, bad = make_point(cut="look-00", accuracy=0.99), make_point(cut="00", accuracy=0.5)
    assert curve_violations((good, bad), [Constraint.parse("accuracy >= 0.9")])["accuracy >= 0.9"] == pytest.approx(0.4)


def test_networks_are_kept_that_no_other_of_the_trial_beats(whole: tuple[TrialRecord, TrialFolder]) -> None:
    record, folder = whole
    kept = {point.cut for point in record.points if point.network}
    assert kept == {point.cut for point in attempt_module.own_front(record.points)}
    assert {f"attempt-1/{path.name}" for path in folder.path.glob("attempt-1/*.safetensors")} == {
        f"{point.network}.safetensors" for point in record.points if point.network
    }
    for point in record.points:
        if point.network:
            load_network(folder.path / point.network, looking().task.build)


@pytest.mark.parametrize("done", range(1, ADVANCES))
def test_resumed_anywhere_it_is_the_same_to_the_bit(
    whole: tuple[TrialRecord, TrialFolder], tmp_path: Path, done: int
) -> None:
    folder, steps = TrialFolder(tmp_path / "00007"), iter(range(1, ADVANCES))
    first = Attempt.begin(looking(), folder)
    assert first.run(until=lambda trial: next(steps) == done)
    first.save()
    shown = folder.so_far()
    record = run_trial(looking(), folder, debug=True)
    assert figures(record.points) == figures(whole[0].points)
    assert [(e.step, e.loss) for e in record.epochs] == [(e.step, e.loss) for e in whole[0].epochs]
    assert shown is not None
    seen = {point.cut: point.at_ms for point in shown.points}
    assert seen.items() <= {point.cut: point.at_ms for point in record.points}.items(), "since when it can be seen"


def test_a_trial_goes_on_from_its_look_though_it_is_not_to_look_any_more(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "00007")
    begun = Attempt.begin(looking(), folder)
    begun.run(until=lambda trial: len(trial.points) == 4)
    begun.save()
    record = run_trial(replace(looking(), look=0.0), folder, debug=True)
    assert [point.cut for point in record.points] == LOOKED + TRAINED


def test_a_training_without_a_look_does_not_look_once_it_is_told_to(
    whole: tuple[TrialRecord, TrialFolder], tmp_path: Path
) -> None:
    folder = TrialFolder(tmp_path / "00007")
    begun = Attempt.begin(replace(looking(), look=0.0), folder)
    begun.run(until=lambda trial: True)
    begun.save()
    record = run_trial(looking(), folder, debug=True)
    assert figures(record.points) == figures(whole[0].points[len(LOOKED) :])


def test_what_a_look_found_is_shown_at_once_and_stays_in_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_module, "SHOW_EVERY_S", 1e9)
    folder = TrialFolder(tmp_path / "00007")
    begun = Attempt.begin(looking(), folder)
    begun.run(until=lambda trial: trial.plan.training == 0)
    shown = folder.so_far()
    assert shown is not None
    assert [point.cut for point in shown.points] == LOOKED
    begun.run(until=lambda trial: len(trial.points) == 2)
    begun.show()
    later = folder.so_far()
    assert later is not None
    assert [point.cut for point in later.points] == [*LOOKED, "own", "own-tuned"]
    assert [point.at_ms for point in later.points[: len(LOOKED)]] == [point.at_ms for point in shown.points]


def test_a_look_that_fails_leaves_what_it_found_and_costs_nothing_else(
    whole: tuple[TrialRecord, TrialFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Trial._measure

    def breaks(self: Trial, name: str, *more: Any) -> None:
        if self.plan.training == LOOK and name == "01":
            raise DivergedError("diverged: the loss is nan")
        measure(self, name, *more)

    monkeypatch.setattr(Trial, "_measure", breaks)
    record = run_trial(looking(), TrialFolder(tmp_path / "00007"), debug=True)
    assert record.state == "done"
    assert figures(record.points) == figures([*whole[0].points[:3], *whole[0].points[len(LOOKED) :]])


def test_a_training_that_fails_leaves_what_its_look_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(self: Trial) -> str:
        if self.plan.training == 0:
            raise DivergedError("diverged: the loss is nan")
        return train(self)

    train = Trial._train
    monkeypatch.setattr(Trial, "_train", breaks)
    record = run_trial(looking(), TrialFolder(tmp_path / "00007"))
    assert (record.state, record.reason) == ("failed", "diverged: the loss is nan")
    assert [point.cut for point in record.points] == LOOKED


def test_nobody_judges_a_look(tmp_path: Path) -> None:
    from sparsweep.trainables.judgement import Verdict

    asked: list[int] = []

    class Strict:
        def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
            asked.append(epoch)
            return Verdict(values=(0.1,), reason="stopped")

        def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
            raise AssertionError

        def worth_repeating(self, number: int, points: Sequence[Point]) -> bool:
            raise AssertionError

    strict = replace(looking(), rungs=(2,), judged_on_the_way=True)
    record = run_trial(strict, TrialFolder(tmp_path / "00007"), debug=True, judge=Strict())
    assert asked == [2]
    assert (record.state, record.reason, [point.cut for point in record.points]) == ("stopped", "stopped", LOOKED)


@pytest.mark.parametrize(
    ("share", "epochs", "tuned", "cuts"),
    [(0.3, 3, (1, 2), 8), (0.2, 2, (1, 2), 5), (0.05, 1, (1, 1), 4), (0.99, 10, (3, 8), 9)],
)  # fmt: skip
def test_what_a_look_leaves_out(share: float, epochs: int, tuned: tuple[int, int], cuts: int) -> None:
    whole = TrialOptions(
        epochs=10, finetune_epochs=3, last_finetune_epochs=8, descent_from="own", further_descents="weight", cuts=9
    )
    look = options_for_a_look(whole, share)
    assert (look.epochs, (look.finetune_epochs, look.last_finetune_epochs)) == (epochs, tuned)
    assert (look.descent_from, look.further_descents, look.cuts) == ("below_own", "", cuts)
    untuned = options_for_a_look(replace(whole, finetune_epochs=0, last_finetune_epochs=0), share)
    assert (untuned.finetune_epochs, untuned.cuts) == (0, 9)
    assert options_for_a_look(replace(whole, cuts=2), share).cuts == 2


@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 4e-3), ("sgd", 8e-3)])
def test_a_look_in_larger_batches_goes_in_larger_steps(optimizer: str, rate: float) -> None:
    whole = TrialOptions(epochs=10, batch_size=64, learning_rate=2e-3, finetune_learning_rate=1e-3, optimizer=optimizer)
    look = options_for_a_look(whole, 0.3, 256)
    assert (look.batch_size, look.learning_rate, look.finetune_learning_rate) == (256, rate, 2e-3)
    small = options_for_a_look(whole, 0.3)
    assert replace(small, batch_size=256, learning_rate=rate, finetune_learning_rate=2e-3) == look


def test_names_of_a_look_s_cuts() -> None:
    point = make_point(cut=cut_name("03", LOOK))
    assert (point.cut, point.training, point.base_cut) == ("look-03", LOOK, "03")

"""A trial whose setting is worth it is trained with further seeds, and its points say what all of them came to."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsweep.trainables import attempt as attempts
from sparsweep.trainables.attempt import Attempt, run_trial
from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.judgement import LENIENT, Verdict
from sparsweep.trainables.point import Point, by_training, cut_name
from sparsweep.trainables.record import TrialFolder, TrialRecord
from sparsweep.trainables.repeats import APART, plan_of, with_spread
from sparsweep.trainables.training import DivergedError
from sparsweep.trainables.trial import Trial, TrialPlan
from tests.search.points import make_point
from tests.trainables.nets import plan

SHORT = {"epochs": 2, "cuts": 2, "finetune_epochs": 1}


def repeated(seeds: int = 3, **more: Any) -> TrialPlan:
    return replace(plan(fixed={**SHORT, **more}), seeds=seeds)


def figures(points: Sequence[Point]) -> list[Any]:
    return [(p.base_cut, p.accuracy, p.macs, p.weights_left) for p in points]


class Answers:
    """Says whether it is worth it, and keeps what it was asked."""

    def __init__(self, worth: bool) -> None:
        self.worth = worth
        self.asked: list[Sequence[Point]] = []

    def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
        return Verdict(values=(0.5,))

    def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
        return Verdict()

    def worth_repeating(self, number: int, points: Sequence[Point]) -> bool:
        self.asked.append(points)
        return self.worth


@pytest.fixture(scope="module")
def record_and_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrialRecord, TrialFolder]:
    folder = TrialFolder(tmp_path_factory.mktemp("repeats") / "trial")
    return run_trial(repeated(), folder, debug=True), folder


def test_every_training_has_its_points(record_and_folder: tuple[TrialRecord, TrialFolder]) -> None:
    record, _ = record_and_folder
    curves = by_training(record.points)
    assert [[point.base_cut for point in curve] for curve in curves] == [["own", "own-tuned", "00", "01"]] * 3
    assert [point.cut for point in curves[1]] == ["r1-own", "r1-own-tuned", "r1-00", "r1-01"]
    assert len({point.id for point in record.points}) == 12
    assert [epoch.step for epoch in record.epochs] == list(range(1, len(record.epochs) + 1))
    assert len(record.epochs) == 3 * (2 + 1 + 2)


def test_each_is_what_a_trial_of_that_seed_alone_gives(
    record_and_folder: tuple[TrialRecord, TrialFolder], tmp_path: Path
) -> None:
    record, _ = record_and_folder
    for training, curve in enumerate(by_training(record.points)):
        seed = plan_of(repeated(), training).seed
        assert seed == repeated().seed + APART * training
        alone = run_trial(replace(repeated(seeds=1), seed=seed), TrialFolder(tmp_path / str(training)), debug=True)
        assert figures(alone.points) == figures(curve)


def test_each_point_carries_what_all_came_to(record_and_folder: tuple[TrialRecord, TrialFolder]) -> None:
    record, _ = record_and_folder
    for point in record.points:
        same = [other for other in record.points if other.base_cut == point.base_cut]
        assert point.spread is not None
        assert point.spread.seeds == 3
        assert point.spread.values["accuracy"] == tuple(each.accuracy for each in same)
        assert point.spread.values["macs"] == tuple(each.macs for each in same)
    curves = [figures(curve) for curve in by_training(record.points)]
    assert curves[0] != curves[1] != curves[2], "trainings that differ in nothing say nothing"


def test_networks_of_all_trainings_are_kept(record_and_folder: tuple[TrialRecord, TrialFolder]) -> None:
    record, folder = record_and_folder
    kept = [point for point in record.points if point.network is not None]
    assert {point.training for point in kept} > {0}
    for point in kept:
        net = load_network(folder.path / str(point.network), repeated().task.build)
        assert sum(int(p.count_nonzero()) for p in net.parameters()) >= point.weights_left
    files = {str(path.relative_to(folder.path)) for path in folder.path.glob("attempt-1/*.safetensors")}
    assert files == {f"{point.network}.safetensors" for point in kept}


def test_the_record_survives_json(record_and_folder: tuple[TrialRecord, TrialFolder]) -> None:
    record, folder = record_and_folder
    assert TrialRecord.from_json(json.loads(json.dumps(record.as_json()))) == record
    assert folder.record() == record


def test_what_is_not_worth_it_is_trained_once(tmp_path: Path) -> None:
    judge = Answers(worth=False)
    record = run_trial(repeated(), TrialFolder(tmp_path / "trial"), debug=True, judge=judge)
    assert [[point.cut for point in asked] for asked in judge.asked] == [["own", "own-tuned", "00", "01"]]
    assert [point.training for point in record.points] == [0] * 4
    assert all(point.spread is None for point in record.points)


def test_it_is_asked_once_and_only_where_there_are_further_seeds(tmp_path: Path) -> None:
    judge = Answers(worth=True)
    run_trial(repeated(seeds=2), TrialFolder(tmp_path / "two"), debug=True, judge=judge)
    assert len(judge.asked) == 1
    run_trial(repeated(seeds=1), TrialFolder(tmp_path / "one"), debug=True, judge=judge)
    assert len(judge.asked) == 1


@pytest.mark.parametrize(("advances", "ended"), [(3, 0), (6, 1), (10, 2)])
def test_interrupted_it_goes_on_to_the_same_figures(
    advances: int, ended: int, record_and_folder: tuple[TrialRecord, TrialFolder], tmp_path: Path
) -> None:
    """A training takes 5 steps, and after its last nobody is asked: in the first, the second and the third."""
    folder, steps = TrialFolder(tmp_path / "trial"), 0

    def enough(_: Trial) -> bool:
        nonlocal steps
        steps += 1
        return steps == advances

    begun = Attempt.begin(repeated(), folder)
    assert begun.run(until=enough)
    begun.save()
    again = Attempt.begin(repeated(), folder)
    assert again.ended.trainings == ended
    again.run()
    whole, _ = record_and_folder
    record = again.commit()
    assert [(p.id, *figures([p])) for p in record.points] == [(p.id, *figures([p])) for p in whole.points]
    assert [vars(e) | {"ended_ms": 0} for e in record.epochs] == [vars(e) | {"ended_ms": 0} for e in whole.epochs]


def test_a_failure_in_a_repetition_costs_the_repetition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = plan_of(repeated(), 2).seed

    def diverges(trial: Trial) -> str:
        if trial.plan.seed == given and trial.done == 1:
            raise DivergedError("diverged: loss is nan")
        return original(trial)

    original = Trial._train
    monkeypatch.setattr(Trial, "_train", diverges)
    folder = TrialFolder(tmp_path / "trial")
    record = run_trial(repeated(), folder)
    assert record.state == "done"
    assert record.reason == f"training 3 of 3, with seed {given}, failed: diverged: loss is nan"
    assert {point.training for point in record.points} == {0, 1}
    spreads = [point.spread for point in record.points]
    assert all(s is not None and (s.seeds, s.failed, s.bound("accuracy")) == (2, 1, None) for s in spreads)
    assert not list(folder.path.glob("attempt-1/r2-*")), "nothing of the failed training stays"


def test_a_failure_of_the_first_training_is_the_trial_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverges(trial: Trial) -> str:
        raise DivergedError("diverged: loss is nan")

    monkeypatch.setattr(Trial, "_train", diverges)
    record = run_trial(repeated(), TrialFolder(tmp_path / "trial"))
    assert (record.state, record.reason, record.points) == ("failed", "diverged: loss is nan", ())


def test_the_time_limit_is_each_training_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each epoch counts as a second: five steps of at most 1 s pass, twice five would not."""
    original = Trial.advance

    def slow(trial: Trial) -> bool:
        more = original(trial)
        trial.seconds = dict.fromkeys(("train",), trial.seconds.get("train", 0.0) // 1 + 1)
        return more

    monkeypatch.setattr(Trial, "advance", slow)
    record = run_trial(repeated(seeds=2, time_limit=8.0), TrialFolder(tmp_path / "trial"), debug=True)
    assert record.state == "done"
    assert len(by_training(record.points)) == 2


def test_a_preemption_in_a_repetition_leaves_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "CHECKPOINT_EVERY_S", -1.0)
    folder = TrialFolder(tmp_path / "trial")
    attempt = Attempt.begin(repeated(seeds=2), folder)
    attempt.run(until=lambda trial: trial.plan.training == 1 and trial.phase == "descend")
    again = Attempt.begin(repeated(seeds=2), folder)
    assert (again.ended.trainings, again.trial.plan.training) == (1, 1)
    assert again.trial.phase in ("own", "descend")


def test_cuts_are_matched_by_name_and_a_lacking_one_counts_for_fewer() -> None:
    points = [
        make_point(cut=cut_name(cut, training), accuracy=accuracy)
        for training, cut, accuracy in ((0, "00", 0.9), (0, "01", 0.8), (1, "00", 0.94))
    ]
    found = with_spread(points, trainings=2, failed=0)
    assert [point.spread.values["accuracy"] for point in found if point.spread] == [(0.9, 0.94), (0.8,), (0.9, 0.94)]
    assert with_spread(points, trainings=1, failed=0) == tuple(points)


def test_names_of_cuts() -> None:
    point = make_point(cut=cut_name("weight-03", 12))
    assert (point.cut, point.training, point.base_cut) == ("r12-weight-03", 12, "weight-03")
    own = make_point(cut="own-tuned")
    assert (own.training, own.base_cut) == (0, "own-tuned")


def test_without_a_judge_all_seeds_are_run() -> None:
    assert LENIENT.worth_repeating(0, [])

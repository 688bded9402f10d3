"""Several descents from one training."""

import math
from itertools import pairwise
from pathlib import Path

import pytest

from sparsweep.trainables.attempt import Attempt, run_trial
from sparsweep.trainables.record import TrialFolder
from sparsweep.trainables.ways import Way, Ways, ways_of
from tests.trainables.nets import plan

THREE = {"epochs": 1, "cuts": 3, "finetune_epochs": 1, "further_descents": "weight, filter-x4"}
NAMES = ["own", "own-tuned", *(f"{way}0{at}" for way in ("", "weight-", "filter-x4-") for at in range(3))]


def test_ways_by_their_names() -> None:
    assert ways_of("") == (Way(),)
    assert ways_of("x8 ,input") == (Way(), Way(name="x8", multiple=8), Way(name="input", granularity="input"))
    assert ways_of("filter-x16")[1] == Way(name="filter-x16", granularity="filter", multiple=16)
    assert [way.cut(2) for way in ways_of("weight")] == ["02", "weight-02"]


@pytest.mark.parametrize(
    "text", ["x3", "weights", "-x8", "filter/x8", "x", "filter-", "weight weight", "weight,weight"]
)
def test_what_is_no_way_is_no_choice(text: str) -> None:
    assert text not in Ways(choices=("",))


def test_every_way_starts_from_the_same_trained_network(tmp_path: Path) -> None:
    record = run_trial(plan(fixed=THREE), TrialFolder(tmp_path / "three"), debug=True)
    alone = run_trial(plan(fixed={**THREE, "further_descents": ""}), TrialFolder(tmp_path / "alone"), debug=True)
    assert [point.cut for point in record.points] == NAMES
    first = [(p.cut, p.accuracy, p.macs) for p in record.points[:5]]
    assert first == [(p.cut, p.accuracy, p.macs) for p in alone.points], "the first way is what it was"
    cuts = {point.cut: point for point in record.points}
    weights = [cuts[f"weight-0{at}"] for at in range(3)]
    assert all(a.sparsity < b.sparsity for a, b in pairwise(weights))
    assert weights[0].widths[-1] == cuts["00"].widths[-1]
    assert weights[0].macs > cuts["00"].macs, "single weights leave the units, and a fresh start all that were trained"
    for at in range(3):
        *hidden, _ = cuts[f"filter-x4-0{at}"].widths
        assert all(width % 4 == 0 for width in hidden)
    assert len(record.epochs) == 1 + 1 + 9, "one training, the own cut's epoch, nine cuts"


def test_a_trial_interrupted_on_its_second_way_goes_on_there(tmp_path: Path) -> None:
    whole = run_trial(plan(fixed=THREE), TrialFolder(tmp_path / "whole"), debug=True)
    folder = TrialFolder(tmp_path / "interrupted")
    first = Attempt.begin(plan(fixed=THREE), folder)
    assert first.run(until=lambda trial: trial.descent.way.name == "weight" and trial.done == 1)
    first.save()
    second = Attempt.begin(plan(fixed=THREE), folder)
    assert second.trial.descent.way.name == "weight"
    second.run()
    record = second.commit()
    assert [(p.cut, p.accuracy, p.macs) for p in record.points] == [(p.cut, p.accuracy, p.macs) for p in whole.points]


def test_sparsities_of_all_ways_are_shares_of_the_same_network(tmp_path: Path) -> None:
    record = run_trial(plan(fixed=THREE), TrialFolder(tmp_path / "00000"), debug=True)
    for point in record.points:
        whole = point.weights_left / (1 - point.sparsity) if point.sparsity < 1 else math.nan
        assert whole == pytest.approx(record.points[0].weights_left / (1 - record.points[0].sparsity), rel=1e-6)

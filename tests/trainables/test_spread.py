"""What several seeds say of a cut: mean, deviation, bound."""

import json
import math

import pytest

from sparsweep.trainables.spread import FIGURES, Spread, spread_of


def spread(*accuracies: float, failed: int = 0, **others: tuple[float, ...]) -> Spread:
    values = dict.fromkeys(FIGURES, tuple(0.5 for _ in accuracies)) | {"accuracy": accuracies} | others
    return Spread(values=values, failed=failed)


def test_mean_and_deviation_are_the_sample_s() -> None:
    three = spread(0.9, 0.92, 0.97)
    assert three.seeds == 3
    assert three.mean("accuracy") == pytest.approx(0.93)
    assert three.deviation("accuracy") == pytest.approx(math.sqrt(0.0013))


def test_the_bound_is_student_s() -> None:
    three = spread(0.9, 0.92, 0.97)
    assert three.bound("accuracy") == pytest.approx(0.93 - 2.919986 * math.sqrt(0.0013) / math.sqrt(3), abs=1e-6)
    ten = spread(*([0.9] * 5 + [1.0] * 5))
    assert ten.bound("accuracy") == pytest.approx(0.95 - 1.833113 * 0.0527046 / math.sqrt(10), abs=1e-6)


def test_a_count_s_bound_is_above_its_mean_and_a_share_s_not_below_nothing() -> None:
    two = spread(0.1, 0.9, macs=(100.0, 110.0))
    assert two.bound("macs") == pytest.approx(105 + 6.313752 * math.sqrt(50) / math.sqrt(2), abs=1e-4)
    assert two.bound("accuracy") == 0.0


def test_without_difference_the_bound_is_the_mean() -> None:
    assert spread(0.9, 0.9, 0.9).bound("accuracy") == pytest.approx(0.9)


@pytest.mark.parametrize("unknown", [spread(0.9), spread(0.9, 0.9, failed=1)])
def test_of_one_training_or_a_failed_one_no_bound_is_known(unknown: Spread) -> None:
    assert unknown.bound("accuracy") is None


def test_it_survives_json() -> None:
    known = spread(0.9, 0.92, failed=1)
    assert Spread.from_json(json.loads(json.dumps(known.as_json()))) == known


def test_it_is_of_every_figure_and_of_equally_many_trainings() -> None:
    with pytest.raises(ValueError, match="cannot exist"):
        Spread(values={"accuracy": (0.9,)})
    with pytest.raises(ValueError, match="over \\[1, 2\\] trainings"):
        spread(0.9, 0.9, macs=(1.0,))


def test_of_figures() -> None:
    figures = [dict.fromkeys(FIGURES, 0.5), {**dict.fromkeys(FIGURES, 0.7), "speedup": 2.0}]
    found = spread_of(figures, failed=2)
    assert (found.values["macs"], found.failed) == ((0.5, 0.7), 2)

"""The frontier without luck: every point at the bound of its mean over seeds."""

import pytest

from sparsweep.search.lower_bound import at_bound
from sparsweep.trainables.point import Point, cut_name
from sparsweep.trainables.repeats import with_spread
from tests.search.points import DENSE_MACS, make_point


def trained(trial: int, *accuracies: float, failed: int = 0, removed: tuple[float, ...] = ()) -> list[Point]:
    shares = removed or tuple(0.5 for _ in accuracies)
    points = [
        make_point(trial, cut_name("00", at), accuracy=accuracy, sparsity=share)
        for at, (accuracy, share) in enumerate(zip(accuracies, shares, strict=True))
    ]
    return list(with_spread(points, trainings=len(points) + failed, failed=failed))


def test_points_of_one_seed_or_with_a_failed_one_have_no_bound() -> None:
    points = [make_point(0), *trained(1, 0.9, 0.9, failed=1), *trained(2, 0.9, 0.92, 0.94)]
    assert {point.trial for point in at_bound(points)} == {2}


def test_all_trainings_of_a_cut_come_to_the_same_bound() -> None:
    points = trained(0, 0.9, 0.92, 0.94)
    bounded = at_bound(points)
    expected = 0.92 - 2.919986 * 0.02 / 3**0.5
    assert [point.accuracy for point in bounded] == pytest.approx([expected] * 3, abs=1e-6)
    assert [point.id for point in bounded] == [point.id for point in points]


def test_counts_are_bounded_upwards_and_not_beyond_the_dense_network() -> None:
    (one, *_) = at_bound(trained(0, 0.9, 0.9, removed=(0.1, 0.9)))
    assert one.macs == DENSE_MACS, "the margin of two seeds, 6.3 standard errors, is more than is left"
    (one, *_) = at_bound(trained(0, 0.9, 0.9, 0.9, removed=(0.5, 0.51, 0.52)))
    assert one.macs == 507, "490 and 2.92 times 10 / √3, rounded up"
    assert one.sparsity == pytest.approx(0.51 - 2.919986 * 0.01 / 3**0.5, abs=1e-6)


def test_a_lucky_point_loses_its_place() -> None:
    """.97 once and .80 otherwise against a steady .93."""
    points = [*trained(0, 0.97, 0.8, 0.82), *trained(1, 0.93, 0.93, 0.931)]
    assert max(points, key=lambda point: point.accuracy).trial == 0
    assert max(at_bound(points), key=lambda point: point.accuracy).trial == 1

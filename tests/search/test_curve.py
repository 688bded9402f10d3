"""What a trial's curve is worth, in numbers small enough to check."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsweep.search.curve import LiveFront, curve_value, headline, near_front, search_axes
from sparsweep.trainables.point import Point
from tests.search.points import THREE, cloud, clouds, make_point, trials


def test_what_the_search_goes_by() -> None:
    assert search_axes(THREE) == ("macs_removed", "sparsity")
    assert search_axes({"accuracy": "max", "weights_left": "min", "size_bytes": "min"}) == ("sparsity", "size_removed")
    assert search_axes({"accuracy": "max", "macs_ideal": "min", "latency_ms": "min", "macs": "min"}) == (
        "macs_removed",
        "macs_ideal_removed",
    )
    with pytest.raises(ValueError, match="no objective beside accuracy"):
        search_axes({"accuracy": "max"})
    with pytest.raises(ValueError, match=r"cannot go by \['energy'\]"):
        search_axes({"accuracy": "max", "energy": "min"})


def test_a_curve_is_worth_the_mean_of_its_hypervolumes() -> None:
    curve = [
        make_point(cut="00", accuracy=0.9, sparsity=0.5, macs_removed=0.4, macs_ideal=300, size_bytes=1000),
        make_point(cut="01", accuracy=0.5, sparsity=0.9, macs_removed=0.8, macs_ideal=100, size_bytes=400),
    ]
    assert headline(curve, ("sparsity",)) == pytest.approx(0.9 * 0.5 + 0.5 * 0.4)
    assert headline(curve, ("macs_removed", "sparsity")) == pytest.approx(0.9 * 0.4 + 0.5 * 0.4)
    assert curve_value(curve, ("macs_removed", "sparsity")) == pytest.approx((0.56 + 0.65) / 2)
    assert headline(curve, ("macs_ideal_removed",)) == pytest.approx(0.9 * 0.7 + 0.5 * 0.2)
    assert headline(curve, ("size_removed",)) == pytest.approx(0.9 * 0.75 + 0.5 * 0.15)
    assert curve_value([], ("macs_removed",)) == 0.0


def test_a_network_that_grew_adds_nothing() -> None:
    assert headline([make_point(macs=1100)], ("macs_removed",)) == 0.0


def test_near_the_front_is_what_no_other_beats_on_every_axis() -> None:
    points = [
        make_point(0, accuracy=0.9, sparsity=0.5, macs_removed=0.2),
        make_point(1, accuracy=0.9, sparsity=0.4, macs_removed=0.6),
        make_point(2, accuracy=0.8, sparsity=0.4, macs_removed=0.5),
    ]
    assert trials(near_front(points, ("macs_removed", "sparsity"))) == [0, 1]
    assert trials(near_front(points, ("macs_removed",))) == [1]
    assert near_front([], ("macs_removed",)) == ()


@settings(deadline=None)
@given(st.lists(clouds, max_size=4))
def test_the_live_headline_is_that_of_all_points_so_far(
    batches: list[list[tuple[float, float, float | None]]],
) -> None:
    live = LiveFront(("sparsity",))
    seen: list[Point] = []
    for batch in map(cloud, batches):
        seen += batch
        assert live.take(batch) == pytest.approx(headline(seen, ("sparsity",)))
        assert len(live.points) <= len(seen)


def test_looked_up_time_stands_for_speedup_where_it_is_asked_for() -> None:
    assert search_axes(THREE, look_up=True) == ("expected_time_removed", "sparsity")
    assert search_axes(THREE) == ("macs_removed", "sparsity")
    assert search_axes({"accuracy": "max", "macs": "min"}, look_up=True) == ("macs_removed",)
    point = make_point(accuracy=0.5, expected_time_removed=0.25)
    assert curve_value([point], ("expected_time_removed",)) == 0.125

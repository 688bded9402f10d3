"""What keeps a sweep from a frontier is told once, with the nearest point."""

from sparsweep.search.figures import Objectives
from sparsweep.search.frontier import Frontier
from sparsweep.search.hindrances import Watch, unmet, without_volume
from sparsweep.spaces.constraint import Constraint
from tests.search.points import THREE, make_point
from tests.search.records import make_record

ACCURATE, SPARSE = Constraint.parse("accuracy >= 0.97"), Constraint.parse("sparsity >= 0.9")
NEAR = make_point(3, "07", accuracy=0.96, sparsity=0.95)
FAR = make_point(4, "00", accuracy=0.5, sparsity=0.99)
TOLD = "no point so far meets accuracy >= 0.97: the nearest, 00003/07, has accuracy 96.00 %"


def test_a_constraint_that_no_point_meets_is_told_once_after_a_third_of_the_budget() -> None:
    watch = Watch([ACCURATE, SPARSE], "macs_removed")
    assert watch.line(0.5) is None  # no point yet
    watch.take(make_record(3, NEAR))
    watch.take(make_record(4, FAR))
    assert watch.line(0.33) is None
    assert watch.line(0.34) == TOLD
    assert watch.line(0.9) is None


def test_constraints_that_only_fail_together_are_both_named() -> None:
    watch = Watch([ACCURATE, SPARSE], "macs_removed")
    watch.take(
        make_record(0, make_point(0, accuracy=0.98, sparsity=0.5), make_point(0, "01", accuracy=0.9, sparsity=0.95))
    )
    assert watch.line(1.0) == (
        "no point so far meets accuracy >= 0.97 and sparsity >= 0.9 together: the nearest, 00000/01, "
        "has accuracy 90.00 %"
    )


def test_where_one_point_meets_them_all_nothing_is_told() -> None:
    watch = Watch([ACCURATE, SPARSE], "macs_removed")
    watch.take(make_record(0, NEAR, make_point(0, accuracy=0.97, sparsity=0.9), FAR))
    assert watch.line(1.0) is None


def test_an_axis_that_nothing_moves_along_is_told() -> None:
    watch = Watch([], "macs_removed")
    watch.take(make_record(0, make_point(sparsity=0.99, macs_removed=0.004)))
    assert watch.line(1.0) == (
        "no point so far has more than 0.4% MACs removed, by which the hypervolume counts: search granularity: filter "
        "or input, or leave out the objectives that need it"
    )
    watch = Watch([], "macs_removed")
    watch.take(make_record(0, make_point(macs_removed=0.01)))
    assert watch.line(1.0) is None


def test_at_the_end_what_was_never_measured_counts_as_unmet() -> None:
    fast = Constraint.parse("speedup >= 2")
    assert unmet([NEAR, FAR], [ACCURATE]) == TOLD
    assert (
        unmet([NEAR, FAR], [fast])
        == "no point so far meets speedup >= 2: the nearest, 00003/07, has speedup not measured"
    )
    assert unmet([NEAR, make_point(accuracy=0.99)], [ACCURATE]) is None
    assert unmet([], [ACCURATE]) is None
    assert unmet([NEAR], []) is None


def test_points_that_do_not_beat_the_dense_network_are_told() -> None:
    slow = make_point(0, accuracy=0.9, sparsity=0.5, speedup=0.8)
    quick = make_point(1, accuracy=0.8, sparsity=0.6, speedup=2.0)
    assert without_volume(Frontier.of("digits", [slow, quick], THREE)) == (
        "1 of 2 frontier points do not beat the dense network in speedup (1): they add nothing to the hypervolume over "
        "all objectives"
    )
    assert without_volume(Frontier.of("digits", [quick], THREE)) is None
    assert without_volume(Frontier.of("digits", [], THREE)) is None
    sizes: Objectives = {"accuracy": "max", "size_bytes": "min"}
    large = make_point(2, sparsity=0.1, size_bytes=5000)
    assert "do not beat the dense network in size (1)" in str(without_volume(Frontier.of("digits", [large], sizes)))

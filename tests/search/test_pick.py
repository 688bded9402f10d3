"""Picks by wish and by figure, with the exact sentences a user reads."""

import pytest

from sparsweep.search.pick import Candidate, NothingFits, Pick, pick
from sparsweep.spaces.constraint import Constraint


def version(number: int, *, frontier: bool = True, **figures: float) -> Candidate:
    return Candidate(version=number, figures=figures, frontier=frontier)


FOUR = [
    version(1, accuracy=0.99, sparsity=0.20, speedup=1.1, macs=90_000, size_bytes=400_000),
    version(2, accuracy=0.98, sparsity=0.80, speedup=3.0, macs=30_000, size_bytes=120_000),
    version(3, accuracy=0.95, sparsity=0.90, speedup=4.5, macs=12_000, size_bytes=60_000),
    version(4, accuracy=0.80, sparsity=0.95, macs=8_000, size_bytes=40_000),
]


def wish(text: str) -> Constraint:
    return Constraint.parse(text, allow_test_accuracy=True)


def picked(wishes: list[str], best: str, candidates: list[Candidate] = FOUR) -> Pick:
    found = pick(candidates, [wish(text) for text in wishes], best)
    assert isinstance(found, Pick)
    return found


def missed(wishes: list[str], candidates: list[Candidate] = FOUR) -> NothingFits:
    found = pick(candidates, [wish(text) for text in wishes], "accuracy")
    assert isinstance(found, NothingFits)
    return found


def test_the_fastest_that_satisfies_a_wish() -> None:
    found = picked(["accuracy >= 0.97"], "speedup")
    assert found.chosen.version == 2
    assert found.reason == "version 2 has the highest speedup, 3.00x; 2 of 4 versions satisfy accuracy >= 0.97"
    assert found.runner_up == FOUR[0]
    assert found.next_best == "next best is version 1 with 1.10x, 1.90x less"


@pytest.mark.parametrize(
    ("best", "expected", "reason", "next_best"),
    [
        ("accuracy", 1, "the highest accuracy, 99.00 %", "version 2 with 98.00 %, 1.00 points less"),
        ("sparsity", 4, "the highest sparsity, 95.00 %", "version 3 with 90.00 %, 5.00 points less"),
        ("speedup", 3, "the highest speedup, 4.50x", "version 2 with 3.00x, 1.50x less"),
        ("size_bytes", 4, "the lowest size, 40.0 kB", "version 3 with 60.0 kB, 20.0 kB more"),
        ("macs", 4, "the lowest MACs, 8.0 k", "version 3 with 12.0 k, 4.0 k more"),
    ],
)
def test_each_figure_is_taken_in_its_own_direction(best: str, expected: int, reason: str, next_best: str) -> None:
    found = picked([], best)
    assert found.chosen.version == expected
    assert found.reason == f"version {expected} has {reason}; all 4 versions were considered"
    assert found.next_best == f"next best is {next_best}"


def test_the_knee() -> None:
    # over accuracy, sparsity, speedup scaled to [0, 1]: 2 is at (0.947, 0.8, 0.571), 3 at (0.789, 0.933, 1)
    found = picked([], "knee")
    assert found.reason == (
        "version 3 is where the frontier bends most (0.995 beyond the plane through its corners); "
        "all 4 versions were considered"
    )
    assert found.next_best == "next best is version 2 with 0.761, 0.234 less"


def test_a_wish_filters_and_does_not_move_the_knee() -> None:
    assert picked(["accuracy >= 0.9"], "knee").chosen.version == 3
    found = picked(["accuracy >= 0.97"], "knee")
    assert found.chosen.version == 2
    assert found.reason.startswith("version 2 is where the frontier bends most (0.761 beyond")


def test_a_version_off_the_frontier_is_no_knee_but_may_be_the_smallest() -> None:
    off = version(5, accuracy=0.7, sparsity=0.9, speedup=4.0, macs=10_000, size_bytes=30_000, frontier=False)
    assert picked([], "knee", [*FOUR, off]).chosen.version == 3
    assert picked([], "size_bytes", [*FOUR, off]).chosen == off


def test_ties_go_to_the_frontier_then_to_accuracy_then_to_the_earlier_version() -> None:
    old = version(1, accuracy=0.95, size_bytes=10, frontier=False)
    twins = [version(10, accuracy=0.9, size_bytes=10), version(9, accuracy=0.9, size_bytes=10)]
    found = picked([], "size_bytes", [old, *twins])
    assert found.chosen.version == 9
    assert found.next_best == "next best is version 10, equal in this"


def test_several_wishes_and_a_single_version_left() -> None:
    found = picked(["accuracy >= 90%", "speedup > 4"], "sparsity")
    assert found.reason == (
        "version 3 has the highest sparsity, 90.00 %; 1 of 4 versions satisfy accuracy >= 0.9 and speedup > 4"
    )
    assert (found.runner_up, found.next_best) == (None, "there is no other to choose from")


def test_one_version_is_picked_whatever_is_asked() -> None:
    found = picked([], "knee", FOUR[:1])
    assert found.reason.endswith("it is the only version")
    assert found.chosen == FOUR[0]


def test_nothing_fits_and_the_nearest_misses_say_by_how_much() -> None:
    found = missed(["accuracy >= 0.97", "speedup >= 4"])
    assert found.reason == "none of 4 versions satisfies accuracy >= 0.97 and speedup >= 4"
    assert [miss.text for miss in found.misses] == [
        "version 3 misses accuracy >= 0.97: it has 95.00 %, 2.00 points less",
        "version 2 misses speedup >= 4: it has 3.00x, 1.00x less",
        "version 1 misses speedup >= 4: it has 1.10x, 2.90x less",
    ]
    assert [miss.violation for miss in found.misses] == pytest.approx([0.02 / 0.97, 0.25, 2.9 / 4])


def test_an_unmeasured_figure_is_the_farthest_miss() -> None:
    (miss,) = missed(["speedup >= 1"], FOUR[3:]).misses
    assert miss.text == "version 4 misses speedup >= 1: speedup was not measured"
    assert miss.violation == float("inf")


def test_a_strict_wish_met_exactly_is_a_miss() -> None:
    (miss,) = missed(["sparsity > 0.2"], FOUR[:1]).misses
    assert miss.text == "version 1 misses sparsity > 0.2: it is exactly that"


def test_no_version_at_all() -> None:
    assert missed([], []) == NothingFits(reason="there is no version to choose from")


def test_best_in_a_figure_that_no_fitting_version_has() -> None:
    with pytest.raises(ValueError, match=r"no version with sparsity >= 0.95 has a measured speedup: ask for another"):
        pick(FOUR, [wish("sparsity >= 0.95")], "speedup")
    with pytest.raises(ValueError, match="no version is on the frontier: ask for another best"):
        pick([version(1, accuracy=0.9, sparsity=0.1, frontier=False)], [], "knee")


def test_an_unknown_best_names_what_is_allowed() -> None:
    with pytest.raises(
        ValueError,
        match="best 'speed' is unknown: choose from accuracy, sparsity, speedup, size_bytes, macs, knee",
    ):
        pick(FOUR, [], "speed")

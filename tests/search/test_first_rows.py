"""What is proposed first: the user's points completed, an earlier sweep's best, known-good rows."""

from random import Random

import pytest

from sparsweep.search.first_rows import completed, first_rows
from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space, of_methods

GASL = Space(
    (
        Knob(name="granularity", range=Choice(choices=("filter", "weight"))),
        Knob(name="strength", range=Float(low=1e-3, high=1e-2), when={"granularity": "filter"}),
        Knob(name="strength", range=Float(low=1e-6, high=1e-4), when={"granularity": "weight"}),
        Knob(name="epochs", range=Int(low=1, high=9)),
    )
)
SPACE = of_methods({"gasl": GASL, "magnitude": Space((Knob(name="steps", range=Int(low=1, high=1000)),))})
GOOD: list[Row] = [
    {"method": "gasl", "granularity": "filter", "strength": 5e-3, "epochs": 5},
    {"method": "magnitude"},
]


def test_open_knobs_are_the_methods_known_good_ones() -> None:
    assert completed({"strength": 2e-3}, GOOD, SPACE, Random(0)) == {**GOOD[0], "strength": 2e-3}
    assert completed({"epochs": 2}, GOOD, SPACE, Random(0)) == {**GOOD[0], "epochs": 2}


def test_a_known_good_value_is_laid_into_the_range_that_the_point_chooses() -> None:
    row = completed({"granularity": "weight"}, GOOD, SPACE, Random(0))
    assert row == {"method": "gasl", "granularity": "weight", "strength": 1e-4, "epochs": 5}


def test_what_no_known_good_row_has_is_drawn_and_the_seed_fixes_it() -> None:
    rows = [completed({"method": "magnitude"}, GOOD, SPACE, Random(seed)) for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]
    assert all(SPACE.labels_of(row) for row in rows)


def test_a_point_without_a_method_is_of_the_one_that_has_its_knob() -> None:
    assert completed({"steps": 7}, GOOD, SPACE, Random(0)) == {"method": "magnitude", "steps": 7}


def test_points_come_before_the_best_and_these_before_the_known_good() -> None:
    best = [{"method": "magnitude", "steps": 3}]
    rows = first_rows([{"epochs": 2}], best, GOOD, SPACE, 0)
    assert rows == [{**GOOD[0], "epochs": 2}, *best, *GOOD]


def test_knobs_of_two_methods_in_one_point_are_refused() -> None:
    with pytest.raises(ValueError, match=r"points: .*is no setting of the space: .* does not go with the others"):
        completed({"strength": 2e-3, "steps": 7}, GOOD, SPACE, Random(0))

"""Rows drawn from shares: the ends are reached, the middle is the middle, and countable spaces are counted out."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsweep.spaces.draw import columns, every_row, key_of, random_row, row_at, value_at
from sparsweep.spaces.space import Choice, Float, Int, Knob, Space, Value

SPACE = Space(
    (
        Knob(name="method", range=Choice(choices=("gasl", "dense"))),
        Knob(name="strength", range=Float(low=1e-4, high=1e-2, log=True, or_zero=True), when={"method": "gasl"}),
        Knob(name="epochs", range=Int(low=1, high=3)),
    )
)
ALMOST_1 = 1 - 2**-53


@pytest.mark.parametrize(
    ("allowed", "share", "value"),
    [
        (Choice(choices=("a", "b", "c")), 0.0, "a"),
        (Choice(choices=("a", "b", "c")), 0.34, "b"),
        (Choice(choices=("a", "b", "c")), ALMOST_1, "c"),
        (Int(low=1, high=4), 0.0, 1),
        (Int(low=1, high=4), 0.26, 2),
        (Int(low=1, high=4), ALMOST_1, 4),
        (Int(low=1, high=100, log=True), 0.0, 1),
        (Int(low=1, high=100, log=True), ALMOST_1, 100),
        (Float(low=2.0, high=4.0), 0.5, 3.0),
        (Float(low=1e-4, high=1e-2, log=True), 0.5, pytest.approx(1e-3)),
        (Float(low=0.3, high=0.3), 0.7, 0.3),
    ],
)
def test_a_share_is_a_place_in_the_range(allowed: Float | Int | Choice, share: float, value: Value) -> None:
    found = value_at(allowed, share)
    assert found == value
    assert found in allowed
    assert isinstance(found, int) == isinstance(allowed, Int)


def test_whole_numbers_are_equally_likely() -> None:
    counts = Counter(value_at(Int(low=1, high=3), at / 300) for at in range(300))
    assert counts == {1: 100, 2: 100, 3: 100}


def test_a_row_is_entered_at_its_own_columns_only() -> None:
    assert columns(SPACE) == ("method", "strength[method=gasl].zero", "strength[method=gasl]", "epochs")
    half = dict.fromkeys(columns(SPACE), 0.49)
    assert row_at(SPACE, half.__getitem__) == {"method": "gasl", "strength": pytest.approx(1e-3, rel=0.1), "epochs": 2}
    assert row_at(SPACE, {**half, "strength[method=gasl].zero": 0.5}.__getitem__)["strength"] == 0.0
    assert row_at(SPACE, {"method": 0.9, "epochs": 0.0}.__getitem__) == {"method": "dense", "epochs": 1}


@given(st.integers(0, 1000))
def test_a_random_row_lies_in_the_space_and_the_seed_fixes_it(seed: int) -> None:
    row = random_row(SPACE, Random(seed))
    assert SPACE.labels_of(row)
    assert row == random_row(SPACE, Random(seed))


def test_a_space_of_choices_and_whole_numbers_can_be_counted_out() -> None:
    space = Space(
        (
            Knob(name="method", range=Choice(choices=("gasl", "dense"))),
            Knob(name="proximal", range=Choice(choices=(False, True)), when={"method": "gasl"}),
            Knob(name="strength", range=Float(low=0.1, high=0.1, or_zero=True), when={"method": "gasl"}),
            Knob(name="epochs", range=Int(low=1, high=2)),
        )
    )
    rows = list(every_row(space) or ())
    assert len(rows) == len(set(map(key_of, rows))) == 2 * 2 * 2 + 2
    assert {"method": "dense", "epochs": 2} in rows
    assert all(space.labels_of(row) for row in rows)
    assert every_row(SPACE) is None


def test_one_and_true_are_two_settings() -> None:
    assert key_of({"a": 1, "b": "x"}) == key_of({"b": "x", "a": 1})
    assert len({key_of({"a": value}) for value in (1, 1.0, True)}) == 3

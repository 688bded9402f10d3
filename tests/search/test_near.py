"""A row near another one: inside the space, close in every range's own scale, and never stuck."""

import math
from random import Random
from statistics import fmean, pstdev

import pytest
from scipy.stats import truncnorm

from sparsweep.search.with_optuna.near import SPREAD, STAYS, near, share_of
from sparsweep.spaces.draw import value_at
from sparsweep.spaces.space import Choice, Float, Int, Knob, Space

SPACE = Space(
    (
        Knob(name="granularity", range=Choice(choices=("filter", "weight"))),
        Knob(name="strength", range=Float(low=1e-4, high=1e-2, log=True), when={"granularity": "filter"}),
        Knob(name="rate", range=Float(low=0.0, high=1.0)),
        Knob(name="epochs", range=Int(low=1, high=100, log=True)),
        Knob(name="attention", range=Float(low=1e-4, high=1e-2, log=True, or_zero=True)),
    )
)
ROW = {"granularity": "filter", "strength": 1e-3, "rate": 0.5, "epochs": 10, "attention": 0.0}
MANY = [near(SPACE, ROW, Random(seed)) for seed in range(2000)]


def test_every_row_is_one_of_the_space() -> None:
    assert all(SPACE.labels_of(row) for row in MANY)
    assert {"strength" in row for row in MANY} == {True, False}, "a condition goes by the row's own choice"


def test_steps_are_as_long_as_is_said_in_the_range_s_own_scale() -> None:
    half = 0.5 / SPREAD
    cut_off = SPREAD * truncnorm(-half, half).std()
    rates = [float(row["rate"]) for row in MANY]
    assert (fmean(rates), pstdev(rates)) == (pytest.approx(0.5, abs=0.02), pytest.approx(cut_off, abs=0.02))
    powers = [math.log10(float(row["strength"])) for row in MANY if "strength" in row]
    assert (fmean(powers), pstdev(powers)) == (pytest.approx(-3, abs=0.04), pytest.approx(2 * cut_off, abs=0.04))


def test_choices_and_exact_zeros_mostly_stay() -> None:
    other = fmean(row["granularity"] != "filter" for row in MANY)
    assert other == pytest.approx((1 - STAYS) / 2, abs=0.03), "drawn anew it may be the same"
    zeros = fmean(row["attention"] == 0 for row in MANY)
    assert zeros == pytest.approx(STAYS, abs=0.03)


def test_at_the_end_of_a_range_half_of_the_steps_are_left() -> None:
    edge = [float(near(SPACE, {**ROW, "rate": 0.0}, Random(seed))["rate"]) for seed in range(500)]
    assert 0 <= min(edge) < 0.01
    assert fmean(edge) == pytest.approx(SPREAD * math.sqrt(2 / math.pi), abs=0.03)


@pytest.mark.parametrize("allowed", [Int(low=1, high=5), Int(low=1, high=50, log=True)])
def test_the_share_of_a_whole_number_gives_it_back(allowed: Int) -> None:
    for value in range(allowed.low, allowed.high + 1):
        assert value_at(allowed, share_of(allowed, value)) == value


def test_a_range_of_one_value_has_that_value() -> None:
    space = Space((Knob(name="rate", range=Float(low=0.3, high=0.3)), Knob(name="epochs", range=Int(low=2, high=2))))
    assert near(space, {"rate": 0.3, "epochs": 2}, Random(0)) == {"rate": 0.3, "epochs": 2}

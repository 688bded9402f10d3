"""Ranges that cannot be empty, and spaces that turn into rows."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space, Value, of_methods, range_adapter

KIND = Knob(name="kind", range=Choice(choices=("a", "b")))
SIZE = Knob(name="size", range=Int(low=1, high=9), when={"kind": "a"})
RATE = Knob(name="rate", range=Float(low=0.5, high=2.0))
SPACE = Space((KIND, SIZE, RATE))


def first(label: str, allowed: Float | Int | Choice) -> Value:
    return allowed.choices[0] if isinstance(allowed, Choice) else allowed.low


def last(label: str, allowed: Float | Int | Choice) -> Value:
    return allowed.choices[-1] if isinstance(allowed, Choice) else allowed.high


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ({"low": 1, "high": 3}, Int),
        ({"low": 1, "high": 3.5}, Float),
        ({"low": 1, "high": 3, "or_zero": True}, Float),
        ({"choices": ("a", "b")}, Choice),
    ],
)
def test_the_kind_of_a_range_follows_from_how_it_is_written(written: dict[str, Any], kind: type) -> None:
    assert type(range_adapter.validate_python(written)) is kind


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(low=2, high=1), "low 2.0 is greater than high 1.0: swap them"),
        (lambda: Int(low=2, high=1), "low 2 is greater than high 1: swap them"),
        (lambda: Float(low=0, high=1, log=True), "a log range needs low > 0, not 0.0; for exactly 0 .* or_zero: true"),
        (lambda: Int(low=0, high=1, log=True), "a log range needs low > 0, not 0"),
        (lambda: Float(low=0, high=math.inf), "must be finite"),
        (lambda: Float(low=math.nan, high=1), "must be finite"),
        (lambda: Choice(choices=()), "choices is empty: list at least one value"),
        (lambda: Choice(choices=("a", "a")), "holds a value twice"),
        (lambda: Choice(choices=(1, 1.0)), "holds a value twice"),
        (lambda: Choice(choices=(math.nan,)), "a number that is not finite"),
    ],
)
def test_an_empty_range_cannot_exist(make: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make()


def test_both_ends_belong_to_a_range() -> None:
    assert 1 in Int(low=1, high=3)
    assert 3 in Int(low=1, high=3)
    assert 4 not in Int(low=1, high=3)
    assert 2.0 not in Int(low=1, high=3)
    assert 0 in Float(low=1, high=2, or_zero=True)
    assert 0.5 not in Float(low=1, high=2, or_zero=True)


def test_true_is_not_one() -> None:
    assert True not in Int(low=0, high=3)
    assert True not in Choice(choices=(1, 2))
    assert 1 not in Choice(choices=(True, False))
    assert Choice(choices=(1, True)).choices == (1, True)


def test_a_knob_is_asked_for_only_where_it_applies() -> None:
    assert SPACE.row(first) == {"kind": "a", "size": 1, "rate": 0.5}
    assert SPACE.row(last) == {"kind": "b", "rate": 2.0}


def test_a_row_gets_its_labels_back() -> None:
    assert SPACE.labels_of({"kind": "a", "size": 3, "rate": 1.0}) == {"kind": "a", "size[kind=a]": 3, "rate": 1.0}


def test_every_value_outside_its_range_is_named() -> None:
    with pytest.raises(ValueError, match=r"size = 10 is outside .*; rate is missing"):
        SPACE.labels_of({"kind": "a", "size": 10})


def test_two_ranges_of_one_label_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the space has \['rate'\] twice"):
        Space((RATE, RATE))


def test_a_condition_must_come_first() -> None:
    with pytest.raises(ValueError, match=r"size\[kind=a\]: \['kind'\] must be chosen before it"):
        Space((SIZE, KIND))


def test_a_replaced_range_keeps_its_condition() -> None:
    narrowed = SPACE.with_ranges({"size": Int(low=2, high=2)})
    assert narrowed.row(first) == {"kind": "a", "size": 2, "rate": 0.5}
    assert "size" not in narrowed.row(last)


def test_alternatives_become_one_and_lose_what_they_differ_in() -> None:
    space = Space((KIND, SIZE, Knob(name="size", range=Int(low=20, high=30), when={"kind": "b"})))
    one = space.with_ranges({"size": Int(low=5, high=5)})
    assert [knob.label for knob in one.knobs] == ["kind", "size"]


def test_a_new_range_is_added() -> None:
    assert SPACE.with_ranges({"cuts": Int(low=1, high=2)}).names == ("kind", "size", "rate", "cuts")


def test_fixing_a_knob_settles_what_depends_on_it() -> None:
    assert [knob.label for knob in SPACE.fixing({"kind": "a"}).knobs] == ["size", "rate"]
    assert [knob.label for knob in SPACE.fixing({"kind": "b"}).knobs] == ["rate"]
    assert SPACE.fixing({"elsewhere": 1}) == SPACE


def test_without_removes_knobs() -> None:
    assert SPACE.without({"rate"}).names == ("kind", "size")


def test_the_nearest_row_keeps_what_it_can() -> None:
    assert SPACE.nearest({"kind": "a", "size": 100, "rate": 1.5}) == {"kind": "a", "size": 9, "rate": 1.5}
    assert SPACE.nearest({"kind": "c", "rate": "x"}) == {"kind": "a", "size": 5, "rate": 1.25}


def test_one_method_is_recorded_and_not_a_condition() -> None:
    assert [knob.label for knob in of_methods({"m": SPACE}).knobs] == ["method", "kind", "size[kind=a]", "rate"]


def test_several_methods_keep_their_knobs_apart() -> None:
    both = of_methods({"m": Space((RATE,)), "n": Space((RATE,))})
    assert [knob.label for knob in both.knobs] == ["method", "rate[method=m]", "rate[method=n]"]
    assert both.row(last) == {"method": "n", "rate": 2.0}


def test_the_middle_of_a_single_value_is_that_value() -> None:
    for value in (3e-4, 0.1, 7e-5, 2e-2, 1.1):
        single = Space((Knob(name="rate", range=Float(low=value, high=value, log=True)),))
        assert single.nearest({}) == {"rate": value}


def test_as_json_is_plain() -> None:
    assert SPACE.as_json()[1] == {"label": "size[kind=a]", "kind": "Int", "low": 1, "high": 9, "log": False}


@given(
    st.dictionaries(
        st.sampled_from(["kind", "size", "rate"]),
        st.one_of(st.floats(-1, 10), st.sampled_from([math.nan, math.inf, True, "a", "b", 7])),
    )
)
def test_the_nearest_row_is_always_inside(row: Row) -> None:
    inside = SPACE.nearest(row)
    SPACE.labels_of(inside)

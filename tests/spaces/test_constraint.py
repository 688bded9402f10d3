"""Constraints: read by hand, with every mistake answered."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsweep.spaces.constraint import FIGURES, SHARES, Constraint


@pytest.mark.parametrize(
    ("text", "figure", "op", "bound"),
    [
        ("accuracy >= 0.90", "accuracy", ">=", 0.9),
        ("accuracy>=97%", "accuracy", ">=", 0.97),
        ("  sparsity > 99.9 % ", "sparsity", ">", 0.999),
        ("size_bytes <= 1e5", "size_bytes", "<=", 100_000),
        ("size_removed == .5", "size_removed", "==", 0.5),
        ("latency_ms < 2.", "latency_ms", "<", 2),
        ("macs_removed >= 5e1%", "macs_removed", ">=", 0.5),
    ],
)
def test_reads(text: str, figure: str, op: str, bound: float) -> None:
    assert Constraint.parse(text) == Constraint(figure=figure, op=op, bound=bound)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' cannot be read: write a name, a comparison and a number: accuracy >= 0.97"),
        ("accuracy", "'accuracy' cannot be read"),
        ("0.9 <= accuracy", "'0.9 <= accuracy' cannot be read"),
        ("accuracy >= 0.9 or True", r"'0.9 or True' is not a finite number: write accuracy against one"),
        ("accuracy >= nan", "'nan' is not a finite number"),
        ("speedup >= inf", "'inf' is not a finite number"),
        ("speedup >= 1e999", "'1e999' is not a finite number"),
        ("speedup >= " + "9" * 5000, "cannot be read"),
        ("accuracy >=", "'accuracy >=' cannot be read"),
        ("size_bytes <= 20 kB", "'20 kB' is not a finite number: write size_bytes against one, such as 20000"),
        ("size <= 20000", "unknown figure 'size'; did you mean size_removed or size_bytes?"),
        ("MACs <= 20000", "unknown figure 'MACs'; did you mean macs?"),
        ("accuracy = 0.9", "unknown comparison =; did you mean ==?"),
        ("accuracy => 0.9", "unknown comparison =>; did you mean >=?"),
        ("accuracy ≥ 0.9", "unknown comparison ≥; did you mean >=?"),
        ("accuracy != 0.9", r"unknown comparison != \(allowed: >=, <=, ==, >, <\)"),
        ("acuracy >= 0.9", "unknown figure 'acuracy'; did you mean accuracy?"),
        ("threshold >= 0.9", "unknown figure 'threshold' .*allowed: accuracy, sparsity"),
        ("test_accuracy >= 0.9", "test_accuracy may not steer a search, which must not see the test set"),
        ("accuracy >= 97", "accuracy is a share from 0 to 1 and cannot be held against 97; did you mean 97%?"),
        ("accuracy >= -0.1", "accuracy is a share from 0 to 1 and cannot be held against -0.1"),
        ("accuracy <= 300%", "accuracy is a share from 0 to 1 and cannot be held against 300%"),
        ("size_bytes <= 50%", "size_bytes is not a share, so 50% of it means nothing: write a plain number"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        Constraint.parse(text)


def test_a_pick_may_name_the_test_accuracy() -> None:
    wish = Constraint.parse("test_accuracy >= 0.98", allow_test_accuracy=True)
    assert wish.holds({"test_accuracy": 0.98})


@pytest.mark.parametrize(
    ("text", "value", "holds", "violation"),
    [
        ("speedup >= 2", 2.0, True, 0.0),
        ("speedup >= 2", 1.5, False, 0.5),
        ("speedup <= 2", 2.5, False, 0.5),
        ("speedup < 2", 1.0, True, 0.0),
        ("speedup == 2", 3.0, False, 1.0),
        ("speedup > 2", math.nan, False, math.inf),
    ],
)
def test_violation_is_the_distance(text: str, value: float, holds: bool, violation: float) -> None:
    constraint = Constraint.parse(text)
    assert constraint.holds({"speedup": value}) is holds
    assert constraint.violation({"speedup": value}) == violation


def test_what_was_not_measured_does_not_hold() -> None:
    constraint = Constraint.parse("speedup <= 2")
    assert not constraint.holds({"accuracy": 1.0})
    assert constraint.violation({}) == math.inf


@pytest.mark.parametrize("bound", [0, 2, 1e-300])
def test_the_bound_itself_violates_a_strict_comparison(bound: float) -> None:
    assert Constraint(figure="speedup", op=">", bound=bound).violation({"speedup": bound}) > 0


def test_is_written_as_it_is_read() -> None:
    assert str(Constraint.parse("size_bytes<=1e5")) == "size_bytes <= 100000"
    assert str(Constraint.parse("accuracy >= 97%")) == "accuracy >= 0.97"


@given(st.sampled_from(FIGURES), st.sampled_from([">=", "<=", ">", "<", "=="]), st.floats(0, 1e300))
def test_survives_being_written(figure: str, op: str, bound: float) -> None:
    constraint = Constraint(figure=figure, op=op, bound=min(bound, 1.0) if figure in SHARES else bound)
    assert Constraint.parse(str(constraint), allow_test_accuracy=True) == constraint


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        Constraint.parse(text)

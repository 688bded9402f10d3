"""Durations as users write them."""

import math

import pytest

from sparsweep.spaces.duration import duration_s


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("30m", 1800), ("90s", 90), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), ("45", 45), (45, 45), (0.5, 0.5)],
)
def test_reads(given: object, seconds: float) -> None:
    assert duration_s(given) == seconds


@pytest.mark.parametrize(
    "given", ["", "10 min", "30m1h", "-3m", "1:30", "h", "٣m", True, None, [1], math.nan, "9" * 50]
)
def test_refuses_what_is_no_duration(given: object) -> None:
    with pytest.raises(ValueError, match="is not a duration: write 30m, 90s, 2h, 1h30m or a number of seconds"):
        duration_s(given)


@pytest.mark.parametrize("given", [0, -5, "0s", math.inf, "99999h", 10**400])
def test_refuses_what_is_out_of_range(given: object) -> None:
    with pytest.raises(ValueError, match="must be more than 0 seconds and at most 366 days"):
        duration_s(given)

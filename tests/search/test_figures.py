"""Figures as a person reads them."""

import pytest

from sparsweep.search.figures import shown


@pytest.mark.parametrize(
    ("figure", "value", "text"),
    [
        ("accuracy", 0.98611, "98.61 %"),
        ("speedup", 4.519, "4.52x"),
        ("macs", 950, "950"),
        ("macs", 61_240, "61.2 k"),
        ("macs", 12_345_678, "12.3 M"),
        ("size_bytes", 999_999, "1.0 MB"),
        ("size_bytes", 12, "12 B"),
        ("latency_ms", 0.8412, "0.841 ms"),
        ("speedup", None, "\u2013"),
        ("threshold", 0.015, "0.015"),
    ],
)
def test_figures_as_a_person_reads_them(figure: str, value: float | None, text: str) -> None:
    assert shown(figure, value) == text

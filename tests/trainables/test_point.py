"""A point: what it refuses, and that it survives JSON."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from sparsweep.trainables.point import Latency, Point

TIMING = Latency(
    batch=32, latency_ms=2.0, dense_latency_ms=8.0, speedup=4.0, iqr_share=0.02, pairs=21, device="a processor",
    threads=1, runtime="eager",
)  # fmt: skip
POINT = Point(
    trial=7, cut="03", method="gasl", threshold=0.5, accuracy=0.97, sparsity=0.9, layer_sparsity=0.8, weights_left=100,
    macs=250, macs_ideal=200, dense_macs=1000, size_bytes=500, dense_size_bytes=4000, widths=(3, 5, 10),
    setting={"method": "gasl", "threshold": 0.5},
)  # fmt: skip


def test_a_point_says_what_was_removed() -> None:
    assert POINT.id == "00007/03"
    assert POINT.macs_removed == 0.75
    assert POINT.size_removed == 0.875
    assert POINT.speedup is None


def test_speedup_is_that_of_batch_32() -> None:
    timed = POINT.with_(latency=(replace(TIMING, batch=1, speedup=2.0), TIMING))
    assert timed.speedup == 4.0
    assert timed.figures()["latency_ms"] == 2.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("figure", ["accuracy", "sparsity", "threshold", "macs", "size_bytes", "test_accuracy"])
def test_what_is_not_finite_is_refused(figure: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"point 00007/03 cannot exist: .*{figure} = {value}"):
        POINT.with_(**{figure: value})


@pytest.mark.parametrize("figure", ["accuracy", "sparsity", "layer_sparsity", "test_accuracy"])
@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_a_share_outside_0_and_1_is_refused(figure: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{figure} = {value} is not in \[0, 1\]"):
        POINT.with_(**{figure: value})


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"accuracy = nan.*weights_left = -1 is less than 0.*sparsity = 2 is not in"):
        POINT.with_(accuracy=math.nan, sparsity=2, weights_left=-1)


@pytest.mark.parametrize("changes", [{"dense_macs": 0}, {"dense_size_bytes": -1}, {"dense_macs": math.nan}])
def test_an_original_of_nothing_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is not above 0"):
        POINT.with_(**changes)


@pytest.mark.parametrize("batch", [1, 32])
def test_a_latency_that_is_not_finite_is_refused_at_every_batch(batch: int) -> None:
    with pytest.raises(ValueError, match=f"speedup at batch {batch} = nan"):
        POINT.with_(latency=(replace(TIMING, batch=batch, speedup=math.nan),))


@pytest.mark.parametrize(
    "changes",
    [{}, {"latency": (TIMING,), "test_accuracy": 0.96}, {"network": "attempt-1/03", "model_version": "4"}],
)
def test_a_point_survives_json(changes: dict[str, Any]) -> None:
    point = POINT.with_(**changes)
    assert Point.from_json(json.loads(json.dumps(point.as_json(), allow_nan=False))) == point


def test_an_unknown_key_is_another_schema() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        Point.from_json({**POINT.as_json(), "colour": 1})

"""The meter: each shape is timed once on a device, and what stayed noisy is asked again."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sparsweep.search import meter
from sparsweep.search.meter import Job, Meter, Timed, cell, shape_key, time_networks
from sparsweep.trainables.point import Point
from tests.search.points import make_latency, make_point
from tests.trainables.nets import DIGITS


class FakeDevice:
    """Runs alone; `noisy` batches cannot be measured. Speedup is 2 at batch 1 and 3 at batch 32."""

    def __init__(self, label: str = "cpu A") -> None:
        self.label = label
        self.noisy: set[int] = set()
        self.timed: list[list[Job]] = []

    def __call__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[str, Timed]:
        assert function is time_networks
        task, jobs = arguments
        assert task["network"] == "lenet-digits"
        self.timed.append(jobs)
        return self.label, {
            key: {batch: None if batch in self.noisy else self.record(batch) for batch in batches}
            for key, _, batches in jobs
        }

    def record(self, batch: int) -> dict[str, Any]:
        return {**vars(make_latency(2.0 if batch == 1 else 3.0, batch=batch)), "device": self.label}


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "_device_here", lambda: "cpu A")


def delivered(folder: Path, trial: int, widths: tuple[int, int]) -> Point:
    """A point whose compact network of these widths lies in its trial's folder."""
    path = folder / str(trial) / "attempt-1" / "own"
    path.parent.mkdir(parents=True)
    layers = {"conv1": {"in": 1, "out": widths[0]}, "conv2": {"in": widths[0], "out": widths[1]}}
    path.with_name("own.json").write_text(json.dumps({"layers": layers}))
    return make_point(trial, "own", network="attempt-1/own")


def test_a_key_names_the_network_and_every_layers_shape() -> None:
    layers: dict[str, dict[str, int]] = {"conv1": {"in": 1, "out": 4}, "fc": {"in": 64, "out": 10}}
    assert shape_key("lenet", {"layers": layers}) == "lenet|conv1:1x4,fc:64x10"
    layers["fc"]["selected"] = True
    assert shape_key("lenet", {"layers": layers}) == "lenet|conv1:1x4,fc:64sx10"
    assert cell("lenet|fc:64x10", "cpu A", 32) == "lenet|fc:64x10|cpu A|eager|b32|t1"


def test_equal_shapes_are_timed_once_with_a_record_for_every_batch(tmp_path: Path) -> None:
    points = [delivered(tmp_path, trial, widths) for trial, widths in enumerate([(4, 8), (4, 8), (2, 3)])]
    device = FakeDevice()
    found = Meter(tmp_path / "latency.json", device).measure(DIGITS, points, lambda n: tmp_path / str(n))
    assert [len(jobs) for jobs in device.timed] == [2]
    assert [[(r["batch"], r["speedup"]) for r in found[p.id]] for p in points] == [[(1, 2.0), (32, 3.0)]] * 3


def test_what_was_timed_is_looked_up_by_the_next_sweep(tmp_path: Path) -> None:
    points, device = [delivered(tmp_path, 0, (4, 8))], FakeDevice()
    for _ in range(2):
        found = Meter(tmp_path / "home" / "latency.json", device).measure(DIGITS, points, lambda n: tmp_path / str(n))
    assert len(device.timed) == 1
    assert len(found["00000/own"]) == 2


def test_a_noisy_result_is_not_kept_and_it_alone_is_asked_again(tmp_path: Path) -> None:
    points, device = [delivered(tmp_path, 0, (4, 8))], FakeDevice()
    device.noisy = {32}
    timing = Meter(tmp_path / "latency.json", device)
    found = timing.measure(DIGITS, points, lambda n: tmp_path / str(n))
    assert [r["batch"] for r in found["00000/own"]] == [1]
    assert list(json.loads((tmp_path / "latency.json").read_text())) == [
        "lenet-digits|conv1:1x4,conv2:4x8|cpu A|eager|b1|t1"
    ]
    device.noisy = set()
    found = timing.measure(DIGITS, points, lambda n: tmp_path / str(n))
    assert [r["batch"] for r in found["00000/own"]] == [1, 32]
    assert [[batches for _, _, batches in jobs] for jobs in device.timed] == [[[1, 32]], [[32]]]


def test_a_point_that_was_not_delivered_is_not_timed(tmp_path: Path) -> None:
    device = FakeDevice()
    assert Meter(tmp_path / "latency.json", device).measure(DIGITS, [make_point()], Path) == {}
    assert device.timed == []


def test_a_node_of_another_kind_answers_under_its_own_label(tmp_path: Path) -> None:
    points, device = [delivered(tmp_path, 0, (4, 8))], FakeDevice("cpu B")
    found = Meter(tmp_path / "latency.json", device).measure(DIGITS, points, lambda n: tmp_path / str(n))
    assert [r["device"] for r in found["00000/own"]] == ["cpu B", "cpu B"]


def test_what_another_sweep_timed_meanwhile_is_kept(tmp_path: Path) -> None:
    class Meanwhile(FakeDevice):
        def __call__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[str, Timed]:
            (tmp_path / "latency.json").write_text('{"theirs": {}}')
            return super().__call__(function, arguments)

    points = [delivered(tmp_path, 0, (4, 8))]
    Meter(tmp_path / "latency.json", Meanwhile()).measure(DIGITS, points, lambda n: tmp_path / str(n))
    kept = json.loads((tmp_path / "latency.json").read_text())
    assert "theirs" in kept
    assert len(kept) == 3

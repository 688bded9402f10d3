"""The meter: each shape is timed once on a device, and what stayed noisy is asked again."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sparsweep.search import meter
from sparsweep.search.meter import Cells, Job, Meter, Timing, cell, shape_key, time_networks
from sparsweep.trainables.measures.runtimes import BESIDE
from tests.search.points import make_latency
from tests.trainables.nets import DIGITS


class FakeDevice:
    """Runs alone; `noisy` batches cannot be measured. Speedup is 2 at batch 1 and 3 at batch 32.

    The dense network takes 8 ms eagerly and 4 ms in ONNX Runtime, the compact one is fastest eagerly.
    """

    def __init__(self, label: str = "cpu A") -> None:
        self.label = label
        self.noisy: set[int] = set()
        self.unsuitable: set[str] = set()
        self.timed: list[list[Job]] = []

    def __call__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[str, Cells]:
        assert function is time_networks
        task, jobs, how, on = json.loads(json.dumps(arguments))
        timing = Timing.from_json(how)
        assert task["network"] == "lenet-digits"
        assert on == "cpu"
        self.timed.append(jobs)
        ways = [(runtime, BESIDE.get(runtime, runtime)) for runtime in timing.runtimes]
        if len(timing.runtimes) > 1:
            ways.append(("eager", "onnx"))
        return self.label, {
            timing.cell(key, self.label, batch, *way): {"unsuitable": "no"} if way[0] in self.unsuitable
            else self.record(batch, *way)
            for key, _, batches in jobs for batch in batches for way in ways if batch not in self.noisy
        }  # fmt: skip

    def record(self, batch: int, runtime: str, dense_runtime: str) -> dict[str, Any]:
        speedup = 2.0 if batch == 1 else 3.0
        return {
            **vars(make_latency(speedup, batch=batch)), "device": self.label, "runtime": runtime,
            "dense_runtime": dense_runtime,
        }  # fmt: skip


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "_device_here", lambda: "cpu A")


def delivered(folder: Path, *widths: tuple[int, int]) -> dict[str, Path]:
    """The files of compact networks of these widths, by the numbers of their trials."""
    paths = {}
    for trial, (first, second) in enumerate(widths):
        paths[str(trial)] = folder / str(trial) / "attempt-1" / "own"
        paths[str(trial)].parent.mkdir(parents=True)
        layers = {"conv1": {"in": 1, "out": first}, "conv2": {"in": first, "out": second}}
        Path(f"{paths[str(trial)]}.json").write_text(json.dumps({"layers": layers}))
    return paths


def test_a_key_names_the_network_and_every_layers_shape() -> None:
    layers: dict[str, dict[str, int]] = {"conv1": {"in": 1, "out": 4}, "fc": {"in": 64, "out": 10}}
    assert shape_key("lenet", {"layers": layers}) == "lenet|conv1:1x4,fc:64x10"
    layers["fc"]["selected"] = True
    assert shape_key("lenet", {"layers": layers}) == "lenet|conv1:1x4,fc:64sx10"
    assert shape_key("lenet", {"layers": layers}, {"conv1": 9, "fc": 7}) == "lenet|conv1:1x4/9,fc:64sx10/7"
    assert cell("lenet|fc:64x10", "cpu A", 32, 1, "eager") == "lenet|fc:64x10|cpu A|eager|b32|t1"
    assert cell("lenet|fc:64x10", "cpu A", 32, 2, "eager", "onnx") == "lenet|fc:64x10|cpu A|eager/onnx|b32|t2"


def test_what_was_timed_in_other_rounds_is_not_known(tmp_path: Path) -> None:
    device, path = FakeDevice(), tmp_path / "latency.json"
    quick = Timing(round_ms=5)
    assert quick.cell("lenet", "cpu A", 32, "eager") == "lenet|cpu A|eager|b32|t1|5ms"
    paths = delivered(tmp_path, (4, 4))
    assert Meter(path, device, quick).measure(DIGITS, paths)["0"]
    assert Meter(path, device, quick).measure(DIGITS, paths)["0"]
    assert len(device.timed) == 1
    assert Meter(path, device).measure(DIGITS, paths)["0"]
    assert len(device.timed) == 2


def test_equal_shapes_are_timed_once_with_a_record_for_every_batch(tmp_path: Path) -> None:
    device = FakeDevice()
    found = Meter(tmp_path / "latency.json", device).measure(DIGITS, delivered(tmp_path, (4, 8), (4, 8), (2, 3)))
    assert [len(jobs) for jobs in device.timed] == [2]
    assert [[(r["batch"], r["speedup"]) for r in found[name]] for name in "012"] == [[(1, 2.0), (32, 3.0)]] * 3


def test_what_was_timed_is_looked_up_by_the_next_sweep(tmp_path: Path) -> None:
    paths, device = delivered(tmp_path, (4, 8)), FakeDevice()
    for _ in range(2):
        found = Meter(tmp_path / "home" / "latency.json", device).measure(DIGITS, paths)
    assert len(device.timed) == 1
    assert len(found["0"]) == 2


def test_a_noisy_result_is_not_kept_and_it_alone_is_asked_again(tmp_path: Path) -> None:
    paths, device = delivered(tmp_path, (4, 8)), FakeDevice()
    device.noisy = {32}
    timing = Meter(tmp_path / "latency.json", device)
    found = timing.measure(DIGITS, paths)
    assert [r["batch"] for r in found["0"]] == [1]
    assert list(json.loads((tmp_path / "latency.json").read_text())) == [
        "lenet-digits|conv1:1x4,conv2:4x8|cpu A|eager|b1|t1"
    ]
    device.noisy = set()
    found = timing.measure(DIGITS, paths)
    assert [r["batch"] for r in found["0"]] == [1, 32]
    assert [[batches for _, _, batches in jobs] for jobs in device.timed] == [[[1, 32]], [[32]]]


def test_all_runtimes_and_the_pair_of_the_fastest_are_told(tmp_path: Path) -> None:
    paths, device = delivered(tmp_path, (4, 8)), FakeDevice()
    meter = Meter(tmp_path / "latency.json", device, Timing(batches=(32,), runtimes=("eager", "onnx")))
    for _ in range(2):
        found = meter.measure(DIGITS, paths)
        ways = {(r["runtime"], r["dense_runtime"]) for r in found["0"]}
        assert ways == {("eager", "eager"), ("onnx", "onnx"), ("eager", "onnx")}
    assert len(device.timed) == 1


def test_a_batch_of_which_one_runtime_was_noisy_is_not_published(tmp_path: Path) -> None:
    class Half(FakeDevice):
        def __call__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[str, Cells]:
            label, cells = super().__call__(function, arguments)
            return label, {name: record for name, record in cells.items() if "|onnx|b32" not in name}

    meter = Meter(tmp_path / "latency.json", Half(), Timing(runtimes=("eager", "onnx")))
    found = meter.measure(DIGITS, delivered(tmp_path, (4, 8)))
    assert {record["batch"] for record in found["0"]} == {1}


def test_what_a_runtime_cannot_serve_is_not_asked_again(tmp_path: Path) -> None:
    paths, device = delivered(tmp_path, (4, 8)), FakeDevice()
    device.unsuitable = {"onnx"}
    meter = Meter(tmp_path / "latency.json", device, Timing(batches=(32,), runtimes=("eager", "onnx")))
    for _ in range(2):
        assert "onnx" not in {record["runtime"] for record in meter.measure(DIGITS, paths)["0"]}
    assert len(device.timed) == 1


def test_as_csr_networks_of_equal_shapes_differ_by_what_is_left(tmp_path: Path) -> None:
    paths, device = delivered(tmp_path, (4, 8), (4, 8)), FakeDevice()
    for name, path in paths.items():
        weights = {"conv1.weight": torch.arange(4.0) - int(name), "conv2.weight": torch.ones(3)}
        save_file(weights, f"{path}.safetensors")
    Meter(tmp_path / "latency.json", device, Timing(runtimes=("eager", "csr"))).measure(DIGITS, paths)
    assert [key for key, _, _ in device.timed[0]] == ["lenet-digits|conv1:1x4/3,conv2:4x8/3"]
    save_file({"conv1.weight": torch.zeros(4), "conv2.weight": torch.ones(3)}, f"{paths['1']}.safetensors")
    Meter(tmp_path / "latency.json", device, Timing(runtimes=("eager", "csr"))).measure(DIGITS, paths)
    assert [key for key, _, _ in device.timed[1]] == ["lenet-digits|conv1:1x4/0,conv2:4x8/3"]


def test_nothing_to_time_asks_nobody(tmp_path: Path) -> None:
    device = FakeDevice()
    assert Meter(tmp_path / "latency.json", device).measure(DIGITS, {}) == {}
    assert device.timed == []


def test_a_node_of_another_kind_answers_under_its_own_label(tmp_path: Path) -> None:
    device = FakeDevice("cpu B")
    found = Meter(tmp_path / "latency.json", device).measure(DIGITS, delivered(tmp_path, (4, 8)))
    assert [r["device"] for r in found["0"]] == ["cpu B", "cpu B"]


def test_what_another_sweep_timed_meanwhile_is_kept(tmp_path: Path) -> None:
    class Meanwhile(FakeDevice):
        def __call__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[str, Cells]:
            (tmp_path / "latency.json").write_text('{"theirs": {}}')
            return super().__call__(function, arguments)

    Meter(tmp_path / "latency.json", Meanwhile()).measure(DIGITS, delivered(tmp_path, (4, 8)))
    kept = json.loads((tmp_path / "latency.json").read_text())
    assert "theirs" in kept
    assert len(kept) == 3

"""Every runtime gives the network's outputs, or says why it cannot; each in its fastest is told beside."""

import shutil

import pytest
import torch
from torch import nn

from sparsweep.trainables.compact.csr import CsrLinear, faster_as_csr, sparse_layers, with_csr
from sparsweep.trainables.measures import side_by_side
from sparsweep.trainables.measures.runtimes import Runner, UnsuitableError, absent, has_two_of_four, prepared
from sparsweep.trainables.measures.side_by_side import Bench
from sparsweep.trainables.point import Latency, best_of
from sparsweep.trainables.tasks.networks import lenet_300_100, lenet_digits
from tests.search.points import make_latency
from tests.trainables.nets import mlp, shuffled

IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def _outputs(runner: Runner) -> torch.Tensor:
    with torch.inference_mode():
        given = runner.call(runner.inputs)
    return torch.as_tensor(given[0] if isinstance(given, list) else given)  # ONNX Runtime gives a list of arrays


@pytest.mark.parametrize("runtime", ["eager", "channels_last", "onnx", "compile"])
def test_a_runtime_computes_what_the_network_computes(runtime: str) -> None:
    if runtime == "compile" and shutil.which("g++") is None:
        pytest.skip("there is no C++ compiler")
    net = shuffled(lenet_digits()).eval()
    expected = net(IMAGES).detach()
    runner = prepared(net, runtime, IMAGES)
    assert torch.allclose(_outputs(runner), expected, atol=1e-5)
    assert (runner.runtime, runner.dtype) == (runtime, "float32")
    assert torch.equal(net(IMAGES).detach(), expected), "the network itself is left as it is"


def test_images_are_laid_out_channels_last() -> None:
    runner = prepared(lenet_digits(), "channels_last", torch.rand(4, 3, 8, 8)[:, :1].contiguous())
    assert runner.call.conv2.weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("runtime", "why"),
    [("channels_last", "no convolutions of images"), ("csr", "no layer is sparse enough"), ("2:4", "has the pattern")],
)
def test_what_a_runtime_cannot_serve(runtime: str, why: str) -> None:
    with pytest.raises(UnsuitableError, match=why):
        prepared(mlp(4, 2), runtime, torch.rand(2, 4))


def test_what_is_not_here_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert absent("eager") is absent("channels_last") is absent("csr") is None
    assert "CUDA device" in str(absent("2:4"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert absent("onnx") == "onnx and onnxscript and onnxruntime not installed: pip install 'sparsweep[onnx]'"
    assert "no C++ compiler" in str(absent("compile"))


def test_two_of_four() -> None:
    weight = torch.zeros(64, 128)
    weight[:, ::2] = 1
    assert has_two_of_four(weight)
    weight[3, 1] = 1
    assert not has_two_of_four(weight)
    assert not has_two_of_four(torch.zeros(63, 128))


def _sparse() -> nn.Module:
    net = shuffled(lenet_300_100()).eval()
    with torch.no_grad():
        net.fc1.weight.mul_(torch.rand(300, 784, generator=torch.Generator().manual_seed(0)) < 0.05)
    return net


def test_a_layer_as_csr_gives_the_same() -> None:
    net, inputs = _sparse(), torch.rand(3, 1, 28, 28)
    assert list(sparse_layers(net)) == ["fc1"]
    made = with_csr(net, ["fc1"])
    assert isinstance(made.fc1, CsrLinear)
    with torch.inference_mode():
        assert torch.allclose(made(inputs), net(inputs), atol=1e-5)


@pytest.mark.parametrize(("csr_s", "chosen"), [(1.0, ("fc1",)), (3.0, ())])
def test_the_layers_that_are_faster_as_csr_are_found_by_timing_each(csr_s: float, chosen: tuple[str, ...]) -> None:
    asked = []

    def seconds(call: object, given: torch.Tensor) -> float:
        asked.append(tuple(given.shape))
        return csr_s if isinstance(call, CsrLinear) else 2.0

    assert faster_as_csr(_sparse(), torch.rand(3, 1, 28, 28), seconds) == chosen
    assert asked == [(3, 784), (3, 784)]


MS = {("eager", "dense"): 8.0, ("eager", "compact"): 2.0, ("onnx", "dense"): 4.0, ("onnx", "compact"): 3.0}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Times are MS; `csr` suits nothing."""

    def ready(net: nn.Module, runtime: str, inputs: torch.Tensor, *, threads: int) -> Runner:
        if runtime == "csr":
            raise UnsuitableError("nothing is sparse")
        return Runner(call=net, inputs=inputs, runtime=runtime)

    def compare(
        dense: Runner, compact: Runner, *, batch: int, device: str, threads: int, most_s: float, round_s: float
    ) -> Latency:
        slow, fast = MS[dense.runtime, "dense"], MS[compact.runtime, "compact"]
        return Latency(
            batch=batch, latency_ms=fast, dense_latency_ms=slow, speedup=slow / fast, iqr_share=0.01, pairs=21,
            device=device, threads=threads, runtime=compact.runtime, dense_runtime=dense.runtime,
        )  # fmt: skip

    monkeypatch.setattr(side_by_side, "prepared", ready)
    monkeypatch.setattr(side_by_side, "compare", compare)
    return Bench(dense=mlp(4, 2), example_shape=(4,), device="a device")


def test_each_in_its_fastest_runtime_counts(bench: Bench) -> None:
    found = bench.measure(mlp(4, 2), ("eager", "onnx", "csr"), 32)
    assert {pair: r if isinstance(r, str) else r and r.speedup for pair, r in found.items()} == {
        ("eager", "eager"): 4.0, ("onnx", "onnx"): pytest.approx(4 / 3), ("csr", "eager"): "nothing is sparse",
        ("eager", "onnx"): 2.0,
    }  # fmt: skip
    best = best_of([r for r in found.values() if isinstance(r, Latency)])
    assert best is not None
    assert (best.runtime, best.dense_runtime, best.speedup) == ("eager", "onnx", 2.0)


def test_a_noisy_machine_costs_no_more_than_the_patience_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, given = [0.0], []

    def compare(dense: Runner, compact: Runner, *, most_s: float, **how: object) -> None:
        given.append(most_s)
        clock[0] += most_s

    monkeypatch.setattr(side_by_side, "compare", compare)
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    bench = Bench(dense=mlp(4, 2), example_shape=(4,), device="a device", most_s=20.0, patience_s=60.0)
    for _ in range(5):
        assert bench.measure(mlp(4, 2), ("eager",), 32) == {("eager", "eager"): None}
    assert given == [20.0, 20.0, 10.0, 5.0, 2.5]


def test_where_the_fastest_pair_was_noisy_the_dense_networks_best_counts() -> None:
    eager = make_latency(4.0)
    onnx = Latency(**{**vars(eager), "runtime": "onnx", "dense_runtime": "onnx", "latency_ms": eager.latency_ms * 2,
                      "dense_latency_ms": eager.dense_latency_ms / 2, "speedup": 1.0})  # fmt: skip
    assert best_of([eager, onnx]) == onnx
    assert best_of([eager]) == eager
    assert best_of([]) is None


def test_half_precision_stands_beside_and_does_not_count() -> None:
    eager = make_latency(4.0)
    half = Latency(**{**vars(eager), "runtime": "2:4", "dense_runtime": "half", "dtype": "float16", "latency_ms": 1e-3})
    assert best_of([eager, half]) == eager
    assert best_of([half]) is None

"""What a network can be run by, and how it is made ready for it. A speedup holds for a runtime, not for a network.

eager          torch as it is
channels_last  torch, with images and weights in the order batch, height, width, channels
compile        `torch.compile` for exactly this shape (needs a C++ compiler on a CPU)
onnx           ONNX Runtime on the network exported by torch (needs the extra `onnx`)
csr            eager, with those linear layers of the compact network as compressed sparse rows for which it is faster
2:4            eager in half precision, with NVIDIA's 2:4 sparse kernels for layers that have the pattern (needs CUDA)
"""

import copy
import importlib.util
import io
import shutil
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import benchmark

from sparsweep.trainables.compact.csr import faster_as_csr, with_csr

RUNTIMES = ("eager", "channels_last", "compile", "onnx", "csr", "2:4")
BESIDE = {"csr": "eager", "2:4": "half"}
"""What runs the dense network beside a runtime that is for sparse weights only; `half` is eager in half precision."""


class UnsuitableError(ValueError):
    """A network that a runtime cannot serve, and why."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A network made ready: `call(inputs)` is one forward pass."""

    call: Callable[[Any], object]
    inputs: Any
    runtime: str
    dtype: str = "float32"
    csr_layers: tuple[str, ...] = ()


def absent(runtime: str, device: str = "cpu") -> str | None:
    """Why a runtime cannot be had here and what to do about it; None where it can.

    Args:
        device: where the network is to run, `cpu` or `cuda`.
    """
    cuda = torch.device(device).type == "cuda"
    if runtime == "onnx":
        lacking = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
        if lacking:
            return f"{' and '.join(lacking)} not installed: pip install 'sparsweep[onnx]'"
        return "ONNX Runtime is timed on processors only: leave it out for a GPU" if cuda else None
    if runtime == "compile" and not cuda and not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
        return "there is no C++ compiler: install g++, or leave it out"
    if runtime == "2:4" and not cuda:
        return "2:4 kernels need a CUDA device of compute capability 8 or more: leave it out here"
    if runtime == "csr" and cuda:
        return "CSR is timed on processors only: leave it out for a GPU"
    return None


def prepared(net: nn.Module, runtime: str, inputs: Tensor, *, threads: int = 1) -> Runner:
    """The network ready to be timed; it may be copied, and is put into evaluation mode.

    Args:
        net: on the device of the inputs.
        inputs: float32, of the batch to be timed.

    Raises:
        UnsuitableError: the runtime cannot serve this network, or not this batch.
    """
    net.eval()
    makers: dict[str, Callable[[], Runner]] = {
        "eager": lambda: Runner(call=net, inputs=inputs, runtime="eager"),
        "channels_last": lambda: _channels_last(net, inputs),
        "compile": lambda: _compiled(net, inputs),
        "onnx": lambda: _onnx(net, inputs, threads),
        "csr": lambda: _csr(net, inputs, threads),
        "half": lambda: Runner(call=copy.deepcopy(net).half(), inputs=inputs.half(), runtime="half", dtype="float16"),
        "2:4": lambda: _two_of_four(net, inputs),
    }
    return makers[runtime]()


def _channels_last(net: nn.Module, inputs: Tensor) -> Runner:
    if inputs.dim() != 4 or not any(isinstance(module, nn.Conv2d) for module in net.modules()):
        raise UnsuitableError("the network has no convolutions of images")
    made = copy.deepcopy(net).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    laid = inputs.contiguous(memory_format=torch.channels_last)
    return Runner(call=made, inputs=laid, runtime="channels_last")


def _compiled(net: nn.Module, inputs: Tensor) -> Runner:
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.compiler.reset()
            made = torch.compile(copy.deepcopy(net), dynamic=False)
            made(inputs)
    except Exception as fault:  # whatever dynamo, inductor or the C++ compiler raises
        raise UnsuitableError(f"torch.compile does not take it ({_first_line(fault)})") from fault
    return Runner(call=made, inputs=inputs, runtime="compile")


def _onnx(net: nn.Module, inputs: Tensor, threads: int) -> Runner:
    import onnxruntime

    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(copy.deepcopy(net), (inputs,), dynamo=True, verbose=False)
        assert program is not None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as fault:  # whatever the exporter or the session raises
        raise UnsuitableError(f"it cannot be exported to ONNX ({_first_line(fault)})") from fault
    name = session.get_inputs()[0].name
    return Runner(call=lambda feed: session.run(None, feed), inputs={name: inputs.numpy()}, runtime="onnx")


def _csr(net: nn.Module, inputs: Tensor, threads: int) -> Runner:
    def seconds(call: Callable[[Tensor], object], given: Tensor) -> float:
        timer = benchmark.Timer("call(given)", globals={"call": call, "given": given}, num_threads=threads)
        return timer.blocked_autorange(min_run_time=0.05).median

    layers = faster_as_csr(net, inputs, seconds)
    if not layers:
        raise UnsuitableError("no layer is sparse enough to be faster as CSR")
    return Runner(call=with_csr(net, layers), inputs=inputs, runtime="csr", csr_layers=layers)


def _two_of_four(net: nn.Module, inputs: Tensor) -> Runner:
    made = copy.deepcopy(net).half()
    fitting = [m for m in made.modules() if isinstance(m, nn.Linear) and has_two_of_four(m.weight)]
    if not fitting:
        raise UnsuitableError("no linear layer has the pattern: at most 2 of 4 weights in a row, both sides by 64")
    for layer in fitting:
        layer.weight = nn.Parameter(torch.sparse.to_sparse_semi_structured(layer.weight.detach()), requires_grad=False)
    return Runner(call=made, inputs=inputs.half(), runtime="2:4", dtype="float16")


def has_two_of_four(weight: Tensor) -> bool:
    """Whether of every four weights in a row of [out, in] at most two are not zero, and both sides divide by 64."""
    if weight.dim() != 2 or weight.shape[0] % 64 or weight.shape[1] % 64:
        return False
    return bool(((weight != 0).view(weight.shape[0], -1, 4).sum(dim=2) <= 2).all())


def _first_line(fault: BaseException) -> str:
    return (str(fault).strip().splitlines() or [type(fault).__name__])[0][:160]

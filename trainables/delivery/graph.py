"""A network without its code: the operations of its forward pass as JSON, its tensors by name in safetensors.

graph.json                  operations of torch.export's graph in their order; the batch size is free
constants.safetensors       tensors of the graph that the network's state_dict has not, where there are any
test_vector.safetensors     inputs that need no data, and the network's outputs
load.py                     reads them again, with the weights from network.safetensors
"""

import json
import math
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, OutputKind
from torch.fx import Node

from sparsweep.trainables.compact.architecture import vector_of
from sparsweep.trainables.delivery.check import TOLERANCE
from sparsweep.trainables.delivery.load import CONSTANTS, load, operation, plain
from sparsweep.trainables.record import write_atomically

SCHEMA = 1
OF_SIZES = ("aten._assert", "aten.sym_constrain_range")
"""How operations begin that only check sizes: they are left out."""


def exported(net: nn.Module, example: Tensor) -> ExportedProgram:
    """The network's program, its batch size free where the network allows that.

    Without gradients, so that parts which switch them off need no words of their own; and attention in operations that
    others know, its fast path for the case without gradients off.

    Args:
        net: in evaluation mode.
        example: input, shape (batch >= 2, …): torch.export takes a batch of 1 for a constant.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            return torch.export.export(net, (example,), dynamic_shapes=[{0: Dim.AUTO}])
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def write_graph(program: ExportedProgram, net: nn.Module, example: Tensor, folder: Path) -> None:
    """Writes the graph form beside the network.safetensors in `folder`, and reads it back: all of it or nothing.

    Args:
        program: of `net`.
        net: the network that must come out again, in evaluation mode.
        example: input, shape (batch, …); only its shape and type are used.

    Raises:
        ValueError: the graph cannot be written; says why.
    """
    weights = folder / "network.safetensors"
    if not weights.is_file():
        raise ValueError("there is no network.safetensors that it could refer to")
    with safe_open(weights, framework="pt") as file:
        known = set(file.keys())
    graph = graph_of(program)
    constants = _constants(program, graph, known)
    inputs, outputs = vector_of(net, tuple(example.shape[1:]), example)
    files = [folder / name for name in ("graph.json", "constants.safetensors", "test_vector.safetensors")]
    try:
        write_atomically(files[0], json.dumps(graph, allow_nan=False))
        if constants:
            save_file(constants, files[1])
        with torch.no_grad():
            save_file({"input": inputs, "output": outputs.contiguous()}, files[2])
            _check_reads_back(load(folder), net, inputs)
    except Exception as fault:  # whatever the graph's operations raise
        for path in files:
            path.unlink(missing_ok=True)
        first = (str(fault).strip() or type(fault).__name__).splitlines()[0]
        raise ValueError(f"its graph does not read back ({first})") from fault


def _check_reads_back(read: nn.Module, net: nn.Module, inputs: Tensor) -> None:
    """Another batch size than the program's and the test vector's, as a graph may hold one fast."""
    more = torch.cat([inputs, inputs.flip(0), inputs])[:5]
    expected = net(more)
    difference = float((read(more) - expected).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise ValueError(f"at batch {len(more)} its outputs differ by {difference:.3g}")


def graph_of(program: ExportedProgram) -> dict[str, Any]:
    """The program's forward pass as plain data.

    Raises:
        ValueError: it takes or gives anything but one tensor, or has an operation that a graph may not have.
    """
    signature = program.graph_signature
    given = [spec.arg.name for spec in signature.input_specs if spec.kind == InputKind.USER_INPUT]
    output = next(node for node in program.graph.nodes if node.op == "output").args[0]
    kinds = [spec.kind for spec in signature.output_specs]
    if len(given) != 1 or kinds != [OutputKind.USER_OUTPUT] or not isinstance(output[0], Node):
        raise ValueError("it does more than make one tensor out of one tensor")
    names = {given[0]: {"node": "input"}}
    names |= {spec.arg.name: {"tensor": _tensor(spec)} for spec in signature.input_specs if spec.arg.name != given[0]}
    nodes = [_described(node, names) for node in _needed(program.graph)]
    used = set(_tensors_in(nodes))
    parameters = [spec.target for spec in signature.input_specs if spec.kind == InputKind.PARAMETER]
    trained = [n for n in parameters if n in used and program.state_dict[n].is_floating_point()]
    return {"schema": SCHEMA, "parameters": trained, "nodes": nodes, "output": _written(output[0], names)["node"]}


def _tensor(spec: InputSpec) -> str:
    """The name of a tensor that the program takes beside its input."""
    if spec.kind not in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR) or spec.target is None:
        raise ValueError(f"it holds {spec.target}, which is not a tensor")
    return plain(spec.target)


def _needed(graph: torch.fx.Graph) -> list[Node]:
    """The graph's operations in order, without those that check sizes and the arithmetic for these alone."""
    needed: list[Node] = []
    kept: set[Node] = set()
    for node in reversed(graph.nodes):
        if node.op != "call_function" or _name(node).startswith(OF_SIZES):
            kept |= {node} if node.op == "output" else set()
        elif _name(node).startswith("aten.") or kept & set(node.users):
            needed.append(node)
            kept.add(node)
    return needed[::-1]


def _name(node: Node) -> str:
    """`aten.conv2d.default`, `operator.add`, or a name that no graph may have."""
    target: Any = node.target
    return f"operator.{target.__name__}" if getattr(target, "__module__", "") == "_operator" else str(target)


def _described(node: Node, names: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    operation(_name(node))
    kwargs = {name: _written(value, names) for name, value in node.kwargs.items()}
    return {"name": node.name, "op": _name(node), "args": _written(node.args, names), "kwargs": kwargs}


def _written(value: Any, names: Mapping[str, Mapping[str, str]]) -> Any:
    """An argument as plain data: `{"node": …}`, `{"tensor": …}` and `{"constant": …}` stand for what JSON lacks."""
    if isinstance(value, Node):
        return dict(names.get(value.name, {"node": value.name}))
    if isinstance(value, list | tuple):
        return [_written(each, names) for each in value]
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if str(value) in CONSTANTS:
        return {"constant": str(value)}
    raise ValueError(f"it needs {value!r}, which graph.json cannot hold")


def _tensors_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and "tensor" in value:
        yield value["tensor"]
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _tensors_in(each)


def _constants(program: ExportedProgram, graph: Mapping[str, Any], known: Set[str]) -> dict[str, Tensor]:
    """By name what the graph uses and the network's file has not."""
    held = {**program.state_dict, **program.constants}
    names = sorted(set(_tensors_in(graph["nodes"])) - known)
    return {name: held[name].detach().cpu().clone(memory_format=torch.contiguous_format) for name in names}

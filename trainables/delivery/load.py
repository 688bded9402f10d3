"""Loads the network beside this file, `from load import load; net = load(".")`, and unpickles nothing."""

import json
import operator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

OPERATORS = ("add", "sub", "mul", "floordiv", "mod", "neg", "getitem")
NATIVE = (torch._C._nn, torch._C._VariableFunctions, torch._C.TensorBase)  # calls the same faster, keywords apart
KINDS = torch.dtype | torch.layout | torch.memory_format | torch.device | float
CONSTANTS = {str(c): c for c in (torch.device("cpu"), -torch.inf, *vars(torch).values()) if isinstance(c, KINDS)}


def operation(name: str, exactly: bool = True) -> Any:
    """What `aten.conv2d.default` or `operator.add` stands for; ValueError where it is not allowed."""
    space, part, overload = (*name.split("."), "", "")[:3]
    if space == "operator" and part in OPERATORS:
        return getattr(operator, part)
    found = getattr(getattr(torch.ops.aten, part, None), overload, None) if space == "aten" else None
    if not isinstance(found, torch._ops.OpOverload) or part == "from_file":
        raise ValueError(f"operation {name!r} is not allowed: only ATen's and operator.{'|'.join(OPERATORS)} are")
    return found if exactly else next((getattr(place, part) for place in NATIVE if hasattr(place, part)), found)


def plain(name: str) -> str:
    """The name, where it can be nothing but a name in the code that torch.fx makes of the graph; else ValueError."""
    if "__" in name or not f"x{name}".replace(".", "_").replace("-", "_").isidentifier():
        raise ValueError(f"{name!r} is not a plain name")
    return name


def load(folder: str | Path = ".", csr: list[str] | tuple[str, ...] = ()) -> torch.nn.Module:
    """The network in evaluation mode, for any batch size; Linear layers named in `csr` hold their weight as CSR."""
    root, graph, described = Path(folder), torch.fx.Graph(), json.loads((Path(folder) / "graph.json").read_text())
    if described["schema"] != 1:
        raise ValueError(f"graph.json has schema {described['schema']}; this loader reads 1")
    files = (root / "network.safetensors", *root.glob("constants.safetensors"))
    held: dict[str, Any] = {name: tensor.clone() for file in files for name, tensor in load_file(file).items()}
    held |= {name: torch.nn.Parameter(held[name]) for name in described["parameters"]}
    held |= {f"{n}.weight": torch.inference_mode()(held[f"{n}.weight"].detach().to_sparse_csr)() for n in csr}
    nodes = {"input": graph.placeholder("input")}
    read: dict[str, Any] = {"node": nodes.get, "tensor": lambda n: graph.get_attr(plain(n)), "constant": CONSTANTS.get}

    def value(given: Any) -> Any:
        if isinstance(given, list):
            return [value(each) for each in given]
        return next(read[kind](text) for kind, text in given.items()) if isinstance(given, dict) else given

    for node in described["nodes"]:
        named = {plain(name): value(given) for name, given in node["kwargs"].items()}
        nodes[node["name"]] = graph.call_function(operation(node["op"], bool(named)), tuple(value(node["args"])), named)
    graph.output(nodes[described["output"]])
    net, vector = torch.fx.GraphModule(held, graph).eval(), load_file(root / "test_vector.safetensors")
    difference = (net(vector["input"]) - vector["output"]).detach().abs().max().item()
    if not difference <= 1e-4 * max(1.0, vector["output"].abs().max().item()):
        raise ValueError(f"{folder}: outputs differ by {difference} from those stored: a file is damaged")
    return net

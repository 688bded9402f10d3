"""The trusted form of a compact network: safetensors for the weights, JSON for the shapes. Nothing is unpickled."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sparsweep.trainables.compact.attention import split_attention
from sparsweep.trainables.compact.removal import Compacted
from sparsweep.trainables.compact.selection import SelectedLinear
from sparsweep.trainables.compact.sites import remover
from sparsweep.trainables.groups import Prunable, prunable_layers
from sparsweep.trainables.record import write_atomically

SCHEMA = 1


def vector_inputs(example_shape: tuple[int, ...], examples: int = 4) -> Tensor:
    """Examples that anyone can make again; [examples, ...].

    A ramp from 0 to 1 and its reverse, then two waves between -1 and 1 that repeat nowhere: few units are silent for
    all of them, so a number that is damaged shows.
    """
    places = torch.arange(torch.Size(example_shape).numel(), dtype=torch.float64)
    ramp = torch.linspace(0, 1, len(places))
    waves = [torch.sin(step * places.square()).float() for step in (0.618, 1.414)]
    return torch.stack([ramp, 1 - ramp, *waves][:examples]).view(-1, *example_shape)


@torch.no_grad()
def vector_of(net: nn.Module, example_shape: tuple[int, ...], like: Tensor) -> tuple[Tensor, Tensor]:
    """Test inputs of a tensor's type and device, with the network's outputs.

    A network that takes logarithms gives no numbers for the waves: its vector is the ramps alone.
    """
    inputs = vector_inputs(example_shape).to(like)
    outputs: Tensor = net(inputs)
    if not bool(outputs.isfinite().all()):
        inputs = inputs[:2]
        outputs = net(inputs)
    return inputs, outputs


@torch.inference_mode()
def describe(network: str, compacted: Compacted, example_shape: tuple[int, ...]) -> dict[str, Any]:
    """Shapes, kept units, coverage and a test vector of a compact network, as plain data."""
    layers = prunable_layers(compacted.net)
    return {
        "schema": SCHEMA,
        "network": network,
        "example_shape": list(example_shape),
        "layers": {name: {**_shape(layer), "kept": compacted.kept[name]} for name, layer in layers.items()},
        "norms": {name: {"type": type(m).__name__, "features": m.num_features} for name, m in _norms(compacted.net)},
        "coverage": compacted.coverage,
        "test_output": vector_of(compacted.net, example_shape, next(iter(layers.values())).weight)[1].tolist(),
    }


def _shape(layer: Prunable) -> dict[str, Any]:
    if isinstance(layer, nn.Conv2d):
        return {"type": "Conv2d", "out": layer.out_channels, "in": layer.in_channels, "groups": layer.groups}
    shape = {"type": "Linear", "out": layer.out_features, "in": layer.in_features}
    return {**shape, "selected": True} if isinstance(layer, SelectedLinear) else shape


def _norms(net: nn.Module) -> list[tuple[str, _BatchNorm]]:
    return [(name, module) for name, module in net.named_modules() if isinstance(module, _BatchNorm)]


def save_network(path: Path, description: dict[str, Any], net: nn.Module) -> None:
    """Writes `path`.safetensors, then `path`.json: where the second stands, the first is whole."""
    tensors = {
        name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in net.state_dict().items()
    }
    save_file(tensors, f"{path}.safetensors")
    write_atomically(Path(f"{path}.json"), json.dumps(description))


def load_network(path: Path, build: Callable[[], nn.Module]) -> nn.Module:
    """The compact network that `save_network` wrote, in evaluation mode.

    Args:
        path: without ending.
        build: makes the dense network whose layers are resized.

    Raises:
        FileNotFoundError: one of the two files is not there.
        ValueError: a link, a file that cannot be read, another schema, shapes that do not fit, or outputs that are not
            those stored.
    """
    for file in (Path(f"{path}.json"), Path(f"{path}.safetensors")):
        if file.is_symlink():
            raise ValueError(f"{file} is a link: a network is read from its own folder only")
    try:
        description = json.loads(Path(f"{path}.json").read_text())
        schema = description.get("schema")
    except (ValueError, AttributeError, RecursionError) as fault:
        raise ValueError(f"{path}.json is not a network's description: it is damaged ({fault})") from fault
    if schema != SCHEMA:
        raise ValueError(f"{path}.json has schema {schema}; this sparsweep reads {SCHEMA}")
    net = split_attention(build())
    try:
        _resize(net, description["layers"], description.get("norms", {}))
        net.load_state_dict(load_file(f"{path}.safetensors"), strict=True)
        with torch.inference_mode():
            stored = torch.tensor(description["test_output"])
            output = net.eval()(vector_inputs(tuple(description["example_shape"]), len(stored)))
        same = torch.allclose(output, stored, atol=1e-4 * max(1.0, float(stored.abs().max())))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as fault:
        first = str(fault).strip().splitlines()[0]
        raise ValueError(f"{path}: weights and description do not fit: one is damaged ({first})") from fault
    if not same:
        raise ValueError(f"{path}: the loaded network's outputs are not those stored beside it: it is damaged")
    return net


def _resize(net: nn.Module, shapes: Mapping[str, Mapping[str, Any]], norms: Mapping[str, Mapping[str, Any]]) -> None:
    for name, layer in prunable_layers(net).items():
        wanted = _resized(layer, shapes[name])
        if wanted.weight.shape != layer.weight.shape or _shape(wanted) != _shape(layer):
            setattr(net.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], wanted)
    for name, norm in _norms(net):
        features = norms[name]["features"] if name in norms else norm.num_features
        if features != norm.num_features:
            gone = list(range(features, norm.num_features))  # which ones does not matter: their numbers are loaded
            remover(norm, "norm")(norm, gone)


def _resized(layer: Prunable, shape: Mapping[str, Any]) -> Prunable:
    if shape.get("selected"):
        return SelectedLinear(shape["in"], shape["out"], bias=layer.bias is not None)
    if isinstance(layer, nn.Linear):
        return nn.Linear(shape["in"], shape["out"], bias=layer.bias is not None)
    return nn.Conv2d(
        shape["in"], shape["out"], layer.kernel_size, layer.stride, layer.padding, layer.dilation,  # type: ignore[arg-type]
        groups=shape.get("groups", layer.groups), bias=layer.bias is not None, padding_mode=layer.padding_mode,
    )  # fmt: skip

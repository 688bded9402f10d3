"""The trusted form of a compact network: safetensors for the weights, JSON for the shapes. Nothing is unpickled."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparsweep.trainables.compact.removal import Compacted
from sparsweep.trainables.groups import prunable_layers
from sparsweep.trainables.record import write_atomically

SCHEMA = 1


def test_input(example_shape: tuple[int, ...]) -> Tensor:
    """Two examples that anyone can make again: a ramp from 0 to 1 and its reverse; [2, ...]."""
    ramp = torch.linspace(0, 1, int(torch.Size(example_shape).numel())).view(example_shape)
    return torch.stack([ramp, 1 - ramp])


@torch.inference_mode()
def describe(network: str, compacted: Compacted, example_shape: tuple[int, ...]) -> dict[str, Any]:
    """Shapes, kept units and a test vector of a compact network, as plain data."""
    layers = prunable_layers(compacted.net)
    return {
        "schema": SCHEMA,
        "network": network,
        "example_shape": list(example_shape),
        "layers": {
            name: {
                "type": type(layer).__name__,
                "out": layer.weight.shape[0],
                "in": layer.weight.shape[1],
                "kept": compacted.kept[name],
            }
            for name, layer in layers.items()
        },
        "test_output": compacted.net(test_input(example_shape)).tolist(),
    }


def save_network(path: Path, description: dict[str, Any], net: nn.Module) -> None:
    """Writes `path`.safetensors, then `path`.json: where the second stands, the first is whole."""
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in net.state_dict().items()}
    save_file(tensors, f"{path}.safetensors")
    write_atomically(Path(f"{path}.json"), json.dumps(description))


def load_network(path: Path, build: Callable[[], nn.Module]) -> nn.Module:
    """The compact network that `save_network` wrote, in evaluation mode.

    Args:
        path: without ending.
        build: makes the dense network whose layers are resized.

    Raises:
        ValueError: another schema, shapes that do not fit, or outputs that are not those stored.
    """
    description = json.loads(Path(f"{path}.json").read_text())
    if description.get("schema") != SCHEMA:
        raise ValueError(f"{path}.json has schema {description.get('schema')}; this sparsweep reads {SCHEMA}")
    net = build()
    for name, layer in prunable_layers(net).items():
        shape = description["layers"][name]
        parent = net.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], _resized(layer, shape["out"], shape["in"]))
    net.load_state_dict(load_file(f"{path}.safetensors"), strict=True)
    net.eval()
    with torch.inference_mode():
        output = net(test_input(tuple(description["example_shape"])))
    if not torch.allclose(output, torch.tensor(description["test_output"]), atol=1e-4):
        raise ValueError(f"{path}: the loaded network's outputs are not those stored beside it: it is damaged")
    return net


def _resized(layer: nn.Module, outputs: int, inputs: int) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return nn.Linear(inputs, outputs, bias=layer.bias is not None)
    if not isinstance(layer, nn.Conv2d):
        raise TypeError(f"{type(layer).__name__} cannot be resized")
    return nn.Conv2d(
        inputs, outputs, layer.kernel_size, layer.stride, layer.padding, layer.dilation,  # type: ignore[arg-type]
        bias=layer.bias is not None,
    )  # fmt: skip

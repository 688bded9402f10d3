"""Factors on what a layer puts out: where they sit, before or behind the norm that reads it, and how they go.

A gate is a child `output_gate` of the module whose output it multiplies, so its parameters and buffers are part of
the network's `state_dict`, and a deep copy of the network has gates of its own.
"""

import copy
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from sparsweep.trainables.groups import Prunable, prunable_layers

GatePosition = Literal["before_norm", "after_norm"]
"""Of a gate, where a norm reads the layer's output; without a norm both are the layer's output."""
GATE_POSITIONS: tuple[str, ...] = get_args(GatePosition)

Norm = nn.modules.batchnorm._NormBase | nn.GroupNorm
"""Batch, instance and group norms: one scale and one shift a channel."""


class OutputGate(nn.Module):
    """A factor on the output units of one layer.

    Attributes:
        layer: path of the layer whose units are gated; the gate itself may sit on the norm behind it.
        trailing: how many dimensions of the output follow its units': 2 for a convolution, 0 for a linear layer.
    """

    def __init__(self, name: str, layer: Prunable) -> None:
        super().__init__()
        self.layer = name
        self.trailing = 2 if isinstance(layer, nn.Conv2d) else 0

    def factor(self) -> Tensor:
        """[units], or one number for all of them; in evaluation mode what `fold_gates` multiplies in."""
        raise NotImplementedError

    def forward(self, output: Tensor) -> Tensor:
        return output * self.factor().view(-1, *[1] * self.trailing)


def _gated(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    gated: Tensor = module.get_submodule("output_gate")(output)
    return gated


def place_gate(net: nn.Module, place: str, gate: OutputGate) -> None:
    """Multiplies the output of the module at path `place` by the gate, from now on."""
    host = net.get_submodule(place)
    host.add_module("output_gate", gate.to(net.get_submodule(gate.layer).get_parameter("weight").device))
    host.register_forward_hook(_gated)


def gates_of(net: nn.Module) -> dict[str, OutputGate]:
    """The gates by path of the layer they gate."""
    return {module.layer: module for module in net.modules() if isinstance(module, OutputGate)}


def gate_parameters(net: nn.Module) -> list[str]:
    """Paths of the gates' own parameters."""
    inside = {id(parameter) for gate in gates_of(net).values() for parameter in gate.parameters()}
    return [path for path, parameter in net.named_parameters() if id(parameter) in inside]


@torch.no_grad()
def fold_gates(net: nn.Module) -> None:
    """Multiplies every gate's factor in evaluation mode into its host's weight and bias, and takes the gates out."""
    for host in [module for module in net.modules() if "output_gate" in module._modules]:
        gate = host.get_submodule("output_gate")
        assert isinstance(gate, OutputGate)
        multiply(host, gate.eval().factor())
        del host.output_gate
        for key in [key for key, hook in host._forward_hooks.items() if hook is _gated]:
            del host._forward_hooks[key]


@torch.no_grad()
def multiply(module: nn.Module, factor: Tensor) -> None:
    """Scales a layer's or a norm's weight and bias by `factor`, [units] or one number."""
    for parameter in module.parameters(recurse=False):
        parameter.mul_(factor.to(parameter).view(-1, *[1] * (parameter.dim() - 1)))


def gate_places(
    net: nn.Module, example_shape: tuple[int, ...], layers: Iterable[str], position: GatePosition
) -> dict[str, str]:
    """Per layer the path of the module whose output its gate multiplies: its own, or that of the norm behind it.

    Raises:
        ValueError: a norm behind a layer has no scale and shift to fold a gate into.
    """
    norms = norms_behind(net, example_shape) if position == "after_norm" else {}
    places = {name: norms.get(name, name) for name in layers}
    plain = [f"{norms[name]} (behind {name})" for name in places if name in norms and not _affine(net, norms[name])]
    if plain:
        raise ValueError(
            f"gate_position: after_norm needs norms with a scale and a shift; without them: {', '.join(plain)}. "
            "Build them with affine=True, or choose another method"
        )
    return places


def _affine(net: nn.Module, norm: str) -> bool:
    return {"weight", "bias"} <= {name for name, _ in net.get_submodule(norm).named_parameters(recurse=False)}


@torch.no_grad()
def norms_behind(net: nn.Module, example_shape: tuple[int, ...]) -> dict[str, str]:
    """By path of a conv or linear layer, the path of the norm that alone reads its output, as it is.

    Found by watching a forward pass of a copy, so whatever code the network holds will do. Left out are layers whose
    output somebody else reads too or changes in place, and layers and norms that are used more than once.
    """
    copied = copy.deepcopy(net).eval()
    source = torch.Generator().manual_seed(0)
    inputs = torch.rand(2, *example_shape, generator=source).to(next(copied.parameters()))
    made: list[tuple[str, Tensor, int]] = []
    read: list[tuple[str, str]] = []
    calls: Counter[str] = Counter()

    def note_output(name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        calls[name] += 1
        made.append((name, output, output._version))

    def note_input(name: str, _module: nn.Module, inputs: Any) -> None:
        calls[name] += 1
        read.extend((layer, name) for layer, out, version in made if out is inputs[0] and out._version == version)

    with ExitStack() as hooks:
        for name in prunable_layers(copied):
            hooks.enter_context(copied.get_submodule(name).register_forward_hook(partial(note_output, name)))
        for name, module in copied.named_modules():
            if isinstance(module, Norm):
                hooks.enter_context(module.register_forward_pre_hook(partial(note_input, name)))
        copied(inputs)
    flat = {name for name, output, _ in made if output.dim() == 2}
    return {
        layer: norm
        for layer, norm in read
        if calls[layer] == calls[norm] == 1
        and (layer in flat or isinstance(copied.get_submodule(layer), nn.Conv2d))
        and _reads_alone(copied, layer, norm, inputs)
    }


def _reads_alone(net: nn.Module, layer: str, norm: str, inputs: Tensor) -> bool:
    """Whether nothing of a change of the layer's output passes by that norm."""
    kept: list[Tensor] = []
    maker, reader = net.get_submodule(layer), net.get_submodule(norm)
    with reader.register_forward_hook(lambda _module, _inputs, output: kept.append(output.clone())):
        whole = net(inputs)
    with (
        maker.register_forward_hook(lambda _module, _inputs, output: output + 1),
        reader.register_forward_hook(lambda _module, _inputs, _output: kept[0]),
    ):
        return torch.equal(net(inputs), whole)

"""Linear layers that read some of their inputs only, where what they do not read cannot be removed.

The pixels of an image, or some places of a channel behind a flattening: nobody upstream can leave them out, so the
layer takes the inputs that it reads out by their indices. That costs time of its own, which is timed with the layer.
"""

import copy

import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.coupling import example_of
from sparsweep.trainables.groups import prunable_layers

LEAST_SHARE = 0.125
"""Of a layer's inputs that it does not read, from which on the others are taken out; below, it hardly saves."""


class SelectedLinear(nn.Linear):
    """A linear layer on some of its inputs: [..., inputs before] to [..., out]; weight [out, selected]."""

    index: Tensor

    def __init__(self, selected: int, out_features: int, *, bias: bool) -> None:
        super().__init__(selected, out_features, bias=bias)
        self.register_buffer("index", torch.zeros(selected, dtype=torch.int32))

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.index_select(-1, self.index))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, selected"


@torch.no_grad()
def select_inputs(net: nn.Module, example_shape: tuple[int, ...]) -> nn.Module:
    """The network with its linear layers' dead inputs left out; itself where there are none, or it is not the same.

    Args:
        net: compact, without masks, in evaluation mode; layers of it may be moved into the result.
    """
    dead = {name: share for name, layer in prunable_layers(net).items() if (share := _dead_share(layer)) >= LEAST_SHARE}
    if not dead:
        return net
    selected = copy.deepcopy(net)
    for name in dead:
        parent, _, child = name.rpartition(".")
        setattr(selected.get_submodule(parent), child, _selected(selected.get_submodule(name)))
    return selected if _same(net, selected, example_shape) else net


def _dead_share(layer: nn.Module) -> float:
    """Of a plain linear layer's inputs those whose weights are all zero; at least one is left alive."""
    if type(layer) is not nn.Linear:
        return 0.0
    dead = int((~layer.weight.any(dim=0)).sum())
    return min(dead, layer.in_features - 1) / layer.in_features


def _selected(layer: nn.Module) -> SelectedLinear:
    assert isinstance(layer, nn.Linear)
    read = layer.weight.any(dim=0)
    read[0] |= not bool(read.any())
    index = read.nonzero().flatten()
    made = SelectedLinear(len(index), layer.out_features, bias=layer.bias is not None).to(layer.weight)
    made.index = index.to(torch.int32)
    made.weight.copy_(layer.weight[:, index])
    if layer.bias is not None:
        made.bias.copy_(layer.bias)
    return made.train(layer.training)


def _same(net: nn.Module, selected: nn.Module, example_shape: tuple[int, ...]) -> bool:
    """Do both give the same? A network may use a layer's weight otherwise than by calling it."""
    example = example_of(example_shape).to(next(net.parameters()))
    try:
        given = selected(example)
    except Exception:  # whatever the network's own code raises
        return False
    expected = net(example)
    return given.shape == expected.shape and bool(
        torch.allclose(given, expected, rtol=1e-4, atol=1e-5 * max(1.0, float(expected.abs().max())))
    )

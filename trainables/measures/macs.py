"""Multiply-adds of one forward pass of one example, counted by torch's own counter."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sparsweep.trainables.compact.attention import plain_attention
from sparsweep.trainables.groups import prunable_layers


@dataclass(frozen=True, kw_only=True)
class Macs:
    """Multiply-adds as executed; a zero weight that is still there counts.

    Attributes:
        layers: per prunable layer that is called as a module.
        rest: of everything else: products within attention, layers of other kinds.
    """

    layers: Mapping[str, int]
    rest: int

    @property
    def total(self) -> int:
        return sum(self.layers.values()) + self.rest


@torch.no_grad()
def count_macs(net: nn.Module, example_shape: tuple[int, ...]) -> Macs:
    """Of a network in evaluation mode, attention's fused kernels off, which the counter does not see into."""
    was_training = net.training
    net.eval()
    some = next(net.parameters())
    example = torch.zeros(1, *example_shape, device=some.device, dtype=some.dtype)
    counter = FlopCounterMode(display=False)
    with plain_attention(), counter:
        net(example)
    net.train(was_training)
    counts = counter.get_flop_counts()
    root = type(net).__name__
    layers = {name: sum(counts.get(f"{root}.{name}", {}).values()) // 2 for name in prunable_layers(net)}
    return Macs(layers=layers, rest=counter.get_total_flops() // 2 - sum(layers.values()))


def layer_macs(net: nn.Module, example_shape: tuple[int, ...]) -> dict[str, int]:
    """Multiply-adds as executed, per prunable layer; a zero weight that is still there counts."""
    return dict(count_macs(net, example_shape).layers)


@torch.no_grad()
def closed_form_macs(net: nn.Module, example_shape: tuple[int, ...]) -> dict[str, int]:
    """The same per layer from shapes alone: every output number is one row of the weight; the counter's cross-check."""
    layers = prunable_layers(net)
    counts = dict.fromkeys(layers, 0)

    def count(name: str, layer: nn.Module, output: Tensor) -> None:
        counts[name] += output.numel() * layer.get_parameter("weight")[0].numel()

    hooks = [
        layer.register_forward_hook(lambda layer, inputs, output, name=name: count(name, layer, output))
        for name, layer in layers.items()
    ]
    was_training = net.training
    net.eval()
    some = next(net.parameters())
    try:
        net(torch.zeros(1, *example_shape, device=some.device, dtype=some.dtype))
    finally:
        for hook in hooks:
            hook.remove()
        net.train(was_training)
    return counts


def ideal_macs(dense: Macs, weights: Mapping[str, int], left: Mapping[str, int], compact: Macs) -> int:
    """Multiply-adds that meet a non-zero weight: what an ideal sparse kernel would execute.

    Args:
        dense: of the original network.
        weights: per layer of the original network.
        left: per layer, the non-zero weights now.
        compact: of the network as it is now, for what no weight of a layer is part of.
    """
    return sum(dense.layers[n] // weights[n] * left[n] for n in left) + compact.rest

"""Multiply-adds of one forward pass of one example, counted by torch's own counter."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sparsweep.trainables.groups import prunable_layers


@torch.no_grad()
def layer_macs(net: nn.Module, example_shape: tuple[int, ...]) -> dict[str, int]:
    """Multiply-adds as executed, per prunable layer; a zero weight that is still there counts."""
    was_training = net.training
    net.eval()
    example = torch.zeros(1, *example_shape, device=next(net.parameters()).device)
    counter = FlopCounterMode(display=False)
    with counter:
        net(example)
    net.train(was_training)
    counts = counter.get_flop_counts()
    root = type(net).__name__
    return {name: sum(counts.get(f"{root}.{name}", {}).values()) // 2 for name in prunable_layers(net)}

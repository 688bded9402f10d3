"""Prunable layers, their groups, and the masks that hold pruned weights at zero.

A network's masks are buffers `weight_mask` of its prunable layers, so they travel in the `state_dict`.
"""

from typing import Literal

import torch
from torch import Tensor, nn

Granularity = Literal["filter", "input", "weight"]
"""What is pruned as one: all incoming weights of an output unit, all outgoing ones of an input unit, one weight."""

Prunable = nn.Conv2d | nn.Linear


def prunable_layers(net: nn.Module) -> dict[str, Prunable]:
    """Conv and linear layers by path, in the order of their definition; the last one is the output layer."""
    return {name: module for name, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}


def scored_layers(net: nn.Module, granularity: Granularity) -> dict[str, Prunable]:
    """The layers whose groups a method may prune.

    `filter` spares the output layer (its groups are the classes), `input` the first layer (its groups are the
    network's inputs); a layer with fewer than two groups is left alone.
    """
    layers = list(prunable_layers(net).items())
    chosen = {"filter": layers[:-1], "input": layers[1:], "weight": layers}[granularity]
    return {name: layer for name, layer in chosen if group_count(layer.weight, granularity) >= 2}


def group_count(weight: Tensor, granularity: Granularity) -> int:
    """How many groups a weight [out, in, ...] has."""
    return {"filter": weight.shape[0], "input": weight.shape[1], "weight": weight.numel()}[granularity]


def group_norms(weight: Tensor, granularity: Granularity) -> Tensor:
    """‖w_g‖₂ of each group (|w| for `weight`), [groups], or the weight's shape.

    At an all-zero group the gradient is 0, not NaN.
    """
    if granularity == "weight":
        return weight.abs()
    rows = weight if granularity == "filter" else weight.transpose(0, 1)
    norms: Tensor = torch.linalg.vector_norm(rows.flatten(1), dim=1)
    return norms


def expand(groups: Tensor, weight: Tensor, granularity: Granularity) -> Tensor:
    """Values per group, laid over the weight's shape."""
    if granularity == "weight":
        return groups
    shape = [1] * weight.dim()
    shape[0 if granularity == "filter" else 1] = -1
    return groups.view(shape).expand_as(weight)


def add_masks(net: nn.Module) -> None:
    """Gives every prunable layer a `weight_mask` of ones, and a `bias_mask` where it has a bias.

    They are of the weights' own type: multiplying by booleans takes 20 times longer, and it is done at every step.
    """
    for layer in prunable_layers(net).values():
        if "weight_mask" not in layer._buffers:
            layer.register_buffer("weight_mask", torch.ones_like(layer.weight))
            if layer.bias is not None:
                layer.register_buffer("bias_mask", torch.ones_like(layer.bias))


def masks_of(net: nn.Module) -> dict[str, Tensor]:
    """The masks by layer, each a bool of its weight's shape."""
    return {name: layer.get_buffer("weight_mask") != 0 for name, layer in prunable_layers(net).items()}


@torch.no_grad()
def set_masks(net: nn.Module, masks: dict[str, Tensor]) -> None:
    """Stores masks (layers not named are left whole) and zeroes what they prune."""
    for name, layer in prunable_layers(net).items():
        mask = layer.get_buffer("weight_mask")
        mask.copy_(masks[name] if name in masks else torch.ones_like(mask))
        if layer.bias is not None:
            layer.get_buffer("bias_mask").copy_(mask.flatten(1).amax(dim=1))
    hold(net)


@torch.no_grad()
def hold(net: nn.Module) -> None:
    """Zeroes every masked weight, and the bias of every unit that has no weight left."""
    for layer in prunable_layers(net).values():
        layer.weight.mul_(layer.get_buffer("weight_mask"))
        if layer.bias is not None:
            layer.bias.mul_(layer.get_buffer("bias_mask"))


def drop_masks(net: nn.Module) -> nn.Module:
    """The network without its mask buffers, as it is delivered; changes it in place."""
    for layer in prunable_layers(net).values():
        for name in ("weight_mask", "bias_mask"):
            layer._buffers.pop(name, None)
    return net

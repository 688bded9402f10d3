"""Prunable layers, their groups, and the masks that hold pruned weights at zero.

A network's masks are buffers `weight_mask` of its prunable layers, so they travel in the `state_dict`. A norm's channel
belongs to the groups that feed it: when they are pruned whole, its weight and bias go too, or the channel would be the
constant β - γμ/√v. Who feeds whom, and what the outputs are, says the network's outline.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from sparsweep.trainables.outline import Feed, outline_of

Granularity = Literal["filter", "input", "weight"]
"""What is pruned as one: all incoming weights of an output unit, all outgoing ones of an input unit, one weight."""

Prunable = nn.Conv2d | nn.Linear


def prunable_layers(net: nn.Module) -> dict[str, Prunable]:
    """Conv and linear layers by path, in the order of their definition."""
    return {name: module for name, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}


def scored_layers(net: nn.Module, granularity: Granularity) -> dict[str, Prunable]:
    """The layers whose groups a method may prune.

    `filter` spares the output layers (their groups are the classes), `input` the convolutions that read the network's
    input (their groups are an image's colours; a linear layer's are its pixels, of which some may do). A layer with
    fewer than two groups is left alone, and one that the outline's patterns exclude or that the output does not depend
    on. Without an outline the last layer by definition is the output and the first one the input.
    """
    layers = prunable_layers(net)
    outline = outline_of(net)
    spared: set[str] = set()
    if granularity == "filter":
        spared |= outline.outputs if outline else set(list(layers)[-1:])
    elif granularity == "input":
        first = outline.inputs if outline else set(list(layers)[:1])
        spared |= {name for name in first if isinstance(layers[name], nn.Conv2d)}
    if outline:
        spared |= {name for name in layers if name in outline.idle or not outline.allows(name)}
    return {
        name: layer
        for name, layer in layers.items()
        if name not in spared and group_count(layer.weight, granularity) >= 2
    }


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
    """Gives every prunable layer, and every norm of the outline, a `weight_mask` of ones, and a `bias_mask`.

    They are of the weights' own type: multiplying by booleans takes 20 times longer, and it is done at every step.
    """
    for module in _masked_modules(net):
        for name in ("weight", "bias"):
            parameter = module._parameters.get(name)
            if parameter is not None and f"{name}_mask" not in module._buffers:
                module.register_buffer(f"{name}_mask", torch.ones_like(parameter))


def _masked_modules(net: nn.Module) -> list[nn.Module]:
    """Prunable layers, and the norms that belong to their groups."""
    layers = prunable_layers(net)
    outline = outline_of(net)
    norms = [feed.layer for feed in outline.feeds if feed.layer not in layers] if outline else []
    return [*layers.values(), *(net.get_submodule(norm) for norm in norms)]


def masks_of(net: nn.Module) -> dict[str, Tensor]:
    """The masks by layer, each a bool of its weight's shape."""
    return {name: layer.get_buffer("weight_mask") != 0 for name, layer in prunable_layers(net).items()}


@torch.no_grad()
def set_masks(net: nn.Module, masks: dict[str, Tensor]) -> None:
    """Stores masks (layers not named are left whole) and zeroes what they prune, norms included."""
    empty: dict[str, Tensor] = {}
    for name, layer in prunable_layers(net).items():
        mask = layer.get_buffer("weight_mask")
        mask.copy_(masks[name] if name in masks else torch.ones_like(mask))
        left = mask.flatten(1).amax(dim=1)
        if layer.bias is not None:
            layer.get_buffer("bias_mask").copy_(left)
        empty[name] = left == 0
    outline = outline_of(net)
    for feed in outline.feeds if outline else ():
        _follow(net.get_submodule(feed.layer), feed, empty)
    hold(net)


def _follow(module: nn.Module, feed: Feed, empty: dict[str, Tensor]) -> None:
    """Which channels of a norm, or units of a grouped convolution, are zero because all that feeds them is.

    Args:
        empty: by path, [units] bool: true where a unit is zero; the module's own is added.
    """
    device = next(iter(empty.values())).device
    silent = torch.zeros(len(feed.foreign), dtype=torch.bool, device=device)
    fed = ~feed.foreign.to(device)
    for path, units in feed.sources.items():
        units = units.to(device)
        off = empty[path][units.clamp_min(0)] if path in empty else torch.zeros_like(silent)
        silent |= units >= 0
        fed &= (units < 0) | off
    silent &= fed
    if isinstance(module, nn.Conv2d):  # a depthwise one without bias hands zeros on
        if module.bias is None:
            per_group = silent.view(module.groups, -1).all(dim=1)
            empty[feed.layer] = empty[feed.layer] | per_group.repeat_interleave(module.out_channels // module.groups)
        return
    empty[feed.layer] = silent & (module._parameters.get("weight") is not None)
    for name in ("weight_mask", "bias_mask"):
        if name in module._buffers:
            module.get_buffer(name).copy_(~silent)


@torch.no_grad()
def hold(net: nn.Module) -> None:
    """Zeroes every masked weight, the bias of every unit that has no weight left, and what norms make of it."""
    for module in _masked_modules(net):
        for name in ("weight", "bias"):
            mask = module._buffers.get(f"{name}_mask")
            if mask is not None:
                module.get_parameter(name).mul_(mask)


def drop_masks(net: nn.Module) -> nn.Module:
    """The network without its mask buffers, as it is delivered; changes it in place."""
    for module in _masked_modules(net):
        for name in ("weight_mask", "bias_mask"):
            module._buffers.pop(name, None)
    return net

"""A network's generic copy: what would come out whatever its numbers were, as long as its zeros stay zeros.

It is in double precision and its numbers are all positive, so that no unit hides behind a ReLU that happens to be
closed: a zero in it is a zero for every input.
"""

import copy
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.attention import plain_attention
from sparsweep.trainables.compact.trace import channel_dim, channelwise, is_cut
from sparsweep.trainables.groups import drop_masks, prunable_layers


@torch.no_grad()
def generic_copy(net: nn.Module, *, zeros_stay: bool) -> nn.Module:
    """The network on the CPU in evaluation mode, with positive random numbers in it; the same ones every time."""
    start = 0
    made = drop_masks(copy.deepcopy(net)).cpu().double().eval().requires_grad_(False)
    for module in made.modules():
        norm = is_cut(module) and not isinstance(module, nn.Conv2d | nn.Linear)
        statistics = [(name, tensor) for name, tensor in module._buffers.items() if name.startswith("running_")]
        for name, tensor in [*module._parameters.items(), *statistics]:
            if tensor is not None and tensor.is_floating_point():
                drawn = _drawn(start, tensor.numel()).view(tensor.shape) * _scale(tensor, name, norm)
                tensor.copy_(drawn.mul_(tensor != 0) if zeros_stay else drawn)
                start = (start + tensor.numel()) % len(_noise())
    return made


@cache
def _noise() -> Tensor:
    """Numbers in [.5, 1.5), drawn once a process; so many (a prime) that no two rows of a layer get the same ones."""
    return torch.rand(1_000_003, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5


def _drawn(start: int, count: int) -> Tensor:
    times = (start + count) // len(_noise()) + 1
    return (_noise() if times == 1 else _noise().repeat(times))[start : start + count]


def _scale(tensor: Tensor, name: str, norm: bool) -> float:
    """So that what layers and norms give stays near 1, and a norm's mean does not make it negative."""
    if tensor.dim() > 1:
        return 1 / tensor[0].numel()
    if name.startswith("running_"):
        return 1.0 if name == "running_var" else -1.0
    return (0.3 if name == "weight" else 1.0) if norm else 0.1


@torch.no_grad()
def trial_copy(net: nn.Module, example: Tensor) -> nn.Module:
    """A generic copy whose norms' statistics are those of what they read, so that numbers stay near 1."""
    made = generic_copy(net, zeros_stay=False)

    def calibrate(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module.running_mean, Tensor) and isinstance(module.running_var, Tensor):
            mean, spread = inputs[0].mean(), inputs[0].std(correction=0)
            noise = module.running_var / module.running_var.mean()
            module.running_mean.copy_(mean * (1 + 0.01 * noise))
            module.running_var.copy_(noise * torch.maximum(spread, 0.1 * mean.abs()).square())

    hooks = [module.register_forward_pre_hook(calibrate) for module in made.modules() if channelwise(module)]
    with plain_attention():
        made(example)
    for hook in hooks:
        hook.remove()
    return made


@torch.no_grad()
def zero_columns(net: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """Per layer [columns] bool: which of the columns it reads are zero whatever the input is; run on a generic copy."""
    zero: dict[str, Tensor] = {}

    def look(path: str, dim: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if inputs:  # not where they are given by name: the trace has not seen such a call either
                here = (inputs[0].movedim(dim, 0).reshape(inputs[0].shape[dim], -1) == 0).all(dim=1)
                zero[path] = zero[path] & here if path in zero else here

        return hook

    layers = prunable_layers(net)
    hooks = [layer.register_forward_pre_hook(look(path, channel_dim(layer))) for path, layer in layers.items()]
    hooks += [m.register_forward_hook(lambda m, i, output: output.abs()) for m in net.modules() if is_cut(m)]
    try:
        net(example)
    finally:
        for hook in hooks:
            hook.remove()
    return zero

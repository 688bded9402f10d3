"""Mask recovery: every weight goes on being trained, and a mask that proved wrong is taken back.

Source: Dynamic Network Surgery, Guo, Yao and Chen 2016, arXiv:1608.04493, section 3; the thresholds out of the
layer's mean and spread, .9 t and 1.1 t, and the decay of the probability follow the authors' released code. Ours: mean
and spread are those of the weights as they are at each renewal, and training starts from scratch.
"""

import torch
from torch import Tensor, nn

from sparsweep.trainables.groups import hold, masks_of, prunable_layers, set_masks

DENSE = "dense_weight"
"""Buffer of a layer: its weights W as if nothing were masked; the layer's own parameter is W ⊙ M."""
STEPS = "recovery_step"
"""Buffer of the network: how many steps were open to renewals so far. On the CPU, where it is read."""


def open_up(net: nn.Module) -> None:
    """Inserts the dense weights and the count of steps."""
    for layer in prunable_layers(net).values():
        layer.register_buffer(DENSE, layer.weight.detach().clone())
    net.register_buffer(STEPS, torch.zeros((), dtype=torch.int64))


def close_up(net: nn.Module) -> None:
    """Takes them out again; the parameters stay masked as they are."""
    for layer in prunable_layers(net).values():
        layer._buffers.pop(DENSE, None)
    net._buffers.pop(STEPS, None)


@torch.no_grad()
def track(net: nn.Module) -> None:
    """After the optimizer's step: W takes the step that each parameter took, then the parameters are masked again.

    A masked parameter was exactly 0 before the step, so the step is what it is now. This is the straight-through
    gradient: the optimizer was given ∂L/∂(W ⊙ M) for every weight, masked or not, and has no weight decay.
    """
    for layer in prunable_layers(net).values():
        kept = layer.get_buffer("weight_mask") != 0
        dense = layer.get_buffer(DENSE)
        dense.copy_(torch.where(kept, layer.weight, dense + layer.weight))
    hold(net)


@torch.no_grad()
def renew(net: nn.Module, spread: float) -> None:
    """Masks anew: what fell below its layer's threshold goes, what rose above it comes back with its dense weight.

    Args:
        spread: c of `renewed`.
    """
    masks = masks_of(net)
    layers = prunable_layers(net)
    wanted = {name: renewed(layer.get_buffer(DENSE), masks[name], spread) for name, layer in layers.items()}
    for layer in layers.values():
        layer.weight.copy_(layer.get_buffer(DENSE))
    set_masks(net, wanted)


def renewed(weight: Tensor, mask: Tensor, spread: float) -> Tensor:
    """One layer's next mask: off at |w| <= .9 t, on above 1.1 t, else as it was; t = max(mean + c·std, 0) of its |w|.

    Args:
        weight: dense weights, any shape.
        mask: bool of the same shape, true where the weight is in use.
        spread: c, any sign; the larger, the sparser.

    Returns:
        The next mask; the layer's largest weight is always in it.
    """
    size = weight.abs()
    threshold = (size.mean() + spread * size.std(correction=0)).clamp_min(0)
    following = (size > 1.1 * threshold) | (mask & (size > 0.9 * threshold))
    flat = following.flatten()  # not a view: a convolution's weight lies with its channels last
    flat[size.argmax()] = True
    return flat.view_as(following)


def open_to_renewal(net: nn.Module, decay: float, power: float) -> bool:
    """Draws whether this step renews the masks, with probability (1 + decay·step)^(-power), and counts the step."""
    steps = net.get_buffer(STEPS)
    chance = (1 + decay * int(steps)) ** -power
    steps += 1
    return bool(torch.rand(()) < chance)

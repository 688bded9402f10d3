"""A compact network that stands for its masked one while it is fine-tuned: the same steps, without what is zero anyway.

A pruned unit takes as long to train as any other while it is only masked. So fine-tuning works on the compact network,
and what it learns is written back to where it came from: the masked network stays the one that is scored and cut.
Gradients of what a compact network leaves out are zero, so that both learn the same, but for the order of sums.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.coupling import Couplings
from sparsweep.trainables.compact.removal import Compacted
from sparsweep.trainables.compact.selection import SelectedLinear
from sparsweep.trainables.compact.sites import narrow
from sparsweep.trainables.groups import drop_masks, prunable_layers

WHOLE_NUMBERS = {torch.float32: 2**24, torch.float64: 2**53}
"""Up to which every whole number has a floating-point number of its own."""


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A compact network, masked as the whole one is, that knows where its numbers come from."""

    net: nn.Module
    places: dict[str, Tensor]
    """Per parameter or buffer, [its size] int64: the place of each number in the whole network's, flattened."""

    @torch.no_grad()
    def write_back(self, whole: nn.Module) -> None:
        """Every number to its place; what the compact network has not stays as it is."""
        inner, outer = self.net.state_dict(), whole.state_dict()
        for path, places in self.places.items():
            flat = outer[path].flatten().clone()
            flat[places] = inner[path].flatten()
            outer[path].copy_(flat.view_as(outer[path]))


@torch.no_grad()
def inner_of(net: nn.Module, compacted: Compacted, couplings: Couplings) -> Inner:
    """The compact network of a masked one, to be fine-tuned in its place; `compacted.net` itself, given masks.

    Args:
        net: masked, from which `compacted` was made, and unchanged since.
    """
    places = _places(net, compacted, couplings)
    whole, inner = net.state_dict(), compacted.net
    inner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for path, where in places.items():
        module, _, name = path.rpartition(".")
        if (mask := whole.get(f"{path}_mask")) is not None:
            like = inner.get_submodule(module).state_dict()[name]
            inner.get_submodule(module).register_buffer(f"{name}_mask", mask.flatten()[where].view_as(like))
    return Inner(net=inner, places=places)


def _places(net: nn.Module, compacted: Compacted, couplings: Couplings) -> dict[str, Tensor]:
    """Read off a copy of the network whose numbers are their own places, narrowed in the same way."""
    numbered = drop_masks(copy.deepcopy(net))
    most = max(tensor.numel() for tensor in numbered.state_dict().values())
    numbered.to(next(kind for kind, last in WHOLE_NUMBERS.items() if most <= last))
    for tensor in numbered.state_dict().values():
        tensor.copy_(torch.arange(tensor.numel()).view(tensor.shape))
    narrow(numbered, couplings.groups, compacted.left)
    found = {path: tensor.flatten().long() for path, tensor in numbered.state_dict().items()}
    for name, layer in prunable_layers(compacted.net).items():
        if isinstance(layer, SelectedLinear):
            weight = found[f"{name}.weight"].view(layer.out_features, -1)
            found[f"{name}.weight"] = weight[:, layer.index.long()].flatten()
    return found

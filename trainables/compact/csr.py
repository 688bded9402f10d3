"""Linear layers whose weights are held as compressed sparse rows: a second delivery, where it measures faster.

On a CPU that pays for very sparse layers only, more so for large batches; zeros left in a dense tensor save nothing.
"""

import copy
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sparsweep.trainables.groups import prunable_layers

LEAST_SPARSITY = 0.9
"""Of a layer's weights; below, CSR is mostly a loss."""


class CsrLinear(nn.Module):
    """A linear layer on a CSR weight: [..., in] to [..., out], without gradients."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
            self.weight = layer.weight.detach().to_sparse_csr()
        self.bias = layer.bias
        self.index: Tensor | None = layer._buffers.get("index")
        """Of the inputs that are read (`selection.SelectedLinear`)."""

    def forward(self, inputs: Tensor) -> Tensor:
        if self.index is not None:
            inputs = inputs.index_select(-1, self.index)
        flat = inputs.reshape(-1, inputs.shape[-1])
        outputs = (self.weight @ flat.t()).t()  # three times as fast as F.linear, which inference mode refuses besides
        if self.bias is not None:
            outputs = outputs + self.bias
        return outputs.reshape(*inputs.shape[:-1], -1)


def sparse_layers(net: nn.Module) -> dict[str, nn.Linear]:
    """Linear layers with a share of at least LEAST_SPARSITY zeros, by path."""
    linear = {name: layer for name, layer in prunable_layers(net).items() if isinstance(layer, nn.Linear)}
    return {name: x for name, x in linear.items() if float((x.weight == 0).float().mean()) >= LEAST_SPARSITY}


def with_csr(net: nn.Module, layers: Sequence[str]) -> nn.Module:
    """A copy of a network with these linear layers as CSR."""
    made = copy.deepcopy(net)
    for name in layers:
        parent, _, child = name.rpartition(".")
        layer = made.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        setattr(made.get_submodule(parent), child, CsrLinear(layer))
    return made


@torch.inference_mode()
def faster_as_csr(net: nn.Module, inputs: Tensor, seconds: Callable[[Callable[[Tensor], object], Tensor], float]
                  ) -> tuple[str, ...]:  # fmt: skip
    """The sparse layers that take less time as CSR, each timed alone on what it reads when the network is given this.

    Args:
        seconds: of one call of a function on a tensor.
    """
    candidates = sparse_layers(net)
    read: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda m, given, name=name: read.__setitem__(name, given[0]))
        for name, layer in candidates.items()
    ]
    net(inputs)
    for hook in hooks:
        hook.remove()
    return tuple(
        name for name, layer in candidates.items()
        if name in read and seconds(CsrLinear(layer), read[name]) < seconds(layer, read[name])
    )  # fmt: skip

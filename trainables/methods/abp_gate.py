"""ABP's gates, and the share of multiply-adds that they keep; the method is `abp.py`."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from sparsweep.trainables.groups import Prunable, prunable_layers
from sparsweep.trainables.measures.macs import layer_macs
from sparsweep.trainables.output_gates import OutputGate, gates_of

ESTIMATORS = ("identity", "clipped", "sign_corrected")
HARD_FROM = 0.75
"""Share of training after which the training gate is the binary one."""


class ScoreGate(OutputGate):
    """The gate of one layer's filters.

    Attributes:
        score: v, [filters]; a parameter.
        hardness: λ in [0.5, 1]; a buffer.
    """

    score: nn.Parameter
    hardness: Tensor

    def __init__(self, name: str, layer: Prunable, *, threshold: float, estimator: str) -> None:
        super().__init__(name, layer)
        self.threshold, self.estimator = threshold, estimator
        self.score = nn.Parameter(torch.randn(layer.weight.shape[0]))
        self.register_buffer("hardness", torch.tensor(0.5))

    def kept(self) -> Tensor:
        """s(v) as bool [filters]; where it would be all false, the largest |v| is kept."""
        size = self.score.detach().abs()
        kept = size > self.threshold
        kept[size.argmax()] = True
        return kept

    def factor(self) -> Tensor:
        """The training gate with its estimated gradient, or s(v) in evaluation."""
        v, binary = self.score, self.kept().to(self.score)
        if not self.training:
            return binary
        mixed = self.hardness * binary + (1 - self.hardness) * v
        return mixed.detach() + self._slope() * (v - v.detach())  # the difference is exactly 0

    def _slope(self) -> Tensor:
        """∂gate/∂v as it is declared to be, [filters]."""
        v = self.score.detach()
        if self.estimator == "clipped":
            return 2 * self.hardness * (v.abs() <= 1)
        if self.estimator == "sign_corrected":
            return torch.where(v < 0, -1.0, 1.0)
        return torch.ones_like(v)

    def kept_share(self) -> Tensor:
        """Share of filters kept, a scalar; its gradient is that of the mean |v|."""
        size = self.score.abs()
        return (self.kept().to(size) + (size - size.detach())).mean()


def hardness_at(progress: float) -> float:
    """λ: sigmoid(20 · progress), so .5 at the start; 1 for the last quarter."""
    return 1.0 if progress >= HARD_FROM else 1 / (1 + math.exp(-20 * progress))


def macs_share(net: nn.Module) -> Tensor:
    """Share of the multiply-adds that the gates keep, differentiable in the scores.

    A layer's own share is (outputs kept) x (inputs kept); its inputs are taken to be the outputs of the gated layer
    defined before it, as they are in a chain.
    """
    gates = score_gates(net)
    device = next(net.parameters()).device
    total, kept_inputs = torch.zeros((), device=device), torch.ones((), device=device)
    for name, layer in prunable_layers(net).items():
        kept = gates[name].kept_share() if name in gates else torch.ones((), device=device)
        total = total + layer.get_buffer("macs_share") * kept * kept_inputs
        kept_inputs = kept
    return total


def store_macs(net: nn.Module, example_shape: tuple[int, ...]) -> None:
    """Gives every prunable layer its share of the network's multiply-adds as a buffer, not part of the state."""
    macs = layer_macs(net, example_shape)
    for name, layer in prunable_layers(net).items():
        share = torch.tensor(macs[name] / sum(macs.values()), device=layer.weight.device)
        layer.register_buffer("macs_share", share, persistent=False)


def drop_macs(net: nn.Module) -> None:
    """Takes the shares out again."""
    for layer in prunable_layers(net).values():
        layer._buffers.pop("macs_share", None)


def score_gates(net: nn.Module) -> dict[str, ScoreGate]:
    """The gates by path of their layer."""
    return cast(dict[str, ScoreGate], gates_of(net))

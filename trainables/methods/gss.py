"""GSS: Guided Structured Sparsity, with the constants and the terms of the authors' released code.

Source: Torfi, Shirvani, Soleymani and Nasrabadi 2018, arXiv:1802.09902:

    L = CE + .001·Σ_l Σ_g ‖w_g‖₂ + .01·Σ_l 1 / V_l,  V_l = the population variance of ‖w_g‖₂² within the layer

g are the filters and neurons; the output layer and the biases are in neither term, and there is no ε: where V_l is
exactly 0 the term has no value, and it is left out here. For the test every |w| <= .001 is set to zero, in every layer.
The penalty is GASL's authors' form; here it is always over filters, whatever is cut. Ours: `filter` cuts whole filters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space
from sparsweep.trainables.groups import Granularity, group_norms, scored_layers
from sparsweep.trainables.methods.gasl import Gasl
from sparsweep.trainables.methods.method import Method


@final
@dataclass(frozen=True, kw_only=True)
class Gss(Gasl):
    """Group lasso and reciprocal variance over filters, and a cut of what lies under a threshold."""

    sparsity_strength: float = 1e-3
    """λ_s >= 0."""
    attention_strength: float = 1e-2
    """λ_a >= 0; exactly 0 is the ablation (group lasso)."""
    threshold: float = 1e-3
    """τ >= 0: weights with |w| <= τ are cut at the end, or filters whose largest |w| is not above it."""
    granularity: Granularity = "weight"
    """What is cut and descended: `weight` as released, output layer included; `filter` is ours."""
    attention_form: str = field(default="inverse_variance", init=False)
    l1_strength: float = field(default=0.0, init=False)
    proximal: bool = field(default=False, init=False)

    paper: ClassVar[str] = "Torfi et al. 2018, arXiv:1802.09902"
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {
        "sparsity_strength": Float(low=0, high=1e3),
        "attention_strength": Float(low=0, high=1e3),
        "threshold": Float(low=0, high=1e3),
        "granularity": Choice(choices=("filter", "weight")),
    }
    default_space: ClassVar[Space] = Space(
        (
            Knob(name="granularity", range=Choice(choices=("filter", "weight"))),
            Knob(name="sparsity_strength", range=Float(low=3e-4, high=2e-2, log=True)),
            Knob(name="attention_strength", range=Float(low=1e-7, high=1e-2, log=True, or_zero=True)),
            Knob(name="threshold", range=Float(low=3e-3, high=2e-1, log=True), when={"granularity": "filter"}),
            Knob(name="threshold", range=Float(low=1e-3, high=1e-1, log=True), when={"granularity": "weight"}),
            Knob(name="learning_rate", range=Float(low=1e-3, high=2e-2, log=True), when={"granularity": "filter"}),
            Knob(name="learning_rate", range=Float(low=1e-4, high=2e-2, log=True), when={"granularity": "weight"}),
            Knob(name="finetune_epochs", range=Int(low=0, high=5)),
        )
    )
    known_good: ClassVar[tuple[Row, ...]] = (
        {
            "granularity": "filter",
            "sparsity_strength": 5e-3,
            "attention_strength": 1e-5,
            "threshold": 5e-2,
            "learning_rate": 1e-2,
            "finetune_epochs": 1,
        },
        {
            "granularity": "weight",
            "sparsity_strength": 1e-3,
            "attention_strength": 1e-2,
            "threshold": 1e-3,
            "learning_rate": 1e-4,
            "finetune_epochs": 1,
        },
    )

    def penalty(self, net: nn.Module) -> Tensor:
        """λ_s Σ R_l + λ_a Σ A_l over the filters of every layer but the output layer."""
        total = Method.penalty(self, net)
        for layer in scored_layers(net, "filter").values():
            norms = group_norms(layer.weight, "filter")
            total = total + self.sparsity_strength * norms.sum()
            if self.attention_strength > 0:
                total = total + self.attention_strength * self.attention(norms.square())
        return total

    def attention(self, energies: Tensor) -> Tensor:
        """1 / V of one layer's filter energies [filters]; a scalar, 0 with gradient 0 where V is exactly 0."""
        # The mean is summed in double: at equality every deviation, and so V, is exactly 0.
        variance = (energies - energies.mean(dtype=torch.float64).to(energies.dtype)).square().mean()
        there = variance > 0
        return torch.where(there, 1 / torch.where(there, variance, 1.0), 0.0)

"""GASL: Guided Attention for Sparsity Learning.

Source: Torfi, Shirvani, Soleymani, Nasrabadi 2019, arXiv:1901.01939. Reconstruction; the paper's text was not
available: the equations follow its abstract and the authors' earlier GSS code (arXiv:1802.09902).

    L = CE + λ_s Σ_l R_l + λ_a Σ_l A_l
    groups  R_l = Σ_g ‖w_g‖₂,  s_g = ‖w_g‖₂²      weights  R_l = Σ_i |w_i|,  s_i = w_i²
    A_l = 1 / (V_l + ε),  V_l = the population variance of s within the layer

By gradient descent on A_l the groups above the layer's mean energy grow and those below it shrink.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space
from sparsweep.trainables.groups import Granularity, expand, group_norms, scored_layers
from sparsweep.trainables.methods.method import Method, norm_scores
from sparsweep.trainables.scores import Scores

ATTENTION_FORMS = ("scale_free", "log_variance", "inverse_variance")


def group_sparse_knobs() -> tuple[Knob, ...]:
    """Knobs that GASL shares with group lasso; ranges hold no dead settings on the digits task."""
    groups = Float(low=3e-4, high=2e-2, log=True)
    strengths = {"filter": groups, "input": groups, "weight": Float(low=1e-6, high=1e-3, log=True)}
    proximal = Float(low=0.1, high=3.0, log=True)
    steps = {"filter": proximal, "input": proximal, "weight": Float(low=0.01, high=5.0, log=True)}
    return (
        Knob(name="granularity", range=Choice(choices=("filter", "input", "weight"))),
        Knob(name="proximal", range=Choice(choices=(False,))),
        *(
            Knob(name="sparsity_strength", range=allowed, when={"granularity": of, "proximal": step})
            for step, table in ((False, strengths), (True, steps))
            for of, allowed in table.items()
        ),
        Knob(name="threshold", range=Float(low=3e-3, high=2e-1, log=True)),
        Knob(name="learning_rate", range=Float(low=1e-3, high=2e-2, log=True)),
        Knob(name="finetune_epochs", range=Int(low=0, high=5)),
    )


def _attention_knobs() -> tuple[Knob, ...]:
    wide = Float(low=1e-5, high=3e-2, log=True, or_zero=True)
    inverse = Float(low=1e-6, high=1e-2, log=True, or_zero=True)
    inverse_weight = Float(low=1e-9, high=1e-5, log=True, or_zero=True)
    return (
        Knob(name="attention_form", range=Choice(choices=ATTENTION_FORMS)),
        *(Knob(name="attention_strength", range=wide, when={"attention_form": f}) for f in ATTENTION_FORMS[:2]),
        Knob(
            name="attention_strength",
            range=inverse_weight,
            when={"attention_form": "inverse_variance", "granularity": "weight"},
        ),
        Knob(name="attention_strength", range=inverse, when={"attention_form": "inverse_variance"}),
    )


@dataclass(frozen=True, kw_only=True)
class Gasl(Method):
    """Sparsity term, guided attention term, and a cut at a threshold on each group's largest weight."""

    sparsity_strength: float = 3e-3
    """λ_s >= 0."""
    attention_strength: float = 1e-3
    """λ_a >= 0; exactly 0 is the ablation (group lasso)."""
    attention_form: str = "scale_free"
    """`inverse_variance` is the authors'; `scale_free` divides s by its mean first, so that the term does not depend
    on the weights' scale; `log_variance` is -log(V + ε). The last two are ours."""
    threshold: float = 3e-2
    """τ >= 0: a group whose largest |w| is not above it is cut at the end of training."""
    granularity: Granularity = "filter"
    l1_strength: float = 0.0
    """λ_1 >= 0 of an additional Σ|w| (sparse group lasso)."""
    proximal: bool = False
    """R_l leaves the loss; its proximal step (group soft threshold) follows the optimizer's: exact zeros."""

    paper: ClassVar[str] = "Torfi et al. 2019, arXiv:1901.01939 (reconstruction)"
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {
        "sparsity_strength": Float(low=0, high=1e3),
        "attention_strength": Float(low=0, high=1e3),
        "attention_form": Choice(choices=ATTENTION_FORMS),
        "threshold": Float(low=0, high=1e3),
        "granularity": Choice(choices=("filter", "input", "weight")),
        "l1_strength": Float(low=0, high=1e3),
        "proximal": Choice(choices=(False, True)),
    }
    default_space: ClassVar[Space] = Space((*group_sparse_knobs(), *_attention_knobs()))
    known_good: ClassVar[tuple[Row, ...]] = (
        {
            "granularity": "filter",
            "proximal": False,
            "sparsity_strength": 3e-3,
            "threshold": 3e-2,
            "learning_rate": 5e-3,
            "finetune_epochs": 1,
            "attention_form": "scale_free",
            "attention_strength": 1e-3,
        },
        {
            "granularity": "weight",
            "proximal": False,
            "sparsity_strength": 1e-4,
            "threshold": 3e-2,
            "learning_rate": 2e-3,
            "finetune_epochs": 3,
            "attention_form": "scale_free",
            "attention_strength": 0.0,
        },
    )

    ablation: ClassVar[Row] = {"attention_strength": 0.0}

    def penalty(self, net: nn.Module) -> Tensor:
        """λ_s Σ R_l + λ_a Σ A_l + λ_1 Σ|w| over the scored layers."""
        total = super().penalty(net)
        for layer in scored_layers(net, self.granularity).values():
            norms = group_norms(layer.weight, self.granularity)
            if not self.proximal and self.sparsity_strength > 0:
                total = total + self.sparsity_strength * norms.sum()
            if self.attention_strength > 0:
                total = total + self.attention_strength * self.attention(norms.square())
            if self.l1_strength > 0:
                total = total + self.l1_strength * layer.weight.abs().sum()
        return total

    def attention(self, energies: Tensor) -> Tensor:
        """A_l of one layer's group energies [groups] or any shape; a scalar, finite at equality and at zero."""
        floor = 1e-12 if self.granularity == "weight" else 1e-8
        # The mean is summed in double: at equality every deviation, and so the gradient, is exactly 0.
        mean = energies.mean(dtype=torch.float64).to(energies.dtype)
        deviations = energies - mean
        if self.attention_form == "scale_free":
            deviations = deviations / (mean + 1e-12)
        variance = deviations.square().mean()
        if self.attention_form == "log_variance":
            return -(variance + floor).log()
        return 1 / (variance + floor)

    @torch.no_grad()
    def after_step(self, net: nn.Module, optimizer: torch.optim.Optimizer, progress: float) -> None:
        """The proximal step w_g ← w_g · max(0, 1 - η λ_s / ‖w_g‖), η the optimizer's learning rate."""
        if not self.proximal:
            return
        step = optimizer.param_groups[0]["lr"] * self.sparsity_strength
        for layer in scored_layers(net, self.granularity).values():
            norms = group_norms(layer.weight, self.granularity)
            shrink = (1 - step / norms.clamp_min(1e-30)).clamp_min(0)
            layer.weight.mul_(expand(shrink, layer.weight, self.granularity))

    @torch.no_grad()
    def scores(self, net: nn.Module) -> Scores:
        """Group norms; its own cut keeps a group whose largest |w| is above τ, and each layer's best group."""
        values = norm_scores(net, self.granularity)
        own = {}
        for name, layer in scored_layers(net, self.granularity).items():
            keep = (largest_weight(layer.weight, self.granularity) > self.threshold).flatten()
            keep[values[name].argmax()] = True
            own[name] = keep.view_as(values[name])
        return Scores(granularity=self.granularity, values=values, own=own, threshold=self.threshold)


def largest_weight(weight: Tensor, granularity: Granularity) -> Tensor:
    """max |w| of each group, shaped as the group's energies."""
    size = weight.detach().abs()
    if granularity == "weight":
        return size
    return (size if granularity == "filter" else size.transpose(0, 1)).flatten(1).amax(dim=1)

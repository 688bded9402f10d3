"""ABP: Adding Before Pruning, filters chosen by binary scores that are learned in one stage with the weights.

Source: Tian et al. 2021, IEEE TNNLS ("Adding Before Pruning: Sparse Filter Fusion for Deep Convolutional Neural
Networks via Auxiliary Attention"). Reconstruction; the paper's text was not available: the idea follows its abstract,
layer and gradient estimator the same authors' released code of a sibling method.

    s(v) = 1[|v| > t], v ~ N(0, 1) at first, one score a filter
    gate: λ s(v) + (1 - λ) v in training, s(v) in evaluation;  λ = sigmoid(20 · progress), 1 for the last quarter
    backward: ∂L/∂v := ∂L/∂gate

Ours: the gate behind the norm, the estimator `sign_corrected`, the budget term, and that a layer keeps at least one
filter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space
from sparsweep.trainables.groups import Granularity, prunable_layers, scored_layers
from sparsweep.trainables.methods.abp_gate import (
    ESTIMATORS,
    ScoreGate,
    drop_macs,
    hardness_at,
    macs_share,
    score_gates,
    store_macs,
)
from sparsweep.trainables.methods.method import Method, norm_scores
from sparsweep.trainables.output_gates import (
    GATE_POSITIONS,
    GatePosition,
    fold_gates,
    gate_parameters,
    gate_places,
    multiply,
    place_gate,
)
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.data import Split


@final
@dataclass(frozen=True, kw_only=True)
class Abp(Method):
    """Binary gates on filters, learned with the weights; its own cut is where the gates are 0, without fine-tuning."""

    score_threshold: float = 0.7
    """t >= 0: a filter stays whose |v| is above it; sets the size. Kept at first: .4 69 %, .6135 54 %, .8 42 %."""
    score_learning_rate: float = 0.06
    """The scores' learning rate as times the weights', >= 0; exactly 0 is the ablation: a random mask, kept."""
    estimator: str = "identity"
    """∂gate/∂v: `identity` 1, as published; `clipped` 2λ·1[|v| <= 1]; `sign_corrected` the sign of v, since |v| decides
    and a pull on v < 0 would work backwards (ours)."""
    gate_position: GatePosition = "after_norm"
    """`before_norm` as published. There a norm takes the scores' gradients away: rates above 1e-2 undo the pruning."""
    budget: float = 0.3
    """In [0, 1]: the share of multiply-adds that the budget term aims at."""
    budget_strength: float = 0.0
    """κ >= 0; 0 is no budget term, as published."""

    granularity: ClassVar[Granularity] = "filter"
    paper: ClassVar[str] = "Tian et al. 2021, IEEE TNNLS (reconstruction)"
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {
        "score_threshold": Float(low=0, high=10),
        "score_learning_rate": Float(low=0, high=1e3),
        "estimator": Choice(choices=ESTIMATORS),
        "gate_position": Choice(choices=GATE_POSITIONS),
        "budget": Float(low=0, high=1),
        "budget_strength": Float(low=0, high=1e4),
    }
    default_space: ClassVar[Space] = Space(
        (
            Knob(name="score_threshold", range=Float(low=0.2, high=1.0)),
            Knob(name="gate_position", range=Choice(choices=("after_norm",))),
            Knob(
                name="score_learning_rate",
                range=Float(low=1e-4, high=1e-2, log=True, or_zero=True),
                when={"gate_position": "before_norm"},
            ),
            Knob(name="score_learning_rate", range=Float(low=1e-2, high=3, log=True, or_zero=True)),
            Knob(name="estimator", range=Choice(choices=ESTIMATORS)),
            Knob(name="budget_strength", range=Float(low=3, high=100, log=True, or_zero=True)),
            Knob(name="budget", range=Float(low=0.05, high=0.6)),
            Knob(name="learning_rate", range=Float(low=1e-3, high=2e-2, log=True)),
            Knob(name="finetune_epochs", range=Int(low=0, high=5)),
        )
    )
    known_good: ClassVar[tuple[Row, ...]] = (
        {
            "score_threshold": 0.7,
            "gate_position": "after_norm",
            "score_learning_rate": 1.0,
            "estimator": "sign_corrected",
            "budget_strength": 10.0,
            "budget": 0.3,
            "learning_rate": 5e-3,
            "finetune_epochs": 1,
        },
    )
    ablation: ClassVar[Row] = {"score_learning_rate": 0.0}

    def check(self, net: nn.Module, example_shape: tuple[int, ...]) -> None:
        """A gate behind a norm must have a scale and a shift to be folded into."""
        gate_places(net, example_shape, scored_layers(net, "filter"), self.gate_position)

    def prepare(self, net: nn.Module, sample: Split) -> None:
        """Draws a score for every filter from the global generator, which the trial has seeded."""
        super().prepare(net, sample)
        shape = tuple(sample.inputs.shape[1:])
        layers = scored_layers(net, "filter")
        places = gate_places(net, shape, layers, self.gate_position)
        if self.budget_strength > 0:
            store_macs(net, shape)
        for name, layer in layers.items():
            gate = ScoreGate(name, layer, threshold=self.score_threshold, estimator=self.estimator)
            place_gate(net, places[name], gate)

    def learning_rates(self, net: nn.Module) -> Mapping[str, float]:
        """The scores' own."""
        return dict.fromkeys(gate_parameters(net), self.score_learning_rate)

    def penalty(self, net: nn.Module) -> Tensor:
        """κ (share of the multiply-adds kept - budget)²."""
        if self.budget_strength == 0:
            return super().penalty(net)
        return self.budget_strength * (macs_share(net) - self.budget).square()

    @torch.no_grad()
    def after_step(self, net: nn.Module, optimizer: torch.optim.Optimizer, progress: float) -> None:
        """Clamps v to ±max(1, 1.5 t) and sets λ for the step to come."""
        bound = max(1.0, 1.5 * self.score_threshold)
        for gate in score_gates(net).values():
            gate.score.clamp_(-bound, bound)
            gate.hardness.fill_(hardness_at(progress))

    @torch.no_grad()
    def fold(self, net: nn.Module) -> None:
        """Zeroes the filters whose gate is 0, with the scale and the shift of the norm where that was gated."""
        layers = prunable_layers(net)
        for name, gate in score_gates(net).items():
            multiply(layers[name], gate.kept().to(gate.score))
        fold_gates(net)
        drop_macs(net)

    @torch.no_grad()
    def scores(self, net: nn.Module) -> Scores:
        """Norms of the filters; its own cut keeps those that are not zero. The threshold is t, of |v|."""
        values = norm_scores(net, "filter")
        own = {name: norms > 0 for name, norms in values.items()}
        for name, kept in own.items():
            kept[values[name].argmax()] = True
        return Scores(granularity="filter", values=values, own=own, threshold=self.score_threshold)

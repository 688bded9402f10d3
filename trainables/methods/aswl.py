"""ASWL: Attention-based Simultaneous sparse structure and Weight Learning, each layer's density out of its attention.

Source: He, Shi, Dong 2021, arXiv:2111.02399, and its released code, of which two mistakes are not repeated (it sorts
signed weights, and never writes the pruned ones back).

    y = a · layer(x; W̄),  W̄ = W ⊙ M      one attention a a layer, 0.5 at first
    p = min((1 - a)^alpha, .99)           M is zero exactly at the ⌊p·n⌋ smallest |W|, at every step
    L = CE + gamma (S - r)² + λ ‖W̄‖²,     S = Σ (1 - p) n / Σ n, the expected density

The forward pass uses W̄ and all of W gets its gradient, W + (W ⊙ M - W).detach(), so a pruned weight can come back.
Here the parameter `weight` holds W̄ and the buffer `dense_weight` W, which comes to the same: the value is W̄ either way,
the gradient of that expression with respect to W is the one with respect to W̄, and Adam and SGD without weight decay
move a parameter by what its gradients say, wherever it stands. So W moves by what W̄ moved: where M keeps, that is W̄
itself, and where it prunes, W̄ was 0 and is now its own movement.

Ours: weight and bias divided by the first a, gamma rising linearly at first, the floor of a, a's own learning rate, the
freezing, the attention behind the norm, and that the bias of a unit without weights is zero with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast, final

import torch
from torch import Tensor, nn

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space
from sparsweep.trainables.cut import share_count
from sparsweep.trainables.groups import Granularity, Prunable, hold, masks_of, prunable_layers, set_masks
from sparsweep.trainables.methods.method import Method, norm_scores
from sparsweep.trainables.methods.surgery import DENSE, track
from sparsweep.trainables.output_gates import (
    GATE_POSITIONS,
    GatePosition,
    OutputGate,
    fold_gates,
    gate_parameters,
    gate_places,
    gates_of,
    multiply,
    norms_behind,
    place_gate,
)
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.data import Split

FIRST, FLOOR, CAP = 0.5, 0.01, 1 - 1e-4
"""Of a: where it begins; what it never falls below; what p caps it at, as alpha < 1 has an infinite slope at 1."""
LARGEST_PRUNED_SHARE = 0.99
ATTENTION_UNTIL, MASKS_UNTIL = 0.80, 0.95
"""Shares of training after which a, and then M, stay as they are."""


class Attention(OutputGate):
    """The attention of one layer.

    Attributes:
        attention: a, a scalar parameter.
        held: a as it was after the last step in which it was free; a buffer.
        ramp: share of gamma that counts, in [0, 1]; a buffer.
    """

    attention: nn.Parameter
    held: Tensor
    ramp: Tensor

    def __init__(self, name: str, layer: Prunable, *, ramp: float) -> None:
        super().__init__(name, layer)
        self.attention = nn.Parameter(torch.tensor(FIRST))
        self.register_buffer("held", torch.tensor(FIRST))
        self.register_buffer("ramp", torch.tensor(ramp))

    def factor(self) -> Tensor:
        return self.attention


@final
@dataclass(frozen=True, kw_only=True)
class Aswl(Method):
    """Prunes weights layer by layer as the layers' attention falls; its own cut is the stored M."""

    attention_decay: float = 3.0
    """gamma >= 0: how strongly the density is drawn to r; exactly 0 is the ablation."""
    pruning_factor: float = 1.0
    """alpha > 0: less prunes more at the same attention."""
    target_density: float = 0.1
    """r in [0, 1]: expected share of weights kept that the loss aims at."""
    weight_decay_strength: float = 0.0
    """λ >= 0 of ‖W̄‖², over the weights kept."""
    attention_learning_rate: float = 1.0
    """a's learning rate as times the weights', >= 0; with SGD 0.1."""
    ramp: float = 0.4
    """Share of training over which gamma rises from 0 to its full strength, in [0, 1]."""
    gate_position: GatePosition = "after_norm"
    """`before_norm` as published, for networks without norms only."""

    granularity: ClassVar[Granularity] = "weight"
    paper: ClassVar[str] = "He, Shi, Dong 2021, arXiv:2111.02399"
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {
        "attention_decay": Float(low=0, high=1e4),
        "pruning_factor": Float(low=0.01, high=100),
        "target_density": Float(low=0, high=1),
        "weight_decay_strength": Float(low=0, high=10),
        "attention_learning_rate": Float(low=0, high=1e3),
        "ramp": Float(low=0, high=1),
        "gate_position": Choice(choices=GATE_POSITIONS),
    }
    default_space: ClassVar[Space] = Space(
        (
            Knob(name="attention_decay", range=Float(low=0.1, high=10, log=True)),
            Knob(name="pruning_factor", range=Float(low=0.25, high=2, log=True)),
            Knob(name="target_density", range=Float(low=0, high=0.2)),
            Knob(name="learning_rate", range=Float(low=2e-3, high=1e-2, log=True)),
            Knob(name="finetune_epochs", range=Int(low=0, high=5)),
        )
    )
    known_good: ClassVar[tuple[Row, ...]] = (
        {
            "attention_decay": 3.0,
            "pruning_factor": 1.0,
            "target_density": 0.1,
            "learning_rate": 5e-3,
            "finetune_epochs": 1,
        },
    )
    ablation: ClassVar[Row] = {"attention_decay": 0.0}

    def check(self, net: nn.Module, example_shape: tuple[int, ...]) -> None:
        """A norm behind a layer takes out whatever factor comes before it, and the gradient of a with it."""
        gate_places(net, example_shape, prunable_layers(net), self.gate_position)
        norms = norms_behind(net, example_shape) if self.gate_position == "before_norm" else {}
        if norms:
            raise ValueError(
                "gate_position: before_norm gives an attention no gradient of the task where a norm follows: "
                f"{', '.join(f'{norm} behind {layer}' for layer, norm in norms.items())}. "
                "Use gate_position: after_norm"
            )

    @torch.no_grad()
    def prepare(self, net: nn.Module, sample: Split) -> None:
        """Places the attentions, divides what they multiply by their first value, stores W and the first M."""
        super().prepare(net, sample)
        layers = prunable_layers(net)
        places = gate_places(net, tuple(sample.inputs.shape[1:]), layers, self.gate_position)
        for name, layer in layers.items():
            multiply(net.get_submodule(places[name]), torch.tensor(1 / FIRST))
            place_gate(net, places[name], Attention(name, layer, ramp=float(self.ramp == 0)))
            layer.register_buffer(DENSE, layer.weight.detach().clone())
        self._renew(net)

    def learning_rates(self, net: nn.Module) -> Mapping[str, float]:
        """The attentions' own."""
        return dict.fromkeys(gate_parameters(net), self.attention_learning_rate)

    def penalty(self, net: nn.Module) -> Tensor:
        """gamma · ramp · (S - r)² + λ‖W̄‖²."""
        total = super().penalty(net)
        if self.attention_decay > 0:
            ramp = next(iter(_attentions(net).values())).ramp
            total = total + self.attention_decay * ramp * (self.density(net) - self.target_density).square()
        if self.weight_decay_strength > 0:
            squares = torch.stack([layer.weight.square().sum() for layer in prunable_layers(net).values()])
            total = total + self.weight_decay_strength * squares.sum()
        return total

    def pruned_share(self, attention: Tensor) -> Tensor:
        """p = min((1 - a)^alpha, .99), with a clipped to [.01, 1 - 1e-4]; of any shape, differentiable."""
        share: Tensor = (1 - attention.clamp(FLOOR, CAP)) ** self.pruning_factor
        return share.clamp_max(LARGEST_PRUNED_SHARE)

    def density(self, net: nn.Module) -> Tensor:
        """S, the expected share of weights kept; a scalar, differentiable in the attentions."""
        attentions = _attentions(net)
        sizes = {name: layer.weight.numel() for name, layer in prunable_layers(net).items()}
        kept = [(1 - self.pruned_share(attentions[name].attention)) * size for name, size in sizes.items()]
        return torch.stack(kept).sum() / sum(sizes.values())

    @torch.no_grad()
    def after_step(self, net: nn.Module, optimizer: torch.optim.Optimizer, progress: float) -> None:
        """W follows the optimizer; then a and M are renewed, or held once their time is over."""
        track(net)
        for gate in _attentions(net).values():
            if progress > ATTENTION_UNTIL:
                gate.attention.copy_(gate.held)
            gate.attention.clamp_(min=FLOOR)
            gate.held.copy_(gate.attention)
            gate.ramp.fill_(min(progress / self.ramp, 1.0) if self.ramp > 0 else 1.0)
        if progress <= MASKS_UNTIL:
            self._renew(net)

    def _renew(self, net: nn.Module) -> None:
        """M from W and a; W̄ from M."""
        masks = {}
        for name, gate in _attentions(net).items():
            layer = prunable_layers(net)[name]
            dense = layer.get_buffer(DENSE)
            pruned = share_count(float(self.pruned_share(gate.attention)), dense.numel())
            masks[name] = without_smallest(dense.abs(), pruned)
            layer.weight.copy_(dense)
        set_masks(net, masks)

    @torch.no_grad()
    def fold(self, net: nn.Module) -> None:
        """Multiplies a into the weights and biases, or into the norm behind them; W is forgotten, M stays."""
        fold_gates(net)
        for layer in prunable_layers(net).values():
            layer._buffers.pop(DENSE, None)
        hold(net)

    def scores(self, net: nn.Module) -> Scores:
        """|w|; its own cut is M, and the threshold the share of weights that M prunes."""
        values, masks = norm_scores(net, "weight"), masks_of(net)
        own = {name: masks[name] for name in values}
        share = 1 - sum(int(mask.sum()) for mask in own.values()) / sum(mask.numel() for mask in own.values())
        return Scores(granularity="weight", values=values, own=own, threshold=share)


def without_smallest(sizes: Tensor, pruned: int) -> Tensor:
    """A bool mask that is false for exactly the `pruned` smallest entries; of equals the lower index stays.

    The same as by `cut.positions`, without sorting: it is done for every layer at every step.
    """
    flat = sizes.flatten()
    if pruned == 0:
        return torch.ones_like(sizes, dtype=torch.bool)
    border = flat.kthvalue(pruned).values
    above, equal = flat > border, flat == border
    stay = flat.numel() - pruned - above.sum()
    return (above | (equal & (equal.cumsum(0) <= stay))).view_as(sizes)


def _attentions(net: nn.Module) -> dict[str, Attention]:
    return cast(dict[str, Attention], gates_of(net))

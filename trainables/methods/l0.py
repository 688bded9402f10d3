"""L0 regularisation: a stochastic gate on every group, trained by gradient descent on the expected number of weights.

Source: Louizos, Welling and Kingma 2018, arXiv:1712.01312, sections 2.2 to 2.4. With u ~ U(0, 1) and one log a a gate:

    s = sigmoid((log u - log(1 - u) + log a) / β),  z = clip((HIGH - LOW)·s + LOW, 0, 1)     (equations 10 and 11)
    P(z > 0) = sigmoid(log a - β·log(-LOW / HIGH))                                           (equation 12)
    in use, z = clip((HIGH - LOW)·sigmoid(log a) + LOW, 0, 1)                                (equation 13)
    L = CE + Σ_g P(z_g > 0)·(½·weight_decay·‖w_g‖² + λ·|g|) / N,  |g| the weights of the group

λ counts every weight of a group, as in the paper's section 2.4 and in the authors' released code. Ours: `filter` gates,
which multiply a layer's output; weights are initialised as torch does; where all gates of a layer are closed, its best
one is open.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space
from sparsweep.trainables.cut import living
from sparsweep.trainables.groups import Granularity, Prunable, expand, group_count, group_norms, scored_layers
from sparsweep.trainables.methods.method import Method, norm_scores
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.data import Split

LOW, HIGH = -0.1, 1.1
"""What the concrete variable is stretched to."""
TEMPERATURE = 2 / 3
"""β."""
GATE = "log_alpha"
"""Parameter of a gated layer: log a, [groups]."""
JITTER = 1e-2
"""Standard deviation of log a at the start, as released."""


def sampled_gates(log_alpha: Tensor) -> Tensor:
    """One draw of every gate, in [0, 1]; the noise comes from torch's global generator on the CPU."""
    noise = torch.rand(log_alpha.shape).clamp(1e-6, 1 - 1e-6).to(log_alpha.device)
    concrete = torch.sigmoid((noise.logit() + log_alpha) / TEMPERATURE)
    return ((HIGH - LOW) * concrete + LOW).clamp(0, 1)


def settled_gates(log_alpha: Tensor) -> Tensor:
    """The gates in use after training, in [0, 1]; where all would be closed the best one is fully open."""
    gates = ((HIGH - LOW) * torch.sigmoid(log_alpha) + LOW).clamp(0, 1)
    best = torch.zeros_like(gates)
    best[log_alpha.argmax()] = 1
    return torch.where(gates.any(), gates, best)


def open_probability(log_alpha: Tensor) -> Tensor:
    """P(z > 0) of every gate, in (0, 1)."""
    return torch.sigmoid(log_alpha - TEMPERATURE * math.log(-LOW / HIGH))


def _gates(layer: nn.Module) -> Tensor:
    log_alpha = layer.get_parameter(GATE)
    return sampled_gates(log_alpha) if layer.training else settled_gates(log_alpha)


def _along_channels(gates: Tensor, layer: nn.Module) -> Tensor:
    """[channels] so that it multiplies [..., channels] of a linear layer or [n, channels, height, width]."""
    return gates[:, None, None] if isinstance(layer, nn.Conv2d) else gates


def gate_inputs(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Hook before a layer. It holds no state, so that a network may be copied."""
    return (inputs[0] * _along_channels(_gates(layer), layer), *inputs[1:])


def gate_outputs(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    """Hook behind a layer: weights and bias alike."""
    return output * _along_channels(_gates(layer), layer)


@final
@dataclass(frozen=True, kw_only=True)
class L0(Method):
    """Hard concrete gates and the expected L0 norm; what the gates close is zero at the end, without a threshold."""

    sparsity_strength: float = 2e-5
    """λ / N >= 0, for every weight: the paper's λ by the number of training examples, so that it means the same for
    any amount of data."""
    weight_decay: float = 0.0
    """Of the weights, weighted by how probably they are in use: the paper's by N, >= 0."""
    keep_probability: float = 0.8
    """sigmoid(log a) at the start, in (0, 1): one less the paper's dropout rate."""
    gate_learning_rate: float = 10.0
    """Of the gates, times the weights' learning rate."""
    granularity: Granularity = "filter"
    """`filter`: a gate an output unit, its bias included; `input`: a gate an input unit, the paper's."""

    paper: ClassVar[str] = "Louizos et al. 2018, arXiv:1712.01312"
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {
        "sparsity_strength": Float(low=0, high=1e3),
        "weight_decay": Float(low=0, high=1e3),
        "keep_probability": Float(low=1e-3, high=0.999),
        "gate_learning_rate": Float(low=1e-3, high=1e3),
        "granularity": Choice(choices=("filter", "input")),
    }
    default_space: ClassVar[Space] = Space(
        (
            Knob(name="granularity", range=Choice(choices=("filter", "input"))),
            Knob(name="sparsity_strength", range=Float(low=2e-6, high=1e-4, log=True)),
            Knob(name="keep_probability", range=Float(low=0.65, high=0.95)),
            Knob(name="gate_learning_rate", range=Float(low=3, high=20, log=True)),
            Knob(name="learning_rate", range=Float(low=1e-3, high=2e-2, log=True)),
            Knob(name="finetune_epochs", range=Int(low=0, high=5)),
        )
    )
    known_good: ClassVar[tuple[Row, ...]] = tuple(
        {
            "granularity": granularity,
            "sparsity_strength": 2e-5,
            "keep_probability": 0.8,
            "gate_learning_rate": 10.0,
            "learning_rate": 1e-2,
            "finetune_epochs": 1,
        }
        for granularity in ("filter", "input")
    )
    ablation: ClassVar[Row] = {"sparsity_strength": 0.0}

    def check(self, net: nn.Module, example_shape: tuple[int, ...]) -> None:
        """Raises ValueError where a layer's inputs are not its weight's columns (grouped convolutions)."""
        if self.granularity != "input":
            return
        grouped = [n for n, x in scored_layers(net, "input").items() if isinstance(x, nn.Conv2d) and x.groups > 1]
        if grouped:
            raise ValueError(f"l0: granularity input has no gates for grouped convolutions ({grouped}): use filter")

    def prepare(self, net: nn.Module, sample: Split) -> None:
        """Inserts log a ~ N(logit(keep_probability), .01²) and the hooks that read it."""
        super().prepare(net, sample)
        start = math.log(self.keep_probability / (1 - self.keep_probability))
        for layer in scored_layers(net, self.granularity).values():
            drawn = start + JITTER * torch.randn(group_count(layer.weight, self.granularity))
            layer.register_parameter(GATE, nn.Parameter(drawn.to(layer.weight.device)))
            if self.granularity == "filter":
                layer.register_forward_hook(gate_outputs)
            else:
                layer.register_forward_pre_hook(gate_inputs)

    def learning_rates(self, net: nn.Module) -> Mapping[str, float]:
        """`gate_learning_rate` for every log a."""
        return {path: self.gate_learning_rate for path, _ in net.named_parameters() if path.rpartition(".")[2] == GATE}

    def penalty(self, net: nn.Module) -> Tensor:
        """Σ_g P(z_g > 0)·(½·weight_decay·‖w_g‖² + sparsity_strength·|g|)."""
        total = super().penalty(net)
        for layer in scored_layers(net, self.granularity).values():
            log_alpha = layer.get_parameter(GATE)
            cost: Tensor | float = self.sparsity_strength * layer.weight.numel() / log_alpha.numel()
            if self.weight_decay > 0:
                cost = cost + self.weight_decay / 2 * group_norms(layer.weight, self.granularity).square()
            total = total + (open_probability(log_alpha) * cost).sum()
        return total

    @torch.no_grad()
    def fold(self, net: nn.Module) -> None:
        """Multiplies the settled gates into the weights (and biases, for `filter`); takes gates and hooks out."""
        for layer in scored_layers(net, self.granularity).values():
            gates = settled_gates(layer.get_parameter(GATE))
            layer.weight.mul_(expand(gates, layer.weight, self.granularity))
            if self.granularity == "filter" and layer.bias is not None:
                layer.bias.mul_(gates)
            _take_out(layer)

    def scores(self, net: nn.Module) -> Scores:
        """Norms of the groups, gates folded in; the own cut keeps what is not zero. It has no threshold: 0."""
        values = norm_scores(net, self.granularity)
        bare = Scores(granularity=self.granularity, values=values, own={}, threshold=0.0)
        return Scores(granularity=self.granularity, values=values, own=living(net, bare), threshold=0.0)


def _take_out(layer: Prunable) -> None:
    delattr(layer, GATE)
    for hooks in (layer._forward_hooks, layer._forward_pre_hooks):
        for key in [key for key, hook in hooks.items() if hook in (gate_inputs, gate_outputs)]:
            del hooks[key]

"""Random pruning: the control that every method must beat at equal counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import nn

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space
from sparsweep.trainables.cut import cut, share_count
from sparsweep.trainables.groups import Granularity, group_norms, scored_layers
from sparsweep.trainables.methods.method import Method
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.data import Split


@final
@dataclass(frozen=True, kw_only=True)
class Random(Method):
    """Trains without any penalty; scores are drawn once, uniformly in [0, 1), and kept as buffers."""

    final_sparsity: float = 0.6
    """Share of groups (or weights) that its own cut prunes, in [0, 1)."""
    granularity: Granularity = "filter"

    paper: ClassVar[str] = "none (control)"
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {
        "final_sparsity": Float(low=0, high=0.9999),
        "granularity": Choice(choices=("filter", "input", "weight")),
    }
    default_space: ClassVar[Space] = Space(
        (
            Knob(name="granularity", range=Choice(choices=("filter", "weight"))),
            Knob(name="final_sparsity", range=Float(low=0.3, high=0.9)),
            Knob(name="learning_rate", range=Float(low=1e-3, high=2e-2, log=True)),
            Knob(name="finetune_epochs", range=Int(low=0, high=5)),
        )
    )
    known_good: ClassVar[tuple[Row, ...]] = (
        {
            "granularity": "filter",
            "final_sparsity": 0.6,
            "learning_rate": 5e-3,
            "finetune_epochs": 1,
        },
    )

    def prepare(self, net: nn.Module, sample: Split) -> None:
        """Draws the scores from the global generator, which the trial has seeded."""
        super().prepare(net, sample)
        for layer in scored_layers(net, self.granularity).values():
            shape = group_norms(layer.weight.detach(), self.granularity).shape
            drawn = torch.rand(shape).to(layer.weight.device)
            layer.register_buffer("random_score", drawn, persistent=False)  # a resumed trial draws the same again

    def scores(self, net: nn.Module) -> Scores:
        """The scores drawn at the start; the own cut keeps the best of each layer."""
        values = {n: layer.get_buffer("random_score") for n, layer in scored_layers(net, self.granularity).items()}
        bare = Scores(granularity=self.granularity, values=values, own={}, threshold=0.0)
        total = sum(v.numel() for v in values.values())
        own, _ = cut(bare, total - share_count(self.final_sparsity, total), balance="rank")
        return Scores(granularity=self.granularity, values=values, own=own, threshold=self.final_sparsity)

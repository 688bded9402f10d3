"""No pruning: what the network reaches as it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import nn

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space
from sparsweep.trainables.methods.method import Method, norm_scores
from sparsweep.trainables.scores import Scores


@final
@dataclass(frozen=True, kw_only=True)
class Dense(Method):
    """Trains and cuts nothing: one point a trial."""

    paper: ClassVar[str] = "none (control)"
    descends: ClassVar[bool] = False
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {}
    default_space: ClassVar[Space] = Space((Knob(name="learning_rate", range=Float(low=1e-3, high=2e-2, log=True)),))
    known_good: ClassVar[tuple[Row, ...]] = ({"learning_rate": 5e-3},)

    def scores(self, net: nn.Module) -> Scores:
        """Filter norms, all kept."""
        values = norm_scores(net, "filter")
        own = {name: torch.ones_like(v, dtype=torch.bool) for name, v in values.items()}
        return Scores(granularity="filter", values=values, own=own, threshold=0.0)

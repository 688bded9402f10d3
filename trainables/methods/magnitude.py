"""Magnitude pruning: keep the weights farthest from zero, the share of zeros growing gradually while training.

Source: Han et al. 2015, arXiv:1506.02626, section 3; schedule Zhu and Gupta 2017, arXiv:1710.01878, equation 1;
layer shares `erk` Evci et al. 2020, arXiv:1911.11134, section 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space
from sparsweep.trainables.cut import cut, positions, share_count, weight_masks
from sparsweep.trainables.groups import Granularity, hold, masks_of, scored_layers, set_masks
from sparsweep.trainables.methods.method import Method, norm_scores
from sparsweep.trainables.scores import Scores

LAYER_SHARES = ("global", "uniform", "erk")


@final
@dataclass(frozen=True, kw_only=True)
class Magnitude(Method):
    """Gradual magnitude pruning to `final_sparsity`; the masks are buffers, the own cut is where they end."""

    final_sparsity: float = 0.9
    """s_f in [0, 1): share of groups (or weights) of the scored layers that is zero at the end of training."""
    granularity: Granularity = "weight"
    layer_shares: str = "global"
    """`global` compares |w| over all layers, `uniform` prunes each alike, `erk` spares small layers."""
    begin: float = 0.1
    """Share of training after which pruning begins, in [0, 1)."""
    end: float = 0.7
    """Share of training at which s_f is reached, in (begin, 1]."""
    rounds: int = 30
    """How often the mask is renewed between begin and end, >= 1."""

    paper: ClassVar[str] = "Han et al. 2015, arXiv:1506.02626; Zhu and Gupta 2017, arXiv:1710.01878"
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {
        "final_sparsity": Float(low=0, high=0.9999),
        "granularity": Choice(choices=("filter", "input", "weight")),
        "layer_shares": Choice(choices=LAYER_SHARES),
        "begin": Float(low=0, high=0.49),
        "end": Float(low=0.5, high=1),
        "rounds": Int(low=1, high=10_000),
    }
    default_space: ClassVar[Space] = Space(
        (
            Knob(name="granularity", range=Choice(choices=("weight", "filter"))),
            Knob(name="final_sparsity", range=Float(low=0.5, high=0.95)),
            Knob(name="layer_shares", range=Choice(choices=LAYER_SHARES)),
            Knob(name="learning_rate", range=Float(low=1e-3, high=2e-2, log=True)),
            Knob(name="finetune_epochs", range=Int(low=0, high=5)),
        )
    )
    known_good: ClassVar[tuple[Row, ...]] = (
        {
            "granularity": "weight",
            "final_sparsity": 0.7,
            "layer_shares": "global",
            "learning_rate": 5e-3,
            "finetune_epochs": 1,
        },
    )

    def sparsity_at(self, progress: float) -> float:
        """s_t = s_f (1 - (1 - (t - t0)/(t1 - t0))³), in steps of `rounds`; 0 before begin, s_f from end on."""
        done = min(max((progress - self.begin) / (self.end - self.begin), 0.0), 1.0)
        done = int(done * self.rounds + 1e-9) / self.rounds
        return self.final_sparsity * (1 - (1 - done) ** 3)

    def after_step(self, net: nn.Module, optimizer: torch.optim.Optimizer, progress: float) -> None:
        """Renews the masks when the schedule has moved on, and holds what they prune at zero."""
        hold(net)  # before scoring: a pruned weight that the optimizer moved must not come back
        scores = norm_scores(net, self.granularity)
        wanted = self._keep(scores, self.sparsity_at(progress))
        if sum(wanted.values()) < _survivors(net, self.granularity):
            set_masks(net, weight_masks(net, self._bare(scores), self._kept(scores, wanted)))

    def scores(self, net: nn.Module) -> Scores:
        """|w| or the groups' norms; the own cut is what the final schedule keeps."""
        values = norm_scores(net, self.granularity)
        own = self._kept(values, self._keep(values, self.final_sparsity))
        return Scores(granularity=self.granularity, values=values, own=own, threshold=self.final_sparsity)

    def _keep(self, values: Mapping[str, Tensor], sparsity: float) -> dict[str, int]:
        """How many each layer keeps; for `global` the whole count stands under the empty name."""
        counts = {name: v.numel() for name, v in values.items()}
        total = sum(counts.values())
        if self.layer_shares == "global":
            return {"": total - share_count(sparsity, total)}
        if self.layer_shares == "uniform":
            return {name: max(n - share_count(sparsity, n), 1) for name, n in counts.items()}
        shapes = {name: tuple(v.shape) if v.dim() > 1 else (v.numel(), 1) for name, v in values.items()}
        return erk_keeps(shapes, total - share_count(sparsity, total))

    def _kept(self, values: Mapping[str, Tensor], keep: Mapping[str, int]) -> dict[str, Tensor]:
        if "" in keep:
            return cut(self._bare(values), keep[""], balance="none")[0]
        return {n: (positions(v.flatten()) >= v.numel() - keep[n]).view_as(v) for n, v in values.items()}

    def _bare(self, values: Mapping[str, Tensor]) -> Scores:
        return Scores(granularity=self.granularity, values=values, own={}, threshold=0.0)


def _survivors(net: nn.Module, granularity: Granularity) -> int:
    masks = masks_of(net)
    names = scored_layers(net, granularity)
    if granularity == "weight":
        return sum(int(masks[name].sum()) for name in names)
    kept = 0 if granularity == "filter" else 1
    return sum(int(masks[name].transpose(0, kept).flatten(1).any(dim=1).sum()) for name in names)


def erk_keeps(shapes: Mapping[str, tuple[int, ...]], keep: int) -> dict[str, int]:
    """Erdős-Rényi kernel: a layer's density is proportional to Σ dims / Π dims, no denser than 1.

    Args:
        shapes: per layer the dimensions of its weight.
        keep: how many survive in all, up to rounding.
    """
    sizes = {name: float(torch.Size(shape).numel()) for name, shape in shapes.items()}
    raw = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    full: set[str] = set()
    while True:
        rest = [name for name in shapes if name not in full]
        room = keep - sum(sizes[name] for name in full)
        scale = room / sum(raw[name] * sizes[name] for name in rest) if rest else 0.0
        over = {name for name in rest if scale * raw[name] > 1}
        if not over:
            break
        full |= over
    shares = {name: 1.0 if name in full else scale * raw[name] for name in shapes}
    return {name: min(max(round(shares[name] * sizes[name]), 1), int(sizes[name])) for name in shapes}

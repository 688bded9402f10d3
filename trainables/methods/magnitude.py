"""Magnitude pruning: keep the weights farthest from zero, the share of zeros growing gradually while training.

Source: Han et al. 2015, arXiv:1506.02626, section 3; schedule Zhu and Gupta 2017, arXiv:1710.01878, equation 1.
Layer shares `erk`: see `erk.py`. The option `recovery` is another way to the masks: see `surgery.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space
from sparsweep.trainables.cut import cut, living, positions, share_count, weight_masks
from sparsweep.trainables.groups import Granularity, hold, masks_of, scored_layers, set_masks
from sparsweep.trainables.methods import surgery
from sparsweep.trainables.methods.erk import erk_keeps
from sparsweep.trainables.methods.method import Method, norm_scores
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.data import Split

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
    recovery: bool = False
    """Masks of single weights by a threshold, and a masked weight may come back. How many go follows from
    `recovery_threshold`; of the knobs above only `begin` counts then."""
    recovery_threshold: float = 0.5
    """c: a layer's threshold is max(mean + c·std, 0) of its |w|."""
    recovery_decay: float = 1e-4
    """>= 0: a step renews the masks with probability (1 + recovery_decay·steps since begin)^(-recovery_power)."""
    recovery_power: float = 1.0
    """>= 0."""
    recovery_stop: float = 0.7
    """Share of training after which the masks stay as they are, in [0, 1]."""

    paper: ClassVar[str] = (
        "Han et al. 2015, arXiv:1506.02626; Zhu and Gupta 2017, arXiv:1710.01878; "
        "recovery: Guo et al. 2016, arXiv:1608.04493"
    )
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {
        "final_sparsity": Float(low=0, high=0.9999),
        "granularity": Choice(choices=("filter", "input", "weight")),
        "layer_shares": Choice(choices=LAYER_SHARES),
        "begin": Float(low=0, high=0.49),
        "end": Float(low=0.5, high=1),
        "rounds": Int(low=1, high=10_000),
        "recovery": Choice(choices=(False, True)),
        "recovery_threshold": Float(low=-100, high=100),
        "recovery_decay": Float(low=0, high=100),
        "recovery_power": Float(low=0, high=100),
        "recovery_stop": Float(low=0, high=1),
    }
    default_space: ClassVar[Space] = Space(
        (
            Knob(name="granularity", range=Choice(choices=("weight", "filter"))),
            Knob(name="recovery", range=Choice(choices=(False, True)), when={"granularity": "weight"}),
            Knob(name="recovery", range=Choice(choices=(False,)), when={"granularity": "filter"}),
            Knob(name="final_sparsity", range=Float(low=0.5, high=0.95), when={"recovery": False}),
            Knob(name="layer_shares", range=Choice(choices=LAYER_SHARES), when={"recovery": False}),
            Knob(name="recovery_threshold", range=Float(low=0.0, high=2.0), when={"recovery": True}),
            Knob(name="recovery_stop", range=Float(low=0.3, high=0.9), when={"recovery": True}),
            Knob(name="learning_rate", range=Float(low=1e-3, high=2e-2, log=True)),
            Knob(name="finetune_epochs", range=Int(low=0, high=5)),
        )
    )
    known_good: ClassVar[tuple[Row, ...]] = (
        {
            "granularity": "weight",
            "recovery": False,
            "final_sparsity": 0.7,
            "layer_shares": "global",
            "learning_rate": 5e-3,
            "finetune_epochs": 1,
        },
        {
            "granularity": "weight",
            "recovery": True,
            "recovery_threshold": 0.5,
            "recovery_stop": 0.7,
            "learning_rate": 5e-3,
            "finetune_epochs": 1,
        },
    )

    def check(self, net: nn.Module, example_shape: tuple[int, ...]) -> None:
        """Recovery is defined for single weights only; raises ValueError for anything else."""
        if self.recovery and self.granularity != "weight":
            raise ValueError(
                f"magnitude: recovery works on single weights, not on granularity {self.granularity!r}: "
                "use granularity: weight, or recovery: false"
            )

    def prepare(self, net: nn.Module, sample: Split) -> None:
        """Masks of ones; for recovery also the dense weights."""
        super().prepare(net, sample)
        if self.recovery:
            surgery.open_up(net)

    def sparsity_at(self, progress: float) -> float:
        """s_t = s_f (1 - (1 - (t - t0)/(t1 - t0))³), in steps of `rounds`; 0 before begin, s_f from end on."""
        done = min(max((progress - self.begin) / (self.end - self.begin), 0.0), 1.0)
        done = int(done * self.rounds + 1e-9) / self.rounds
        return self.final_sparsity * (1 - (1 - done) ** 3)

    def after_step(self, net: nn.Module, optimizer: torch.optim.Optimizer, progress: float) -> None:
        """Renews the masks when the schedule has moved on, and holds what they prune at zero."""
        if self.recovery:
            self._operate(net, progress)
            return
        hold(net)  # before scoring: a pruned weight that the optimizer moved must not come back
        scores = norm_scores(net, self.granularity)
        wanted = self._keep(scores, self.sparsity_at(progress))
        if sum(wanted.values()) < _survivors(net, self.granularity):
            set_masks(net, weight_masks(net, self._bare(scores), self._kept(scores, wanted)))

    def _operate(self, net: nn.Module, progress: float) -> None:
        surgery.track(net)
        if not self.begin < progress <= self.recovery_stop:
            return
        if surgery.open_to_renewal(net, self.recovery_decay, self.recovery_power):
            surgery.renew(net, self.recovery_threshold)

    def fold(self, net: nn.Module) -> None:
        """Drops the dense weights that recovery tracked; the masked ones stay zero."""
        surgery.close_up(net)

    def scores(self, net: nn.Module) -> Scores:
        """|w| or the groups' norms; the own cut is what the final schedule keeps, or what recovery left."""
        values = norm_scores(net, self.granularity)
        if self.recovery:
            left = living(net, self._bare(values))
            return Scores(granularity="weight", values=values, own=left, threshold=self.recovery_threshold)
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

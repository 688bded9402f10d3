"""ANP: attentive network pruning, by the connections that a top-down attention pass draws on.

Source: Biparva, Tsotsos 2020, arXiv:2005.04559. Reconstruction; the paper's text was not available: the pass is that of
the authors' released selective-tuning kernel (`anp_evidence`), pruning on what it gathers is ours.

    train densely, then R times {gather A, H over the sample; E = A / times active; prune each layer by (E, then |w|)},
    training on with the pruned weights held at zero

Half of the entries and more have no evidence after one pass, so |w| decides among them. On the digits the order by
evidence adds nothing over the order by |w| alone (`evidence: magnitude`, the ablation) that would stand out of the
noise, and under the competition `all` it falls behind it from 90 % sparsity on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, prod
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space
from sparsweep.trainables.chain import check_chain
from sparsweep.trainables.cut import positions, share_count
from sparsweep.trainables.groups import hold, masks_of, prunable_layers, scored_layers, set_masks
from sparsweep.trainables.methods.anp_competition import COMPETITIONS, LARGEST_WINDOW
from sparsweep.trainables.methods.anp_evidence import Evidence, evidence_of
from sparsweep.trainables.methods.method import Method
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.data import Split

RULES = ("top", "selected", "relative")
EVIDENCES = ("top_down", "random", "magnitude")
SCORED_IMAGES = 300
"""How much of the sample the scores of a descent are drawn from."""


@final
@dataclass(frozen=True, kw_only=True)
class Anp(Method):
    """Rounds of pruning single weights without evidence; the masks are buffers, the own cut is where they end."""

    rounds: int = 5
    """R >= 1, equally spaced over the training from `begin` on; each is followed by training."""
    keep_per_round: float = 0.75
    """Share of a layer's surviving weights that a round keeps (rule `top`), or keeps at least (the other rules)."""
    rule: str = "top"
    """`top` keeps the best `keep_per_round`, `selected` all with H > 0, `relative` all with E ≥ threshold · mean E."""
    threshold: float = 0.5
    """Of the rule `relative`, times the mean E of a layer's survivors, >= 0."""
    competition: str = "statistical"
    """Which winners of a linear unit share its attention: `all`, the best (`argmax`), those far above the mean."""
    offset: int = 0
    """How many levels easier `statistical` is than the first at which a unit keeps any input."""
    begin: float = 0.2
    """Share of the training before the first round, in [0, 1)."""
    first_conv_minimum: float = 0.6
    """Share of its weights that the first layer keeps to the end if it is a convolution, in [0, 1]."""
    evidence_images: int = 10_000
    """How many training images a round goes over, classes as evenly as can be; fewer where there are fewer."""
    evidence: str = "top_down"
    """What orders a layer's weights: the top-down pass; the controls are `magnitude` (|w|) and `random`."""

    paper: ClassVar[str] = "Biparva, Tsotsos 2020, arXiv:2005.04559 (reconstruction)"
    wants_classes: ClassVar[bool] = True
    ablation: ClassVar[Row] = {"evidence": "magnitude"}
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {
        "rounds": Int(low=1, high=1000),
        "keep_per_round": Float(low=0.01, high=0.999),
        "rule": Choice(choices=RULES),
        "threshold": Float(low=0, high=1e3),
        "competition": Choice(choices=COMPETITIONS),
        "offset": Int(low=0, high=5),
        "begin": Float(low=0, high=0.95),
        "first_conv_minimum": Float(low=0, high=1),
        "evidence_images": Int(low=1, high=10_000_000),
        "evidence": Choice(choices=EVIDENCES),
    }
    default_space: ClassVar[Space] = Space(
        (
            Knob(name="rounds", range=Int(low=2, high=10)),
            Knob(name="keep_per_round", range=Float(low=0.5, high=0.9)),
            Knob(name="rule", range=Choice(choices=RULES)),
            Knob(name="threshold", range=Float(low=0.03, high=2, log=True), when={"rule": "relative"}),
            Knob(name="competition", range=Choice(choices=COMPETITIONS)),
            Knob(name="learning_rate", range=Float(low=1e-3, high=2e-2, log=True)),
            Knob(name="finetune_epochs", range=Int(low=0, high=5)),
        )
    )
    known_good: ClassVar[tuple[Row, ...]] = (
        {
            "rounds": 5,
            "keep_per_round": 0.75,
            "rule": "top",
            "competition": "statistical",
            "learning_rate": 5e-3,
            "finetune_epochs": 1,
        },
    )

    @property
    def sample_size(self) -> int:
        return max(self.evidence_images, SCORED_IMAGES)

    def check(self, net: nn.Module, example_shape: tuple[int, ...]) -> None:
        """Only chains of layers are served: attention cannot be handed down through additions or concatenations."""
        try:
            check_chain(net, example_shape)
            for name, layer in prunable_layers(net).items():
                if isinstance(layer, nn.Conv2d) and layer.kernel_size[0] * (layer.kernel_size[1] + 1) > LARGEST_WINDOW:
                    raise ValueError(f"`{name}` has a kernel of {layer.kernel_size}, larger than 7x7")
        except ValueError as fault:
            raise ValueError(
                f"anp cannot serve this network: {fault}. It takes plain chains of convolution, linear, BatchNorm, "
                "ReLU, max-pooling, flatten and dropout; use `gasl` or `magnitude` instead"
            ) from fault

    def prepare(self, net: nn.Module, sample: Split) -> None:
        """Masks; the sample; how many rounds are done; random scores for the control that uses them."""
        super().prepare(net, sample)
        net.register_buffer("anp_inputs", sample.inputs, persistent=False)
        net.register_buffer("anp_labels", sample.labels, persistent=False)
        net.register_buffer("anp_rounds_done", torch.zeros((), dtype=torch.int64))
        if self.evidence == "random":
            for layer in prunable_layers(net).values():
                drawn = torch.rand(layer.weight.shape, dtype=torch.float64).to(layer.weight.device)
                layer.register_buffer("anp_random", drawn)

    def rounds_due(self, progress: float) -> int:
        """How many of the rounds are due: the first at `begin`, the last one R-th of the rest before the end."""
        if progress < self.begin:
            return 0
        return min(floor((progress - self.begin) / (1 - self.begin) * self.rounds + 1e-9) + 1, self.rounds)

    def after_step(self, net: nn.Module, optimizer: torch.optim.Optimizer, progress: float) -> None:
        """Holds the pruned weights at zero; prunes where a round is due."""
        hold(net)
        done = net.get_buffer("anp_rounds_done")
        for _ in range(self.rounds_due(progress) - int(done)):
            set_masks(net, self.pruned(net, self._sample(net, self.evidence_images)))
            done += 1

    def pruned(self, net: nn.Module, sample: Split) -> dict[str, Tensor]:
        """The masks after one more round."""
        counted = self.evidence == "top_down" or self.rule != "top"
        found = evidence_of(net, sample, competition=self.competition, offset=self.offset) if counted else {}
        masks = masks_of(net)
        kept = {}
        for at, (name, layer) in enumerate(prunable_layers(net).items()):
            alive = masks[name]
            count = self._count(alive, found.get(name))
            if at == 0 and isinstance(layer, nn.Conv2d):
                count = max(count, ceil(self.first_conv_minimum * alive.numel() - 1e-9))
            kept[name] = best_weights(self._places(layer, alive, found.get(name)), alive, count)
        return kept

    def fold(self, net: nn.Module) -> None:
        """Drops what only training needed; the sample shrinks to what scores are drawn from, copied out of the rest."""
        small = self._sample(net, SCORED_IMAGES)
        net.register_buffer("anp_inputs", small.inputs.clone(), persistent=False)
        net.register_buffer("anp_labels", small.labels.clone(), persistent=False)
        del net.anp_rounds_done

    @torch.no_grad()
    def scores(self, net: nn.Module) -> Scores:
        """Each weight's place in its layer by (E, then |w|), from 1; pruned ones 0. The own cut is the stored masks.

        The threshold is the share of a layer's weights that the rounds leave by the rule `top`.
        """
        found: Mapping[str, Evidence] = {}
        if self.evidence == "top_down":
            sample = self._sample(net, SCORED_IMAGES)
            found = evidence_of(net, sample, competition=self.competition, offset=self.offset)
        masks = masks_of(net)
        values, own = {}, {}
        for name, layer in scored_layers(net, "weight").items():
            places = self._places(layer, masks[name], found.get(name)) + 1
            values[name] = places.double().view(layer.weight.shape) * masks[name]
            own[name] = masks[name]
        return Scores(granularity="weight", values=values, own=own, threshold=self.keep_per_round**self.rounds)

    def _sample(self, net: nn.Module, size: int) -> Split:
        return Split(inputs=net.get_buffer("anp_inputs")[:size], labels=net.get_buffer("anp_labels")[:size])

    def _count(self, alive: Tensor, found: Evidence | None) -> int:
        """How many weights of a layer the round keeps by its rule."""
        survivors = int(alive.sum())
        least = survivors - share_count(1 - self.keep_per_round, survivors)
        if self.rule == "top" or found is None:
            return least
        if self.rule == "selected":
            return max(least, int((found.hits[alive] > 0).sum()))
        mean = found.mean()[alive]
        return max(least, int((mean >= self.threshold * mean.mean()).sum()))

    def _places(self, layer: nn.Conv2d | nn.Linear, alive: Tensor, found: Evidence | None) -> Tensor:
        """Place of each weight in its layer, int64 [weights]: by evidence, then by |w|; the pruned ones are last."""
        size = layer.weight.detach().abs().flatten()
        if self.evidence == "random":
            first = layer.get_buffer("anp_random").flatten()
        elif self.evidence == "magnitude" or found is None:
            first = torch.zeros_like(size)
        else:
            first = found.mean().flatten()
        return places_of(first.masked_fill(~alive.flatten(), -1.0), size)


def places_of(first: Tensor, second: Tensor) -> Tensor:
    """Places from the smallest, 0-based, by `first`, of equals by `second`, of equals the lower index stands higher."""
    order = positions(second.flatten()).argsort()
    order = order[first.flatten()[order].argsort(stable=True)]
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order), device=order.device)
    return places


def best_weights(places: Tensor, alive: Tensor, count: int) -> Tensor:
    """Survivors of a layer: exactly `count`, unless so many or so few are left that this cannot be.

    Every unit that has a weight left keeps its best one.

    Args:
        places: [weights], each place once; higher is better, and all that is pruned stands below all that is not.
        alive: bool of the weight's shape.
    """
    rows = places.view(len(alive), -1)
    first = torch.zeros_like(rows, dtype=torch.bool).scatter_(1, rows.argmax(dim=1, keepdim=True), True)
    safe = (first & alive.flatten(1)).flatten()
    count = min(max(count, int(safe.sum())), int(alive.sum()))
    ranked = places + safe * prod(alive.shape)
    kept: Tensor = ranked.argsort(descending=True)[:count]
    return torch.zeros_like(safe).index_fill_(0, kept, True).view_as(alive)

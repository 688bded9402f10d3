"""What a cut took may come back at the next one, in exchange for survivors that matter less.

Sources: RigL (Evci et al. 2020, arXiv:1911.11134) grows connections where the loss has the largest gradient; CHEX (Hou
et al. 2022, arXiv:2203.15794) lets channels come back with the weights that they last had. This is neither of them:

1. what the last cut took stands again, on a copy of the network, as it was before that cut;
2. there every group (or weight, or set of tied groups) has an importance: the mean over small batches of training
   examples of (sum of gradient times weight)², to first order the square of what removing it does to the loss
   (Molchanov et al. 2019, arXiv:1906.10771, the first-order form);
3. after the next cut has chosen its survivors, the most important lost ones and the least important survivors *of the
   same layer* change places as long as the lost one is worth more, the pairs that gain most first, and at most a share
   of what was lost.

So a cut leaves in every layer as many as without regrowth: counts, minimum widths, multiples and executed multiply-adds
stay what they are. Of equals the lower index comes back, and the higher one goes. Weights come back as they last were.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparsweep.trainables.cut import share_count, weight_masks
from sparsweep.trainables.groups import Granularity, prunable_layers, set_masks
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.split import Split
from sparsweep.trainables.tying import lots_of, positions

EXAMPLES, BATCH = 256, 32
"""Training examples that importance is taken from, and how many of them a gradient is of."""


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """A network just before its last cut."""

    state: Mapping[str, Tensor]
    """Its `state_dict`, copied."""
    alive: Mapping[str, Tensor]
    """What there was to cut, per layer in the scores' shape."""


@dataclass(frozen=True, kw_only=True)
class Regrowth:
    """How things come back in one trial."""

    share: float
    """Of what the last cut took, in [0, 1)."""
    train: Split
    loss_of: Callable[[Tensor, Tensor], Tensor]
    ties: Mapping[str, Tensor]
    """As `cut.cut` takes them."""

    def survivors(
        self, net: nn.Module, scores: Scores, kept: Mapping[str, Tensor], alive: Mapping[str, Tensor], earlier: Earlier
    ) -> dict[str, Tensor]:  # fmt: skip
        """Those that a cut leaves, some of them given for what the last cut took; per layer as many as were kept.

        Args:
            net: the network before this cut; it stays as it is.
            scores: of it.
            kept: what this cut leaves by itself.
            alive: what the last cut left.
            earlier: the network before the last cut.
        """
        lost = {name: earlier.alive[name] & ~left for name, left in alive.items()}
        if share_count(self.share, sum(int(each.sum()) for each in lost.values())) == 0:
            return dict(kept)
        whole, standing = copy.deepcopy(net), {name: left | lost[name] for name, left in alive.items()}
        set_masks_and_restore(whole, weight_masks(whole, scores, standing), earlier.state)
        sizes = [left.numel() for left in kept.values()]
        lots = lots_of(scores, sizes, self.ties)
        sets = torch.arange(sum(sizes)) if lots is None else lots.cpu()
        worth = importance(whole, batches_of(self.train), self.loss_of, kept, scores.granularity, sets)
        mine, theirs = (torch.cat([each[name].flatten().cpu() for name in kept]) for each in (kept, lost))
        staying = torch.zeros_like(mine).scatter_reduce(0, sets, mine, "amax")
        missing = torch.zeros_like(mine).scatter_reduce(0, sets, theirs, "amax") & ~staying
        back, gone = exchanged(
            staying, missing, worth, kinds_of(sizes, None if lots is None else sets, mine | theirs), self.share
        )
        after = (mine & ~torch.isin(sets, gone)) | (theirs & torch.isin(sets, back))
        pieces = zip(kept.items(), torch.split(after, sizes), strict=True)
        return {name: piece.view_as(left).to(left.device) for (name, left), piece in pieces}


def batches_of(split: Split) -> Iterable[tuple[Tensor, Tensor]]:
    """At most EXAMPLES training examples, evenly spaced and always the same, in batches of inputs and labels."""
    chosen = torch.arange(0, len(split), max(1, len(split) // EXAMPLES))[:EXAMPLES]
    for which in torch.split(chosen, BATCH):
        part = split.part(which.to(split.labels.device))
        yield part.inputs, part.labels


def importance(
    net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], loss_of: Callable[[Tensor, Tensor], Tensor],
    layers: Iterable[str], granularity: Granularity, sets: Tensor,
) -> Tensor:  # fmt: skip
    """[all] float64, >= 0: of every set of groups, at the place of its number; see the module's text.

    Args:
        net: in which what was lost stands again; its gradients are left alone.
        sets: [all] the number of the set that each group of these layers belongs to, itself where it stands alone.
    """
    found, device = prunable_layers(net), next(net.parameters()).device
    weights = [found[name].weight for name in layers]
    total, count = torch.zeros(len(sets), dtype=torch.float64), 0
    net.eval()
    for inputs, labels in batches:
        loss = loss_of(net(inputs.to(device)).float(), labels.to(device))
        slopes = torch.autograd.grad(loss, weights, materialize_grads=True)
        sums = [_sums((s * w).detach(), granularity) for s, w in zip(slopes, weights, strict=True)]
        joined = torch.cat(sums).double().cpu()  # on a GPU scatter_add would add in any order
        total += torch.zeros_like(total).scatter_add(0, sets, joined).square()
        count += 1
    return total / max(count, 1)


def _sums(values: Tensor, granularity: Granularity) -> Tensor:
    """[groups] sums over each group of a weight's values."""
    if granularity == "weight":
        return values.flatten()
    rows = values if granularity == "filter" else values.transpose(0, 1)
    return rows.flatten(1).sum(dim=1)


def kinds_of(sizes: list[int], sets: Tensor | None, there: Tensor) -> Tensor:
    """[all] which sets may change places: those with as many members in each layer. Without sets, the layer's number.

    Args:
        sizes: groups per layer.
        sets: as in `importance`; None where each group stands alone.
        there: [all] bool, the members that count.
    """
    layer = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    if sets is None:
        return layer
    members = torch.zeros(len(sets), len(sizes), dtype=torch.int64)
    members.index_put_((sets[there], layer[there]), torch.ones(()).long(), accumulate=True)
    numbers: Tensor = torch.unique(members, dim=0, return_inverse=True)[1]
    return numbers


def exchanged(kept: Tensor, lost: Tensor, worth: Tensor, kinds: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """[n], [n] int64: which come back, and which survivors go in their place.

    Args:
        kept: [all] bool, survivors.
        lost: [all] bool, what may come back; none of it is kept.
        worth: [all] importance.
        kinds: [all] int64; only equals change places.
        share: of the lost, in [0, 1], rounded down.

    >>> kept, lost = torch.tensor([True, True, False, False]), torch.tensor([False, False, True, True])
    >>> exchanged(kept, lost, torch.tensor([1.0, 5.0, 4.0, 2.0]), torch.zeros(4), share=0.5)
    (tensor([2]), tensor([0]))
    """
    back, gone = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, dtype=torch.int64)]
    places = positions(worth)
    for kind in torch.unique(kinds[lost]):
        best, least = ((each & (kinds == kind)).nonzero().flatten() for each in (lost, kept))
        pairs = min(len(best), len(least))
        back.append(best[places[best].argsort(descending=True)][:pairs])
        gone.append(least[places[least].argsort()][:pairs])
    into, out = torch.cat(back), torch.cat(gone)
    gain = worth[into] - worth[out]
    order = gain.argsort(descending=True, stable=True)[: share_count(share, int(lost.sum()))]
    order = order[gain[order] > 0]
    return into[order], out[order]


@torch.no_grad()
def set_masks_and_restore(net: nn.Module, masks: dict[str, Tensor], earlier: Mapping[str, Tensor]) -> None:
    """Stores masks as `groups.set_masks` does; what they no longer hold at zero is again what it was earlier.

    A norm's running mean and variance come back with its channel: while that was zero they went to zero too.
    """
    before = {
        path: mask.clone() for path, mask in net.state_dict().items() if path.endswith(("weight_mask", "bias_mask"))
    }
    set_masks(net, masks)
    state = net.state_dict()
    for path, old in before.items():
        stem, part = path.removesuffix("_mask").rpartition(".")[::2]
        back = (old == 0) & (state[path] != 0)
        statistics = ("running_mean", "running_var") if part == "weight" else ()
        for name in (part, *statistics):
            whole = f"{stem}.{name}" if stem else name
            if whole in state and bool(back.any()):
                state[whole][back] = earlier[whole][back]

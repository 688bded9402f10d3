"""From scores to exact masks.

Scores of different layers are not comparable as they are: a *layer balance* makes them so, then one global order
decides. Exact counts: asked to keep n, exactly n are kept (more only where every layer keeps its minimum); of equal
scores the lower index is kept, layers in order of definition. Filters that can only be removed together may be *tied*:
then they are cut together, by the mean of their balanced scores, and counts are exact up to the size of such a set.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from sparsweep.trainables.groups import expand, group_norms, prunable_layers
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tying import averaged, best_lots, lots_of, round_up
from sparsweep.trainables.tying import positions as positions

LayerBalance = Literal["auto", "rank", "lamp", "mean", "max", "rms", "none"]
"""`auto` is rank for groups and LAMP for weights, the best measured of each."""
LAYER_BALANCES: tuple[str, ...] = get_args(LayerBalance)


def balanced(values: Tensor, balance: str) -> Tensor:
    """One layer's scores in a unit that is comparable between layers; same shape, order within the layer unchanged.

    rank: position / count in (0, 1]. lamp: s² / Σ of all s'² that are not smaller (Lee et al. 2021,
    arXiv:2010.07611, equation 2). mean, max, rms: divided by the layer's. none: as it is.
    """
    flat = values.flatten().double()
    if balance == "rank":
        return (positions(flat) + 1).div(flat.numel()).view_as(values)
    if balance == "lamp":
        return _lamp(flat).view_as(values)
    scales = {"mean": flat.mean(), "max": flat.max(), "rms": flat.square().mean().sqrt(), "none": torch.ones(())}
    scale = scales[balance].to(flat)
    return (flat / scale.clamp_min(1e-300)).view_as(values)


def _lamp(flat: Tensor) -> Tensor:
    squares = flat.square()
    places = positions(flat)
    ascending = torch.empty_like(squares)
    ascending[places] = squares
    not_smaller = ascending.flip(0).cumsum(0).flip(0)
    return (ascending / not_smaller.clamp_min(1e-300))[places]


def cut(
    scores: Scores, keep: int, *, balance: str = "auto", alive: Mapping[str, Tensor] | None = None, minimum: int = 1,
    multiple: int = 1, ties: Mapping[str, Tensor] = MappingProxyType({}),
) -> tuple[dict[str, Tensor], float]:  # fmt: skip
    """Keeps the best `keep` groups (or weights) of all layers together.

    Args:
        scores: what each is worth.
        keep: how many survive in all, at least `minimum` a layer.
        balance: one of LAYER_BALANCES.
        alive: survivors of the last cut, per layer in the scores' shape; nothing else can survive this one.
        minimum: how many every layer keeps.
        multiple: of which every layer's survivors are a multiple, by taking back the best that were cut; more of them
            than `keep` survive then, and a layer that has no multiple left keeps all.
        ties: per layer [groups] int64; equal numbers, over all layers, are cut together. For groups, not for weights.

    Returns:
        Per layer the survivors in the scores' shape, and the threshold: the largest balanced score removed
        (0 where nothing is).
    """
    if not scores.values:
        return {}, 0.0
    rule = balance if balance != "auto" else ("lamp" if scores.granularity == "weight" else "rank")
    flats = [balanced(values, rule).flatten() for values in scores.values.values()]
    if alive is not None:
        flats = [flat.masked_fill(~alive[n].flatten(), -1.0) for n, flat in zip(scores.values, flats, strict=True)]
    sizes = [flat.numel() for flat in flats]
    joined, lots = torch.cat(flats), lots_of(scores, sizes, ties)
    if lots is not None:
        joined = averaged(joined, lots)
    ranked = torch.split(joined, sizes)
    safe = torch.cat([positions(flat) >= flat.numel() - minimum for flat in ranked]) & (joined >= 0)
    kept = _best(joined, safe, keep) if lots is None else best_lots(joined, safe, lots, keep)
    if multiple > 1 and scores.granularity != "weight":
        round_up(kept, joined, sizes, multiple, lots)
    lost = joined[~kept & (joined >= 0)]
    threshold = float(lost.max()) if lost.numel() else 0.0
    named = zip(scores.values.items(), torch.split(kept, sizes), strict=True)
    return {name: piece.view_as(values) for (name, values), piece in named}, threshold


def _best(joined: Tensor, safe: Tensor, keep: int) -> Tensor:
    """[all] bool: the `keep` best that are alive (>= 0), the safe ones among them."""
    keep = max(min(keep, int((joined >= 0).sum())), int(safe.sum()))
    return positions(torch.where(safe, torch.inf, joined)) >= joined.numel() - keep


def share_count(share: float, total: int) -> int:
    """How many of `total` a share in [0, 1] is, rounded down: .29 of 100 is 29, though .29 * 100 < 29 in floats."""
    return int(share * total + 1e-9)


def weight_masks(net: nn.Module, scores: Scores, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Survivors laid over the weights: bool of each layer's weight shape, for the layers that were scored."""
    layers = prunable_layers(net)
    return {
        name: expand(survivors, layers[name].weight, scores.granularity).clone() for name, survivors in kept.items()
    }


@torch.no_grad()
def living(net: nn.Module, scores: Scores) -> dict[str, Tensor]:
    """What of the scored layers is not zero, in the scores' shapes; the best of a layer in which everything is."""
    layers = prunable_layers(net)
    alive = {}
    for name, values in scores.values.items():
        there = group_norms(layers[name].weight, scores.granularity) > 0
        if not there.any():
            there = (positions(values.flatten()) == values.numel() - 1).view(there.shape)
        alive[name] = there
    return alive

"""Places in an order, and lots: groups of several layers that are kept or cut together.

Layers' scores lie behind one another in one flat tensor; the dead have -1.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from sparsweep.trainables.scores import Scores


def positions(flat: Tensor) -> Tensor:
    """Place of each score from the smallest, 0-based; among equals the lower index stands higher."""
    order = flat.flip(0).argsort(stable=True)
    places = torch.empty_like(order)
    places[flat.numel() - 1 - order] = torch.arange(flat.numel(), device=flat.device)
    return places


def lots_of(scores: Scores, sizes: list[int], ties: Mapping[str, Tensor]) -> Tensor | None:
    """[all] which groups go together, numbered by their first; None where each goes by itself."""
    named = [ties.get(name, torch.full((size,), -1)) for name, size in zip(scores.values, sizes, strict=True)]
    tied = torch.cat(named).to(next(iter(scores.values.values())).device)
    alone = torch.arange(len(tied), device=tied.device)
    if scores.granularity == "weight" or not bool((tied >= 0).any()):
        return None
    firsts = alone.new_full((int(tied.max()) + 1,), len(tied)).scatter_reduce(
        0, tied[tied >= 0], alone[tied >= 0], "amin"
    )
    return torch.where(tied >= 0, firsts[tied.clamp_min(0)], alone)


def averaged(joined: Tensor, lots: Tensor) -> Tensor:
    """Every score replaced by the mean over the living of its lot; the dead stay -1."""
    living_ones = joined >= 0
    sums = torch.zeros_like(joined).scatter_add(0, lots[living_ones], joined[living_ones])
    counts = torch.zeros_like(joined).scatter_add(0, lots[living_ones], torch.ones_like(joined[living_ones]))
    return torch.where(living_ones, (sums / counts.clamp_min(1))[lots], -1.0)


def best_lots(joined: Tensor, safe: Tensor, lots: Tensor, keep: int) -> Tensor:
    """The best lots, in order, as long as no more than `keep` groups survive; those with a safe one in any case."""
    living_ones = joined >= 0
    count = torch.zeros_like(lots).scatter_add(0, lots[living_ones], torch.ones_like(lots[living_ones]))
    score = torch.full_like(joined, -1.0).scatter_reduce(0, lots, joined, "amax")
    first = lots == torch.arange(len(lots), device=lots.device)
    score[~first] = -1.0
    score[lots[safe]] = torch.inf
    order = positions(score).argsort(descending=True)
    fits = count[order].cumsum(0) <= keep
    chosen = torch.zeros_like(first)
    chosen[order] = (fits | score[order].isinf()) & (score[order] >= 0)
    return chosen[lots] & living_ones


def round_up(kept: Tensor, joined: Tensor, sizes: list[int], multiple: int, lots: Tensor | None) -> None:
    """Takes back, in place, the best of every layer until its count is a multiple; a lot brings its others along."""
    changed = True
    while changed:
        changed = False
        for mine, score in zip(torch.split(kept, sizes), torch.split(joined, sizes), strict=True):
            count, most = int(mine.sum()), int((score >= 0).sum())
            wanted = min(-(-count // multiple) * multiple, most)
            if wanted > count:
                mine |= positions(torch.where(mine, torch.inf, score)) >= len(mine) - wanted
                changed = lots is not None
        if lots is not None:
            together = torch.zeros_like(kept).scatter_reduce(0, lots, kept, "amax")[lots] & (joined >= 0)
            kept |= together

"""The two stages in which the inputs of a unit compete for its attention, for many units at once.

From the products PS_j = w_j · h_j of a unit's weights and inputs, with T = Σ_j PS_j:

    1. interference: PS ascending, C its running sum, θ = the first element whose C > 0;
       winners W1 = {PS ≥ θ - 1e-4 and PS > 0}, so that T ≤ Σ_{W1} PS
    2. competition among W1: one rule for linear layers, connected components for convolutions

Rows are units at work (one image, one position); everything after the first stage works on the list of winners only,
each an (row, column) pair, sorted. Products are float32, sums float64.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SLACK = 1e-4
LEVELS = ((1.0, 3.0), (1.0, 2.0), (1.0, 1.0), (1.0, 0.0), (0.5, 0.0), (0.2, 0.0))
"""(a, b) of the rule `statistical`: PS ≥ a · mean + b · deviation of W1."""
LEVEL_SLACK = 1e-7
"""Where all winners are equal, their mean must not exceed them by rounding."""
SUM_PART, SIZE_PART = 0.2, 0.8
COMPETITIONS = ("all", "argmax", "statistical")
SHORT_ROW, TOP_PART = 64, 5
"""Rows from SHORT_ROW inputs on are looked at from the top: one in TOP_PART inputs at first."""
LARGEST_WINDOW = 63
"""Bits of one integer: a window of h·w cells takes h·(w + 1)."""
LARGEST_CHANNELS = 1 << 32


@dataclass(frozen=True, kw_only=True)
class Winners:
    """Entries of a table of products, rows ascending, columns ascending within a row.

    Attributes:
        row: int64 [entries].
        column: int64 [entries].
        product: float64 [entries], > 0.
    """

    row: Tensor
    column: Tensor
    product: Tensor

    def only(self, keep: Tensor) -> "Winners":
        """Those where `keep`, a bool [entries], is true."""
        chosen = keep.nonzero().flatten()
        return Winners(row=self.row[chosen], column=self.column[chosen], product=self.product[chosen])


def interference(products: Tensor, least: float) -> tuple[Winners, Tensor]:
    """Stage 1.

    Args:
        products: PS, float [rows, inputs].
        least: a row whose T is not above it takes no part.

    Returns:
        The winners W1, and bool [rows]: which rows took part.
    """
    theta, part = thresholds(products, least)
    floor = _rounded_up(theta - SLACK, products.dtype)
    at = (products >= floor[:, None]).flatten().nonzero().flatten()
    row = torch.div(at, products.shape[1], rounding_mode="floor")
    product = products.flatten()[at].double()
    return Winners(row=row, column=at - row * products.shape[1], product=product), part


def thresholds(products: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """θ of every row, float64 [rows], and bool [rows]: whether T > least >= 0; elsewhere θ is infinite.

    From the top, θ is the first element at which the sum of what is not smaller reaches T, so that a row's largest
    elements mostly suffice. Rows in which they do not, or rounding could decide, are summed up in full.
    """
    width = products.shape[1]
    if width < SHORT_ROW:
        return _running_thresholds(products, least)
    total = products.sum(dim=1, dtype=torch.float64)
    descending = _largest(products, width // TOP_PART)
    sums = descending.cumsum(dim=1, dtype=torch.float64)
    first = (sums < total[:, None]).sum(dim=1)
    rounding = products.abs().amax(dim=1).double() * (width * width * 2.0**-51)
    near = ((sums - total[:, None]).abs() <= rounding[:, None]).any(dim=1) | ((total - least).abs() <= rounding)
    part = total > least
    unsure = (near | (part & (first == sums.shape[1]))).nonzero().flatten()
    theta = descending.gather(1, first.clamp_max(sums.shape[1] - 1)[:, None])[:, 0].double()
    theta = theta.masked_fill(~part, torch.inf)
    theta[unsure], part[unsure] = _running_thresholds(products[unsure], least)
    return theta, part


def _running_thresholds(products: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """θ to the letter. numpy sorts rows more than ten times faster than torch does on a CPU."""
    if products.is_cuda:
        ascending = products.sort(dim=1).values
        sums = ascending.cumsum(dim=1, dtype=torch.float64)
    else:
        ordered = np.sort(products.numpy(), axis=1)
        ascending, sums = torch.from_numpy(ordered), torch.from_numpy(np.cumsum(ordered, axis=1, dtype=np.float64))
    part = sums[:, -1] > least
    theta = ascending.gather(1, (sums > 0).int().argmax(dim=1)[:, None])[:, 0].double()
    return theta.masked_fill(~part, torch.inf), part


def _largest(products: Tensor, count: int) -> Tensor:
    """The `count` largest elements of each row, descending, negative ones as 0: so many equals sort faster."""
    if products.is_cuda:
        return products.clamp_min(0).topk(count, dim=1).values
    ordered = products.clamp_min(0).numpy()
    ordered.sort(axis=1)
    return torch.from_numpy(ordered)[:, -count:].flip(1)


def _rounded_up(bound: Tensor, dtype: torch.dtype) -> Tensor:
    """The smallest number of `dtype` that is > 0 and not below `bound`: comparing with it is exact."""
    near = bound.to(dtype)
    above = torch.nextafter(near, torch.full_like(near, torch.inf))
    near = torch.where(near.double() < bound, above, near)
    return near.clamp_min(torch.nextafter(torch.zeros((), dtype=dtype), torch.ones((), dtype=dtype)).item())


def compete(winners: Winners, rows: int, rule: str, offset: int) -> Winners:
    """Stage 2 of a linear layer: `all` keeps W1, `argmax` each row's first largest, `statistical` those of a level.

    The level is the first of LEVELS at which a row keeps any, moved on by `offset`, and at most the last.
    """
    if rule == "all":
        return winners
    row, product = winners.row, winners.product
    largest = torch.zeros(rows, dtype=torch.float64, device=row.device).scatter_reduce_(0, row, product, "amax")
    if rule == "argmax":
        best = winners.only(product == largest[row])
        return best.only(torch.cat([torch.ones_like(best.row[:1], dtype=torch.bool), best.row[1:] != best.row[:-1]]))
    count = torch.bincount(row, minlength=rows).clamp_min(1)
    mean = _sums(row, product, rows) / count
    deviation = (_sums(row, (product - mean[row]).square(), rows) / count).sqrt()
    bars = torch.stack([a * mean + b * deviation for a, b in LEVELS]) - LEVEL_SLACK
    level = ((largest >= bars).int().argmax(dim=0) + offset).clamp_max(len(LEVELS) - 1)
    return winners.only(product >= bars.gather(0, level[None])[0][row])


def compete_in_windows(winners: Winners, rows: int, kernel: tuple[int, int]) -> Winners:
    """Stage 2 of a convolution: of all input channels' 8-connected components the one with the largest
    0.2 ΣPS + 0.8 size; of equals the one in the lower channel, then the one that begins first.

    A window is an integer, one bit a cell and an empty column at its right, so that components grow by shifting.
    """
    cells, width = kernel[0] * kernel[1], kernel[1] + 1
    window = torch.div(winners.column, cells, rounding_mode="floor")
    cell = winners.column - window * cells
    bit = 1 << (torch.div(cell, kernel[1], rounding_mode="floor") * width + cell % kernel[1])
    place = winners.row * LARGEST_CHANNELS + window
    begins = torch.ones_like(place, dtype=torch.bool)
    begins[1:] = place[1:] != place[:-1]
    index, owner = begins.cumsum(0) - 1, winners.row[begins]
    masks = _sums(index, bit, len(owner))
    best = _best_component(_Windows(place=torch.arange(len(owner), device=owner.device), cells=masks, index=index,
                                    bit=bit, product=winners.product), owner, rows, width)  # fmt: skip
    return winners.only((best[index] & bit) != 0)


@dataclass(frozen=True, kw_only=True)
class _Windows:
    """Windows and the winners in them: `index` says in which of them a winner lies, `bit` where."""

    place: Tensor
    cells: Tensor
    index: Tensor
    bit: Tensor
    product: Tensor

    def without(self, parts: Tensor, inside: Tensor) -> "_Windows":
        """Less one component a window, and less the windows of which nothing is left."""
        cells = self.cells & ~parts
        some = cells != 0
        stay = (some[self.index] & ~inside).nonzero().flatten()
        renumbered = some.cumsum(0) - 1
        return _Windows(place=self.place[some], cells=cells[some], index=renumbered[self.index[stay]],
                        bit=self.bit[stay], product=self.product[stay])  # fmt: skip


def _best_component(windows: _Windows, owner: Tensor, rows: int, width: int) -> Tensor:
    """Per window the cells of the component that won its row, 0 in all other windows; int64 [windows]."""
    count = len(windows.place)
    places, components, scores = [], [], []
    while len(windows.place):
        grown = _grown(windows.cells & -windows.cells, windows.cells, width)
        inside = (grown[windows.index] & windows.bit) != 0
        mine = inside.nonzero().flatten()
        among = windows.index[mine]
        sums = _sums(among, windows.product[mine], len(grown))
        scores.append(SUM_PART * sums + SIZE_PART * torch.bincount(among, minlength=len(grown)))
        places.append(windows.place)
        components.append(grown)
        windows = windows.without(grown, inside)
    winner = torch.zeros(count, dtype=torch.int64, device=owner.device)
    if not places:
        return winner
    place, component, score = torch.cat(places), torch.cat(components), torch.cat(scores)
    turn = torch.cat([torch.full_like(found, at) for at, found in enumerate(places)])
    row = owner[place]
    top = torch.zeros(rows, dtype=torch.float64, device=row.device).scatter_reduce_(0, row, score, "amax")
    order = torch.where(score == top[row], place * LARGEST_WINDOW + turn, torch.iinfo(torch.int64).max)
    first = torch.full((rows,), torch.iinfo(torch.int64).max, device=row.device)
    first.scatter_reduce_(0, row, order, "amin")
    chosen = order == first[row]
    winner[place[chosen]] = component[chosen]
    return winner


def _grown(seed: Tensor, cells: Tensor, width: int) -> Tensor:
    """The components of `cells` that hold a bit of `seed`, by growing it in all eight directions until it stays."""
    while True:
        wide = seed | seed << 1 | seed >> 1
        grown = (wide | wide << width | wide >> width) & cells
        if torch.equal(grown, seed):
            return grown
        seed = grown


def _sums(index: Tensor, values: Tensor, size: int) -> Tensor:
    """Sum of the values of each index, in their order."""
    return add_at(torch.zeros(size, dtype=values.dtype, device=values.device), index, values)


def add_at(total: Tensor, index: Tensor, values: Tensor) -> Tensor:
    """total[index] += values, of equal indices all; the same bits every time, also on a GPU."""
    if total.is_cuda:
        return total.index_put_((index,), values, accumulate=True)
    return total.index_add_(0, index, values)

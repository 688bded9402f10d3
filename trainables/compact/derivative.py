"""Which unit stands behind a column: read off the derivative of what was read by what was given.

A derivative along tangents is had as a gradient's gradient, so the network runs once and not once a tangent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ENDS = ""
"""Path that stands for the network's input as a source, and for its output as a reader."""
EXACT = 1e-9
"""Relative error up to which a quotient counts as a whole number."""


@dataclass(kw_only=True)
class Cut:
    """One call of a module: what it read (or, as a source, gave), and where its channels are."""

    path: str
    tensor: Tensor
    dim: int


def sources_of(read: Cut, given: Sequence[Cut]) -> dict[str, Tensor | None]:
    """Which units of which sources each column of one read depends on."""
    if not read.tensor.requires_grad:
        return {}
    seed = torch.ones_like(read.tensor, requires_grad=True)
    leaves = [cut.tensor for cut in given]
    pulled = torch.autograd.grad(read.tensor, leaves, seed, create_graph=True, allow_unused=True)
    feeding = [(cut, pull) for cut, pull in zip(given, pulled, strict=True) if pull is not None]
    if read.path == ENDS:
        return {cut.path: None for cut, _ in feeding}
    together = _decoded(read, feeding, seed)
    if together is not None:
        pieces = torch.tensor([0, *(cut.tensor.shape[cut.dim] for cut, _ in feeding)]).cumsum(0)
        found: dict[str, Tensor | None] = {}
        for (cut, _), low, high in zip(feeding, pieces[:-1].tolist(), pieces[1:].tolist(), strict=True):
            mine = torch.where((together >= low) & (together < high), together - low, -1)
            found[cut.path] = mine if cut.path not in found else merged(found[cut.path], mine)
        return found
    found = {}
    for cut, pull in feeding:
        alone = _decoded(read, [(cut, pull)], seed)
        found[cut.path] = alone if cut.path not in found else merged(found[cut.path], alone)
    return found


def _decoded(read: Cut, feeding: Sequence[tuple[Cut, Tensor]], seed: Tensor) -> Tensor | None:
    """[columns] the unit behind each, counted through all of `feeding`; None where a column depends on several."""
    source = torch.Generator().manual_seed(1)
    count = sum(cut.tensor.shape[cut.dim] for cut, _ in feeding)
    numbers = torch.stack([torch.arange(count), torch.randperm(count, generator=source)]).double() + 1
    plain = [torch.rand(cut.tensor.shape, generator=source, dtype=torch.float64) + 0.5 for cut, _ in feeding]
    base = _pushed(read, feeding, seed, plain)
    there = base.abs() > 1e-12 * base.abs().amax()
    found = []
    for r in numbers:
        parts = torch.split(r, [cut.tensor.shape[cut.dim] for cut, _ in feeding])
        laid = [_along(part, cut) * t for part, (cut, _), t in zip(parts, feeding, plain, strict=True)]
        quotient = torch.where(there, _pushed(read, feeding, seed, laid) / base, 0)
        high = quotient.amax(dim=1)
        low = torch.where(there, quotient, torch.inf).amin(dim=1)
        whole = high.round()
        if not bool((~there.any(dim=1) | ((high - low).abs() + (high - whole).abs() <= EXACT * high)).all()):
            return None
        found.append(whole.long() - 1)
    unit = found[0]
    agrees = (unit < 0) | (numbers[1].long()[unit.clamp_min(0)] - 1 == found[1])
    return unit if bool(agrees.all()) else None


def _pushed(read: Cut, feeding: Sequence[tuple[Cut, Tensor]], seed: Tensor, tangents: list[Tensor]) -> Tensor:
    """The derivative of what is read along the tangents, [columns, positions]: a gradient's gradient."""
    pulls = [pull for _, pull in feeding]
    dependent = [(pull, t) for pull, t in zip(pulls, tangents, strict=True) if pull.requires_grad]
    if not dependent:
        return torch.zeros_like(columns_of(seed, read.dim))
    (along,) = torch.autograd.grad(
        [pull for pull, _ in dependent], seed, [t for _, t in dependent], retain_graph=True, allow_unused=True
    )
    return columns_of(torch.zeros_like(seed) if along is None else along, read.dim)


def _along(values: Tensor, cut: Cut) -> Tensor:
    shape = [1] * cut.tensor.dim()
    shape[cut.dim] = -1
    return values.view(shape)


def columns_of(tensor: Tensor, dim: int) -> Tensor:
    """[channels, everything else]."""
    return tensor.detach().movedim(dim, 0).flatten(1) if tensor.dim() > 1 else tensor.detach()[:, None]


def merged(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Of two calls of one module; None where they contradict each other."""
    if one is None or other is None:
        return None
    both = (one >= 0) & (other >= 0)
    return None if bool((one[both] != other[both]).any()) else torch.maximum(one, other)

"""Places in a network that lose indices together, and how they lose them (torch-pruning's low-level functions)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
import torch_pruning as tp
from torch import Tensor, nn

Side = Literal["out", "in", "norm"]
"""A layer's output units, the columns it reads, a norm's channels."""
Key = tuple[str, Side]
"""A module's path and one of its sides."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One side of one module: unit u of the coupling is its indices where `unit_of == u`."""

    layer: str
    side: Side
    unit_of: Tensor
    """[size] int64: the unit behind each index; -1 where the index is never removed."""


@dataclass(frozen=True, kw_only=True)
class Coupling:
    """Units that can be removed, each by itself, and everywhere that one of them is made, normed or read."""

    units: int
    sites: tuple[Site, ...]

    @property
    def makers(self) -> tuple[Site, ...]:
        """The layers that give the units."""
        return tuple(site for site in self.sites if site.side == "out")

    @property
    def layers(self) -> tuple[str, ...]:
        """Paths of the layers that give the units."""
        return tuple(site.layer for site in self.makers)


def grouped(layer: nn.Module) -> bool:
    """A convolution in several groups, depthwise ones included: its units go by whole groups."""
    return isinstance(layer, nn.Conv2d) and layer.groups > 1


def with_one_left(coupling: Coupling, kept: Tensor) -> Tensor:
    """[units] bool: `kept`, and the first unit of every site that would otherwise be left with nothing."""
    kept = kept.clone()
    for site in coupling.sites:
        here = site.unit_of[site.unit_of >= 0]
        if len(here) == len(site.unit_of) and not kept[here].any():
            kept[here[0]] = True
    return kept


@torch.no_grad()
def narrow(net: nn.Module, couplings: Iterable[Coupling], kept: Sequence[Tensor]) -> None:
    """Removes units from a network, in place.

    Args:
        kept: per coupling, [units] bool; every site keeps at least one index.
    """
    lost: dict[tuple[str, Side], Tensor] = {}
    for coupling, keep in zip(couplings, kept, strict=True):
        for site in coupling.sites:
            gone = (site.unit_of >= 0) & ~keep[site.unit_of.clamp_min(0)]
            key = (site.layer, site.side)
            lost[key] = lost[key] | gone if key in lost else gone
    for (path, side), gone in lost.items():  # once a site: a second removal would count from the first one's indices
        if gone.any():
            module = net.get_submodule(path)
            remover(module, side)(module, gone.nonzero().flatten().tolist())


def remover(module: nn.Module, side: Side) -> Callable[[nn.Module, list[int]], nn.Module]:
    """The function that removes such indices of such a module, in place."""
    if side == "in" and grouped(module):
        return _drop_groups
    if side == "norm":
        chosen: Any = tp.prune_batchnorm_out_channels
    elif isinstance(module, nn.Conv2d):
        chosen = tp.prune_conv_out_channels if side == "out" else tp.prune_conv_in_channels
    else:
        chosen = tp.prune_linear_out_channels if side == "out" else tp.prune_linear_in_channels
    return cast("Callable[[nn.Module, list[int]], nn.Module]", chosen)


def _drop_groups(module: nn.Module, columns: list[int]) -> nn.Module:
    """Whole groups of columns; the weight holds those of one group only and stays as it is."""
    conv = cast("nn.Conv2d", module)
    width = conv.in_channels // conv.groups
    conv.in_channels -= len(columns)
    conv.groups = conv.in_channels // width
    return conv

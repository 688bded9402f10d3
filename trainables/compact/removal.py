"""Physical removal of units that no longer matter, checked exact.

A unit goes when none of its readers hears of it: what they read of it is zero whatever the input is (nothing reaches
it, its bias and its norms' are zero), or their weights that read it are. Removing one may leave others unread, so that
is repeated until nothing changes. Every place keeps at least one unit.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.coupling import Couplings, example_of
from sparsweep.trainables.compact.generic import generic_copy, zero_columns
from sparsweep.trainables.compact.selection import SelectedLinear, select_inputs
from sparsweep.trainables.compact.sites import Coupling, grouped, narrow, with_one_left
from sparsweep.trainables.groups import Prunable, drop_masks, prunable_layers

TOLERANCE = 1e-4
"""Largest |Δlogit| between the masked and the compact network that counts as equal, float32; where logits are larger
than 1, relative to the largest."""


class InexactCompactionError(RuntimeError):
    """The compact network is not the masked network; the trial fails."""


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """A network without its dead units.

    Attributes:
        net: the compact network, without masks, in evaluation mode.
        kept: per layer the indices of the output units that are left; layers that lost none are named too.
        left: per coupling, [units] bool: those that are left.
        coverage: per layer whether its units can be removed, and why not; plain data.
    """

    net: nn.Module
    kept: dict[str, list[int]]
    left: tuple[Tensor, ...] = ()
    coverage: list[dict[str, Any]] = field(default_factory=list)


@torch.no_grad()
def compact(net: nn.Module, couplings: Couplings) -> Compacted:
    """A smaller copy of a masked network; `net` stays as it is.

    Raises:
        InexactCompactionError: the smaller network does not run forward and backward, or not to the same shape.
    """
    left = live_groups(net, couplings)
    smaller = drop_masks(copy.deepcopy(net)).eval()
    narrow(smaller, couplings.groups, left)
    selected = select_inputs(smaller, couplings.example_shape)
    if selected is not smaller or not all(bool(keep.all()) for keep in left):
        _check_runs(net, selected, couplings.example_shape)
    kept = {name: torch.ones(len(layer.weight), dtype=torch.bool) for name, layer in prunable_layers(net).items()}
    for coupling, keep in zip(couplings.groups, left, strict=True):
        for site in coupling.makers:
            kept[site.layer] &= (site.unit_of < 0) | keep[site.unit_of.clamp_min(0)]
    indices = {name: units.nonzero().flatten().tolist() for name, units in kept.items()}
    taken = {n: m.in_features for n, m in prunable_layers(selected).items() if isinstance(m, SelectedLinear)}
    coverage = [
        {**row, "inputs_selected": taken[row["layer"]]} if row["layer"] in taken else row for row in couplings.report()
    ]
    return Compacted(net=selected, kept=indices, left=tuple(left), coverage=coverage)


@torch.no_grad()
def live_groups(net: nn.Module, couplings: Couplings) -> list[Tensor]:
    """Per coupling, which units are left: bool [units]."""
    if not couplings.groups:
        return []
    layers = {name: layer for name, layer in prunable_layers(net).items() if not grouped(layer)}
    reads = {name: _reads(layer) for name, layer in layers.items()}
    silent = zero_columns(generic_copy(net, zeros_stay=True), example_of(couplings.example_shape))
    for name, zero in silent.items():
        if name in reads:
            reads[name] &= ~(zero & ~couplings.blind[name])
    alive = [torch.ones(coupling.units, dtype=torch.bool) for coupling in couplings.groups]
    changed = True
    while changed:
        changed = False
        for at, coupling in enumerate(couplings.groups):
            heard = alive[at] & _heard(coupling, reads)
            changed |= not torch.equal(heard, alive[at])
            alive[at] = heard
            for site in coupling.makers:
                if site.layer in reads:
                    reads[site.layer] &= ((site.unit_of < 0) | heard[site.unit_of.clamp_min(0)])[:, None]
    return [with_one_left(coupling, keep) for coupling, keep in zip(couplings.groups, alive, strict=True)]


def _reads(layer: Prunable) -> Tensor:
    """[units, columns] bool: which columns each unit reads."""
    weight = layer.weight.detach()
    return (weight.flatten(2).any(dim=2) if weight.dim() > 2 else weight != 0).cpu()


def _heard(coupling: Coupling, reads: Mapping[str, Tensor]) -> Tensor:
    """[units] bool: which of them some layer still reads."""
    heard = torch.zeros(coupling.units, dtype=torch.bool)
    for site in coupling.sites:
        if site.side == "in" and site.layer in reads:
            heard[site.unit_of[reads[site.layer].any(dim=0) & (site.unit_of >= 0)]] = True
    return heard


def _check_runs(net: nn.Module, smaller: nn.Module, example_shape: tuple[int, ...]) -> None:
    """Forward and backward, and the output's shape."""
    example = example_of(example_shape).to(next(net.parameters())).repeat(2, *[1] * len(example_shape))
    was_training = net.training
    expected = net.eval()(example).shape
    net.train(was_training)
    try:
        with torch.enable_grad():
            output = smaller(example)
            output.sum().backward()
        smaller.zero_grad(set_to_none=True)
    except Exception as fault:  # whatever the network's own code raises
        raise InexactCompactionError(f"the compact network does not run: {str(fault).splitlines()[0]}") from fault
    if output.shape != expected:
        raise InexactCompactionError(f"the compact network gives {list(output.shape)}, not {list(expected)}")


@torch.inference_mode()
def check_exact(masked: nn.Module, smaller: nn.Module, inputs: Tensor, kept: Mapping[str, list[int]] | None = None
                ) -> float:  # fmt: skip
    """The largest |Δlogit| over `inputs` [n, ...], by the largest |logit| where that is above 1.

    Args:
        kept: per layer the units that are left; with it a fault names the first layer that differs.

    Raises:
        InexactCompactionError: it exceeds TOLERANCE, or is not a number.
    """
    was_training = masked.training
    masked.eval()
    expected = masked(inputs)
    difference = float((expected - smaller(inputs)).abs().max()) / max(1.0, float(expected.abs().max()))
    first = "" if difference <= TOLERANCE or kept is None else _first_to_differ(masked, smaller, inputs[:8], kept)
    masked.train(was_training)
    if not difference <= TOLERANCE:
        raise InexactCompactionError(
            f"the compact network differs from the masked one by {difference:.3g} (allowed {TOLERANCE:g}){first}"
        )
    return difference


def _first_to_differ(masked: nn.Module, smaller: nn.Module, inputs: Tensor, kept: Mapping[str, list[int]]) -> str:
    """Which layer, in the order of the forward pass, gives something else first."""
    seen: list[tuple[str, Tensor]] = []

    def watch(net: nn.Module) -> list[tuple[str, Tensor]]:
        seen.clear()
        layers = prunable_layers(net)
        hooks = [
            layer.register_forward_hook(lambda m, i, output, name=name: seen.append((name, output)))
            for name, layer in layers.items()
        ]
        net(inputs)
        for hook in hooks:
            hook.remove()
        return list(seen)

    for (name, whole), (_, part) in zip(watch(masked), watch(smaller), strict=False):
        units = whole.movedim(-3 if whole.dim() == 4 else -1, 0)[kept[name]]
        part = part.movedim(-3 if part.dim() == 4 else -1, 0)
        if not float((units - part).abs().max()) <= TOLERANCE * max(1.0, float(units.abs().max())):
            return f"; the first layer to differ is {name}"
    return ""

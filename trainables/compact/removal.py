"""Physical removal of units that no longer matter, checked exact.

A unit goes when nothing reaches it (all its incoming weights and its bias are zero: it emits act(0) = 0), or when
nobody reads it (all weights that read it are zero). Removing one may bring about another, so this is repeated until
nothing changes. Every layer keeps at least one unit.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.coupling import Coupling, remover
from sparsweep.trainables.groups import drop_masks, prunable_layers

TOLERANCE = 1e-4
"""Largest |Δlogit| between the masked and the compact network that counts as equal, float32."""


class InexactCompactionError(RuntimeError):
    """The compact network is not the masked network; the trial fails."""


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """A network without its dead units.

    Attributes:
        net: the compact network, without masks, in evaluation mode.
        kept: per layer the indices of the output units that are left; layers that lost none are named too.
    """

    net: nn.Module
    kept: dict[str, list[int]]


@torch.no_grad()
def compact(net: nn.Module, couplings: Sequence[Coupling]) -> Compacted:
    """A smaller copy of a masked network; `net` stays as it is."""
    alive = live_units(net, couplings)
    smaller = drop_masks(copy.deepcopy(net)).eval()
    layers = prunable_layers(smaller)
    columns: dict[str, Tensor] = {}
    for coupling in couplings:
        dead = (~alive[coupling.layer]).nonzero().flatten()
        if len(dead):
            layer = layers[coupling.layer]
            remover(layer, outputs=True)(layer, dead.tolist())
        for consumer in coupling.consumers:
            unread = torch.isin(consumer.unit_of, dead)
            columns[consumer.layer] = columns.get(consumer.layer, torch.zeros_like(unread)) | unread
    for name, unread in columns.items():  # once a layer: a second removal would count from the first one's columns
        if unread.any():
            remover(layers[name], outputs=False)(layers[name], unread.nonzero().flatten().tolist())
    return Compacted(net=smaller, kept={name: units.nonzero().flatten().tolist() for name, units in alive.items()})


def live_units(net: nn.Module, couplings: Sequence[Coupling]) -> dict[str, Tensor]:
    """Per prunable layer, which output units are left: bool [out]."""
    layers = prunable_layers(net)
    joins = {name: layer.weight.detach().flatten(2).any(dim=2) if layer.weight.dim() > 2 else layer.weight.detach() != 0
             for name, layer in layers.items()}  # fmt: skip
    biased = {
        name: torch.zeros(len(joins[name]), dtype=torch.bool) if layer.bias is None else layer.bias.detach().cpu() != 0
        for name, layer in layers.items()
    }
    joins = {name: join.cpu().clone() for name, join in joins.items()}
    alive = {name: torch.ones(len(join), dtype=torch.bool) for name, join in joins.items()}
    changed = True
    while changed:
        changed = False
        for coupling in couplings:
            changed |= _kill(coupling, joins, biased, alive)
    return alive


def _kill(coupling: Coupling, joins: dict[str, Tensor], biased: dict[str, Tensor], alive: dict[str, Tensor]) -> bool:
    """Marks the dead units of one layer and cuts what joined them; true if any was found."""
    name = coupling.layer
    reached = joins[name].any(dim=1) | biased[name]
    read = torch.zeros_like(reached)
    for consumer in coupling.consumers:
        columns = joins[consumer.layer].any(dim=0) & (consumer.unit_of >= 0)
        read[consumer.unit_of[columns]] = True
    keep = alive[name] & reached & read
    if not keep.any():
        keep[alive[name].nonzero()[0]] = True
    if torch.equal(keep, alive[name]):
        return False
    alive[name] = keep
    joins[name] &= keep[:, None]
    for consumer in coupling.consumers:
        gone = torch.isin(consumer.unit_of, (~keep).nonzero().flatten())
        joins[consumer.layer] &= ~gone
    return True


@torch.inference_mode()
def check_exact(masked: nn.Module, smaller: nn.Module, inputs: Tensor) -> float:
    """The largest |Δlogit| over `inputs` [n, ...].

    Raises:
        InexactCompactionError: it exceeds TOLERANCE, or is not a number.
    """
    was_training = masked.training
    masked.eval()
    difference = float((masked(inputs) - smaller(inputs)).abs().max())
    masked.train(was_training)
    if not difference <= TOLERANCE:
        raise InexactCompactionError(
            f"the compact network differs from the masked one by {difference:.3g} (allowed {TOLERANCE:g})"
        )
    return difference

"""The oracle: are units that are zeroed where they are made, or where they are read, the same as units removed?

Asked of a generic copy of the network, in double precision. What it does not see proven stays as it is.
"""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.attention import plain_attention
from sparsweep.trainables.compact.sites import Coupling, grouped, narrow, with_one_left

AGREES = 1e-9
"""Largest |difference| over the largest |output| that counts as equal, in double precision."""
REMOVED_SHARE = 0.4
"""Of the units of a coupling, removed at random: a regular pattern might fit by chance."""
DRAWS = 3
"""How often units are chosen; in a layer of few units one choice may fit by chance too."""


def refuted(trial: nn.Module, example: Tensor, couplings: Sequence[Coupling], ends: float) -> dict[int, str]:
    """Which couplings, by their place, are not what they seem, and why.

    All are tried together, and only where that fails in halves, down to the single one.

    Args:
        ends: by `time.monotonic()`; what is not shown by then is refuted.
    """
    with plain_attention():
        wrong = dict.fromkeys(
            _unseen(trial, example, couplings), "removing its units changes nothing that could be seen"
        )
        _sift(trial, example, couplings, [at for at in range(len(couplings)) if at not in wrong], ends, wrong)
    return wrong


def _sift(trial: nn.Module, example: Tensor, couplings: Sequence[Coupling], places: list[int], ends: float,
          wrong: dict[int, str]) -> None:  # fmt: skip
    if not places:
        return
    if time.monotonic() > ends:
        wrong.update(dict.fromkeys(places, "there was no time to prove that removing its units is exact"))
        return
    fault = _fault(trial, example, [couplings[at] for at in places])
    if fault and len(places) == 1:
        wrong[places[0]] = fault
    elif fault:
        half = len(places) // 2
        for part in (places[:half], places[half:]):
            _sift(trial, example, couplings, part, ends, wrong)


@torch.no_grad()
def _fault(trial: nn.Module, example: Tensor, couplings: Sequence[Coupling]) -> str:
    """What speaks against removing some of these units at once; empty where nothing does."""
    source = torch.Generator().manual_seed(0)
    for _ in range(DRAWS):
        kept = [with_one_left(c, torch.rand(c.units, generator=source) >= REMOVED_SHARE) for c in couplings]
        if fault := _fault_of(trial, example, couplings, kept):
            return fault
    return ""


def _fault_of(trial: nn.Module, example: Tensor, couplings: Sequence[Coupling], kept: Sequence[Tensor]) -> str:
    smaller = copy.deepcopy(trial)
    narrow(smaller, couplings, kept)
    try:
        outputs = smaller(example)
    except Exception as fault:  # shapes that do not fit, raised by whatever code the network holds
        return f"without some of its units the network does not run ({str(fault).strip().splitlines()[0][:120]})"
    del smaller
    for zeroed, where in ((_silenced, "are given"), (_unread, "are read")):
        with zeroed(trial, couplings, kept):
            expected = trial(example)
        if expected.shape != outputs.shape:
            return f"without some of its units the network's output is {list(outputs.shape)}"
        if not float((expected - outputs).abs().max()) <= AGREES * float(expected.abs().max()):
            return f"removing units is not the same as zeros where they {where}"
    return ""


@contextmanager
def _silenced(net: nn.Module, couplings: Sequence[Coupling], kept: Sequence[Tensor]) -> Iterator[None]:
    """The units' weights and biases, and those of the norms behind them, are zero."""
    with _zeroed(net, couplings, kept, lambda module, side: ("weight", "bias") if side != "in" else ()):
        yield


@contextmanager
def _unread(net: nn.Module, couplings: Sequence[Coupling], kept: Sequence[Tensor]) -> Iterator[None]:
    """All weights that read the units are zero."""
    with _zeroed(net, couplings, kept, lambda m, side: ("weight",) if side == "in" and not grouped(m) else ()):
        yield


@contextmanager
def _zeroed(net: nn.Module, couplings: Sequence[Coupling], kept: Sequence[Tensor],
            names: Callable[[nn.Module, str], tuple[str, ...]]) -> Iterator[None]:  # fmt: skip
    before: list[tuple[Tensor, Any, Tensor]] = []
    for coupling, keep in zip(couplings, kept, strict=True):
        for site in coupling.sites:
            module = net.get_submodule(site.layer)
            gone = (site.unit_of >= 0) & ~keep[site.unit_of.clamp_min(0)]
            place = (slice(None), gone) if site.side == "in" else gone
            for name in names(module, site.side):
                tensor = module._parameters.get(name)
                if tensor is not None:
                    before.append((tensor, place, tensor[place]))
                    tensor[place] = 0
    try:
        yield
    finally:
        for changed, place, saved in reversed(before):
            changed[place] = saved


def _unseen(trial: nn.Module, example: Tensor, couplings: Sequence[Coupling]) -> list[int]:
    """Couplings whose readers' weights do not move the output: nothing could be shown of them."""
    modules = {site.layer: trial.get_submodule(site.layer) for c in couplings for site in c.sites if site.side == "in"}
    weights = {name: module.get_parameter("weight") for name, module in modules.items() if not grouped(module)}
    for weight in weights.values():
        weight.requires_grad_()
    output = trial(example)
    slopes = torch.autograd.grad(output.abs().sum(), list(weights.values()), allow_unused=True) if weights else ()
    for weight in weights.values():
        weight.requires_grad_(False)
    moved = {name: torch.zeros(weight.shape[1]) for name, weight in weights.items()}
    for (name, weight), slope in zip(weights.items(), slopes, strict=True):
        if slope is not None:
            moved[name] = (slope * weight).abs().transpose(0, 1).flatten(1).sum(dim=1)
    least = 10 * AGREES * float(output.detach().abs().max())
    return [at for at, coupling in enumerate(couplings) if _moved(coupling, moved) <= least]


def _moved(coupling: Coupling, moved: Mapping[str, Tensor]) -> float:
    sites = [site for site in coupling.sites if site.side == "in" and site.layer in moved]
    return sum(float(moved[site.layer][site.unit_of >= 0].sum()) for site in sites)

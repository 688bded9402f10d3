"""What can be removed from a network: traced, joined, and put to the test before it is believed.

Units that are added to each other, normed, convolved one by one or concatenated belong together; a group of a grouped
convolution and a head of attention are each one unit. What cannot be removed is left out with its reason.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.attention import plain_attention
from sparsweep.trainables.compact.derivative import ENDS
from sparsweep.trainables.compact.generic import generic_copy, trial_copy, zero_columns
from sparsweep.trainables.compact.joining import Coverage, joined
from sparsweep.trainables.compact.oracle import refuted
from sparsweep.trainables.compact.sites import Coupling, grouped
from sparsweep.trainables.compact.trace import Trace, TraceError, channelwise, trace
from sparsweep.trainables.groups import prunable_layers
from sparsweep.trainables.outline import Feed, Outline

LIMIT_S = 300.0
"""Seconds after which a network counts as one that cannot be traced, or a group as one that cannot be proven."""


@dataclass(frozen=True, kw_only=True)
class Couplings:
    """What can be removed from networks of one architecture.

    Attributes:
        groups: sets of layers whose units go together.
        coverage: of every prunable layer, in order of definition.
        outline: what the graph says of outputs, inputs and norms.
        example_shape: of one input, without the batch.
        blind: per layer [columns] bool, true where a column is zero in any case, so that its zeros say nothing.
    """

    groups: tuple[Coupling, ...]
    coverage: tuple[Coverage, ...]
    outline: Outline
    example_shape: tuple[int, ...]
    blind: Mapping[str, Tensor] = field(default_factory=dict)

    def ties(self) -> dict[str, Tensor]:
        """Per layer [units] the number of the set that each goes with, -1 where it goes by itself."""
        tied: dict[str, Tensor] = {}
        start = 0
        for group in self.groups:
            held = torch.cat([site.unit_of[site.unit_of >= 0] for site in group.makers]).bincount(minlength=group.units)
            for site in group.makers:
                together = (site.unit_of >= 0) & (held[site.unit_of.clamp_min(0)] > 1)
                tied[site.layer] = torch.where(together, site.unit_of + start, tied.get(site.layer, torch.tensor(-1)))
            start += group.units
        return tied

    def report(self) -> list[dict[str, Any]]:
        """The coverage as plain data."""
        return [asdict(covered) for covered in self.coverage]


def couplings_of(net: nn.Module, example_shape: tuple[int, ...], limit_s: float = LIMIT_S) -> Couplings:
    """The couplings of a network; it stays as it is, and so does torch's random state.

    Raises:
        ValueError: the network does not return one tensor.
    """
    ends = time.monotonic() + limit_s
    example = example_of(example_shape)
    with torch.random.fork_rng(devices=[]):
        try:
            trial = trial_copy(net, example)
            found = trace(trial, example, limit_s)
        except TraceError as fault:
            return untraced(net, example_shape, str(fault))
        join = joined(trial, found)
        groups = join.couplings()
        wrong = refuted(trial, example, groups, ends)
        blind = zero_columns(generic_copy(net, zeros_stay=False), example)
        outline = _outline(trial, found, _idle(trial, example, join.unseen))
    for at, reason in wrong.items():
        join.exclude(groups[at], reason)
    return Couplings(
        groups=tuple(group for at, group in enumerate(groups) if at not in wrong), coverage=join.coverage(),
        outline=outline, example_shape=tuple(example_shape), blind=blind,
    )  # fmt: skip


def untraced(net: nn.Module, example_shape: tuple[int, ...], reason: str) -> Couplings:
    """Nothing is removable, and the last layer in order of definition counts as the output."""
    names = list(prunable_layers(net))
    coverage = tuple(Coverage(layer=name, state="excluded", reason=reason) for name in names)
    outline = Outline(outputs=frozenset(names[-1:]), inputs=frozenset(names[:1]))
    return Couplings(groups=(), coverage=coverage, outline=outline, example_shape=tuple(example_shape))


def example_of(example_shape: tuple[int, ...]) -> Tensor:
    """One input of positive numbers, double, the same every time."""
    return torch.rand(1, *example_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1


def _idle(net: nn.Module, example: Tensor, unseen: frozenset[str]) -> Iterator[str]:
    """Of the layers that are not called, those whose weights are not read elsewhere either."""
    if not unseen:
        return
    weights = {name: net.get_submodule(name).get_parameter("weight").requires_grad_() for name in sorted(unseen)}
    with plain_attention():
        output = net(example)
    slopes: Sequence[Tensor | None] = [None] * len(weights)
    if output.requires_grad:
        slopes = torch.autograd.grad(output.sum(), list(weights.values()), allow_unused=True)
    for (name, weight), slope in zip(weights.items(), slopes, strict=True):
        weight.requires_grad_(False)
        if slope is None:
            yield name


def _outline(net: nn.Module, found: Trace, idle: Iterator[str]) -> Outline:
    layers = prunable_layers(net)
    back = {reader: set(sources) for reader, sources in found.feeds.items()}
    ahead: dict[str, set[str]] = {}
    for reader, sources in found.feeds.items():
        for source in sources:
            ahead.setdefault(source, set()).add(reader)
    return Outline(
        outputs=frozenset(_first(layers, back)), inputs=frozenset(_first(layers, ahead)),
        idle=frozenset(idle),
        feeds=tuple(_norm_feeds(net, found)),
    )  # fmt: skip


def _first(layers: Mapping[str, nn.Module], following: Mapping[str, set[str]]) -> Iterator[str]:
    """The layers that one end of the network meets first, through norms and everything else that is no layer."""
    seen, open_ends = {ENDS}, [ENDS]
    while open_ends:
        for path in following.get(open_ends.pop(), set()) - seen:
            seen.add(path)
            if path in layers:
                yield path
            else:
                open_ends.append(path)


def _norm_feeds(net: nn.Module, found: Trace) -> Iterator[Feed]:
    for reader, sources in found.feeds.items():
        module = net.get_submodule(reader)
        if reader != ENDS and (channelwise(module) or grouped(module)):
            foreign = found.foreign[reader].clone()
            if ENDS in sources or any(units is None for units in sources.values()):
                foreign[:] = True
            known = {path: units for path, units in sources.items() if units is not None}
            yield Feed(layer=reader, sources=known, foreign=foreign)

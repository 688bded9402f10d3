"""From what feeds what to what must go together: every unit and column is a number, and equal ones are joined."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.attention import SplitAttention
from sparsweep.trainables.compact.objections import OUTPUTS, objections
from sparsweep.trainables.compact.sites import Coupling, Key, Side, Site, grouped
from sparsweep.trainables.compact.trace import Trace, channelwise
from sparsweep.trainables.groups import Prunable, prunable_layers

NOT_CALLED = "in evaluation mode the forward pass does not call it as a module"


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What can become of one layer's output units.

    Attributes:
        layer: its path.
        state: `removable`; `kept` by the nature of things (the network's outputs); `excluded`, though it may be pruned.
        reason: why units are not removable; where some are, how many.
    """

    layer: str
    state: Literal["removable", "kept", "excluded"]
    reason: str = ""


@dataclass(kw_only=True)
class Joined:
    """A network's units, joined.

    Attributes:
        layers: the prunable ones, by path.
        numbers: by module and side, [size] the number of each unit or column; equal numbers go together.
        reasons: by number, why it cannot be removed.
        unseen: paths of layers that the traced pass did not call.
    """

    layers: dict[str, Prunable]
    numbers: dict[Key, Tensor]
    reasons: dict[int, str]
    unseen: frozenset[str]

    def couplings(self) -> list[Coupling]:
        """What may be removable: what a layer makes and a layer reads, without those that have a reason."""
        made = self._all("out", self.layers)
        read = self._all("in", [name for name, layer in self.layers.items() if not grouped(layer)])
        for number in made - read:
            self.reasons.setdefault(number, "no layer reads it")
        good = (made & read) - set(self.reasons)
        held = {key: [n if n in good else -1 for n in numbers.tolist()] for key, numbers in self.numbers.items()}
        return [_coupling({key: held[key] for key in keys}) for keys in _families(held)]

    def _all(self, side: Side, names: Sequence[str] | Mapping[str, Prunable]) -> set[int]:
        return {n for name in names if (name, side) in self.numbers for n in self.numbers[name, side].tolist()}

    def exclude(self, coupling: Coupling, reason: str) -> None:
        """Gives every unit of a coupling this reason."""
        for site in coupling.sites:
            for number in self.numbers[site.layer, site.side][site.unit_of >= 0].tolist():
                self.reasons.setdefault(number, reason)

    def coverage(self) -> tuple[Coverage, ...]:
        """Of every prunable layer, in order of definition."""
        return tuple(self._covered(name) for name in self.layers)

    def _covered(self, name: str) -> Coverage:
        if name in self.unseen:
            return Coverage(layer=name, state="excluded", reason=NOT_CALLED)
        numbers = self.numbers[name, "out"].tolist()
        why = [self.reasons[n] for n in numbers if n in self.reasons]
        told = "; ".join(dict.fromkeys(why))
        if len(why) < len(numbers):
            some = f"{len(numbers) - len(why)} of {len(numbers)} units; of the others: {told}" if why else ""
            return Coverage(layer=name, state="removable", reason=some)
        return Coverage(layer=name, state="kept" if told == OUTPUTS else "excluded", reason=told)


def joined(net: nn.Module, found: Trace) -> Joined:
    """Joins a network's units by what was traced."""
    modules = dict(net.named_modules())
    sizes = {key: size for path in found.units for key, size in _sides(path, modules.get(path)).items()}
    starts = dict(zip(sizes, torch.tensor([0, *sizes.values()]).cumsum(0).tolist(), strict=False))
    edges = torch.cat([torch.empty(2, 0, dtype=torch.int64), *_edges(modules, found, starts)], dim=1)
    numbers = _components(sum(sizes.values()), edges)
    layers = prunable_layers(net)
    result = Joined(
        layers=layers, numbers={key: numbers[start : start + sizes[key]] for key, start in starts.items()},
        reasons={}, unseen=frozenset(layers) - set(found.units),
    )  # fmt: skip
    for key, wrong, reason in objections(modules, found):
        if key in result.numbers:
            result.reasons.update({n: reason for n in result.numbers[key][wrong].tolist() if n not in result.reasons})
    return result


def _sides(path: str, module: nn.Module | None) -> dict[Key, int]:
    """A module's sides and their sizes; none for the network's ends and for norms over channels."""
    if isinstance(module, nn.Conv2d):
        return {(path, "out"): module.out_channels, (path, "in"): module.in_channels}
    if isinstance(module, nn.Linear):
        return {(path, "out"): module.out_features, (path, "in"): module.in_features}
    return {(path, "norm"): int(module.num_features)} if path and module and channelwise(module) else {}  # type: ignore[arg-type]


def _edges(modules: Mapping[str, nn.Module], found: Trace, starts: Mapping[Key, int]) -> Iterator[Tensor]:
    """Pairs [2, n] of numbers that are one and the same."""
    for reader, sources in found.feeds.items():
        into = starts.get((reader, "in"), starts.get((reader, "norm")))
        for source, units in sources.items():
            out = starts.get((source, "out"), starts.get((source, "norm")))
            if units is not None and into is not None and out is not None:
                columns = (units >= 0).nonzero().flatten()
                yield torch.stack([columns + into, units[columns] + out])
    for path, module in modules.items():
        if isinstance(module, nn.Conv2d) and module.groups > 1 and (path, "in") in starts:
            yield _blocks([(starts[path, "out"], module.out_channels), (starts[path, "in"], module.in_channels)],
                          module.groups)  # fmt: skip
        if isinstance(module, SplitAttention) and all((f"{path}.{name}", "in") in starts for name in ("q", "out")):
            inner, parts = module.v.out_features, [(starts[f"{path}.out", "in"], module.v.out_features)]
            parts += [(starts[f"{path}.{name}", "out"], inner) for name in ("q", "k", "v")]
            yield _blocks(parts, module.num_heads)


def _blocks(spans: Sequence[tuple[int, int]], blocks: int) -> Tensor:
    """Joins the b-th of equal blocks of every span (start, size) to one."""
    firsts = torch.arange(blocks) * (spans[0][1] // blocks) + spans[0][0]
    pairs = []
    for start, size in spans:
        pairs.append(torch.stack([firsts.repeat_interleave(size // blocks), torch.arange(start, start + size)]))
    return torch.cat(pairs, dim=1)


def _components(total: int, edges: Tensor) -> Tensor:
    """[total] the smallest number that each is joined to."""
    labels = torch.arange(total)
    while True:
        least = torch.minimum(labels[edges[0]], labels[edges[1]])
        following = labels.scatter_reduce(0, edges[0], least, "amin").scatter_reduce(0, edges[1], least, "amin")
        following = following[following]
        if torch.equal(following, labels):
            return labels
        labels = following


def _families(held: Mapping[Key, Sequence[int]]) -> list[list[Key]]:
    """Sides that share a number, in the order of the first."""
    family: dict[Key, list[Key]] = {}
    owner: dict[int, Key] = {}
    for key, numbers in held.items():
        mine = family.setdefault(key, [key])
        for number in set(numbers) - {-1}:
            other = family[owner.setdefault(number, key)]
            if other is not mine:
                mine, gone = (other, mine) if len(other) >= len(mine) else (mine, other)
                mine += gone
                family.update(dict.fromkeys(gone, mine))
    order = {key: at for at, key in enumerate(held)}
    unique = {id(keys): sorted(keys, key=order.__getitem__) for key, keys in family.items() if max(held[key]) >= 0}
    return sorted(unique.values(), key=lambda keys: order[keys[0]])


def _coupling(sides: Mapping[Key, Sequence[int]]) -> Coupling:
    numbers = sorted({n for held in sides.values() for n in held if n >= 0})
    place = {number: at for at, number in enumerate(numbers)}
    sites = (
        Site(layer=path, side=side, unit_of=torch.tensor([place.get(n, -1) for n in held]))
        for (path, side), held in sides.items()
    )
    return Coupling(units=len(numbers), sites=tuple(sites))

"""Several ways down from one training: the method's own descent, and further ones from the same trained network.

A training is the dear part of a trial. From where it ends, filters can be cut, or single weights, or filters so that
widths stay multiples of 8: each way is a descent of its own, fine-tuned as the first.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from torch import nn

from sparsweep.spaces.space import Choice
from sparsweep.trainables.groups import Granularity, group_norms, scored_layers
from sparsweep.trainables.scores import Scores

if TYPE_CHECKING:  # methods look options up, and options ways
    from sparsweep.trainables.methods import Method

_WAY = re.compile(r"(filter|input|weight)?(?:(?:(?<=[a-z])-|^)x(1|4|8|16))?")


@dataclass(frozen=True, kw_only=True)
class Way:
    """One descent of a trial."""

    name: str = ""
    """As it was asked for; nothing for the method's own."""
    granularity: Granularity | None = None
    """What is cut as one; None: what the method's scores are of."""
    multiple: int | None = None
    """Of which widths stay a multiple; None: the trial's `channel_multiple`."""

    def scores(self, net: nn.Module, method: "Method") -> Scores:
        """The method's scores where they are of this granularity, else the norms of weights."""
        own = method.scores(net)
        if self.granularity in (None, own.granularity):
            return own
        kind: Granularity = self.granularity
        values = {name: group_norms(layer.weight.detach(), kind) for name, layer in scored_layers(net, kind).items()}
        return Scores(granularity=kind, values=values, own={n: v >= 0 for n, v in values.items()}, threshold=0.0)

    def cut(self, at: int) -> str:
        """Name of a cut: `03`, `weight-03`."""
        return f"{self.name}-{at:02d}" if self.name else f"{at:02d}"


def ways_of(text: str) -> tuple[Way, ...]:
    """The method's own way, and those that a comma-separated text asks for.

    Raises:
        ValueError: a part is no way.

    >>> [way.cut(3) for way in ways_of("weight, filter-x8")]
    ['03', 'weight-03', 'filter-x8-03']
    """
    found = [Way()]
    for part in (each.strip() for each in text.split(",")):
        if part:
            match = _WAY.fullmatch(part)
            if match is None:
                raise ValueError(f"{part!r} is no way down: name {', '.join(get_args(Granularity))}, x8, or filter-x8")
            kind, multiple = match.groups()
            found.append(
                Way(name=part, granularity=kind, multiple=int(multiple) if multiple else None)  # type: ignore[arg-type]
            )
    return tuple(found)


class Ways(Choice):
    """Any text of ways; `choices` are examples."""

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, str):
            return False
        try:
            ways = ways_of(value)
        except ValueError:
            return False
        return len({way.name for way in ways}) == len(ways)

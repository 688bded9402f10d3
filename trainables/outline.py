"""What a network's graph says of its layers: which are its outputs, which read its inputs, which norm belongs to whom.

It is read off the graph once (`compact/coupling.py`) and laid on the network as a plain attribute, so that everything
that asks the network for its groups respects it. Without one, layers are taken in the order of their definition.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from torch import Tensor, nn

_ATTRIBUTE = "sparsweep_outline"


@dataclass(frozen=True, kw_only=True)
class Feed:
    """Who makes what a module reads, channel by channel.

    Attributes:
        layer: path of the module that reads: a norm or a grouped convolution.
        sources: by path of the module that makes it, [channels] int64: which of its units, -1 for none.
        foreign: [channels] bool, true where something else is read as well (the network's input, a constant).
    """

    layer: str
    sources: Mapping[str, Tensor]
    foreign: Tensor


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Of one network.

    Attributes:
        outputs: layers whose units reach the network's output without passing another layer.
        inputs: layers that read the network's input without another layer before them.
        idle: layers whose weights do not reach the output in evaluation mode (a head for training only).
        feeds: of the norms over single channels and of grouped convolutions, sources first.
        include: glob patterns of layers' paths that may be pruned.
        exclude: glob patterns of layers' paths that may not, stronger than `include`.
    """

    outputs: frozenset[str]
    inputs: frozenset[str]
    idle: frozenset[str] = frozenset()
    feeds: tuple[Feed, ...] = ()
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = field(default=())

    def allows(self, layer: str) -> bool:
        """Whether the user's patterns let this layer be pruned."""
        chosen = any(fnmatchcase(layer, pattern) for pattern in self.include)
        return chosen and not any(fnmatchcase(layer, pattern) for pattern in self.exclude)

    def limited(self, include: tuple[str, ...], exclude: tuple[str, ...]) -> "Outline":
        return replace(self, include=include, exclude=exclude)


def lay_outline(net: nn.Module, outline: Outline) -> None:
    """From now on the network's groups are those of its outline; copies keep it."""
    setattr(net, _ATTRIBUTE, outline)


def outline_of(net: nn.Module) -> Outline | None:
    """The outline that was laid on the network, if any."""
    outline: Outline | None = getattr(net, _ATTRIBUTE, None)
    return outline

"""Who feeds whom, unit by unit: measured by differentiation, whatever code stands between the layers.

One forward pass in double precision, in which every layer and norm is cut out of the graph: what it reads is recorded,
what it gives is replaced by positive numbers. Between the cuts stands only code that moves, adds, multiplies and bends
numbers; which unit reaches which column is read off its derivative. A column that depends on one unit alone has, for
tangents t and r·t (r a number of each unit), derivatives whose quotient is that unit's r; any mixture has not.
No name of an operation is looked at, so additions, concatenations, shuffles and flattenings are all the same.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from sparsweep.trainables.compact.attention import plain_attention
from sparsweep.trainables.compact.derivative import ENDS, Cut, columns_of, merged, sources_of


class TraceError(RuntimeError):
    """The network could not be traced; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What feeds what.

    Attributes:
        feeds: reader → source → [columns] which unit of the source each column depends on, -1 for none; None in place
            of the map where units are mixed before they are read.
        foreign: reader → [columns] bool: true where the column is not zero although every source gives zero.
        units: source → how many units it gives.
    """

    feeds: dict[str, dict[str, Tensor | None]]
    foreign: dict[str, Tensor]
    units: dict[str, int]


@dataclass(kw_only=True)
class _Tape:
    """What was read and what was given in one forward pass, and the hooks that write it down."""

    silent: bool
    """Everything gives zeros, not positive numbers."""
    reads: list[Cut] = field(default_factory=list)
    given: list[Cut] = field(default_factory=list)
    source: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def fresh(self, path: str, like: Tensor, dim: int) -> Tensor:
        """Stands in for what a module gave."""
        leaf = torch.rand(like.shape, generator=self.source, dtype=like.dtype) + 0.5
        leaf = (torch.zeros_like(leaf) if self.silent else leaf).requires_grad_()
        self.given.append(Cut(path=path, tensor=leaf, dim=dim))
        return leaf.clone()  # not the leaf itself: the network may change it in place

    def watch(self, path: str, module: nn.Module) -> list[RemovableHandle]:
        """Writes down what a module reads and puts fresh numbers in place of what it gives."""
        dim = channel_dim(module)

        def reading(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if not inputs or not isinstance(inputs[0], Tensor):
                return None
            self.reads.append(Cut(path=path, tensor=inputs[0].clone(), dim=dim))
            return (inputs[0].detach(), *inputs[1:])

        def giving(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor | None:
            return self.fresh(path, output, dim) if isinstance(output, Tensor) else None

        return [module.register_forward_pre_hook(reading), module.register_forward_hook(giving)]


class _Twice(TorchFunctionMode):
    """Hard sigmoids as clamps: torch has no second derivative of its own one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("hardsigmoid", "hardsigmoid_"):
            return nn.functional.relu6(args[0] + 3) / 6
        return func(*args, **(kwargs or {}))


def channelwise(module: nn.Module) -> bool:
    """A norm that treats every channel by itself."""
    return isinstance(module, _BatchNorm)


def mixes_channels(module: nn.Module) -> bool:
    """A norm over several channels."""
    return isinstance(module, nn.LayerNorm | nn.GroupNorm | nn.LocalResponseNorm | nn.RMSNorm)


def channel_dim(module: nn.Module) -> int:
    """The dimension of a module's input and output that holds its channels."""
    if isinstance(module, nn.Conv2d):
        return -3
    return 1 if isinstance(module, _BatchNorm | nn.GroupNorm | nn.LocalResponseNorm) else -1


def is_cut(module: nn.Module) -> bool:
    """Whether the trace knows this module: a prunable layer or a norm."""
    return isinstance(module, nn.Conv2d | nn.Linear) or channelwise(module) or mixes_channels(module)


def trace(net: nn.Module, example: Tensor, limit_s: float) -> Trace:
    """Traces a network.

    Args:
        net: in double precision on the CPU, in evaluation mode; its parameters need no gradients.
        example: one batch, double.
        limit_s: seconds it may take.

    Raises:
        ValueError: the network does not return one tensor.
        TraceError: it cannot be traced, or not within the time.
    """
    ends = time.monotonic() + limit_s
    try:
        with plain_attention():
            tape = _record(net, example, silent=False)
            silent = _record(net, example, silent=True)
            feeds: dict[str, dict[str, Tensor | None]] = {}
            for read in tape.reads:
                if time.monotonic() > ends:
                    raise TraceError(f"tracing takes longer than {limit_s:g} s")
                known = feeds.setdefault(read.path, {})
                for source, found in sources_of(read, tape.given).items():
                    known[source] = found if source not in known else merged(known[source], found)
    except (ValueError, TraceError):
        raise
    except Exception as fault:  # whatever the network's own code raises
        raise TraceError(f"it cannot be differentiated: {str(fault).strip().splitlines()[0]}") from fault
    foreign = {read.path: columns_of(read.tensor.detach().abs(), read.dim).amax(dim=1) > 0 for read in silent.reads}
    units = {cut.path: cut.tensor.shape[cut.dim] for cut in tape.given}
    return Trace(feeds=feeds, foreign=foreign, units=units)


def _record(net: nn.Module, example: Tensor, *, silent: bool) -> _Tape:
    tape = _Tape(silent=silent)
    hooks = [hook for path, module in net.named_modules() if is_cut(module) for hook in tape.watch(path, module)]
    try:
        with _Twice():
            output = net(example if silent else tape.fresh(ENDS, example, 1))
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(output, Tensor):
        raise ValueError(f"the network must return one tensor [batch, classes], not {type(output).__name__}")
    tape.reads.append(Cut(path=ENDS, tensor=output, dim=-1))
    return tape

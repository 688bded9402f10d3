"""A network read as a chain of layers: what a pass that walks backwards layer by layer can serve."""

import copy
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from sparsweep.trainables.groups import Prunable

_Norm = nn.BatchNorm1d | nn.BatchNorm2d


@dataclass(frozen=True, kw_only=True)
class Affine:
    """A convolution or linear layer, the BatchNorm behind it folded into copies of its weight and bias."""

    name: str
    layer: Prunable
    weight: Tensor
    bias: Tensor | None

    def forward(self, inputs: Tensor) -> Tensor:
        if isinstance(self.layer, nn.Linear):
            return F.linear(inputs, self.weight, self.bias)
        conv = self.layer
        return F.conv2d(inputs, self.weight, self.bias, conv.stride, conv.padding, conv.dilation)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Max-pooling; the fields are max_pool2d's."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: bool = False

    def forward(self, inputs: Tensor) -> Tensor:
        pooled: Tensor = F.max_pool2d(inputs, **vars(self))
        return pooled

    def winners(self, inputs: Tensor) -> Tensor:
        """Where each output came from: int64 [batch, channels, h, w], an index into a channel's flattened positions."""
        indices: Tensor = F.max_pool2d(inputs, **vars(self), return_indices=True)[1]
        return indices


@dataclass(frozen=True, kw_only=True)
class Relu:
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.relu()


@dataclass(frozen=True, kw_only=True)
class Flatten:
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1)


Step = Affine | Pool | Relu | Flatten
Chain = tuple[Step, ...]


@torch.no_grad()
def chain_of(net: nn.Module) -> Chain:
    """The steps of a network in evaluation mode, as its weights are now; the network stays as it is.

    Raises:
        ValueError: it is not a chain of convolutions, linear layers, BatchNorm directly behind them, ReLU, max-pooling,
            flattening and dropout; the text names the place.
    """
    try:
        graph = fx.Tracer().trace(net)
    except Exception as fault:  # whatever the network's own code raises when it is given a proxy
        raise ValueError(f"the network's forward pass cannot be traced: {_first_line(fault)}") from fault
    modules = dict(net.named_modules())
    steps: list[Step] = []
    last: fx.Node | None = None
    for node in graph.nodes:
        if node.op == "placeholder":
            if last is not None:
                raise ValueError(f"`{node.name}` is a second input")
        elif _about_shapes(node):
            continue
        elif node.all_input_nodes[:1] != [last] or any(not _about_shapes(n) for n in node.all_input_nodes[1:]):
            raise ValueError(f"`{node.name}` does not read the one layer before it: {_said(node, modules)}")
        elif node.op != "output":
            _append(steps, node, modules)
        last = node
    _refuse_odd(steps)
    return tuple(steps)


def _append(steps: list[Step], node: fx.Node, modules: Mapping[str, nn.Module]) -> None:
    """Adds what a node does; a BatchNorm goes into the layer before it, where nothing stands between."""
    found = _read(node, modules)
    if isinstance(found, _Norm):
        before = node.all_input_nodes[0]
        layer = modules.get(str(before.target)) if before.op == "call_module" else None
        if not isinstance(layer, nn.Conv2d | nn.Linear) or not isinstance(last := steps[-1], Affine):
            raise ValueError(f"`{node.name}` is a BatchNorm that does not directly follow a layer")
        steps[-1] = _folded(last, found)
    elif found is not None:
        steps.append(found)


def check_chain(net: nn.Module, example_shape: tuple[int, ...]) -> None:
    """Does the chain that is read from a network compute what the network computes?

    Raises:
        ValueError: it does not, or the network is not a chain.
    """
    outputs = inputs = torch.linspace(0, 1, 2 * int(torch.Size(example_shape).numel())).view(2, *example_shape)
    copied = copy.deepcopy(net).cpu().float().eval()
    steps = chain_of(copied)
    with torch.no_grad():
        for step in steps:
            if isinstance(step, Affine) and isinstance(step.layer, nn.Linear) and outputs.dim() != 2:
                raise ValueError(
                    f"`{step.name}` is a linear layer over {outputs.dim()} dimensions, not [batch, features]"
                )
            outputs = step.forward(outputs)
        wanted = copied(inputs)
    if outputs.shape != wanted.shape or not torch.allclose(outputs, wanted, rtol=1e-3, atol=1e-4):
        raise ValueError("the layers in their order do not give the network's outputs")


def _read(node: fx.Node, modules: Mapping[str, nn.Module]) -> Step | _Norm | None:
    """What a node does; None where it does nothing in evaluation mode."""
    if node.op == "call_module":
        name = str(node.target)
        module = modules[name]
        if isinstance(module, nn.Conv2d | nn.Linear):
            return _affine(name, module)
        if isinstance(module, nn.MaxPool2d) and not module.return_indices:
            return Pool(**{key: getattr(module, key) for key in Pool.__dataclass_fields__})
        if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            return Flatten()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
            return module
        if isinstance(module, nn.ReLU):
            return Relu()
        if isinstance(module, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d | nn.Identity):
            return None
    elif (reader := _READERS.get(node.target)) is not None:
        try:
            return reader(*node.args[1:], **node.kwargs)
        except (TypeError, ValueError):  # arguments that no step has
            pass
    raise ValueError(f"`{node.name}` is none of the layers that can be followed: {_said(node, modules)}")


def _flat_view(*shape: Any) -> Step:
    """view(batch, -1): what stands first is believed; `check_chain` compares the outputs."""
    if len(shape) != 2 or shape[1] != -1:
        raise ValueError
    return Flatten()


def _pool(
    kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Step:  # fmt: skip
    if return_indices:
        raise ValueError
    return Pool(kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)


def _flatten(start_dim: int = 0, end_dim: int = -1) -> Step:
    if (start_dim, end_dim) != (1, -1):
        raise ValueError
    return Flatten()


_READERS: Mapping[Any, Callable[..., Step | None]] = {
    F.relu: lambda inplace=False: Relu(), torch.relu: Relu, "relu": Relu, "relu_": Relu,
    F.max_pool2d: _pool, torch.max_pool2d: _pool,
    torch.flatten: _flatten, "flatten": _flatten, "view": _flat_view, "reshape": _flat_view,
    F.dropout: lambda p=0.5, training=True, inplace=False: None,
}  # fmt: skip


def _about_shapes(node: fx.Node) -> bool:
    """Sizes that a view is given: no layer."""
    if node.op == "call_method":
        return node.target in ("size", "dim")
    if node.target is getattr:
        return node.args[1] == "shape"
    return node.target is operator.getitem and isinstance(node.args[0], fx.Node) and _about_shapes(node.args[0])


def _affine(name: str, layer: Prunable) -> Affine:
    if isinstance(layer, nn.Conv2d):
        if layer.groups != 1:
            raise ValueError(f"`{name}` is a convolution in {layer.groups} groups")
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise ValueError(f"`{name}` is padded otherwise than by a number of zeros")
    bias = None if layer.bias is None else layer.bias.detach()
    return Affine(name=name, layer=layer, weight=layer.weight.detach(), bias=bias)


def _folded(step: Affine, norm: _Norm) -> Affine:
    """gamma (w·h + b - mean) / √(variance + ε) + beta as one weight and one bias."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = (variance + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach()
    bias = (step.bias if step.bias is not None else torch.zeros_like(mean)) - mean
    bias = bias * scale if norm.bias is None else bias * scale + norm.bias.detach()
    weight = step.weight * scale.view(-1, *[1] * (step.weight.dim() - 1))
    return Affine(name=step.name, layer=step.layer, weight=weight, bias=bias)


def _refuse_odd(steps: Sequence[Step]) -> None:
    layers = [step for step in steps if isinstance(step, Affine)]
    twice = [a.name for at, a in enumerate(layers) if any(a.layer.weight is b.layer.weight for b in layers[:at])]
    if twice:
        raise ValueError(f"`{twice[0]}` is used twice")
    if not layers or steps[-1] is not layers[-1]:
        raise ValueError("its last step is not a convolution or linear layer that gives the logits")


def _said(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    if node.op == "call_module":
        return repr(modules[str(node.target)]).splitlines()[0]
    return getattr(node.target, "__name__", str(node.target))


def _first_line(fault: Exception) -> str:
    return (str(fault).strip().splitlines() or [type(fault).__name__])[0]

"""Which layers a unit is coupled to: read off torch-pruning's dependency graph, once a network.

The graph knows that channel 3 of a convolution is column 3 of the next one, or columns 12…15 of a linear layer behind
a flatten. It does not know everything (an addition of the network's own input, a reshape written out by hand), so each
coupling is put to the test before it is believed. Which units go is decided by `removal.py`.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from sparsweep.trainables.groups import Prunable, prunable_layers


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """A layer that reads the units of another: unit u is its input columns where `unit_of == u`."""

    layer: str
    unit_of: Tensor
    """[in] int64: the unit behind each input column; -1 where the column is somebody else's."""


@dataclass(frozen=True, kw_only=True)
class Coupling:
    """A layer whose output units can be removed, and everybody who reads them."""

    layer: str
    consumers: tuple[Consumer, ...]


def couplings_of(net: nn.Module, example_shape: tuple[int, ...]) -> tuple[Coupling, ...]:
    """The couplings of every prunable layer but the output layer, in order of definition.

    A layer is left out, and nothing of it is removed, where its group holds anything but plain convolutions and linear
    layers (a norm, a grouped convolution, a module used twice, an addition of several producers), or where removing
    units is not the same as zeroing them.
    """
    copied = copy.deepcopy(net).cpu()
    layers = prunable_layers(copied)
    paths = {id(layer): name for name, layer in layers.items()}
    graph = tp.DependencyGraph().build_dependency(copied, example_inputs=torch.zeros(2, *example_shape), verbose=False)
    found = [_coupling(graph, name, layer, paths) for name, layer in list(layers.items())[:-1]]
    trial, inputs = _trial_copy(net, example_shape)
    with torch.no_grad():
        whole = trial(inputs)
    return tuple(coupling for coupling in found if coupling is not None and _holds(coupling, trial, inputs, whole))


def _trial_copy(net: nn.Module, example_shape: tuple[int, ...]) -> tuple[nn.Module, Tensor]:
    """The network in double precision with small positive numbers in it, and two inputs; no global randomness.

    Positive throughout, so that no unit hides behind a ReLU that happens to be closed.
    """
    source = torch.Generator().manual_seed(0)
    trial = copy.deepcopy(net).cpu().double().eval()
    with torch.no_grad():
        for tensor in (*trial.parameters(), *trial.buffers()):
            if tensor.is_floating_point():
                size = tensor[0].numel() if tensor.dim() > 1 else 2
                tensor.copy_((torch.rand(tensor.shape, generator=source) + 0.1) / size)
    return trial, torch.rand(2, *example_shape, generator=source).double()


@torch.no_grad()
def _holds(coupling: Coupling, net: nn.Module, inputs: Tensor, whole: Tensor) -> bool:
    """The oracle: every second unit zeroed where it is made, or where it is read, gives what its removal gives.

    Where the removal changes nothing at all, the trial has shown nothing, and the answer is no.
    """
    made, read, smaller = (copy.deepcopy(net) for _ in range(3))
    units = torch.arange(0, net.get_submodule(coupling.layer).get_parameter("weight").shape[0] - 1, 2)
    for parameter in made.get_submodule(coupling.layer).parameters():
        parameter[units] = 0
    remover(smaller.get_submodule(coupling.layer), outputs=True)(smaller.get_submodule(coupling.layer), units.tolist())
    for consumer in coupling.consumers:
        columns = torch.isin(consumer.unit_of, units).nonzero().flatten()
        read.get_submodule(consumer.layer).get_parameter("weight")[:, columns] = 0
        reader = smaller.get_submodule(consumer.layer)
        remover(reader, outputs=False)(reader, columns.tolist())
    try:
        outputs = smaller(inputs)
    except Exception:  # shapes that do not fit, raised by whatever code the network holds
        return False
    allowed = 1e-9 * float(outputs.abs().max())
    equal = all(float((masked(inputs) - outputs).abs().max()) <= allowed for masked in (made, read))
    return equal and (not len(units) or float((whole - outputs).abs().max()) > allowed)


def _coupling(graph: Any, name: str, layer: Prunable, paths: Mapping[int, str]) -> Coupling | None:
    units = layer.weight.shape[0]
    if _grouped(layer) or layer not in graph.module2node:  # not there: the forward pass does not use it
        return None
    group = graph.get_pruning_group(layer, remover(layer, outputs=True), idxs=list(range(units)))
    consumers = []
    for at, item in enumerate(group):
        module = item.dep.target.module
        reads = graph.is_in_channel_pruning_fn(item.dep.handler)
        if id(module) in paths and reads and not _grouped(module):
            unit_of = torch.full((module.weight.shape[1],), -1)
            unit_of[torch.tensor(item.idxs)] = torch.tensor(item.root_idxs)
            consumers.append(Consumer(layer=paths[id(module)], unit_of=unit_of))
        elif at > 0 and any(True for _ in module.parameters()):
            return None
    return Coupling(layer=name, consumers=tuple(consumers)) if consumers else None


def _grouped(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups > 1


def remover(layer: nn.Module, *, outputs: bool) -> Callable[[nn.Module, list[int]], nn.Module]:
    """torch-pruning's function that removes output (or input) channels of such a layer, in place."""
    conv = isinstance(layer, nn.Conv2d)
    if outputs:
        chosen = tp.prune_conv_out_channels if conv else tp.prune_linear_out_channels
    else:
        chosen = tp.prune_conv_in_channels if conv else tp.prune_linear_in_channels
    function: Callable[[nn.Module, list[int]], nn.Module] = chosen
    return function

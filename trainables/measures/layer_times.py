"""How long single layers take at the widths of a grid: what a search expects of a network that nobody has timed yet.

Layer times that were measured beforehand are added up, as in NetAdapt (Yang et al. 2018, arXiv:1804.03230, sec. 3.3).
Widths that divide by 8 have a grid of their own, as latency is a staircase: 16 channels may be faster than 15. What is
looked up guides the search and is never published; networks near the front are timed.
"""

import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils import benchmark

from sparsweep.trainables.groups import Prunable, prunable_layers

SHARES = (1.0, 0.5, 0.25, 0.125)
EIGHT = 8


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Milliseconds of one kind of layer by its widths; linear in between."""

    inputs: tuple[tuple[int, ...], tuple[int, ...]]
    """Widths that divide by 8 (or are the dense layer's), and others; ascending."""
    outputs: tuple[tuple[int, ...], tuple[int, ...]]
    ms: tuple[tuple[tuple[tuple[float, ...], ...], ...], ...]
    """By kind of input width, kind of output width, input width, output width."""

    def at(self, inputs: int, outputs: int) -> float:
        """Expected milliseconds at any widths."""
        kinds = [int(not _even(w, lists)) for w, lists in ((inputs, self.inputs), (outputs, self.outputs))]
        columns = self.ms[kinds[0]][kinds[1]]
        rows = [_between(self.outputs[kinds[1]], row, outputs) for row in columns]
        return _between(self.inputs[kinds[0]], rows, inputs)


@dataclass(frozen=True, kw_only=True)
class LayerTimes:
    """A dense network's layers with their grids, at one batch size on one device."""

    batch: int
    device: str
    layers: Mapping[str, str]
    """By path which grid is a layer's; one that has none takes as long as its share of outputs says."""
    grids: Mapping[str, Grid]
    dense: Mapping[str, tuple[int, int, int, float]]
    """By path in- and outputs, places of the output map, and milliseconds of the dense layer."""
    rest_ms: float
    """What the dense network takes beyond its layers: norms, activations, pooling."""

    def removed(self, net: nn.Module) -> float:
        """Share of the dense network's time that is expected to be gone, in (-inf, 1)."""
        compact = prunable_layers(net)
        whole = self.rest_ms + sum(ms for *_, ms in self.dense.values())
        left = sum(self._layer_ms(name, *_widths(layer)) for name, layer in compact.items() if name in self.dense)
        values = sum(outputs * places for _, outputs, places, _ in self.dense.values())
        still = sum(_widths(layer)[1] * self.dense[n][2] for n, layer in compact.items() if n in self.dense)
        return 1 - (left + self.rest_ms * still / values) / whole

    def _layer_ms(self, name: str, inputs: int, outputs: int) -> float:
        if name in self.layers:
            return self.grids[self.layers[name]].at(inputs, outputs)
        _, whole, _, ms = self.dense[name]
        return ms * outputs / whole

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `as_json` made."""
        grids = {name: Grid(**{key: _tuples(value) for key, value in grid.items()})
                 for name, grid in data["grids"].items()}  # fmt: skip
        return cls(**{**data, "grids": grids, "dense": {n: tuple(each) for n, each in data["dense"].items()}})


@torch.inference_mode()
def time_layers(
    net: nn.Module, example_shape: tuple[int, ...], *, batch: int, device: str, threads: int = 1,
    seconds: Callable[[nn.Module, Tensor, int], float] | None = None,
) -> LayerTimes:  # fmt: skip
    """Times every kind of layer of a dense network at the widths of its grid; to be run alone on the device.

    Args:
        device: label for the record.
        seconds: of one pass of a module on an input with so many threads; torch's timer unless given.
    """
    clock = seconds or _seconds
    inputs = torch.rand(batch, *example_shape)
    given, places = _seen(net.eval(), inputs)
    grids: dict[str, Grid] = {}
    layers: dict[str, str] = {}
    dense: dict[str, tuple[int, int, int, float]] = {}
    for name, layer in prunable_layers(net).items():
        if name not in given:
            continue
        dense[name] = (*_widths(layer), places[name], 1e3 * clock(layer, given[name], threads))
        if isinstance(layer, nn.Linear) or layer.groups == 1:
            layers[name] = kind = _kind(layer, given[name])
            if kind not in grids:
                grids[kind] = _grid(layer, given[name], threads, clock)
    whole = 1e3 * clock(net, inputs, threads)
    rest = max(whole - sum(ms for *_, ms in dense.values()), 0.0)
    return LayerTimes(batch=batch, device=device, layers=layers, grids=grids, dense=dense, rest_ms=rest)


def _grid(layer: Prunable, given: Tensor, threads: int, clock: Callable[[nn.Module, Tensor, int], float]) -> Grid:
    inputs, outputs = (grid_widths(width) for width in _widths(layer))

    def ms(read: int, made: int) -> float:
        if isinstance(layer, nn.Linear):
            return 1e3 * clock(nn.Linear(read, made), torch.rand(*given.shape[:-1], read), threads)
        small = nn.Conv2d(
            read, made, layer.kernel_size, layer.stride, layer.padding, layer.dilation,  # type: ignore[arg-type]
            bias=layer.bias is not None, padding_mode=layer.padding_mode,
        )  # fmt: skip
        return 1e3 * clock(small, torch.rand(len(given), read, *given.shape[2:]), threads)

    times = tuple(
        tuple(tuple(tuple(ms(read, made) for made in made_at) for read in read_at) for made_at in outputs)
        for read_at in inputs
    )
    return Grid(inputs=inputs, outputs=outputs, ms=times)


def grid_widths(dense: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Widths that are timed of a layer of so many units: those that divide by 8 (and the whole), and others.

    >>> grid_widths(64)
    ((8, 16, 32, 64), (1, 5, 13, 29, 61))
    >>> grid_widths(10)
    ((1, 5, 10), (1, 5, 10))
    """
    if dense < 2 * EIGHT:
        few = tuple(sorted({1, -(-dense // 2), dense}))
        return few, few
    even = sorted({dense, *(max(EIGHT, EIGHT * round(dense * share / EIGHT)) for share in SHARES[1:])})
    return tuple(even), tuple(sorted({1, *(width - 3 for width in even)}))


def _even(width: int, lists: Sequence[Sequence[int]]) -> bool:
    return width % EIGHT == 0 or width == lists[0][-1]


def _between(places: Sequence[int], values: Sequence[float], wanted: int) -> float:
    """Linear between the places, the end's own beyond them."""
    at = bisect.bisect_left(places, wanted)
    if at == 0 or at == len(places):
        return values[min(at, len(places) - 1)]
    low, high = places[at - 1], places[at]
    share = (wanted - low) / (high - low)
    return values[at - 1] + share * (values[at] - values[at - 1])


def _widths(layer: Prunable) -> tuple[int, int]:
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    return layer.in_channels, layer.out_channels


def _kind(layer: Prunable, given: Tensor) -> str:
    """What layers have in common that take the same time at equal widths."""
    about = "" if isinstance(layer, nn.Linear) else f"{layer.kernel_size}{layer.stride}{layer.padding}{layer.dilation}"
    places = given.shape[:-1] if isinstance(layer, nn.Linear) else (given.shape[0], *given.shape[2:])
    return f"{type(layer).__name__}{_widths(layer)}{about}{tuple(places)}{layer.bias is not None}"


def _seen(net: nn.Module, inputs: Tensor) -> tuple[dict[str, Tensor], dict[str, int]]:
    """What each layer reads, and how many places its output has besides its units; of those that are called."""
    given: dict[str, Tensor] = {}
    places: dict[str, int] = {}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(layer: nn.Module, read: tuple[Tensor, ...], output: Tensor) -> None:
            if read:
                given[name] = read[0]
                places[name] = output.numel() // len(output) // _widths(layer)[1]  # type: ignore[arg-type]

        return hook

    hooks = [layer.register_forward_hook(look(name)) for name, layer in prunable_layers(net).items()]
    net(inputs)
    for hook in hooks:
        hook.remove()
    return given, places


def _seconds(net: nn.Module, given: Tensor, threads: int) -> float:
    timer = benchmark.Timer("net(given)", globals={"net": net.eval(), "given": given}, num_threads=threads)
    timer.timeit(2)
    return float(timer.blocked_autorange(min_run_time=0.01).median)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value

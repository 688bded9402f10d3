"""Layer times at a grid of widths, with a clock that is written out: no test here depends on this machine's speed."""

import json

import pytest
import torch
from torch import nn

from sparsweep.trainables.compact.coupling import couplings_of
from sparsweep.trainables.compact.removal import compact
from sparsweep.trainables.groups import prunable_layers
from sparsweep.trainables.measures.layer_times import Grid, LayerTimes, grid_widths, time_layers
from sparsweep.trainables.tasks.networks import lenet_digits
from tests.trainables.nets import masked, mlp, shuffled


def test_widths_that_divide_by_8_have_a_grid_of_their_own() -> None:
    assert grid_widths(64) == ((8, 16, 32, 64), (1, 5, 13, 29, 61))
    assert grid_widths(20) == ((8, 20), (1, 5, 17))
    assert grid_widths(10) == ((1, 5, 10), (1, 5, 10))


def test_between_two_widths_time_is_linear_and_beyond_the_ends_it_stays() -> None:
    ms = ((1.0, 3.0), (2.0, 6.0))
    grid = Grid(inputs=((8, 16), (1, 13)), outputs=((8, 16), (1, 13)), ms=(((ms, ms), (ms, ms))))
    assert grid.at(8, 8) == 1
    assert grid.at(1, 7) == pytest.approx(2)
    assert grid.at(7, 7) == pytest.approx((2 + 4) / 2)
    assert grid.at(15, 15) == 6


def test_latency_is_a_staircase() -> None:
    fast, slow = ((1.0, 2.0), (2.0, 4.0)), ((3.0, 4.0), (4.0, 8.0))
    grid = Grid(inputs=((8, 16), (5, 13)), outputs=((8, 16), (5, 13)), ms=(((fast, slow), (slow, slow))))
    assert grid.at(16, 16) == 4
    assert grid.at(13, 13) == 8, "13 channels take longer than 16"


def _weights(net: nn.Module, given: torch.Tensor, threads: int) -> float:
    """A clock by which a layer takes a millisecond a weight, and norms, activations and the rest 100 ms in all."""
    assert threads == 1
    layers = prunable_layers(net).values()
    return sum(layer.weight.numel() for layer in layers) / 1e3 + (0 if isinstance(net, nn.Conv2d | nn.Linear) else 0.1)


def _timed(net: nn.Module, shape: tuple[int, ...]) -> LayerTimes:
    return time_layers(net, shape, batch=4, device="a device", seconds=_weights)


def test_what_is_removed_is_looked_up_layer_by_layer() -> None:
    net = shuffled(mlp(8, 4, 2))
    times = _timed(net, (8,))
    assert times.removed(net) == pytest.approx(0)
    keep = {"0": [[1] * 8] * 2 + [[0] * 8] * 2}
    smaller = compact(masked(net, keep), couplings_of(net, (8,))).net
    # dense 8·4 + 4·2 = 40 weights and 100 ms of rest; left 8·2 + 2·2 = 20, and of 6 outputs 4
    assert times.removed(smaller) == pytest.approx(1 - (20 + 100 * 4 / 6) / (40 + 100))


def test_convolutions_count_the_places_of_their_output() -> None:
    times = _timed(shuffled(lenet_digits()), (1, 8, 8))
    assert {name: each[:3] for name, each in times.dense.items()} == {
        "conv1": (1, 20, 64), "conv2": (20, 50, 16), "fc1": (200, 100, 1), "fc2": (100, 10, 1),
    }  # fmt: skip
    assert times.rest_ms == pytest.approx(100)
    assert set(times.layers) == {"conv1", "conv2", "fc1", "fc2"}


def test_a_grouped_convolution_goes_by_its_share_of_outputs() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(4, 2))
    times = _timed(net, (4, 3, 3))
    assert list(times.layers) == ["2"]
    half = nn.Sequential(nn.Conv2d(2, 2, 3, groups=2), nn.Flatten(), nn.Linear(2, 2))
    assert times.removed(half) == pytest.approx(1 - (18 + 4 + 100 * 4 / 6) / (36 + 8 + 100))


def test_layers_of_one_kind_are_timed_once() -> None:
    asked: list[tuple[int, ...]] = []

    def clock(net: nn.Module, given: torch.Tensor, threads: int) -> float:
        asked.append(tuple(getattr(net, "weight", torch.zeros(0)).shape))
        return 1.0

    time_layers(mlp(4, 4, 4, 4), (4,), batch=2, device="a device", seconds=clock)
    grid = len(grid_widths(4)[0])
    assert len(asked) == 3 + 4 * grid**2 + 1


def test_it_travels_as_json() -> None:
    times = _timed(shuffled(lenet_digits()), (1, 8, 8))
    assert LayerTimes.from_json(json.loads(json.dumps(times.as_json()))) == times


def test_a_real_clock_gives_times() -> None:
    """How long they are says the machine's load as much as the layers: only what a clock cannot get wrong is asked."""
    times = time_layers(lenet_digits(), (1, 8, 8), batch=2, device="here")
    assert all(ms > 0 for *_, ms in times.dense.values())
    assert times.removed(lenet_digits()) < 1
    looked_up = {name: times.grids[kind].at(*times.dense[name][:2]) for name, kind in times.layers.items()}
    assert set(looked_up) == {"conv1", "conv2", "fc1", "fc2"}
    assert all(ms > 0 for ms in looked_up.values())

"""Physical removal: which units go, which stay, and that nothing else changes."""

import copy

import pytest
import torch
from torch import nn

from sparsweep.trainables.compact.coupling import couplings_of, untraced
from sparsweep.trainables.compact.removal import Compacted, InexactCompactionError, check_exact, compact
from sparsweep.trainables.groups import prunable_layers
from sparsweep.trainables.tasks.networks import lenet_digits
from tests.trainables.nets import filled, masked, mlp, shuffled


def _compacted(net: nn.Module, shape: tuple[int, ...] = (2,)) -> Compacted:
    """Compacted, and checked on 256 random inputs."""
    compacted = compact(net, couplings_of(net, shape))
    check_exact(net, compacted.net, torch.randn(256, *shape, generator=torch.Generator().manual_seed(0)))
    return compacted


def test_a_unit_that_nothing_reaches_goes() -> None:
    net = masked(shuffled(mlp(2, 3, 2)), {"0": [[1, 1], [0, 0], [0, 1]]})
    assert _compacted(net).kept == {"0": [0, 2], "2": [0, 1]}


def test_a_unit_that_nobody_reads_goes_with_its_bias() -> None:
    net = masked(shuffled(mlp(2, 3, 2)), {"2": [[1, 0, 0], [1, 1, 0]]})
    assert _compacted(net).kept == {"0": [0, 1], "2": [0, 1]}


def test_a_unit_without_weights_but_with_a_bias_stays() -> None:
    net = mlp(2, 2, 1)
    filled(prunable_layers(net)["0"], [[0, 0], [1, 1]], [0.5, 0])
    filled(prunable_layers(net)["2"], [[1, 1]])
    assert _compacted(net).kept["0"] == [0, 1]
    filled(prunable_layers(net)["0"], [[0, 0], [1, 1]], [0, 0])
    assert _compacted(net).kept["0"] == [1]


def test_one_death_brings_about_the_next_forward() -> None:
    net = masked(shuffled(mlp(2, 2, 2, 2, bias=False)), {"0": [[0, 0], [1, 1]], "2": [[1, 0], [1, 1]]})
    assert _compacted(net).kept == {"0": [1], "2": [1], "4": [0, 1]}


def test_one_death_brings_about_the_next_backward() -> None:
    net = masked(shuffled(mlp(2, 2, 2, 2)), {"2": [[1, 1], [0, 1]], "4": [[0, 1], [0, 1]]})
    assert _compacted(net).kept == {"0": [1], "2": [1], "4": [0, 1]}


def test_every_layer_keeps_one_unit() -> None:
    net = masked(shuffled(mlp(2, 3, 3, 2)), {"0": [[0, 0]] * 3, "2": [[0] * 3] * 3})
    assert _compacted(net).kept == {"0": [0], "2": [0], "4": [0, 1]}


def test_channels_take_their_columns_behind_a_flatten_along() -> None:
    net = shuffled(lenet_digits())
    keep = torch.zeros(50, 1, 1, 1)
    keep[[3, 7]] = 1
    smaller = _compacted(masked(net, {"conv2": keep}), (1, 8, 8)).net
    assert {n: tuple(layer.weight.shape) for n, layer in prunable_layers(smaller).items()} == {
        "conv1": (20, 1, 3, 3), "conv2": (2, 20, 3, 3), "fc1": (100, 8), "fc2": (10, 100),
    }  # fmt: skip


def test_the_masked_network_stays_as_it_is() -> None:
    net = masked(shuffled(mlp(2, 3, 2)), {"0": [[1, 1], [0, 0], [0, 1]]})
    before = copy.deepcopy(net.state_dict())
    compacted = _compacted(net)
    assert all(torch.equal(before[name], now) for name, now in net.state_dict().items())
    assert net.training
    assert not any("mask" in name for name in compacted.net.state_dict())
    assert not compacted.net.training


def test_reading_off_the_couplings_leaves_network_and_randomness_alone() -> None:
    net = shuffled(mlp(2, 3, 2))
    before, random_state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    couplings_of(net, (2,))
    assert all(torch.equal(before[name], now) for name, now in net.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())
    assert net.training


def test_a_network_of_one_layer_has_nothing_to_remove() -> None:
    net = masked(shuffled(mlp(2, 2)), {"0": [[0, 0], [1, 1]]})
    assert couplings_of(net, (2,)).groups == ()
    assert _compacted(net).kept == {"0": [0, 1]}


def test_a_wrong_network_is_refused() -> None:
    net = masked(shuffled(mlp(2, 3, 2)), {})
    with pytest.raises(InexactCompactionError, match=r"differs from the masked one by .* \(allowed 0.0001\)"):
        check_exact(net, shuffled(mlp(2, 3, 2), seed=1), torch.ones(1, 2))


def test_a_network_that_gives_nan_is_refused() -> None:
    net = masked(shuffled(mlp(2, 3, 2)), {})
    with pytest.raises(InexactCompactionError, match="by nan"):
        check_exact(net, net, torch.full((1, 2), torch.nan))


def test_masks_of_a_network_without_couplings_are_delivered_as_they_are() -> None:
    net = masked(shuffled(mlp(2, 3, 2)), {"0": [[1, 1], [0, 0], [0, 1]]})
    compacted = compact(net, untraced(net, (2,), "not today"))
    assert compacted.kept == {"0": [0, 1, 2], "2": [0, 1]}
    assert [row["reason"] for row in compacted.coverage] == ["not today"] * 2
    check_exact(net, compacted.net, torch.rand(8, 2))

"""GSS by hand, and at the released network's initialisation."""

import pytest
import torch
from torch import nn

from sparsweep.trainables.groups import prunable_layers
from sparsweep.trainables.measures.macs import layer_macs
from sparsweep.trainables.measures.size import weight_counts
from sparsweep.trainables.methods.gasl import Gasl
from sparsweep.trainables.methods.gss import Gss
from sparsweep.trainables.tasks.networks import NETWORKS
from tests.trainables.nets import filled, mlp, tensor

ROWS = [[3.0, 4.0], [0.0, 1.0]]  # norms 5 and 1, energies 25 and 1: mean 13, variance 144


def _net() -> nn.Module:
    net = mlp(2, 2, 2)
    filled(prunable_layers(net)["0"], ROWS, [7, 7])
    filled(prunable_layers(net)["2"], [[9, 9], [9, 8]])
    return net


@pytest.mark.parametrize("granularity", ["weight", "filter"])
def test_the_penalty_is_over_filters_whatever_is_cut_and_spares_the_output_layer(granularity: str) -> None:
    method = Gss(granularity=granularity)  # type: ignore[arg-type]
    assert float(method.penalty(_net()).detach()) == pytest.approx(0.001 * (5 + 1) + 0.01 / 144)


@pytest.mark.parametrize("energies", [[4, 4], [0, 0]])
def test_where_the_variance_is_exactly_zero_the_term_is_left_out(energies: list[float]) -> None:
    values = tensor(energies).requires_grad_()
    term = Gss().attention(values)
    term.backward()  # type: ignore[no-untyped-call]
    assert term.item() == 0
    assert values.grad is not None
    assert values.grad.tolist() == [0, 0]


def test_there_is_no_floor_under_the_variance() -> None:
    """At V = 1e-8 the authors' later form, with its 1e-8, is half of it."""
    energies = tensor([1e-4, -1e-4])
    assert Gss().attention(energies).item() == pytest.approx(1e8, rel=1e-5)
    assert Gasl(attention_form="inverse_variance").attention(energies).item() == pytest.approx(5e7, rel=1e-5)


def test_single_weights_are_cut_in_every_layer() -> None:
    net = _net()
    filled(prunable_layers(net)["2"], [[0.0005, 0.001], [-0.002, 0]])
    scores = Gss().scores(net)
    assert {name: own.tolist() for name, own in scores.own.items()} == {
        "0": [[True, True], [False, True]],
        "2": [[False, False], [True, False]],
    }


def test_whole_filters_are_cut_by_their_largest_weight() -> None:
    scores = Gss(granularity="filter", threshold=1.0).scores(_net())
    assert {name: own.tolist() for name, own in scores.own.items()} == {"0": [True, False]}


def test_the_released_network() -> None:
    network = NETWORKS["gss-lenet"]
    net = network.build()
    assert sum(weight_counts(net).values()) == 3_551_296
    assert sum(layer_macs(net, network.example_shape).values()) == 44_740_096
    assert [module.p for module in net.modules() if isinstance(module, nn.Dropout)] == [0.2, 0.2]
    for layer in prunable_layers(net).values():
        assert float(layer.weight.detach().abs().max()) <= 0.2
        assert float(layer.weight.detach().std()) == pytest.approx(0.088, abs=0.004)  # .1 cut at two of it
        assert (layer.get_parameter("bias") == 0.1).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_released_terms_at_the_released_initialisation(seed: int) -> None:
    torch.manual_seed(seed)
    net = NETWORKS["gss-lenet"].build()
    attention = float(Gss(sparsity_strength=0.0).penalty(net).detach())
    assert float(Gss(attention_strength=0.0).penalty(net).detach()) == pytest.approx(4.555, abs=0.01)
    assert 3.4 < attention < 9.5
    energies = net.get_submodule("conv1").get_parameter("weight").detach().flatten(1).square().sum(dim=1)
    assert 0.01 * float(Gss().attention(energies)) / attention == pytest.approx(0.94, abs=0.03)

"""Gradual magnitude pruning, its layer shares, and random pruning."""

import pytest
import torch
from torch import nn

from sparsweep.trainables.groups import masks_of, prunable_layers
from sparsweep.trainables.methods.magnitude import Magnitude, erk_keeps
from sparsweep.trainables.methods.random import Random
from sparsweep.trainables.tasks.data import Split
from tests.trainables.nets import filled, mlp


def _net(method: Magnitude) -> nn.Module:
    """Two layers of four weights: 1…4 and 10…40."""
    net = mlp(2, 2, 2)
    method.prepare(net, Split(inputs=torch.zeros(1, 2), labels=torch.zeros(1, dtype=torch.int64)))
    filled(prunable_layers(net)["0"], [[1, -2], [3, 4]])
    filled(prunable_layers(net)["2"], [[10, 20], [-30, 40]])
    return net


def _sgd(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), lr=0.1)


def _left(net: nn.Module) -> dict[str, list[list[float]]]:
    return {name: layer.weight.tolist() for name, layer in prunable_layers(net).items()}


def test_the_schedule_is_cubic_between_begin_and_end() -> None:
    method = Magnitude(final_sparsity=0.8, begin=0.2, end=0.6, rounds=4)
    assert method.sparsity_at(0.0) == method.sparsity_at(0.2) == 0
    assert method.sparsity_at(0.3) == pytest.approx(0.8 * (1 - 0.75**3))
    assert method.sparsity_at(0.4) == pytest.approx(0.8 * (1 - 0.5**3))
    assert method.sparsity_at(0.6) == method.sparsity_at(1.0) == 0.8


def test_between_two_rounds_the_schedule_stands_still() -> None:
    method = Magnitude(final_sparsity=0.8, begin=0.2, end=0.6, rounds=4)
    assert method.sparsity_at(0.39) == method.sparsity_at(0.3)


def test_global_shares_compare_all_layers() -> None:
    net = _net(method := Magnitude(final_sparsity=0.5))
    method.after_step(net, _sgd(net), 1.0)
    assert _left(net) == {"0": [[0, 0], [0, 4]], "2": [[0, 20], [-30, 40]]}, "each layer keeps its best"


def test_uniform_shares_prune_each_layer_alike() -> None:
    net = _net(method := Magnitude(final_sparsity=0.5, layer_shares="uniform"))
    method.after_step(net, _sgd(net), 1.0)
    assert _left(net) == {"0": [[0, 0], [3, 4]], "2": [[0, 0], [-30, 40]]}


def test_before_begin_nothing_is_pruned() -> None:
    net = _net(method := Magnitude(final_sparsity=0.5, begin=0.2))
    before = _left(net)
    method.after_step(net, _sgd(net), 0.1)
    assert _left(net) == before


def test_a_pruned_weight_stays_pruned_however_far_the_optimizer_moved_it() -> None:
    net = _net(method := Magnitude(final_sparsity=0.75, layer_shares="uniform", begin=0.0, end=1.0, rounds=2))
    method.after_step(net, _sgd(net), 0.5)  # 1 - (1/2)³ of .75: two of four
    first = masks_of(net)
    assert [int(mask.sum()) for mask in first.values()] == [2, 2]
    with torch.no_grad():
        prunable_layers(net)["0"].weight[0, 0] = 99.0
    method.after_step(net, _sgd(net), 1.0)
    assert _left(net) == {"0": [[0, 0], [0, 4]], "2": [[0, 0], [0, 40]]}
    assert all(not (masks_of(net)[name] & ~mask).any() for name, mask in first.items())


def test_whole_units_go_with_their_bias() -> None:
    net = _net(method := Magnitude(final_sparsity=0.5, granularity="filter"))
    nn.init.ones_(prunable_layers(net)["0"].get_parameter("bias"))
    method.after_step(net, _sgd(net), 1.0)
    assert _left(net)["0"] == [[0, 0], [3, 4]]
    assert prunable_layers(net)["0"].get_parameter("bias").tolist() == [0, 1]


def test_the_own_cut_is_where_the_schedule_ended() -> None:
    net = _net(method := Magnitude(final_sparsity=0.5))
    method.after_step(net, _sgd(net), 1.0)
    assert all(torch.equal(method.scores(net).own[name], mask) for name, mask in masks_of(net).items())


def test_erk_spares_small_layers() -> None:
    # Σ dims: 20 of 100 weights and 4 of 4; at 24 kept the density scale is 1: .2 * 100 and 1 * 4
    assert erk_keeps({"large": (10, 10), "small": (2, 2)}, 24) == {"large": 20, "small": 4}
    assert erk_keeps({"large": (10, 10), "small": (2, 2)}, 12) == {"large": 10, "small": 2}


def test_erk_gives_what_a_full_layer_cannot_take_to_the_others() -> None:
    assert erk_keeps({"large": (10, 10), "small": (2, 2)}, 54) == {"large": 50, "small": 4}
    assert erk_keeps({"large": (10, 10), "small": (2, 2)}, 104) == {"large": 100, "small": 4}


def test_random_scores_are_drawn_once_from_the_seed() -> None:
    def drawn(seed: int) -> list[float]:
        net, method = mlp(2, 5, 2), Random()
        torch.manual_seed(seed)
        method.prepare(net, Split(inputs=torch.zeros(1, 2), labels=torch.zeros(1, dtype=torch.int64)))
        assert torch.equal(method.scores(net).values["0"], method.scores(net).values["0"])
        values: list[float] = method.scores(net).values["0"].tolist()
        return values

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_random_prunes_its_share_exactly() -> None:
    net, method = mlp(2, 10, 2), Random(final_sparsity=0.3)
    method.prepare(net, Split(inputs=torch.zeros(1, 2), labels=torch.zeros(1, dtype=torch.int64)))
    assert int(method.scores(net).own["0"].sum()) == 7

"""Gradual magnitude pruning, its layer shares, mask recovery, and random pruning."""

import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparsweep.spaces.space import Choice
from sparsweep.trainables.groups import masks_of, prunable_layers
from sparsweep.trainables.methods import surgery
from sparsweep.trainables.methods.erk import erk_keeps
from sparsweep.trainables.methods.magnitude import Magnitude
from sparsweep.trainables.methods.random import Random
from sparsweep.trainables.tasks.data import Split
from sparsweep.trainables.training import optimizer_of
from tests.trainables.nets import filled, mlp, tensor


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


# Recovery ----------------------------------------------------------------------------------------------------------


def _recovering(**knobs: float) -> tuple[nn.Module, Magnitude]:
    """The net of 1…4 and 10…40; every step renews, at thresholds that are the layers' means."""
    method = Magnitude(recovery=True, recovery_threshold=0.0, recovery_decay=0.0, begin=0.0, **knobs)  # type: ignore[arg-type]
    net = mlp(2, 2, 2)
    filled(prunable_layers(net)["0"], [[1, -2], [3, 4]])
    filled(prunable_layers(net)["2"], [[10, 20], [-30, 40]])
    method.prepare(net, Split(inputs=torch.zeros(1, 2), labels=torch.zeros(1, dtype=torch.int64)))
    return net, method


def _dense(net: nn.Module, name: str) -> list[list[float]]:
    values: list[list[float]] = net.get_submodule(name).get_buffer("dense_weight").tolist()
    return values


@pytest.mark.parametrize(
    ("before", "after"),
    [(True, [True, False, False, True, True]), (False, [True, False, False, False, False])],
)
def test_between_nine_and_eleven_tenths_of_the_threshold_a_mask_stays_as_it_was(
    before: bool, after: list[bool]
) -> None:
    weights = tensor([12, -8, 9, -10, 11])  # the mean size is 10: off at 9 and below, on above 11
    assert surgery.renewed(weights, torch.full((5,), before), 0.0).tolist() == after


def test_the_threshold_is_mean_and_spread_of_the_sizes() -> None:
    weights = tensor([1, -1, 3, -3])  # mean 2, std 1
    assert surgery.renewed(weights, torch.ones(4).bool(), 0.0).tolist() == [False, False, True, True]
    assert surgery.renewed(weights, torch.ones(4).bool(), 1.2).tolist() == [False, False, True, True]
    assert surgery.renewed(weights, torch.ones(4).bool(), -1.0).tolist() == [True] * 4
    assert surgery.renewed(weights, torch.zeros(4).bool(), -5.0).tolist() == [True] * 4, "never below 0"


def test_a_layer_keeps_its_largest_weight() -> None:
    assert surgery.renewed(tensor([1, 2]), torch.ones(2).bool(), 50.0).tolist() == [False, True]
    assert surgery.renewed(tensor([0, 0]), torch.ones(2).bool(), 0.0).tolist() == [True, False]


def test_a_wrongly_pruned_weight_comes_back_with_all_that_it_learned() -> None:
    net, method = _recovering()
    method.after_step(net, _sgd(net), 0.1)  # thresholds 2.5 and 25
    assert _left(net) == {"0": [[0, 0], [3, 4]], "2": [[0, 0], [-30, 40]]}
    with torch.no_grad():
        prunable_layers(net)["0"].weight[0, 0] = 5.0  # as far as the optimizer moved it
    method.after_step(net, _sgd(net), 0.2)  # sizes 6, 2, 3, 4: their mean is 3.75, off at 3.375, on above 4.125
    assert _dense(net, "0") == [[6, -2], [3, 4]]
    assert _left(net)["0"] == [[6, 0], [0, 4]]


def test_masks_are_renewed_from_begin_until_the_stop() -> None:
    net, method = _recovering(recovery_stop=0.5)
    method.after_step(net, _sgd(net), 0.6)
    assert _left(net)["0"] == [[1, -2], [3, 4]]
    method.after_step(net, _sgd(net), 0.5)
    masks = masks_of(net)
    with torch.no_grad():
        prunable_layers(net)["0"].weight.copy_(tensor([[50, 50], [3, 4]]))
    method.after_step(net, _sgd(net), 0.6)
    assert all(torch.equal(masks[name], mask) for name, mask in masks_of(net).items())
    assert _left(net)["0"] == [[0, 0], [3, 4]]
    late = Magnitude(recovery=True, begin=0.3)
    net, _ = _recovering()
    late.after_step(net, _sgd(net), 0.3)
    assert _left(net)["0"] == [[1, -2], [3, 4]]


def test_renewals_become_rarer(monkeypatch: pytest.MonkeyPatch) -> None:
    net, _ = _recovering()
    monkeypatch.setattr(torch, "rand", lambda shape: torch.full(shape, 0.3))
    drawn = [surgery.open_to_renewal(net, 1.0, 1.0) for _ in range(5)]  # 1, 1/2, 1/3, 1/4, 1/5
    assert drawn == [True, True, True, False, False]
    assert surgery.open_to_renewal(net, 1.0, 0.5), "1 / √6 is .41"


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_the_dense_weights_are_those_of_a_straight_through_gradient(name: str) -> None:
    torch.manual_seed(0)
    inputs, labels = torch.rand(8, 2), torch.arange(8) % 2
    net = nn.Sequential(nn.Linear(2, 2, bias=False))
    mask, weight = tensor([[1, 0], [0, 1]]), nn.Parameter(net[0].get_parameter("weight").detach().clone())
    explicit = nn.ParameterDict({"weight": weight})
    Magnitude(recovery=True).prepare(net, Split(inputs=inputs, labels=labels))
    net[0].get_buffer("weight_mask").copy_(mask)
    mine, theirs = optimizer_of(net, 0.1, name=name), optimizer_of(explicit, 0.1, name=name)
    surgery.hold(net)
    for _ in range(5):
        mine.zero_grad()
        theirs.zero_grad()
        F.cross_entropy(net(inputs), labels).backward()  # type: ignore[no-untyped-call]
        through = weight + (weight * mask - weight).detach()
        F.cross_entropy(inputs @ through.T, labels).backward()  # type: ignore[no-untyped-call]
        mine.step()
        theirs.step()
        surgery.track(net)
    assert torch.allclose(net[0].get_buffer("dense_weight"), weight, atol=1e-6)
    assert torch.allclose(net[0].get_parameter("weight"), weight * mask, atol=1e-6)


def test_with_recovery_the_own_cut_is_where_the_masks_ended() -> None:
    net, method = _recovering()
    method.after_step(net, _sgd(net), 0.1)
    method.fold(net)
    assert [name for name, _ in net.named_buffers() if "mask" not in name] == []
    assert {n: own.tolist() for n, own in method.scores(net).own.items()} == {
        "0": [[False, False], [True, True]],
        "2": [[False, False], [True, True]],
    }


def test_recovery_is_for_single_weights() -> None:
    with pytest.raises(ValueError, match=r"^magnitude: recovery works on single weights, not on granularity 'filter'"):
        Magnitude(recovery=True, granularity="filter").check(mlp(2, 2, 2), (2,))
    source = random.Random(0)
    for _ in range(50):
        row = Magnitude.default_space.row(
            lambda label, allowed: source.choice(allowed.choices) if isinstance(allowed, Choice) else allowed.low
        )
        assert row["recovery"] in ((False, True) if row["granularity"] == "weight" else (False,))
        assert ("final_sparsity" in row) is not ("recovery_threshold" in row)
        assert ("final_sparsity" in row) is (row["recovery"] is False)

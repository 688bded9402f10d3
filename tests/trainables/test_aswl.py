"""ASWL by hand: a layer of two units with the weights 1, -2, 3, 4, and one of the weights 10…40."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsweep.trainables.cut import positions
from sparsweep.trainables.groups import prunable_layers
from sparsweep.trainables.methods.aswl import Aswl, Attention, without_smallest
from sparsweep.trainables.output_gates import gates_of
from sparsweep.trainables.tasks.data import Split, load_data
from sparsweep.trainables.tasks.networks import NETWORKS
from sparsweep.trainables.training import optimizer_of
from tests.trainables.nets import filled, mlp, tensor


def _sample(*shape: int) -> Split:
    return Split(inputs=torch.zeros(1, *shape), labels=torch.zeros(1, dtype=torch.int64))


def _net(**knobs: Any) -> tuple[nn.Module, Aswl]:
    method = Aswl(**{"ramp": 0.0, **knobs})
    net = mlp(2, 2, 2)
    filled(prunable_layers(net)["0"], [[1, -2], [3, 4]], [1, 1])
    filled(prunable_layers(net)["2"], [[10, 20], [-30, 40]])
    method.prepare(net, _sample(2))
    return net, method


def _sgd(net: nn.Module, rate: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), lr=rate)


def _gate(net: nn.Module, layer: str = "0") -> Attention:
    gate = gates_of(net)[layer]
    assert isinstance(gate, Attention)
    return gate


def _attend(net: nn.Module, **attentions: float) -> None:
    with torch.no_grad():
        for layer, value in attentions.items():
            _gate(net, layer.lstrip("_")).attention.fill_(value)


def _weight(net: nn.Module, layer: str = "0") -> list[list[float]]:
    values: list[list[float]] = net.get_submodule(layer).get_parameter("weight").tolist()
    return values


# From attention to density -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attention", "factor", "pruned"),
    [
        (0.5, 1.0, 0.5),
        (0.5, 2.0, 0.25),
        (0.36, 0.5, 0.8),
        (0.0, 1.0, 0.99),
        (-3.0, 1.0, 0.99),
        (0.01, 0.25, 0.99),  # .9975 without the cap
        (1.0, 1.0, 1e-4),
        (7.0, 1.0, 1e-4),
    ],
)
def test_the_pruned_share_falls_with_the_attention(attention: float, factor: float, pruned: float) -> None:
    assert float(Aswl(pruning_factor=factor).pruned_share(tensor(attention))) == pytest.approx(pruned, rel=1e-3)


@pytest.mark.parametrize("factor", [0.25, 1.0, 2.0])
def test_its_slope_is_finite_at_full_attention(factor: float) -> None:
    attention = tensor([0.01, 0.5, 1 - 1e-4, 1.0, 2.0]).requires_grad_()
    Aswl(pruning_factor=factor).pruned_share(attention).sum().backward()
    assert attention.grad is not None
    assert attention.grad.isfinite().all()


def test_the_expected_density_weighs_layers_by_their_size() -> None:
    method, net = Aswl(), mlp(2, 4, 1)  # 8 and 4 weights
    method.prepare(net, _sample(2))
    _attend(net, _0=0.25, _2=1.0)
    assert float(method.density(net).detach()) == pytest.approx((8 * 0.25 + 4) / 12, rel=1e-3)


def test_the_loss_draws_the_density_to_the_target_and_charges_what_is_kept() -> None:
    net, method = _net(attention_decay=2.0, target_density=0.1)
    assert float(method.penalty(net).detach()) == pytest.approx(2 * (0.5 - 0.1) ** 2)
    net, method = _net(attention_decay=0.0, weight_decay_strength=0.01)
    # twice 3, 4 and twice -30, 40 are left: 36 + 64 + 3600 + 6400
    assert float(method.penalty(net).detach()) == pytest.approx(0.01 * 10_100)


def test_the_pull_grows_over_its_ramp() -> None:
    net, method = _net(ramp=0.4, attention_decay=2.0, target_density=0.1)
    terms = [float(method.penalty(net).detach())]
    for progress in (0.1, 0.2, 0.4, 0.6):
        method.after_step(net, _sgd(net), progress)
        terms.append(float(method.penalty(net).detach()))
    assert terms == pytest.approx([2 * 0.4**2 * share for share in (0, 0.25, 0.5, 1, 1)])


# Masks and dense weights -------------------------------------------------------------------------------------------


def test_half_attention_starts_at_the_networks_own_scale_with_half_of_each_layer() -> None:
    net, _ = _net()
    assert _weight(net) == [[0, 0], [6, 8]], "the smallest two are gone, the others divided by .5"
    assert _weight(net, "2") == [[0, 0], [-60, 80]]
    assert net.get_submodule("0")(tensor([[1, 1]])).tolist() == [[0, 8]], "3 + 4 + the bias; a unit without weights"


@pytest.mark.parametrize("attention", [0.01, 0.1, 0.3, 0.77, 0.999])
def test_non_zeros_are_all_but_the_rounded_down_share(attention: float) -> None:
    torch.manual_seed(0)
    method, net = Aswl(), mlp(30, 10, 7)
    method.prepare(net, _sample(30))
    _attend(net, _0=attention)
    method.after_step(net, _sgd(net), 0.5)
    share = float(method.pruned_share(tensor(attention)))
    left = prunable_layers(net)["0"].weight.count_nonzero()
    assert int(left) == 300 - int(share * 300 + 1e-9)


def test_of_equal_weights_the_lower_index_stays() -> None:
    assert without_smallest(torch.ones(2, 3), 2).tolist() == [[True, True, True], [True, False, False]]
    assert without_smallest(tensor([2, 1, 1, 1]), 2).tolist() == [True, True, False, False]
    assert without_smallest(tensor([2, 1]), 0).tolist() == [True, True]


def test_no_sorting_gives_what_sorting_gives() -> None:
    sizes = torch.randint(5, (40,), generator=torch.Generator().manual_seed(0)).float()
    for pruned in range(40):
        assert torch.equal(without_smallest(sizes, pruned), positions(sizes) >= pruned)


def test_pruned_weights_get_their_gradient_and_keep_what_it_moved_them() -> None:
    net, method = _net(attention_decay=0.0)
    _attend(net, _0=0.5, _2=1.0)
    optimizer = _sgd(net, 0.1)
    layer = prunable_layers(net)["0"]
    (-10 * F.linear(tensor([[1, 2]]), layer.weight).sum()).backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[-10, -20], [-10, -20]], "masked entries too"
    optimizer.step()
    method.after_step(net, optimizer, 0.1)
    assert layer.get_buffer("dense_weight").tolist() == [[3, -2], [7, 10]]  # 2, -4, 6, 8 and the step 1, 2
    assert _weight(net) == [[0, 0], [7, 10]]


def test_a_pruned_weight_comes_back_when_it_has_grown() -> None:
    net, method = _net()
    with torch.no_grad():
        prunable_layers(net)["0"].weight[0, 0] = 7.0  # as far as the optimizer moved it from 0
    method.after_step(net, _sgd(net), 0.1)
    assert _weight(net) == [[9, 0], [0, 8]]  # 2 + 7 against 6 and 8


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_it_is_the_straight_through_update(name: str) -> None:
    """Against the definition: W + (W ⊙ M - W).detach() in the forward pass, the optimizer on W itself."""
    torch.manual_seed(0)
    method, net = Aswl(attention_decay=0.0, attention_learning_rate=0.0, ramp=0.0), mlp(6, 4, bias=False)
    method.prepare(net, _sample(6))
    layer = prunable_layers(net)["0"]
    dense = layer.get_buffer("dense_weight").clone().requires_grad_()
    ours = optimizer_of(net, 0.05, name=name, rates=method.learning_rates(net))
    theirs = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name](
        [dense], lr=0.05, **({"momentum": 0.9} if name == "sgd" else {})
    )
    for step in range(12):
        inputs, labels = torch.randn(8, 6), torch.arange(8) % 4
        mask = without_smallest(dense.detach().abs(), 12)
        straight = dense + (dense * mask - dense).detach()
        for optimizer, logits in ((theirs, 0.5 * inputs @ straight.T), (ours, net(inputs))):
            optimizer.zero_grad()
            F.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        method.after_step(net, ours, step / 20)
        assert torch.allclose(layer.get_buffer("dense_weight"), dense, atol=1e-5)


# Attention, its floor and the freezing -----------------------------------------------------------------------------


def test_attention_has_a_floor_and_a_learning_rate_of_its_own() -> None:
    net, method = _net(attention_learning_rate=0.1)
    assert method.learning_rates(net) == {"0.output_gate.attention": 0.1, "2.output_gate.attention": 0.1}
    _attend(net, _0=-2.0)
    method.after_step(net, _sgd(net), 0.1)
    assert float(_gate(net).attention.detach()) == pytest.approx(0.01)


def test_attention_is_held_for_the_last_fifth_and_masks_for_the_last_twentieth() -> None:
    net, method = _net()
    kept = []
    for progress, attention in ((0.8, 0.25), (0.9, 0.75), (0.95, 0.75)):
        _attend(net, _0=attention)
        method.after_step(net, _sgd(net), progress)
        kept.append(float(_gate(net).attention.detach()))
    assert kept == [0.25, 0.25, 0.25]
    assert _weight(net) == [[0, 0], [0, 8]]  # three of four pruned
    with torch.no_grad():
        prunable_layers(net)["0"].weight[0, 0] = 50.0
    method.after_step(net, _sgd(net), 0.96)
    assert _weight(net) == [[0, 0], [0, 8]]
    method.after_step(net, _sgd(net), 0.95)
    assert _weight(net) == [[52, 0], [0, 0]], "its dense weight learned on"


def test_the_density_comes_nearer_to_its_target_the_stronger_the_pull() -> None:
    data = load_data("digits").train
    gaps = []
    for decay in (0.3, 3.0, 10.0):
        torch.manual_seed(0)
        method = Aswl(attention_decay=decay, target_density=0.1, ramp=0.0)
        net = NETWORKS["lenet-digits"].build()
        method.prepare(net, _sample(1, 8, 8))
        optimizer = optimizer_of(net, 5e-3, rates=method.learning_rates(net))
        for step in range(60):
            at = slice(16 * step, 16 * step + 16)
            optimizer.zero_grad()
            (F.cross_entropy(net(data.inputs[at]), data.labels[at]) + method.penalty(net)).backward()
            optimizer.step()
            method.after_step(net, optimizer, step / 60)
        gaps.append(abs(float(method.density(net).detach()) - 0.1))
    assert gaps[0] > gaps[1] > gaps[2]


# Folding -----------------------------------------------------------------------------------------------------------


def test_folding_multiplies_the_attention_in_and_forgets_the_dense_weights() -> None:
    net, method = _net()
    _attend(net, _0=0.25)
    method.fold(net)
    assert _weight(net) == [[0, 0], [1.5, 2]]
    assert net.get_submodule("0").get_parameter("bias").tolist() == [0, 0.5]
    assert not any("gate" in key or "dense" in key for key in net.state_dict())
    scores = method.scores(net)
    assert scores.own["0"].tolist() == [[False, False], [True, True]]
    assert scores.values["0"].tolist() == [[0, 0], [1.5, 2]]
    assert scores.threshold == 0.5


class _Normed(nn.Module):
    """A convolution with a norm behind it, and one without."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.last = nn.Conv2d(4, 4, 3), nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(F.relu(self.second(F.relu(self.norm(self.first(x))))).flatten(1))
        return logits


def test_what_the_attention_multiplies_is_divided_by_its_first_value() -> None:
    torch.manual_seed(0)
    net, method = _Normed().eval(), Aswl(pruning_factor=100.0)  # p(.5) = 2^-100: nothing is pruned yet
    plain, inputs = copy.deepcopy(net), torch.rand(4, 1, 8, 8)
    method.prepare(net, _sample(1, 8, 8))
    assert torch.allclose(net(inputs), plain(inputs), atol=1e-5)
    assert net.norm.weight.tolist() == [2] * 4
    assert torch.equal(net.first.weight, plain.first.weight)


def test_folding_into_layers_and_norms_leaves_the_outputs() -> None:
    torch.manual_seed(0)
    net, method = _Normed(), Aswl(weight_decay_strength=1e-4, ramp=0.0)
    method.check(net, (1, 8, 8))
    method.prepare(net, _sample(1, 8, 8))
    optimizer = optimizer_of(net, 0.05, rates=method.learning_rates(net))
    for step in range(4):
        optimizer.zero_grad()
        inputs, labels = torch.rand(8, 1, 8, 8), torch.arange(8) % 3
        (F.cross_entropy(net(inputs), labels) + method.penalty(net)).backward()
        optimizer.step()
        method.after_step(net, optimizer, step / 4)
    inputs = torch.rand(16, 1, 8, 8)
    before = net.eval()(inputs)
    factor = float(_gate(net, "first").attention.detach())
    scale = net.norm.weight * factor
    method.fold(net)
    assert torch.allclose(net(inputs), before, atol=1e-5)
    assert torch.equal(net.norm.weight, scale)


def test_attention_before_a_norm_is_refused_with_what_to_use_instead() -> None:
    method = Aswl(gate_position="before_norm")
    with pytest.raises(ValueError, match=r"norm behind first.* Use gate_position: after_norm"):
        method.check(_Normed(), (1, 8, 8))
    method.check(NETWORKS["lenet-digits"].build(), (1, 8, 8))
    Aswl().check(_Normed(), (1, 8, 8))

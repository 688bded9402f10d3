"""ABP's gates by hand, on scores -2, -.1, .1, 2 with a threshold of .5."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsweep.trainables.compact.coupling import couplings_of
from sparsweep.trainables.compact.removal import check_exact, compact
from sparsweep.trainables.cut import weight_masks
from sparsweep.trainables.groups import prunable_layers, set_masks
from sparsweep.trainables.methods.abp import Abp
from sparsweep.trainables.methods.abp_gate import hardness_at, macs_share, score_gates
from sparsweep.trainables.output_gates import norms_behind
from sparsweep.trainables.tasks.data import Split, load_data
from sparsweep.trainables.tasks.networks import NETWORKS
from sparsweep.trainables.training import optimizer_of
from tests.trainables.nets import mlp, tensor

SCORES = [-2.0, -0.1, 0.1, 2.0]


def _sample(*shape: int) -> Split:
    return Split(inputs=torch.zeros(1, *shape), labels=torch.zeros(1, dtype=torch.int64))


def _net(scores: list[float] | None = None, **knobs: Any) -> tuple[nn.Module, Abp]:
    """2-4-3 with the scores on its four hidden units, all of whose weights are 1."""
    method = Abp(**{"score_threshold": 0.5, **knobs})
    net = mlp(2, 4, 3)
    for layer in prunable_layers(net).values():
        nn.init.ones_(layer.weight)
        nn.init.ones_(layer.get_parameter("bias"))
    method.prepare(net, _sample(2))
    _score(net, SCORES if scores is None else scores)
    return net, method


def _score(net: nn.Module, scores: list[float], layer: str = "0") -> None:
    with torch.no_grad():
        score_gates(net)[layer].score.copy_(tensor(scores))


def _at(method: Abp, net: nn.Module, progress: float) -> nn.Module:
    method.after_step(net, torch.optim.SGD(net.parameters(), lr=0.1), progress)
    return net


def test_in_evaluation_a_gate_is_open_or_closed() -> None:
    net, _ = _net()
    assert score_gates(net.eval())["0"].factor().tolist() == [1, 0, 0, 1]
    assert net.get_submodule("0")(tensor([[1, 1]])).tolist() == [[3, 0, 0, 3]]


def test_in_training_it_is_mixed_with_the_score() -> None:
    net, _ = _net()
    factor = score_gates(net)["0"].factor()  # λ = .5: halfway between 1 and -2, 0 and -.1, …
    assert factor.tolist() == pytest.approx([-0.5, -0.05, 0.05, 1.5])


def test_the_mixture_hardens_and_is_hard_for_the_last_quarter() -> None:
    assert hardness_at(0) == 0.5
    assert hardness_at(0.1) == pytest.approx(1 / (1 + math.exp(-2)))
    assert hardness_at(0.74) < 1
    assert hardness_at(0.75) == hardness_at(1) == 1


def test_a_hard_training_gate_is_the_evaluation_gate() -> None:
    net, method = _net()
    gate = score_gates(_at(method, net, 0.75))["0"]
    assert torch.equal(gate.train().factor(), gate.eval().factor())


@pytest.mark.parametrize(
    ("estimator", "slopes"),
    [
        ("identity", [1, 1, 1, 1]),
        ("clipped", [0, 1, 1, 0]),  # 2λ = 1 where |v| <= 1
        ("sign_corrected", [-1, -1, 1, 1]),
    ],
)
def test_the_declared_gradient_of_each_estimator(estimator: str, slopes: list[float]) -> None:
    net, _ = _net(estimator=estimator)
    gate = score_gates(net)["0"]
    (gate.factor() * tensor([10, 20, 30, 40])).sum().backward()  # type: ignore[no-untyped-call]
    assert gate.score.grad is not None
    assert gate.score.grad.tolist() == [10 * slopes[0], 20 * slopes[1], 30 * slopes[2], 40 * slopes[3]]


@pytest.mark.parametrize(("threshold", "bound"), [(0.5, 1.0), (0.8, 1.2)])
def test_scores_stay_near_the_threshold(threshold: float, bound: float) -> None:
    net, method = _net(score_threshold=threshold)
    _at(method, net, 0.1)
    assert score_gates(net)["0"].score.tolist() == pytest.approx([-bound, -0.1, 0.1, bound])


def test_a_pruned_filter_whose_gradient_turns_comes_back() -> None:
    net, method = _net([0.6, 0.0, 0.0, 2.0])
    gate = score_gates(_at(method, net, 1.0))["0"]
    optimizer = torch.optim.SGD([gate.score], lr=0.2)
    seen = []
    for pull in (1, 1, -1, -1):  # the loss is lower without the first filter, then lower with it
        optimizer.zero_grad()
        (pull * gate.factor()[0]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seen.append(gate.kept().tolist()[0])
    assert seen == [False, False, False, True]  # .4, .2, .4, .6 against .5


def test_a_layer_never_loses_its_last_filter() -> None:
    net, method = _net([0.1, -0.4, 0.3, 0.4])
    assert score_gates(net)["0"].kept().tolist() == [False, True, False, False], "of equals the lower index"
    method.fold(net)
    assert method.scores(net).own["0"].tolist() == [False, True, False, False]


def test_folding_closes_filters_with_their_bias_and_takes_the_gates_out() -> None:
    net, method = _net()
    inputs = tensor([[1, 2], [-3, 0.5]])
    before = net.eval()(inputs)
    method.fold(net)
    layer = net.get_submodule("0")
    assert layer.get_parameter("weight").tolist() == [[1, 1], [0, 0], [0, 0], [1, 1]]
    assert layer.get_parameter("bias").tolist() == [1, 0, 0, 1]
    assert torch.allclose(net(inputs), before)
    assert not any("gate" in key or "macs" in key for key in net.state_dict())
    scores = method.scores(net)
    assert scores.values["0"].tolist() == pytest.approx([2**0.5, 0, 0, 2**0.5])
    assert scores.own["0"].tolist() == [True, False, False, True]
    assert scores.threshold == 0.5


def test_a_copy_of_the_network_has_gates_of_its_own() -> None:
    net, method = _net()
    copied = copy.deepcopy(net).eval()
    _score(net, [0.0, 2.0, 2.0, 0.0])
    assert copied.get_submodule("0")(tensor([[1, 1]])).tolist() == [[3, 0, 0, 3]]
    method.fold(copied)
    assert score_gates(net.eval())["0"].factor().tolist() == [0, 1, 1, 0]


def test_the_frozen_random_mask_control_leaves_scores_as_drawn() -> None:
    net, method = _net(score_learning_rate=0.0)
    optimizer = optimizer_of(net, 0.1, rates=method.learning_rates(net))
    F.cross_entropy(net(torch.ones(1, 2)), torch.zeros(1, dtype=torch.int64)).backward()  # type: ignore[no-untyped-call]
    score = score_gates(net)["0"].score
    assert score.grad is not None
    assert score.grad.any()
    optimizer.step()
    assert score.tolist() == pytest.approx(SCORES)


def test_scores_have_a_learning_rate_of_their_own() -> None:
    net, method = _net()
    assert method.learning_rates(net) == {"0.output_gate.score": 0.06}


# The budget --------------------------------------------------------------------------------------------------------


def test_the_share_of_multiply_adds_is_outputs_times_inputs() -> None:
    net, _ = _net(budget_strength=1.0)
    # 2-4-3: 8 and 12 of 20; half of the hidden units are open: (8 / 2 + 12 / 2) / 20
    assert float(macs_share(net).detach()) == pytest.approx(0.5)


def test_the_budget_term_moves_sizes_not_scores() -> None:
    net, method = _net(budget_strength=3.0, budget=0.1)
    penalty = method.penalty(net)
    assert float(penalty.detach()) == pytest.approx(3 * (0.5 - 0.1) ** 2)
    penalty.backward()  # type: ignore[no-untyped-call]
    score = score_gates(net)["0"].score
    assert score.grad is not None
    # 3 · 2 · .4 · ∂share/∂|v|, which is 1/4 of the share that all four would have
    assert score.grad.tolist() == pytest.approx([-0.6, -0.6, 0.6, 0.6])


def test_in_a_chain_both_ends_of_a_layer_count() -> None:
    method = Abp(score_threshold=0.5, budget_strength=1.0)
    net = mlp(2, 4, 4, 1)  # 8, 16 and 4 of 28
    method.prepare(net, _sample(2))
    _score(net, SCORES, "0")
    _score(net, [2.0, 0.0, 0.0, 0.0], "2")
    assert float(macs_share(net).detach()) == pytest.approx((8 / 2 + 16 / 2 / 4 + 4 / 4) / 28)


def test_without_a_budget_there_is_no_penalty() -> None:
    net, method = _net()
    assert float(method.penalty(net)) == 0


# Norms -------------------------------------------------------------------------------------------------------------


class _Normed(nn.Module):
    """conv-norm-relu-conv-relu, then a norm that does not stand right behind its conv, then a linear layer."""

    def __init__(self, affine: bool = True) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=affine)
        self.second, self.second_norm = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        self.last = nn.Linear(4 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.first_norm(self.first(x)))
        hidden = self.second_norm(F.relu(self.second(hidden), inplace=True))
        logits: Tensor = self.last(hidden.flatten(1))
        return logits


class _Skipping(_Normed):
    """The first conv's output is read by somebody else too."""

    def forward(self, x: Tensor) -> Tensor:
        made = self.first(x)
        hidden = self.second(F.relu(self.first_norm(made)) + made)
        logits: Tensor = self.last(hidden.flatten(1))
        return logits


def _normed(method: Abp) -> nn.Module:
    torch.manual_seed(0)
    net = _Normed()
    method.prepare(net, _sample(1, 8, 8))
    optimizer = optimizer_of(net, 0.05, rates=method.learning_rates(net))
    source = torch.Generator().manual_seed(0)
    for _ in range(3):
        optimizer.zero_grad()
        inputs = torch.rand(8, 1, 8, 8, generator=source)
        F.cross_entropy(net(inputs), torch.arange(8) % 3).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        method.after_step(net, optimizer, 1.0)
    return net


def test_norms_are_found_where_they_alone_read_a_layer() -> None:
    assert norms_behind(_Normed(), (1, 8, 8)) == {"first": "first_norm"}
    assert norms_behind(_Skipping(), (1, 8, 8)) == {}
    assert norms_behind(NETWORKS["lenet-5"].build(), (1, 28, 28)) == {}
    shared = nn.BatchNorm1d(3)
    assert norms_behind(nn.Sequential(nn.Linear(3, 3), shared, nn.Linear(3, 3), shared), (3,)) == {}


def test_looking_for_norms_leaves_network_and_chance_alone() -> None:
    net = _Normed()
    before, chance = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    norms_behind(net, (1, 8, 8))
    assert net.training
    assert all(torch.equal(before[key], now) for key, now in net.state_dict().items())
    assert torch.equal(chance, torch.get_rng_state())


@pytest.mark.parametrize("position", ["before_norm", "after_norm"])
def test_folding_into_a_norm_or_before_it_leaves_the_outputs(position: Any) -> None:
    method = Abp(gate_position=position)
    net = _normed(method)
    assert hasattr(net.get_submodule("first_norm"), "output_gate") == (position == "after_norm")
    inputs = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before = net.eval()(inputs)
    closed = ~score_gates(net)["first"].kept()
    assert closed.any()
    method.fold(net)
    assert torch.allclose(net(inputs), before, atol=1e-4)
    assert not prunable_layers(net)["first"].weight[closed].any()
    if position == "after_norm":
        assert not net.get_submodule("first_norm").get_parameter("bias")[closed].any()


def test_before_a_norm_a_kept_filters_score_gets_next_to_no_gradient() -> None:
    sizes = {}
    for position in ("before_norm", "after_norm"):
        net = _normed(Abp(gate_position=position, score_threshold=0.0))  # type: ignore[arg-type]
        score = score_gates(net)["first"].score
        score.grad = None
        inputs = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        F.cross_entropy(net(inputs), torch.arange(8) % 3).backward()  # type: ignore[no-untyped-call]
        assert score.grad is not None
        sizes[position] = float(score.grad.norm())
    assert sizes["before_norm"] < 0.01 * sizes["after_norm"]


def test_a_norm_that_cannot_take_the_gate_in_is_refused() -> None:
    with pytest.raises(ValueError, match=r"without them: first_norm \(behind first\)\. Build them with affine=True"):
        Abp().check(_Normed(affine=False), (1, 8, 8))
    Abp(gate_position="before_norm").check(_Normed(affine=False), (1, 8, 8))


# A whole network ---------------------------------------------------------------------------------------------------


def test_the_shrunken_network_is_the_masked_one() -> None:
    torch.manual_seed(0)
    net, method = NETWORKS["lenet-digits"].build(), Abp()
    couplings = couplings_of(net, (1, 8, 8))
    method.prepare(net, _sample(1, 8, 8))
    inputs = load_data("digits").validation.inputs[:256]
    gated = net.eval()(inputs)
    method.fold(net)
    scores = method.scores(net)
    set_masks(net, weight_masks(net, scores, scores.own))
    compacted = compact(net, couplings)
    assert check_exact(net, compacted.net, inputs) <= 1e-4
    assert torch.allclose(compacted.net(inputs), gated, atol=1e-4)
    assert {name: len(units) for name, units in compacted.kept.items()} == {
        **{name: int(own.sum()) for name, own in scores.own.items()}, "fc2": 10,
    }  # fmt: skip

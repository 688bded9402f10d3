"""Hard concrete gates by hand, and their closed forms against draws."""

import copy
import math

import pytest
import torch
from torch import nn

from sparsweep.trainables.groups import prunable_layers
from sparsweep.trainables.methods.l0 import GATE, L0, open_probability, sampled_gates, settled_gates
from sparsweep.trainables.tasks.data import Split
from tests.trainables.nets import filled, mlp, tensor

NOTHING = Split(inputs=torch.zeros(1, 2), labels=torch.zeros(1, dtype=torch.int64))
ODDS = math.log(9)
"""log a of which the sigmoid is .9; of its negative it is .1."""


def _gated(method: L0, net: nn.Module, gates: dict[str, list[float]]) -> nn.Module:
    method.prepare(net, NOTHING)
    with torch.no_grad():
        for name, values in gates.items():
            net.get_submodule(name).get_parameter(GATE).copy_(tensor(values))
    return net


def _net(method: L0, log_alpha: list[float]) -> nn.Module:
    """Two inputs, two units with weights [3 4] and [0 1] and biases 1 and 2, one output that adds the two."""
    net = mlp(2, 2, 1)
    filled(prunable_layers(net)["0"], [[3, 4], [0, 1]], [1, 2])
    filled(prunable_layers(net)["2"], [[1, 1]])
    if method.granularity == "filter":
        return _gated(method, net, {"0": log_alpha})
    return _gated(method, net, {"0": [9.0, 9.0], "2": log_alpha})


def test_settled_gates_stretch_and_clip() -> None:
    # 1.2 s - .1 is .5 at the sigmoid s = .5, .98 at .9, .02 at .1; beyond 0 and 1 it is clipped
    assert settled_gates(tensor([0, ODDS, -ODDS, 9, -9])).tolist() == pytest.approx([0.5, 0.98, 0.02, 1, 0])


def test_where_every_gate_would_be_closed_the_best_is_open() -> None:
    assert settled_gates(tensor([-9, -8, -10])).tolist() == [0, 1, 0]


@pytest.mark.parametrize(("uniform", "gate"), [(0.5, 0.5), (0.9, 1.0), (0.1, 0.0), (0.6, 0.677)])
def test_a_sampled_gate_from_its_noise(monkeypatch: pytest.MonkeyPatch, uniform: float, gate: float) -> None:
    # logit(.6) = .4055, by 2/3 is .6082, its sigmoid .6475, stretched .677
    monkeypatch.setattr(torch, "rand", lambda shape: torch.full(shape, uniform))
    assert sampled_gates(tensor([0.0])).item() == pytest.approx(gate, abs=1e-3)


@pytest.mark.parametrize("log_alpha", [-3.0, -1.0, 0.0, 1.0])
def test_the_open_probability_is_what_draws_give(log_alpha: float) -> None:
    torch.manual_seed(0)
    gates = sampled_gates(torch.full((100_000,), log_alpha))
    assert float((gates > 0).float().mean()) == pytest.approx(float(open_probability(tensor(log_alpha))), abs=0.005)
    assert 0 <= gates.min() <= gates.max() <= 1


def test_the_open_probability_by_hand() -> None:
    # -(2/3)·log(.1 / 1.1) = 1.5986 and sigmoid(1.5986) = .8318
    assert open_probability(tensor([0.0])).item() == pytest.approx(0.8318, abs=1e-4)


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [("filter", 2 * 2 * 0.8318), ("input", 2 * 2 * 1.0 + 2 * 1 * 0.8318)],  # groups x weights of each x open
)
def test_the_penalty_counts_the_weights_of_every_group(granularity: str, expected: float) -> None:
    method = L0(granularity=granularity, sparsity_strength=0.1)  # type: ignore[arg-type]
    net = _net(method, [0.0, 0.0])
    assert float(method.penalty(net).detach()) == pytest.approx(0.1 * expected, abs=1e-4)


def test_the_expected_number_of_weights_is_what_draws_give() -> None:
    method = L0(sparsity_strength=1.0)
    net = _net(method, [-1.0, 0.5])
    torch.manual_seed(0)
    opened = (sampled_gates(tensor([[-1.0, 0.5]]).expand(50_000, 2)) > 0).float()
    assert float(method.penalty(net).detach()) == pytest.approx(float(2 * opened.sum(dim=1).mean()), abs=0.03)


def test_weight_decay_is_weighted_by_the_open_probability() -> None:
    method = L0(sparsity_strength=0.0, weight_decay=0.2)
    assert float(method.penalty(_net(method, [0.0, 9.0])).detach()) == pytest.approx(
        0.2 / 2 * (0.8318 * 25 + 1.0 * 1), abs=1e-3
    )


def test_gates_of_units_multiply_weights_and_bias() -> None:
    net = _net(L0(), [0.0, -9.0]).eval()  # gates .5 and 0; units 3 + 8 + 1 = 12 and 2 + 2 = 4
    assert net(tensor([[1, 2]])).item() == pytest.approx(0.5 * 12)


def test_gates_of_inputs_multiply_what_the_layer_reads() -> None:
    net = _net(L0(granularity="input"), [-9.0, 0.0]).eval()
    assert net(tensor([[1, 2]])).item() == pytest.approx(0.5 * 4)


def test_folding_puts_the_gates_into_the_layer() -> None:
    net = _net(method := L0(), [0.0, -9.0]).eval()
    method.fold(net)
    layer = prunable_layers(net)["0"]
    assert torch.allclose(layer.weight, tensor([[1.5, 2.0], [0.0, 0.0]]))
    assert layer.get_parameter("bias").tolist() == [0.5, 0]
    scores = method.scores(net)
    assert scores.values["0"].tolist() == [2.5, 0]
    assert scores.own["0"].tolist() == [True, False]
    assert net(tensor([[1, 2]])).item() == pytest.approx(6)


def test_in_training_the_gates_are_drawn_once_a_batch() -> None:
    net = _net(L0(), [0.0, 0.0])
    torch.manual_seed(0)
    first, second = net(tensor([[1, 2]]).expand(4, 2)), net(tensor([[1, 2]]).expand(4, 2))
    assert len(first.unique()) == len(second.unique()) == 1
    assert not torch.equal(first, second)


def test_a_copy_has_gates_of_its_own() -> None:
    net = _net(L0(), [9.0, 9.0]).eval()
    other = copy.deepcopy(net)
    nn.init.constant_(other.get_submodule("0").get_parameter(GATE), 0.0)
    assert net(tensor([[1, 2]])).item() == pytest.approx(16)
    assert other(tensor([[1, 2]])).item() == pytest.approx(8)
    L0().fold(other)
    assert not other.get_submodule("0")._forward_hooks
    assert net(tensor([[1, 2]])).item() == pytest.approx(16)


def test_gates_start_near_the_probability_to_keep_and_learn_at_their_own_rate() -> None:
    method = L0(keep_probability=0.9, gate_learning_rate=7.0)
    net = mlp(2, 1000, 2)
    torch.manual_seed(0)
    method.prepare(net, NOTHING)
    log_alpha = net.get_submodule("0").get_parameter(GATE).detach()
    assert float(log_alpha.mean()) == pytest.approx(ODDS, abs=0.002)
    assert float(log_alpha.std()) == pytest.approx(0.01, abs=0.001)
    assert method.learning_rates(net) == {f"0.{GATE}": 7.0}


@pytest.mark.parametrize(
    ("granularity", "sizes"), [("filter", {"0": 3, "2": 4, "5": 5}), ("input", {"2": 3, "5": 16, "7": 5})]
)
def test_one_gate_a_channel_or_a_column(granularity: str, sizes: dict[str, int]) -> None:
    """Behind a flatten every input column has a gate of its own: 4 channels of 2x2 are 16."""
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5),
        nn.ReLU(), nn.Linear(5, 2),
    )  # fmt: skip
    method = L0(granularity=granularity)  # type: ignore[arg-type]
    method.prepare(net, NOTHING)
    gates = {path.split(".")[0]: len(gate) for path, gate in net.named_parameters() if path.endswith(GATE)}
    assert gates == sizes
    inputs = torch.rand(2, 1, 4, 4)
    with torch.no_grad():
        for name in gates:
            net.get_submodule(name).get_parameter(GATE).copy_(torch.linspace(-9, 9, gates[name]))
        before = net.eval()(inputs)
        method.fold(net)
        assert torch.allclose(net(inputs), before, atol=1e-6)


def test_gates_of_inputs_refuse_grouped_convolutions() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"^l0: granularity input has no gates for grouped convolutions \(\['1'\]\)"):
        L0(granularity="input").check(net, (1, 5, 5))
    L0(granularity="filter").check(net, (1, 5, 5))

"""GASL's terms by hand, on a layer of two units with two inputs."""

import math

import pytest
import torch
from torch import Tensor, nn

from sparsweep.trainables.groups import prunable_layers
from sparsweep.trainables.methods.gasl import Gasl
from sparsweep.trainables.methods.group_lasso import GroupLasso
from tests.trainables.nets import filled, mlp, tensor

ROWS = [[3.0, 4.0], [0.0, 1.0]]  # norms 5 and 1, energies 25 and 1: mean 13, variance 144


def _net() -> nn.Module:
    net = mlp(2, 2, 1)
    filled(prunable_layers(net)["0"], ROWS)
    return net


def _penalty(**knobs: float | str | bool) -> float:
    return float(Gasl(**knobs).penalty(_net()).detach())  # type: ignore[arg-type]


def test_the_sparsity_term_sums_group_norms() -> None:
    assert _penalty(sparsity_strength=0.1, attention_strength=0.0) == pytest.approx(0.1 * (5 + 1))


def test_the_sparsity_term_of_weights_sums_every_layers_sizes() -> None:
    net = _net()
    filled(prunable_layers(net)["2"], [[0.5, -0.5]])
    penalty = Gasl(granularity="weight", sparsity_strength=0.1, attention_strength=0.0).penalty(net)
    assert float(penalty.detach()) == pytest.approx(0.1 * (3 + 4 + 1 + 1))


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("inverse_variance", 1 / 144),
        ("log_variance", -math.log(144)),
        ("scale_free", 1 / (144 / 13**2)),
    ],
)
def test_the_attention_term_of_each_form(form: str, wanted: float) -> None:
    assert _penalty(sparsity_strength=0.0, attention_strength=0.5, attention_form=form) == pytest.approx(0.5 * wanted)


def test_scale_free_attention_does_not_see_the_weights_scale() -> None:
    gasl = Gasl()
    assert torch.allclose(gasl.attention(tensor([25, 1])), gasl.attention(tensor([2500, 100])))


def test_attention_pushes_energies_apart() -> None:
    """∂A/∂w = -4/(M V²) (s_g - mean s) w, with M = 2, V = 144."""
    weight = tensor(ROWS).requires_grad_()
    gasl = Gasl(attention_form="inverse_variance")
    gasl.attention(weight.square().sum(dim=1)).backward()  # type: ignore[no-untyped-call]
    formula = torch.stack([-4 / (2 * 144**2) * (s - 13) * row for s, row in zip((25, 1), tensor(ROWS), strict=True)])
    assert weight.grad is not None
    assert torch.allclose(weight.grad, formula, rtol=1e-5)
    assert torch.allclose(formula, _by_differences(gasl), rtol=1e-4)
    assert (weight.grad[0] < 0).all(), "the strong group grows"
    assert weight.grad[1, 1] > 0, "the weak one shrinks"


def _by_differences(gasl: Gasl) -> Tensor:
    step, slopes = 1e-5, torch.zeros(2, 2)
    for place in ((0, 0), (0, 1), (1, 0), (1, 1)):
        energies = []
        for sign in (1, -1):
            moved = torch.tensor(ROWS, dtype=torch.float64)
            moved[place] += sign * step
            energies.append(float(gasl.attention(moved.square().sum(dim=1))))
        slopes[place] = (energies[0] - energies[1]) / (2 * step)
    return slopes


def test_the_sparse_group_lasso_adds_single_weights() -> None:
    assert _penalty(sparsity_strength=0.0, attention_strength=0.0, l1_strength=0.1) == pytest.approx(0.8)


def test_the_proximal_step_shrinks_every_norm_by_the_same_and_stops_at_zero() -> None:
    net = _net()
    gasl = Gasl(proximal=True, sparsity_strength=20.0, attention_strength=0.0)
    assert float(gasl.penalty(net)) == 0, "R is in the step, not in the loss"
    gasl.after_step(net, torch.optim.SGD(net.parameters(), lr=0.1), 0.5)
    # the norms 5 and 1 lose 0.1 * 20 = 2 each
    assert torch.allclose(prunable_layers(net)["0"].weight, tensor([[1.8, 2.4], [0.0, 0.0]]))


def test_without_proximal_the_optimizer_is_left_alone() -> None:
    net = _net()
    Gasl().after_step(net, torch.optim.SGD(net.parameters(), lr=0.1), 0.5)
    assert prunable_layers(net)["0"].weight.tolist() == ROWS


@pytest.mark.parametrize(
    ("granularity", "threshold", "own"),
    [
        ("filter", 0.5, [True, True]),
        ("filter", 1.0, [True, False]),
        ("filter", 9.0, [True, False]),
        ("weight", 3.0, [[False, True], [False, False]]),
    ],
)
def test_the_own_cut_keeps_groups_whose_largest_weight_is_above_the_threshold(
    granularity: str, threshold: float, own: list[bool]
) -> None:
    scores = Gasl(granularity=granularity, threshold=threshold).scores(_net())  # type: ignore[arg-type]
    assert scores.own["0"].tolist() == own
    assert scores.threshold == threshold


def test_the_own_cut_by_columns() -> None:
    net = mlp(2, 2, 2)
    filled(prunable_layers(net)["2"], ROWS)
    scores = Gasl(granularity="input", threshold=3.5).scores(net)
    assert scores.values["2"].tolist() == [3.0, pytest.approx(17**0.5)]
    assert scores.own["2"].tolist() == [False, True]


def test_group_lasso_is_gasl_without_attention() -> None:
    net = _net()
    lasso, ablation = GroupLasso(sparsity_strength=0.1), Gasl(sparsity_strength=0.1, attention_strength=0.0)
    assert torch.equal(lasso.penalty(net), ablation.penalty(net))
    with pytest.raises(TypeError, match="attention_strength"):
        GroupLasso(attention_strength=0.1)  # type: ignore[call-arg]

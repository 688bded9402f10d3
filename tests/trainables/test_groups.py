"""Groups, their norms, and the masks that hold them."""

import copy

import pytest
import torch
from torch import nn

from sparsweep.trainables.groups import (
    add_masks,
    drop_masks,
    expand,
    group_norms,
    hold,
    masks_of,
    prunable_layers,
    scored_layers,
    set_masks,
)
from sparsweep.trainables.outline import Feed, Outline, lay_outline, outline_of
from sparsweep.trainables.tasks.networks import lenet_5
from tests.trainables.nets import filled, mlp, tensor

WEIGHT = tensor([[3.0, 0.0], [4.0, -1.0]])


def test_norms_of_rows_columns_and_weights() -> None:
    assert torch.allclose(group_norms(WEIGHT, "filter"), tensor([3.0, 17**0.5]))
    assert torch.equal(group_norms(WEIGHT, "input"), tensor([5.0, 1.0]))
    assert torch.equal(group_norms(WEIGHT, "weight"), tensor([[3.0, 0.0], [4.0, 1.0]]))


def test_a_filter_of_a_convolution_is_its_whole_kernel() -> None:
    kernels = torch.ones(2, 3, 2, 2)
    assert torch.allclose(group_norms(kernels, "filter"), tensor([12**0.5] * 2))
    assert torch.allclose(group_norms(kernels, "input"), tensor([8**0.5] * 3))


def test_the_norm_of_a_zero_group_has_gradient_zero() -> None:
    weight = tensor([[0.0, 0.0], [3.0, 4.0]]).requires_grad_()
    group_norms(weight, "filter").sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert torch.allclose(weight.grad, tensor([[0.0, 0.0], [0.6, 0.8]]))


def test_expand_lays_a_value_over_each_group() -> None:
    assert torch.equal(expand(tensor([1.0, 2.0]), WEIGHT, "filter"), tensor([[1.0, 1.0], [2.0, 2.0]]))
    assert torch.equal(expand(tensor([1.0, 2.0]), WEIGHT, "input"), tensor([[1.0, 2.0], [1.0, 2.0]]))
    assert torch.equal(expand(WEIGHT, WEIGHT, "weight"), WEIGHT)


def test_scored_layers_spare_the_classes_the_images_and_single_groups() -> None:
    net = lenet_5()
    assert list(scored_layers(net, "filter")) == ["conv1", "conv2", "fc1"]
    assert list(scored_layers(net, "input")) == ["conv2", "fc1", "fc2"]
    assert list(scored_layers(net, "weight")) == ["conv1", "conv2", "fc1", "fc2"]
    assert list(scored_layers(mlp(2, 1, 3, 2), "filter")) == ["2"]


def test_masks_zero_the_weights_and_the_bias_of_an_empty_unit() -> None:
    net = mlp(2, 2, 1)
    filled(prunable_layers(net)["0"], [[1, 2], [3, 4]], [5, 6])
    add_masks(net)
    set_masks(net, {"0": torch.tensor([[True, False], [False, False]])})
    layer = prunable_layers(net)["0"]
    assert layer.weight.tolist() == [[1, 0], [0, 0]]
    assert layer.bias is not None
    assert layer.bias.tolist() == [5, 0]
    assert masks_of(net)["0"].tolist() == [[True, False], [False, False]]
    assert masks_of(net)["2"].all(), "a layer that is not named is left whole"


def test_hold_puts_back_what_an_optimizer_moved() -> None:
    net = mlp(2, 2, 1)
    add_masks(net)
    set_masks(net, {"0": torch.tensor([[True, True], [False, False]])})
    nn.init.ones_(prunable_layers(net)["0"].weight)
    hold(net)
    assert prunable_layers(net)["0"].weight.tolist() == [[1, 1], [0, 0]]


def test_masks_are_added_once_and_leave_with_the_delivery() -> None:
    net = mlp(2, 2, 1, bias=False)
    plain = set(net.state_dict())
    add_masks(net)
    set_masks(net, {"0": torch.tensor([[True, False], [True, True]])})
    add_masks(net)
    assert not masks_of(net)["0"].all()
    assert set(drop_masks(net).state_dict()) == plain


@pytest.mark.parametrize("bias", [True, False])
def test_masks_travel_in_the_state_dict(bias: bool) -> None:
    net, other = mlp(2, 2, 1, bias=bias), mlp(2, 2, 1, bias=bias)
    add_masks(net)
    add_masks(other)
    set_masks(net, {"0": torch.tensor([[True, False], [False, False]])})
    other.load_state_dict(net.state_dict())
    assert masks_of(other)["0"].tolist() == [[True, False], [False, False]]


def test_patterns_choose_the_layers_that_may_be_pruned() -> None:
    net = lenet_5()
    outline = Outline(outputs=frozenset({"fc2"}), inputs=frozenset({"conv1"}))
    lay_outline(net, outline.limited(("conv*", "fc1"), ("conv1",)))
    assert list(scored_layers(net, "filter")) == ["conv2", "fc1"]
    assert list(scored_layers(net, "weight")) == ["conv2", "fc1"]
    lay_outline(net, outline.limited(("*",), ()))
    assert list(scored_layers(net, "weight")) == ["conv1", "conv2", "fc1", "fc2"]
    assert outline_of(copy.deepcopy(net)) is not None, "copies keep it"


def test_hold_puts_norms_back_too() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    feed = Feed(layer="1", sources={"0": torch.tensor([0, 1])}, foreign=torch.tensor([False, False]))
    lay_outline(net, Outline(outputs=frozenset({"2"}), inputs=frozenset({"0"}), feeds=(feed,)))
    add_masks(net)
    set_masks(net, {"0": torch.tensor([[True, False], [False, False]])})
    norm = net[1]
    nn.init.ones_(norm.weight)
    nn.init.ones_(norm.bias)
    hold(net)
    assert norm.weight.tolist() == norm.bias.tolist() == [1, 0]
    assert not any("mask" in name for name in drop_masks(net).state_dict())

"""Accuracy, multiply-adds, sizes and shares, in closed forms."""

import pytest
import torch
from torch import nn

from sparsweep.trainables.compact.attention import split_attention
from sparsweep.trainables.compact.coupling import couplings_of
from sparsweep.trainables.compact.removal import compact
from sparsweep.trainables.groups import add_masks, set_masks
from sparsweep.trainables.measures.accuracy import accuracy
from sparsweep.trainables.measures.macs import closed_form_macs, count_macs, ideal_macs, layer_macs
from sparsweep.trainables.measures.size import layer_sparsity, nonzero_counts, size_bytes, sparsity, weight_counts
from sparsweep.trainables.tasks.data import Split
from sparsweep.trainables.tasks.networks import NETWORKS
from tests.trainables import trap_nets as traps
from tests.trainables.nets import filled, masked, mlp, shuffled, tensor


@pytest.mark.parametrize(
    ("network", "macs", "weights", "biases"),
    [
        ("lenet-5", 2_293_000, 430_500, 580),
        ("lenet-300-100", 266_200, 266_200, 410),
        ("lenet-digits", 176_520, 30_180, 180),
    ],
)
def test_dense_figures_of_the_built_in_networks(network: str, macs: int, weights: int, biases: int) -> None:
    known = NETWORKS[network]
    net = known.build()
    assert sum(layer_macs(net, known.example_shape).values()) == macs
    assert sum(weight_counts(net).values()) == weights
    assert size_bytes(net) == 4 * (weights + biases)
    assert f"{macs:,} MACs" in known.about


@pytest.mark.parametrize(("a", "b", "f"), [(20, 50, 500), (3, 18, 284), (5, 10, 76), (1, 1, 1)])
def test_compact_lenet_5_has_the_closed_forms_macs(a: int, b: int, f: int) -> None:
    net = shuffled(NETWORKS["lenet-5"].build())
    add_masks(net)
    widths = {"conv1": a, "conv2": b, "fc1": f}
    masks = {name: torch.zeros_like(net.get_submodule(name).get_parameter("weight")).bool() for name in widths}
    for name, width in widths.items():
        masks[name][:width] = True
    set_masks(net, masks)
    smaller = compact(net, couplings_of(net, (1, 28, 28))).net
    assert sum(layer_macs(smaller, (1, 28, 28)).values()) == 14_400 * a + 1_600 * a * b + 16 * b * f + 10 * f


def test_zeros_that_are_still_there_are_executed() -> None:
    net = masked(shuffled(mlp(4, 3, 2)), {"0": [[0] * 4, [1] * 4, [1] * 4]})
    assert layer_macs(net, (4,)) == {"0": 12, "2": 6}
    assert net.training, "the mode is put back"


@pytest.mark.parametrize("kind", [traps.Residual, traps.Separable, traps.Grouped, traps.Squeezed, traps.Shared])
def test_the_counter_agrees_with_the_closed_form(kind: type[nn.Module]) -> None:
    net = kind()
    assert layer_macs(net, traps.SHAPE) == closed_form_macs(net, traps.SHAPE)
    assert count_macs(net, traps.SHAPE).rest == 0


def test_a_grouped_convolutions_weights_are_met_once_a_position() -> None:
    net = traps.Grouped()
    assert layer_macs(net, traps.SHAPE)["grouped"] == 36 * net.grouped.weight.numel() == 36 * 12 * 2 * 9


def test_products_within_attention_count_and_shrink_with_the_heads() -> None:
    net = split_attention(traps.Tokens())
    dense = count_macs(net, traps.SHAPE)
    assert dense.rest == 2 * 9 * 9 * 12, "queries by keys, and their weights by values, over 9 tokens"
    assert dense.layers == closed_form_macs(net, traps.SHAPE)
    couplings = couplings_of(net, traps.SHAPE)
    add_masks(net)
    head = torch.zeros_like(net.get_submodule("attention.v").get_parameter("weight")).bool()
    head[:4] = True
    set_masks(net, {"attention.v": head})
    smaller = compact(net, couplings).net
    macs = count_macs(smaller, traps.SHAPE)
    assert macs.rest == dense.rest // 3
    left = nonzero_counts(smaller)
    ideal = sum(dense.layers[n] // weight_counts(net)[n] * left[n] for n in left) + macs.rest
    assert ideal_macs(dense, weight_counts(net), left, macs) == ideal <= macs.total


def test_sparsity_is_of_all_weights_and_layer_sparsity_the_mean_of_layers() -> None:
    net = masked(shuffled(mlp(4, 3, 2)), {"0": [[0] * 4, [0, 0, 1, 1], [1] * 4], "2": [[0, 1, 1]] * 2})
    assert nonzero_counts(net) == {"0": 6, "2": 4}
    assert sparsity(nonzero_counts(net), weight_counts(net)) == pytest.approx(8 / 18)
    assert layer_sparsity(nonzero_counts(net), weight_counts(net)) == pytest.approx((6 / 12 + 2 / 6) / 2)


def test_removed_weights_count_as_zero() -> None:
    net = masked(shuffled(mlp(4, 3, 2)), {"0": [[0] * 4, [1] * 4, [1] * 4]})
    dense = weight_counts(net)
    smaller = compact(net, couplings_of(net, (4,))).net
    assert weight_counts(smaller) == {"0": 8, "2": 4}
    assert sparsity(nonzero_counts(smaller), dense) == pytest.approx(1 - 12 / 18)
    assert layer_sparsity(nonzero_counts(smaller), dense) == pytest.approx((4 / 12 + 2 / 6) / 2)
    assert size_bytes(smaller) == 4 * (12 + 2 + 2)


def test_accuracy_is_the_share_of_largest_logits_at_the_label() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    filled(net[0], [[1, 0], [0, 1]])  # type: ignore[arg-type]
    split = Split(inputs=tensor([[2, 1], [1, 2], [5, 0], [0, 5]]), labels=torch.tensor([0, 1, 1, 1]))
    assert accuracy(net, split) == 0.75
    assert accuracy(net, split, batch_size=3) == 0.75


def test_accuracy_is_measured_in_evaluation_mode_and_puts_the_mode_back() -> None:
    net = nn.Sequential(nn.Dropout(1.0), nn.Linear(2, 2))
    filled(net[1], [[1, 0], [0, 1]])  # type: ignore[arg-type]
    assert accuracy(net, Split(inputs=tensor([[0, 1]]), labels=torch.tensor([1]))) == 1.0
    assert net.training

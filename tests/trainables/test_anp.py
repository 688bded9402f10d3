"""ANP's top-down pass by hand and against a loop over single units; its rounds of pruning."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsweep.trainables.chain import chain_of, check_chain
from sparsweep.trainables.groups import masks_of, prunable_layers
from sparsweep.trainables.methods.anp import Anp, best_weights, places_of
from sparsweep.trainables.methods.anp_competition import (
    LEVELS,
    Winners,
    compete,
    compete_in_windows,
    interference,
    thresholds,
)
from sparsweep.trainables.methods.anp_evidence import evidence_of, top_down
from sparsweep.trainables.tasks.data import Split, load_data
from sparsweep.trainables.tasks.networks import NETWORKS
from sparsweep.trainables.training import optimizer_of, train_epoch
from tests.trainables.nets import filled, mlp, shuffled, tensor

# The oracle: one unit at a time, straight from the formulas --------------------------------------------------------


def _winners(products: list[float], least: float) -> list[int] | None:
    """W1 as indices; None where the unit takes no part."""
    running, theta = 0.0, math.inf
    for value in sorted(products):
        running += value
        if running > 0 and theta == math.inf:
            theta = value
    if running <= least:
        return None
    return [j for j, value in enumerate(products) if value >= theta - 1e-4 and value > 0]


def _linear(products: list[float], winners: list[int], rule: str, offset: int) -> list[int]:
    if rule == "all":
        return winners
    if rule == "argmax":
        return [max(winners, key=lambda j: products[j])]
    mean = sum(products[j] for j in winners) / len(winners)
    deviation = (sum((products[j] - mean) ** 2 for j in winners) / len(winners)) ** 0.5
    kept = [[j for j in winners if products[j] >= a * mean + b * deviation - 1e-7] for a, b in LEVELS]
    first = next(at for at, those in enumerate(kept) if those)
    return kept[min(first + offset, len(kept) - 1)]


def _component(products: list[float], winners: list[int], kernel: tuple[int, int]) -> list[int]:
    height, width = kernel
    best, best_score, left = [], -math.inf, set(winners)
    for start in sorted(winners):
        if start not in left:
            continue
        component, edge = {start}, [start]
        while edge:
            channel, cell = divmod(edge.pop(), height * width)
            y, x = divmod(cell, width)
            for dy, dx in product((-1, 0, 1), repeat=2):
                near = channel * height * width + (y + dy) * width + x + dx
                if 0 <= y + dy < height and 0 <= x + dx < width and near in left and near not in component:
                    component.add(near)
                    edge.append(near)
        left -= component
        total = 0.0
        for j in sorted(component):
            total += products[j]
        if (score := 0.2 * total + 0.8 * len(component)) > best_score:
            best, best_score = sorted(component), score
    return best


def _plain(module: nn.Module, norm: nn.BatchNorm2d) -> nn.Module:
    """The layer with the norm behind it multiplied in."""
    assert isinstance(module, nn.Conv2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    plain = copy.deepcopy(module)
    bias = 0 if module.bias is None else module.bias
    plain.weight = nn.Parameter(module.weight * scale.view(-1, 1, 1, 1))
    plain.bias = nn.Parameter((bias - norm.running_mean) * scale + norm.bias)
    return plain


class _Oracle:
    """One image at a time down a Sequential whose norms are multiplied in already."""

    def __init__(self, net: nn.Sequential, rule: str = "all", offset: int = 0) -> None:
        self.net, self.rule, self.offset = net, rule, offset
        self.share = {n: torch.zeros(m.weight.shape, dtype=torch.float64) for n, m in prunable_layers(net).items()}
        self.hits = {name: torch.zeros_like(share) for name, share in self.share.items()}
        self.active = {name: [0] * len(share) for name, share in self.share.items()}
        self.part = {name: [0] * len(share) for name, share in self.share.items()}

    def image(self, image: Tensor, label: int) -> Tensor:
        """The attention on the image."""
        values = [image[None]]
        for module in self.net:
            values.append(module(values[-1]))
        attention = F.one_hot(torch.tensor([label]), values[-1].shape[1]).double()
        steps = list(zip(self.net.named_children(), values[:-1], strict=True))
        for (name, module), inputs in reversed(steps):
            if isinstance(module, nn.Linear):
                attention = self._linear_layer(name, module, inputs, attention)
            elif isinstance(module, nn.Conv2d):
                attention = self._conv_layer(name, module, inputs, attention)
            elif isinstance(module, nn.MaxPool2d):
                _, at = F.max_pool2d(inputs, module.kernel_size, module.stride, module.padding, return_indices=True)
                below = torch.zeros_like(inputs, dtype=torch.float64).flatten(2)
                for c, place in product(range(at.shape[1]), range(at[0, 0].numel())):
                    below[0, c, at[0, c].flatten()[place]] += attention[0, c].flatten()[place]
                attention = below.view(inputs.shape)
            else:
                attention = attention.view(inputs.shape)
        return attention

    def _unit(
        self, name: str, o: int, weight: Tensor, inputs: Tensor, conv: tuple[int, int] | None
    ) -> dict[int, float]:
        """y of the selected inputs."""
        self.active[name][o] += 1
        products = (weight * inputs).flatten().tolist()
        winners = _winners(products, 3e-4 if conv else 1e-5)
        if winners is None:
            return {}
        self.part[name][o] += 1
        chosen = _component(products, winners, conv) if conv else _linear(products, winners, self.rule, self.offset)
        total = 0.0
        for j in chosen:
            total += products[j]
        for j in chosen:
            self.share[name][o].view(-1)[j] += products[j] / total
            self.hits[name][o].view(-1)[j] += 1
        return {j: products[j] / total for j in chosen}

    def _linear_layer(self, name: str, layer: nn.Linear, inputs: Tensor, attention: Tensor) -> Tensor:
        below = torch.zeros_like(inputs, dtype=torch.float64)
        for o in attention[0].nonzero().flatten().tolist():
            for j, y in self._unit(name, o, layer.weight[o], inputs[0], None).items():
                below[0, j] += attention[0, o] * y
        return below

    def _conv_layer(self, name: str, layer: nn.Conv2d, inputs: Tensor, attention: Tensor) -> Tensor:
        (ph, pw), (sh, sw), (kh, kw) = layer.padding, layer.stride, layer.kernel_size  # type: ignore[misc]
        (dh, dw) = layer.dilation
        whole = F.pad(inputs, (int(pw), int(pw), int(ph), int(ph)))
        below = torch.zeros_like(whole, dtype=torch.float64)
        for _, o, y, x in attention.nonzero().tolist():
            rows = slice(y * sh, y * sh + dh * (kh - 1) + 1, dh)
            columns = slice(x * sw, x * sw + dw * (kw - 1) + 1, dw)
            shares = self._unit(name, o, layer.weight[o], whole[0, :, rows, columns], (kh, kw))
            for j, share in shares.items():
                c, cell = divmod(j, kh * kw)
                below[0, c, rows, columns][cell // kw, cell % kw] += attention[0, o, y, x] * share
        height, width = inputs.shape[2:]
        return below[:, :, int(ph) : int(ph) + height, int(pw) : int(pw) + width]


def _conv_net(norm: bool) -> nn.Sequential:
    """conv3x3 2→4 padded, stride (1, 2); [norm]; ReLU; overlapping pool; conv (2, 3) dilated 4→5; ReLU; fc 6 → 4."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=(1, 2), stride=(1, 2), bias=not norm),
        nn.BatchNorm2d(4) if norm else nn.Identity(),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(4, 5, (2, 3), dilation=(2, 1), padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(5 * 4 * 3, 6),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(6, 4),
    )


def _randomised(net: nn.Sequential, seed: int) -> nn.Sequential:
    source = torch.Generator().manual_seed(seed)
    for module in net:
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            assert module.running_mean is not None
            module.running_mean.copy_(torch.randn(4, generator=source) / 4)
            module.running_var.copy_(torch.rand(4, generator=source) + 0.5)
            nn.init.normal_(module.weight, generator=source)
            nn.init.normal_(module.bias, generator=source)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, 0.05, 0.4, generator=source)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0.05, 0.2, generator=source)
    return net


def _without_norm(net: nn.Sequential) -> nn.Sequential:
    plain = copy.deepcopy(net)
    if isinstance(net[1], nn.BatchNorm2d):
        plain[0], plain[1] = _plain(net[0], net[1]), nn.Identity()
    return plain


def _images(count: int, *shape: int, seed: int = 0) -> Split:
    inputs = torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))
    return Split(inputs=inputs, labels=torch.arange(count) % 4)


@torch.no_grad()
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(("rule", "offset"), [("all", 0), ("argmax", 0), ("statistical", 0), ("statistical", 2)])
def test_the_pass_is_that_of_a_loop_over_single_units(seed: int, norm: bool, rule: str, offset: int) -> None:
    net, sample = _randomised(_conv_net(norm), seed), _images(6, 2, 7, 7, seed=seed)
    before = copy.deepcopy(net.state_dict())
    oracle = _Oracle(_without_norm(net.eval()), rule, offset)
    wanted = torch.cat([oracle.image(i, int(n)) for i, n in zip(sample.inputs, sample.labels, strict=True)])
    net.train()
    found = evidence_of(net, sample, competition=rule, offset=offset)
    attention = top_down(chain_of(net), sample, copy.deepcopy(found), competition=rule, offset=offset)
    for name, evidence in found.items():
        assert torch.equal(evidence.hits.double(), oracle.hits[name])
        assert torch.allclose(evidence.share, oracle.share[name], rtol=1e-5, atol=1e-9)
        assert evidence.active.tolist() == oracle.active[name]
        assert evidence.part.tolist() == oracle.part[name]
    assert torch.allclose(attention, wanted, rtol=1e-5, atol=1e-9)
    assert net.training
    assert all(torch.equal(before[name], now) for name, now in net.state_dict().items())
    assert sum(sum(counts) for counts in oracle.part.values()) > 8, "the pass went somewhere"


@torch.no_grad()
def test_the_pass_over_real_digits_is_that_of_the_loop() -> None:
    torch.manual_seed(1)
    net = NETWORKS["lenet-digits"].build().eval()
    assert isinstance(net, nn.Sequential)
    train = load_data("digits").train
    sample = Split(inputs=train.inputs[:4], labels=train.labels[:4])
    oracle = _Oracle(net)
    for image, label in zip(sample.inputs, sample.labels, strict=True):
        oracle.image(image, int(label))
    for name, evidence in evidence_of(net, sample).items():
        assert torch.equal(evidence.hits.double(), oracle.hits[name])
        assert torch.allclose(evidence.share, oracle.share[name], atol=1e-9)


def test_the_sample_may_be_worked_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    net, sample = _randomised(_conv_net(True), 5), _images(9, 2, 7, 7)
    whole = evidence_of(net, sample)
    monkeypatch.setattr("sparsweep.trainables.methods.anp_evidence.PATCH_ELEMENTS", 3000)
    monkeypatch.setattr("sparsweep.trainables.methods.anp_evidence.TABLE_ELEMENTS", 100)
    for name, evidence in evidence_of(net, sample).items():
        assert torch.equal(evidence.hits, whole[name].hits)
        assert torch.allclose(evidence.share, whole[name].share)


# The stages by hand ------------------------------------------------------------------------------------------------


def _stage_one(*rows: list[float]) -> list[list[int]]:
    winners, _ = interference(tensor(rows), 1e-5)
    return [winners.column[winners.row == row].tolist() for row in range(len(rows))]


def test_inputs_win_that_are_needed_to_outweigh_the_negative_ones() -> None:
    """-3, 1, 2, 4 runs up to -3, -2, 0, 4: θ = 4. Of 1, 2, 4 all win, θ = 1. -1, 2, 2, 0: -1, -1, 1, so both twos."""
    assert _stage_one([2, -3, 4, 1], [4, 1, 2, 0], [2, -1, 2, 0]) == [[2], [0, 1, 2], [0, 2]]


def test_what_is_less_than_the_slack_below_theta_wins_too() -> None:
    """-3, 2.99995, 3: -3, -5e-5, 2.99995, so θ = 3."""
    assert _stage_one([-3, 2.99995, 3], [-3, 2.9998, 3]) == [[1, 2], [2]]


def test_units_whose_sum_is_not_above_the_least_take_no_part() -> None:
    winners, part = interference(tensor([[1, -1], [1, -2], [0, 0], [2e-4, 0], [1, 0]]), 3e-4)
    assert part.tolist() == [False, False, False, False, True]
    assert winners.row.tolist() == [4]


@pytest.mark.parametrize("shift", [-0.1, 0.2, 5.0])
@pytest.mark.parametrize("width", [1, 2, 7, 25, 64, 500])
def test_theta_is_that_of_the_running_sum_and_the_winners_just_reach_the_total(width: int, shift: float) -> None:
    """T ≤ Σ_{W1} PS, and without slack and ties Σ_{W1} PS < T + θ; whole numbers sum to exactly 0 on the way."""
    source = torch.Generator().manual_seed(width)
    products = torch.randn(300, width, generator=source) + shift
    products[100:200] = products[100:200].round()
    products[200:] *= torch.rand(100, width, generator=source) > 0.6
    theta, part = thresholds(products, 1e-5)
    for row, products_of in enumerate(products.double()):
        running, wanted = 0.0, math.inf
        for value in sorted(products_of.tolist()):
            running += value
            wanted = min(wanted, value) if running > 0 else wanted
        assert bool(part[row]) == (running > 1e-5)
        assert float(theta[row]) == (wanted if running > 1e-5 else math.inf)
        if running > 1e-5:
            won = float(products_of[products_of >= wanted].sum())
            assert running - 1e-10 <= won
            assert 100 <= row < 200 or won < running + wanted + 1e-10


def _entries(*rows: list[float]) -> Winners:
    table = tensor(rows).double()
    row, column = table.nonzero(as_tuple=True)
    return Winners(row=row, column=column, product=table[row, column])


def _columns(winners: Winners, rows: int) -> list[list[int]]:
    return [winners.column[winners.row == row].tolist() for row in range(rows)]


def test_argmax_keeps_the_first_of_the_best() -> None:
    assert _columns(compete(_entries([1, 3, 3], [0, 2, 1]), 2, "argmax", 0), 2) == [[1], [1]]


@pytest.mark.parametrize(("offset", "kept"), [(0, [4]), (1, [3, 4]), (2, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])])
def test_the_statistical_rule_takes_the_first_level_that_keeps_any(offset: int, kept: list[int]) -> None:
    """1, 1, 1, 2, 5: mean 2, deviation √2.4 = 1.55. 2 + 2 · 1.55 keeps none, 2 + 1.55 the five, 2 the two, 1 all."""
    assert _columns(compete(_entries([1, 1, 1, 2, 5]), 1, "statistical", offset), 1) == [kept]


def test_equal_winners_are_all_kept() -> None:
    assert _columns(compete(_entries([0.1] * 7), 1, "statistical", 0), 1) == [list(range(7))]


@pytest.mark.parametrize(
    ("window", "kept"),
    [
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 4, 8]),  # joined by their corners
        ([[9, 0, 1], [0, 0, 1], [1, 0, 1]], [2, 5, 8]),  # 0.2 · 9 + 0.8 = 2.6 against 0.2 · 3 + 0.8 · 3 = 3
        ([[1, 1, 0], [0, 0, 0], [0, 1, 1]], [0, 1]),  # equal: the one that begins first
        ([[0, 0, 1], [1, 0, 0], [0, 0, 1]], [2]),  # the end of one row does not touch the next row's begin
    ],
)
def test_of_a_windows_components_the_largest_and_strongest_wins(window: list[list[float]], kept: list[int]) -> None:
    assert _columns(compete_in_windows(_entries([cell for row in window for cell in row]), 1, (3, 3)), 1) == [kept]


def test_channels_compete_and_components_do_not_cross_them() -> None:
    """Two channels of 2x2: 0.2 · 2 + 0.8 · 2 = 2 in the first, 0.2 · 8 + 0.8 = 2.4 in the second."""
    assert _columns(compete_in_windows(_entries([1, 1, 0, 0, 0, 0, 0, 8]), 1, (2, 2)), 1) == [[7]]


def test_attention_divides_by_the_products_and_adds_up() -> None:
    """h = (1, 2); hidden 1·1 + 1·2 = 3 and 1·1; the label's logit draws 3 and 1 of 4; so 1/4 is the second's."""
    net = mlp(2, 2, 2)
    filled(prunable_layers(net)["0"], [[1, 1], [1, 0]])
    filled(prunable_layers(net)["2"], [[1, 1], [0, 0]])
    sample = Split(inputs=tensor([[1, 2]]), labels=torch.tensor([0]))
    found = evidence_of(net, sample)
    assert found["2"].share.tolist() == [[0.75, 0.25], [0, 0]]
    assert found["0"].share.tolist() == [pytest.approx([1 / 3, 2 / 3]), [1, 0]]
    assert found["0"].hits.tolist() == [[1, 1], [1, 0]]
    attention = top_down(chain_of(net), sample, copy.deepcopy(found), competition="all", offset=0)
    assert attention.tolist() == [pytest.approx([0.75 / 3 + 0.25, 0.75 * 2 / 3])]


def test_evidence_is_a_units_sum_of_shares_and_never_more_than_its_hits() -> None:
    torch.manual_seed(0)
    train = load_data("digits").train
    sample = Split(inputs=train.inputs[:50], labels=train.labels[:50])
    for evidence in evidence_of(NETWORKS["lenet-digits"].build(), sample).values():
        assert torch.allclose(evidence.share.flatten(1).sum(dim=1), evidence.part.double())
        assert (evidence.hits >= evidence.share - 1e-9).all()
        assert (evidence.active >= evidence.part).all()
        assert (evidence.mean() <= 1 + 1e-9).all()


# Chains ------------------------------------------------------------------------------------------------------------


class _Forward(nn.Module):
    """Two layers and a forward pass of its own."""

    def __init__(self, run: Callable[..., Tensor]) -> None:
        super().__init__()
        self.conv, self.fc, self.run = nn.Conv2d(1, 2, 3), nn.Linear(2 * 9, 3), run
        self.norm, self.grouped, self.average = nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1, groups=2), nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def _pooled(net: Any, x: Tensor) -> Tensor:
    return net.conv(x).relu()


@pytest.mark.parametrize(
    "run",
    [
        lambda net, x: net.fc(_pooled(net, x).view(x.size(0), -1)),
        lambda net, x: net.fc(_pooled(net, x).reshape(x.shape[0], -1)),
        lambda net, x: net.fc(torch.flatten(F.relu(net.norm(net.conv(x))), 1)),
        lambda net, x: net.fc(
            F.dropout(F.max_pool2d(net.conv(x), 3, stride=1, padding=1), 0.5, net.training).flatten(1)
        ),
    ],
)
def test_hand_written_chains_are_read(run: Callable[..., Tensor]) -> None:
    net = _Forward(run)
    Anp().check(net, (1, 5, 5))
    assert net.training
    assert [step.name for step in chain_of(net) if hasattr(step, "name")] == ["conv", "fc"]


@pytest.mark.parametrize(
    ("run", "named"),
    [
        (lambda net, x: net.fc((_pooled(net, x) + _pooled(net, x)).flatten(1)), "does not read the one layer before"),
        (lambda net, x: net.fc((_pooled(net, x) + 1).flatten(1)), "`add` is none of the layers .*: add"),
        (lambda net, x: net.fc(torch.cat([_pooled(net, x)], 1).flatten(1)), "`cat` is none of the layers .*: cat"),
        (lambda net, x: net.fc(net.average(x).flatten(1)), "`average` is none of the layers .*AvgPool2d"),
        (lambda net, x: net.fc(net.norm(_pooled(net, x)).flatten(1)), "`norm` is a BatchNorm that does not directly"),
        (lambda net, x: net.fc(net.grouped(_pooled(net, x)).flatten(1)), "`grouped` is a convolution in 2 groups"),
        (lambda net, x: net.fc(_pooled(net, x).flatten()), "`flatten` is none of the layers"),
        (lambda net, x: net.fc(_pooled(net, x).flatten(1)) if x.sum() > 0 else x, "cannot be traced: "),
        (lambda net, x: net.fc(_pooled(net, x).flatten(1)).relu(), "its last step is not"),
        (lambda net, x: net.fc(_pooled(net, x).view(2, -1)[:]), "is none of the layers"),
    ],
)
def test_what_is_no_chain_is_refused_before_training_and_named(run: Callable[..., Tensor], named: str) -> None:
    with pytest.raises(ValueError, match=f"anp cannot serve this network: .*{named}.*use `gasl` or `magnitude`"):
        Anp().check(_Forward(run), (1, 5, 5))


def test_a_layer_that_is_used_twice_is_refused() -> None:
    layer = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="`0` is used twice"):
        check_chain(nn.Sequential(layer, nn.ReLU(), layer), (3,))


def test_a_kernel_larger_than_a_windows_bits_is_refused() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 9), nn.Flatten(), nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"`0` has a kernel of \(9, 9\), larger than 7x7"):
        Anp().check(net, (1, 9, 9))


# Rounds ------------------------------------------------------------------------------------------------------------


def test_rounds_come_after_the_dense_part_and_leave_time_to_train() -> None:
    anp = Anp(rounds=4, begin=0.2)
    assert [anp.rounds_due(p) for p in (0.0, 0.19, 0.2, 0.39, 0.4, 0.6, 0.8, 1.0)] == [0, 0, 1, 1, 2, 3, 4, 4]


def test_places_go_by_evidence_then_by_size_then_by_index() -> None:
    assert places_of(tensor([0, 0, 2, 1, 0]), tensor([5, 1, 0, 9, 5])).tolist() == [2, 0, 4, 3, 1]


def test_every_unit_with_a_weight_left_keeps_its_best_one() -> None:
    """Places 5 and 4, 3 and 2; the third unit is pruned already. Fewer than two cannot be left, nor more than four."""
    places, alive = torch.tensor([5, 4, 3, 2, 1, 0]), torch.tensor([[1, 1], [1, 1], [0, 0]]).bool()
    kept = [best_weights(places, alive, count).int().tolist() for count in (1, 2, 3, 9)]
    assert kept == [[[1, 0], [1, 0], [0, 0]]] * 2 + [[[1, 1], [1, 0], [0, 0]], [[1, 1], [1, 1], [0, 0]]]


def _prepared(anp: Anp, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    net = NETWORKS["lenet-digits"].build()
    train = load_data("digits").train
    anp.prepare(net, Split(inputs=train.inputs[:200], labels=train.labels[:200]))
    return net


def _trained(anp: Anp) -> nn.Module:
    net = _prepared(anp)
    train_epoch(
        net, anp, optimizer_of(net, 5e-3), load_data("digits").train, batch_size=64, learning_rate=5e-3,
        schedule="constant", span=(0.0, 1.0), order=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return net


def test_a_round_keeps_its_share_of_every_layers_survivors() -> None:
    """Of 180, 9000, 20000, 1000; the first layer no less than 60 %: 108."""
    net = _trained(Anp(rounds=2, keep_per_round=0.7))
    assert [int(mask.sum()) for mask in masks_of(net).values()] == [108, 4410, 9800, 490]
    for name, layer in prunable_layers(net).items():
        assert not layer.weight[~masks_of(net)[name]].any(), "masked weights stay zero"
        assert masks_of(net)[name].flatten(1).any(dim=1).all(), "no unit dies"


def test_the_rules_by_hits_and_by_mean_remove_no_more_than_a_rounds_share() -> None:
    net = _trained(Anp(rounds=1))
    sample = Split(inputs=net.get_buffer("anp_inputs"), labels=net.get_buffer("anp_labels"))
    found = evidence_of(net, sample, competition="all")["fc1"]
    hit = int((found.hits[masks_of(net)["fc1"]] > 0).sum())
    for least, wanted in ((0.01, hit), (0.99, 14850)):
        pruned = Anp(rule="selected", competition="all", keep_per_round=least).pruned(net, sample)["fc1"]
        assert int(pruned.sum()) == max(wanted, 100)
    rule = Anp(rule="relative", competition="all", keep_per_round=0.01)
    strict, loose = (replace(rule, threshold=t).pruned(net, sample) for t in (5.0, 0.0))
    assert int(strict["fc1"].sum()) < hit
    assert torch.equal(loose["fc1"], masks_of(net)["fc1"])


@pytest.mark.parametrize("evidence", ["random", "magnitude"])
def test_the_controls_prune_as_many_of_every_layer(evidence: str) -> None:
    mine, control = (_trained(Anp(rounds=2, evidence=e)) for e in ("top_down", evidence))
    assert [int(m.sum()) for m in masks_of(mine).values()] == [int(m.sum()) for m in masks_of(control).values()]


def test_scores_are_places_by_evidence_then_by_size_and_nothing_for_the_pruned() -> None:
    anp = Anp(rounds=2, competition="all")
    net = _trained(anp)
    anp.fold(net)
    scores = anp.scores(net)
    found = evidence_of(net, Split(inputs=net.get_buffer("anp_inputs"), labels=net.get_buffer("anp_labels")))
    for name, values in scores.values.items():
        weight, alive = prunable_layers(net)[name].weight.detach(), masks_of(net)[name]
        assert torch.equal(scores.own[name], alive)
        assert not values[~alive].any()
        assert len(values[alive].unique()) == alive.sum()
        order = values[alive].argsort()
        evidence, size = found[name].mean()[alive][order], weight.abs()[alive][order]
        assert (evidence.diff() >= 0).all()
        assert (size.diff()[evidence.diff() == 0] >= 0).all()


def test_the_sample_shrinks_and_what_is_saved_is_the_networks_own() -> None:
    anp = Anp()
    net = shuffled(_prepared(anp))
    assert "anp_rounds_done" in net.state_dict()
    anp.fold(net)
    assert not [name for name in net.state_dict() if name.startswith("anp")]
    assert len(net.get_buffer("anp_inputs")) == 200

"""What every row of the table of methods is asked, for each of its granularities."""

import copy
import io
import random
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsweep.spaces.space import Choice, Float, Int, Row, Value
from sparsweep.trainables.compact.coupling import couplings_of
from sparsweep.trainables.compact.removal import check_exact, compact
from sparsweep.trainables.cut import cut, weight_masks
from sparsweep.trainables.groups import expand, group_count, masks_of, prunable_layers, scored_layers, set_masks
from sparsweep.trainables.methods import METHODS, Method
from sparsweep.trainables.methods.abp_gate import ESTIMATORS
from sparsweep.trainables.methods.aswl import Aswl
from sparsweep.trainables.methods.gasl import ATTENTION_FORMS, Gasl
from sparsweep.trainables.methods.l0 import L0
from sparsweep.trainables.methods.magnitude import LAYER_SHARES
from sparsweep.trainables.options import ALLOWED, TrialOptions
from sparsweep.trainables.schedules import descent_keeps
from sparsweep.trainables.tasks.data import Split, load_data
from sparsweep.trainables.tasks.networks import NETWORKS
from sparsweep.trainables.training import optimizer_of, train_epoch
from tests.trainables.nets import shuffled

GRANULARITIES = ("filter", "input", "weight")

ANP_VARIANTS: list[dict[str, Any]] = [
    {"rule": "top", "competition": "all"},
    {"rule": "selected", "competition": "argmax"},
    {"rule": "relative", "competition": "statistical"},
    {"evidence": "random"},
    {"evidence": "magnitude"},
]


def _variants() -> list[dict[str, Any]]:
    group_sparse = [{"granularity": g, "proximal": p} for g in GRANULARITIES for p in (False, True)]
    return [
        *({"method": "gasl", "attention_form": form, **row} for row in group_sparse for form in ATTENTION_FORMS),
        *({"method": "group_lasso", **row} for row in group_sparse),
        *({"method": "magnitude", "granularity": g, "layer_shares": s} for g in GRANULARITIES for s in LAYER_SHARES),
        {"method": "magnitude", "granularity": "weight", "recovery": True},
        *({"method": "gss", "granularity": g} for g in ("filter", "weight")),
        *({"method": "l0", "granularity": g} for g in ("filter", "input")),
        *({"method": "abp", "estimator": e, "gate_position": "after_norm"} for e in ESTIMATORS),
        {"method": "abp", "gate_position": "before_norm", "budget_strength": 10.0},
        {"method": "abp", "score_learning_rate": 0.0},
        *({"method": "anp", **row} for row in ANP_VARIANTS),
        {"method": "aswl", "gate_position": "after_norm"},
        {"method": "aswl", "gate_position": "before_norm", "weight_decay_strength": 1e-4, "ramp": 0.0},
        *({"method": "random", "granularity": g} for g in GRANULARITIES),
        {"method": "dense"},
    ]


def _made(variant: dict[str, Any]) -> Method:
    return METHODS[variant["method"]](**{k: v for k, v in variant.items() if k != "method"})


def _name(variant: dict[str, Any]) -> str:
    return "-".join(
        v if isinstance(v, str) else (k if v else f"no_{k}") if isinstance(v, bool) else f"{k}={v}"
        for k, v in variant.items()
    )


EVERY_METHOD = pytest.mark.parametrize("method", [pytest.param(_made(v), id=_name(v)) for v in _variants()])
EVERY_NAME = pytest.mark.parametrize("name", METHODS)


def test_no_row_of_the_table_escapes_the_contract() -> None:
    assert {variant["method"] for variant in _variants()} == set(METHODS)


def _net(method: Method, network: str = "lenet-digits") -> nn.Module:
    """A prepared network in the memory layout that a trial trains in."""
    torch.manual_seed(3)
    shape = NETWORKS[network].example_shape
    net = NETWORKS[network].build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = min(method.sample_size, 40)
    method.check(net, shape)
    method.prepare(net, Split(inputs=torch.rand(size, *shape), labels=torch.arange(size) % 10))
    assert isinstance(net, nn.Module)
    return net


def _folded(method: Method, network: str = "lenet-digits") -> nn.Module:
    net = _net(method, network)
    method.fold(net)
    return net


def _optimizer(net: nn.Module, method: Method) -> torch.optim.Optimizer:
    return optimizer_of(net, 5e-3, rates=method.learning_rates(net))


def _batch(at: int) -> Split:
    train = load_data("digits").train
    return Split(inputs=train.inputs[32 * at : 32 * at + 32], labels=train.labels[32 * at : 32 * at + 32])


def _train(net: nn.Module, method: Method, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for at in steps:
        batch = _batch(at)
        optimizer.zero_grad()
        (F.cross_entropy(net(batch.inputs), batch.labels) + method.penalty(net)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        method.after_step(net, optimizer, (at + 1) / 8)


def _penalty_gradients(method: Method, net: nn.Module) -> dict[str, Tensor]:
    """Of the penalty alone, per prunable layer; zero where it does not reach."""
    penalty = method.penalty(net)
    assert penalty.shape == ()
    assert penalty.isfinite()
    if penalty.requires_grad:
        penalty.backward()  # type: ignore[no-untyped-call]
    layers = prunable_layers(net)
    return {n: torch.zeros_like(p.weight) if p.weight.grad is None else p.weight.grad for n, p in layers.items()}


def _without_lasso(method: Method) -> Method:
    if isinstance(method, Aswl):
        return replace(method, weight_decay_strength=0.0)
    return replace(method, sparsity_strength=0.0) if isinstance(method, Gasl | L0) else method


@EVERY_METHOD
def test_penalty_is_finite_and_the_gradients_are_alive(method: Method) -> None:
    net = _net(method)
    batch = _batch(0)
    loss = F.cross_entropy(net(batch.inputs), batch.labels) + method.penalty(net)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()


@EVERY_METHOD
def test_an_all_zero_group_gets_gradient_zero(method: Method) -> None:
    net = _net(method)
    granularity = method.scores(_folded(method)).granularity
    first = {}
    for name, layer in scored_layers(net, granularity).items():
        shape = layer.weight.shape if granularity == "weight" else (group_count(layer.weight, granularity),)
        groups = torch.zeros(shape, dtype=torch.bool)
        groups.view(-1)[0] = True
        first[name] = expand(groups, layer.weight, granularity)
        with torch.no_grad():
            layer.weight[first[name]] = 0
    gradients = _penalty_gradients(method, net)
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all(not gradients[name][group].any() for name, group in first.items())


@EVERY_METHOD
def test_an_all_zero_layer_gets_gradient_zero(method: Method) -> None:
    net = _net(method)
    for layer in prunable_layers(net).values():
        nn.init.zeros_(layer.weight)
    assert all(torch.equal(g, torch.zeros_like(g)) for g in _penalty_gradients(method, net).values())


@EVERY_METHOD
@pytest.mark.parametrize("value", [0.1, 0.3])
def test_attention_has_no_gradient_where_all_groups_are_equal(method: Method, value: float) -> None:
    net = _net(method)
    for layer in prunable_layers(net).values():
        nn.init.constant_(layer.weight, value)
    gradients = _penalty_gradients(_without_lasso(method), net)
    assert all(torch.equal(g, torch.zeros_like(g)) for g in gradients.values())


@EVERY_METHOD
def test_scores_name_legal_layers_and_change_nothing(method: Method) -> None:
    net = _folded(method)
    before, random_state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    scores = method.scores(net)
    legal = scored_layers(net, scores.granularity)
    assert set(scores.values) == set(scores.own) <= set(legal)
    for name, values in scores.values.items():
        weight = legal[name].weight
        groups = weight.shape if scores.granularity == "weight" else (group_count(weight, scores.granularity),)
        assert values.shape == scores.own[name].shape == groups
        assert (values >= 0).all()
        assert scores.own[name].dtype == torch.bool
        assert scores.own[name].any(), "the own cut leaves every layer its best"
    assert all(torch.equal(before[name], now) for name, now in net.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())


def _counts(kept: dict[str, Tensor]) -> int:
    return sum(int(mask.sum()) for mask in kept.values())


@EVERY_METHOD
def test_cuts_are_exact_nested_and_leave_every_layer_its_minimum(method: Method) -> None:
    scores = method.scores(_folded(method))
    total = sum(values.numel() for values in scores.values.values())
    alive = {name: torch.ones_like(values, dtype=torch.bool) for name, values in scores.values.items()}
    for keep in descent_keeps(total, cuts=6, last=len(scores.values)):
        kept, _ = cut(scores, keep, alive=alive)
        assert _counts(kept) == keep
        assert all(not (kept[name] & ~alive[name]).any() for name in kept)
        assert all(mask.any() for mask in kept.values())
        alone, _ = cut(scores, keep)
        assert all(torch.equal(kept[name], alone[name]) for name in kept)
        alive = kept


@EVERY_METHOD
@pytest.mark.parametrize("balance", ["auto", "none", "mean"])
def test_of_equal_scores_the_lower_index_is_kept(method: Method, balance: str) -> None:
    own = method.scores(_folded(method))
    ones = {name: torch.ones_like(values) for name, values in own.values.items()}
    scores = replace(own, values=ones)
    total = sum(values.numel() for values in ones.values())
    kept, _ = cut(scores, total // 3, balance=balance)
    assert _counts(kept) == total // 3
    for mask in kept.values():
        assert torch.equal(mask.flatten().nonzero().flatten(), torch.arange(int(mask.sum())))


@EVERY_METHOD
def test_the_own_cut_is_reproduced_from_scores_and_masks(method: Method) -> None:
    net = shuffled(_net(method))
    method.fold(net)
    scores = method.scores(net)
    masks = weight_masks(net, scores, scores.own)
    set_masks(net, masks)
    for name, layer in prunable_layers(net).items():
        wanted = masks.get(name, torch.ones_like(layer.weight, dtype=torch.bool))
        assert torch.equal(layer.weight != 0, wanted)
        assert torch.equal(masks_of(net)[name], wanted)
    again = method.scores(net)
    if again.granularity == "filter":
        assert all(torch.equal(again.own[name], own) for name, own in scores.own.items())


@EVERY_METHOD
def test_a_saved_state_resumes_to_the_same_bits(method: Method) -> None:
    net = _net(method)
    optimizer = _optimizer(net, method)
    _train(net, method, optimizer, range(4))
    file = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}, file)
    _train(net, method, optimizer, range(4, 8))

    other = _net(method)
    shuffled(other)
    resumed = _optimizer(other, method)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other.load_state_dict(state["net"])
    resumed.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    _train(other, method, resumed, range(4, 8))
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))
    for each in (net, other):
        method.fold(each)
    mine, theirs = method.scores(net), method.scores(other)
    assert all(torch.equal(mine.own[name], theirs.own[name]) for name in mine.own)


@EVERY_METHOD
def test_folding_leaves_the_outputs_and_only_the_networks_own_parameters(method: Method) -> None:
    net = _net(method)
    _train(net, method, _optimizer(net, method), range(8))
    inputs = load_data("digits").validation.inputs[:64]
    with torch.inference_mode():
        before = net.eval()(inputs)
        method.fold(net)
        after = net(inputs)
    assert torch.allclose(before, after, atol=1e-4)
    assert [name for name, _ in net.named_parameters()] == [
        name for name, _ in NETWORKS["lenet-digits"].build().named_parameters()
    ]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    untrained = _folded(method)
    untrained.load_state_dict(net.state_dict())


@EVERY_METHOD
def test_a_trained_network_compacts_to_its_masked_self(method: Method) -> None:
    net = _net(method)
    couplings = couplings_of(NETWORKS["lenet-digits"].build(), (1, 8, 8))
    _train(net, method, _optimizer(net, method), range(8))
    method.fold(net)
    scores = method.scores(net)
    total = sum(values.numel() for values in scores.values.values())
    masks = [scores.own, *(cut(scores, total // part)[0] for part in (2, 8, 30))]
    for kept in masks:
        smaller = copy.deepcopy(net)
        set_masks(smaller, weight_masks(smaller, scores, kept))
        compacted = compact(smaller, couplings)
        assert check_exact(smaller, compacted.net, load_data("digits").validation.inputs[:256]) <= 1e-4


@EVERY_METHOD
def test_masked_weights_stay_zero_through_fine_tuning(method: Method) -> None:
    net = _net(method)
    optimizer = _optimizer(net, method)
    _train(net, method, optimizer, range(2))
    method.fold(net)
    optimizer = optimizer_of(net, 5e-3)
    scores = method.scores(net)
    total = sum(values.numel() for values in scores.values.values())
    masks = weight_masks(net, scores, cut(scores, total // 4)[0])
    set_masks(net, masks)
    train_epoch(
        net, None, optimizer, _batch(0), batch_size=8, learning_rate=5e-3, schedule="constant", span=(0.0, 1.0),
        order=torch.Generator().manual_seed(0),
    )  # fmt: skip
    for name, layer in prunable_layers(net).items():
        assert not layer.weight[~masks.get(name, torch.ones_like(layer.weight, dtype=torch.bool))].any()


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_compacts_to_its_masked_self_at_random(network: str, granularity: Any) -> None:
    method = METHODS["random"](granularity=granularity)  # type: ignore[call-arg]
    net = shuffled(_net(method, network))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.div_(parameter[0].numel() ** 0.5 if parameter.dim() > 1 else 1)
    shape = NETWORKS[network].example_shape
    couplings = couplings_of(net, shape)
    inputs = torch.rand(256, *shape, generator=torch.Generator().manual_seed(1))
    scores = method.scores(net)
    total = sum(values.numel() for values in scores.values.values())
    for part in (2, 12, 100) if total < 1_000_000 else (12,):
        set_masks(net, weight_masks(net, scores, cut(scores, total // part)[0]))
        assert check_exact(net, compact(net, couplings).net, inputs) <= 1e-4


# The knobs ---------------------------------------------------------------------------------------------------------


def _drawer(seed: int) -> Callable[[str, Float | Int | Choice], Value]:
    source = random.Random(seed)

    def draw(label: str, allowed: Float | Int | Choice) -> Value:
        if isinstance(allowed, Choice):
            return source.choice(allowed.choices)
        if isinstance(allowed, Int):
            return source.randint(allowed.low, allowed.high)
        return 0.0 if allowed.or_zero and source.random() < 0.2 else source.uniform(allowed.low, allowed.high)

    return draw


def _built(method: type[Method], row: Row) -> Method:
    return method(**{name: value for name, value in row.items() if name in method.allowed})


@EVERY_NAME
def test_the_known_good_setting_lies_in_the_default_space(name: str) -> None:
    method = METHODS[name]
    for row in method.known_good:
        assert method.default_space.nearest(row) == row
        assert method.default_space.labels_of(row)
        _built(method, row)


@EVERY_NAME
def test_every_sampled_knob_is_the_methods_or_the_trials(name: str) -> None:
    method = METHODS[name]
    options = {field.name for field in fields(TrialOptions)}
    for seed in range(30):
        row = method.default_space.row(_drawer(seed))
        for knob, value in row.items():
            assert (knob in method.allowed) != (knob in options)
            assert value in (method.allowed.get(knob) or ALLOWED[knob])
        made = _built(method, row)
        assert all(getattr(made, knob) == value for knob, value in row.items() if knob in method.allowed)
        TrialOptions.from_row({}, row)


@EVERY_NAME
def test_every_knob_has_a_range_that_holds_its_default(name: str) -> None:
    method = METHODS[name]
    assert {field.name for field in fields(method) if field.init} == set(method.allowed)
    assert all(getattr(method(), knob) in legal for knob, legal in method.allowed.items())


@EVERY_NAME
def test_methods_are_frozen_and_name_their_source(name: str) -> None:
    method = METHODS[name]()
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'granularity'"):
        method.granularity = "filter"  # type: ignore[attr-defined]
    assert any(of in METHODS[name].paper for of in ("arXiv:", "IEEE TNNLS")) or METHODS[name].paper == "none (control)"

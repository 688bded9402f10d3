"""Fine-tuning the compact network in the masked one's place: the same steps, and nothing else changes."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparsweep.trainables import trial as trial_module
from sparsweep.trainables.attempt import run_trial
from sparsweep.trainables.compact.coupling import couplings_of
from sparsweep.trainables.compact.inner import WHOLE_NUMBERS, inner_of
from sparsweep.trainables.compact.removal import check_exact, compact
from sparsweep.trainables.compact.selection import SelectedLinear
from sparsweep.trainables.cut import cut, weight_masks
from sparsweep.trainables.groups import Granularity, add_masks, drop_masks, hold, scored_layers, set_masks
from sparsweep.trainables.methods.method import norm_scores
from sparsweep.trainables.outline import lay_outline, outline_of
from sparsweep.trainables.record import TrialFolder
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.networks import lenet_digits
from sparsweep.trainables.trial import Trial
from tests.trainables import trap_nets as traps
from tests.trainables.nets import Residual, mlp, plan

STEPS = 4
CASES = [
    (lambda: mlp(12, 9, 8, 4), (12,), "filter"),
    (lambda: mlp(12, 9, 8, 4), (12,), "input"),
    (lambda: mlp(12, 9, 8, 4), (12,), "weight"),
    (lenet_digits, (1, 8, 8), "filter"),
    (Residual, (1, 8, 8), "filter"),
    (traps.PreActivation, (2, 8, 8), "filter"),
    (traps.DenselyConnected, (2, 8, 8), "filter"),
    (traps.Separable, (2, 8, 8), "filter"),
    (traps.Grouped, (2, 8, 8), "filter"),
    (traps.Squeezed, (2, 8, 8), "filter"),
]


def pruned(build: Any, shape: tuple[int, ...], granularity: Granularity) -> tuple[nn.Module, Any]:
    """A network in double precision, half of it masked, with norms that have seen something."""
    torch.manual_seed(0)
    net = build()
    couplings = couplings_of(net, shape)
    net = net.double()
    lay_outline(net, couplings.outline)
    with torch.no_grad():
        net.train()(torch.randn(16, *shape, dtype=torch.float64))
    add_masks(net)
    values = norm_scores(net, granularity)
    assert set(values) == set(scored_layers(net, granularity))
    scores = Scores(granularity=granularity, values=values, own={}, threshold=0.0)
    left, _ = cut(scores, sum(each.numel() for each in values.values()) // 3)
    set_masks(net, weight_masks(net, scores, left))
    return net, couplings


def steps(net: nn.Module, shape: tuple[int, ...]) -> None:
    """A few of Adam with the masks held, always the same examples."""
    source = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    net.train()
    for _ in range(STEPS):
        inputs = torch.randn(8, *shape, dtype=torch.float64, generator=source)
        outputs = net(inputs)
        loss = F.cross_entropy(outputs.flatten(1), torch.arange(8) % outputs.flatten(1).shape[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        hold(net)


@pytest.mark.parametrize(("build", "shape", "granularity"), CASES)
def test_it_learns_what_the_masked_network_learns(build: Any, shape: tuple[int, ...], granularity: Granularity) -> None:
    net, couplings = pruned(build, shape, granularity)
    whole, before = copy.deepcopy(net), copy.deepcopy(net.state_dict())
    compacted = compact(net, couplings)
    inner = inner_of(net, compacted, couplings)
    if granularity != "weight":
        assert sum(p.numel() for p in inner.net.parameters()) < sum(p.numel() for p in net.parameters())
    steps(inner.net, shape)
    inner.write_back(net)
    steps(whole, shape)
    for path, wanted in whole.state_dict().items():
        if path in inner.places:
            flat, places = (each.flatten() for each in (net.state_dict()[path], inner.places[path]))
            assert torch.allclose(flat[places], wanted.flatten()[places], rtol=1e-7, atol=1e-9), path
            rest = torch.ones(flat.numel(), dtype=torch.bool).index_fill(0, places, False)
            assert torch.equal(flat[rest], before[path].flatten()[rest]), "what it has not stays"
    assert any(not torch.equal(before[path], tensor) for path, tensor in net.state_dict().items())
    drop_masks(inner.net).eval()
    check_exact(net, inner.net, torch.randn(64, *shape, dtype=torch.float64))


def test_single_weights_stay_masked_in_it_and_selected_inputs_find_their_way_back() -> None:
    net, couplings = pruned(lambda: mlp(40, 6, 3), (40,), "weight")
    mask = net.get_submodule("0").get_buffer("weight_mask")
    mask[:, ::2] = 0
    hold(net)
    compacted = compact(net, couplings)
    inner = inner_of(net, compacted, couplings)
    assert isinstance(inner.net.get_submodule("0"), SelectedLinear)
    zeros = {n: p == 0 for n, p in inner.net.named_parameters() if n.endswith("weight")}
    assert any(bool(zero.any()) for zero in zeros.values())
    steps(inner.net, (40,))
    inner.write_back(net)
    for name, parameter in inner.net.named_parameters():
        if name in zeros:
            assert bool((parameter[zeros[name]] == 0).all())
    layer = net.get_submodule("0")
    assert bool((layer.weight[:, ::2] == 0).all())
    drop_masks(inner.net).eval()
    check_exact(net, inner.net, torch.randn(64, 40, dtype=torch.float64))


def test_numbers_beyond_the_exact_range_of_floats_are_counted_in_doubles() -> None:
    for kind, last in WHOLE_NUMBERS.items():
        below = torch.tensor([last - 1, last], dtype=kind)
        assert below.long().tolist() == [last - 1, last]
        assert torch.tensor(last + 1, dtype=kind).long().item() != last + 1


# In a trial ---------------------------------------------------------------------------------------------------------

FIXED = {"epochs": 1, "cuts": 3, "finetune_epochs": 1}


def nets_finetuned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many parameters each network that is fine-tuned has."""
    counts: list[int] = []
    train = trial_module.train_epoch

    def noted(net: nn.Module, method: Any, *rest: Any, **more: Any) -> float:
        if method is None:
            counts.append(sum(p.numel() for p in net.parameters()))
        return train(net, method, *rest, **more)

    monkeypatch.setattr(trial_module, "train_epoch", noted)
    return counts


@pytest.mark.parametrize("granularity", ["filter", "weight"])
def test_a_trial_gives_the_points_that_it_gives_without(
    granularity: Granularity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = plan(granularity=granularity, threshold=0.05, sparsity_strength=1e-4, fixed=FIXED)
    small = run_trial(given, TrialFolder(tmp_path / "small"), debug=True)
    monkeypatch.setattr(trial_module, "SMALLER", -1.0)
    whole = run_trial(given, TrialFolder(tmp_path / "whole"), debug=True)
    for ours, theirs in zip(small.points, whole.points, strict=True):
        assert ours.cut == theirs.cut
        assert ours.accuracy == pytest.approx(theirs.accuracy, abs=0.02)
    assert [(p.weights_left, p.macs) for p in small.points[:3]] == [(p.weights_left, p.macs) for p in whole.points[:3]]


def test_what_is_fine_tuned_shrinks_with_the_cuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = nets_finetuned(monkeypatch)
    (tmp_path / "it").mkdir()
    trial = Trial.start(plan(fixed={**FIXED, "distillation": 0.5}), tmp_path / "it")
    dense = sum(p.numel() for p in trial.net.parameters())
    while trial.advance():
        pass
    tuned = counts[1:]  # the own cut's first
    assert len(tuned) == 3
    assert dense > tuned[0] > tuned[1] > tuned[2]


@pytest.mark.parametrize("why", ["compiled", "idle"])
def test_the_masked_network_is_fine_tuned_where_the_compact_one_cannot_be(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = nets_finetuned(monkeypatch)
    (tmp_path / "it").mkdir()
    trial = Trial.start(plan(fixed=FIXED), tmp_path / "it")
    if why == "compiled":
        trial.options = type(trial.options)(**{**vars(trial.options), "compile": "default"})
    else:
        outline = outline_of(trial.net)
        assert outline is not None
        lay_outline(trial.net, replace(outline, idle=frozenset({"nobody"})))
    while trial.advance():
        pass
    assert set(counts) == {sum(p.numel() for p in trial.net.parameters())}

"""What no example depends on is cut first, whatever its weights."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparsweep.trainables.groups import group_norms, masks_of, prunable_layers
from sparsweep.trainables.options import ALLOWED, TrialOptions
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.silent import silenced
from sparsweep.trainables.tasks.split import Split
from sparsweep.trainables.trial import Trial
from tests.trainables.nets import Residual, filled, mlp, plan, shuffled


def examples(*shape: int, count: int = 600) -> Split:
    draw = torch.Generator().manual_seed(3)
    return Split(inputs=torch.rand(count, *shape, generator=draw), labels=torch.randint(3, (count,), generator=draw))


def by_norm(net: nn.Module, kind: str, *names: str) -> Scores:
    layers = dict(net.named_modules())
    values = {name: group_norms(layers[name].weight.detach(), kind) for name in names}  # type: ignore[arg-type]
    return Scores(granularity=kind, values=values, own={}, threshold=0.0)  # type: ignore[arg-type]


def net_with_a_silent_unit() -> nn.Sequential:
    """Inputs in [0, 1): of the first hidden layer unit 1 never fires, and nobody reads unit 2; the last input is 0."""
    net = mlp(3, 3, 2, 3)
    filled(net[0], [[0.5, -0.5, 1], [9, 9, 9], [1, 1, 1]], [0.6, -40, 0.1])
    filled(net[2], [[1, 5, 0], [0.5, 5, 0]], [0.1, 0.1])
    filled(net[4], [[1, -1], [0.3, 0.2], [-1, 1]])
    return net


def test_units_that_never_fire_and_units_that_nobody_reads_are_worth_nothing() -> None:
    net, split = net_with_a_silent_unit().train(), examples(3)
    found = silenced(net, by_norm(net, "filter", "0", "2"), split, F.cross_entropy)
    assert found.values["0"].tolist() == pytest.approx([1.5**0.5, 0, 0])
    assert torch.equal(found.values["2"], by_norm(net, "filter", "2").values["2"])
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())


def test_inputs_and_single_weights_that_carry_nothing_are_worth_nothing() -> None:
    net, split = net_with_a_silent_unit(), examples(3)
    split.inputs[:, 2] = 0
    inputs = silenced(net, by_norm(net, "input", "0", "2"), split, F.cross_entropy)
    assert [value > 0 for value in inputs.values["0"].tolist()] == [True, True, False]
    assert [value > 0 for value in inputs.values["2"].tolist()] == [True, False, False]
    single = silenced(net, by_norm(net, "weight", "0", "2"), split, F.cross_entropy)
    assert single.values["0"].tolist() == [[0.5, 0.5, 0], [0, 0, 0], [0, 0, 0]]
    assert single.values["2"].tolist() == [[1, 0, 0], [0.5, 0, 0]]


def test_one_example_of_the_sample_is_enough_to_be_heard() -> None:
    """The unit fires for one of 600, which lies in the last and smaller batch."""
    net = mlp(1, 2, 3)
    filled(net[0], [[1], [1]], [0, -0.5])
    filled(net[2], [[1, 1], [2, -1], [0, 0]])
    split = Split(inputs=torch.zeros(600, 1), labels=torch.zeros(600, dtype=torch.int64))
    scores = by_norm(net, "filter", "0")
    assert silenced(net, scores, split, F.cross_entropy).values["0"].tolist() == [0, 0]
    split.inputs[599] = 0.4
    assert silenced(net, scores, split, F.cross_entropy).values["0"].tolist() == [1, 0]
    split.inputs[598] = 0.6
    assert silenced(net, scores, split, F.cross_entropy).values["0"].tolist() == [1, 1]


def test_a_live_network_keeps_its_scores() -> None:
    net = shuffled(Residual()).eval()
    names = [name for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d)]
    scores = by_norm(net, "filter", *names)
    found = silenced(net, scores, examples(1, 8, 8), F.cross_entropy)
    live = [bool((found.values[name] == scores.values[name]).any()) for name in names]
    assert len(names) > 1
    assert all(live)
    assert not net.training


@pytest.mark.parametrize("shares", ["", "0.8"])
@pytest.mark.parametrize("first", [False, True])
def test_a_trial_cuts_them_first_where_it_is_told_to(tmp_path: Path, first: bool, shares: str) -> None:
    fixed = {"epochs": 1, "finetune_epochs": 0, "silent_first": first, "macs_shares": shares}
    trial = Trial.start(plan(method="group_lasso", threshold=0.0, fixed=fixed), tmp_path)
    while trial.phase != "descend":
        trial.advance()
    name, layer = next(iter(prunable_layers(trial.net).items()))
    with torch.no_grad():
        layer.weight[2] *= 100
        assert layer.bias is not None
        layer.bias[2] = -1e6
    trial.advance()
    left = masks_of(trial.net)[name].flatten(1).all(dim=1)
    assert not left.all()
    assert bool(left[2]) is not first


def test_it_is_off_unless_it_is_asked_for() -> None:
    assert TrialOptions().silent_first is False
    assert all(value in ALLOWED["silent_first"] for value in (False, True))
    assert "yes" not in ALLOWED["silent_first"]

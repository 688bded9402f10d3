"""What no example depends on is cut first, whatever its weights."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparsweep.trainables.groups import group_norms, masks_of, prunable_layers
from sparsweep.trainables.options import ALLOWED, TrialOptions
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.silent import heard_of
from sparsweep.trainables.tasks.split import Split
from sparsweep.trainables.trial import Trial
from tests.trainables.nets import filled, mlp, plan, shuffled


def examples(*shape: int, count: int = 600) -> Split:
    draw = torch.Generator().manual_seed(3)
    return Split(inputs=torch.rand(count, *shape, generator=draw), labels=torch.randint(3, (count,), generator=draw))


def heard(net: nn.Module, split: Split, kind: str, *names: str, **ties: object) -> dict[str, list[object]]:
    layers = dict(net.named_modules())
    values = {name: group_norms(layers[name].weight.detach(), kind) for name in names}  # type: ignore[arg-type]
    scores = Scores(granularity=kind, values=values, own={}, threshold=0.0)  # type: ignore[arg-type]
    found = heard_of(net, scores, split, F.cross_entropy, {n: torch.tensor(tied) for n, tied in ties.items()})
    assert all(found[name].shape == values[name].shape for name in names)
    return {name: found[name].int().tolist() for name in names}


def net_with_a_silent_unit() -> nn.Sequential:
    """Inputs in [0, 1): of the first hidden layer unit 1 never fires, and nobody reads unit 2."""
    net = mlp(3, 3, 2, 3)
    filled(net[0], [[0.5, -0.5, 1], [9, 9, 9], [1, 1, 1]], [0.6, -40, 0.1])
    filled(net[2], [[1, 5, 0], [0.5, 5, 0]], [0.1, 0.1])
    filled(net[4], [[1, -1], [0.3, 0.2], [-1, 1]])
    return net


def test_units_that_never_fire_and_units_that_nobody_reads_are_not_heard() -> None:
    net = net_with_a_silent_unit().train()
    assert heard(net, examples(3), "filter", "0", "2") == {"0": [1, 0, 0], "2": [1, 1]}
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())


def test_inputs_and_single_weights_that_carry_nothing_are_not_heard() -> None:
    net, split = net_with_a_silent_unit(), examples(3)
    split.inputs[:, 2] = 0
    assert heard(net, split, "input", "0", "2") == {"0": [1, 1, 0], "2": [1, 0, 1]}, "unit 2 is there to be read"
    assert heard(net, split, "weight", "0", "2") == {
        "0": [[1, 1, 0], [0, 0, 0], [0, 0, 0]], "2": [[1, 0, 1], [1, 0, 1]],
    }  # fmt: skip


def test_of_groups_that_are_cut_together_one_is_enough() -> None:
    net, split = net_with_a_silent_unit(), examples(3)
    alone = {"0": [1, 0, 0], "2": [1, 1]}
    assert heard(net, split, "filter", "0", "2", **{"0": [-1, -1, -1]}) == alone
    assert heard(net, split, "filter", "0", "2", **{"0": [4, 4, 5], "2": [6, 7]}) == alone | {"0": [1, 1, 0]}
    assert heard(net, split, "filter", "0", "2", **{"0": [0, 1, 2], "2": [2, 0]}) == alone | {"0": [1, 0, 1]}


def test_one_example_of_the_sample_is_enough_to_be_heard() -> None:
    """It lies in the last and smaller batch."""
    net = mlp(1, 2, 3)
    filled(net[0], [[1], [1]], [0, -0.5])
    filled(net[2], [[1, 1], [2, -1], [0, 0]])
    split = Split(inputs=torch.zeros(600, 1), labels=torch.zeros(600, dtype=torch.int64))
    assert heard(net, split, "filter", "0") == {"0": [0, 0]}
    split.inputs[599] = 0.4
    assert heard(net, split, "filter", "0") == {"0": [1, 0]}
    split.inputs[598] = 0.6
    assert heard(net, split, "filter", "0") == {"0": [1, 1]}


@pytest.mark.parametrize("kind", ["filter", "input", "weight"])
def test_a_live_network_is_heard_whole(kind: str) -> None:
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(64, 3))
    found = heard(shuffled(net).eval(), examples(2, 8, 8), kind, "0", "2", "4")
    assert all(bool(torch.tensor(each).all()) for each in found.values())
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


def test_what_a_share_has_room_for_is_not_filled_with_them(tmp_path: Path) -> None:
    """Units of the last hidden layer are cheap; the next filter of the others is too dear for what is left."""
    fixed = {"epochs": 1, "finetune_epochs": 0, "silent_first": True, "macs_shares": "0.95"}
    trial = Trial.start(plan(method="group_lasso", threshold=0.0, fixed=fixed), tmp_path)
    while trial.phase != "descend":
        trial.advance()
    name, layer = [*prunable_layers(trial.net).items()][-2]
    with torch.no_grad():
        assert layer.bias is not None
        layer.bias[: layer.weight.shape[0] // 2] = -1e6
    trial.advance()
    left = masks_of(trial.net)[name].flatten(1).all(dim=1)
    half = len(left) // 2
    assert left[half:].any()
    assert not left[:half].any()


def test_it_is_off_unless_it_is_asked_for() -> None:
    assert TrialOptions().silent_first is False
    assert all(value in ALLOWED["silent_first"] for value in (False, True))
    assert "yes" not in ALLOWED["silent_first"]

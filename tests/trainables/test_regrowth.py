"""What comes back after a cut, and in whose place: by hand, and in a trial."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsweep.trainables.attempt import Attempt, run_trial
from sparsweep.trainables.compact.coupling import couplings_of
from sparsweep.trainables.groups import Granularity, add_masks, group_norms, masks_of, set_masks
from sparsweep.trainables.options import ALLOWED
from sparsweep.trainables.outline import lay_outline
from sparsweep.trainables.record import TrialFolder
from sparsweep.trainables.regrowth import (
    BATCH,
    EXAMPLES,
    Earlier,
    Regrowth,
    batches_of,
    exchanged,
    importance,
    kinds_of,
    set_masks_and_restore,
)
from sparsweep.trainables.tasks import NETWORKS, Task
from sparsweep.trainables.tasks.data import Split
from sparsweep.trainables.tasks.networks import Network
from sparsweep.trainables.trial import Trial, TrialPlan
from tests.trainables.nets import Residual, filled, mlp, plan, scores_of, tensor

LAYER = torch.zeros(6, dtype=torch.int64)


def bools(*ones: int) -> Tensor:
    """Six of them, true at these places."""
    return torch.tensor([at in ones for at in range(6)])


def pairs(kept: Tensor, lost: Tensor, worth: list[float], share: float, kinds: Tensor = LAYER) -> list[tuple[int, int]]:
    back, gone = exchanged(kept, lost, tensor(worth), kinds, share)
    return list(zip(back.tolist(), gone.tolist(), strict=True))


# Who changes places -------------------------------------------------------------------------------------------------


def test_the_best_of_the_lost_take_the_places_of_the_least() -> None:
    worth = [5, 1, 3, 4, 2, 6]
    assert pairs(bools(0, 1, 2), bools(3, 4, 5), worth, 0.99) == [(5, 1), (3, 2)], "2 is not worth more than 5"
    assert pairs(bools(0, 1, 2), bools(3, 4, 5), worth, 0.34) == [(5, 1)], "one of three"
    assert pairs(bools(0, 1, 2), bools(3, 4, 5), worth, 0.33) == [], "not a whole one"


def test_equals_stay_and_of_equal_ones_the_lower_comes_and_the_higher_goes() -> None:
    assert pairs(bools(0, 1, 2), bools(3, 4, 5), [1] * 6, 0.99) == []
    assert pairs(bools(0, 1, 2), bools(3, 4, 5), [1, 1, 1, 2, 2, 2], 0.67) == [(3, 2), (4, 1)]


def test_only_within_a_layer_and_those_that_gain_most_first() -> None:
    layers = torch.tensor([0, 0, 0, 1, 1, 1])
    worth = [1, 2, 9, 1, 2, 4]  # layer 0 gains 9 - 1, layer 1 gains 4 - 1
    assert pairs(bools(0, 1, 3, 4), bools(2, 5), worth, 0.99, layers) == [(2, 0)]
    assert pairs(bools(0, 1, 3, 4), bools(2, 5), worth, 1.0, layers) == [(2, 0), (5, 3)]
    assert pairs(bools(0, 1), bools(5), worth, 1.0, layers) == [], "its layer has nobody to give"


def test_sets_change_places_with_sets_of_the_same_members() -> None:
    sizes, everyone = [3, 3], torch.ones(6, dtype=torch.bool)
    assert kinds_of(sizes, None, everyone).tolist() == [0, 0, 0, 1, 1, 1]
    tied = torch.tensor([0, 1, 2, 0, 1, 5])  # 0 with 3, 1 with 4; 2 and 5 alone
    kinds = kinds_of(sizes, tied, everyone)
    assert kinds[0] == kinds[1]
    assert len({int(kinds[at]) for at in (0, 2, 5)}) == 3
    assert kinds_of(sizes, tied, bools(0, 1, 2, 4, 5))[0] != kinds_of(sizes, tied, bools(0, 1, 2, 4, 5))[1]


# What they are worth ------------------------------------------------------------------------------------------------


def total(outputs: Tensor, labels: Tensor) -> Tensor:
    return outputs.sum()


def test_importance_is_the_mean_square_of_gradient_times_weight() -> None:
    net = nn.Sequential(nn.Linear(2, 2, bias=False))
    filled(net[0], [[1, 2], [3, -1]])  # type: ignore[arg-type]
    batches = [(tensor([[1, 1]]), torch.zeros(1)), (tensor([[0, 2]]), torch.zeros(1))]  # the gradient is the input
    every = torch.arange(4)
    assert importance(net, batches, total, ["0"], "weight", every).tolist() == [0.5, 10, 4.5, 2.5]
    assert importance(net, batches, total, ["0"], "filter", every[:2]).tolist() == [12.5, 4], "(1 + 2)², 4²; 2², (-2)²"
    assert importance(net, batches, total, ["0"], "input", every[:2]).tolist() == [8, 2.5]
    both = importance(net, batches, total, ["0"], "filter", torch.tensor([0, 0]))
    assert both.tolist() == [14.5, 0], "a set is worth what its sum is: 5², 2²"
    assert net[0].weight.grad is None


def test_the_sample_is_spread_over_the_data_and_always_the_same() -> None:
    split = Split(inputs=torch.arange(1000.0)[:, None], labels=torch.arange(1000))
    first, again = ([labels for _, labels in batches_of(split)] for _ in range(2))
    assert [len(labels) for labels in first] == [BATCH] * (EXAMPLES // BATCH)
    assert torch.cat(first)[:3].tolist() == [0, 3, 6]
    assert torch.equal(torch.cat(first), torch.cat(again))
    assert sum(len(labels) for _, labels in batches_of(split.part(slice(0, 50)))) == 50


# How they come back -------------------------------------------------------------------------------------------------


def test_a_filter_comes_back_as_it_was_with_its_bias_and_its_norm() -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))
    lay_outline(net, couplings_of(net, (1, 1, 1)).outline)
    add_masks(net)
    filled(net[0], [1, 2, 3], [4, 5, 6])  # type: ignore[arg-type]
    nn.init.constant_(net[1].weight, 7)
    earlier = {name: value.clone() for name, value in net.state_dict().items()}
    set_masks_and_restore(net, {"0": tensor([1, 0, 0]).bool().view(3, 1, 1, 1)}, earlier)
    with torch.no_grad():
        net[0].weight[0] = 11
        net[1].running_var.fill_(0.5)  # type: ignore[operator, union-attr]
    set_masks_and_restore(net, {"0": tensor([0, 1, 0]).bool().view(3, 1, 1, 1)}, earlier)
    assert net[0].weight.flatten().tolist() == [0, 2, 0]
    assert net[0].bias.tolist() == [0, 5, 0]
    assert net[1].weight.tolist() == [0, 7, 0]
    assert net[1].running_var.tolist() == [0.5, 1, 0.5]  # type: ignore[operator, union-attr]


def test_survivors_keep_what_they_have_learnt() -> None:
    net = mlp(1, 3, 1)
    add_masks(net)
    filled(net[0], [1, 2, 3])  # type: ignore[arg-type]
    earlier = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        net[0].weight[0] = 11
    set_masks_and_restore(net, {"0": tensor([[1], [1], [0]]).bool()}, earlier)
    assert net[0].weight.flatten().tolist() == [11, 2, 0]


def regrown(share: float, weights: list[float], then: tuple[int, ...] = (0, 1, 2, 3)) -> list[int]:
    """Four units, of `then` the last cut took 2 and 3, this one takes 1: who is left."""
    net = mlp(1, 4, 1, bias=False)
    add_masks(net)
    filled(net[0], weights)  # type: ignore[arg-type]
    filled(net[2], [1, 1, 1, 1])  # type: ignore[arg-type]
    there, alive, kept = (bools(*ones)[:4] for ones in (then, (0, 1), (0,)))
    set_masks(net, {"0": there[:, None]})
    state = {name: value.clone() for name, value in net.state_dict().items()}
    set_masks(net, {"0": alive[:, None]})
    with torch.no_grad():
        net[0].weight[0] = weights[0]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    train = Split(inputs=torch.ones(4, 1), labels=torch.zeros(4))
    regrowth = Regrowth(share=share, train=train, loss_of=total, ties={})
    scores = scores_of(**{"0": [1, 2, 3, 4]})
    earlier = Earlier(state=state, alive={"0": there})
    left = regrowth.survivors(net, scores, {"0": kept}, {"0": alive}, earlier)
    assert all(torch.equal(before[name], now) for name, now in net.state_dict().items()), "it only looks"
    return left["0"].nonzero().flatten().tolist()


def test_a_cut_leaves_as_many_with_what_comes_back() -> None:
    assert regrown(0.5, [1, 2, 3, 4]) == [3], "the lost unit with the larger weight"
    assert regrown(0.49, [1, 2, 3, 4]) == [0], "half of two is one"
    assert regrown(0.5, [5, 2, 3, 4]) == [0], "none of the lost is worth more"
    assert regrown(0.5, [1, 1, 1, 1]) == [0]


def test_what_came_back_at_the_last_cut_is_weighed_as_it_is_now() -> None:
    assert regrown(0.5, [5, 2, 3, 4], then=(1, 2, 3)) == [0]
    assert regrown(0.5, [1, 2, 3, 4], then=(1, 2, 3)) == [3]


# In a trial ---------------------------------------------------------------------------------------------------------

WAYS = {"epochs": 1, "cuts": 3, "finetune_epochs": 1, "further_descents": "weight", "regrowth": 0.5}


def figures(points: Any) -> list[Any]:
    return [(p.cut, p.accuracy, p.macs, p.weights_left, p.threshold) for p in points]


def test_an_interrupted_trial_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    given = plan(fixed=WAYS)
    whole = run_trial(given, TrialFolder(tmp_path / "whole"), debug=True)
    folder = TrialFolder(tmp_path / "interrupted")
    for way, done in (("", 1), ("", 2), ("weight", 2)):
        attempt = Attempt.begin(given, folder)
        assert attempt.run(until=lambda trial, way=way, done=done: (trial.descent.way.name, trial.done) == (way, done))  # type: ignore[misc]
        attempt.save()
    last = Attempt.begin(given, folder)
    last.run()
    assert figures(last.commit().points) == figures(whole.points)


def returned(given: TrialPlan, folder: Path, granularity: Granularity) -> tuple[Trial, int]:
    """A finished trial, and how much came back in all of its cuts; what it says is alive is what its masks say."""
    folder.mkdir()
    trial, count = Trial.start(given, folder), 0
    before: dict[str, Tensor] = {}
    while trial.advance():
        if trial.phase != "descend" or trial.done == 0:
            before = {}
            continue
        masks = masks_of(trial.net)
        for name, alive in trial.descent.alive.items():
            assert torch.equal(group_norms(masks[name].float(), granularity) > 0, alive)
            count += int((alive & ~before[name]).sum()) if before else 0
        before = dict(trial.descent.alive)
    return trial, count


@pytest.mark.parametrize("granularity", ["filter", "input", "weight"])
def test_something_comes_back_and_widths_are_what_they_were(granularity: Granularity, tmp_path: Path) -> None:
    fixed = {"epochs": 1, "cuts": 4, "channel_multiple": 4, "minimum_width": 6}
    without, none = returned(plan(granularity=granularity, fixed=fixed), tmp_path / "without", granularity)
    grown, some = returned(
        plan(granularity=granularity, fixed={**fixed, "regrowth": 0.5}), tmp_path / "grown", granularity
    )
    assert none == 0
    assert some > 0
    counts = [[int(alive.sum()) for alive in trial.descent.alive.values()] for trial in (grown, without)]
    assert sum(counts[0]) == sum(counts[1])
    if granularity == "filter":
        assert [p.widths for p in grown.points] == [p.widths for p in without.points], "ranks fix them"


def test_coupled_filters_come_back_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(build=Residual, example_shape=(1, 8, 8), about="")
    monkeypatch.setitem(NETWORKS, "residual", network)  # type: ignore[arg-type]
    given = plan(method="magnitude", granularity="filter", final_sparsity=0.0)
    fixed = {"epochs": 1, "cuts": 6, "finetune_epochs": 1, "regrowth": 0.99}
    trial, count = returned(
        replace(given, task=Task(network="residual", data="digits"), fixed=fixed), tmp_path / "it", "filter"
    )
    assert count > 0
    assert torch.equal(trial.descent.alive["stem"], trial.descent.alive["outer"])
    for point in trial.points:
        head, stem, _, outer = point.widths
        assert (head, stem) == (10, outer)


def test_a_share_is_at_least_nothing_and_less_than_everything() -> None:
    assert all(share in ALLOWED["regrowth"] for share in (0, 0.3, 0.99))
    assert all(share not in ALLOWED["regrowth"] for share in (-0.1, 1.0))

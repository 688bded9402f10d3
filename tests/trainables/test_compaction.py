"""Physical removal: which units go, which stay, and that nothing else changes."""

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.coupling import couplings_of
from sparsweep.trainables.compact.removal import Compacted, InexactCompactionError, check_exact, compact, live_units
from sparsweep.trainables.groups import add_masks, prunable_layers
from sparsweep.trainables.tasks.networks import lenet_digits
from tests.trainables.nets import filled, masked, mlp, shuffled


def _compacted(net: nn.Module, shape: tuple[int, ...] = (2,)) -> Compacted:
    """Compacted, and checked on 256 random inputs."""
    compacted = compact(net, couplings_of(net, shape))
    check_exact(net, compacted.net, torch.randn(256, *shape, generator=torch.Generator().manual_seed(0)))
    return compacted


def test_a_unit_that_nothing_reaches_goes() -> None:
    net = masked(shuffled(mlp(2, 3, 2)), {"0": [[1, 1], [0, 0], [0, 1]]})
    assert _compacted(net).kept == {"0": [0, 2], "2": [0, 1]}


def test_a_unit_that_nobody_reads_goes_with_its_bias() -> None:
    net = masked(shuffled(mlp(2, 3, 2)), {"2": [[1, 0, 0], [1, 1, 0]]})
    assert _compacted(net).kept == {"0": [0, 1], "2": [0, 1]}


def test_a_unit_without_weights_but_with_a_bias_stays() -> None:
    net = mlp(2, 2, 1)
    filled(prunable_layers(net)["0"], [[0, 0], [1, 1]], [0.5, 0])
    filled(prunable_layers(net)["2"], [[1, 1]])
    assert _compacted(net).kept["0"] == [0, 1]
    filled(prunable_layers(net)["0"], [[0, 0], [1, 1]], [0, 0])
    assert _compacted(net).kept["0"] == [1]


def test_one_death_brings_about_the_next_forward() -> None:
    net = masked(shuffled(mlp(2, 2, 2, 2, bias=False)), {"0": [[0, 0], [1, 1]], "2": [[1, 0], [1, 1]]})
    assert _compacted(net).kept == {"0": [1], "2": [1], "4": [0, 1]}


def test_one_death_brings_about_the_next_backward() -> None:
    net = masked(shuffled(mlp(2, 2, 2, 2)), {"2": [[1, 1], [0, 1]], "4": [[0, 1], [0, 1]]})
    assert _compacted(net).kept == {"0": [1], "2": [1], "4": [0, 1]}


def test_every_layer_keeps_one_unit() -> None:
    net = masked(shuffled(mlp(2, 3, 3, 2)), {"0": [[0, 0]] * 3, "2": [[0] * 3] * 3})
    assert _compacted(net).kept == {"0": [0], "2": [0], "4": [0, 1]}


def test_channels_take_their_columns_behind_a_flatten_along() -> None:
    net = shuffled(lenet_digits())
    keep = torch.zeros(50, 1, 1, 1)
    keep[[3, 7]] = 1
    smaller = _compacted(masked(net, {"conv2": keep}), (1, 8, 8)).net
    assert {n: tuple(layer.weight.shape) for n, layer in prunable_layers(smaller).items()} == {
        "conv1": (20, 1, 3, 3), "conv2": (2, 20, 3, 3), "fc1": (100, 8), "fc2": (10, 100),
    }  # fmt: skip


def test_the_masked_network_stays_as_it_is() -> None:
    net = masked(shuffled(mlp(2, 3, 2)), {"0": [[1, 1], [0, 0], [0, 1]]})
    before = copy.deepcopy(net.state_dict())
    compacted = _compacted(net)
    assert all(torch.equal(before[name], now) for name, now in net.state_dict().items())
    assert net.training
    assert not any("mask" in name for name in compacted.net.state_dict())
    assert not compacted.net.training


def test_reading_off_the_couplings_leaves_network_and_randomness_alone() -> None:
    net = shuffled(mlp(2, 3, 2))
    before, random_state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    couplings_of(net, (2,))
    assert all(torch.equal(before[name], now) for name, now in net.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())
    assert net.training


def test_a_network_of_one_layer_has_nothing_to_remove() -> None:
    net = masked(shuffled(mlp(2, 2)), {"0": [[0, 0], [1, 1]]})
    assert couplings_of(net, (2,)) == ()
    assert _compacted(net).kept == {"0": [0, 1]}


def test_a_wrong_network_is_refused() -> None:
    net = masked(shuffled(mlp(2, 3, 2)), {})
    with pytest.raises(InexactCompactionError, match=r"differs from the masked one by .* \(allowed 0.0001\)"):
        check_exact(net, shuffled(mlp(2, 3, 2), seed=1), torch.ones(1, 2))


def test_a_network_that_gives_nan_is_refused() -> None:
    net = masked(shuffled(mlp(2, 3, 2)), {})
    with pytest.raises(InexactCompactionError, match="by nan"):
        check_exact(net, net, torch.full((1, 2), torch.nan))


# Networks that are not plain chains: their couplings are understood or left out, never wrong ------------------------


def _conv(inputs: int, outputs: int, **more: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, **more)  # type: ignore[arg-type]


class Headed(nn.Module):
    """Layers by name in the order given, and last a linear `head` over the pooled features."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def classified(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


class Residual(Headed):
    """`inner` is free; `stem` and `outer` are added to each other."""

    def __init__(self) -> None:
        super().__init__(stem=_conv(2, 4), inner=_conv(4, 4), outer=_conv(4, 4), head=nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        return self.classified((x + self.outer(self.inner(x).relu())).relu())


class InputAdded(Headed):
    """The network's own input is added: a zero filter does not make a zero channel."""

    def __init__(self) -> None:
        super().__init__(conv=_conv(2, 2), head=nn.Linear(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified((x + self.conv(x)).relu())


class Concatenated(Headed):
    """Two layers, one beside the other, read by one."""

    def __init__(self) -> None:
        super().__init__(left=_conv(2, 4), right=_conv(2, 4), both=_conv(8, 3), head=nn.Linear(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.both(torch.cat([self.left(x), self.right(x)], dim=1).relu()).relu())


class Shared(Headed):
    """One layer used twice."""

    def __init__(self) -> None:
        super().__init__(stem=_conv(2, 4), twice=_conv(4, 4), head=nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.twice(self.twice(self.stem(x).relu()).relu()).relu())


class Grouped(Headed):
    """A grouped convolution and a depthwise one."""

    def __init__(self) -> None:
        super().__init__(
            stem=_conv(2, 4), grouped=_conv(4, 4, groups=2), depthwise=_conv(4, 4, groups=4), head=nn.Linear(4, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.depthwise(self.grouped(self.stem(x).relu()).relu()).relu())


class Shuffled(Headed):
    """Channels change places between two layers, which torch-pruning's graph does not see."""

    def __init__(self) -> None:
        super().__init__(first=_conv(2, 4), second=_conv(4, 3), head=nn.Linear(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        mixed = x.view(x.shape[0], 2, -1, *x.shape[2:]).transpose(1, 2).reshape(x.shape)
        return self.classified(self.second(mixed).relu())


class HardCoded(Headed):
    """A view whose width is written out fails once the layer before it is narrower."""

    def __init__(self) -> None:
        super().__init__(first=_conv(2, 4), second=nn.Linear(4 * 36, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.second(self.first(x).relu().view(-1, 4 * 36))
        return logits


class Sigmoid(Headed):
    """sigmoid(0) is not 0."""

    def __init__(self) -> None:
        super().__init__(first=_conv(2, 4), second=_conv(4, 3), head=nn.Linear(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.second(self.first(x).sigmoid()).relu())


class Normed(Headed):
    """BatchNorm behind the first layer, none behind the second."""

    def __init__(self) -> None:
        super().__init__(first=_conv(2, 4), norm=nn.BatchNorm2d(4), second=_conv(4, 4), head=nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.second(self.norm(self.first(x)).relu()).relu())


class InstanceNormed(Headed):
    """A norm without parameters of its own."""

    def __init__(self) -> None:
        super().__init__(first=_conv(2, 4), second=_conv(4, 3), head=nn.Linear(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        return self.classified(self.second(nn.functional.layer_norm(first, first.shape[1:]).relu()).relu())


KINDS = [
    (Residual, {"inner"}),
    (InputAdded, set()),
    (Concatenated, {"left", "right", "both"}),
    (Shared, set()),
    (Grouped, set()),
    (Shuffled, {"second"}),
    (HardCoded, set()),
    (Sigmoid, {"second"}),
    (Normed, {"second"}),
    (InstanceNormed, {"second"}),
]


@pytest.mark.parametrize(("kind", "free"), [pytest.param(*kind, id=kind[0].__name__) for kind in KINDS])
def test_only_what_is_understood_is_coupled(kind: type[nn.Module], free: set[str]) -> None:
    couplings = couplings_of(shuffled(kind()), (2, 6, 6))
    assert {coupling.layer for coupling in couplings} == free


@pytest.mark.parametrize("kind", [pytest.param(kind[0], id=kind[0].__name__) for kind in KINDS])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_cut_is_cut_exactly(kind: type[nn.Module], seed: int) -> None:
    """Half the units of every layer without weights, half the columns unread."""
    net = shuffled(kind(), seed)
    couplings = couplings_of(net, (2, 6, 6))
    source = torch.Generator().manual_seed(seed)
    masks = {}
    for name, layer in list(prunable_layers(net).items())[:-1]:
        rows = torch.rand(layer.weight.shape[0], generator=source) < 0.5
        masks[name] = rows.view(-1, *[1] * (layer.weight.dim() - 1)).expand_as(layer.weight).clone()
    masked(net, masks)
    compacted = compact(net, couplings)
    check_exact(net, compacted.net, torch.rand(256, 2, 6, 6, generator=source))
    free = {coupling.layer for coupling in couplings}
    assert all(len(units) == len(masks[n]) for n, units in compacted.kept.items() if n in masks and n not in free)
    assert sum(p.numel() for p in compacted.net.parameters()) < sum(p.numel() for p in net.parameters()) or not free


def test_both_halves_of_a_concatenation_lose_their_own_columns() -> None:
    net = shuffled(Concatenated())
    left, right = torch.ones(4, 1, 1, 1), torch.ones(4, 1, 1, 1)
    left[0] = right[1] = right[2] = 0
    masked(net, {"left": left, "right": right})
    couplings = couplings_of(net, (2, 6, 6))
    kept = {name: units.nonzero().flatten().tolist() for name, units in live_units(net, couplings).items()}
    assert kept == {"left": [1, 2, 3], "right": [0, 3], "both": [0, 1, 2], "head": [0, 1, 2]}
    smaller = compact(net, couplings).net
    whole = net.get_submodule("both").get_parameter("weight")
    assert torch.equal(smaller.get_submodule("both").get_parameter("weight"), whole[:, [1, 2, 3, 4, 7]])


def test_masks_of_a_network_without_couplings_are_delivered_as_they_are() -> None:
    net = shuffled(InputAdded())
    add_masks(net)
    compacted = compact(masked(net, {"conv": torch.zeros(2, 1, 1, 1)}), ())
    assert compacted.kept == {"conv": [0, 1], "head": [0, 1, 2]}
    check_exact(net, compacted.net, torch.rand(8, 2, 6, 6))

"""Linear layers that take the inputs they read out of those they are given."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.architecture import describe, load_network, save_network
from sparsweep.trainables.compact.coupling import couplings_of
from sparsweep.trainables.compact.removal import check_exact, compact
from sparsweep.trainables.compact.selection import SelectedLinear, select_inputs
from sparsweep.trainables.groups import prunable_layers, scored_layers
from sparsweep.trainables.measures.macs import count_macs
from sparsweep.trainables.tasks.networks import lenet_5, lenet_300_100
from tests.trainables.nets import filled, masked, mlp, shuffled


def test_the_first_layer_takes_out_the_inputs_that_it_reads() -> None:
    net = masked(shuffled(mlp(4, 2, 1)), {"0": [[0, 1, 0, 1], [0, 0, 0, 1]]})
    compacted = compact(net, couplings_of(net, (4,)))
    layer = compacted.net.get_submodule("0")
    assert isinstance(layer, SelectedLinear)
    assert layer.index.tolist() == [1, 3]
    assert layer.weight.shape == (2, 2)
    assert check_exact(net, compacted.net, torch.randn(256, 4)) < 1e-6
    assert count_macs(compacted.net, (4,)).total == 2 * 2 + 2 * 1
    assert [row.get("inputs_selected") for row in compacted.coverage] == [2, None]
    assert repr(layer) == "SelectedLinear(in_features=2, out_features=2, bias=True, selected)"


def test_what_is_hardly_worth_it_is_left() -> None:
    net = shuffled(mlp(16, 2)).eval()
    with torch.no_grad():
        net[0].weight[:, 3] = 0
    assert select_inputs(net, (16,)) is net
    with torch.no_grad():
        net[0].weight[:, 4] = 0
    assert type(select_inputs(net, (16,))[0]) is SelectedLinear


def test_of_a_layer_that_reads_nothing_one_input_is_left() -> None:
    net = mlp(4, 2).eval()
    filled(prunable_layers(net)["0"], [[0] * 4] * 2, [1, 2])
    selected = select_inputs(net, (4,))
    assert selected[0].index.tolist() == [0]
    assert selected(torch.randn(1, 4)).tolist() == [[1, 2]]


def test_a_weight_that_is_not_only_called_keeps_its_columns() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.code = nn.Linear(4, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(self.code(x), self.code.weight.t())

    net = Tied().eval()
    filled(net.code, [[0, 0, 0, 1], [0, 0, 1, 0]])
    assert select_inputs(net, (4,)) is net


def test_places_behind_a_flattening_are_left_out_though_their_channel_stays(tmp_path: Path) -> None:
    net = shuffled(lenet_5())
    columns = torch.zeros(500, 800)
    columns[:, ::16] = 1  # one place of each of the 50 channels
    net = masked(net, {"fc1": columns})
    compacted = compact(net, couplings_of(net, (1, 28, 28)))
    assert len(compacted.kept["conv2"]) == 50
    assert compacted.net.get_submodule("fc1").in_features == 50
    description = describe("lenet-5", compacted, (1, 28, 28))
    assert description["layers"]["fc1"]["selected"]
    save_network(tmp_path / "net", description, compacted.net)
    loaded = load_network(tmp_path / "net", lenet_5)
    inputs = torch.rand(8, 1, 28, 28)
    assert torch.equal(loaded(inputs), compacted.net(inputs))
    program = torch.export.export(loaded, (inputs,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    assert torch.allclose(program.module()(inputs[:3]), loaded(inputs[:3]), atol=1e-6)


def test_pixels_are_groups_that_may_go_and_colours_are_not() -> None:
    assert list(scored_layers(lenet_300_100(), "input")) == ["fc1", "fc2", "fc3"]
    assert list(scored_layers(lenet_5(), "input")) == ["conv2", "fc1", "fc2"]


@pytest.mark.parametrize("damage", ["index", "weight"])
def test_a_damaged_selection_is_told(tmp_path: Path, damage: str) -> None:
    net = masked(shuffled(mlp(4, 2)), {"0": [[0, 1, 0, 1], [0, 0, 0, 1]]})
    compacted = compact(net, couplings_of(net, (4,)))
    with torch.no_grad():
        description = describe("mine", compacted, (4,))
        if damage == "index":
            compacted.net.get_submodule("0").index[0] = 2
        else:
            compacted.net.get_submodule("0").weight[0, 0] += 1
    save_network(tmp_path / "net", description, compacted.net)
    with pytest.raises(ValueError, match="the loaded network's outputs are not those stored beside it"):
        load_network(tmp_path / "net", lambda: mlp(4, 2))

"""The trusted form of a compact network: it loads to the same bits, or it is refused."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from sparsweep.trainables.compact import architecture
from sparsweep.trainables.compact.architecture import describe, load_network, save_network
from sparsweep.trainables.compact.attention import split_attention
from sparsweep.trainables.compact.coupling import couplings_of, untraced
from sparsweep.trainables.compact.removal import compact
from sparsweep.trainables.cut import cut, weight_masks
from sparsweep.trainables.groups import add_masks, set_masks
from sparsweep.trainables.methods import norm_scores
from sparsweep.trainables.outline import lay_outline
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.networks import lenet_digits
from tests.trainables import trap_nets as traps
from tests.trainables.nets import masked, shuffled

SHAPE = (1, 8, 8)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, nn.Module]:
    """A LeNet of widths 3-50-100, written, and itself."""
    keep = torch.zeros(20, 1, 1, 1)
    keep[:3] = 1
    net = masked(shuffled(lenet_digits()), {"conv1": keep})
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.div_(8)
    compacted = compact(net, couplings_of(net, SHAPE))
    save_network(tmp_path / "00", describe("lenet-digits", compacted, SHAPE), compacted.net)
    return tmp_path / "00", compacted.net


def test_a_saved_network_loads_to_the_same_bits(saved: tuple[Path, nn.Module]) -> None:
    path, net = saved
    loaded = load_network(path, lenet_digits)
    inputs = torch.rand(8, *SHAPE)
    assert torch.equal(loaded(inputs), net(inputs))
    assert loaded.get_submodule("conv2").get_parameter("weight").shape == (50, 3, 3, 3)
    assert not loaded.training


def test_the_description_is_plain_data(saved: tuple[Path, nn.Module]) -> None:
    path, _ = saved
    description = json.loads(path.with_suffix(".json").read_text())
    assert description["network"] == "lenet-digits"
    assert description["layers"]["conv1"] == {
        "type": "Conv2d", "out": 3, "in": 1, "groups": 1, "kept": [0, 1, 2],
    }  # fmt: skip
    assert sorted(p.name for p in path.parent.iterdir()) == ["00.json", "00.safetensors"]


def test_nothing_is_pickled(saved: tuple[Path, nn.Module]) -> None:
    for file in saved[0].parent.iterdir():
        content = file.read_bytes()
        assert not content.startswith((b"\x80", b"PK"))
        assert b"torch" not in content


def test_a_grouped_or_padded_convolution_comes_back(tmp_path: Path) -> None:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, groups=2, padding_mode="reflect", padding=1), nn.Flatten(), nn.Linear(64, 2)
        )

    net = shuffled(build())
    save_network(tmp_path / "net", describe("mine", compact(net, untraced(net, (2, 4, 4), "")), (2, 4, 4)), net)
    assert torch.equal(load_network(tmp_path / "net", build)(torch.ones(1, 2, 4, 4)), net(torch.ones(1, 2, 4, 4)))


@pytest.mark.parametrize("kind", [traps.Normed, traps.Separable, traps.Grouped, traps.DenselyConnected, traps.Tokens])
def test_norms_groups_and_heads_come_back(tmp_path: Path, kind: type[nn.Module]) -> None:
    net = split_attention(shuffled(kind()))
    couplings = couplings_of(net, traps.SHAPE)
    lay_outline(net, couplings.outline)
    scores = Scores(granularity="filter", values=norm_scores(net, "filter"), own={}, threshold=0.0)
    add_masks(net)
    set_masks(
        net,
        weight_masks(net, scores, cut(scores, sum(map(len, scores.values.values())) // 2, ties=couplings.ties())[0]),
    )
    compacted = compact(net, couplings)
    description = describe("mine", compacted, traps.SHAPE)
    save_network(tmp_path / "net", description, compacted.net)
    inputs = torch.rand(4, *traps.SHAPE)
    assert torch.equal(load_network(tmp_path / "net", kind)(inputs), compacted.net(inputs))
    assert sum(p.numel() for p in compacted.net.parameters()) < sum(p.numel() for p in net.parameters())
    assert {row["layer"] for row in description["coverage"]} == set(description["layers"])


def _changed(path: Path, **changes: object) -> None:
    file = path.with_suffix(".json")
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_another_schema_is_refused(saved: tuple[Path, nn.Module]) -> None:
    _changed(saved[0], schema=99)
    with pytest.raises(ValueError, match="has schema 99; this sparsweep reads 1"):
        load_network(saved[0], lenet_digits)


def test_other_outputs_than_those_stored_are_refused(saved: tuple[Path, nn.Module]) -> None:
    path, _ = saved
    _changed(path, test_output=[[0.0] * 10] * 2)
    with pytest.raises(ValueError, match="outputs are not those stored beside it"):
        load_network(path, lenet_digits)


def test_altered_weights_are_noticed(saved: tuple[Path, nn.Module]) -> None:
    path, net = saved
    description = json.loads(path.with_suffix(".json").read_text())
    shuffled(net, seed=9)
    save_network(path, description, net)
    with pytest.raises(ValueError, match="outputs are not those stored beside it"):
        load_network(path, lenet_digits)


@pytest.mark.parametrize(
    "changes",
    [{"layers": {}}, {"test_output": None}, {"test_output": [[0.0]]}, {"example_shape": [1, 20, 20]}, {"layers": None}],
)
def test_a_description_that_does_not_fit_is_refused(saved: tuple[Path, nn.Module], changes: dict[str, object]) -> None:
    _changed(saved[0], **changes)
    with pytest.raises(ValueError, match=r"damaged|not those stored"):
        load_network(saved[0], lenet_digits)


@pytest.mark.parametrize("ending", ["json", "safetensors"])
@pytest.mark.parametrize("left", [0, 20, 600])
def test_a_truncated_file_is_refused(saved: tuple[Path, nn.Module], ending: str, left: int) -> None:
    file = saved[0].with_suffix(f".{ending}")
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(ValueError, match=r"00.*damaged"):
        load_network(saved[0], lenet_digits)


@pytest.mark.parametrize("text", ["[]", "7", "null"])
def test_a_description_of_another_kind_is_refused(saved: tuple[Path, nn.Module], text: str) -> None:
    saved[0].with_suffix(".json").write_text(text)
    with pytest.raises(ValueError, match=r"00\.json is not a network's description"):
        load_network(saved[0], lenet_digits)


def test_few_units_are_silent_for_all_test_inputs() -> None:
    torch.manual_seed(0)
    net = lenet_digits()
    heard = net[:5](architecture.vector_inputs((1, 8, 8))).flatten(2).amax(dim=(0, 2)) > 0  # behind the second ReLU
    assert float(heard.float().mean()) > 0.9


def test_a_network_that_takes_logarithms_has_the_ramps_alone() -> None:
    class Log(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 1e-3).log().sum(dim=(1, 2, 3))[:, None]

    inputs, outputs = architecture.vector_of(Log(), (1, 8, 8), torch.zeros(1))
    assert len(inputs) == len(outputs) == 2
    assert outputs.isfinite().all()
    assert len(architecture.vector_of(nn.Flatten(), (1, 8, 8), torch.zeros(1))[0]) == 4


def test_outputs_of_two_examples_as_they_were_stored_before_are_read(saved: tuple[Path, nn.Module]) -> None:
    path, net = saved
    stored = json.loads(path.with_suffix(".json").read_text())["test_output"]
    _changed(path, test_output=stored[:2])
    assert torch.equal(load_network(path, lenet_digits)(torch.ones(1, 1, 8, 8)), net(torch.ones(1, 1, 8, 8)))

"""A network without its code: its graph reads back to the same network, or it is refused with a reason."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparsweep.trainables.compact.attention import split_attention
from sparsweep.trainables.compact.coupling import couplings_of
from sparsweep.trainables.compact.removal import compact
from sparsweep.trainables.cut import cut, weight_masks
from sparsweep.trainables.delivery.graph import exported, write_graph
from sparsweep.trainables.delivery.load import load
from sparsweep.trainables.groups import add_masks, set_masks
from sparsweep.trainables.methods import norm_scores
from sparsweep.trainables.outline import lay_outline
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.cifar_networks import IMAGE_NETWORKS
from sparsweep.trainables.tasks.networks import NETWORKS
from sparsweep.trainables.tasks.torchvision_networks import zoo_network
from tests.trainables import trap_nets as traps
from tests.trainables.nets import shuffled

Shape = tuple[int, ...]


def pruned(net: nn.Module, shape: Shape) -> nn.Module:
    """The network with half of its filters cut off, as a trial does it."""
    net = split_attention(net)
    couplings = couplings_of(net, shape)
    lay_outline(net, couplings.outline)
    scores = Scores(granularity="filter", values=norm_scores(net, "filter"), own={}, threshold=0.0)
    add_masks(net)
    half = sum(map(len, scores.values.values())) // 2
    set_masks(net, weight_masks(net, scores, cut(scores, half, ties=couplings.ties())[0]))
    return compact(net, couplings).net


def written(net: nn.Module, shape: Shape, folder: Path) -> Path:
    """The folder with the network's tensors and its graph."""
    net = net.eval()
    save_file(
        {name: t.detach().clone().contiguous() for name, t in net.state_dict().items()}, folder / "network.safetensors"
    )
    example = torch.rand(2, *shape)
    write_graph(exported(net, example), net, example, folder)
    return folder


def same(read: nn.Module, net: nn.Module, shape: Shape, *batches: int) -> bool:
    """Whether two networks agree to the bit, in inference mode and outside."""
    inputs = [torch.rand(batch, *shape, generator=torch.Generator().manual_seed(batch)) for batch in batches]
    with torch.inference_mode():
        equal = [torch.equal(read(each), net(each)) for each in inputs]
    return all(equal) and torch.equal(read(inputs[0]), net(inputs[0]))


@pytest.mark.parametrize("name", ["lenet-digits", "lenet-300-100", "lenet-5"])
def test_a_built_in_network_reads_back_to_the_bit(name: str, tmp_path: Path) -> None:
    shape = NETWORKS[name].example_shape
    net = pruned(shuffled(NETWORKS[name].build()), shape)
    read = load(written(net, shape, tmp_path))
    assert same(read, net, shape, 1, 2, 7)
    assert not read.training
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "graph.json", "network.safetensors", "test_vector.safetensors",
    ]  # fmt: skip


def zoo(name: str) -> Callable[[], nn.Module]:
    return lambda: zoo_network(f"torchvision/{name}", 10, 3, "imagenet")


@pytest.mark.parametrize(
    ("build", "side"),
    [
        pytest.param(lambda: IMAGE_NETWORKS["resnet20"].build(3, 10), 32, id="resnet20"),
        pytest.param(zoo("resnet18"), 64, id="resnet18"),
        pytest.param(zoo("mobilenet_v3_small"), 64, id="mobilenet_v3_small"),
        pytest.param(zoo("convnext_tiny"), 64, id="convnext_tiny", marks=pytest.mark.slow),
        pytest.param(zoo("densenet121"), 64, id="densenet121", marks=pytest.mark.slow),
        pytest.param(zoo("vit_b_16"), 224, id="vit_b_16", marks=pytest.mark.slow),
    ],
)
def test_a_network_of_torchvision_reads_back_to_the_bit(
    build: Callable[[], nn.Module], side: int, tmp_path: Path
) -> None:
    shape = (3, side, side)
    torch.manual_seed(0)
    net = pruned(build(), shape)
    assert same(load(written(net, shape, tmp_path)), net, shape, 1, 3)


TRAPS = [k for k in vars(traps).values() if isinstance(k, type) and k.__module__ == traps.__name__]


@pytest.mark.filterwarnings("ignore:The tensor attributes self")
@pytest.mark.parametrize("kind", [kind for kind in TRAPS if kind not in (traps.Headed, traps.Pair)])
def test_a_network_with_a_trap_reads_back_to_the_bit(kind: type[nn.Module], tmp_path: Path) -> None:
    net = shuffled(kind())
    assert same(load(written(net, traps.SHAPE, tmp_path)), net, traps.SHAPE, 1, 2, 5)


class Constants(nn.Module):
    """Tensors that its state_dict has not, an infinite one among its arguments, arithmetic with the batch size."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("hidden", torch.tensor([0.5, 1, 2, 4]), persistent=False)
        self.plain = torch.tensor([1.0, 0, 0, 1])

    def forward(self, x: Tensor) -> Tensor:
        shifts = torch.arange(x.shape[0] * 2, dtype=torch.float32)[: x.shape[0]].clamp(3, 3) + torch.tensor(2.0)
        x = self.linear(x).masked_fill(self.plain > 0, -torch.inf).softmax(1) * self.hidden
        return x.to(torch.float64).to(memory_format=torch.contiguous_format) + shifts[:, None]


def test_what_the_state_dict_has_not_lies_beside_it(tmp_path: Path) -> None:
    net = Constants().eval()
    read = load(written(net, (4,), tmp_path))
    assert set(load_file(tmp_path / "constants.safetensors")) >= {"hidden", "plain"}
    assert same(read, net, (4,), 1, 2, 5)
    text = (tmp_path / "graph.json").read_text()
    assert '{"constant": "-inf"}' in text
    assert "Infinity" not in text


class Frozen(nn.Module):
    """Part of it is kept from being trained."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.layer(x).relu()
        scores: Tensor = self.layer(x)
        return scores


def test_a_part_without_gradients_needs_no_words(tmp_path: Path) -> None:
    net = Frozen().eval()
    assert same(load(written(net, (4,), tmp_path)), net, (4,), 1, 2, 5)


def test_torchs_own_encoder_is_written_in_plain_operations(tmp_path: Path) -> None:
    """In evaluation mode and without gradients torch takes a fused kernel, whose outputs differ in the last digits."""
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    read = load(written(net, (5, 8), tmp_path))
    assert "aten.scaled_dot_product_attention.default" in (tmp_path / "graph.json").read_text()
    inputs = torch.rand(3, 5, 8)
    with torch.inference_mode():
        assert torch.allclose(read(inputs), net(inputs), atol=1e-5)
    assert torch.backends.mha.get_fastpath_enabled()


class Forked(nn.Module):
    """What it does depends on the numbers."""

    def forward(self, x: Tensor) -> Tensor:
        chosen: Tensor = torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,))
        return chosen


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (traps.Pair(), "more than make one tensor out of one tensor"),
        (Forked(), "operation 'cond' is not allowed"),
    ],
)
def test_what_a_graph_cannot_say_is_refused_and_nothing_is_left(net: nn.Module, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        written(net, traps.SHAPE, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["network.safetensors"]

"""Networks that are not plain chains: their units are removed exactly, or they stay whole and the report says why."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from sparsweep.trainables.compact.attention import SplitAttention, split_attention
from sparsweep.trainables.compact.coupling import Couplings, couplings_of
from sparsweep.trainables.compact.removal import InexactCompactionError, check_exact, compact
from sparsweep.trainables.cut import cut, weight_masks
from sparsweep.trainables.groups import add_masks, prunable_layers, scored_layers, set_masks
from sparsweep.trainables.measures.macs import count_macs
from sparsweep.trainables.outline import lay_outline
from sparsweep.trainables.scores import Scores
from tests.trainables import trap_nets as traps
from tests.trainables.nets import shuffled

OUT = "its units are the network's outputs"
IDLE = "in evaluation mode the forward pass does not call it"
NOT_ZERO = "reads is not zero where the layer gives zero"
DOES_NOT_RUN = "without some of its units the network does not run"

KINDS: list[tuple[type[nn.Module], set[str], dict[str, str]]] = [
    (traps.Residual, {"stem", "inner", "outer"}, {}),
    (traps.PreActivation, {"stem", "inner", "outer"}, {}),
    (traps.InputAdded, set(), {"conv": f"what head {NOT_ZERO}"}),
    (traps.DenselyConnected, {"stem", "grow1", "grow2"}, {}),
    (traps.Separable, {"stem", "expand", "depthwise", "project"}, {}),
    (traps.Grouped, {"stem", "grouped", "after"}, {}),
    (traps.Squeezed, {"stem", "down", "up", "after"}, {}),
    (traps.ChannelShuffle, {"second"}, {"first": DOES_NOT_RUN}),
    (traps.FixedShuffle, {"second"}, {"first": DOES_NOT_RUN}),
    (
        traps.Tokens,
        {"attention.q", "attention.k", "attention.v", "up"},
        {
            "patch": "a norm over channels reads it (norm1)",
            "attention.out": "a norm over channels reads it (norm2)",
            "down": "a norm over channels reads it (norm3)",
        },
    ),
    (
        traps.NormedQueries,
        {"patch", "out"},
        {
            "q": "a norm over channels reads it (q_norm)",
            "k": "a norm over channels reads it (k_norm)",
            "v": DOES_NOT_RUN,
        },
    ),
    (traps.HardCoded, set(), {"first": DOES_NOT_RUN, "second": OUT}),
    (traps.Recurrent, {"first", "hidden"}, {"second": "its units are mixed before hidden reads them"}),
    (traps.Shared, {"stem", "twice", "last"}, {}),
    (traps.Generated, {"stem", "last"}, {"linear": "its units are mixed before last reads them"}),
    (traps.AuxiliaryHead, {"first", "second"}, {"side": IDLE}),
    (traps.TwoHeads, {"first", "second"}, {"side": OUT}),
    (traps.HeadFirst, {"first", "second"}, {}),
    (traps.NeverUsed, {"first", "second"}, {"idle": IDLE}),
    (traps.InPlace, {"stem", "outer"}, {}),
    (traps.Sigmoid, {"second"}, {"first": f"what second {NOT_ZERO}"}),
    (traps.Normed, {"first", "second"}, {}),
    (traps.GroupNormed, {"second"}, {"first": "a norm over channels reads it (norm)"}),
    (traps.FunctionalNorm, {"second"}, {"first": "its units are mixed before second reads them"}),
    (traps.Scaled, {"second"}, {"first": DOES_NOT_RUN}),
]
EVERY_KIND = pytest.mark.parametrize(
    ("kind", "removable", "reasons"), [pytest.param(*kind, id=kind[0].__name__) for kind in KINDS]
)


def _built(kind: type[nn.Module], seed: int = 0) -> tuple[nn.Module, Couplings]:
    """With random numbers, masks and its outline, as a trial has it before training."""
    net = split_attention(shuffled(kind(), seed))
    for name, buffer in net.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=torch.Generator().manual_seed(seed)) + 0.5)
    couplings = couplings_of(net, traps.SHAPE)
    lay_outline(net, couplings.outline)
    add_masks(net)
    return net, couplings


def _prune(net: nn.Module, share: float, seed: int, ties: Mapping[str, Tensor]) -> None:
    """Random filters go; tied ones together."""
    source = torch.Generator().manual_seed(seed)
    layers = scored_layers(net, "filter")
    values = {name: torch.rand(len(layer.weight), generator=source) for name, layer in layers.items()}
    scores = Scores(granularity="filter", values=values, own={}, threshold=0.0)
    kept, _ = cut(scores, round(share * sum(map(len, values.values()))), ties=ties)
    set_masks(net, weight_masks(net, scores, kept))


@EVERY_KIND
def test_the_report_says_what_is_removable_and_why_not(
    kind: type[nn.Module], removable: set[str], reasons: dict[str, str]
) -> None:
    couplings = _built(kind)[1]
    told = {covered.layer: covered for covered in couplings.coverage}
    assert {name for name, covered in told.items() if covered.state == "removable"} == removable
    expected = {"head": OUT, **reasons} if "head" in told else reasons
    assert {name: told[name].reason[: len(text)] for name, text in expected.items()} == expected
    assert set(told) == removable | set(expected)
    assert told.get("head", told[list(told)[-1]]).state == "kept"


@EVERY_KIND
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "each by itself"])
def test_what_is_removed_is_removed_exactly(
    kind: type[nn.Module], removable: set[str], reasons: dict[str, str], tied: bool
) -> None:
    """Half of the filters go; where they are tied, something is removed from every network that lets it be."""
    net, couplings = _built(kind)
    dense = count_macs(net, traps.SHAPE).total
    for seed in range(3):
        _prune(net, 0.5, seed, couplings.ties() if tied else {})
        compacted = compact(net, couplings)
        inputs = torch.randn(64, *traps.SHAPE, generator=torch.Generator().manual_seed(seed))
        check_exact(net, compacted.net, inputs, compacted.kept)
        less = count_macs(compacted.net, traps.SHAPE).total < dense
        assert less or not (tied and removable)
        shrunk = {n for n, units in compacted.kept.items() if len(units) < len(prunable_layers(net)[n].weight)}
        assert shrunk <= removable
        net = _built(kind, seed + 1)[0]


@EVERY_KIND
def test_outputs_and_what_they_do_not_depend_on_are_not_scored(
    kind: type[nn.Module], removable: set[str], reasons: dict[str, str]
) -> None:
    net, _ = _built(kind)
    spared = {traps.TwoHeads: {"side", "head"}, traps.AuxiliaryHead: {"side", "head"}, traps.HardCoded: {"second"},
              traps.NeverUsed: {"idle", "head"}}.get(kind, {"head"})  # fmt: skip
    assert set(prunable_layers(net)) - set(scored_layers(net, "filter")) == spared


def test_the_first_layer_by_definition_need_not_read_the_input() -> None:
    assert list(scored_layers(_built(traps.HeadFirst)[0], "input")) == ["head", "second"]


def test_a_layer_whose_weight_is_read_without_calling_it_is_scored_though_not_removed() -> None:
    class ReadElsewhere(traps.HeadFirst):
        def forward(self, x: Tensor) -> Tensor:
            x = nn.functional.conv2d(x, self.first.weight, self.first.bias, padding=1).relu()
            return self.classified(self.second(x).relu())

    net, couplings = _built(ReadElsewhere)
    assert list(scored_layers(net, "filter")) == ["second", "first"]
    assert {c.layer: c.state for c in couplings.coverage} == {
        "head": "kept",
        "second": "removable",
        "first": "excluded",
    }
    _prune(net, 0.5, 0, {})
    compacted = compact(net, couplings)
    check_exact(net, compacted.net, torch.rand(4, *traps.SHAPE), compacted.kept)


def test_a_layer_that_is_called_by_name_is_left_whole() -> None:
    class ByName(traps.HeadFirst):
        def forward(self, x: Tensor) -> Tensor:
            return self.classified(self.second(input=self.first(x).relu()).relu())

    net, couplings = _built(ByName)
    _prune(net, 0.5, 0, {})
    compacted = compact(net, couplings)
    check_exact(net, compacted.net, torch.rand(4, *traps.SHAPE), compacted.kept)
    assert len(compacted.kept["first"]) == 5


def test_a_network_that_returns_two_tensors_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must return one tensor \[batch, classes\], not tuple"):
        couplings_of(traps.Pair(), traps.SHAPE)


def test_a_network_that_cannot_be_traced_stays_whole_with_the_reason() -> None:
    class Numpy(traps.HardCoded):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(torch.from_numpy(x.numpy() + 1))

    couplings = couplings_of(Numpy(), traps.SHAPE)
    assert couplings.groups == ()
    assert all("it cannot be differentiated: Can't call numpy()" in covered.reason for covered in couplings.coverage)
    assert couplings.outline.outputs == {"second"}


def test_without_time_nothing_is_believed() -> None:
    couplings = couplings_of(traps.Residual(), traps.SHAPE, limit_s=0.0)
    assert couplings.groups == ()
    assert {covered.reason for covered in couplings.coverage} == {"tracing takes longer than 0 s"}


# Norms ---------------------------------------------------------------------------------------------------------------


def _without(net: nn.Module, layer: str, *units: int) -> None:
    mask = torch.ones_like(prunable_layers(net)[layer].weight, dtype=torch.bool)
    mask[list(units)] = False
    set_masks(net, {layer: mask})


def _norm(net: nn.Module, name: str) -> list[bool]:
    """Which channels of a norm have lost weight and bias."""
    norm = net.get_submodule(name)
    gone = norm.get_parameter("weight") == 0
    assert torch.equal(gone, norm.get_parameter("bias") == 0)
    return [bool(flag) for flag in gone]


def test_a_filter_takes_its_channel_of_the_norm_along() -> None:
    net, couplings = _built(traps.Normed)
    _without(net, "first", 1, 3)
    assert _norm(net, "norm") == [False, True, False, True, False]
    smaller = compact(net, couplings).net
    assert smaller.get_submodule("norm").get_buffer("running_mean").shape == (3,)
    assert not any("mask" in name for name in smaller.state_dict())


def test_a_norm_behind_a_concatenation_loses_the_channel_at_its_offset() -> None:
    net, _ = _built(traps.DenselyConnected)
    _without(net, "grow1", 2)
    assert _norm(net, "norm2") == [False] * 7 + [True] + [False]
    assert _norm(net, "norm1") == [False] * 5


def test_a_norm_of_a_sum_loses_a_channel_when_all_that_is_added_has() -> None:
    net, _ = _built(traps.PreActivation)
    _without(net, "stem", 2)
    assert _norm(net, "norm1")[2], "only the stem was added so far"
    assert not any(_norm(net, "last"))
    masks = {name: torch.ones_like(prunable_layers(net)[name].weight, dtype=torch.bool) for name in ("stem", "outer")}
    for mask in masks.values():
        mask[2] = False
    set_masks(net, masks)
    assert _norm(net, "last") == [False, False, True, False, False, False]


def test_a_depthwise_convolution_hands_the_silence_on() -> None:
    net, couplings = _built(traps.Separable)
    _without(net, "expand", 4)
    assert _norm(net, "norm2") == [at == 4 for at in range(9)]
    assert compact(net, couplings).kept["depthwise"] == [0, 1, 2, 3, 5, 6, 7, 8]


# Attention -----------------------------------------------------------------------------------------------------------


def test_a_head_goes_as_a_whole_and_the_rest_computes_the_same() -> None:
    net, couplings = _built(traps.Tokens)
    _without(net, "attention.v", *range(4, 8))
    compacted = compact(net, couplings)
    assert compacted.kept["attention.q"] == [0, 1, 2, 3, 8, 9, 10, 11]
    attention = compacted.net.get_submodule("attention")
    assert isinstance(attention, SplitAttention)
    assert attention.num_heads == 2
    check_exact(net, compacted.net, torch.randn(64, *traps.SHAPE))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_split_attention_computes_what_it_was_split_from(batch_first: bool, bias: bool) -> None:
    whole = nn.MultiheadAttention(12, 3, batch_first=batch_first, bias=bias, kdim=5, vdim=7).eval()
    split = SplitAttention(whole)
    q, k, v = torch.randn(4, 4, 12), torch.randn(4, 4, 5), torch.randn(4, 4, 7)
    forbidden = torch.ones(4, 4).triu(1).bool()
    for mask in (None, forbidden):
        expected = whole(q, k, v, attn_mask=mask, need_weights=False)[0]
        assert torch.allclose(split(q, k, v, attn_mask=mask)[0], expected, atol=1e-6)


def test_an_encoder_layer_of_torch_runs_with_split_attention() -> None:
    net = nn.Sequential(nn.TransformerEncoderLayer(12, 3, 20, batch_first=True), nn.Linear(12, 3)).eval()
    tokens = torch.randn(2, 5, 12)
    expected = net(tokens)
    assert torch.allclose(split_attention(net)(tokens), expected, atol=1e-5)


# Faults --------------------------------------------------------------------------------------------------------------


def test_a_fault_names_the_first_layer_that_differs() -> None:
    net, couplings = _built(traps.Residual)
    _prune(net, 0.5, 0, couplings.ties())
    compacted = compact(net, couplings)
    with torch.no_grad():
        compacted.net.get_submodule("outer").get_parameter("weight").add_(1)
    with pytest.raises(InexactCompactionError, match="the first layer to differ is outer"):
        check_exact(net, compacted.net, torch.rand(4, *traps.SHAPE), compacted.kept)

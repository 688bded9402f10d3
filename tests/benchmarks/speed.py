"""How much faster networks of known widths are, beside torch-pruning's own removal of the same channels.

    python -m tests.benchmarks.speed [--only lenet-5,resnet56] [--runtime eager --runtime onnx]

Each network is masked to the widths, compacted by sparsweep, and by torch-pruning from the same start. Ours is timed
beside the dense network and beside torch-pruning's, interleaved, one thread, in every runtime; the row with
a * is what a sweep publishes: dense and compact each in its fastest. Targets: at least 0.9 of the speed of
torch-pruning's, and where such widths were timed before (torch 2.13, 2 processors) at least 0.9 of that speedup. Exit
code 1 if a target is missed or a measurement stayed noisy. Run it on a machine that does nothing else.
"""

import argparse
import copy
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from sparsweep.trainables.compact.coupling import couplings_of
from sparsweep.trainables.compact.removal import check_exact, compact
from sparsweep.trainables.compact.selection import SelectedLinear
from sparsweep.trainables.groups import add_masks, prunable_layers, set_masks
from sparsweep.trainables.measures.device import device_label
from sparsweep.trainables.measures.latency import compare
from sparsweep.trainables.measures.macs import count_macs
from sparsweep.trainables.measures.runtimes import absent, prepared
from sparsweep.trainables.measures.side_by_side import Bench
from sparsweep.trainables.outline import lay_outline
from sparsweep.trainables.point import Latency, best_of
from sparsweep.trainables.tasks import IMAGE_NETWORKS, NETWORKS
from tests.benchmarks.machine import machine
from tests.benchmarks.verdict import as_markdown, lines_as_text, number

RESULTS = Path(__file__).with_name("results") / "speed.md"
HEADERS = ("network", "widths", "fewer MACs", "batch", "runtime", "dense: ms", "ours: ms", "speedup", "spread",
           "x torch-pruning", "noted before", "")  # fmt: skip
SHARE = 0.9
MOST_S = 120
"""Seconds after which a measurement that stays noisy is given up."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network and what is left of it."""

    network: str
    label: str
    units: Mapping[str, int]
    """By layer, how many output units are left; all of equal index, so that residual sums agree."""
    inputs: Mapping[str, int] = field(default_factory=dict)
    """By layer, how many of its inputs are read."""
    noted: Mapping[tuple[int, str], float] = field(default_factory=dict)
    """By batch and runtime the speedup noted before; of a range its lower end."""
    batches: tuple[int, ...] = (1, 32, 256)


def stages(depth: int, widths: tuple[int, int, int]) -> dict[str, int]:
    """All convolutions of a CIFAR ResNet's three stages, each stage at one width."""
    with torch.random.fork_rng():
        layers = prunable_layers(IMAGE_NETWORKS[f"resnet{depth}"].build(3, 10))
    return {
        name: widths[0] if name == "conv" else widths[int(name[5]) - 1] for name in layers if name != "head"
    }  # fmt: skip


CASES = (
    Case(network="lenet-300-100", label="97-71-33", units={"fc1": 71, "fc2": 33}, inputs={"fc1": 97},
         noted={(1, "eager"): 1.6, (256, "eager"): 11, (1024, "eager"): 16}, batches=(1, 256, 1024)),
    Case(network="lenet-5", label="3-18-284-283", units={"conv1": 3, "conv2": 18, "fc1": 283}, inputs={"fc1": 284},
         noted={(1, "eager"): 2.05, (32, "eager"): 5.2, (256, "eager"): 5.2}),
    Case(network="lenet-5", label="5-10-76-16", units={"conv1": 5, "conv2": 10, "fc1": 16}, inputs={"fc1": 76},
         noted={(1, "eager"): 2.2, (32, "eager"): 5.2, (256, "eager"): 5.2}),
    Case(network="resnet20", label="10-21-42", units=stages(20, (10, 21, 42)), batches=(1, 32)),
    Case(network="resnet20", label="8-16-40", units=stages(20, (8, 16, 40)), batches=(1, 32)),
    Case(network="resnet56", label="10-21-42", units=stages(56, (10, 21, 42)), batches=(1, 32),
         noted={(1, "eager"): 1.53, (1, "onnx"): 1.14}),
    Case(network="resnet56", label="8-24-40", units=stages(56, (8, 24, 40)), batches=(1, 32),
         noted={(32, "eager"): 2.0}),
    Case(network="resnet56", label="8-16-40", units=stages(56, (8, 16, 40)), batches=(1, 32),
         noted={(1, "eager"): 1.86}),
)  # fmt: skip
"""Widths of published points (SBP, L0, GL), and of ResNets at about 2.35 times fewer MACs, as they fall and by eights:
of the 2.0x noted at batch 32 the widths are not known."""


def built(case: Case) -> tuple[nn.Module, tuple[int, ...]]:
    """The dense network with fixed random numbers, and the shape of its input."""
    torch.manual_seed(0)
    if case.network in NETWORKS:
        known = NETWORKS[case.network]
        return known.build().eval(), known.example_shape
    return IMAGE_NETWORKS[case.network].build(3, 10).eval(), (3, 32, 32)


def ours(case: Case, dense: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Masked to the widths and compacted; what comes out was compared with the masked network."""
    net = copy.deepcopy(dense)
    couplings = couplings_of(net, shape)
    add_masks(net)
    masks = {name: torch.ones_like(layer.weight) for name, layer in prunable_layers(net).items()}
    for name, left in case.units.items():
        masks[name][left:] = 0
    previous = None
    for name, mask in masks.items():
        if (read := case.inputs.get(name)) is not None:
            alive = torch.arange(mask.shape[1])
            if previous is not None:  # behind a flattening: places of the channels that are left
                alive = alive[: case.units[previous] * mask.shape[1] // len(masks[previous])]
            chosen = torch.zeros(mask.shape[1])
            chosen[alive[torch.linspace(0, len(alive) - 1, read).round().long()]] = 1
            mask *= chosen
        previous = name
    lay_outline(net, couplings.outline)
    set_masks(net, masks)
    smaller = compact(net, couplings).net
    check_exact(net, smaller, torch.rand(16, *shape))
    return smaller


def theirs(case: Case, dense: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """The same channels removed by torch-pruning; it has no selection of inputs."""
    import torch_pruning as tp

    net = copy.deepcopy(dense)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = tp.DependencyGraph().build_dependency(net, example_inputs=torch.rand(2, *shape))
        for name, left in case.units.items():
            layer = net.get_submodule(name)
            is_conv = isinstance(layer, nn.Conv2d)
            gone = list(range(left, len(layer.weight)))  # type: ignore[arg-type]
            if gone:
                prune = tp.prune_conv_out_channels if is_conv else tp.prune_linear_out_channels
                graph.get_pruning_group(layer, prune, idxs=gone).prune()
    return net.eval()


def lines_of(case: Case, runtimes: tuple[str, ...]) -> tuple[list[tuple[str, ...]], bool]:
    """The case's rows, and whether one of them misses."""
    dense, shape = built(case)
    mine = ours(case, dense, shape)
    fewer = count_macs(dense, shape).total / count_macs(mine, shape).total
    beside_dense, beside_theirs = (
        Bench(dense=net, example_shape=shape, device=device_label(), most_s=MOST_S)
        for net in (dense, theirs(case, dense, shape))
    )
    lines, missed = [], False
    for batch in case.batches:
        found, against = (bench.measure(mine, runtimes, batch) for bench in (beside_dense, beside_theirs))
        if None in found.values():
            again = beside_dense.measure(mine, runtimes, batch)
            found = {pair: again.get(pair) if record is None else record for pair, record in found.items()}
        published = best_of([record for record in found.values() if isinstance(record, Latency)])
        given = _pixels_given(case, dense, mine, shape, batch) if isinstance(mine[0], nn.Flatten) else None
        for pair, record in found.items():
            if isinstance(record, str):
                continue
            noted = case.noted.get((batch, pair[0])) if pair[0] == pair[1] else None
            other = against.get(pair)
            times = other.speedup if isinstance(other, Latency) else None
            verdict = verdict_of(record, {"as published": published, "pixels given": given}, times, noted)
            line = (
                case.network, case.label, f"{fewer:.1f}x", str(batch), _named(pair, record == published),
                *_figures(record), f"{times:.2f}" if times else "", f"{noted:.2f}x" if noted else "", verdict,
            )  # fmt: skip
            print("… " + ", ".join(line), file=sys.stderr, flush=True)
            lines.append(line)
            missed |= verdict in ("NOISY", "MISSED")
        if given:
            head = (case.network, case.label, f"{fewer:.1f}x", str(batch), "eager, its pixels given")
            lines.append((*head, *_figures(given), "", "", ""))
    return lines, missed


def verdict_of(record: Latency | None, others: Mapping[str, Latency | None], times: float | None,
               noted: float | None) -> str:  # fmt: skip
    """Whether a row reaches torch-pruning's speed, and what was noted: by itself, or else which of the others does."""
    if record is None:
        return "NOISY"
    if times is not None and times < SHARE:
        return "MISSED"
    if noted is None or record.speedup >= SHARE * noted:
        return "met"
    reached = [name for name, other in others.items() if other and other.speedup >= SHARE * noted]
    return f"met {reached[0]}" if reached else "MISSED"


def _pixels_given(case: Case, dense: nn.Module, mine: nn.Module, shape: tuple[int, ...], batch: int
                  ) -> Latency | None:  # fmt: skip
    """Tells what selecting the pixels costs: the same network, handed those that it reads."""
    bare = copy.deepcopy(mine)
    for name, layer in bare.named_children():
        if isinstance(layer, SelectedLinear):
            plain = nn.Linear(layer.in_features, layer.out_features)
            plain.load_state_dict({"weight": layer.weight, "bias": layer.bias})
            setattr(bare, name, plain.eval())
    runners = [
        prepared(net, "eager", torch.rand(batch, *inputs), threads=1)
        for net, inputs in ((dense, shape), (bare, (case.inputs["fc1"],)))
    ]
    return compare(*runners, batch=batch, device=device_label(), most_s=MOST_S)


def _named(pair: tuple[str, str], published: bool) -> str:
    name = pair[0] if pair[0] == pair[1] else f"{pair[0]}, dense {pair[1]}"
    return f"{name} *" if published else name


def _figures(record: Latency | None) -> tuple[str, ...]:
    if record is None:
        return "", "", "noisy", ""
    times = (number(record.dense_latency_ms), number(record.latency_ms))
    return (*times, f"{record.speedup:.2f}x", f"{100 * record.iqr_share:.1f} %")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, and keeps the page where everything was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="networks, separated by commas")
    parser.add_argument("--runtime", action="append", choices=("eager", "channels_last", "compile", "onnx"))
    o = parser.parse_args(arguments)
    torch.set_num_threads(1)
    here = tuple(name for name in ("eager", "channels_last", "onnx", "compile") if absent(name) is None)
    runtimes = tuple(o.runtime or here)
    where, lines, missed = machine(), [], False
    for case in CASES:
        if not o.only or case.network in o.only.split(","):
            found, bad = lines_of(case, runtimes)
            lines += found
            missed |= bad
    print(lines_as_text(HEADERS, lines, left=2))
    remarks = (
        f"{device_label()}, 1 thread, float32; medians over 21 or more interleaved rounds, of each the fastest turn; "
        "spread is the larger IQR by its median.",
        "*: as a sweep publishes it, dense and compact each in its fastest runtime.",
        "x torch-pruning: how many times as fast ours is, interleaved with torch-pruning's in the same runtime. It has "
        "no selection of inputs: for 97-71-33 it keeps 784 pixels, for 5-10-76-16 160 places.",
        "Its pixels given: the same network handed the 97 pixels that it reads; the rest of the time it selects them.",
        f"Target: at least {SHARE} of torch-pruning's speed, and of the speedup noted before (eager torch, and without "
        "a selection): reached by the row itself (met), or by another row at that batch that is named.",
    )
    if not o.only and not o.runtime:
        RESULTS.write_text(
            as_markdown("Speed at known widths", "python -m tests.benchmarks.speed", where, HEADERS, lines, remarks)
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

"""What a search may go by while nothing is timed: MACs, or layer times that are looked up. Which tells the faster one?

    python -m tests.benchmarks.look_up [--networks 24] [--only resnet20]

Networks of random widths, every other one in multiples of 8, are timed beside the dense network. For each of the two
proxies: in which share of all pairs it says rightly which network is faster, and how far its speedup is off. Exit code
1 if the look-up is right less often than MACs are, by more than SLACK, or farther off. Run it on a machine that does
nothing else.
"""

import argparse
import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

import torch
from torch import nn

from sparsweep.trainables.compact.coupling import Couplings, couplings_of
from sparsweep.trainables.compact.removal import compact
from sparsweep.trainables.cut import cut, weight_masks
from sparsweep.trainables.groups import add_masks, set_masks
from sparsweep.trainables.measures.device import device_label
from sparsweep.trainables.measures.latency import measure_latency
from sparsweep.trainables.measures.layer_times import LayerTimes, time_layers
from sparsweep.trainables.measures.macs import count_macs
from sparsweep.trainables.outline import lay_outline
from sparsweep.trainables.scores import Scores
from tests.benchmarks.machine import machine
from tests.benchmarks.speed import Case, built
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS = Path(__file__).with_name("results") / "look-up.md"
HEADERS = ("network", "batch", "networks", "pairs right: MACs", "look-up", "speedup off by: MACs", "look-up", "")
SLACK = 0.02
"""Shares of pairs that differ by no more are the same: 5 of 276 pairs, which one odd network may turn."""
CASES = (("lenet-5", 1), ("lenet-5", 256), ("resnet20", 1))


@dataclass(frozen=True, kw_only=True)
class Guessed:
    """One network: its measured speedup and what the proxies make of it."""

    measured: float
    by_macs: float
    by_look_up: float


def of_random_widths(dense: nn.Module, couplings: Couplings, number: int) -> nn.Module:
    """The dense network cut at random, each layer by a share of its own; odd ones to multiples of 8. Not trained."""
    chance = torch.Generator().manual_seed(number)
    net = copy.deepcopy(dense)
    lay_outline(net, couplings.outline)
    add_masks(net)
    groups = {name: len(net.get_submodule(name).weight) for name in couplings.ties()}  # type: ignore[arg-type]
    share = 0.1 + 0.7 * float(torch.rand((), generator=chance))
    scale = {name: 0.4 + float(torch.rand((), generator=chance)) for name in groups}
    values = {name: scale[name] * torch.rand(count, generator=chance) for name, count in groups.items()}
    scores = Scores(granularity="filter", values=values, own={n: v > 0 for n, v in values.items()}, threshold=0.0)
    kept, _ = cut(scores, round(share * sum(groups.values())), balance="none", multiple=8 if number % 2 else 1,
                  ties=couplings.ties())  # fmt: skip
    set_masks(net, weight_masks(net, scores, kept))
    return compact(net, couplings).net


def guesses(name: str, batch: int, networks: int) -> list[Guessed]:
    """Random networks, timed; those that stayed noisy are left out."""
    dense, shape = built(Case(network=name, label="", units={}))
    couplings = couplings_of(dense, shape)
    times: LayerTimes = time_layers(dense, shape, batch=batch, device=device_label())
    whole = count_macs(dense, shape).total
    found = []
    for number in range(networks):
        net = of_random_widths(dense, couplings, number)
        record = measure_latency(dense, net, shape, batch=batch, device=device_label(), most_s=60)
        if record is None:
            continue
        found.append(
            Guessed(measured=record.speedup, by_macs=whole / count_macs(net, shape).total,
                    by_look_up=1 / (1 - times.removed(net)))
        )  # fmt: skip
        print(f"… {name}, batch {batch}, {number + 1} of {networks}: {found[-1]}", file=sys.stderr, flush=True)
    return found


def right_pairs(measured: Sequence[float], guessed: Sequence[float]) -> float:
    """Share of all pairs that are in the same order; of equal guesses half are right.

    >>> right_pairs([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    0.6666666666666666
    """
    pairs = list(combinations(zip(measured, guessed, strict=True), 2))
    right = [0.5 if a[1] == b[1] else float((a[0] < b[0]) == (a[1] < b[1])) for a, b in pairs]
    return sum(right) / len(right)


def line_of(name: str, batch: int, found: Sequence[Guessed]) -> tuple[tuple[str, ...], bool]:
    """The row, and whether MACs were the better guide."""
    measured = [each.measured for each in found]
    lists = ([each.by_macs for each in found], [each.by_look_up for each in found])
    right = [right_pairs(measured, guessed) for guessed in lists]
    off = [median(abs(g / m - 1) for g, m in zip(guessed, measured, strict=True)) for guessed in lists]
    missed = right[1] < right[0] - SLACK or off[1] > off[0]
    cells = (*(f"{100 * share:.0f} %" for share in (*right, *off)), "MISSED" if missed else "met")
    return (name, str(batch), str(len(found)), *cells), missed


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, and keeps the page where everything was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=24, help="of each kind")
    parser.add_argument("--only", default="", help="a network")
    o = parser.parse_args(arguments)
    torch.set_num_threads(1)
    where = machine()
    rows = [line_of(name, batch, guesses(name, batch, o.networks)) for name, batch in CASES if o.only in ("", name)]
    lines = [line for line, _ in rows]
    print(lines_as_text(HEADERS, lines, left=1))
    remarks = (
        f"{device_label()}, 1 thread, eager; networks of random widths, half of them in multiples of 8, untrained.",
        "Pairs right: of all pairs of these networks, in how many the proxy says rightly which one is faster.",
        "Speedup off by: median of |guessed / measured - 1|.",
    )
    if not o.only and o.networks >= 24:
        command = f"python -m tests.benchmarks.look_up --networks {o.networks}"
        RESULTS.write_text(as_markdown("MACs and look-up against the clock", command, where, HEADERS, lines, remarks))
    return int(any(missed for _, missed in rows))


if __name__ == "__main__":
    sys.exit(main())

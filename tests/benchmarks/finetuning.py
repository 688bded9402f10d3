"""What fine-tuning saves by working on the compact network: seconds of an epoch, masked and compact, in turn.

    python -m tests.benchmarks.finetuning [--images 4096] [--rounds 5]

A network is cut by magnitude to shares of its filters, then fine-tuned for an epoch as a trial does it, masked and
compact, one after the other in each round; making the compact network and writing it back count. Images are drawn at
random. Exit code 1 if a target is missed: 1.5 times as fast with a quarter of the filters, never slower than .95.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import nn

from sparsweep.trainables.compact.coupling import Couplings, couplings_of
from sparsweep.trainables.compact.inner import inner_of
from sparsweep.trainables.compact.removal import compact
from sparsweep.trainables.cut import cut, weight_masks
from sparsweep.trainables.groups import add_masks, set_masks
from sparsweep.trainables.measures.macs import count_macs
from sparsweep.trainables.methods.method import norm_scores
from sparsweep.trainables.outline import lay_outline
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks import IMAGE_NETWORKS, NETWORKS
from sparsweep.trainables.tasks.split import Split
from sparsweep.trainables.training import optimizer_of, train_epoch
from tests.benchmarks.machine import machine
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS = Path(__file__).with_name("results") / "finetuning.md"
HEADERS = (
    "network",
    "filters left",
    "MACs left",
    "masked, s an epoch",
    "compact, s an epoch",
    "times as fast",
    "target",
    "",
)
SHAPES = {"lenet-digits": (1, 8, 8), "lenet-300-100": (1, 28, 28), "lenet-5": (1, 28, 28), "resnet20": (3, 32, 32)}
TARGETS = {0.75: 0.95, 0.5: 0.95, 0.25: 1.5, 0.1: 1.5}
"""How many times as fast, at least, by the share of filters that is left."""
TINY = "lenet-digits"
"""Of which each step costs the same whatever the widths are: it must only not be slower."""
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Line:
    """One network with one share of its filters."""

    network: str
    left: float
    macs: float
    """Share of them."""
    masked_s: list[float]
    compact_s: list[float]

    @property
    def times(self) -> float:
        """Of paired epochs the median ratio."""
        return median(a / b for a, b in zip(self.masked_s, self.compact_s, strict=True))

    @property
    def target(self) -> float:
        return 0.95 if self.network == TINY else TARGETS[self.left]

    @property
    def reached(self) -> bool:
        return self.times >= self.target

    def cells(self) -> list[str]:
        return [
            self.network, f"{100 * self.left:.0f} %", f"{100 * self.macs:.0f} %",
            *map(_spread, (self.masked_s, self.compact_s)), f"{self.times:.2f}", f"{self.target:g}",
            "reached" if self.reached else "MISSED",
        ]  # fmt: skip


def _spread(seconds: list[float]) -> str:
    return f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def pruned(network: str, left: float) -> tuple[nn.Module, Couplings]:
    """A fresh network of which the filters with the largest norms are left."""
    torch.manual_seed(0)
    shape = SHAPES[network]
    net = NETWORKS[network].build() if network in NETWORKS else IMAGE_NETWORKS[network].build(shape[0], 10)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    couplings = couplings_of(net, shape)
    lay_outline(net, couplings.outline)
    add_masks(net)
    values = norm_scores(net, "filter")
    scores = Scores(granularity="filter", values=values, own={}, threshold=0.0)
    kept, _ = cut(scores, round(left * sum(v.numel() for v in values.values())), ties=couplings.ties())
    set_masks(net, weight_masks(net, scores, kept))
    return net, couplings


def epoch(net: nn.Module, couplings: Couplings, data: Split, *, small: bool) -> float:
    """Seconds of one epoch as a trial fine-tunes, from the masked network to the masked network."""
    began = time.perf_counter()
    inner = inner_of(net, compact(net, couplings), couplings) if small else None
    tuned = inner.net if inner else net
    train_epoch(
        tuned, None, optimizer_of(tuned, 1e-3), data, batch_size=BATCH, learning_rate=1e-3, schedule="constant",
        span=(0, 1), order=torch.Generator().manual_seed(0),
    )  # fmt: skip
    if inner:
        inner.write_back(net)
    return time.perf_counter() - began


def line_of(network: str, left: float, images: int, rounds: int, say: Callable[[str], None]) -> Line:
    say(f"{network}, {100 * left:.0f} % of the filters")
    net, couplings = pruned(network, left)
    draw = torch.Generator().manual_seed(0)
    shape = SHAPES[network]
    pixels = torch.randint(0, 256, (images, *shape), dtype=torch.uint8, generator=draw)
    labels = torch.randint(0, 10, (images,), generator=draw)
    data = Split(inputs=pixels, labels=labels, mean=(0.5,) * shape[0], std=(0.25,) * shape[0])
    smaller = compact(net, couplings).net
    share = count_macs(smaller, shape).total / count_macs(net, shape).total
    masked, compacted = [], []
    for at in range(rounds + 1):
        for small, seconds in ((False, masked), (True, compacted)):
            taken = epoch(copy.deepcopy(net), couplings, data, small=small)
            if at:  # the first round warms up
                seconds.append(taken)
    return Line(network=network, left=left, macs=share, masked_s=masked, compact_s=compacted)


def main() -> int:
    """Measures, prints, keeps the page; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4096, help="of an epoch; default: 4096")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    given = parser.parse_args()
    torch.set_num_threads(1)

    def say(text: str) -> None:
        print(f"… {text}", file=sys.stderr, flush=True)

    lines = [line_of(n, left, given.images, given.rounds, say) for n in SHAPES for left in TARGETS]
    told = [line.cells() for line in lines]
    remarks = [
        f"One thread, batch {BATCH}, {given.images} images an epoch; medians over {given.rounds} epochs in turn (least "
        "to most).",
        "Making the compact network and writing it back is once a cut, whatever the epochs: it weighs more, the fewer "
        "images.",
        f"{TINY}: a step costs the same whatever the widths are; the target is only not to be slower.",
    ]
    print(lines_as_text(HEADERS, told, left=1), "", *remarks, sep="\n")
    title = "Fine-tuning masked and compact networks"
    command = f"python -m tests.benchmarks.finetuning --images {given.images} --rounds {given.rounds}"
    RESULTS.write_text(as_markdown(title, command, machine(), HEADERS, told, remarks))
    return int(not all(line.reached for line in lines))


if __name__ == "__main__":
    sys.exit(main())

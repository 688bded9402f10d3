"""How long training waits for its data: at most 5 % of the time of an epoch?

    python -m tests.benchmarks.data_wait [--images 1024] [--rounds 5] [--device cuda]

On a processor the wait is the time that a trial's training spends in asking for its batches, by the time of the epoch.
On a GPU, which works on while the next batch is made, each epoch is timed twice in turn, as a trial trains and with the
same batches made beforehand: what the first takes longer is the wait. Images are drawn at random (and written as JPEG
files where they are read from a folder), so that nothing is downloaded; noise is the costliest image to decode. Without
a CUDA device the readers' processes and the training share the cores. Exit code 1 if a target is missed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from sparsweep.trainables.groups import add_masks
from sparsweep.trainables.tasks import IMAGE_NETWORKS, NETWORKS
from sparsweep.trainables.tasks.augment import drawn_variants
from sparsweep.trainables.tasks.image_folder import ImageFiles
from sparsweep.trainables.tasks.split import Split
from sparsweep.trainables.tasks.streamed import StreamedSplit
from sparsweep.trainables.training import optimizer_of, train_epoch
from tests.benchmarks.machine import machine
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS = Path(__file__).with_name("results") / "data-wait.md"
HEADERS = ("network", "data", "readers", "images a second", "wait", "target", "")
MOST = 0.05
BATCH = 128


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network and where its images come from."""

    network: str
    data: str
    split: Split
    augment: str = "none"
    workers: int = 0
    wanted: bool = True
    """Whether the target holds for it; without readers of its own a trial that reads files has to wait."""


@dataclass(frozen=True, kw_only=True)
class Ready(Split):
    """The batches of another split, made beforehand."""

    made: Sequence[tuple[Tensor, Tensor]]

    def __len__(self) -> int:
        return sum(len(labels) for _, labels in self.made)

    def batches(self, *order: Any, **how: Any) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self.made)


def cases(images: int, folder: Path, device: str) -> list[Case]:
    """Small networks, which are the hardest to feed."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (images,), generator=draw)
    grey, coloured = (
        torch.randint(0, 256, (images, *shape), dtype=torch.uint8, generator=draw)
        for shape in ((1, 28, 28), (3, 32, 32))
    )
    norm = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    files = []
    for at, image in enumerate(coloured):
        files.append((folder / f"{at:05d}.jpg", int(labels[at])))
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(files[-1][0], quality=90)
    small = Split(inputs=grey.repeat(4, 1, 1, 1), labels=labels.repeat(4), mean=(0.5,), std=(0.25,)).to(device)
    memory = Split(inputs=coloured, labels=labels, **norm).to(device)
    streamed = StreamedSplit(
        inputs=coloured[:0], labels=labels[:0], source=ImageFiles(files=files, shape=(3, 32, 32)), **norm
    )
    return [
        Case(network="lenet-5", data="in memory", split=small),
        Case(network="lenet-5", data="in memory, shift1", split=small, augment="shift1"),
        Case(network="resnet20", data="in memory, crop_flip", split=memory, augment="crop_flip"),
        Case(network="resnet20", data="JPEG files, crop_flip", split=streamed, augment="crop_flip", wanted=False),
        *(
            Case(network="resnet20", data="JPEG files, crop_flip", split=streamed, augment="crop_flip", workers=workers)
            for workers in ((1,) if device == "cpu" else (4, 8))
        ),
    ]


def build(network: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[network].build() if network in NETWORKS else IMAGE_NETWORKS[network].build(3, 10)


@dataclass(frozen=True, kw_only=True)
class Watched(Split):
    """Another split, and how many seconds were spent in asking it for batches."""

    of: Split
    waits_s: list[float]

    def __len__(self) -> int:
        return len(self.of)

    def batches(self, *order: Any, **how: Any) -> Iterator[tuple[Tensor, Tensor]]:
        given = self.of.batches(*order, **how)
        while True:
            began = time.perf_counter()
            batch = next(given, None)
            self.waits_s.append(time.perf_counter() - began)
            if batch is None:
                return
            yield batch


def measure(case: Case, rounds: int, device: str) -> tuple[str, ...]:
    """One line under HEADERS."""
    net = build(case.network).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    add_masks(net)
    optimizer, order = optimizer_of(net, 1e-3), torch.Generator().manual_seed(0)

    def epoch_s(split: Split, workers: int) -> float:
        began = time.perf_counter()
        train_epoch(
            net, None, optimizer, split, batch_size=BATCH, learning_rate=1e-3, schedule="constant", span=(0.0, 1.0),
            order=order, augment=case.augment, workers=workers,
        )  # fmt: skip
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    split = Watched(inputs=case.split.inputs, labels=case.split.labels, of=case.split, waits_s=[])
    epoch_s(split, case.workers)
    if device == "cpu":
        split.waits_s.clear()
        times = [epoch_s(split, case.workers) for _ in range(rounds)]
        wait, loaded = sum(split.waits_s) / sum(times), median(times)
    else:
        numbers, variants = torch.randperm(len(split), generator=order), drawn_variants(case.augment, len(split), order)
        made = split.batches(numbers, BATCH, augment=case.augment, variants=variants)
        fed = Ready(inputs=split.inputs, labels=split.labels, made=[(x.to(device), y.to(device)) for x, y in made])
        pairs = [(epoch_s(split, case.workers), epoch_s(fed, 0)) for _ in range(rounds)]
        wait, loaded = median(1 - ready / as_is for as_is, ready in pairs), median(as_is for as_is, _ in pairs)
    verdict = ("≤ 5 %", "met" if wait <= MOST else "MISSED") if case.wanted else ("", "")
    return (case.network, case.data, str(case.workers), f"{len(split) / loaded:,.0f}", f"{max(wait, 0):.1%}", *verdict)


def main() -> int:
    """Measures, prints, keeps the page; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1024, help="of ResNet-20; LeNet-5 has four times as many")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    o = parser.parse_args()
    if o.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device here: leave --device out, or give cpu")
    torch.set_num_threads(1)
    found_on = {**machine(), "device": torch.cuda.get_device_name() if o.device == "cuda" else "cpu, one thread"}
    with tempfile.TemporaryDirectory(prefix="data-wait-") as folder:
        lines = []
        for case in cases(o.images, Path(folder), o.device):
            lines.append(measure(case, o.rounds, o.device))
            print(f"… {', '.join(lines[-1])}", file=sys.stderr, flush=True)
    print(lines_as_text(HEADERS, lines, left=2))
    remarks = (f"{o.rounds} epochs over {o.images:,} images (LeNet-5: 4 times as many), batch {BATCH}.",)
    command = "python -m tests.benchmarks.data_wait"
    RESULTS.write_text(as_markdown("Waiting for data", command, found_on, HEADERS, lines, remarks))
    return int(any(line[-1] == "MISSED" for line in lines))


if __name__ == "__main__":
    sys.exit(main())

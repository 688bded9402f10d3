"""ANP's evidence on LeNet-5 and MNIST, one thread: at most 60 s for 10,000 images and 2 s for 300?

    python -m tests.benchmarks.anp_evidence --data-root DIR [--epochs 1]

The network is trained first, since a random one gives attention little to follow. Each count is timed once, after a
first pass over 32 images, in seconds of the one processor that is used, so that others' work does not count. Exit code
1 if a target is missed.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import nn

from sparsweep.trainables.groups import add_masks
from sparsweep.trainables.methods.anp_evidence import evidence_of
from sparsweep.trainables.tasks import NETWORKS, Data, load_data
from sparsweep.trainables.tasks.data import even_sample
from sparsweep.trainables.training import optimizer_of, train_epoch

TARGETS_S = {300: 2.0, 10_000: 60.0}


def main() -> int:
    """Trains, times, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, type=Path)
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data("mnist", options.data_root)
    net = trained(data, options.epochs)
    taken = {images: evidence_s(net, data, images) for images in (32, *TARGETS_S)}
    for images, target_s in TARGETS_S.items():
        print(f"{images:6,} images: {taken[images]:6.2f} s (target {target_s:g} s)")
    return 0 if all(taken[images] <= target_s for images, target_s in TARGETS_S.items()) else 1


def trained(data: Data, epochs: int) -> nn.Module:
    """LeNet-5 after so many epochs of Adam."""
    torch.manual_seed(0)
    net = NETWORKS["lenet-5"].build()
    add_masks(net)
    optimizer, order = optimizer_of(net, 1e-3), torch.Generator().manual_seed(0)
    for _ in range(epochs):
        train_epoch(
            net, None, optimizer, data.train, batch_size=64, learning_rate=1e-3, schedule="constant", span=(0.0, 1.0),
            order=order,
        )  # fmt: skip
    return net


def evidence_s(net: nn.Module, data: Data, images: int) -> float:
    """Processor seconds for one pass over so many training images."""
    sample = even_sample(data.train, images, torch.Generator().manual_seed(0))
    began = time.process_time()
    evidence_of(net, sample)
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())

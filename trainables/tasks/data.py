"""Images and labels of a task, split once and for all; small sets lie in memory, loaded once a process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from sparsweep.trainables.tasks.digits import load_digits
from sparsweep.trainables.tasks.mnist import load_mnist
from sparsweep.trainables.tasks.split import Data, Split, even_sample

Arrays = tuple[Tensor, Tensor, Tensor | None, Tensor | None]
"""Inputs and labels to learn from, and a test set where the source has its own."""


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Where a data set comes from and how it is split."""

    load: Callable[[Path | None], Arrays]
    example_shape: tuple[int, ...]
    validation: int
    """Examples set apart for validation."""
    test: int
    """Examples set apart for the test where the source has no test set of its own."""
    about: str


def _of_torchvision(name: str) -> Callable[[Path | None], Arrays]:
    def load(root: Path | None) -> Arrays:
        from sparsweep.trainables.tasks.torchvision_data import load_torchvision

        return load_torchvision(name, root)

    return load


DATA: Mapping[str, DataSource] = {
    "digits": DataSource(
        load=load_digits, example_shape=(1, 8, 8), validation=300, test=300,
        about="1,797 real 8x8 digits out of scikit-learn: 1,197 train, 300 validation, 300 test",
    ),
    "mnist": DataSource(
        load=load_mnist, example_shape=(1, 28, 28), validation=5000, test=0,
        about="MNIST through torchvision: 55,000 train, 5,000 validation, 10,000 test",
    ),
    "fashion-mnist": DataSource(
        load=_of_torchvision("FashionMNIST"), example_shape=(1, 28, 28), validation=5000, test=0,
        about="Fashion-MNIST through torchvision, normalised: 55,000 train, 5,000 validation, 10,000 test",
    ),
    "cifar10": DataSource(
        load=_of_torchvision("CIFAR10"), example_shape=(3, 32, 32), validation=5000, test=0,
        about="CIFAR-10 through torchvision, normalised: 45,000 train, 5,000 validation, 10,000 test",
    ),
    "cifar100": DataSource(
        load=_of_torchvision("CIFAR100"), example_shape=(3, 32, 32), validation=5000, test=0,
        about="CIFAR-100 through torchvision, normalised: 45,000 train, 5,000 validation, 10,000 test",
    ),
}  # fmt: skip

SEEN_FOR_NORM = 5000
"""How many images, evenly spaced, mean and standard deviation are taken of."""

SPLIT_SEED = 20_26
"""Fixed: the split belongs to the task, not to a sweep's seed."""


@lru_cache(maxsize=2)
def load_data(name: str, root: Path | None = None) -> Data:
    """The named data set, split by SPLIT_SEED.

    Raises:
        ValueError: unknown name, or the data is not under `root` and cannot be downloaded.
    """
    if name not in DATA:
        raise ValueError(f"no data set {name!r}; there are {', '.join(DATA)}")
    source = DATA[name]
    inputs, labels, test_inputs, test_labels = source.load(root)
    if len(labels) <= (apart := source.validation + (source.test if test_labels is None else 0)):
        raise ValueError(f"{name} has {len(labels)} examples, of which {apart} are set apart: none is left to train on")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SPLIT_SEED))
    if test_inputs is None or test_labels is None:
        held = order[: source.test]
        test_inputs, test_labels, order = inputs[held], labels[held], order[source.test :]
    validation, train = order[: source.validation], order[source.validation :]
    return normalised(
        train=Split(inputs=inputs[train], labels=labels[train]),
        validation=Split(inputs=inputs[validation], labels=labels[validation]),
        test=Split(inputs=test_inputs, labels=test_labels),
    )


def normalised(*, train: Split, validation: Split, test: Split) -> Data:
    """The splits; bytes leave them with mean 0 and standard deviation 1 in each channel of `train`."""
    splits = {"train": train, "validation": validation, "test": test}
    if any(split.inputs.dtype == torch.uint8 for split in splits.values()):
        first = train.raw(torch.arange(0, len(train), max(1, len(train) // SEEN_FOR_NORM))).float().div_(255)
        mean, std = first.mean(dim=(0, 2, 3)), first.std(dim=(0, 2, 3)).clamp_min(1e-3)
        means, stds = tuple(mean.tolist()), tuple(std.tolist())
        for name, split in splits.items():
            if split.inputs.dtype == torch.uint8:
                splits[name] = replace(split, mean=means, std=stds)
    return Data(**splits)


__all__ = ["DATA", "SPLIT_SEED", "Data", "DataSource", "Split", "even_sample", "load_data", "normalised"]

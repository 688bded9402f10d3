"""Splits of a data set: in memory, or read as they are needed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparsweep.trainables.tasks.augment import augmented


@dataclass(frozen=True, kw_only=True)
class Split:
    """Examples in memory and what is wanted of a network for each."""

    inputs: Tensor
    """[n, ...] float32, or uint8 images [n, channels, height, width], which leave as (value / 255 - mean) / std."""
    labels: Tensor
    """[n] int64 classes; or any targets [n, ...], whatever the loss takes."""
    mean: tuple[float, ...] = ()
    """Of each channel, in [0, 1]; none for inputs that are float32 already."""
    std: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def example_shape(self) -> tuple[int, ...]:
        return tuple(self.inputs.shape[1:])

    @property
    def constant(self) -> bool:
        """Whether an example is the same each time it is asked for, and quick to ask for again."""
        return True

    def to(self, device: torch.device | str) -> "Split":
        return replace(self, inputs=self.inputs.to(device), labels=self.labels.to(device))

    def raw(self, which: Tensor) -> Tensor:
        """Inputs as they are stored."""
        return self.inputs[which]

    def part(self, which: Tensor | slice) -> "Split":
        """Some examples as float32 in memory, as a network takes them."""
        return Split(inputs=self._ready(self.inputs[which]), labels=self.labels[which])

    def batches(
        self, order: Tensor, batch_size: int, *, augment: str = "none", variants: Tensor | None = None,
        workers: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
        """Inputs [batch, ...] float32 and labels, in the given order.

        Args:
            order: which examples, by number.
            augment: what is done to images on their way.
            variants: which of its variants each image becomes, in the same order; as `drawn_variants` has drawn.
            workers: processes that read examples which do not lie in memory.
        """
        whole = order if variants is None else variants
        for which, how in zip(chunks(order.to(self.inputs.device), batch_size), chunks(whole, batch_size), strict=True):
            yield self._ready(augmented(self.inputs[which], augment, how)), self.labels[which]

    def _ready(self, inputs: Tensor) -> Tensor:
        if inputs.dtype != torch.uint8:
            return inputs
        mean, std = (inputs.new_tensor(each, dtype=torch.float32).view(-1, 1, 1) for each in (self.mean, self.std))
        return inputs.float().div_(255).sub_(mean).div_(std)

    def digest(self) -> Iterator[bytes]:
        """What tells this split from every other."""
        for tensor in (self.inputs, self.labels):
            yield str(tuple(tensor.shape)).encode()
            yield tensor.cpu().contiguous().numpy().tobytes()
        if self.mean:
            yield repr((self.mean, self.std)).encode()


@dataclass(frozen=True, kw_only=True)
class Data:
    """The three splits of a task: the search sees `train` and `validation`; `test` is read once, at the end."""

    train: Split
    validation: Split
    test: Split

    def near(self, device: torch.device | str) -> "Data":
        """The same data with what the search sees on the device, so that no batch has to be sent there."""
        if torch.device(device).type == "cpu":
            return self
        return replace(self, train=self.train.to(device), validation=self.validation.to(device))

    def digest(self) -> str:
        """SHA-256 over every split's bytes: part of the task's fingerprint."""
        total = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for piece in split.digest():
                total.update(piece)
        return total.hexdigest()

    @property
    def has_classes(self) -> bool:
        """Whether every example's label is one class."""
        return self.train.labels.dtype == torch.int64 and self.train.labels.dim() == 1

    @property
    def class_count(self) -> int:
        """One more than the largest label that lies in memory; 0 where the targets are not classes."""
        splits = (self.train, self.validation, self.test)
        if any(split.labels.dtype != torch.int64 for split in splits):
            return 0
        return 1 + max((int(split.labels.max()) for split in splits if len(split.labels)), default=-1)


def chunks(order: Tensor, size: int) -> list[Tensor]:
    """The order in pieces of `size`; a last piece of one joins its neighbour, as a batch norm cannot train on one."""
    pieces = list(torch.split(order, size))
    if len(pieces) > 1 and len(pieces[-1]) == 1 < size:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces


def even_sample(split: Split, size: int, order: torch.Generator) -> Split:
    """At most `size` examples in random order, every prefix holding the classes (if any) as evenly as can be."""
    shuffled = torch.randperm(len(split), generator=order)
    labels = split.labels.cpu()
    if labels.dtype != torch.int64 or labels.shape != (len(split),):
        return split.part(shuffled[:size].to(split.labels.device))
    labels = labels[shuffled]
    places = torch.empty_like(labels)
    for label in torch.unique(labels):
        mine = labels == label
        places[mine] = torch.arange(int(mine.sum()))
    return split.part(shuffled[places.argsort(stable=True)][:size].to(split.labels.device))

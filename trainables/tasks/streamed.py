"""Splits that do not lie in memory: a map-style data set that is read, and may change its examples, as it goes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, default_collate

from sparsweep.trainables.tasks.augment import augmented
from sparsweep.trainables.tasks.split import Split, chunks

MOST_IN_MEMORY = 1 << 30
"""Bytes of inputs up to which a split is read into memory."""
ASKED_TWICE = 8
DIGESTED = 256


class _Epoch(Sampler[list[int]]):
    """Which examples come next, batch by batch; set anew for every epoch."""

    batches: Sequence[list[int]] = ()

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


@dataclass(frozen=True, kw_only=True)
class StreamedSplit(Split):
    """`inputs` is empty and tells shape and type, and so may `labels`; the examples come from `source`."""

    source: Any
    """`source[i]` is an input and its label."""
    _loaders: dict[int, tuple["DataLoader[Any]", "_Epoch"]] = field(default_factory=dict, repr=False, compare=False)
    """By the number of readers."""

    def __len__(self) -> int:
        return len(self.source)

    @property
    def constant(self) -> bool:
        return False

    def to(self, device: torch.device | str) -> "StreamedSplit":
        return self

    def raw(self, which: Tensor) -> Tensor:
        return self._collated(which.tolist())[0]

    def part(self, which: Tensor | slice) -> Split:
        numbers = range(len(self))[which] if isinstance(which, slice) else which.tolist()
        inputs, labels = self._collated(numbers)
        return Split(inputs=self._ready(inputs), labels=labels)

    def batches(
        self, order: Tensor, batch_size: int, *, augment: str = "none", variants: Tensor | None = None,
        workers: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
        loader, epoch = self._loader(workers)
        epoch.batches = [each.tolist() for each in chunks(order.cpu(), batch_size)]
        how = chunks(order if variants is None else variants, batch_size)
        try:
            for (inputs, labels), which in zip(loader, how, strict=True):
                yield self._ready(augmented(inputs, augment, which)), labels
        except Exception:
            self._loaders.pop(workers, None)  # its readers may be dead
            raise

    def _loader(self, workers: int) -> tuple["DataLoader[Any]", "_Epoch"]:
        """The reader of this split. Its processes stay from epoch to epoch: starting them takes a third of a second."""
        if workers not in self._loaders:
            epoch = _Epoch()
            self._loaders[workers] = (
                DataLoader(
                    self.source, batch_sampler=epoch, num_workers=workers, persistent_workers=workers > 0,
                    pin_memory=torch.cuda.is_available(),
                ),
                epoch,
            )  # fmt: skip
        return self._loaders[workers]

    def digest(self) -> Iterator[bytes]:
        """Number of examples, and some of them, evenly spaced: all would have to be read."""
        yield str((len(self), self.example_shape, self.mean, self.std)).encode()
        few = self.part(torch.arange(0, len(self), max(1, len(self) // DIGESTED)))
        yield from few.digest()

    def _collated(self, numbers: Any) -> tuple[Tensor, Tensor]:
        inputs, labels = default_collate([self.source[number] for number in numbers])
        return inputs, labels


def split_of(source: Any, what: str, *, random_allowed: bool) -> Split:
    """A split of a map-style data set: in memory where it is small and always the same, else streamed.

    Args:
        what: how the split is called in messages.
        random_allowed: whether its examples may differ from time to time, as training images do.

    Raises:
        ValueError: it is empty, its examples are not pairs of tensors, or they may not differ and do.
    """
    count = len(source)
    if count == 0:
        raise ValueError(f"{what} is empty: it needs at least one example")
    asked = range(0, count, max(1, count // ASKED_TWICE))
    try:
        first, again = ([default_collate([source[at]]) for at in asked] for _ in range(2))
        streamed = StreamedSplit(
            inputs=first[0][0][:0], labels=first[0][1][:0], source=source
        )  # fmt: skip
        constant = all(
            torch.equal(a, b) for one, two in zip(first, again, strict=True) for a, b in zip(one, two, strict=True)
        )
    except (TypeError, IndexError, KeyError, AttributeError, ValueError) as fault:
        said = " ".join(str(fault).split())
        raise ValueError(
            f"an example of {what} is not a pair of an input and a label ({type(fault).__name__}: {said}): "
            "return two tensors, or a tensor and a number"
        ) from fault
    if not constant and not random_allowed:
        raise ValueError(f"{what} gives another example each time it is asked: only training data may change")
    size = count * first[0][0].nbytes
    if not constant or size > MOST_IN_MEMORY:
        return streamed
    inputs, labels = streamed._collated(range(count))
    return Split(inputs=inputs, labels=labels)

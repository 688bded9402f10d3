"""Splits that are read as they go: readers stay from epoch to epoch, and new ones come where one has died."""

import os

import pytest
import torch
from torch import Tensor

from sparsweep.trainables.tasks.streamed import StreamedSplit


class Source:
    """Ten examples; each label is the process that read it. Example 7 kills or fails where it is told to."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def __len__(self) -> int:
        return 10

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        if number == 7 and self.fault:
            if self.fault == "dies":
                os._exit(3)
            raise RuntimeError("example 7 cannot be read")
        return torch.full((1,), float(number)), os.getpid()


def split(fault: str = "") -> StreamedSplit:
    return StreamedSplit(inputs=torch.zeros(0, 1), labels=torch.zeros(0, dtype=torch.int64), source=Source(fault))


def epoch(of: StreamedSplit, numbers: list[int], workers: int) -> tuple[list[float], set[int]]:
    """What was read, and by which processes."""
    batches = list(of.batches(torch.tensor(numbers), 3, workers=workers))
    return [float(x) for inputs, _ in batches for x in inputs], {int(p) for _, pids in batches for p in pids}


@pytest.mark.parametrize("workers", [0, 1])
def test_every_epoch_has_an_order_of_its_own(workers: int) -> None:
    data = split()
    for numbers in ([3, 1, 2, 0], [9, 8], [0, 1, 2, 3, 4, 5, 6]):
        assert epoch(data, numbers, workers)[0] == numbers


def test_readers_stay_from_epoch_to_epoch() -> None:
    data = split()
    readers = [epoch(data, list(range(10)), 2)[1] for _ in range(3)]
    assert len(readers[0]) == 2
    assert os.getpid() not in readers[0]
    assert readers[0] == readers[1] == readers[2]


def test_an_epoch_that_was_left_in_the_middle_does_not_reach_into_the_next() -> None:
    data = split()
    half = data.batches(torch.arange(10), 2, workers=1)
    assert next(half)[0].flatten().tolist() == [0, 1]
    del half
    assert epoch(data, [5, 4], 1)[0] == [5, 4]


@pytest.mark.parametrize(("fault", "told"), [("dies", "exited unexpectedly"), ("fails", "example 7 cannot be read")])
def test_after_a_fault_there_are_new_readers(fault: str, told: str) -> None:
    data = split(fault)
    before = epoch(data, [0, 1], 1)[1]
    with pytest.raises(RuntimeError, match=told):
        epoch(data, [6, 7, 8], 1)
    read, after = epoch(data, [0, 1], 1)
    assert read == [0, 1]
    assert after != before

"""Accuracy: the share of labels that the largest output names, or a score of the user's own in its place."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sparsweep.trainables.tasks.split import Split

Score = Callable[[Tensor, Tensor], float | Tensor]
"""Of all outputs and all labels of a split: a number in [0, 1], higher is better."""


@torch.inference_mode()
def accuracy(
    net: nn.Module, split: Split, *, batch_size: int = 2048, score: Score | None = None, workers: int = 0
) -> float:
    """Share in [0, 1] over the whole split, in evaluation mode; the mode is put back.

    Args:
        score: stands in for accuracy; it is asked once, on the CPU, with all outputs and all labels.
        workers: processes that read examples which do not lie in memory.

    Raises:
        ValueError: the score is not a number in [0, 1].
    """
    was_training = net.training
    net.eval()
    device = next(net.parameters()).device
    right = count = 0
    told: list[tuple[Tensor, Tensor]] = []
    for inputs, labels in split.batches(torch.arange(len(split)), batch_size, workers=workers):
        outputs = net(inputs.to(device))
        if score is not None:
            told.append((outputs.float().cpu(), labels.cpu()))
        else:
            right += int((outputs.argmax(dim=1) == labels.to(device)).sum())
            count += labels.numel()
    net.train(was_training)
    if score is None:
        return right / count
    outputs, labels = (torch.cat(each) for each in zip(*told, strict=True))
    return checked_score(score(outputs, labels))


def checked_score(given: object) -> float:
    """The number that a user's score gave. Raises ValueError where it is none, or not in [0, 1]."""
    if isinstance(given, Tensor) and given.numel() == 1:
        given = given.item()
    if not isinstance(given, int | float) or not 0 <= given <= 1:
        what = f"{given:g}" if isinstance(given, int | float) else f"a value of type {type(given).__name__}"
        raise ValueError(f"the score is {what}; it must be a number from 0 to 1, and higher must be better")
    return float(given)

"""Accuracy: the share of examples whose largest logit is the label's."""

import torch
from torch import nn

from sparsweep.trainables.tasks.data import Split


@torch.inference_mode()
def accuracy(net: nn.Module, split: Split, *, batch_size: int = 2048) -> float:
    """Share in [0, 1] over the whole split, in evaluation mode; the mode is put back."""
    was_training = net.training
    net.eval()
    device = next(net.parameters()).device
    right = 0
    for inputs, labels in zip(
        torch.split(split.inputs, batch_size), torch.split(split.labels, batch_size), strict=True
    ):
        right += int((net(inputs.to(device)).argmax(dim=1) == labels.to(device)).sum())
    net.train(was_training)
    return right / len(split)

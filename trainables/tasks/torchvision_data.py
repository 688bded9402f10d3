"""CIFAR-10, CIFAR-100 and Fashion-MNIST: read or downloaded by torchvision under a data root."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparsweep.trainables.tasks.mnist import default_root
from sparsweep.trainables.tasks.torchvision_import import torchvision_datasets


def load_torchvision(name: str, root: Path | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images [n, channels, height, width] uint8 and labels [n] int64 of train and test.

    Raises:
        ValueError: they are not there and cannot be downloaded.
    """
    folder = default_root(root)
    source = getattr(torchvision_datasets(), name)
    found: list[Tensor] = []
    for train in (True, False):
        try:
            part = source(str(folder), train=train, download=False)
        except RuntimeError:
            part = _downloaded(source, name, folder, train=train)
        images, labels = torch.as_tensor(part.data), torch.as_tensor(part.targets).long()
        found += [images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2).contiguous(), labels]
    return found[0], found[1], found[2], found[3]


def _downloaded(source: type, name: str, folder: Path, *, train: bool) -> Any:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return source(str(folder), train=train, download=True)
    except (OSError, RuntimeError) as fault:
        reason = str(fault).strip().splitlines()[-1] if str(fault).strip() else type(fault).__name__
        raise ValueError(
            f"{name} is not under {folder} and cannot be downloaded ({reason}): give --data-root a folder that "
            f"holds it as torchvision.datasets.{name} keeps it"
        ) from fault

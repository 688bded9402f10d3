"""Random changes of training images, whole batches at a time."""

import torch
from torch import Tensor
from torch.nn import functional as F

AUGMENTS = ("none", "shift1", "crop_flip")


def augmented(images: Tensor, name: str, draw: torch.Generator | None) -> Tensor:
    """A batch [n, channels, height, width], changed; the same numbers give the same changes on every device.

    Args:
        name: `none`; `shift1`, a shift by up to one pixel in each direction; or `crop_flip`, a crop of the image
            padded by 4 and a flip of every second one, as is usual for CIFAR. What comes in from outside is zero.
        draw: a generator of the CPU.

    Raises:
        ValueError: the inputs are no images.
    """
    if name == "none":
        return images
    if images.dim() != 4:
        raise ValueError(f"augment: {name} needs images [channels, height, width], not {list(images.shape[1:])}")
    pad = 1 if name == "shift1" else 4
    n, _, height, width = images.shape
    down, right = torch.randint(2 * pad + 1, (2, n, 1), generator=draw)
    rows, columns = down + torch.arange(height), torch.arange(width).expand(n, width)
    if name == "crop_flip":
        flipped = torch.rand(n, 1, generator=draw) < 0.5
        columns = torch.where(flipped, columns.flip(1), columns)
    rows, columns = rows.to(images.device), (right + columns).to(images.device)
    padded = F.pad(images, (pad, pad, pad, pad)).permute(0, 2, 3, 1)  # channels last: one row of them is one gather
    examples = torch.arange(n, device=images.device)[:, None, None]
    return padded[examples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

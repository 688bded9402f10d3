"""Random changes of training images, whole batches at a time.

Each way has a fixed number of variants, and an epoch draws one for every example: who knows an example's number and its
variant knows the image that a network was shown.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

PADS: Mapping[str, int] = {"none": 0, "shift1": 1, "crop_flip": 4}
"""By how many pixels an image may move in each direction."""
AUGMENTS = tuple(PADS)


def variant_count(name: str) -> int:
    """How many images one example may become.

    >>> variant_count("none"), variant_count("shift1"), variant_count("crop_flip")
    (1, 9, 162)
    """
    return (2 * PADS[name] + 1) ** 2 * (2 if name == "crop_flip" else 1)


def drawn_variants(name: str, count: int, draw: torch.Generator) -> Tensor:
    """A variant [count] int64 in [0, variant_count) for each of so many examples.

    Args:
        draw: a generator of the CPU; nothing is drawn where there is one variant.
    """
    if name == "none":
        return torch.zeros(count, dtype=torch.int64)
    places = 2 * PADS[name] + 1
    down, right = torch.randint(places, (2, count, 1), generator=draw)[:, :, 0]
    flipped = torch.rand(count, 1, generator=draw)[:, 0] < 0.5 if name == "crop_flip" else torch.zeros(count).bool()
    variants: Tensor = (flipped.long() * places + down) * places + right
    return variants


def augmented(images: Tensor, name: str, variants: Tensor | None) -> Tensor:
    """A batch [n, channels, height, width], changed; the same variants give the same images on every device.

    Args:
        name: `none`; `shift1`, a shift by up to one pixel in each direction; or `crop_flip`, a crop of the image
            padded by 4 and a flip of every second one, as is usual for CIFAR. What comes in from outside is zero.
        variants: [n] int64 on the CPU, as drawn; needed unless `none`.

    Raises:
        ValueError: the inputs are no images.
    """
    if name == "none":
        return images
    if images.dim() != 4:
        raise ValueError(f"augment: {name} needs images [channels, height, width], not {list(images.shape[1:])}")
    assert variants is not None
    pad, (n, _, height, width) = PADS[name], images.shape
    places = 2 * pad + 1
    flipped, down, right = variants // places**2, variants // places % places, variants % places
    rows, columns = down[:, None] + torch.arange(height), torch.arange(width).expand(n, width)
    columns = torch.where(flipped[:, None] > 0, columns.flip(1), columns)
    rows, columns = rows.to(images.device), (right[:, None] + columns).to(images.device)
    padded = F.pad(images, (pad, pad, pad, pad)).permute(0, 2, 3, 1)  # channels last: one row of them is one gather
    examples = torch.arange(n, device=images.device)[:, None, None]
    return padded[examples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

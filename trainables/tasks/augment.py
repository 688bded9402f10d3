"""Random changes of training images, whole batches at a time.

Each way has a fixed number of variants, and an epoch draws one for every example: who knows an example's number and its
variant knows the image that a network was shown.
"""

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

PADS: Mapping[str, int] = {"none": 0, "shift1": 1, "crop_flip": 4}
"""By how many pixels an image may move in each direction."""
AUGMENTS = (*PADS, "affine")
WARPS: Mapping[str, tuple[float, int]] = {
    "turn": (10.0, 9), "shear": (0.15, 5), "wide": (0.1, 5), "high": (0.1, 5), "down": (1.5, 7), "right": (1.5, 7),
}  # fmt: skip
"""What `affine` changes: by how much at most to either side (degrees, a share, pixels) and in how many even steps."""


def variant_count(name: str) -> int:
    """How many images one example may become.

    >>> variant_count("none"), variant_count("shift1"), variant_count("crop_flip"), variant_count("affine")
    (1, 9, 162, 55125)
    """
    if name == "affine":
        return prod(steps for _, steps in WARPS.values())
    return (2 * PADS[name] + 1) ** 2 * (2 if name == "crop_flip" else 1)


def drawn_variants(name: str, count: int, draw: torch.Generator) -> Tensor:
    """A variant [count] int64 in [0, variant_count) for each of so many examples.

    Args:
        draw: a generator of the CPU; nothing is drawn where there is one variant.
    """
    if name == "none":
        return torch.zeros(count, dtype=torch.int64)
    if name == "affine":
        return torch.randint(variant_count(name), (count,), generator=draw)
    places = 2 * PADS[name] + 1
    down, right = torch.randint(places, (2, count, 1), generator=draw)[:, :, 0]
    flipped = torch.rand(count, 1, generator=draw)[:, 0] < 0.5 if name == "crop_flip" else torch.zeros(count).bool()
    variants: Tensor = (flipped.long() * places + down) * places + right
    return variants


def augmented(images: Tensor, name: str, variants: Tensor | None) -> Tensor:
    """A batch [n, channels, height, width], changed; the same variants give the same images on every device, those of
    `affine` to within rounding.

    Args:
        name: `none`; `shift1`, a shift by up to one pixel in each direction; `crop_flip`, a crop of the image
            padded by 4 and a flip of every second one, as is usual for CIFAR; or `affine`, turned by up to 10 degrees,
            sheared by up to 0.15, stretched by up to 10 % in each direction and shifted by up to 1.5 pixels, as is
            usual for characters (without the elastic part of Simard et al. 2003, "Best practices for convolutional
            neural networks", section 2). What comes in from outside is zero.
        variants: [n] int64 on the CPU, as drawn; needed unless `none`.

    Raises:
        ValueError: the inputs are no images.
    """
    if name == "none":
        return images
    if images.dim() != 4:
        raise ValueError(f"augment: {name} needs images [channels, height, width], not {list(images.shape[1:])}")
    assert variants is not None
    return _warped(images, variants) if name == "affine" else _moved(images, name, variants)


def _moved(images: Tensor, name: str, variants: Tensor) -> Tensor:
    """The same pixels in other places."""
    pad, (n, _, height, width) = PADS[name], images.shape
    places = 2 * pad + 1
    flipped, down, right = variants // places**2, variants // places % places, variants % places
    rows, columns = down[:, None] + torch.arange(height), torch.arange(width).expand(n, width)
    columns = torch.where(flipped[:, None] > 0, columns.flip(1), columns)
    rows, columns = rows.to(images.device), (right[:, None] + columns).to(images.device)
    padded = F.pad(images, (pad, pad, pad, pad)).permute(0, 2, 3, 1)  # channels last: one row of them is one gather
    examples = torch.arange(n, device=images.device)[:, None, None]
    return padded[examples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _warped(images: Tensor, variants: Tensor) -> Tensor:
    """Each image under an affine map, read between the pixels in proportion; the type of the images stays."""
    drawn: dict[str, Tensor] = {}
    for what, (most, steps) in WARPS.items():
        drawn[what] = (variants % steps).double() * (2 * most / (steps - 1)) - most
        variants = variants // steps
    turn, (height, width) = drawn["turn"].deg2rad(), images.shape[2:]
    wide, high, shear = 1 + drawn["wide"], 1 + drawn["high"], drawn["shear"]
    across = torch.stack([turn.cos() * wide, (shear * turn.cos() - turn.sin()) * high], 1)
    along = torch.stack([turn.sin() * wide, (shear * turn.sin() + turn.cos()) * high], 1)
    about, by = torch.stack([across, along], 1), torch.stack([drawn["right"] / width, drawn["down"] / height], 1)
    maps = torch.cat([about, -2 * about @ by[:, :, None]], 2).float().to(images.device)  # to where a pixel is read
    places = F.affine_grid(maps, list(images.shape), align_corners=False)
    warped = F.grid_sample(images.float(), places, align_corners=False)
    return warped if images.is_floating_point() else warped.round_().to(images.dtype)

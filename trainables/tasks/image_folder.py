"""Images in folders: `train/CLASS/*.jpg`, `val/` (or `validation/`) and `test/` likewise, or one level of classes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from sparsweep.trainables.tasks.data import SPLIT_SEED, normalised
from sparsweep.trainables.tasks.split import Data, Split
from sparsweep.trainables.tasks.streamed import MOST_IN_MEMORY, StreamedSplit

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
LAYOUT = "it must hold train/CLASS/*.jpg and test/CLASS/*.jpg (and val/ if you like), or CLASS/*.jpg"
SHARES = {"validation": 0.1, "test": 0.1}

Listed = list[tuple[Path, int]]


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """Images [channels, height, width] uint8 and their classes, read when they are asked for."""

    files: Sequence[tuple[Path, int]]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, at: int) -> tuple[Tensor, int]:
        path, label = self.files[at]
        return read_image(path, self.shape), label


@lru_cache(maxsize=2)
def load_folder(root: Path | None, shape: tuple[int, ...] | None, *, skip_corrupt: bool = False) -> Data:
    """The images under a folder; splits that are not there are set apart from what is.

    Args:
        shape: channels (1 or 3), height and width that images are brought to; None wants all to be of one size.

    Raises:
        ValueError: the folder is not laid out so, a class is empty, or an image cannot be read.
    """
    if root is None:
        raise ValueError("data: imagefolder needs its folder: give --data-root, or data_root under task")
    parts = _listed(root)
    if skip_corrupt:
        parts = {part: [each for each in files if _is_readable(each[0])] for part, files in parts.items()}
    first = parts["train"][0][0]
    size = shape or _shape_of(first)
    if len(size) != 3 or size[0] not in (1, 3):
        raise ValueError(f"example_shape {list(size)} is no image's: write [3, height, width], or 1 for grey images")
    splits = {part: _split(ImageFiles(files=files, shape=size), shape is None) for part, files in parts.items()}
    return normalised(**splits)


def _listed(root: Path) -> dict[str, Listed]:
    names = {"train": "train", "val": "validation", "validation": "validation", "valid": "validation", "test": "test"}
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder that can be read: {LAYOUT}")
    folders = {names[each.name]: each for each in sorted(root.iterdir()) if each.is_dir() and each.name in names}
    if "train" not in folders:
        found = {"train": _files(root, _classes(root))}
    else:
        classes = _classes(folders["train"])
        found = {part: _files(folder, classes) for part, folder in folders.items()}
    order = torch.Generator().manual_seed(SPLIT_SEED)
    for part, share in SHARES.items():
        if part not in found:
            found["train"], found[part] = _apart(found["train"], share, order)
    return found


def _classes(folder: Path) -> list[str]:
    classes = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    if len(classes) < 2:
        raise ValueError(f"{folder} has {len(classes)} folders of classes, at least 2 are needed: {LAYOUT}")
    return classes


def _files(folder: Path, classes: Sequence[str]) -> Listed:
    """All images by class. Raises ValueError where a class has none, or a folder is no class of training."""
    here = _classes(folder)
    if odd := sorted(set(here) - set(classes)):
        raise ValueError(f"{folder} has the classes {', '.join(odd)}, which train has not: {', '.join(classes)}")
    found: Listed = []
    for label, name in enumerate(classes):
        files = sorted(f for f in (folder / name).rglob("*") if f.suffix.lower() in ENDINGS) if name in here else []
        if not files:
            raise ValueError(f"class {name} has no image in {folder / name}: remove its folder everywhere, or fill it")
        found += [(file, label) for file in files]
    return found


def _apart(files: Listed, share: float, order: torch.Generator) -> tuple[Listed, Listed]:
    shuffled = torch.randperm(len(files), generator=order).tolist()
    held = max(1, round(share * len(files)))
    return [files[at] for at in sorted(shuffled[held:])], [files[at] for at in sorted(shuffled[:held])]


def read_image(path: Path, shape: tuple[int, ...]) -> Tensor:
    """One image as bytes [channels, height, width]; larger or smaller ones are scaled and cut at the middle.

    Raises:
        ValueError: it cannot be read; it is named.
    """
    channels, height, width = shape
    try:
        with Image.open(path) as opened:
            image = opened.convert("L" if channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        said = " ".join(str(fault).split())
        raise ValueError(
            f"{path} cannot be read as an image ({type(fault).__name__}: {said}): repair it, remove it, or leave such "
            "images out with corrupt: skip under task"
        ) from fault
    if image.size != (width, height):
        scale = max(width / image.width, height / image.height)
        wide, high = max(width, round(image.width * scale)), max(height, round(image.height * scale))
        left, top = (wide - width) // 2, (high - height) // 2
        image = image.resize((wide, high), Image.Resampling.BILINEAR).crop((left, top, left + width, top + height))
    return torch.from_numpy(np.array(image)).view(height, width, channels).permute(2, 0, 1)


def _shape_of(path: Path) -> tuple[int, ...]:
    try:
        with Image.open(path) as image:
            return (1 if image.mode in ("1", "L") else 3, image.height, image.width)
    except (OSError, UnidentifiedImageError):
        return tuple(read_image(path, (3, 1, 1)).shape)


def _is_readable(path: Path) -> bool:
    try:
        read_image(path, (3, 1, 1))
    except ValueError:
        return False
    return True


def _split(images: ImageFiles, one_size: bool) -> Split:
    if one_size:
        _refuse_sizes(images)
    labels = torch.tensor([label for _, label in images.files])
    if len(images) * math.prod(images.shape) > MOST_IN_MEMORY:
        return StreamedSplit(inputs=torch.empty((0, *images.shape), dtype=torch.uint8), labels=labels, source=images)
    inputs = torch.empty((len(images), *images.shape), dtype=torch.uint8)
    for at, (path, _) in enumerate(images.files):
        inputs[at] = read_image(path, images.shape)
    return Split(inputs=inputs, labels=labels)


def _refuse_sizes(images: ImageFiles) -> None:
    for path, shape in _shapes(images.files):
        if shape[1:] != images.shape[1:]:
            raise ValueError(
                f"{path} is {shape[1]}x{shape[2]}, others are {images.shape[1]}x{images.shape[2]}: say what images are "
                "brought to with example_shape: [3, height, width] under task"
            )


def _shapes(files: Sequence[tuple[Path, int]]) -> Iterator[tuple[Path, tuple[int, ...]]]:
    for path, _ in files:
        yield path, _shape_of(path)

"""MNIST, read from torchvision's layout under a data root, or downloaded there by torchvision."""

import gzip
import os
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def load_mnist(root: Path | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images [60000, 1, 28, 28] and [10000, 1, 28, 28] in [0, 1], and their labels. Source: LeCun et al. 1998.

    The four original files, packed or not, are read from `root`/MNIST/raw, which may be read-only; where they are
    missing, torchvision downloads them.

    Raises:
        ValueError: they are not there and cannot be downloaded, or a file is not what it should be.
    """
    folder = default_root(root)
    raw = folder / "MNIST" / "raw"
    if not all(_find(raw, name) for names in FILES.values() for name in names):
        _download(folder)
    (train, train_labels), (test, test_labels) = (_read_pair(raw, *FILES[part]) for part in ("train", "test"))
    return _images(train), train_labels.long(), _images(test), test_labels.long()


def default_root(root: Path | None) -> Path:
    """`root`, or SPARSWEEP_DATA, or the user's cache folder."""
    if root is not None:
        return Path(root)
    return Path(os.environ.get("SPARSWEEP_DATA", Path.home() / ".cache" / "sparsweep" / "data"))


def _images(pixels: Tensor) -> Tensor:
    return pixels.float().div_(255).unsqueeze(1)


def _find(raw: Path, name: str) -> Path | None:
    try:
        return next((path for path in (raw / name, raw / f"{name}.gz") if path.is_file()), None)
    except PermissionError:
        return None


def _read_pair(raw: Path, images_name: str, labels_name: str) -> tuple[Tensor, Tensor]:
    images, labels = _read(raw, images_name), _read(raw, labels_name)
    if images.shape != (len(labels), 28, 28) or labels.dim() != 1 or not len(labels) or labels.max() > 9:
        raise ValueError(
            f"{raw / images_name} and {labels_name} are not MNIST (shapes {list(images.shape)} and "
            f"{list(labels.shape)}, not [n, 28, 28] and [n] of digits): delete them and fetch them again"
        )
    return images, labels


def _read(raw: Path, name: str) -> Tensor:
    """One IDX file of unsigned bytes: magic 0x0000080n, n big-endian sizes, the bytes."""
    path = _find(raw, name)
    if path is None:
        raise ValueError(f"{raw / name} is missing after the download: fetch the four MNIST files into {raw}")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        dims = content[3]
        shape = [int(n) for n in np.frombuffer(content, ">i4", count=dims, offset=4)]
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape)
        if content[:3] != b"\0\0\x08":
            raise ValueError("not an IDX file of bytes")
    except (OSError, EOFError, IndexError, ValueError, zlib.error) as fault:
        raise ValueError(f"{path} cannot be read as MNIST ({fault}): delete it and fetch it again") from fault
    return torch.from_numpy(values.copy())


def _download(folder: Path) -> None:
    from sparsweep.trainables.tasks.torchvision_import import torchvision_datasets

    what_to_do = f"give --data-root a folder that holds MNIST/raw/{FILES['train'][0]}.gz and its three fellows"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torchvision_datasets().MNIST(str(folder), download=True)
    except (OSError, RuntimeError) as fault:
        reason = str(fault).strip().splitlines()[-1] if str(fault).strip() else type(fault).__name__
        raise ValueError(f"MNIST is not under {folder} and cannot be downloaded ({reason}): {what_to_do}") from fault

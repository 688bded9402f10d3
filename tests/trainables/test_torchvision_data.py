"""Fashion-MNIST and CIFAR as torchvision keeps them: real files in its layouts, small."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparsweep.trainables.tasks import Task
from sparsweep.trainables.tasks.torchvision_data import load_torchvision
from sparsweep.trainables.tasks.torchvision_import import torchvision_datasets

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
META: dict[str, Any] = {"CIFAR10": ("batches.meta", "label_names", "labels"),
                        "CIFAR100": ("meta", "fine_label_names", "fine_labels")}  # fmt: skip


def idx(values: np.ndarray) -> bytes:
    sizes = b"".join(int(size).to_bytes(4, "big") for size in values.shape)
    return b"\0\0\x08" + bytes([values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def written_cifar(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four training images and two of test, in the files' own layout: rows of 3,072 bytes, colour by colour."""
    source = getattr(torchvision_datasets(), name)
    meta, names, labels = META[name]
    folder = root / source.base_folder
    folder.mkdir(parents=True)
    rows = PIXELS.reshape(6, -1)
    for file, which in (("first", slice(0, 4)), ("last", slice(4, 6))):
        (folder / file).write_bytes(pickle.dumps({"data": rows[which], labels: list(range(6))[which]}))
    (folder / meta).write_bytes(pickle.dumps({names: [f"class {at}" for at in range(6)]}))
    monkeypatch.setattr(source, "train_list", [["first", None]])  # the sums of the real files are not those of ours
    monkeypatch.setattr(source, "test_list", [["last", None]])
    monkeypatch.setattr(source, "meta", {**source.meta, "filename": meta, "key": names, "md5": None})


@pytest.mark.parametrize("name", META)
def test_cifar_is_read_colour_by_colour(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written_cifar(name, tmp_path, monkeypatch)
    train, labels, test, test_labels = load_torchvision(name, tmp_path)
    assert torch.equal(train, torch.from_numpy(PIXELS[:4]))
    assert torch.equal(test, torch.from_numpy(PIXELS[4:]))
    assert (labels.tolist(), test_labels.tolist()) == ([0, 1, 2, 3], [4, 5])
    assert labels.dtype == torch.int64


def test_fashion_mnist_is_split_and_normalised(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    draw = np.random.default_rng(1)
    for part, count in (("train", 5100), ("t10k", 40)):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(draw.integers(0, 256, (count, 28, 28))))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(count) % 10))
    data = Task(network="lenet-5", data="fashion-mnist", data_root=tmp_path).load()
    assert [len(split) for split in (data.train, data.validation, data.test)] == [100, 5000, 40]
    shown = data.train.part(slice(0, 100)).inputs
    assert shown.shape == (100, 1, 28, 28)
    assert abs(float(shown.mean())) < 0.05
    assert abs(float(shown.std()) - 1) < 0.05


@pytest.mark.parametrize("name", [*META, "FashionMNIST"])
def test_what_cannot_be_had_is_one_message(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(self: Any) -> None:
        raise RuntimeError("no route to host")

    monkeypatch.setattr(getattr(torchvision_datasets(), name), "download", unreachable)
    with pytest.raises(ValueError, match=f"{name} is not under {tmp_path} and cannot be downloaded .no route to host"):
        load_torchvision(name, tmp_path)

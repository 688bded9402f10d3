"""MNIST's four files: packed or plain, damaged, missing."""

import gzip
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sparsweep.trainables.tasks import Task, mnist
from sparsweep.trainables.tasks.mnist import FILES, default_root, load_mnist

IMAGES, LABELS = FILES["train"]


def _idx(values: np.ndarray) -> bytes:
    sizes = b"".join(int(size).to_bytes(4, "big") for size in values.shape)
    return b"\0\0\x08" + bytes([values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def _write(root: Path, *, packed: bool) -> Path:
    """Three training images, of brightness 0, 51 and 102, and two test images."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for (images, labels), count in zip(FILES.values(), (3, 2), strict=True):
        pixels = np.arange(count)[:, None, None] * 51 + np.zeros((count, 28, 28))
        for name, content in ((images, _idx(pixels)), (labels, _idx(np.arange(count) + 4))):
            if packed:
                (raw / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (raw / name).write_bytes(content)
    return raw


@pytest.mark.parametrize("packed", [True, False])
def test_packed_and_plain_files_are_read(tmp_path: Path, packed: bool) -> None:
    _write(tmp_path, packed=packed)
    train, labels, test, test_labels = load_mnist(tmp_path)
    assert train.shape == (3, 1, 28, 28)
    assert test.shape == (2, 1, 28, 28)
    assert train[:, 0, 14, 14].tolist() == [0, pytest.approx(0.2), pytest.approx(0.4)]
    assert labels.tolist() == [4, 5, 6]
    assert test_labels.tolist() == [4, 5]
    assert labels.dtype == torch.int64


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("left", [0, 3, 12, 100])
def test_a_truncated_file_is_named(tmp_path: Path, packed: bool, left: int) -> None:
    raw = _write(tmp_path, packed=packed)
    path = raw / (f"{IMAGES}.gz" if packed else IMAGES)
    path.write_bytes(path.read_bytes()[: min(left, path.stat().st_size - 5)])
    with pytest.raises(ValueError, match=f"{path} cannot be read as MNIST .*delete it and fetch it again"):
        load_mnist(tmp_path)


def test_flipped_bits_in_an_archive_are_named(tmp_path: Path) -> None:
    path = _write(tmp_path, packed=True) / f"{IMAGES}.gz"
    content = bytearray(path.read_bytes())
    content[12:20] = bytes(b ^ 0xFF for b in content[12:20])
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} cannot be read as MNIST"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"\0\0\x0d" + _idx(np.zeros((3, 28, 28)))[3:], b"<html>not found</html>"],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes) -> None:
    path = _write(tmp_path, packed=False) / IMAGES
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} cannot be read as MNIST"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (IMAGES, np.zeros((4, 28, 28))),
        (IMAGES, np.zeros((3, 32, 32))),
        (IMAGES, np.zeros(3)),
        (LABELS, np.full(3, 77)),
        (LABELS, np.zeros((3, 1))),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    tmp_path: Path,
    name: str,
    values: np.ndarray,
) -> None:
    (_write(tmp_path, packed=False) / name).write_bytes(_idx(values))
    with pytest.raises(ValueError, match=f"{IMAGES} and {LABELS} are not MNIST"):
        load_mnist(tmp_path)


def _no_network(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    def download(root: str, download: bool) -> None:
        raise fault

    monkeypatch.setattr(
        "sparsweep.trainables.tasks.torchvision_import.torchvision_datasets", lambda: SimpleNamespace(MNIST=download)
    )


@pytest.mark.parametrize("fault", [OSError("network is unreachable"), RuntimeError("Error downloading\nno route")])
def test_what_is_missing_and_cannot_be_downloaded_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    _no_network(monkeypatch, fault)
    last = str(fault).splitlines()[-1]
    with pytest.raises(
        ValueError, match=rf"not under {tmp_path} and cannot be downloaded \({last}\): give --data-root"
    ):
        load_mnist(tmp_path)


def test_one_missing_file_is_enough_to_ask_for_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (_write(tmp_path, packed=True) / f"{LABELS}.gz").unlink()
    _no_network(monkeypatch, OSError("offline"))
    with pytest.raises(ValueError, match=r"cannot be downloaded \(offline\)"):
        load_mnist(tmp_path)


def test_a_download_that_brings_nothing_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "_download", lambda folder: None)
    with pytest.raises(ValueError, match=f"{IMAGES} is missing after the download: fetch the four MNIST files into"):
        load_mnist(tmp_path)


def test_a_data_root_that_is_a_file_is_explained(tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_text("")
    with pytest.raises(ValueError, match=f"MNIST is not under {root} and cannot be downloaded"):
        load_mnist(root)


def test_a_folder_that_may_not_be_entered_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    _write(tmp_path, packed=True)
    monkeypatch.setattr(Path, "is_file", denied)
    _no_network(monkeypatch, PermissionError(13, "Permission denied"))
    with pytest.raises(ValueError, match=f"not under {tmp_path} .*Permission denied"):
        load_mnist(tmp_path)


def test_the_root_is_given_or_the_environments_or_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSWEEP_DATA", "/somewhere")
    assert default_root(tmp_path) == tmp_path
    assert default_root(None) == Path("/somewhere")
    monkeypatch.delenv("SPARSWEEP_DATA")
    assert default_root(None) == Path.home() / ".cache" / "sparsweep" / "data"


@pytest.fixture
def real_root() -> Path:
    """A folder with the real MNIST: SPARSWEEP_TEST_DATA, or ../shared/data beside the repository."""
    repository = Path(__file__).resolve().parents[2]
    root = Path(os.environ.get("SPARSWEEP_TEST_DATA", repository.parent / "shared" / "data"))
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST under {root}: set SPARSWEEP_TEST_DATA to a folder that holds MNIST/raw")
    return root


def test_the_real_mnist_is_split_into_55000_5000_10000(real_root: Path) -> None:
    data = Task(network="lenet-5", data="mnist", data_root=real_root).load()
    assert [len(split) for split in (data.train, data.validation, data.test)] == [55_000, 5_000, 10_000]
    assert data.train.inputs.shape[1:] == (1, 28, 28)
    assert float(data.train.inputs.max()) == 1

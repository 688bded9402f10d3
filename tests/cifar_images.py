"""Some of the real CIFAR-10 images, as folders of JPEG files."""

import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest

TRAIN, TEST = 20, 5
"""Of each class."""


@pytest.fixture(scope="session")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 training and 5 test images of each class of the real set."""
    here = Path(__file__).parents[1]
    archive = Path(os.environ.get("SPARSWEEP_TEST_DATA", here.parent / "shared" / "data")) / "cifar10-jpeg.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no {archive}: set SPARSWEEP_TEST_DATA to a folder that holds it")
    folder, taken = tmp_path_factory.mktemp("cifar"), Counter[str]()
    with tarfile.open(archive) as images:
        for member in images:
            place = str(Path(member.name).parent)
            if member.isfile() and taken[place] < (TRAIN if "train" in place else TEST):
                taken[place] += 1
                images.extract(member, folder, filter="data")
    return folder

"""Image folders, augmentation, and networks for small images."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sparsweep.trainables.attempt import run_trial
from sparsweep.trainables.record import TrialFolder
from sparsweep.trainables.tasks import IMAGE_NETWORKS, Task
from sparsweep.trainables.tasks import streamed as streaming
from sparsweep.trainables.tasks.augment import augmented, drawn_variants, variant_count
from sparsweep.trainables.tasks.image_folder import load_folder
from sparsweep.trainables.tasks.soundness import check_task
from sparsweep.trainables.tasks.streamed import StreamedSplit
from sparsweep.trainables.tasks.torchvision_networks import zoo, zoo_network
from sparsweep.trainables.trial import TrialPlan
from tests.trainables.nets import tensor


def write_images(folder: Path, count: int, *, size: tuple[int, int] = (8, 6), classes: str = "ab") -> None:
    """Grey-ish images, each class of its own brightness; size is width, height."""
    draw = np.random.default_rng(0)
    for place, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for at in range(count):
            pixels = draw.integers(60 * place, 60 * place + 60, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{at:02}.png")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_images(tmp_path / "train", 10)
    write_images(tmp_path / "test", 3)
    return tmp_path


def test_a_folder_is_split_and_normalised(images: Path) -> None:
    data = load_folder(images, None)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [18, 2, 6]
    whole = data.train.part(slice(None)).inputs
    assert whole.shape == (18, 3, 6, 8)
    assert torch.allclose(whole.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(whole.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-3)
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_one_folder_of_classes_is_split_once_and_for_all(tmp_path: Path) -> None:
    write_images(tmp_path, 20)
    data = load_folder(tmp_path, None)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [32, 4, 4]
    load_folder.cache_clear()
    assert load_folder(tmp_path, None).digest() == data.digest()


def test_images_are_brought_to_the_shape_that_is_asked_for(images: Path) -> None:
    assert load_folder(images, (1, 4, 4)).train.example_shape == (1, 4, 4)


def test_images_beyond_memory_are_read_as_they_are_needed(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = load_folder(images, None)
    monkeypatch.setattr("sparsweep.trainables.tasks.image_folder.MOST_IN_MEMORY", 0)
    load_folder.cache_clear()
    outside = load_folder(images, None)
    assert isinstance(outside.train, StreamedSplit)
    order = torch.tensor([5, 0, 17])
    for workers in (0, 1):
        (got,) = outside.train.batches(order, 8, workers=workers)
        (kept,) = inside.train.batches(order, 8)
        assert torch.allclose(got[0], kept[0])
        assert torch.equal(got[1], kept[1])
    assert streaming.MOST_IN_MEMORY > 0
    load_folder.cache_clear()


def test_an_empty_class_is_named(images: Path) -> None:
    for file in (images / "test" / "b").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=r"class b has no image in .*test/b: remove its folder everywhere, or fill it"):
        load_folder(images, None)


def test_a_corrupt_image_is_named_and_skipped_only_when_asked(images: Path) -> None:
    (images / "train" / "a" / "03.png").write_bytes(b"\x89PNG no image")
    with pytest.raises(ValueError, match=r"train/a/03.png cannot be read as an image .*corrupt: skip"):
        load_folder(images, (3, 6, 8))
    assert len(load_folder(images, (3, 6, 8), skip_corrupt=True).train) == 17


def test_other_faults_of_a_folder(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs its folder: give --data-root"):
        load_folder(None, None)
    with pytest.raises(ValueError, match="is not a folder that can be read: it must hold train/CLASS"):
        load_folder(tmp_path / "gone", None)
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match="has 0 folders of classes, at least 2 are needed"):
        load_folder(tmp_path / "bare", None)
    Image.new("RGB", (5, 5)).save(images / "train" / "a" / "odd.png")
    with pytest.raises(ValueError, match=r"odd.png is 5x5, others are 6x8: say what images are brought to"):
        load_folder(images, None)
    write_images(images / "test", 1, classes="c")
    with pytest.raises(ValueError, match="test has the classes c, which train has not: a, b"):
        load_folder(images, (3, 4, 4))


# Augmentation ---------------------------------------------------------------------------------------------------


def test_a_shift_moves_by_one_pixel_at_most_and_brings_in_zeros() -> None:
    image = tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]).expand(200, 1, 3, 3)
    moved = augmented(image, "shift1", drawn_variants("shift1", 200, torch.Generator().manual_seed(0)))
    seen = Counter(str(each.int().tolist()) for each in moved[:, 0])
    assert len(seen) == 9
    assert str([[0, 0, 0], [0, 1, 2], [0, 4, 5]]) in seen


@pytest.mark.parametrize("name", ["shift1", "crop_flip"])
def test_every_variant_is_another_image(name: str) -> None:
    image = torch.arange(1, 82).float().view(1, 1, 9, 9)
    count = variant_count(name)
    made = augmented(image.expand(count, 1, 9, 9), name, torch.arange(count))
    assert len({str(each.tolist()) for each in made}) == count == {"shift1": 9, "crop_flip": 162}[name]
    drawn = drawn_variants(name, 20 * count, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == set(range(count))


def test_an_affine_change_turns_stretches_and_moves_little() -> None:
    """A spot of light stays as bright as it was, within a tenth either way, and near where it was."""
    count = variant_count("affine")
    variants = torch.arange(0, count, 11)
    spots = {place: torch.zeros(1, 1, 29, 29) for place in ((14, 14), (14, 22))}
    places = torch.stack(torch.meshgrid(torch.arange(29.0), torch.arange(29.0), indexing="ij"))
    for (row, column), image in spots.items():
        image[0, 0, row - 1 : row + 2, column - 1 : column + 2] = 1
        made = augmented(image.expand(len(variants), 1, 29, 29), "affine", variants)
        light = made.sum((1, 2, 3))
        centre = torch.einsum("nij,kij->nk", made[:, 0], places) / light[:, None]
        moved = centre - tensor([row, column])
        if (row, column) == (14, 14):  # what is in the middle is only moved
            assert {round(each, 1) for each in moved.flatten().tolist()} == {-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5}
        else:  # 8 pixels beside it: 10 degrees are 1.4 pixels up or down, a tenth is .8 to the side
            assert 2.7 < moved[:, 0].abs().max() < 3.3
            assert 2.1 < moved[:, 1].abs().max() < 2.7
        assert 0.8 * 9 < light.min() < 0.9 * 9
        assert 1.1 * 9 < light.max() < 1.3 * 9
    still = augmented(image, "affine", torch.tensor([((((3 * 7 + 3) * 5 + 2) * 5 + 2) * 5 + 2) * 9 + 4]))
    assert torch.allclose(still, image, atol=1e-5)


def test_an_affine_change_keeps_the_type_and_repeats() -> None:
    image = torch.randint(0, 256, (60, 3, 12, 10), dtype=torch.uint8)
    drawn = [drawn_variants("affine", 60, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert len(set(drawn[0].tolist())) > 50
    first, again = (augmented(image, "affine", variants) for variants in drawn)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    exact = augmented(image.float(), "affine", drawn[0])
    assert (exact - first.float()).abs().max() <= 0.5
    assert not torch.equal(exact, image.float())
    with pytest.raises(ValueError, match=r"affine needs images \[channels, height, width\], not \[7\]"):
        augmented(torch.zeros(3, 7), "affine", None)


def test_crops_are_flipped_half_of_the_time_and_repeat_by_seed() -> None:
    image = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8).expand(400, 1, 8, 8)
    drawn = [drawn_variants("crop_flip", 400, torch.Generator().manual_seed(5)) for _ in range(2)]
    first, again = (augmented(image, "crop_flip", variants) for variants in drawn)
    assert torch.equal(first, again)
    inner = first[:, 0, 3].int()
    flipped = [row.tolist() == sorted(row.tolist(), reverse=True) for row in inner if (row > 0).all()]
    assert 0.3 < sum(flipped) / len(flipped) < 0.7
    with pytest.raises(ValueError, match=r"shift1 needs images \[channels, height, width\], not \[7\]"):
        augmented(torch.zeros(3, 7), "shift1", None)


# Networks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("resnet20", 272_474), ("resnet56", 855_770), ("vgg16", 14_724_042), ("wrn-16-4", 2_748_890)],
)
def test_cifar_networks_have_their_published_sizes(name: str, parameters: int) -> None:
    net = IMAGE_NETWORKS[name].build(3, 10)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    assert net.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_stem_for_small_images_keeps_the_map_large() -> None:
    net = zoo_network("torchvision/resnet18", 10, 1, "cifar")
    assert isinstance(net.conv1, nn.Conv2d)
    assert (net.conv1.in_channels, net.conv1.kernel_size, net.conv1.stride) == (1, (3, 3), (1, 1))
    assert isinstance(net.maxpool, nn.Identity)
    assert "torchvision/vit_b_16" in zoo()


# The real images ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["resnet20", "torchvision/resnet18"])
def test_real_images_are_learnt_and_the_network_pruned(network: str, cifar: Path, tmp_path: Path) -> None:
    task = Task(network=network, data="imagefolder", data_root=cifar)
    check_task(task)
    assert [len(split) for split in (task.load().train, task.load().validation, task.load().test)] == [180, 20, 50]
    plan = TrialPlan(
        number=0, setting={"method": "group_lasso", "granularity": "filter"}, seed=0, task=task,
        fixed={"epochs": 1, "cuts": 1, "finetune_epochs": 0, "batch_size": 32, "augment": "crop_flip"},
    )  # fmt: skip
    record = run_trial(plan, TrialFolder(tmp_path), debug=True)
    assert min(point.macs / point.dense_macs for point in record.points) < 0.2

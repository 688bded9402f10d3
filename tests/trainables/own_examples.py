"""Networks, data, losses and scores as a user might bring them: sound ones first, then one for each fault."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset


class Plain(nn.Module):
    """conv 3→8, norm, conv 8→8 on a shortcut, mean, linear."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Any:
        x = F.relu(self.norm(self.conv(x)))
        return self.head((x + F.relu(self.deep(x))).mean(dim=(2, 3)))


def build(num_classes: int) -> nn.Module:
    return Plain(num_classes)


def regressor() -> nn.Module:
    return Plain(1)


def segmenter() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
                         nn.Conv2d(8, 2, 1))  # fmt: skip


def _images(count: int, seed: int) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def _brightest(images: Tensor) -> Tensor:
    """Which quarter of the image is brightest: 0 to 3."""
    return F.avg_pool2d(images.mean(dim=1, keepdim=True), 4).flatten(1).argmax(dim=1)


def load() -> dict[str, tuple[Tensor, Tensor]]:
    train, test = _images(90, 1), _images(30, 2)
    return {"train": (train, _brightest(train)), "test": (test, _brightest(test))}


def load_pairs() -> tuple[Any, Any, Any]:
    return tuple((images, _brightest(images)) for images in (_images(40, 1), _images(20, 2), _images(20, 3)))  # type: ignore[return-value]


def load_brightness() -> dict[str, Any]:
    """A number to be predicted: the mean of the first channel, stretched."""
    parts = {"train": _images(90, 1), "test": _images(30, 2)}
    return {name: (images, images[:, :1].mean(dim=(2, 3)) * 4) for name, images in parts.items()}


def load_segments() -> dict[str, Any]:
    """A class for every pixel: is the first channel brighter than the second?"""
    parts = {"train": _images(90, 1), "test": _images(30, 2)}
    return {name: (images, (images[:, 0] > images[:, 1]).long()) for name, images in parts.items()}


def squared(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.mse_loss(outputs, labels)


def within(outputs: Tensor, labels: Tensor) -> Tensor:
    """Share of predictions that are off by less than a quarter."""
    return ((outputs - labels).abs() < 0.25).float().mean()


class Images(Dataset[tuple[Tensor, int]]):
    """The same examples, one at a time; changed each time where `noise` is not 0."""

    def __init__(self, count: int, noise: float) -> None:
        self.images, self.noise = _images(count, 1), noise

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, at: int) -> tuple[Tensor, int]:
        image = self.images[at]
        return image + self.noise * torch.rand(()), int(_brightest(image[None]))


def load_datasets() -> dict[str, Any]:
    return {"train": Images(40, 0.1), "validation": Images(20, 0), "test": Images(20, 0)}


# Faults -------------------------------------------------------------------------------------------------------------

constant = 3


def build_nothing() -> None:
    pass


def build_wanting(depth: int) -> nn.Module:
    return Plain(depth)


def build_raising() -> nn.Module:
    raise RuntimeError("no such layer")


class Other(Plain):
    def forward(self, x: Tensor) -> Any:
        return self.other(super().forward(x), x)

    def other(self, out: Tensor, x: Tensor) -> Any:
        return out


def tuple_net() -> nn.Module:
    return type("T", (Other,), {"other": lambda self, out, x: (out, x)})()  # type: ignore[no-any-return]


def dict_net() -> nn.Module:
    return type("D", (Other,), {"other": lambda self, out, x: {"out": out}})()  # type: ignore[no-any-return]


def fixed_batch() -> nn.Module:
    return type("B", (Other,), {"other": lambda self, out, x: out.view(1, 4)})()  # type: ignore[no-any-return]


def mixing() -> nn.Module:
    return type("M", (Other,), {"other": lambda self, out, x: out - out.mean(dim=0)})()  # type: ignore[no-any-return]


def in_place() -> nn.Module:
    return type("I", (Other,), {"other": lambda self, out, x: _spoiled(out)})()  # type: ignore[no-any-return]


def _spoiled(out: Tensor) -> Tensor:
    grown = out.exp()
    grown[:, 0] = 0  # what exp needs for its gradient is gone
    return grown


def idle() -> nn.Module:
    net = Plain(4)
    net.spare = nn.Linear(2, 2)
    return net


def wide_input() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(10, 4))


def volumes() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 4, 3, padding=1), nn.Flatten(), nn.Linear(768, 4))


def load_nothing() -> None:
    pass


def load_odd() -> dict[str, int]:
    return {"training": 1}


def load_unpaired() -> dict[str, Any]:
    return {"train": (_images(9, 1), torch.zeros(8).long()), "test": load()["test"]}


def load_nan() -> dict[str, Any]:
    images, labels = load()["train"]
    images[3, 0, 0, 0] = float("nan")
    return {"train": (images, labels), "validation": load()["test"], "test": load()["test"]}


def load_negative() -> dict[str, Any]:
    images, labels = load()["train"]
    return {"train": (images, labels - 1), "test": load()["test"]}


def load_other_shapes() -> dict[str, Any]:
    images, labels = load()["test"]
    return {"train": load()["train"], "test": (images[:, :, 1:], labels)}


def load_random_test() -> dict[str, Any]:
    return {**load_datasets(), "test": Images(20, 0.1)}


def load_text() -> dict[str, Any]:
    return {"train": (torch.zeros(9, 4).long(), torch.zeros(9).long()), "test": load()["test"]}


def load_raising() -> None:
    raise FileNotFoundError("no images here")


def vector_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs - labels) ** 2


def high_score(outputs: Tensor, labels: Tensor) -> float:
    return 17.0

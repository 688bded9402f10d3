"""torchvision's networks for classification, `torchvision/NAME`."""

from typing import Any

from torch import nn

from sparsweep.spaces.catalogue import ZOO
from sparsweep.spaces.faults import nearest
from sparsweep.trainables.tasks.torchvision_import import torchvision_part

STEMS = ("imagenet", "cifar")


def is_zoo(name: str) -> bool:
    """Whether the name is one of torchvision's."""
    return name.startswith(ZOO)


def zoo() -> list[str]:
    """What torchvision has."""
    models = torchvision_part("models")
    return [f"{ZOO}{name}" for name in models.list_models(module=models)]


def zoo_network(name: str, classes: int, channels: int, stem: str) -> nn.Module:
    """A network of torchvision without weights.

    Args:
        stem: `cifar` takes the first convolution with stride 1 (a 7x7 becomes 3x3) and leaves out the pooling behind
            it, for images of about 32x32; `imagenet` leaves the network as it is.

    Raises:
        ValueError: there is no such network, or it has not the stem that is to be changed.
    """
    models, known = torchvision_part("models"), zoo()
    if name not in known:
        raise ValueError(
            f"torchvision has no network {name!r}{nearest(name, known)}: see torchvision.models.list_models"
        )
    given: dict[str, Any] = {"num_classes": classes}
    short = name.removeprefix(ZOO)
    if short in ("googlenet", "inception_v3"):
        given |= {"aux_logits": False, "init_weights": True}
    net: nn.Module = models.get_model(short, weights=None, **given)
    first = next(path for path, module in net.named_modules() if isinstance(module, nn.Conv2d))
    if stem == "cifar":
        _small_images(net, first, name)
    if channels != 3:
        _replace(net, first, channels)
    return net


def _small_images(net: nn.Module, first: str, name: str) -> None:
    conv = net.get_submodule(first)
    assert isinstance(conv, nn.Conv2d)
    if conv.stride[0] == 1 or conv.kernel_size[0] == conv.stride[0]:
        raise ValueError(f"stem: cifar does not fit {name}, whose first convolution ({first}) is {conv}: leave it out")
    _replace(net, first, conv.in_channels, kernel=3, stride=1)
    if isinstance(getattr(net, "maxpool", None), nn.MaxPool2d):  # ResNet and its kin, ShuffleNet
        net.maxpool = nn.Identity()
    elif isinstance(getattr(getattr(net, "features", None), "pool0", None), nn.MaxPool2d):  # DenseNet
        net.get_submodule("features").pool0 = nn.Identity()


def _replace(net: nn.Module, path: str, channels: int, kernel: int | None = None, stride: int | None = None) -> None:
    """Puts a fresh convolution of another size in the place of one, initialised as in He et al. 2015."""
    old = net.get_submodule(path)
    assert isinstance(old, nn.Conv2d)
    size: Any = kernel or old.kernel_size
    padding: Any = kernel // 2 if kernel else old.padding
    fresh = nn.Conv2d(
        channels, old.out_channels, size, stride or old.stride, padding, bias=old.bias is not None  # type: ignore[arg-type]
    )  # fmt: skip
    nn.init.kaiming_normal_(fresh.weight, mode="fan_out", nonlinearity="relu")
    setattr(net.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2], fresh)

"""Networks in their forms for small images: ResNet-20 and -56, VGG-16 and WRN-16-4. Images of any even size will do."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm beside a shortcut: He et al. 2016, arXiv:1512.03385, section 4.2.

    Where shape changes the shortcut is a 1x1 convolution with batch norm (option B). The paper's zero padding of the
    channels (option A) would tie the numbers of the stages' channels to each other.
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] to [n, width, h / stride, w / stride]."""
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class WideBlock(nn.Module):
    """Norm before convolution, twice, beside a shortcut: Zagoruyko and Komodakis 2016, arXiv:1605.07146."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        changes = stride != 1 or inputs != width
        self.shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] to [n, width, h / stride, w / stride]."""
        active = F.relu(self.norm1(x))
        out: Tensor = self.conv2(F.relu(self.norm2(self.conv1(active))))
        beside: Tensor = x if self.shortcut is None else self.shortcut(active)
        return beside + out


def cifar_resnet(depth: int, channels: int, classes: int) -> nn.Module:
    """ResNet of 6n + 2 layers, widths 16-32-64 (arXiv:1512.03385, section 4.2); 20 layers have 272,474 parameters."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(channels, 16, 3, padding=1, bias=False), norm=nn.BatchNorm2d(16), relu=nn.ReLU()
    )
    inputs = 16
    for stage, width in enumerate((16, 32, 64), start=1):
        for block in range((depth - 2) // 6):
            layers[f"stage{stage}_{block}"] = BasicBlock(inputs, width, 2 if stage > 1 and block == 0 else 1)
            inputs = width
    layers |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), head=nn.Linear(64, classes))
    return _he(nn.Sequential(layers))


def wrn_16_4(channels: int, classes: int) -> nn.Module:
    """Wide ResNet of 16 layers, widths 64-128-256, without dropout (arXiv:1605.07146); 2.7 million parameters."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=nn.Conv2d(channels, 16, 3, padding=1, bias=False))
    inputs = 16
    for stage, width in enumerate((64, 128, 256), start=1):
        for block in range(2):
            layers[f"stage{stage}_{block}"] = WideBlock(inputs, width, 2 if stage > 1 and block == 0 else 1)
            inputs = width
    layers |= OrderedDict(
        norm=nn.BatchNorm2d(256), relu=nn.ReLU(), pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(),
        head=nn.Linear(256, classes),
    )  # fmt: skip
    return _he(nn.Sequential(layers))


VGG16_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
"""Of the convolutions; 0 stands for a pooling."""


def cifar_vgg16(channels: int, classes: int) -> nn.Module:
    """VGG-16 (arXiv:1409.1556) with batch norm and one linear layer, as is usual for CIFAR: 14.7 million parameters.

    Instead of the fifth pooling the whole map is averaged, which for 32x32 images is the same size.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = channels
    for at, width in enumerate(VGG16_WIDTHS):
        if width == 0:
            layers[f"pool{at}"] = nn.MaxPool2d(2)
            continue
        layers[f"conv{at}"] = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        layers[f"norm{at}"] = nn.BatchNorm2d(width)
        layers[f"relu{at}"] = nn.ReLU()
        inputs = width
    layers |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), head=nn.Linear(512, classes))
    return _he(nn.Sequential(layers))


def _he(net: nn.Module) -> nn.Module:
    """Convolutions initialised as in He et al. 2015, arXiv:1502.01852."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


@dataclass(frozen=True, kw_only=True)
class ImageNetwork:
    """A network for images of many sizes."""

    build: Callable[[int, int], nn.Module]
    """Of the numbers of channels and classes."""
    about: str


IMAGE_NETWORKS: Mapping[str, ImageNetwork] = {
    "resnet20": ImageNetwork(build=partial(cifar_resnet, 20), about="ResNet-20 of CIFAR, 1x1 shortcuts"),
    "resnet56": ImageNetwork(build=partial(cifar_resnet, 56), about="ResNet-56 of CIFAR, 1x1 shortcuts"),
    "vgg16": ImageNetwork(build=cifar_vgg16, about="VGG-16 of CIFAR with batch norm, one linear layer"),
    "wrn-16-4": ImageNetwork(build=wrn_16_4, about="Wide ResNet 16-4 of CIFAR"),
}

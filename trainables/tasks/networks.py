"""Built-in networks, each a plain chain of layers built by name."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, kw_only=True)
class Network:
    """How a network is built and what it takes."""

    build: Callable[[], nn.Module]
    example_shape: tuple[int, ...]
    """Shape of one example: channels, height, width."""
    about: str


def lenet_digits() -> nn.Module:
    """conv3x3 1→20, pool2, conv3x3 20→50, pool2, fc 200→100→10 for 8x8 images; 30,180 weights."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 20, 3, padding=1),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 3, padding=1),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(200, 100),
            relu3=nn.ReLU(),
            fc2=nn.Linear(100, 10),
        )
    )


def lenet_300_100() -> nn.Module:
    """LeNet-300-100 (LeCun et al. 1998): 784-300-100-10; 266,200 weights, 266,610 with biases."""
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(784, 300),
            relu1=nn.ReLU(),
            fc2=nn.Linear(300, 100),
            relu2=nn.ReLU(),
            fc3=nn.Linear(100, 10),
        )
    )


def lenet_5() -> nn.Module:
    """LeNet-5 in Caffe's form: conv5x5 20, pool2, conv5x5 50, pool2, fc 500, fc 10, no padding; 430,500 weights."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 20, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(800, 500),
            relu3=nn.ReLU(),
            fc2=nn.Linear(500, 10),
        )
    )


def gss_lenet() -> nn.Module:
    """LeNet of GSS (arXiv:1802.09902, released code) and its initialisation: normal of std .1, cut at ±.2; biases .1.

    conv5x5 1→64 same, pool2, conv5x5 64→128 same, pool2, fc 6272→512→256→10, a dropout of .2 behind the first two;
    3,551,296 weights.
    """
    net = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 64, 5, padding=2),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(64, 128, 5, padding=2),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(6272, 512),
            relu3=nn.ReLU(),
            dropout1=nn.Dropout(0.2),
            fc2=nn.Linear(512, 256),
            relu4=nn.ReLU(),
            dropout2=nn.Dropout(0.2),
            fc3=nn.Linear(256, 10),
        )
    )
    for parameter in net.parameters():
        if parameter.dim() > 1:
            nn.init.trunc_normal_(parameter, std=0.1, a=-0.2, b=0.2)
        else:
            nn.init.constant_(parameter, 0.1)
    return net


NETWORKS: Mapping[str, Network] = {
    "lenet-digits": Network(build=lenet_digits, example_shape=(1, 8, 8), about="CNN 20-50-100, 176,520 MACs"),
    "lenet-300-100": Network(build=lenet_300_100, example_shape=(1, 28, 28), about="MLP 784-300-100-10, 266,200 MACs"),
    "lenet-5": Network(build=lenet_5, example_shape=(1, 28, 28), about="Caffe LeNet-5 20-50-500, 2,293,000 MACs"),
    "gss-lenet": Network(build=gss_lenet, example_shape=(1, 28, 28), about="CNN 64-128-512-256, 44,740,096 MACs"),
}

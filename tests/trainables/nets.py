"""Networks, masks and plans small enough to check by hand."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparsweep.trainables.groups import Prunable, add_masks, prunable_layers, set_masks
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks import Task
from sparsweep.trainables.trial import TrialPlan

DIGITS = Task(network="lenet-digits", data="digits")


def tensor(values: object) -> Tensor:
    """Real numbers as float32."""
    return torch.tensor(values, dtype=torch.float32)


def mlp(*widths: int, bias: bool = True) -> nn.Sequential:
    """Linear layers `0`, `2`, `4`… with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def filled(layer: Prunable, weight: object, bias: object = None) -> None:
    """Puts numbers into a layer."""
    with torch.no_grad():
        layer.weight.copy_(tensor(weight).view_as(layer.weight))
        if layer.bias is not None:
            layer.bias.copy_(tensor(bias) if bias is not None else torch.zeros_like(layer.bias))


def shuffled(net: nn.Module, seed: int = 0) -> nn.Module:
    """Random numbers, none of them zero, in every weight and bias."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            drawn = torch.rand(parameter.shape, generator=source) + 0.05
            parameter.copy_(drawn * (torch.randint(2, parameter.shape, generator=source) * 2 - 1) / 3)
    return net


def masked(net: nn.Module, masks: Mapping[str, Sequence[object] | Tensor]) -> nn.Module:
    """The network with these masks (1 keeps) set, all other layers whole."""
    add_masks(net)
    shapes = {name: layer.weight.shape for name, layer in prunable_layers(net).items()}
    full = {
        name: torch.as_tensor(mask).bool().expand(shapes[name]).clone()
        if isinstance(mask, Tensor)
        else torch.tensor(mask).bool().view(shapes[name])
        for name, mask in masks.items()
    }
    set_masks(net, full)
    return net


def scores_of(granularity: Any = "filter", **values: object) -> Scores:
    """Scores of the named layers, without an own cut."""
    return Scores(granularity=granularity, values={n: tensor(v) for n, v in values.items()}, own={}, threshold=0.0)


def plan(folder: Path | None = None, **setting: Any) -> TrialPlan:
    """A trial on digits of two epochs and three cuts; options among the keywords go into the sweep's fixed ones."""
    fixed = {"epochs": 2, "cuts": 3, **setting.pop("fixed", {})}
    row = {"method": "gasl", "granularity": "filter", "threshold": 0.1, **setting}
    return TrialPlan(number=7, setting=row, seed=0, task=DIGITS, fixed=fixed)


class Residual(nn.Module):
    """Convolutions with norms, one of them around a shortcut, for images [n, 1, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(12, 10)
        self.stem, self.norm1 = nn.Conv2d(1, 12, 3, stride=2, bias=False), nn.BatchNorm2d(12)
        self.inner, self.norm2 = nn.Conv2d(12, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.outer, self.norm3 = nn.Conv2d(16, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.stem(x)).relu()
        x = (x + self.norm3(self.outer(self.norm2(self.inner(x)).relu()))).relu()
        logits: Tensor = self.head(x.mean(dim=(2, 3)))
        return logits

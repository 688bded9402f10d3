"""Imports torchvision beside a CPU build of torch.

torchvision's wheel from the package index is built for CUDA. With a CPU torch its import raises `operator
torchvision::nms does not exist`, because it registers meta kernels for two operators that its own library, which
does not load, would have defined. Declaring the two operators first makes data sets, models and transforms work;
they are declared only when the plain import fails for exactly that reason.
"""

import sys
from types import ModuleType
from typing import Any

import torch

_declared: list[Any] = []


def torchvision_datasets() -> ModuleType:
    """`torchvision.datasets`, with the missing operators declared where that is needed."""
    try:
        import torchvision.datasets as datasets
    except RuntimeError as fault:
        if "torchvision::nms" not in str(fault):
            raise
        for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
            del sys.modules[name]
        _declare()
        import torchvision.datasets as datasets
    module: ModuleType = datasets
    return module


def _declare() -> None:
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(  # type: ignore[no-untyped-call]
            f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
    _declared.append(library)

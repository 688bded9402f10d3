"""Imports torchvision beside a CPU build of torch.

torchvision's wheel from the package index is built for CUDA. With a CPU torch its import raises `operator
torchvision::nms does not exist`, because it registers meta kernels for two operators that its own library, which
does not load, would have defined. Declaring the two operators first makes data sets, models and transforms work;
they are declared only when the plain import fails for exactly that reason.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

import torch

_declared: list[Any] = []


def torchvision_datasets() -> ModuleType:
    """`torchvision.datasets`, with the missing operators declared where that is needed."""
    return torchvision_part("datasets")


def torchvision_part(name: str) -> ModuleType:
    """`torchvision.NAME`, with the missing operators declared where that is needed."""
    try:
        return importlib.import_module(f"torchvision.{name}")
    except RuntimeError as fault:
        if "torchvision::nms" not in str(fault):
            raise
        for module in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
            del sys.modules[module]
        _declare()
        return importlib.import_module(f"torchvision.{name}")


def _declare() -> None:
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(  # type: ignore[no-untyped-call]
            f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
    _declared.append(library)

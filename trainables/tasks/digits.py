"""scikit-learn's digits: 1,797 real 8x8 grey images, inside the package; no download."""

from pathlib import Path

import torch
from torch import Tensor


def load_digits(root: Path | None) -> tuple[Tensor, Tensor, None, None]:
    """Images [1797, 1, 8, 8] in [0, 1] and labels; `root` is not needed. Source: Alpaydin and Kaynak 1998, UCI."""
    from sklearn import datasets

    images, labels = datasets.load_digits(return_X_y=True)
    inputs = torch.from_numpy(images).float().div_(16).view(-1, 1, 8, 8)
    return inputs, torch.from_numpy(labels).long(), None, None

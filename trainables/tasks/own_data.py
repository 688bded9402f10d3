"""Data of the user's own, `module:function`: what it may return, and what becomes of it."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset

from sparsweep.trainables.own_code import own_function, told
from sparsweep.trainables.tasks.data import SPLIT_SEED, normalised
from sparsweep.trainables.tasks.split import Data, Split
from sparsweep.trainables.tasks.streamed import split_of

NAMES = ("train", "validation", "test")
VALIDATION_SHARE = 0.1
WANTED = (
    "return {'train': ..., 'validation': ..., 'test': ...} (or without validation), each (inputs, labels) or a Dataset"
)


@lru_cache(maxsize=2)
def own_data(name: str, root: Path | None, code_root: Path | None) -> Data:
    """What the user's function loads; where it gives no validation split, a tenth of `train` is set apart for it.

    Args:
        root: handed to the function as `data_root` if it takes that.

    Raises:
        ValueError: the function raised an error, or returned what is no data.
    """
    load = own_function(name, code_root, "mine:load")
    given_root = {"data_root": root} if "data_root" in inspect.signature(load).parameters else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SPLIT_SEED)
        try:
            given = load(**given_root)
        except Exception as fault:
            raise ValueError(f"data {name} raised {told(fault, code_root)}") from fault
        parts = _parts(name, given)
        if "validation" not in parts:
            parts |= _divided(name, parts["train"])
        splits = {part: _split(f"{name}: {part}", each, part == "train") for part, each in parts.items()}
        return normalised(**splits)


def _parts(name: str, given: Any) -> dict[str, Any]:
    if isinstance(given, Data):
        return {part: getattr(given, part) for part in NAMES}
    if isinstance(given, tuple | list) and len(given) in (2, 3):
        given = dict(zip(NAMES if len(given) == 3 else ("train", "test"), given, strict=True))
    if not isinstance(given, Mapping) or not {"train", "test"} <= given.keys() or not given.keys() <= set(NAMES):
        what = (
            f"a mapping with {', '.join(map(str, given))}"
            if isinstance(given, Mapping)
            else f"a {type(given).__name__}"
        )
        raise ValueError(f"data {name} returned {what}: {WANTED}")
    return dict(given)


def _split(what: str, given: Any, is_train: bool) -> Split:
    if isinstance(given, Split):
        return given
    if isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(g, Tensor | np.ndarray) for g in given):
        split = Split(inputs=torch.as_tensor(given[0]), labels=torch.as_tensor(given[1]))
    elif hasattr(given, "__getitem__") and hasattr(given, "__len__") and not isinstance(given, tuple | list | Tensor):
        split = split_of(given, what, random_allowed=is_train)
    else:
        raise ValueError(f"{what} is a {type(given).__name__}: {WANTED}")
    return _typed(what, split)


def _typed(what: str, split: Split) -> Split:
    """The types that training takes: float32 or bytes, and int64 for classes."""
    inputs, labels = split.inputs, split.labels
    _check_paired(what, inputs, labels)
    if inputs.dtype == torch.uint8 and inputs.dim() != 4:
        raise ValueError(f"{what}: bytes of shape {list(inputs.shape)} are no images [n, channels, height, width]")
    if inputs.dtype != torch.uint8 and not inputs.is_floating_point():
        raise ValueError(f"{what}: inputs are {_of(inputs)}: give float32, or uint8 images")
    if not labels.is_floating_point():
        labels = labels.long()
    elif labels.dtype == torch.float64:
        labels = labels.float()
    if inputs.is_floating_point():
        inputs = inputs.float()
    return replace(split, inputs=inputs, labels=labels)


def _check_paired(what: str, inputs: Any, labels: Any) -> None:
    if len(inputs) != len(labels):
        raise ValueError(f"{what} has {len(inputs)} inputs but {len(labels)} labels: give one label to each input")


def _of(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _divided(name: str, train: Any) -> dict[str, Any]:
    """Train and validation out of one, always the same."""
    if isinstance(train, Split):
        train = (train.inputs, train.labels)
    pair = isinstance(train, tuple | list) and len(train) == 2
    try:
        if pair:
            _check_paired(f"{name}: train", *train)
        count = len(train[0]) if pair else len(train)
    except TypeError as fault:
        raise ValueError(f"{name}: train is a {type(train).__name__}: {WANTED}") from fault
    held = max(1, round(VALIDATION_SHARE * count))
    if count < 2:
        raise ValueError(f"{name}: train has {count} examples, of which {held} are set apart for validation: give more")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SPLIT_SEED))

    def taken(which: Tensor) -> Any:
        return tuple(torch.as_tensor(each)[which] for each in train) if pair else Subset(train, which.tolist())

    return {"train": taken(order[held:]), "validation": taken(order[:held])}

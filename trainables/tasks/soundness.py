"""Whether a network of the user's and its data go together: found before anything is trained."""

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from sparsweep.trainables.measures.accuracy import checked_score
from sparsweep.trainables.own_code import is_own, told
from sparsweep.trainables.tasks import NETWORKS, Task
from sparsweep.trainables.tasks.split import Data, Split

LOOKED_AT = 4096
"""Examples of each split whose values are looked at, evenly spaced."""
TRIED = 4


def check_task(task: Task) -> None:
    """Looks at the data, builds the network and does one step of training with it on a few examples.

    Built-in networks on built-in data are known to be sound.

    Raises:
        ValueError: something is wrong; the text says what, and what to do.
    """
    if task == Task(network=task.network, data=task.data, data_root=task.data_root, code_root=task.code_root) and (
        task.network in NETWORKS and not is_own(task.data) and task.data != "imagefolder"
    ):
        return
    loss, score = task.loss_function(), task.score_function()
    data = task.load()
    if faults := list(_data_faults(data, task)):
        raise ValueError("\n  ".join([f"the data {task.data} cannot be used:", *faults]))
    net = task.initial()
    if deep := [name for name, parameter in net.named_parameters() if parameter.dim() > 4]:
        raise ValueError(
            f"the network {task.network} has 3-d convolutions ({deep[0]}), which sparsweep cannot take yet"
        )
    inputs, labels = _few(data.train)
    outputs = _outputs(net, inputs, task)
    if task.loss == "cross_entropy":
        _check_classes(outputs, data, task)
    _check_step(net, inputs, labels, loss, task)
    if score is not None:
        try:
            checked_score(score(outputs, labels))
        except Exception as fault:
            raise ValueError(f"score {task.score}: {_said(fault, task)}") from fault


def _data_faults(data: Data, task: Task) -> Iterator[str]:
    shape = task.example_shape
    for name in ("train", "validation", "test"):
        split: Split = getattr(data, name)
        if not len(split):
            yield f"{name} is empty: it needs at least one example"
            continue
        if split.example_shape != shape:
            yield f"an example of {name} is {list(split.example_shape)}, but the network takes {list(shape)}"
            continue
        seen = split.part(torch.arange(0, len(split), max(1, len(split) // LOOKED_AT)))
        for what, values in (("inputs", seen.inputs), ("labels", seen.labels)):
            if values.is_floating_point() and not bool(values.isfinite().all()):
                bad = (~values.isfinite()).flatten(1 if values.dim() > 1 else 0)
                count = int(bad.any(dim=1).sum()) if values.dim() > 1 else int(bad.sum())
                yield f"{what} of {name} are not finite (NaN or infinity) in {count} of {len(seen)} examples looked at"
        if not seen.labels.is_floating_point() and int(seen.labels.min()) < 0:
            yield f"{name} has the label {int(seen.labels.min())}: classes count from 0"
    if task.score == "accuracy" and data.train.labels.is_floating_point():
        yield "labels are not whole numbers, so accuracy cannot be counted: give loss and score under task"


def _few(split: Split) -> tuple[Tensor, Tensor]:
    some = split.part(torch.arange(min(TRIED, len(split))))
    repeated = torch.arange(TRIED) % len(some)
    return some.inputs[repeated], some.labels[repeated]


def _outputs(net: nn.Module, inputs: Tensor, task: Task) -> Tensor:
    """What the network gives; batches of several sizes must give as many outputs."""
    net.eval()
    found: dict[int, Any] = {}
    for size in (1, 2, TRIED):
        try:
            with torch.no_grad():
                found[size] = net(inputs[:size])
        except Exception as fault:
            text = f"the network {task.network} cannot take {list(inputs[:size].shape)}: {_said(fault, task)}"
            fixed = (
                "; it works for another batch, so its batch is fixed: keep x.shape[0] in every view" if found else ""
            )
            raise ValueError(text + fixed) from fault
        if not isinstance(found[size], Tensor):
            kind = type(found[size]).__name__
            raise ValueError(
                f"the network {task.network} returns a {kind}; it must return one tensor: pick it in forward"
            )
        if found[size].dim() == 0 or len(found[size]) != size:
            shapes = f"{list(found[size].shape)} for {size} inputs"
            raise ValueError(f"the network {task.network} gives {shapes}: its first dimension must be the batch's")
    alone, among = found[1][0].float(), found[TRIED][0].float()
    if alone.shape == among.shape and not torch.allclose(alone, among, rtol=1e-2, atol=1e-3):
        raise ValueError(
            f"the network {task.network} gives an example other outputs in another batch: it mixes examples"
        )
    whole: Tensor = found[TRIED]
    return whole


def _check_classes(outputs: Tensor, data: Data, task: Task) -> None:
    labels = data.train.labels
    wanted = (outputs.shape[0], *outputs.shape[2:])
    if outputs.dim() < 2 or labels.dim() != len(wanted) or tuple(labels.shape[1:]) != wanted[1:]:
        raise ValueError(
            f"the network {task.network} gives {list(outputs.shape[1:])} for an example whose label has shape "
            f"{list(labels.shape[1:])}: classes want one output each, [n, classes], or loss and score of your own"
        )
    if data.class_count > outputs.shape[1]:
        raise ValueError(
            f"labels go up to {data.class_count - 1}, but the network {task.network} has {outputs.shape[1]} outputs: "
            f"labels must lie in 0 to {outputs.shape[1] - 1}, or give num_classes under task"
        )


def _check_step(net: nn.Module, inputs: Tensor, labels: Tensor, loss: Any, task: Task) -> None:
    """One backward pass; parameters that nothing comes back to are only warned of."""
    tried = copy.deepcopy(net).train()
    try:
        outputs = tried(inputs)
        given = loss(outputs.float(), labels)
    except Exception as fault:
        raise ValueError(
            f"the network {task.network} cannot be trained with {task.loss}: {_said(fault, task)}"
        ) from fault
    if not isinstance(given, Tensor) or given.numel() != 1 or given.dim() or not given.requires_grad:
        what = f"a tensor of shape {list(given.shape)}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
        raise ValueError(f"loss {task.loss} gives {what}: it must give one number that has a gradient, of shape []")
    if not bool(given.isfinite()):
        raise ValueError(f"loss {task.loss} is {float(given)} on the first examples: look at the inputs' scale")
    try:
        given.backward()  # type: ignore[no-untyped-call]
    except Exception as fault:
        raise ValueError(f"the network {task.network} has no gradient: {_said(fault, task)}") from fault
    idle = [name for name, parameter in tried.named_parameters() if parameter.requires_grad and parameter.grad is None]
    if idle:
        text = f"the network {task.network} does not use {', '.join(idle[:5])}: such parameters stay as they are"
        warnings.warn(text, stacklevel=2)


def _said(fault: Exception, task: Task) -> str:
    return told(fault, task.code_root)

"""A user's method goes through a trial's motions once, on a copy of the network, before anything is trained.

What a function gives back is held against what `Method` asks of it. Nothing that is random elsewhere changes.
"""

import copy
import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsweep.trainables.groups import Granularity, add_masks, group_count, scored_layers
from sparsweep.trainables.methods import Method, Scores
from sparsweep.trainables.tasks.data import Split
from sparsweep.trainables.training import optimizer_of

SAME_OUTPUTS = 1e-3
"""How far `fold` may move an output, relative to the largest."""


def rehearse(
    method: Method, net: nn.Module, sample: Split, example_shape: tuple[int, ...],
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> None:  # fmt: skip
    """Asks every function of the method once, in the order of a trial.

    Args:
        net: a fresh network of the task; it stays as it is.
        sample: labelled training examples, at least one.
        example_shape: of one input, without the batch.
        loss_of: of outputs and labels, a scalar.

    Raises:
        ValueError: a function raised an error, or gave what is not wanted; the text names it.
    """
    with random_state_kept():
        torch.manual_seed(0)
        plain, trained = copy.deepcopy(net), copy.deepcopy(net)
        _nothing("check", method.check, trained, example_shape)
        _same_state("check", plain, trained)
        _prepared(method, trained, sample)
        fresh = copy.deepcopy(trained)
        _step(method, trained, sample, loss_of)
        _folded(method, trained, plain, sample)
        check_scores(_scores(method, trained), trained)
        _nothing("fold", method.fold, fresh)
        _loads("fold", fresh, trained)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Python's, NumPy's and torch's global generators are afterwards what they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _asked(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as fault:
        raise ValueError(f"{name} raised {type(fault).__name__}: {' '.join(str(fault).split())}") from fault


def _nothing(name: str, function: Callable[..., Any], *arguments: Any) -> None:
    if (given := _asked(name, function, *arguments)) is not None:
        raise ValueError(f"{name} returned {_a(given)}; it must return nothing: what it changes, it changes in place")


def _prepared(method: Method, net: nn.Module, sample: Split) -> None:
    size = _asked("sample_size", lambda: method.sample_size)
    if not isinstance(size, int) or size < 0:
        raise ValueError(f"sample_size is {size!r}; it must be a whole number of examples, at least 0")
    add_masks(net)
    few = Split(inputs=sample.inputs[:size], labels=sample.labels[:size])
    before = net(sample.inputs).shape
    _nothing("prepare", method.prepare, net, few)
    if (after := _asked("prepare: the network then", net, sample.inputs).shape) != before:
        raise ValueError(f"prepare: the network then gives {tuple(after)}, not {tuple(before)}")


def _step(method: Method, net: nn.Module, sample: Split, loss_of: Callable[[Tensor, Tensor], Tensor]) -> None:
    """One step of training, as `training.train_epoch` does it."""
    net.train()
    rates = _asked("learning_rates", method.learning_rates, net)
    known = dict(net.named_parameters())
    if not isinstance(rates, Mapping) or not all(path in known and _is_number(rate) for path, rate in rates.items()):
        raise ValueError(f"learning_rates returned {rates!r:.100}; it must map paths of parameters to numbers")
    optimizer = optimizer_of(net, 1e-3, rates=rates)
    penalty = _asked("penalty", method.penalty, net)
    if not isinstance(penalty, Tensor) or penalty.shape != () or not penalty.is_floating_point():
        raise ValueError(f"penalty returned {_a(penalty)}; it must be a tensor of one number, of shape ()")
    if not penalty.isfinite():
        raise ValueError(f"penalty returned {float(penalty)}; it must be finite")
    loss = loss_of(net(sample.inputs), sample.labels) + penalty
    _asked("penalty: its gradient", loss.backward)
    optimizer.step()
    _nothing("after_step", method.after_step, net, optimizer, 1.0)
    for path, parameter in net.named_parameters():
        if not parameter.isfinite().all():
            raise ValueError(f"after a step of training {path} is not finite: see penalty and after_step")


def _folded(method: Method, net: nn.Module, plain: nn.Module, sample: Split) -> None:
    net.eval()
    before = net(sample.inputs).detach()
    _nothing("fold", method.fold, net)
    after = _asked("fold: the network then", net, sample.inputs).detach()
    wanted, left = [set(dict(each.named_parameters())) for each in (plain, net)]
    if wanted != left:
        odd = ", ".join(sorted(wanted ^ left))
        raise ValueError(f"fold: the network then has other parameters than the plain one ({odd})")
    moved = float((after - before).abs().max())
    if not moved <= SAME_OUTPUTS * (1 + float(before.abs().max())):
        raise ValueError(f"fold moved an output by {moved:.3g}; the folded network must give the same outputs")


def _scores(method: Method, net: nn.Module) -> Any:
    before = copy.deepcopy(net)
    found = _asked("scores", method.scores, net)
    _same_state("scores", before, net)
    return found


def _same_state(name: str, before: nn.Module, after: nn.Module) -> None:
    old, new = before.state_dict(), after.state_dict()
    if old.keys() != new.keys() or not all(torch.equal(old[key], new[key]) for key in old):
        raise ValueError(f"{name} changed the network; it only looks at it")


def _loads(name: str, fresh: nn.Module, trained: nn.Module) -> None:
    """A checkpoint after training is loaded into a network that was just prepared and folded."""
    try:
        fresh.load_state_dict(trained.state_dict())
    except RuntimeError as fault:
        text = " ".join(str(fault).split())
        raise ValueError(f"{name}: just after prepare it leaves another state than after training: {text}") from fault


def check_scores(found: Any, net: nn.Module) -> None:
    """Raises ValueError where scores are not what a cut can be made from."""
    if not isinstance(found, Scores):
        raise ValueError(f"scores returned {_a(found)}; it must be Scores(granularity, values, own, threshold)")
    if found.granularity not in get_args(Granularity):
        raise ValueError(f"scores: granularity {found.granularity!r} is none of {', '.join(get_args(Granularity))}")
    if not _is_number(found.threshold):
        raise ValueError(f"scores: threshold {found.threshold!r} is not a finite number")
    for part in (found.values, found.own):
        if not isinstance(part, Mapping) or set(part) != set(found.values):
            raise ValueError("scores: values and own must be mappings with the same layers")
    layers = scored_layers(net, found.granularity)
    for name, values in found.values.items():
        if name not in layers:
            allowed = ", ".join(layers)
            raise ValueError(f"scores: {name!r} may not be pruned by {found.granularity} (layers that may: {allowed})")
        weight = layers[name].weight
        shape = weight.shape if found.granularity == "weight" else (group_count(weight, found.granularity),)
        _check_values(name, values, found.own[name], tuple(shape))


def _check_values(layer: str, values: Any, own: Any, shape: tuple[int, ...]) -> None:
    for what, given in (("values", values), ("own", own)):
        if not isinstance(given, Tensor) or tuple(given.shape) != shape:
            raise ValueError(f"scores: {what}[{layer!r}] is {_a(given)}; it must be a tensor of shape {shape}")
    if not bool(values.isfinite().all()) or not bool((values >= 0).all()):
        raise ValueError(f"scores: values[{layer!r}] holds a score below 0 or not finite; every score must be >= 0")
    if own.dtype is not torch.bool:
        raise ValueError(f"scores: own[{layer!r}] is {_a(own)}; it must be bool, true where it keeps")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _a(value: object) -> str:
    """What was given, in a few words."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    return "nothing" if value is None else f"a value of type {type(value).__name__}"

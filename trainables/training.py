"""Epochs of stochastic gradient descent: training with a method, fine-tuning with the masks held."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsweep.trainables.groups import hold
from sparsweep.trainables.methods import Method
from sparsweep.trainables.rates import rate_at
from sparsweep.trainables.tasks.augment import drawn_variants
from sparsweep.trainables.tasks.split import Split, chunks
from sparsweep.trainables.teacher import Shown, Teacher


class DivergedError(RuntimeError):
    """The loss or a weight is not a finite number."""


OPTIMIZERS = ("adam", "sgd")


def optimizer_of(
    net: nn.Module, learning_rate: float, *, name: str = "adam", rates: Mapping[str, float] = MappingProxyType({})
) -> torch.optim.Optimizer:
    """Adam, or SGD with momentum 0.9, without weight decay over all parameters, its step fused into one kernel.

    Args:
        rates: by parameter's path, times the learning rate; 1 for what is not named. Each group keeps its own as
            `rate`, which the schedule multiplies.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for path, parameter in net.named_parameters():
        groups.setdefault(rates.get(path, 1.0), []).append(parameter)
    found = [{"params": those, "lr": learning_rate * rate, "rate": rate} for rate, those in groups.items()]
    if name == "sgd":
        return torch.optim.SGD(found, lr=learning_rate, momentum=0.9, fused=True)
    return torch.optim.Adam(found, lr=learning_rate, fused=True)


class CompileError(RuntimeError):
    """`torch.compile` cannot compile here."""


def compiled(net: nn.Module, mode: str) -> Callable[[Tensor], Tensor]:
    """The network's passes under `torch.compile`, sharing its weights; the network itself where `mode` is `none`.

    Calls raise CompileError where the machine lacks what the compiler needs, such as a C++ compiler for processors.
    """
    if mode == "none":
        return net
    torch._dynamo.reset()  # an earlier trial's network in this process would count against the limit of recompilations
    passes = torch.compile(net, mode=mode)

    def call(inputs: Tensor) -> Tensor:
        try:
            outputs: Tensor = passes(inputs)
        except torch._dynamo.exc.TorchDynamoException as fault:
            said = next((line.strip() for line in str(fault).splitlines() if line.strip()), type(fault).__name__)
            raise CompileError(f"compile: {mode} fails here ({said}): set compile: none, or install it") from fault
        return outputs

    return call


def train_epoch(
    net: nn.Module,
    method: Method | None,
    optimizer: torch.optim.Optimizer,
    split: Split,
    *,
    batch_size: int,
    learning_rate: float,
    schedule: str,
    span: tuple[float, float],
    order: torch.Generator,
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    augment: str = "none",
    workers: int = 0,
    precision: str = "fp32",
    passes: Callable[[Tensor], Tensor] | None = None,
    teacher: Teacher | None = None,
) -> float:
    """One pass over the split in random order.

    Args:
        method: whose penalty and step are applied; None fine-tunes with the stored masks held.
        span: progress in [0, 1] at the start and the end of this epoch.
        order: draws the order and what augments; its state is part of the checkpoint.
        loss_of: of outputs and labels, a scalar.
        augment: what is done to training images, see `tasks.augment`.
        workers: processes that read examples which do not lie in memory.
        precision: `bf16` computes the network's passes in bfloat16 where that is safe; weights stay float32.
        passes: a compiled form of the network that shares its weights; None calls the network itself.
        teacher: whose outputs are learnt beside the labels.

    Returns:
        The mean loss, the penalty included.

    Raises:
        DivergedError: the mean loss, or a weight, is not finite.
    """
    net.train()
    device = next(net.parameters()).device
    shuffled = torch.randperm(len(split), generator=order)
    parts = chunks(shuffled, batch_size)
    variants = [drawn_variants(augment, len(part), order) for part in parts]
    total = torch.zeros((), device=device)
    batches = split.batches(shuffled, batch_size, augment=augment, variants=torch.cat(variants), workers=workers)
    for at, (given, labels) in enumerate(batches):
        progress = span[0] + (span[1] - span[0]) * (at + 1) / len(parts)
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * rate_at(learning_rate, progress, schedule)
        inputs = given.to(device, non_blocking=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            outputs = (passes or net)(inputs)
        loss = loss_of(outputs.float(), labels.to(device, non_blocking=True))
        if teacher is not None:
            shown = Shown(inputs=inputs, examples=parts[at], variants=variants[at])
            loss = teacher.mixed(loss, outputs.float(), shown)
        if method is not None:
            loss = loss + method.penalty(net)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if method is None:
            hold(net)
        else:
            method.after_step(net, optimizer, progress)
        total += loss.detach()
    mean = float(total) / len(parts)
    if not math.isfinite(mean):
        raise DivergedError(f"diverged: the loss is {mean}")
    if not all(bool(parameter.isfinite().all()) for parameter in net.parameters()):
        raise DivergedError("diverged: a weight is not a finite number")
    return mean

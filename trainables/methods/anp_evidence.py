"""ANP's top-down pass: which connections the true class's logit draws on, counted over many images.

The pass is that of the authors' released selective-tuning kernel. From the true label's logit downwards every attended
unit (g ≠ 0) distributes its attention over the inputs that win the two stages of `anp_competition`:

    y_oj = PS_oj / Σ_selected PS,   g_below[j] += g[o] y_oj,   A[o, j] += y_oj,   H[o, j] += 1

A convolution's unit is a channel at a position; it distributes over its window. Max-pooling hands g to its arg-max.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsweep.trainables.chain import Affine, Chain, Flatten, Pool, chain_of
from sparsweep.trainables.methods.anp_competition import (
    Winners,
    add_at,
    compete,
    compete_in_windows,
    interference,
)
from sparsweep.trainables.tasks.data import Split

LEAST = {"conv": 3e-4, "linear": 1e-5}
"""A unit whose T is not above it is skipped."""
PATCH_ELEMENTS = 1 << 22
"""Of one batch of images, in the layer that takes most."""
TABLE_ELEMENTS = 1 << 20
"""Products worked on at once: what the processor's caches hold."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Of one layer, over all images.

    Attributes:
        share: A, float64 of the weight's shape; a unit's sum to how often it took part.
        hits: H >= A, int64 of the weight's shape.
        active: int64 [out], how often a unit was attended (for a convolution at any position).
        part: int64 [out], how often it also had T above the least.
    """

    share: Tensor
    hits: Tensor
    active: Tensor
    part: Tensor

    @classmethod
    def none(cls, weight: Tensor) -> "Evidence":
        units = torch.zeros(weight.shape[0], dtype=torch.int64, device=weight.device)
        share = torch.zeros(weight.shape, dtype=torch.float64, device=weight.device)
        return cls(share=share, hits=torch.zeros_like(share, dtype=torch.int64), active=units, part=units.clone())

    def mean(self) -> Tensor:
        """E = A / times active: float64 in [0, 1] of the weight's shape, 0 where a unit never was."""
        return self.share / self.active.clamp_min(1).view(-1, *[1] * (self.share.dim() - 1))


@torch.no_grad()
def evidence_of(net: nn.Module, sample: Split, *, competition: str = "all", offset: int = 0) -> dict[str, Evidence]:
    """Evidence of every layer by name, of the network as it is in evaluation mode; changes nothing.

    Args:
        net: a chain, see `chain_of`.
        sample: labelled images on the network's device.
        competition: of linear layers, one of COMPETITIONS.
        offset: moves the rule `statistical` on to easier levels.
    """
    chain = chain_of(net)
    found = {step.name: Evidence.none(step.weight) for step in chain if isinstance(step, Affine)}
    for batch in _batches(chain, sample):
        top_down(chain, batch, found, competition=competition, offset=offset)
    return found


def _batches(chain: Chain, sample: Split) -> Iterator[Split]:
    """Parts of the sample whose largest layer has at most PATCH_ELEMENTS inputs laid out."""
    values, largest = sample.inputs[:1], 1
    for step in chain:
        if isinstance(step, Affine):
            largest = max(largest, Reading.of(step, values).table.numel())
        values = step.forward(values)
    size = max(PATCH_ELEMENTS // largest, 1)
    for inputs, labels in zip(torch.split(sample.inputs, size), torch.split(sample.labels, size), strict=True):
        yield Split(inputs=inputs, labels=labels)


def top_down(chain: Chain, batch: Split, found: dict[str, Evidence], *, competition: str, offset: int) -> Tensor:
    """One batch up and down again; adds to `found`.

    Returns:
        The attention that reaches the input: float64 of its shape.
    """
    values = [batch.inputs]
    for step in chain:
        values.append(step.forward(values[-1]))
    attention = torch.zeros_like(values[-1].flatten(1), dtype=torch.float64)
    attention.scatter_(1, batch.labels[:, None], 1.0)
    for step, inputs, outputs in zip(chain[::-1], values[-2::-1], values[:0:-1], strict=True):
        attention = attention.view(outputs.shape)
        if isinstance(step, Affine):
            attention = _attend(step, inputs, attention, found[step.name], competition, offset)
        elif isinstance(step, Pool):
            attention = _to_winners(attention, step.winners(inputs), inputs.shape)
        elif isinstance(step, Flatten):
            attention = attention.view(inputs.shape)
    return attention


def _to_winners(attention: Tensor, winners: Tensor, shape: torch.Size) -> Tensor:
    """Hands the attention on pooled values [batch, channels, h, w] to the positions that they came from."""
    below = torch.zeros(shape, dtype=torch.float64, device=attention.device)
    plane = torch.arange(shape[0] * shape[1], device=attention.device)[:, None] * (shape[2] * shape[3])
    to = winners.reshape(len(plane), -1) + plane
    return add_at(below.view(-1), to.flatten(), attention.flatten()).view(shape)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a layer's units read their inputs, convolution and linear layer alike.

    Attributes:
        table: [images * positions, inputs of a unit]; a row is what every unit at that position reads.
        base: int64 [positions], where a position's window begins in an image's flattened (padded) inputs.
        step: int64 [inputs of a unit], how far from there each of its inputs lies.
        padded: shape of one image's inputs with their padding.
    """

    table: Tensor
    base: Tensor
    step: Tensor
    padded: tuple[int, ...]

    @classmethod
    def of(cls, step: Affine, inputs: Tensor) -> "Reading":
        if isinstance(layer := step.layer, nn.Linear):
            zero = torch.zeros(1, dtype=torch.int64, device=inputs.device)
            steps = torch.arange(inputs.shape[1], device=inputs.device)
            return cls(table=inputs.contiguous(), base=zero, step=steps, padded=(inputs.shape[1],))
        (sh, sw), (dh, dw) = layer.stride, layer.dilation
        ph, pw = (int(zeros) for zeros in layer.padding)
        whole = F.pad(inputs, (pw, pw, ph, ph))
        channels, height, width = whole.shape[1:]
        down, right = (
            torch.arange(k, device=inputs.device) * d for k, d in zip(layer.kernel_size, (dh, dw), strict=True)
        )
        plane = torch.arange(channels, device=inputs.device) * height * width
        steps = (plane[:, None, None] + down[:, None] * width + right).flatten()
        rows = torch.arange(0, height - int(down[-1]), sh, device=inputs.device)
        columns = torch.arange(0, width - int(right[-1]), sw, device=inputs.device)
        base = (rows[:, None] * width + columns).flatten()
        windows = F.unfold(whole, layer.kernel_size, (dh, dw), 0, (sh, sw)).transpose(1, 2)
        return cls(table=windows.flatten(0, 1).contiguous(), base=base, step=steps, padded=tuple(whole.shape[1:]))


def _attend(step: Affine, inputs: Tensor, attention: Tensor, found: Evidence, competition: str, offset: int) -> Tensor:
    """From the attention on a layer's outputs to that on its inputs, by the active units only."""
    conv = isinstance(step.layer, nn.Conv2d)
    least = LEAST["conv" if conv else "linear"]
    reading, weight = Reading.of(step, inputs), step.weight.flatten(1)
    attended = attention.flatten(2) if conv else attention[:, :, None]
    below = torch.zeros(len(inputs) * _count(reading.padded), dtype=torch.float64, device=inputs.device)
    units = attended.nonzero()
    found.active.add_(torch.bincount(units[:, 1], minlength=len(weight)))
    for batch in torch.split(units, max(TABLE_ELEMENTS // weight.shape[1], 1)):
        image, unit, position = batch.unbind(1)
        products = reading.table.index_select(0, image * len(reading.base) + position).mul_(
            weight.index_select(0, unit)
        )
        winners, part = interference(products, least)
        found.part.add_(torch.bincount(unit[part], minlength=len(weight)))
        if conv:
            winners = compete_in_windows(winners, len(unit), step.layer.kernel_size)  # type: ignore[arg-type]
        else:
            winners = compete(winners, len(unit), competition, offset)
        shares = _shares(winners, len(unit))
        add_at(found.share.view(-1), entry := unit[winners.row] * weight.shape[1] + winners.column, shares)
        add_at(found.hits.view(-1), entry, torch.ones_like(entry))
        start = image * _count(reading.padded) + reading.base[position]
        passed = attended[image, unit, position][winners.row] * shares
        add_at(below, start[winners.row] + reading.step[winners.column], passed)
    return _unpadded(below.view(-1, *reading.padded), inputs)


def _shares(winners: Winners, rows: int) -> Tensor:
    """y: what each entry is of its row's sum."""
    sums = add_at(torch.zeros(rows, dtype=torch.float64, device=winners.row.device), winners.row, winners.product)
    return winners.product / sums[winners.row]


def _unpadded(below: Tensor, inputs: Tensor) -> Tensor:
    if inputs.dim() < 4:
        return below
    top, left = (below.shape[2] - inputs.shape[2]) // 2, (below.shape[3] - inputs.shape[3]) // 2
    return below[:, :, top : top + inputs.shape[2], left : left + inputs.shape[3]].contiguous()


def _count(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())

"""Groups and weights that nothing depends on any more.

A unit behind a rectifier may come to be off for every input: large steps of an optimizer do that, and no gradient mends
it ("dying ReLU"; Lu et al. 2019, arXiv:1903.06733). Its weights may be as large as any, so that norms keep it in cut
after cut while live ones are taken. Such units are found here by what defines them: not one of a sample of training
examples has a gradient through them. That holds as well for units that are only read by such, and for weights from
inputs that are always zero.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from sparsweep.trainables.groups import group_norms, prunable_layers
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.split import Split
from sparsweep.trainables.tying import lots_of

EXAMPLES, BATCH = 2048, 64
"""Training examples of the sample, evenly spaced and always the same, and how many a gradient is of."""


def heard_of(
    net: nn.Module, scores: Scores, train: Split, loss_of: Callable[[Tensor, Tensor], Tensor],
    ties: Mapping[str, Tensor] = MappingProxyType({}),
) -> dict[str, Tensor]:  # fmt: skip
    """Per scored layer, in the scores' shapes: whether an example of the sample depends on it, bool.

    Args:
        net: whose gradients and mode are left alone.
        ties: as `cut.cut` takes them: of groups that are cut together all are heard of if one is.
    """
    found, device, mode = prunable_layers(net), next(net.parameters()).device, net.training
    weights = [found[name].weight for name in scores.values]
    moved = [torch.zeros_like(weight, dtype=torch.bool) for weight in weights]
    sample = torch.arange(0, len(train), max(1, len(train) // EXAMPLES))[:EXAMPLES]
    net.eval()
    for which in torch.split(sample, BATCH):
        part = train.part(which.to(train.labels.device))
        loss = loss_of(net(part.inputs.to(device)).float(), part.labels.to(device))
        slopes = torch.autograd.grad(loss, weights, materialize_grads=True)
        moved = [known | (slope != 0) for known, slope in zip(moved, slopes, strict=True)]
    net.train(mode)
    heard = {
        name: group_norms(each.float(), scores.granularity) > 0 for name, each in zip(scores.values, moved, strict=True)
    }
    sizes = [each.numel() for each in heard.values()]
    if (lots := lots_of(scores, sizes, ties)) is None:
        return heard
    joined = torch.cat([each.flatten() for each in heard.values()])
    together = torch.zeros_like(joined).scatter_reduce(0, lots, joined, "amax")[lots]
    return dict(zip(heard, torch.split(together, sizes), strict=True))

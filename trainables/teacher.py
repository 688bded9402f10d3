"""A network whose outputs another one learns, and its memory of them.

Fine-tuning shows a teacher the same images again and again: it is asked once for every variant of every example where
that is less work, and remembered. It is asked in a fixed order, so that a resumed trial is taught the same bits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparsweep.trainables.tasks.augment import variant_count
from sparsweep.trainables.tasks.split import Split

MOST_REMEMBERED = 1 << 28
"""Bytes of outputs up to which they are remembered."""
ASKED_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A batch as a network sees it, and which images these are."""

    inputs: Tensor
    """[batch, ...] on the network's device."""
    examples: Tensor
    """[batch] int64: their numbers in the split."""
    variants: Tensor
    """[batch] int64: what random changes made of them; see `tasks.augment`."""


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A network whose outputs another one learns (Hinton et al. 2015, arXiv:1503.02531, section 2)."""

    net: nn.Module
    """In evaluation mode; it is not changed."""
    share: float
    """Of the loss that is the teacher's, in (0, 1]; the rest is the labels'."""
    temperature: float
    """By which logits are divided, > 0; gradients are scaled back by its square."""
    of_classes: bool = True
    """Whether outputs are logits of classes; otherwise they are compared by their mean squared difference."""
    memory: Tensor | None = None
    """Its outputs [variants, examples, ...] on the network's device, if it has been asked for all of them."""

    def mixed(self, loss: Tensor, outputs: Tensor, shown: Shown) -> Tensor:
        """The loss with the teacher's share in it."""
        return (1 - self.share) * loss + self.share * self.distance(outputs, self.answers(shown))

    def answers(self, shown: Shown) -> Tensor:
        """Its outputs [batch, ...] for a batch."""
        if self.memory is not None:
            return self.memory[shown.variants.to(self.memory.device), shown.examples.to(self.memory.device)]
        with torch.no_grad():
            outputs: Tensor = self.net(shown.inputs)
        return outputs.float()

    def distance(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """T² times the Kullback-Leibler divergence of softened outputs [batch, classes], a mean over the batch."""
        if not self.of_classes:
            return F.mse_loss(outputs, wanted)
        soft = [F.log_softmax(each / self.temperature, dim=1) for each in (outputs, wanted)]
        return self.temperature**2 * F.kl_div(soft[0], soft[1], reduction="batchmean", log_target=True)


def answers_in_advance(net: nn.Module, split: Split, augment: str, *, epochs: int) -> Tensor | None:
    """A network's outputs [variants, examples, ...] for all images that so many epochs may show; None where asking for
    them as they come is less work, where they are too many to remember, or where examples are not the same each time.
    """
    variants = variant_count(augment)
    if variants >= epochs or not split.constant:
        return None
    device = next(net.parameters()).device
    numbers = torch.arange(len(split))
    remembered: list[Tensor] = []
    with torch.no_grad():
        for variant in range(variants):
            same = torch.full_like(numbers, variant)
            answers = []
            for inputs, _ in split.batches(numbers, ASKED_AT_ONCE, augment=augment, variants=same):
                answers.append(net(inputs.to(device)).float())
                if answers[0][0].nbytes * len(split) * variants > MOST_REMEMBERED:
                    return None
            remembered.append(torch.cat(answers))
    return torch.stack(remembered)

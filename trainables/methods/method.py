"""The interface of a pruning method: one frozen dataclass whose fields are its knobs, and a few functions.

The life of a network under a method:

    check → prepare → [penalty → optimizer's step → after_step] for every batch → fold → [scores → cut → fine-tune] …

A method must define `scores`; each other function does nothing unless it is overridden. All of a method's state lives
in the network as buffers or parameters, so one `state_dict` is the checkpoint.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from sparsweep.spaces.space import Choice, Float, Int, Row, Space
from sparsweep.trainables.groups import Granularity, add_masks, group_norms, scored_layers
from sparsweep.trainables.scores import Scores
from sparsweep.trainables.tasks.data import Split


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """What every method is asked. A method without anything to do at a stage inherits the stage."""

    paper: ClassVar[str]
    """Authors, year, identifier; `none (control)` for a control."""
    descends: ClassVar[bool] = True
    """Whether its network is cut further; false for `dense`."""
    wants_classes: ClassVar[bool] = False
    """Whether `prepare` reads labels as classes: a task with other targets is refused."""
    allowed: ClassVar[Mapping[str, Float | Int | Choice]]
    """The widest legal range of every knob."""
    default_space: ClassVar[Space]
    """What is searched where the user says nothing; also the trial's options that go with the method."""
    known_good: ClassVar[tuple[Row, ...]]
    """Settings that are known to work, one for each granularity that was tried; those that the space has go first."""

    ablation: ClassVar[Row] = {}
    """Knobs that switch the method's own idea off and leave everything else: its control. Empty for a control."""

    @property
    def sample_size(self) -> int:
        """How many labelled training examples `prepare` is to be given."""
        return 32

    def check(self, net: nn.Module, example_shape: tuple[int, ...]) -> None:  # noqa: B027
        """Before anything is trained: can this method, with these knobs, serve this network?

        Args:
            net: the network as it is built; it stays as it is.
            example_shape: of one input, without the batch.

        Raises:
            ValueError: it cannot; the text says why, and what to use instead.
        """

    def prepare(self, net: nn.Module, sample: Split) -> None:
        """Once, before training and before a checkpoint is loaded: inserts gates, masks, buffers.

        Args:
            sample: `sample_size` labelled training examples, or all there are, on the network's device; every prefix
                holds the classes as evenly as can be. A method that needs them later keeps them in the network, in
                buffers that are not persistent.
        """
        add_masks(net)

    def learning_rates(self, net: nn.Module) -> Mapping[str, float]:
        """Of a prepared network, by parameter's path: times the weights' learning rate. 1 for what is not named."""
        return {}

    def penalty(self, net: nn.Module) -> Tensor:
        """Each step, added to the loss: a finite scalar."""
        return torch.zeros((), device=next(net.parameters()).device)

    def after_step(self, net: nn.Module, optimizer: torch.optim.Optimizer, progress: float) -> None:  # noqa: B027
        """After `optimizer.step()`; `progress` in [0, 1] is the share of training done."""

    def fold(self, net: nn.Module) -> None:  # noqa: B027
        """Once, after training: what `prepare` inserted is folded into weights and biases, and taken out.

        Afterwards the network is a plain one (masks and buffers aside) that gives the same outputs in evaluation mode,
        up to rounding; what the method has pruned is exactly zero. It must not depend on how far training went: it is
        also called on a network that was just prepared, whose state is then loaded.
        """

    @abstractmethod
    def scores(self, net: nn.Module) -> Scores:
        """Scores of the folded network as it is now; changes nothing.

        Called after `fold`, again after every cut of the descent, and never on a network in training.
        """


@torch.no_grad()
def norm_scores(net: nn.Module, granularity: Granularity) -> dict[str, Tensor]:
    """Norm of every group of every scored layer: ‖w_g‖₂, or |w| for single weights."""
    return {
        name: group_norms(layer.weight.detach(), granularity) for name, layer in scored_layers(net, granularity).items()
    }

"""The interface of a pruning method: one frozen dataclass whose fields are its knobs, four functions.

All of a method's state lives in the network as buffers or parameters, so one `state_dict` is the checkpoint.
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


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """What every method is asked. A method without anything to do at a stage inherits the stage."""

    paper: ClassVar[str]
    """Authors, year, identifier; `none (control)` for a control."""
    descends: ClassVar[bool] = True
    """Whether its network is cut further; false for `dense`."""
    allowed: ClassVar[Mapping[str, Float | Int | Choice]]
    """The widest legal range of every knob."""
    default_space: ClassVar[Space]
    """What is searched where the user says nothing; also the trial's options that go with the method."""
    known_good: ClassVar[tuple[Row, ...]]
    """Settings that are known to work, one for each granularity that was tried; those that the space has go first."""

    def prepare(self, net: nn.Module, batch: Tensor) -> None:
        """Once, before training and before a checkpoint is loaded: inserts gates, masks, buffers."""
        add_masks(net)

    def penalty(self, net: nn.Module) -> Tensor:
        """Each step, added to the loss: a finite scalar."""
        return torch.zeros((), device=next(net.parameters()).device)

    def after_step(self, net: nn.Module, optimizer: torch.optim.Optimizer, progress: float) -> None:  # noqa: B027
        """After `optimizer.step()`; `progress` in [0, 1] is the share of training done."""

    @abstractmethod
    def scores(self, net: nn.Module) -> Scores:
        """Scores of the network as it is now; changes nothing."""


@torch.no_grad()
def norm_scores(net: nn.Module, granularity: Granularity) -> dict[str, Tensor]:
    """Norm of every group of every scored layer: ‖w_g‖₂, or |w| for single weights."""
    return {
        name: group_norms(layer.weight.detach(), granularity) for name, layer in scored_layers(net, granularity).items()
    }

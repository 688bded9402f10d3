"""What a method says of a network: how much each group or weight is worth keeping."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sparsweep.trainables.groups import Granularity


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How much each group or weight is worth keeping, and the method's own cut.

    Attributes:
        granularity: what one score stands for.
        values: per layer, scores >= 0, larger is kept longer: [groups], or the weight's shape for `weight`.
            A layer that is not named is not pruned.
        own: per layer, the method's own mask of the same shape, true where it keeps.
        threshold: the method's own threshold, in the unit its docstring gives.
    """

    granularity: Granularity
    values: Mapping[str, Tensor]
    own: Mapping[str, Tensor]
    threshold: float

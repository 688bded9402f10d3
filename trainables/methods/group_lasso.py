"""Group lasso (structured sparsity learning): GASL with the attention term left out; one implementation serves both.

Source: Wen et al. 2016, arXiv:1608.03665, equation 2; here one sum of unscaled group norms.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, final

from sparsweep.spaces.space import Choice, Float, Int, Row, Space
from sparsweep.trainables.methods.gasl import Gasl, group_sparse_knobs


@final
@dataclass(frozen=True, kw_only=True)
class GroupLasso(Gasl):
    """λ_s Σ_g ‖w_g‖₂ and a cut at a threshold; λ_a is fixed at 0."""

    attention_strength: float = field(default=0.0, init=False)
    attention_form: str = field(default="scale_free", init=False)

    paper: ClassVar[str] = "Wen et al. 2016, arXiv:1608.03665"
    allowed: ClassVar[Mapping[str, Float | Int | Choice]] = {
        name: legal for name, legal in Gasl.allowed.items() if not name.startswith("attention_")
    }
    default_space: ClassVar[Space] = Space(group_sparse_knobs())
    ablation: ClassVar[Row] = {"sparsity_strength": 0.0}
    known_good: ClassVar[tuple[Row, ...]] = tuple(
        {k: v for k, v in row.items() if not k.startswith("attention_")} for row in Gasl.known_good
    )

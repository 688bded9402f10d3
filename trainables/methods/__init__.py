"""The table of methods: a new method is one new file and one row here."""

from collections.abc import Mapping
from pathlib import Path

from sparsweep.trainables.methods.abp import Abp
from sparsweep.trainables.methods.anp import Anp
from sparsweep.trainables.methods.aswl import Aswl
from sparsweep.trainables.methods.dense import Dense
from sparsweep.trainables.methods.gasl import Gasl
from sparsweep.trainables.methods.group_lasso import GroupLasso
from sparsweep.trainables.methods.gss import Gss
from sparsweep.trainables.methods.l0 import L0
from sparsweep.trainables.methods.magnitude import Magnitude
from sparsweep.trainables.methods.method import Method, norm_scores
from sparsweep.trainables.methods.plug_in import plug_in
from sparsweep.trainables.methods.random import Random
from sparsweep.trainables.scores import Scores

METHODS: Mapping[str, type[Method]] = {
    "gasl": Gasl,
    "group_lasso": GroupLasso,
    "gss": Gss,
    "l0": L0,
    "abp": Abp,
    "anp": Anp,
    "aswl": Aswl,
    "magnitude": Magnitude,
    "random": Random,
    "dense": Dense,
}


def method_of(name: str, code_root: Path | None = None) -> type[Method]:
    """A row of the table, or a user's own class, `module:Class`.

    Args:
        code_root: the folder in which the user's module is found; it is put on `sys.path` for such a name only.

    Raises:
        ValueError: there is no such method; the text says what is wrong with it.
    """
    return METHODS[name] if name in METHODS else plug_in(name, code_root)


__all__ = ["METHODS", "Method", "Scores", "method_of", "norm_scores"]

"""The table of methods: a new method is one new file and one row here."""

from collections.abc import Mapping

from sparsweep.trainables.methods.dense import Dense
from sparsweep.trainables.methods.gasl import Gasl
from sparsweep.trainables.methods.group_lasso import GroupLasso
from sparsweep.trainables.methods.magnitude import Magnitude
from sparsweep.trainables.methods.method import Method
from sparsweep.trainables.methods.random import Random
from sparsweep.trainables.scores import Scores

METHODS: Mapping[str, type[Method]] = {
    "gasl": Gasl,
    "group_lasso": GroupLasso,
    "magnitude": Magnitude,
    "random": Random,
    "dense": Dense,
}

__all__ = ["METHODS", "Method", "Scores"]

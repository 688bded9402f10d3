"""The catalogue that sweep files are checked against: what `trainables` has."""

from functools import cache

from sparsweep.spaces.catalogue import TIME_LIMIT_RANGE, Catalogue, MethodEntry


@cache
def catalogue() -> Catalogue:
    """Every method, network, data set and trial option of this installation."""
    from sparsweep.trainables.methods import METHODS
    from sparsweep.trainables.options import ALLOWED
    from sparsweep.trainables.tasks import DATA, NETWORKS

    return Catalogue(
        methods={name: MethodEntry(space=m.default_space, allowed=m.allowed) for name, m in METHODS.items()},
        networks={name: network.example_shape for name, network in NETWORKS.items()},
        data={name: source.example_shape for name, source in DATA.items()},
        trial={**ALLOWED, "time_limit": TIME_LIMIT_RANGE},
    )

"""The catalogue that sweep files are checked against: what `trainables` has."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from sparsweep.spaces.catalogue import TIME_LIMIT_RANGE, Catalogue, MethodEntry


@cache
def catalogue(code_root: Path | None = None) -> Catalogue:
    """Every method, network, data set and trial option of this installation.

    Args:
        code_root: the folder in which users' own methods are found; None imports none and takes them on trust, which
            is enough for a sweep that is only looked at.
    """
    from sparsweep.trainables.methods import METHODS
    from sparsweep.trainables.options import ALLOWED
    from sparsweep.trainables.own_code import own_function
    from sparsweep.trainables.tasks import DATA, IMAGE_NETWORKS, NETWORKS

    return Catalogue(
        methods={name: MethodEntry(space=m.default_space, allowed=m.allowed) for name, m in METHODS.items()},
        networks={name: n.example_shape for name, n in NETWORKS.items()} | dict.fromkeys(IMAGE_NETWORKS, ()),
        data={name: source.example_shape for name, source in DATA.items()} | {"imagefolder": ()},
        trial={**ALLOWED, "time_limit": TIME_LIMIT_RANGE},
        plug_in=None if code_root is None else _importing(code_root),
        function=None if code_root is None else lambda name: own_function(name, code_root, "mine:build"),
    )


def _importing(code_root: Path) -> Callable[[str], MethodEntry]:
    def entry(name: str) -> MethodEntry:
        from sparsweep.trainables.methods import method_of

        method = method_of(name, code_root)
        return MethodEntry(space=method.default_space, allowed=method.allowed)

    return entry

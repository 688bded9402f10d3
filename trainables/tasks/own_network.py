"""A network of the user's own, `module:function`."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from sparsweep.trainables.own_code import own_function, told


def own_network(name: str, code_root: Path | None, known: Mapping[str, Any]) -> nn.Module:
    """What the user's function builds.

    Args:
        known: what it is given by name if it takes it; a function among them is called for the value.

    Raises:
        ValueError: the function raised an error, wants more, or returned no network.
    """
    build: Callable[..., Any] = own_function(name, code_root, "mine:build")
    try:
        takes = inspect.signature(build).parameters
    except (TypeError, ValueError):
        takes = {}  # type: ignore[assignment]
    given = {key: value() if callable(value) else value for key, value in known.items() if key in takes}
    if missing := [
        key for key, p in takes.items() if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and key not in given
    ]:  # fmt: skip
        raise ValueError(
            f"network {name} wants {', '.join(missing)}, which nobody gives it: it may take {' and '.join(known)}, and "
            "gives everything else a default"
        )
    if given.get("num_classes") == 0:
        raise ValueError(f"network {name} takes num_classes, which the data do not tell: give num_classes under task")
    try:
        net = build(**given)
    except Exception as fault:
        raise ValueError(f"network {name} raised {told(fault, code_root)}") from fault
    if not isinstance(net, nn.Module):
        raise ValueError(f"network {name} returned a {type(net).__name__}; it must return a torch.nn.Module")
    return net

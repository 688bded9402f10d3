"""Weights that a trial starts from: a file in safetensors, which must fit the network to the last key."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

MOST_NAMED = 5


def take_weights(net: nn.Module, path: Path) -> None:
    """Loads all of the network's parameters and buffers.

    Raises:
        ValueError: the file cannot be read, or does not fit; the keys are named.
    """
    try:
        given = load_file(path)
    except FileNotFoundError as fault:
        raise ValueError(f"start_from: there is no file {path}") from fault
    except (OSError, SafetensorError) as fault:
        said = " ".join(str(fault).split())
        raise ValueError(
            f"start_from: {path} cannot be read as safetensors ({said}): write it with "
            "safetensors.torch.save_file(net.state_dict(), FILE)"
        ) from fault
    if faults := list(_misfits(net.state_dict(), given)):
        raise ValueError(f"start_from: {path} does not fit the network: {'; '.join(faults)}")
    net.load_state_dict(given)


def _misfits(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Iterator[str]:
    if missing := [name for name in wanted if name not in given]:
        yield f"it lacks {_named(missing)}"
    if odd := [name for name in given if name not in wanted]:
        yield f"the network has no {_named(odd)}"
    shapes = [
        f"{name} is {list(given[name].shape)}, not {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if shapes:
        yield _named(shapes)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"

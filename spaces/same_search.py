"""Whether a name is used again for the same search: what differs between two identities, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from sparsweep.spaces.faults import shown


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two `SweepFile.identity()`; empty where they are the same search.

    `["space.sparsity_strength.high was 0.02 and is now 0.05"]`.
    """
    return list(_differences("", old, new))


def _differences(where: str, old: object, new: object) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences(f"{where}.{key}" if where else key, old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif _plain(old) != _plain(new):
        yield f"{where} was {_said(old)} and is now {_said(new)}"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _said(value: object) -> str:
    if value is _ABSENT:
        return "not given"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_said(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_said(item)}' for key, item in value.items())}}}"
    return value if isinstance(value, str) else shown(value)


_ABSENT = object()

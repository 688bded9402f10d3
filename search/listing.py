"""What `sparsweep list` shows: presets, methods with their knobs, networks and data."""

from collections.abc import Callable, Mapping
from typing import Any

Rows = list[dict[str, Any]]


def presets() -> Rows:
    from sparsweep.spaces.load import presets as known

    return [{"preset": name, "about": about} for name, about in known().items()]


def methods() -> Rows:
    from sparsweep.spaces.catalogue import words
    from sparsweep.trainables.methods import METHODS

    def granularities(allowed: Mapping[str, Any]) -> str:
        return ", ".join(map(str, allowed["granularity"].choices)) if "granularity" in allowed else "nothing"

    return [
        {
            "method": name,
            "paper": method.paper,
            "prunes": granularities(method.allowed),
            "searched": [
                f"{knob.label}: {words(knob.range)}{', log' if getattr(knob.range, 'log', False) else ''}"
                for knob in method.default_space.knobs
            ],
        }
        for name, method in METHODS.items()
    ]


def tasks() -> Rows:
    from sparsweep.trainables.tasks import DATA, NETWORKS

    def row(kind: str, name: str, shape: tuple[int, ...], about: str) -> dict[str, Any]:
        return {"kind": kind, "name": name, "example": "x".join(map(str, shape)), "about": about}

    networks = [row("network", name, network.example_shape, network.about) for name, network in NETWORKS.items()]
    return networks + [row("data", name, source.example_shape, source.about) for name, source in DATA.items()]


LISTS: Mapping[str, Callable[[], Rows]] = {"presets": presets, "methods": methods, "tasks": tasks}

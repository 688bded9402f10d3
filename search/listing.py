"""What `sparsweep list` shows: presets, methods with their knobs, networks and data."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparsweep.spaces.space import Choice, Float, Int, Knob
    from sparsweep.trainables.methods import Method

Rows = list[dict[str, Any]]


def presets() -> Rows:
    from sparsweep.spaces.load import presets as known

    return [{"preset": name, "about": about} for name, about in known().items()]


def methods() -> Rows:
    """The built-in methods with everything that is known of them."""
    from sparsweep.trainables.methods import METHODS

    return [_method(name, method) for name, method in METHODS.items()]


def _method(name: str, method: "type[Method]") -> dict[str, Any]:
    prunes = _granularities(method)
    knobs = method.default_space.knobs
    return {
        "method": name,
        "paper": method.paper,
        "about": (method.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " "),
        "fidelity": _fidelity(method.paper),
        "prunes": ", ".join(prunes) or "nothing",
        "structured": any(granularity != "weight" for granularity in prunes),
        "unstructured": "weight" in prunes,
        "searched": [f"{knob.label}: {_words(knob.range)}" for knob in knobs],
        "searched_ranges": [{**_plain(knob.range), "name": knob.name, "when": dict(knob.when)} for knob in knobs],
        "knobs": {knob: _plain(legal) for knob, legal in method.allowed.items()},
        "known_good": [dict(row) for row in method.known_good],
    }


def _fidelity(paper: str) -> str:
    """How the method stands to its paper: what a paper's line says in brackets, or else that it follows it."""
    if paper.startswith("none"):
        return "control"
    return "reconstruction" if "reconstruction" in paper.lower() else "faithful"


def _granularities(method: "type[Method]") -> list[str]:
    """What the method can prune: its choices of granularity, or the one that it always has."""
    allowed = method.allowed.get("granularity")
    if allowed is not None:
        return [str(choice) for choice in getattr(allowed, "choices", ())]
    fixed = getattr(method, "granularity", None)
    return [fixed] if isinstance(fixed, str) else []


def _words(allowed: "Float | Int | Choice") -> str:
    from sparsweep.spaces.catalogue import words

    return f"{words(allowed)}{', log' if getattr(allowed, 'log', False) else ''}"


def _plain(allowed: "Float | Int | Choice") -> dict[str, Any]:
    return {"kind": type(allowed).__name__.lower(), **allowed.model_dump(mode="json")}


def tasks() -> Rows:
    from sparsweep.trainables.tasks import DATA, IMAGE_NETWORKS, NETWORKS

    def row(kind: str, name: str, shape: tuple[int, ...], about: str) -> dict[str, Any]:
        return {"kind": kind, "name": name, "example": "x".join(map(str, shape)) or "any", "about": about}

    networks = [row("network", name, network.example_shape, network.about) for name, network in NETWORKS.items()]
    networks += [row("network", name, (), network.about) for name, network in IMAGE_NETWORKS.items()]
    networks += [
        row("network", "torchvision/NAME", (), "a classification network of torchvision, such as torchvision/resnet18"),
        row("network", "module:function", (), "your own: returns a torch.nn.Module"),
    ]
    data = [row("data", name, source.example_shape, source.about) for name, source in DATA.items()]
    return [
        *networks, *data,
        row("data", "imagefolder", (), "images in train/CLASS/ and test/CLASS/ under the data root"),
        row("data", "module:function", (), "your own: returns train, validation and test"),
    ]  # fmt: skip


def methods_in_brief() -> Rows:
    """The same for people: what can be drawn by default, alternatives of a knob under its name."""
    from sparsweep.trainables.methods import METHODS

    return [
        {
            "method": name,
            "from": [_source(method), _method(name, method)["about"]],
            "prunes": _pruned(_granularities(method)),
            "searched by default": _brief(method.default_space.knobs),
        }
        for name, method in METHODS.items()
    ]


def _source(method: "type[Method]") -> str:
    fidelity = _fidelity(method.paper)
    return method.paper if fidelity in method.paper else f"{method.paper} ({fidelity})"


def _pruned(granularities: list[str]) -> list[str]:
    groups = [granularity for granularity in granularities if granularity != "weight"]
    structured = ["structured:", f"  {', '.join(groups)}"] if groups else []
    return [*structured, *(["unstructured:", "  weight"] if "weight" in granularities else [])] or ["nothing"]


def _brief(knobs: "tuple[Knob, ...]") -> list[str]:
    """A line a knob; where it has alternatives, a line each with its condition. What cannot be drawn is left out."""
    drawn = {knob.name: list(getattr(knob.range, "choices", ())) for knob in knobs if not knob.when}
    ways: dict[str, dict[str, list[str]]] = {}
    for knob in knobs:
        if all(value in drawn.get(name, [value]) for name, value in knob.when.items()):
            telling = [_plainly(v, name) for name, v in knob.when.items() if drawn.get(name) != [v]]
            ways.setdefault(knob.name, {}).setdefault(_short(knob.range), []).append(" and ".join(telling))
    lines: list[str] = []
    for name, ranges in ways.items():
        told = [
            f"{span} if {' or '.join(conditions)}" if all(conditions) else span for span, conditions in ranges.items()
        ]
        lines += [f"{name}: {told[0]}"] if len(told) == 1 else [f"{name}:", *(f"  {line}" for line in told)]
    return lines


def _short(allowed: "Float | Int | Choice") -> str:
    """`3e-04 to 0.02, log`."""
    if hasattr(allowed, "choices"):
        return " | ".join(
            str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in allowed.choices
        )
    zero = "0 or " if getattr(allowed, "or_zero", False) and allowed.low > 0 else ""
    return f"{zero}{allowed.low:g} to {allowed.high:g}{', log' if allowed.log else ''}"


def _plainly(value: object, knob: str) -> str:
    """A condition: a granularity speaks for itself, a switch is on or off, anything else is named."""
    if isinstance(value, bool):
        return knob if value else f"not {knob}"
    return str(value)


LISTS: Mapping[str, Callable[[], Rows]] = {"presets": presets, "methods": methods, "tasks": tasks}
BRIEF: Mapping[str, Callable[[], Rows]] = {"methods": methods_in_brief}
"""Where a table for people is another than the whole."""

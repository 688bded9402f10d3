"""From a preset's name or a file's path to a checked sweep, or to one message with every fault."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

from sparsweep.spaces.catalogue import Catalogue, fitted
from sparsweep.spaces.catalogue_faults import catalogue_faults
from sparsweep.spaces.contradictions import contradictions
from sparsweep.spaces.duration import duration_s
from sparsweep.spaces.faults import Fault, Place, SweepFileError, nearest, shown
from sparsweep.spaces.model_faults import model_faults
from sparsweep.spaces.points import point_faults
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.spaces.yaml_document import Document, read_document

LARGEST_BYTES: Final = 1 << 20
_PLACES: Final[Mapping[str, tuple[Place, str]]] = {
    "name": (("name",), "--name"),
    "trials": (("budget", "trials"), "--trials"),
    "epochs": (("budget", "epochs"), "--epochs"),
    "time_limit": (("budget", "time_limit"), "--time-limit"),
    "gpu_hours": (("budget", "gpu_hours"), "--gpu-hours"),
    "cpu_hours": (("budget", "cpu_hours"), "--cpu-hours"),
    "cost": (("budget", "cost"), "--cost"),
    "patience": (("budget", "patience"), "--patience"),
    "seed": (("sampler", "seed"), "--seed"),
    "slots": (("resources", "slots"), "--slots"),
    "warm_start": (("warm_start",), "--warm-start"),
}
_OF_THE_SPACE: Final = (("methods",), ("space",), ("trial",))
"""Without these there is no space that the points could be held against."""


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """What the command line sets over the file; None leaves the file's value."""

    name: str | None = None
    trials: int | None = None
    epochs: int | None = None
    time_limit: str | float | None = None
    gpu_hours: float | None = None
    cpu_hours: float | None = None
    cost: float | None = None
    patience: int | None = None
    seed: int | None = None
    slots: int | None = None
    warm_start: str | None = None


NO_OVERRIDES: Final = Overrides()


def presets() -> dict[str, str]:
    """Every preset's name with its one-line description: the first line of its file, a comment."""
    found = {entry.name: entry.read_text("utf-8") for entry in _folder().iterdir() if entry.name.endswith(".yaml")}
    return {name.removesuffix(".yaml"): found[name].partition("\n")[0].lstrip("# ").strip() for name in sorted(found)}


def load_sweep(source: str, catalogue: Catalogue, *, overrides: Overrides = NO_OVERRIDES) -> SweepFile:
    """The sweep that a preset or a YAML file describes.

    Args:
        source: a preset's name, or else a path; `./digits` is the file where both exist.
        catalogue: what may be named.
        overrides: values of the command line, checked like the file's.

    Raises:
        SweepFileError: there is no such sweep, or it has faults; its text names all of them.
    """
    known = presets()
    if source in known:
        text = (_folder() / f"{source}.yaml").read_text("utf-8")
        return read_sweep(text, catalogue, title=f"preset {source}", stem=source, overrides=overrides)
    return read_sweep(_text(source, known), catalogue, title=source, stem=Path(source).stem, overrides=overrides)


def read_sweep(
    text: str, catalogue: Catalogue, *, title: str, stem: str = "sweep", overrides: Overrides = NO_OVERRIDES
) -> SweepFile:
    """The sweep that YAML text describes; `title` heads the message of faults, `stem` is the default name.

    Raises:
        SweepFileError: the text has faults; the error names all of them.
    """
    document = read_document(text, title)
    data = {key: value for key, value in document.data.items() if value is not None}
    origins: dict[Place, str] = {}
    if "name" not in data and overrides.name is None:
        origins["name",] = "name, taken from the file's name"
        data["name"] = stem
    faults = [*document.faults, *(_located(fault, document, {}) for fault in _override(data, overrides, origins))]
    sweep, found = model_faults(data)
    found += [*catalogue_faults(data, catalogue), *contradictions(data)]
    if sweep is not None and not any(fault.place[:1] in _OF_THE_SPACE for fault in found):
        found += point_faults(sweep, catalogue)
    unreadable = {fault.place for fault in document.faults}
    faults += [_located(fault, document, origins) for fault in found if not _beneath(fault.place, unreadable)]
    if faults or sweep is None:
        raise SweepFileError(title, faults)
    return _normal(sweep, catalogue)


def _override(data: dict[str, Any], overrides: Overrides, origins: dict[Place, str]) -> list[Fault]:
    """Lays the command line's values into the data, noting whose they are."""
    faults: list[Fault] = []
    for part in fields(overrides):
        value, (place, origin) = getattr(overrides, part.name), _PLACES[part.name]
        if value is None:
            continue
        origins[place] = origin
        if len(place) == 1:
            data[str(place[0])] = value
            continue
        section, key = str(place[0]), str(place[1])
        around = data.get(section, {})
        if not isinstance(around, Mapping):
            faults.append(
                Fault(place=(section,), text=f"{shown(around)} is not a mapping: write {section}: {{key: value}}")
            )
            around = {}
        data[section] = {**around, key: value}
    return faults


def _located(fault: Fault, document: Document, origins: Mapping[Place, str]) -> Fault:
    for place, origin in origins.items():
        if fault.place[: len(place)] == place:
            return replace(fault, origin=origin)
    return replace(fault, line=document.line_of(fault.place))


def _beneath(place: Place, above: set[Place]) -> bool:
    return any(place[:length] in above for length in range(1, len(place) + 1))


def _normal(sweep: SweepFile, catalogue: Catalogue) -> SweepFile:
    """One spelling for what means the same, so that equal searches have equal identities."""
    ranges = {}
    for name, given in sweep.ranges.items():
        allowed = [catalogue.range_of(method, name) for method in sweep.methods]
        ranges[name] = fitted(given, next((each for each in allowed if each is not None), None))
    trial = {key: duration_s(value) if key == "time_limit" else value for key, value in sweep.trial.items()}
    return sweep.model_copy(update={"ranges": ranges, "trial": trial})


def _folder() -> Any:
    return resources.files("sparsweep.spaces.presets")


def _text(source: str, known: Mapping[str, str]) -> str:
    """The file's text, after every way in which a path can disappoint."""
    path = Path(source)
    try:
        if path.is_dir():
            raise SweepFileError(f"{path}: is a folder: give a YAML file in it")
        if path.exists() and not path.is_file():
            raise SweepFileError(f"{path}: is not a regular file: give a YAML file")
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise SweepFileError(_absent(source, known)) from None
    except OSError as error:
        raise SweepFileError(f"{shown(source)} cannot be read: {error.strerror}") from None
    except SweepFileError:
        raise
    except ValueError:  # a NUL or a lone surrogate in the path
        raise SweepFileError(f"{shown(source)} cannot be a path: give a preset's name or a YAML file") from None
    if len(content) > LARGEST_BYTES:
        raise SweepFileError(f"{path}: is larger than {LARGEST_BYTES >> 20} MiB: a sweep file is some ten lines")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        text = f"byte 0x{content[error.start]:02X} is not UTF-8: save the file as UTF-8"
        raise SweepFileError(source, [Fault(place=(), line=line, text=text)]) from None


def _absent(source: str, known: Mapping[str, str]) -> str:
    is_file = Path(source).suffix in (".yaml", ".yml") or "/" in source
    what = f"{source}: there is no such file" if is_file else f"unknown preset {shown(source)}"
    hint = nearest(Path(source).stem, known)
    return f"{what}{hint} (presets: {', '.join(known)}; or give the path of a YAML file)"

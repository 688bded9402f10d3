"""A registered version as files for others: `sparsweep pick … --export DIR`. The folder appears whole or not at all."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sparsweep.search.figures import shown
from sparsweep.spaces.faults import visible

if TYPE_CHECKING:
    from sparsweep.search.with_mlflow import ModelVersionInfo, Registry
    from sparsweep.trainables.delivery.check import Difference

CARD = "model_card.md"
PROCESSES = 2
"""Formats that are opened at once, while the next one is written."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Where to export to, and in which formats."""

    folder: Path
    formats: tuple[str, ...]
    left_out: Mapping[str, str]
    """Formats that were not asked for and cannot be written here, with what brings them."""

    @classmethod
    def checked(cls, folder: str, form: str | None) -> Self:
        """A wish that can be granted as far as this machine goes.

        Args:
            folder: must be new or empty, in a place that can be written to.
            form: one format or `all`; None is all those whose libraries are installed.

        Raises:
            ValueError: it cannot be granted.
        """
        from sparsweep.trainables.delivery.formats import FORMATS, chosen

        formats = chosen(form)
        _check_folder(Path(folder))
        left_out = {name: each.remedy for name, each in FORMATS.items() if form is None and name not in formats}
        return cls(folder=Path(folder), formats=formats, left_out=left_out)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What lies in the folder now."""

    path: Path
    formats: Mapping[str, "Difference"]
    """By name how far its outputs in a fresh process are from those stored."""
    files: Mapping[str, int]
    """Sizes in bytes."""
    left_out: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        differences = {name: vars(each) for name, each in self.formats.items()}
        return {
            "path": str(self.path), "formats": list(self.formats), "max_difference": differences,
            "files": dict(self.files), "left_out": dict(self.left_out),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """One a format, and one a format that was left out."""
        from sparsweep.trainables.delivery.formats import FORMATS

        told = [f"exported to {self.path}, opened in fresh processes without sparsweep:"]
        for name, difference in self.formats.items():
            files = [f"{f} {shown('size_bytes', self.files[f])}" for f in FORMATS[name].files if f in self.files]
            told.append(f"  {name}: largest difference of outputs {difference}; {', '.join(files)}")
        return told + [f"  {name} was left out: {remedy}" for name, remedy in self.left_out.items()]


def export(registry: "Registry", info: "ModelVersionInfo", wish: Wish) -> Exported:
    """Writes the version in the formats wished for, and opens each in a fresh process.

    Raises:
        ValueError: the version lacks what a format needs, or the folder cannot be written.
        DifferentError: a file does not open, or gives other outputs than those stored.
    """
    from sparsweep.trainables.delivery.check import check_format
    from sparsweep.trainables.delivery.formats import write_formats

    settled = wish.folder.resolve()
    with _writing(wish.folder):
        space = tempfile.TemporaryDirectory(dir=_ground(settled), prefix=f".{settled.name}.")
    with space as beside, ThreadPoolExecutor(PROCESSES) as pool:
        trusted, made = Path(beside) / "trusted", Path(beside) / "made"
        fetch_trusted(registry, info, trusted)
        made.mkdir()
        try:
            with _writing(wish.folder):
                checks = {
                    form: pool.submit(check_format, form, made) for form in write_formats(wish.formats, trusted, made)
                }
        except ValueError as fault:
            raise ValueError(f"version {info.version} of {info.model} cannot be exported: {fault}") from fault
        differences = {form: check.result() for form, check in checks.items()}
        card = _card(registry, info, trusted, differences)
        with _writing(wish.folder):
            (made / CARD).write_text(card, encoding="utf-8")
            files = {path.name: path.stat().st_size for path in sorted(made.iterdir())}
            settled.parent.mkdir(parents=True, exist_ok=True)
            made.replace(settled)
    return Exported(path=wish.folder, formats=differences, files=files, left_out=wish.left_out)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise ValueError(f"--export {folder} cannot be written ({fault.strerror or fault})") from fault


def licence_of(tags: Mapping[str, str]) -> str | None:
    """What the tag `license` or `licence` says."""
    return next((tags[name] for name in ("license", "licence") if tags.get(name)), None)


def _check_folder(folder: Path) -> None:
    try:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"--export {folder} is a file: name a new folder")
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(f"--export {folder} is not an empty folder: name a new one")
        ground = _ground(folder.resolve())
    except (OSError, RuntimeError) as fault:  # RuntimeError: links in a circle
        said = getattr(fault, "strerror", None) or fault
        raise ValueError(f"--export {folder} cannot be written ({said}): name another folder") from fault
    if not ground.is_dir():
        raise ValueError(f"--export {folder} lies behind {ground}, which is a file: name another folder")
    if not os.access(ground, os.W_OK | os.X_OK):
        raise ValueError(f"--export {folder} cannot be written: {ground} is not yours to write to")


def _ground(folder: Path) -> Path:
    """The nearest folder above that is there."""
    return next(parent for parent in folder.parents if parent.exists())


def fetch_trusted(registry: "Registry", info: "ModelVersionInfo", folder: Path) -> None:
    """Copies the version's trusted form into a new folder. Raises ValueError where it has none, or no graph."""
    from sparsweep.trainables.delivery.formats import TRUSTED

    what = f"version {info.version} of {info.model}"
    if info.point is None:
        raise ValueError(f"{what} was not published by sparsweep and has no trusted form: load it with mlflow instead")
    registry.download(info.model, info.version, folder, part="sparsweep")
    why = folder / "no_graph.txt"
    if why.exists():
        raise ValueError(
            f"{what} has no graph to export ({visible(why.read_text()[:300])}): load it with mlflow instead"
        )
    if missing := [name for name in TRUSTED if not (folder / name).is_file()]:
        raise ValueError(
            f"{what} lacks {', '.join(missing)}, as versions of an older sparsweep do: run its sweep again under "
            "another model, or load it with mlflow"
        )


def _card(
    registry: "Registry", info: "ModelVersionInfo", trusted: Path, differences: Mapping[str, "Difference"]
) -> str:
    from sparsweep.search.model_card import model_card

    licence = licence_of({**registry.tags_of(info.model), **info.tags})
    try:
        return model_card(info, trusted, differences, licence)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise ValueError(
            f"point.json or architecture.json of version {info.version} of {info.model} is damaged ({fault})"
        ) from fault

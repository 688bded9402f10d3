"""What of a sweep's files no record, frontier or version needs any more. Finding it deletes nothing.

A record names the networks that it keeps; those from before an interruption lie in an older attempt than the record's
own. Everything else under a trial that has a record is left over: checkpoints, half-written files, attempts of which
nothing is kept. A trial without a record keeps its newest checkpoint, from which it goes on, and all networks, which
that checkpoint may name.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sparsweep.trainables.record import SO_FAR, TrialFolder, TrialStore

_BESIDE = re.compile(r"\..+\.\d+\.\d+|checkpoint\.\d+|\.now\..+")
"""Names under which files are written before they are renamed into place."""


@dataclass(frozen=True, kw_only=True)
class Waste:
    """A file or folder that can go."""

    path: Path
    size_bytes: int
    why: str

    def remove(self) -> None:
        """Deletes it; what is gone already is no fault."""
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)


def waste_of(sweep: Path, store: TrialStore) -> list[Waste]:
    """Everything of one sweep that can go, provided that no driver is at work on it.

    Args:
        sweep: the sweep's own folder.
        store: its trials, there or under a shared storage path.
    """
    found = [*_scratch(sweep), *_left_over(sweep), *_old_claims(store.path.parent / "driver")]
    for number in store.numbers():
        found.extend(_of_trial(store.folder(number)))
    return found


def _scratch(sweep: Path) -> Iterator[Waste]:
    if (ray := sweep / "ray").exists():
        yield _waste(ray, "Ray's scratch folder")


def _old_claims(folder: Path) -> Iterator[Waste]:
    for claim in sorted(folder.glob("[0-9]*.json"))[:-1]:
        for path in (claim, claim.with_suffix(".stop")):
            if path.exists():
                yield _waste(path, "claim of an earlier driver")
    yield from _left_over(folder)


def _left_over(folder: Path) -> Iterator[Waste]:
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        if path.is_file() and _BESIDE.fullmatch(path.name):
            yield _waste(path, "half-written file")


def _of_trial(folder: TrialFolder) -> Iterator[Waste]:
    attempts = sorted(folder.path.glob("attempt-*"), key=lambda path: int(path.name.split("-")[1]))
    yield from _left_over(folder.path)
    if (record := folder.record()) is None:
        yield from _of_unfinished(attempts)
        return
    needed = {str(point.network) for point in record.points if point.network is not None}
    for attempt in attempts:
        mine = attempt.name == f"attempt-{record.attempt}"
        if mine or any(network.startswith(f"{attempt.name}/") for network in needed):
            yield from _of_attempt(attempt, needed)
        else:
            yield _waste(attempt, "attempt that another one overtook")


def _of_attempt(attempt: Path, needed: set[str]) -> Iterator[Waste]:
    for path in sorted(attempt.iterdir()):
        network = f"{attempt.name}/{path.stem}"
        of_network = path.suffix in (".safetensors", ".json") and path.name != "result.json"
        if path.name == SO_FAR:
            yield _waste(path, "what a finished trial had found so far")
        elif of_network and network not in needed:
            yield _waste(path, "network that its record does not keep")
        elif path.name.startswith("checkpoint"):
            yield _waste(path, "checkpoint of a finished trial")
        elif _BESIDE.fullmatch(path.name):
            yield _waste(path, "half-written file")


def _of_unfinished(attempts: list[Path]) -> Iterator[Waste]:
    """Checkpoints older than the newest one can go; networks stay, as the newest checkpoint may name them."""
    checkpoints = [path for attempt in attempts if (path := attempt / "checkpoint.pt").exists()]
    for path in checkpoints[:-1]:
        yield _waste(path, "checkpoint older than the newest one")


def _waste(path: Path, why: str) -> Waste:
    return Waste(path=path, size_bytes=size_of(path), why=why)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files under a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())

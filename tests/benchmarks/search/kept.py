"""Runs that are done, one JSON file each, so that a benchmark goes on where it was. Runs of other settings lie beside.

KEEP/digits/optuna-seed0-3f2a….json
"""

import ast
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from sparsweep.trainables.record import read_whole, write_atomically
from tests.benchmarks.search.over_time import Found


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one contender found with one seed."""

    contender: str
    seed: int
    points: tuple[Found, ...]
    """All that were finished within the budget."""
    front: tuple[tuple[float, float, float], ...]
    """Accuracy, share removed and test accuracy of the points that no other dominates."""
    load_before: float
    """Processes that wanted a core in the minute before."""
    pace_ms: float
    """Of the machine just before (`machine.pace_ms`)."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `asdict` made. Raises TypeError where a part is missing."""
        return cls(**{**data, "points": tuple(map(tuple, data["points"])), "front": tuple(map(tuple, data["front"]))})


def fingerprint(settings: Mapping[str, Any]) -> str:
    """16 hex digits over everything that a run depends on beside its seed."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def digest(root: Path, parts: Sequence[str], but: Sequence[str] = ()) -> str:
    """16 hex digits over the source files under the named folders, and over the named files, names included.

    Of Python files the statements count: comments, docstrings and layout change no run.

    Args:
        but: files and folders, relative to the root too, that are left out.
    """
    left_out = [root / part for part in but]
    found = {path for part in parts for path in (root / part, *(root / part).rglob("*"))}
    summed = hashlib.sha256()
    for path in sorted(path for path in found if path.suffix in (".py", ".yaml")):
        if not any(path.is_relative_to(part) for part in left_out):
            summed.update(f"{path.relative_to(root)} {_content(path)}\n".encode())
    return summed.hexdigest()[:16]


@cache
def _content(path: Path) -> str:
    text = path.read_text()
    if path.suffix != ".py":
        return text
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a string that stands for itself: a docstring, of an attribute too
            body[:] = [each for each in body if not (isinstance(each, ast.Expr) and _is_text(each.value))]
    return ast.dump(tree)


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The folder of one task's runs."""

    folder: Path

    def path(self, contender: str, seed: int, settings: Mapping[str, Any]) -> Path:
        return self.folder / f"{contender}-seed{seed}-{fingerprint(settings)}.json"

    def find(self, contender: str, seed: int, settings: Mapping[str, Any]) -> Run | None:
        """The run of exactly these settings, if it is done.

        Raises:
            ValueError: its file is damaged, or holds another run than its name says.
        """
        path = self.path(contender, seed, settings)
        if not path.exists():
            return None
        data = read_whole(path, "delete it, and the run is done again")
        try:
            run = Run.from_json(data["run"])
        except (KeyError, TypeError) as fault:
            raise ValueError(f"{path} is damaged ({fault}): delete it, and the run is done again") from fault
        if (run.contender, run.seed, data.get("settings")) != (contender, seed, json.loads(json.dumps(settings))):
            raise ValueError(f"{path} holds a run of other settings: it was renamed or edited; delete it")
        return run

    def put(self, run: Run, settings: Mapping[str, Any]) -> None:
        """Keeps a run, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"settings": settings, "run": asdict(run)})
        write_atomically(self.path(run.contender, run.seed, settings), text)

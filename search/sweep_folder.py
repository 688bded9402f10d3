"""The folder of one sweep: what it is, who holds it, and what was measured beside the trials' own records.

sweep.json       the checked sweep file and where its state lies; written once, its budget may grow
driver/          who drives it: lease.py (beside the trials, where those have a storage path)
measured.json    by point: of which network, its test accuracy, latency, model version
index/           the points as a table: frontier_index.py
status.json      the last progress, for `sparsweep status`
trials/          the records (unless --storage-path)
frontier.json    frontier.png    frontier.html
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.search.catalogue import catalogue
from sparsweep.search.frontier_index import FrontierIndex
from sparsweep.search.home import Home
from sparsweep.search.lease import Lease, holder_of
from sparsweep.search.with_mlflow import without_password
from sparsweep.spaces.faults import SweepFileError, nearest, shown
from sparsweep.spaces.load import Overrides, read_sweep
from sparsweep.spaces.model_faults import model_faults
from sparsweep.spaces.same_search import differences
from sparsweep.spaces.sweep_file import SweepFile, is_name
from sparsweep.spaces.yaml_document import read_document
from sparsweep.trainables.point import Point, latencies, made_of
from sparsweep.trainables.record import TrialRecord, TrialStore, read_whole, write_atomically

if TYPE_CHECKING:
    from sparsweep.trainables.tasks import Task

SCHEMA = 1
REMEDY = "put a copy back, or delete it and run the sweep file again: trials that are done are not repeated"

LOCAL = "local"
"""Address of a Ray of the sweep's own on this machine, as `ray.init` names it, from the first trial on."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where a sweep's state lies and its trials run. None is the embedded default."""

    tracking_uri: str | None = None
    study_storage: str | None = None
    storage_path: str | None = None
    address: str | None = None
    data_root: str | None = None
    code_root: str | None = None
    """The folder in which the sweep's own methods, `module:Class`, are found."""

    @property
    def cluster(self) -> str | None:
        """Address of the cluster that trials run on; None where they run on this machine alone.

        >>> Where(address="head:6379").cluster, Where(address="local").cluster
        ('head:6379', None)
        """
        return None if self.address == LOCAL else self.address

    def as_written(self) -> dict[str, str | None]:
        """Plain data for a file: an address with a password is written as the variable that it came from."""
        return {name: _hidden(name, value) for name, value in asdict(self).items()}

    @classmethod
    def as_read(cls, written: Mapping[str, str | None]) -> "Where":
        """What `as_written` wrote. Raises ValueError where a variable that held an address is not set now."""
        found = {}
        for name, value in written.items():
            variable = value.removeprefix("$") if value and value.startswith("$") else None
            if variable is not None and variable not in os.environ:
                raise ValueError(f"the sweep takes its {name} from {variable}, which is not set: set it as before")
            found[name] = os.environ[variable] if variable else value
        return cls(**found)


VARIABLES = {"tracking_uri": "MLFLOW_TRACKING_URI", "study_storage": "SPARSWEEP_STUDY_STORAGE"}
"""Environment variables that addresses with passwords come from; they are never written to a file."""


def has_password(address: str) -> bool:
    """Whether a URL carries a password: `scheme://user:password@host`."""
    return without_password(address) != address


def refuse_passwords(options: Mapping[str, Any]) -> None:
    """Raises ValueError where an option of the command line, by its name in VARIABLES, carries a password."""
    from sparsweep.search.with_mlflow import without_password

    for option, variable in VARIABLES.items():
        if (given := options.get(option)) and has_password(given):
            raise ValueError(
                f"--{option.replace('_', '-')} {without_password(given)} carries a password, which everybody on this "
                f"machine could read: put the address into the environment variable {variable}"
            )


def _hidden(name: str, value: str | None) -> str | None:
    return f"${VARIABLES[name]}" if value is not None and name in VARIABLES and has_password(value) else value


@dataclass(frozen=True)
class SweepFolder:
    """One sweep on disk."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def exists(self) -> bool:
        return (self.path / "sweep.json").is_file()

    def create(self, sweep: SweepFile, where: Where) -> None:
        """Writes what the sweep is; a sweep that is here already may only have its budget changed.

        Raises:
            ValueError: the name stands for another search here.
        """
        self.refuse_another_search(sweep)
        self.path.mkdir(parents=True, exist_ok=True)
        content = {"schema": SCHEMA, "sweep": sweep.as_json(), "where": where.as_written()}
        write_atomically(self.path / "sweep.json", json.dumps(content, indent=1))

    def refuse_another_search(self, sweep: SweepFile) -> None:
        """Raises ValueError where the name stands for another search here, or what is here cannot be read."""
        if self.exists() and (changed := differences(self.read()[0].identity(), sweep.identity())):
            raise ValueError(
                f"the name {self.name} is already used in {self.path} for another search: {'; '.join(changed)}; "
                "give this one another --name, or run the old one on with sparsweep resume"
            )

    def read(self, overrides: Overrides | None = None, *, to_run: bool = False) -> tuple[SweepFile, Where]:
        """What the sweep is. Raises ValueError where it is of another schema or damaged.

        Args:
            to_run: imports the user's own methods and checks against them; otherwise they are taken on trust.
        """
        path = self.path / "sweep.json"
        try:
            content = read_whole(path, REMEDY)
            if content["schema"] != SCHEMA:
                raise ValueError(
                    f"{path} has schema {content['schema']}; this sparsweep reads {SCHEMA}: use its version"
                )
            where = Where.as_read(content["where"])
            text = json.dumps(content["sweep"])
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError(f"{path} is damaged ({type(fault).__name__}: {fault}): {REMEDY}") from fault
        if overrides is None and not to_run:
            return on_trust(text, str(path)), where
        known = catalogue(Path(where.code_root) if to_run and where.code_root else None)
        return read_sweep(text, known, title=str(path), overrides=overrides or Overrides()), where

    def store(self, where: Where) -> TrialStore:
        """The sweep's trials, here or under the storage path."""
        root = Path(where.storage_path) / self.name if where.storage_path else self.path
        return TrialStore(root / "trials")

    def index(self, where: Where) -> FrontierIndex:
        """The table of the sweep's points."""
        return FrontierIndex(self.path / "index", self.store(where))

    @contextmanager
    def held(self, where: Where) -> Iterator[Lease]:
        """Holds the sweep's name: one driver at a time, on whatever machine.

        Raises:
            ValueError: another driver holds it; it is named.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lease = Lease.take(self.drivers(where), self.name)
        try:
            yield lease
        finally:
            lease.release()

    def drivers(self, where: Where) -> Path:
        """Where drivers claim the sweep: beside the trials, so that all machines that share them see it."""
        return self.store(where).path.parent / "driver"

    def is_held(self, where: Where) -> bool:
        """Whether a driver is at work on it now."""
        holder = holder_of(self.drivers(where))
        return holder is not None and holder.alive

    def measured(self) -> dict[str, dict[str, Any]]:
        """By point id: `test_accuracy`, `latency`, `model_version`, as far as they are known, and of what (`of`)."""
        path = self.path / "measured.json"
        return read_whole(path, "delete it, and sparsweep resume measures again") if path.exists() else {}

    def note(self, notes: Iterable[tuple[Point, Mapping[str, Any]]]) -> None:
        """Adds to what was measured; what is known of another network under the same id makes way."""
        known = self.measured()
        for point, figures in notes:
            kept = known.get(point.id, {})
            known[point.id] = {"of": made_of(point), **(kept if _holds_of(point, kept) else {}), **figures}
        write_atomically(self.path / "measured.json", json.dumps(known))


@lru_cache(maxsize=256)
def on_trust(text: str, title: str) -> SweepFile:
    """The sweep that `SweepFile.as_json` wrote, as JSON. Raises ValueError with all that is wrong in it.

    What it names was held against the catalogue then. Whoever looks at a sweep does so every second, and needs no
    catalogue for it, and so no torch.
    """
    sweep, faults = model_faults(read_document(text, title).data)
    if sweep is None:
        raise SweepFileError(title, faults)
    return sweep


def sweep_in(home: Home, name: str) -> SweepFolder:
    """The sweep of this name. Raises ValueError with the place that was searched, the near names and all others."""
    folder = SweepFolder(home.sweep(name))
    if not is_name(name) or not folder.exists():
        known = home.sweeps()
        listed = f"; there is {', '.join(known)}" if known else "; there is none yet"
        raise ValueError(f"no sweep {shown(name)} in {home.path}{nearest(name, known)}{listed}")
    return folder


def points_of(records: Iterable[TrialRecord], measured: Mapping[str, Mapping[str, Any]]) -> list[Point]:
    """All points of the records, with what was measured of them later."""
    return with_measured((point for record in records for point in record.points), measured)


def with_measured(points: Iterable[Point], measured: Mapping[str, Mapping[str, Any]]) -> list[Point]:
    """The points with what was measured of them later."""
    found = []
    for point in points:
        known = {name: value for name, value in measured.get(point.id, {}).items() if name != "of"}
        if not known or not _holds_of(point, measured[point.id]):
            found.append(point)
            continue
        if "latency" in known:
            known["latency"] = latencies(known["latency"])
        found.append(point.with_(**known))
    return found


def _holds_of(point: Point, known: Mapping[str, Any]) -> bool:
    """Whether something was measured of this very network; of before it was noted, everything was."""
    return bool(known.get("of", made_of(point)) == made_of(point))


def task_of(sweep: SweepFile, where: Where) -> "Task":
    """The sweep's task; its paths count from the folder of the command, its data lie under the given root."""
    from sparsweep.trainables.tasks import Task

    task, code = sweep.task, Path(where.code_root) if where.code_root else None

    def path(written: str | None) -> Path | None:
        return ((code or Path.cwd()) / Path(written).expanduser()).absolute() if written else None

    return Task(
        network=task.network, data=task.data, data_root=path(where.data_root or task.data_root), code_root=code,
        given_shape=task.example_shape, given_classes=task.num_classes, stem=task.stem,
        start_from=path(task.start_from), loss=task.loss, score=task.score, corrupt=task.corrupt,
    )  # fmt: skip

"""What a trial leaves behind: one `result.json`, committed once. Everything else is a projection of these records.

Layout under a sweep's storage folder:

    trials/00007/setting.json            what was proposed (number, setting, seed)
    trials/00007/attempt-1/              working folder of one attempt: checkpoint, networks
    trials/00007/attempt-1/so_far.json   what it has found, while it is at work
    trials/00007/result.json             the committed record; it names the attempt whose networks count

A commit is an exclusive hard link of a finished file: the first attempt to commit wins, a later or older writer
changes nothing and is told so. An attempt that sees a newer attempt's folder is fenced and does not commit at all.

Until then `so_far.json` has the same layout, is replaced as points come, and counts only while there is no record.
"""

import contextlib
import errno
import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from sparsweep.spaces.space import Row
from sparsweep.trainables.point import Point

AGAIN = "put a copy back, or delete it, and sparsweep resume runs the trial again"
"""What to do about a damaged record."""

State = Literal["done", "failed", "stopped", "unfinished"]

SCHEMA = 1
"""Version of the record's layout; a record of another version is refused, never half-read."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of training or fine-tuning, as it was when it ended."""

    step: int
    """Epochs since the trial began, from 1; fine-tuning goes on counting."""
    phase: Literal["train", "finetune"]
    loss: float
    accuracy: float
    """Validation share in [0, 1]."""
    ended_ms: int
    """Milliseconds since 1970 by the trial's clock; the metric's timestamp wherever it is logged."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """What a trial was judged by in the middle of its training."""

    epoch: int
    """After so many epochs."""
    values: tuple[float, ...]
    """All larger is better; see `search.judging`."""


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """The outcome of one trial. A failed or stopped one has a reason; a stopped one has no points, and a failed one
    those that it had shown before.

    An unfinished one is no outcome and never committed: it is what a trial has found so far, which ended last when it
    was written.

    Stopped is a trial that was not worth going on with. Of one whose descent alone was cut short the points count and
    the state is done; the reason then says where it ended.
    """

    number: int
    attempt: int
    setting: Row
    """The row that was proposed, `method` included, and nothing that the row did not choose."""
    seed: int
    state: State
    reason: str | None
    points: tuple[Point, ...]
    epochs: tuple[Epoch, ...]
    started_ms: int
    ended_ms: int
    seconds: Mapping[str, float]
    """Wall-clock seconds by phase: prepare (build the network, gates, masks), train, own, descend."""
    environment: Mapping[str, str]
    """Versions, device and host of the process that ran it."""
    rungs: tuple[Rung, ...] = ()
    """At which it was judged."""
    slot: Mapping[str, float] = field(default_factory=dict)
    """What it held while it ran: shares of `cpu` and `gpu`; empty in records of before these were kept."""
    earlier_s: float = 0.0
    """Seconds that earlier attempts held a slot before they were preempted or lost."""

    @property
    def held_s(self) -> float:
        """Seconds that the trial held a slot, in all its attempts."""
        return max(self.ended_ms - self.started_ms, 0) / 1e3 + self.earlier_s

    @property
    def method(self) -> str:
        return str(self.setting["method"])

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            **{k: v for k, v in vars(self).items() if k not in ("points", "epochs", "rungs")},
            "points": [point.as_json() for point in self.points],
            "epochs": [vars(epoch) for epoch in self.epochs],
            "rungs": [vars(rung) for rung in self.rungs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises ValueError where the record has another schema."""
        fields = dict(data)
        if not isinstance(fields.get("setting", {}), dict):
            raise TypeError(f"setting is {fields['setting']!r}")
        if (schema := fields.pop("schema", None)) != SCHEMA:
            raise ValueError(f"trial record of schema {schema}; this sparsweep reads schema {SCHEMA}: use its version")
        fields["points"] = tuple(confined(Point.from_json(point)) for point in fields["points"])
        fields["epochs"] = tuple(Epoch(**epoch) for epoch in fields["epochs"])
        fields["rungs"] = tuple(Rung(epoch=r["epoch"], values=tuple(r["values"])) for r in fields.get("rungs", ()))
        amounts = {**fields.get("slot", {}), "earlier_s": fields.get("earlier_s", 0.0)}
        if bad := [f"{name} = {amount}" for name, amount in amounts.items() if not 0 <= amount < math.inf]:
            raise ValueError(f"trial record with {', '.join(bad)}: what a trial held is finite and not below 0")
        return cls(**fields)


_NETWORK = re.compile(r"attempt-[0-9]{1,9}/[\w-]{1,64}", re.ASCII)
_ATTEMPT = re.compile(r"attempt-([1-9][0-9]{0,8})", re.ASCII)
_CUT = re.compile(r"[\w-]{1,64}", re.ASCII)


def confined(point: Point) -> Point:
    """The point, if the files that it names lie in its trial's folder. Raises ValueError."""
    if point.network is not None and not _NETWORK.fullmatch(point.network):
        raise ValueError(f"network {point.network[:60]!r} is not one of the trial's own: it must be attempt-N/NAME")
    if not _CUT.fullmatch(point.cut):
        raise ValueError(f"cut {point.cut[:60]!r} is not a name: it must be letters, digits, - and _")
    return point


SO_FAR = "so_far.json"
"""File in an attempt's folder: a TrialRecord that is unfinished."""


BEGAN = "began"
"""File in an attempt's folder, written when the attempt begins."""


FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
ROOM_BYTES = 64 * 2**20
"""With less than this free nothing new is begun, and what fails then fails for want of room."""


class StorageFullError(RuntimeError):
    """There is no room to write what a trial has found."""


def check_room(folder: Path) -> None:
    """Raises OSError (ENOSPC) where hardly anything more can be written under a folder."""
    if shutil.disk_usage(folder).free < ROOM_BYTES:
        raise OSError(errno.ENOSPC, f"no room: less than {ROOM_BYTES >> 20} MiB free", str(folder))


def is_full(fault: BaseException, folder: Path) -> bool:
    """Whether a fault came for want of room; many writers do not say so."""
    if isinstance(fault, OSError) and fault.errno in FULL:
        return True
    try:
        check_room(folder)
    except OSError as room:
        return room.errno in FULL
    return False


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def write_atomically(path: Path, text: str, *, durable: bool = True) -> None:
    """The whole text or nothing: written beside, flushed to disk, renamed.

    Args:
        durable: waits for the disk; without that a machine that goes down may leave the file empty.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        beside.replace(path)
    except OSError:  # a full disk: what was written of it makes it no emptier
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def read_whole(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object in a file of ours. Raises ValueError with the remedy where it is not whole."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:
        raise ValueError(f"{path} is damaged ({fault}): {remedy}") from fault
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged (it holds no object): {remedy}")
    return content


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial: `<storage>/trials/<number>`."""

    path: Path

    def propose(self, number: int, setting: Row, seed: int) -> None:
        """Keeps what was proposed, so that a lost study can be rebuilt and a trial repeated."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"number": number, "setting": setting, "seed": seed}, indent=1)
        write_atomically(self.path / "setting.json", text)

    def proposal(self) -> dict[str, Any] | None:
        """{number, setting, seed}; None where nothing was proposed."""
        path = self.path / "setting.json"
        if not path.exists():
            return None
        return read_whole(path, "put a copy back, or delete it: the study, or the trial's record, has it too")

    def attempts(self) -> list[int]:
        """Numbers of all attempts, from 1, ascending."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(int(m[1]) for name in os.listdir(self.path) if (m := _ATTEMPT.fullmatch(name)))
        return []

    def newest_attempt(self) -> int:
        """Number of the newest attempt; 0 where there is none."""
        return max(self.attempts(), default=0)

    def claim_attempt(self) -> int:
        """Starts a new attempt; from now on every older one is fenced, its checkpoint stays in reach."""
        self.path.mkdir(parents=True, exist_ok=True)
        while True:
            attempt = self.newest_attempt() + 1
            try:
                self.attempt(attempt).mkdir()
            except FileExistsError:
                continue
            return attempt

    def attempt(self, number: int) -> Path:
        return self.path / f"attempt-{number}"

    def held_before(self, attempt: int) -> float:
        """Seconds that older attempts held a slot: each from its beginning to the last that it wrote."""
        return sum(_lived_s(self.attempt(number)) for number in range(1, attempt))

    def commit(self, record: TrialRecord) -> bool:
        """True if this record is now the trial's; False if a newer attempt exists or another one was committed."""
        if record.state == "unfinished":
            raise ValueError(f"trial {record.number} is unfinished: only an outcome is committed")
        if self.newest_attempt() > record.attempt:
            return False
        finished = self.attempt(record.attempt) / "result.json"
        write_atomically(finished, json.dumps(record.as_json(), allow_nan=False))
        try:
            os.link(finished, self.path / "result.json")
        except FileExistsError:
            return False
        return True

    def record(self) -> TrialRecord | None:
        """The committed record, or None. Raises ValueError on one that is damaged or of another schema."""
        path = self.path / "result.json"
        try:
            content = read_whole(path, AGAIN)
        except FileNotFoundError:
            return None
        return self._record_from(content, path)

    def _record_from(self, content: Mapping[str, Any], path: Path) -> TrialRecord:
        try:
            record = TrialRecord.from_json(content)
        except (KeyError, TypeError, AttributeError, ArithmeticError) as fault:
            raise ValueError(f"{path} is damaged ({type(fault).__name__}: {fault}): {AGAIN}") from fault
        for attempt in {point.network.partition("/")[0] for point in record.points if point.network is not None}:
            if (self.path / attempt).is_symlink():
                raise ValueError(f"{self.path / attempt} is a link: networks are read from a trial's own folder only")
        return record

    def has_ended(self) -> bool:
        """Whether there is a record."""
        return (self.path / "result.json").exists()

    def show(self, record: TrialRecord) -> None:
        """Replaces what an attempt is known to have found so far."""
        text = json.dumps(record.as_json(), allow_nan=False)
        write_atomically(self.attempt(record.attempt) / SO_FAR, text, durable=False)

    def so_far(self) -> TrialRecord | None:
        """What a trial without a record has found by the last that it said; None where it has said nothing.

        That is what its newest attempt has said, and of older ones the points that this has not come to again.
        """
        found: TrialRecord | None = None
        for path in self._said_so_far():
            with contextlib.suppress(OSError, ValueError):  # damaged, or gone meanwhile: the trial may say it again
                record = self._record_from(read_whole(path, AGAIN), path)
                if record.state != "unfinished":
                    continue
                if found is None:
                    found = record
                    continue
                cuts = {point.cut for point in found.points}
                older = (point for point in record.points if point.cut not in cuts)
                found = replace(found, points=(*found.points, *older))
        return found

    def latest(self) -> TrialRecord | None:
        """The record, or what the trial has found so far. Raises ValueError where the record is damaged."""
        shown = self.so_far()  # first: the trial may end meanwhile, and there is nothing shown any more
        return self.record() or shown

    def stamp_so_far(self) -> tuple[int, int] | None:
        """What changes whenever it has said more: a time in ns and a size in bytes; None where it has said nothing."""
        for path in self._said_so_far():
            with contextlib.suppress(OSError):
                found = path.stat()
                return found.st_mtime_ns, found.st_size
        return None

    def _said_so_far(self) -> list[Path]:
        """Newest first; attempts that are links are none of the trial's own."""
        with contextlib.suppress(OSError):
            folders = [self.attempt(number) for number in reversed(self.attempts())]
            return [at / SO_FAR for at in folders if (at / SO_FAR).is_file() and not at.is_symlink()]
        return []


def _lived_s(attempt: Path) -> float:
    """Both ends by the storage's own clock; 0 where the attempt left no sign."""
    with contextlib.suppress(OSError):
        began = (attempt / BEGAN).stat().st_mtime
        return max(max(path.stat().st_mtime for path in attempt.iterdir()) - began, 0.0)
    return 0.0


@dataclass(frozen=True)
class TrialStore:
    """All trials of one sweep: `<storage>/trials`."""

    path: Path

    def folder(self, number: int) -> TrialFolder:
        return TrialFolder(self.path / f"{number:05d}")

    def numbers(self) -> list[int]:
        """Numbers of all trials that were proposed, ascending."""
        return sorted(int(p.name) for p in self.path.glob("[0-9]*") if p.name.isdigit())

    def ended(self) -> int:
        """How many trials have a record."""
        return sum(1 for _ in self.path.glob("[0-9]*/result.json"))

    def survey(self) -> tuple[dict[int, tuple[int, int]], list[int]]:
        """Of the trials with a record its stamp (`stamp`), and the numbers of the others; one look at all."""
        stamps: dict[int, tuple[int, int]] = {}
        others: list[int] = []
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return stamps, others
        try:
            for name in os.listdir(folder):
                if name.isdigit():
                    try:
                        found = os.stat(f"{name}/result.json", dir_fd=folder)  # half the time of a whole path
                        stamps[int(name)] = (found.st_mtime_ns, found.st_size)
                    except OSError:
                        others.append(int(name))
        finally:
            os.close(folder)
        return stamps, sorted(others)

    def stamp(self, number: int) -> tuple[int, int] | None:
        """When a trial's record was written, in ns, and its size in bytes; None where it has none."""
        with contextlib.suppress(OSError):
            found = (self.folder(number).path / "result.json").stat()
            return found.st_mtime_ns, found.st_size
        return None

    def stamps(self) -> dict[int, tuple[int, int]]:
        """By trial the stamp of its record; of all that have one now."""
        return self.survey()[0]

    def unfinished(self) -> list[int]:
        """Numbers of the trials without a record, ascending."""
        return self.survey()[1]

    def records(self) -> Iterator[TrialRecord]:
        """Committed records by ascending number."""
        for number in self.numbers():
            if (record := self.folder(number).record()) is not None:
                yield record

    def records_so_far(self) -> list[TrialRecord]:
        """All records by ascending number, and of the trials without one what they have found so far."""
        shown = {number: self.folder(number).so_far() for number in self.unfinished()}
        ended = {record.number: record for record in self.records()}  # after what is shown: a trial may end meanwhile
        found = {number: record for number, record in shown.items() if record is not None} | ended
        return [found[number] for number in sorted(found)]

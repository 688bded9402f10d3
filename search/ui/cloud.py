"""All points of one sweep as columns, kept up to date from its records: what the page draws.

The records are the truth, and only those that are new are read; the frontier is the one that the command line shows.
What trials at work have found so far stands among the rest and makes way for their records.
Nothing here asks the driver of a running sweep for anything.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from sparsweep.search.caption import timing_of
from sparsweep.search.curve import LiveFront, search_axes
from sparsweep.search.delivery import frontier_indexed, frontier_over
from sparsweep.search.frontier import frontier_of
from sparsweep.search.overview import Tally
from sparsweep.search.sweep_folder import SweepFolder, Where, points_of, with_measured
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.point import Point, made_of
from sparsweep.trainables.record import TrialRecord, TrialStore

FIGURES = (
    "accuracy", "test_accuracy", "sparsity", "layer_sparsity", "macs_removed", "size_removed", "speedup", "latency_ms",
    "macs", "macs_ideal", "weights_left", "size_bytes",
)  # fmt: skip
"""Columns of numbers; null where a point was not measured so."""

Stamp = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class TrialLine:
    """What of a trial is told beside its points."""

    number: int
    method: str
    setting: Mapping[str, Any]
    state: str
    reason: str | None
    started_ms: int
    ended_ms: int


UNSURE = {"latency_ms", "layer_sparsity"}
"""Objectives by which a point may come onto the front because another one changes or is let go of."""


@dataclass(frozen=True)
class Shown:
    """What a trial at work was last seen to have found."""

    stamp: Stamp | None
    points: frozenset[str]
    """Their keys (`keys_of`)."""


NOTHING = Shown(None, frozenset())


@dataclass
class Fresh:
    """What is new since the last look."""

    ended: list[TrialRecord] = field(default_factory=list)
    at_work: list[TrialRecord] = field(default_factory=list)
    anything: bool = False
    gone: bool = False
    """Whether a point that was there is not any more: then all must be read anew."""


@dataclass
class Cloud:
    """One sweep's points; `refresh` brings it up to date. Safe to be called from several threads."""

    folder: SweepFolder
    version: int = 0
    """Larger whenever anything has changed."""
    rewritten: int = 0
    """The version at which rows changed that had been there before."""
    trials: dict[int, TrialLine] = field(default_factory=dict)
    columns: dict[str, list[Any]] = field(default_factory=dict)
    """`trial`, `cut`, `low` and `high` (mean accuracy over seeds, less and plus a deviation), and FIGURES."""
    history: list[tuple[int, int, float]] = field(default_factory=list)
    """(trials ended, end in ms, hypervolume) in the order of ending: each time it grew, and the last."""
    damaged: dict[int, str] = field(default_factory=dict)
    """Trials whose record cannot be read, with the reason."""
    front: list[int] = field(default_factory=list)
    """Rows of the frontier, by accuracy descending."""
    hypervolume: float = 0.0
    """Accuracy x MACs removed above (0, 0), over all points."""
    _front: tuple[Point, ...] = field(default=(), repr=False)
    tally: Tally | None = None
    """Of the records that were read; None before the first look."""
    _stamps: dict[int, Stamp] = field(default_factory=dict, repr=False)
    _at_work: dict[int, Shown] = field(default_factory=dict, repr=False)
    """By trial without a record what it was last seen to have found."""
    _measured: tuple[int, Mapping[str, Mapping[str, Any]]] = field(default=(0, {}), repr=False)
    _rows: dict[str, int] = field(default_factory=dict, repr=False)
    """By point id its row."""
    _live: LiveFront | None = field(default=None, repr=False)
    _volume: LiveFront = field(default_factory=lambda: LiveFront(("macs_removed",)), repr=False)
    _packed: tuple[int, bytes] = field(default=(-1, b""), repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def count(self) -> int:
        return len(self._rows)

    def refresh(self) -> bool:
        """Reads what is new; whether anything was.

        Raises:
            ValueError: the sweep cannot be read.
        """
        with self._lock:
            sweep, where = self.folder.read()
            store = self.folder.store(where)
            stamps, unfinished = store.survey()
            shown = {number: at for number in unfinished if (at := store.folder(number).stamp_so_far()) is not None}
            for number in unfinished:  # a trial may have ended meanwhile
                if (stamp := store.stamp(number)) is not None:
                    stamps[number] = stamp
            measured_ns = self._measured_ns()
            remeasured = measured_ns != self._measured[0]
            measured = self.folder.measured() if remeasured else self._measured[1]
            if any(stamps.get(number) != stamp for number, stamp in self._stamps.items()):
                self._begin_anew()
            fresh = self._fresh(store, stamps, shown)
            if self.version and not fresh.anything and not remeasured:
                return False
            self.version += 1
            added_only = self.count > 0 and not remeasured and self.rewritten < self.version
            if remeasured:
                self._measure(measured_ns, measured)
            if fresh.gone:
                self._begin_anew()
                fresh, added_only = self._fresh(store, stamps, shown), False
            points = self._take_in(sweep, fresh)
            if added_only and not self.damaged and not UNSURE & sweep.objectives.directions.keys():
                self._add_to_front(sweep, points)
            else:
                self._find_front(sweep, where)
            self.front = [self._rows[point.id] for point in self._front if point.id in self._rows]
            return True

    def _fresh(self, store: TrialStore, stamps: Mapping[int, Stamp], shown: Mapping[int, Stamp]) -> Fresh:
        """Reads what is new, each file once, and remembers where it stood."""
        fresh = Fresh()
        for number in sorted(stamps.keys() - self._stamps.keys()):
            self._stamps[number] = stamps[number]
            try:
                record = store.folder(number).record()
            except ValueError as fault:
                self.damaged[number] = str(fault)
                record = None
            if record is not None:
                fresh.ended.append(record)
            fresh.anything = True
            fresh.gone |= not self._at_work.pop(number, NOTHING).points <= keys_of(record)
        for number, stamp in shown.items():
            before = self._at_work.get(number, NOTHING)
            if number in stamps or before.stamp == stamp:
                continue
            record = store.folder(number).so_far()
            now = keys_of(record)
            self._at_work[number] = Shown(stamp, now)
            if record is not None and now != before.points:
                fresh.at_work.append(record)
                fresh.anything = True
                fresh.gone |= not before.points <= now
        for number in self._at_work.keys() - shown.keys():
            fresh.anything = True
            fresh.gone |= bool(self._at_work.pop(number).points)
        return fresh

    def _begin_anew(self) -> None:
        """Some record is gone, or another one: nothing that was read counts."""
        self.rewritten = self.version = self.version + 1
        for known in (
            self.trials, self.columns, self.history, self.damaged, self._stamps, self._at_work, self._rows
        ):  # fmt: skip
            known.clear()
        self._live = self.tally = None
        self._volume = LiveFront(self._volume.axis)

    def _measured_ns(self) -> int:
        with suppress(OSError):
            return (self.folder.path / "measured.json").stat().st_mtime_ns
        return 0

    def _measure(self, written_ns: int, now: Mapping[str, Mapping[str, Any]]) -> None:
        """Takes over what was measured of points after their records were made."""
        known = self._measured[1]
        self._measured = (written_ns, now)
        changed = [name for name in now.keys() | known.keys() if now.get(name) != known.get(name)]
        trials = {int(name.partition("/")[0]) for name in changed if name in self._rows}
        if trials:
            self.rewritten = self.version
        _, where = self.folder.read()
        for number in trials:
            if (record := self.folder.store(where).folder(number).latest()) is not None:
                for point in with_measured(record.points, now):
                    if point.id in self._rows:
                        self._put(self._rows[point.id], point)

    def _take_in(self, sweep: SweepFile, fresh: Fresh) -> list[Point]:
        """Takes in what is new; its points."""
        self.tally = self.tally or Tally(sweep)
        ordered = sorted(fresh.ended, key=lambda each: (each.ended_ms, each.number))
        points = [point for record in ordered for point in self._take(record, sweep)]
        for record in fresh.at_work:
            self.trials[record.number] = _line(record)
            points += self._put_all(record)
        return points

    def _take(self, record: TrialRecord, sweep: SweepFile) -> list[Point]:
        assert self.tally is not None
        self.tally.take(record)
        self.trials[record.number] = _line(record)
        if self._live is None:
            self._live = LiveFront(search_axes(sweep.objectives.directions))
        volume = self._live.take(record.points) if record.points else self._live.headline
        if len(self.history) > 1 and self.history[-2][2] == self.history[-1][2]:
            self.history.pop()  # only where it grew, and as it is now
        self.history.append((self.tally.ended, record.ended_ms, volume))
        return self._put_all(record)

    def _put_all(self, record: TrialRecord) -> list[Point]:
        """A record's points into their rows, each of which it keeps; they are returned as they are measured now."""
        self._volume.take(record.points)
        points = with_measured(record.points, self._measured[1])
        for point in points:
            self._put(self._rows.setdefault(point.id, len(self._rows)), point)
        return points

    def _put(self, row: int, point: Point) -> None:
        figures = point.figures()
        deviation = point.spread.deviation("accuracy") if point.spread else None
        mean = point.spread.mean("accuracy") if point.spread else 0.0
        values: dict[str, Any] = {
            "trial": point.trial, "cut": point.cut,
            "low": None if deviation is None else mean - deviation,
            "high": None if deviation is None else mean + deviation,
            **{name: figures.get(name) for name in FIGURES},
        }  # fmt: skip
        for name, value in values.items():
            column = self.columns.setdefault(name, [])
            if row == len(column):
                column.append(value)
            elif column[row] != value:
                column[row] = value
                self.rewritten = self.version

    def _find_front(self, sweep: SweepFile, where: Where) -> None:
        """As the command line finds it; where a record is damaged, of those that can be read."""
        if self.damaged:
            store = self.folder.store(where)
            whole = (store.folder(number).latest() for number in self.trials)
            points = points_of((record for record in whole if record is not None), self._measured[1])
            found = frontier_over(points, sweep, self.folder.name)
        else:
            found, _ = frontier_indexed(sweep, self.folder, where)
        self._front, self.hypervolume = found.points, found.macs_hypervolume

    def _add_to_front(self, sweep: SweepFile, new: Sequence[Point]) -> None:
        """What was dominated stays so: only the front and what is new can be on the next one.

        That holds while nothing that was known has changed, as long as what a point without a latency is held to, the
        dense network's, does not depend on the other points. A trial that ends lets go of networks, but each that was
        on the front is equalled by one of its own that is among the new.
        """
        again = {point.id for point in new}
        before = (point for point in self._front if point.id not in again)
        candidates = [*before, *(point for point in new if point.network is not None)]
        self._front = frontier_of(candidates, sweep.objectives.directions, sweep.constraints)
        self.hypervolume = self._volume.headline

    def all_json(self) -> bytes:
        """`payload()` as JSON; made once a version, however many ask for it."""
        if self._packed[0] != self.version:
            payload = self.payload()
            self._packed = (payload["version"], as_json(payload))
        return self._packed[1]

    def payload(self, since: int = 0) -> dict[str, Any]:
        """Rows from `since` on, with everything that is told of the whole; plain data."""
        with self._lock:
            columns = {name: column[since:] for name, column in self.columns.items()}
            numbers = dict.fromkeys(columns.get("trial", ()))
            return {
                "version": self.version, "since": since, "count": self.count, "columns": columns,
                "trials": {str(number): _plain(self.trials[number]) for number in numbers},
                "damaged": {str(number): why for number, why in self.damaged.items()},
                "front": list(self.front), "hypervolume": self.hypervolume, "timed": timing_of(self._front),
            }  # fmt: skip


def as_json(data: Any) -> bytes:
    """Without what JSON has not, and without spaces."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).encode()


def keys_of(record: TrialRecord | None) -> frozenset[str]:
    """What its points are told from others by: id and figures."""
    return frozenset(f"{point.id} {made_of(point)}" for point in record.points) if record is not None else frozenset()


def _line(record: TrialRecord) -> TrialLine:
    return TrialLine(
        number=record.number, method=record.method, setting=dict(record.setting), state=record.state,
        reason=record.reason, started_ms=record.started_ms, ended_ms=record.ended_ms,
    )  # fmt: skip


def _plain(line: TrialLine) -> dict[str, Any]:
    return {"method": line.method, "setting": dict(line.setting), "ended_ms": line.ended_ms}


def as_event(name: str, data: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """A server-sent event."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), as_json(data))

"""The points of a sweep as a table that is read at once, so that its frontier needs none of the records.

index/points.bin      a row a point: where its record stood when it was read, its figures, where its text lies
index/points.jsonl    the points whole, a line each

It is one more projection of the records, and nothing but that: rows count only while their record has the size and the
time that they name, as in git's own index; what is newer is read from the records, and what is damaged is made again.
What trials without a record have found so far is read each time.
What was measured after a record (latencies, test accuracy, versions) is never in it.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sparsweep.search.dominance import non_dominated
from sparsweep.search.figures import Objectives
from sparsweep.spaces.constraint import COMPARE, Constraint
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import TrialRecord, TrialStore, confined

Stamp = tuple[int, int]
"""Of a record's file: the time of its writing in ns, its size in bytes."""

FIGURES: Final = (
    "accuracy", "sparsity", "layer_sparsity", "weights_left", "macs", "macs_ideal", "dense_macs", "size_bytes",
    "dense_size_bytes",
)  # fmt: skip
ROW: Final = np.dtype(
    [
        ("trial", "<i8"), ("written_ns", "<i8"), ("record_bytes", "<i8"), ("place", "<i8"), ("rank", "<i8"),
        ("kind", "<i8"), ("at", "<i8"), ("length", "<i8"), ("crc", "<i8"), ("cut", "S64"),
        *((name, "<f8") for name in FIGURES), ("check", "<u8"),
    ]
)  # fmt: skip
"""`place` is the point's in its record, `rank` that of its cut among the record's cuts; `check` sums the words before.

A row without a figure (`kind` NO_POINT) says that its trial was read and has no point.
"""
NO_POINT, NOT_KEPT, KEPT, TIMED = range(4)
"""Kinds of rows: a point may be without a network, have one, or bring latencies in its record already."""
MAGIC: Final = f"sparsweep points, table 1, rows of {ROW.itemsize} bytes\n".encode().ljust(64)
Table = NDArray[np.void]


class DamagedError(Exception):
    """The index is not as it was written."""


@dataclass
class FrontierIndex:
    """The index of one sweep, beside its records. One driver appends to it; whoever reads may make it again."""

    path: Path
    """Its folder, inside the sweep's."""
    store: TrialStore
    _known: dict[int, Stamp] | None = field(default=None, repr=False)

    def take(self, record: TrialRecord) -> None:
        """Adds a committed record's points; those that are there already are left alone."""
        if self._known is None:
            self._known = self._load_known()
        if (stamp := self.store.stamp(record.number)) is not None and self._known.get(record.number) != stamp:
            self._append([(record, stamp)])
            self._known[record.number] = stamp

    def telling(
        self, objectives: Objectives, constraints: Sequence[Constraint], timed: Collection[str], *, save: bool
    ) -> tuple[list[Point], int]:
        """Points that have the same frontier, reference and hypervolumes as all of the sweep's, and how many those are.

        Args:
            timed: ids of the points that were timed after their record was made.
            save: whether what the index lacks is written into it; not while a driver does so.

        Raises:
            ValueError: a record that must be read is damaged.
        """
        try:
            return self._telling(objectives, constraints, timed, save)
        except (DamagedError, OSError):  # a driver may have been writing just now: what is its own stays
            if save:
                with contextlib.suppress(OSError):
                    self._remove()
        try:
            return self._telling(objectives, constraints, timed, save)
        except (DamagedError, OSError):  # nothing can be written here, or somebody writes at the same time
            points = [point for record in self.store.records_so_far() for point in record.points]
            return points, len(points)

    def _telling(
        self, objectives: Objectives, constraints: Sequence[Constraint], timed: Collection[str], save: bool
    ) -> tuple[list[Point], int]:
        table = self._read()
        stamps, unfinished = self.store.survey()
        at_work = {number: self.store.folder(number).so_far() for number in unfinished}
        for number in unfinished:  # a trial may have ended meanwhile
            if (stamp := self.store.stamp(number)) is not None:
                stamps[number] = stamp
        whole, (table, newer) = len(table), _current(table, stamps)
        if save and whole and not len(table):  # of records that are all gone or copied anew
            self._remove()
        added: dict[int, TrialRecord] = {}
        for number in newer:
            if (record := self.store.folder(number).record()) is not None:
                added[number] = record
        if added and save:
            with contextlib.suppress(OSError):  # a full disk, or somebody else's home
                self._append([(record, stamps[number]) for number, record in added.items()])
        mine = _points_of(table)
        chosen = mine[_telling_rows(mine, objectives, constraints, timed)]
        fresh = {n: record for n, record in at_work.items() if record is not None and n not in stamps} | added
        points = [*self._texts(chosen), *(point for record in fresh.values() for point in record.points)]
        places = {number: {point.cut: at for at, point in enumerate(r.points)} for number, r in fresh.items()}
        read = {(int(row["trial"]), str(row["cut"], "ascii")): int(row["place"]) for row in chosen}

        def order(point: Point) -> tuple[int, int]:
            own = places.get(point.trial)
            return point.trial, read[point.trial, point.cut] if own is None else own[point.cut]

        return sorted(points, key=order), len(mine) + sum(len(record.points) for record in fresh.values())

    def _read(self) -> Table:
        """All rows as they were written. Raises DamagedError."""
        path = self.path / "points.bin"
        if not path.exists():
            return np.empty(0, ROW)
        content = path.read_bytes()
        if not content.startswith(MAGIC) or (len(content) - len(MAGIC)) % ROW.itemsize:
            raise DamagedError
        table: Table = np.frombuffer(content, ROW, offset=len(MAGIC))
        if not np.array_equal(_checks(table), table["check"]):
            raise DamagedError
        return table

    def _texts(self, rows: Table) -> list[Point]:
        """The points of these rows. Raises DamagedError."""
        if not len(rows):
            return []
        points = []
        with (self.path / "points.jsonl").open("rb") as file:
            for row in rows:
                text = os.pread(file.fileno(), int(row["length"]), int(row["at"]))
                if zlib.crc32(text) != row["crc"]:
                    raise DamagedError
                points.append(confined(Point.from_json(json.loads(text))))
        return points

    def _append(self, records: Iterable[tuple[TrialRecord, Stamp]]) -> None:
        """Texts first: a row never names what is not there yet."""
        self.path.mkdir(parents=True, exist_ok=True)
        texts: list[bytes] = []
        rows: list[tuple[Any, ...]] = []
        with (self.path / "points.jsonl").open("ab") as file:
            at = file.seek(0, os.SEEK_END)
            for record, stamp in records:
                rows += _rows_of(record, stamp, texts, at + sum(map(len, texts)))
                file.write(b"".join(texts))
                at += sum(map(len, texts))
                texts.clear()
        table = np.array(rows, ROW)
        table["check"] = _checks(table)
        with (self.path / "points.bin").open("ab") as file:
            file.write((b"" if file.seek(0, os.SEEK_END) else MAGIC) + table.tobytes())

    def _load_known(self) -> dict[int, Stamp]:
        """By trial the record that was read; empty, and the files gone, where they are damaged."""
        try:
            table = self._read()
        except DamagedError:
            self._remove()
            return {}
        columns = (table[name].tolist() for name in ("trial", "written_ns", "record_bytes"))
        return {trial: (written, size) for trial, written, size in zip(*columns, strict=True)}

    def _remove(self) -> None:
        for name in ("points.bin", "points.jsonl"):
            (self.path / name).unlink(missing_ok=True)


def _rows_of(record: TrialRecord, stamp: Stamp, texts: list[bytes], at: int) -> list[tuple[Any, ...]]:
    """Rows of a record; appends its points' lines to `texts`, of which the first will lie at `at`."""
    head = (record.number, *stamp)
    if not record.points:
        return [(*head, 0, 0, NO_POINT, 0, 0, 0, b"", *(0.0 for _ in FIGURES), 0)]
    ranks = {cut: rank for rank, cut in enumerate(sorted(point.cut for point in record.points))}
    rows = []
    for place, point in enumerate(record.points):
        text = json.dumps(point.as_json(), allow_nan=False).encode() + b"\n"
        kind = NOT_KEPT if point.network is None else TIMED if point.latency else KEPT
        figures = (float(getattr(point, name)) for name in FIGURES)
        where = (at, len(text), zlib.crc32(text), point.cut.encode("ascii"))
        rows.append((*head, place, ranks[point.cut], kind, *where, *figures, 0))
        texts.append(text)
        at += len(text)
    return rows


def _checks(table: Table) -> NDArray[np.uint64]:
    """What the last word of each row must be."""
    words = np.ascontiguousarray(table).view("<u8").reshape(len(table), ROW.itemsize // 8)
    weights = np.arange(1, words.shape[1], dtype="<u8") * np.uint64(0x9E3779B97F4A7C15)
    sums: NDArray[np.uint64] = words[:, :-1] @ weights + np.uint64(1)
    return sums


def _current(table: Table, stamps: Mapping[int, Stamp]) -> tuple[Table, list[int]]:
    """The rows whose record is still as they say, in the order of trials; and the trials that none tells of.

    Raises:
        DamagedError: a trial stands there twice.
    """
    starts = np.flatnonzero(np.r_[True, table["trial"][1:] != table["trial"][:-1]]) if len(table) else np.empty(0, int)
    heads = table[starts]
    columns = (heads[name].tolist() for name in ("trial", "written_ns", "record_bytes"))
    holds = [stamps.get(trial) == (written, size) for trial, written, size in zip(*columns, strict=True)]
    kept = heads["trial"][holds].tolist() if len(heads) else []
    if len(set(kept)) < len(kept):
        raise DamagedError
    missing = sorted(stamps.keys() - set(kept))
    if all(holds) and kept == sorted(kept):
        return table, missing
    lengths = np.diff(np.r_[starts, len(table)])
    rows = table[np.repeat(np.array(holds, bool), lengths)]
    return rows[np.argsort(rows["trial"], kind="stable")], missing


def _points_of(table: Table) -> Table:
    there = table["kind"] != NO_POINT
    return table if there.all() else table[there]


def _telling_rows(
    rows: Table, objectives: Objectives, constraints: Sequence[Constraint], timed: Collection[str]
) -> list[int]:
    """Where the rows of the points lie that the frontier, its reference and its hypervolumes hang on.

    Points that were not timed differ in no speedup and no latency, so among them those count that no other of them
    dominates; all that were timed count. `dense_figures` goes by the first point, the fullest, the best uncut one and
    the timed ones, the hypervolume shown live by all points, kept or not.
    """
    if not len(rows):
        return []
    kept = np.flatnonzero(rows["kind"] >= KEPT)
    chosen = set(_front(rows, np.arange(len(rows)), {"accuracy": "max", "macs_removed": "max"}))
    measured = _named(rows, timed) | set(np.flatnonzero(rows["kind"] == TIMED).tolist())
    chosen |= measured
    untimed = kept[~np.isin(kept, list(measured))] if measured else kept
    for rule in constraints:
        fits = _column(rows, rule.figure)[untimed] if rule.figure not in _TIMED else None
        untimed = untimed[COMPARE[rule.op](fits, rule.bound)] if fits is not None else untimed[:0]
    chosen |= set(_front(rows, untimed, {n: way for n, way in objectives.items() if n not in _TIMED}))
    if len(kept):
        chosen |= {int(kept[0]), int(kept[np.argmin(rows["sparsity"][kept])])}
        if len(uncut := kept[rows["cut"][kept] == b"dense"]):
            chosen.add(int(uncut[np.argmax(rows["accuracy"][uncut])]))
    return sorted(chosen)


_TIMED: Final = ("speedup", "latency_ms")
WEIGHTS: Final = (0.5, 0.9, 0.1, 0.7, 0.3)


def _front(rows: Table, among: NDArray[np.intp], objectives: Objectives) -> list[int]:
    """Those that none of the others dominates; of equals the first by trial and cut, as in `frontier_of`."""
    if not len(among):
        return []
    columns = [_column(rows, name)[among] * (1.0 if way == "max" else -1.0) for name, way in objectives.items()]
    near = _maybe_on(columns)
    near = near[np.lexsort((rows["rank"][among[near]], rows["trial"][among[near]]))]
    on = non_dominated(np.stack([column[near] for column in columns], axis=1))
    found: list[int] = among[near[np.array(on, bool)]].tolist()
    return found


def _maybe_on(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.intp]:
    """Where all rows lie but most of those that another one beats in every column: cheap to tell, and it leaves few.

    Rows are compared with those that are best by some weighting of the first column and the rest, in their ranges.
    """
    shares = [(column - column.min()) / (np.ptp(column) or 1.0) for column in columns]
    rest, left = sum(shares[1:], np.zeros_like(shares[0])), np.arange(len(columns[0]))
    for weight in WEIGHTS:
        best = left[np.argmax((weight * shares[0] + (1 - weight) * rest)[left])]
        beaten = np.ones(len(left), bool)
        for column in columns:
            beaten &= column[left] < column[best]
        left = left[~beaten]
    return left


def _column(rows: Table, figure: str) -> NDArray[np.float64]:
    """A figure of every row, as `Point.figures` has it."""
    if figure in ("macs_removed", "size_removed"):
        part = figure.removesuffix("_removed").replace("size", "size_bytes")
        return np.asarray(1 - rows[part] / rows[f"dense_{part}"])
    return np.asarray(rows[figure])


def _named(rows: Table, ids: Collection[str]) -> set[int]:
    """Where the points of these ids lie, as far as they are there."""
    trials = sorted({int(name.partition("/")[0]) for name in ids if name.partition("/")[0].isdecimal()})
    near = np.flatnonzero(np.isin(rows["trial"], trials)) if trials else np.empty(0, int)
    wanted, columns = set(ids), (near.tolist(), rows["trial"][near].tolist(), rows["cut"][near].tolist())
    return {at for at, trial, cut in zip(*columns, strict=True) if f"{trial:05d}/{cut.decode('ascii')}" in wanted}

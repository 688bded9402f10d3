"""The frontier from the index is the one from the records, whatever was measured, lost, damaged or made anew."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsweep.search.delivery import frontier_indexed, frontier_now
from sparsweep.search.frontier import Frontier
from sparsweep.search.sweep_folder import SweepFolder, Where
from sparsweep.spaces.constraint import Constraint
from sparsweep.spaces.sweep_file import Objectives, SweepFile, Task
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import TrialFolder, TrialRecord
from tests.search.points import make_latency, make_point, tenths
from tests.search.records import commit, make_record

HERE = Where()
OBJECTIVES = (
    Objectives(accuracy="max", sparsity="max", speedup="max"),
    Objectives(accuracy="max", latency_ms="min"),
    Objectives(accuracy="max", macs="min", size_bytes="min", weights_left="min"),
)
RULES: tuple[tuple[str, ...], ...] = (
    (), ("accuracy >= 0.5",), ("speedup >= 1.5",), ("macs_removed > 0.2", "macs < 900"),
)  # fmt: skip


def sweep_of(objectives: Objectives = OBJECTIVES[0], rules: Sequence[str] = ()) -> SweepFile:
    return SweepFile(
        name="digits", task=Task(network="lenet-digits", data="digits"), objectives=objectives,
        constraints=tuple(map(Constraint.parse, rules)),
    )  # fmt: skip


def point(trial: int, cut: str, accuracy: float, sparsity: float, *, kept: bool = True, **more: Any) -> Point:
    return make_point(
        trial, cut, accuracy=accuracy, sparsity=sparsity, network=f"attempt-1/{cut}" if kept else None, **more
    )


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    """Two trials, each with a point on the frontier and one that is not."""
    folder = SweepFolder(tmp_path / "digits")
    taken(folder, make_record(0, point(0, "00", 0.9, 0.5), point(0, "01", 0.4, 0.4)))
    taken(folder, make_record(1, point(1, "00", 0.5, 0.9), point(1, "01", 0.3, 0.3)))
    return folder


def taken(folder: SweepFolder, record: TrialRecord) -> None:
    """Commits a record and takes it into the index, as the driver does."""
    commit(folder.store(HERE), record)
    folder.index(HERE).take(record)


def shown(folder: SweepFolder, record: TrialRecord) -> None:
    """Has a trial that is at work show the record's points."""
    trial = folder.store(HERE).folder(record.number)
    if trial.newest_attempt() == 0:
        trial.claim_attempt()
    trial.show(replace(record, state="unfinished"))


def ids(folder: SweepFolder) -> list[str]:
    front, _ = frontier_indexed(sweep_of(), folder, HERE)
    return [each.id for each in front.points]


def both(sweep: SweepFile, folder: SweepFolder) -> tuple[tuple[Frontier, int], tuple[Frontier, int]]:
    afresh, points = frontier_now(sweep, folder, folder.store(HERE))
    return frontier_indexed(sweep, folder, HERE), (afresh, len(points))


def unread(self: TrialFolder) -> TrialRecord | None:
    raise AssertionError(f"{self.path} was read")


ROWS = st.tuples(tenths, tenths, st.booleans(), st.sampled_from([None, 0.5, 1.0, 2.0]))
TRIALS = st.lists(st.lists(ROWS, max_size=4), max_size=6)


@settings(max_examples=150, deadline=None)
@given(TRIALS, st.sampled_from(OBJECTIVES), st.sampled_from(RULES), st.integers(0, 6), st.integers(0, 2), st.randoms())
def test_the_frontier_is_the_one_that_is_computed_afresh(
    trials: list[list[tuple[float, float, bool, float | None]]], objectives: Objectives, rules: tuple[str, ...],
    in_index: int, at_work: int, chance: Any,
) -> None:  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder, notes = SweepFolder(Path(name) / "digits"), []
        records = []
        for number, rows in enumerate(trials):
            cuts = ["own", "dense", "01", "00"]
            points = [point(number, cuts[at], a, s, kept=kept) for at, (a, s, kept, _) in enumerate(rows)]
            notes += [
                (each, {"latency": [vars(make_latency(speedup))]})
                for each, (_, _, kept, speedup) in zip(points, rows, strict=True)
                if kept and speedup is not None
            ]
            records.append(make_record(number, *points, reason=None if points else "diverged"))
        chance.shuffle(records)
        for at, record in enumerate(records):
            if at < at_work and record.state == "done":
                shown(folder, record)
            elif at < in_index:
                taken(folder, record)
            else:
                commit(folder.store(HERE), record)
        folder.path.mkdir(exist_ok=True)
        folder.note(notes)
        sweep = sweep_of(objectives, rules)
        for _ in range(2):  # the second time all of it is in the index
            indexed, afresh = both(sweep, folder)
            assert indexed == afresh


def test_an_index_that_is_whole_needs_no_record(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrialFolder, "record", unread)
    assert ids(folder) == ["00000/00", "00001/00"]


def test_what_the_index_lacks_is_read_once(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(folder.store(HERE), make_record(2, point(2, "00", 0.7, 0.7)))
    assert ids(folder) == ["00000/00", "00002/00", "00001/00"]
    monkeypatch.setattr(TrialFolder, "record", unread)
    assert ids(folder) == ["00000/00", "00002/00", "00001/00"]


def test_what_a_trial_at_work_has_found_counts_until_its_record_does(folder: SweepFolder) -> None:
    shown(folder, make_record(2, point(2, "00", 0.7, 0.7)))
    assert ids(folder) == ["00000/00", "00002/00", "00001/00"]
    shown(folder, make_record(2, point(2, "00", 0.7, 0.7), point(2, "01", 0.6, 0.8)))
    assert ids(folder) == ["00000/00", "00002/00", "00002/01", "00001/00"]
    folder.store(HERE).folder(2).commit(make_record(2, point(2, "00", 0.7, 0.7, kept=False), point(2, "01", 0.6, 0.8)))
    assert ids(folder) == ["00000/00", "00002/01", "00001/00"]


def test_what_a_trial_had_found_before_it_failed_counts(folder: SweepFolder) -> None:
    shown(folder, make_record(2, point(2, "00", 0.7, 0.7)))
    folder.store(HERE).folder(2).commit(make_record(2, point(2, "00", 0.7, 0.7), reason="out of memory: 8 GiB"))
    assert ids(folder) == ["00000/00", "00002/00", "00001/00"]


def test_a_trial_that_ends_while_the_frontier_is_made_is_not_missed(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_record(2, point(2, "00", 0.7, 0.7))
    shown(folder, record)
    look = TrialFolder.so_far

    def ends_now(self: TrialFolder) -> TrialRecord | None:
        found = look(self)
        if self.commit(record):
            (self.attempt(1) / "so_far.json").unlink()
        return found

    monkeypatch.setattr(TrialFolder, "so_far", ends_now)
    assert ids(folder) == ["00000/00", "00002/00", "00001/00"]
    assert ids(folder) == ["00000/00", "00002/00", "00001/00"]


def test_while_a_driver_is_at_work_nobody_else_writes_the_index(folder: SweepFolder) -> None:
    commit(folder.store(HERE), make_record(2, point(2, "00", 0.7, 0.7)))
    before = (folder.path / "index" / "points.bin").read_bytes()
    with folder.held(HERE):
        assert "00002/00" in ids(folder)
    assert (folder.path / "index" / "points.bin").read_bytes() == before


def test_a_trial_that_was_run_again_counts_as_it_is_now(folder: SweepFolder) -> None:
    result = folder.store(HERE).folder(0).path / "result.json"
    result.unlink()
    assert ids(folder) == ["00001/00"]
    content = make_record(0, point(0, "00", 0.95, 0.1), point(0, "01", 0.6, 0.6)).as_json()
    result.write_text(json.dumps(content))
    assert ids(folder) == ["00000/00", "00000/01", "00001/00"]


def test_what_is_measured_later_counts_though_it_was_dominated_before(folder: SweepFolder) -> None:
    assert ids(folder) == ["00000/00", "00001/00"]
    measured = {"latency": [vars(make_latency(3.0))], "test_accuracy": 0.25, "model_version": "4"}
    folder.note([(point(1, "01", 0.3, 0.3), measured)])
    front, _ = frontier_indexed(sweep_of(), folder, HERE)
    last = front.points[-1]
    assert (last.id, last.speedup, last.test_accuracy, last.model_version) == ("00001/01", 3.0, 0.25, "4")


def test_a_point_comes_forward_when_the_one_before_it_turns_out_slow(folder: SweepFolder) -> None:
    taken(folder, make_record(2, point(2, "00", 0.9, 0.4)))
    assert ids(folder) == ["00000/00", "00001/00"]
    folder.note([(point(0, "00", 0.9, 0.5), {"latency": [vars(make_latency(0.5))]})])
    assert ids(folder) == ["00000/00", "00002/00", "00001/00"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 4
    path.write_bytes(bytes(content))


DAMAGE: Mapping[str, Callable[[Path, Path], object]] = {
    "no table": lambda table, texts: table.unlink(),
    "no texts": lambda table, texts: texts.unlink(),
    "neither": lambda table, texts: (table.unlink(), texts.unlink()),
    "half a row": lambda table, texts: os.truncate(table, table.stat().st_size - 7),
    "half a text": lambda table, texts: os.truncate(texts, texts.stat().st_size // 3),
    "a bit of the table": lambda table, texts: flip(table),
    "garbage instead of the table": lambda table, texts: table.write_bytes(b"\xff" * 1000),
    "nothing in the table": lambda table, texts: table.write_bytes(b""),
    "other texts": lambda table, texts: texts.write_bytes(b"{}\n" * 5000),
    "every row twice": lambda table, texts: table.write_bytes(table.read_bytes() + table.read_bytes()[64:]),
    "a table of another version": lambda table, texts: table.write_bytes(b"sparsweep points, table 0".ljust(64)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_index_that_is_damaged_is_made_again(
    damage: str, folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    DAMAGE[damage](folder.path / "index" / "points.bin", folder.path / "index" / "points.jsonl")
    indexed, afresh = both(sweep_of(), folder)
    assert indexed == afresh
    monkeypatch.setattr(TrialFolder, "record", unread)
    assert ids(folder) == ["00000/00", "00001/00"]


def test_while_a_driver_is_at_work_nobody_else_removes_a_damaged_index(folder: SweepFolder) -> None:
    table = folder.path / "index" / "points.bin"
    os.truncate(table, table.stat().st_size - 7)  # as if it was just being written
    before = table.read_bytes()
    with folder.held(HERE):
        assert ids(folder) == ["00000/00", "00001/00"]
    assert table.read_bytes() == before


def test_an_index_of_records_that_were_copied_anew_does_not_grow(folder: SweepFolder) -> None:
    before = (folder.path / "index" / "points.bin").stat().st_size
    for number in (0, 1):
        result = folder.store(HERE).folder(number).path / "result.json"
        os.utime(result, (1.0, 1.0))
    assert ids(folder) == ["00000/00", "00001/00"]
    assert (folder.path / "index" / "points.bin").stat().st_size == before


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_driver_that_finds_it_damaged_goes_on(damage: str, folder: SweepFolder) -> None:
    DAMAGE[damage](folder.path / "index" / "points.bin", folder.path / "index" / "points.jsonl")
    store = folder.store(HERE)
    index = folder.index(HERE)
    for record in [*store.records(), make_record(2, point(2, "00", 0.7, 0.7))]:
        if record.number == 2:
            commit(store, record)
        index.take(record)
    indexed, afresh = both(sweep_of(), folder)
    assert indexed == afresh
    assert indexed[1] == 5


def test_a_damaged_record_is_told_by_its_name(folder: SweepFolder) -> None:
    result = folder.store(HERE).folder(1).path / "result.json"
    result.write_text("{")
    with pytest.raises(ValueError, match=r"00001/result\.json is damaged"):
        frontier_indexed(sweep_of(), folder, HERE)


def test_where_nothing_can_be_written_the_records_answer(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.path / "index" / "points.bin").unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sparsweep.search.frontier_index.FrontierIndex._append", full)
    assert ids(folder) == ["00000/00", "00001/00"]


def test_a_sweep_without_a_trial_has_an_empty_frontier(tmp_path: Path) -> None:
    indexed, afresh = both(sweep_of(), SweepFolder(tmp_path / "digits"))
    assert indexed == afresh
    assert (indexed[0].points, indexed[1]) == ((), 0)

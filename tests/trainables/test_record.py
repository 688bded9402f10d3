"""The committed record of a trial: once, whole, by the newest attempt."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from sparsweep.trainables.record import (
    ROOM_BYTES,
    Epoch,
    TrialFolder,
    TrialRecord,
    TrialStore,
    check_room,
    is_full,
    write_atomically,
)
from tests.trainables.test_point import POINT

RECORD = TrialRecord(
    number=7, attempt=1, setting={"method": "gasl", "threshold": 0.5}, seed=3, state="done", reason=None,
    points=(POINT,), epochs=(Epoch(step=1, phase="train", loss=0.5, accuracy=0.9, ended_ms=1000),),
    started_ms=0, ended_ms=2000, seconds={"train": 1.5}, environment={"torch": "2"},
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> TrialFolder:
    return TrialStore(tmp_path / "trials").folder(7)


def test_a_record_survives_json_and_names_its_method() -> None:
    again = TrialRecord.from_json(json.loads(json.dumps(RECORD.as_json())))
    assert again == RECORD
    assert again.method == "gasl"


def test_what_a_trial_held_is_its_own_time_and_that_of_earlier_attempts() -> None:
    old = RECORD.as_json()
    del old["slot"], old["earlier_s"]  # a record of before they were kept
    assert (TrialRecord.from_json(old).slot, TrialRecord.from_json(old).held_s) == ({}, 2.0)
    assert replace(RECORD, earlier_s=30.0).held_s == 32.0
    with pytest.raises(ValueError, match=r"with cpu = inf, earlier_s = -1: .* finite and not below 0"):
        TrialRecord.from_json({**old, "slot": {"cpu": float("inf"), "gpu": 1}, "earlier_s": -1})


def test_a_record_of_another_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="trial record of schema 2; this sparsweep reads schema 1"):
        TrialRecord.from_json({**RECORD.as_json(), "schema": 2})
    with pytest.raises(ValueError, match="schema None"):
        TrialRecord.from_json({})


def test_a_committed_record_is_read_back(folder: TrialFolder) -> None:
    assert folder.record() is None
    folder.claim_attempt()
    assert folder.commit(RECORD)
    assert folder.record() == RECORD
    assert sorted(path.name for path in folder.path.iterdir()) == ["attempt-1", "result.json"]


def test_only_one_of_two_commits_wins(folder: TrialFolder) -> None:
    folder.claim_attempt()
    assert folder.commit(RECORD)
    assert not folder.commit(replace(RECORD, seed=99))
    assert folder.record() == RECORD


def test_an_older_attempt_is_fenced(folder: TrialFolder) -> None:
    assert [folder.claim_attempt(), folder.claim_attempt()] == [1, 2]
    assert not folder.commit(RECORD)
    assert folder.record() is None
    newer = replace(RECORD, attempt=2)
    assert folder.commit(newer)
    assert folder.record() == newer


def test_attempts_are_counted_as_numbers_not_as_text(folder: TrialFolder) -> None:
    assert folder.newest_attempt() == 0
    for _ in range(11):
        folder.claim_attempt()
    assert folder.newest_attempt() == 11


def test_a_figure_that_json_cannot_say_is_never_committed(folder: TrialFolder) -> None:
    folder.claim_attempt()
    with pytest.raises(ValueError, match="Out of range float values"):
        folder.commit(replace(RECORD, seconds={"train": float("nan")}))
    assert folder.record() is None


def test_writing_replaces_the_whole_text_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text"
    write_atomically(path, "old")

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"


def test_a_proposal_is_kept(folder: TrialFolder) -> None:
    assert folder.proposal() is None
    folder.propose(7, {"method": "gasl"}, 3)
    assert folder.proposal() == {"number": 7, "setting": {"method": "gasl"}, "seed": 3}


def test_the_store_lists_committed_records_by_number(tmp_path: Path) -> None:
    store = TrialStore(tmp_path / "trials")
    assert list(store.records()) == []
    for number in (12, 3, 7):
        store.folder(number).propose(number, {}, 0)
    for number in (12, 3):
        store.folder(number).claim_attempt()
        store.folder(number).commit(replace(RECORD, number=number))
    assert store.numbers() == [3, 7, 12]
    assert [record.number for record in store.records()] == [3, 12]


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda text: "[]", lambda text: "\xff"])
def test_a_damaged_record_is_named_and_run_again_once_it_is_deleted(
    folder: TrialFolder, damage: Callable[[str], str]
) -> None:
    folder.claim_attempt()
    assert folder.commit(RECORD)
    path = folder.path / "result.json"
    path.write_text(damage(path.read_text()), encoding="latin-1")
    with pytest.raises(ValueError, match=r"00007/result\.json is damaged \(.*\): put a copy back, or delete it"):
        folder.record()
    path.unlink()
    again = replace(RECORD, attempt=folder.claim_attempt())
    assert folder.commit(again)
    assert folder.record() == again


def test_a_damaged_proposal_is_named(folder: TrialFolder) -> None:
    folder.propose(7, RECORD.setting, 3)
    (folder.path / "setting.json").write_text('{"number": 7,')
    with pytest.raises(ValueError, match=r"00007/setting\.json is damaged \(.*\): put a copy back, or delete it"):
        folder.proposal()


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_atomically(tmp_path / "it.json", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "it.json", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("it.json", "old")]


def test_want_of_room_is_told_from_other_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_full(OSError(errno.EDQUOT, "Disk quota exceeded"), tmp_path)
    assert not is_full(RuntimeError("PytorchStreamWriter failed writing file"), tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=ROOM_BYTES - 1))
    assert is_full(RuntimeError("PytorchStreamWriter failed writing file"), tmp_path)
    with pytest.raises(OSError, match="no room: less than 64 MiB free"):
        check_room(tmp_path)

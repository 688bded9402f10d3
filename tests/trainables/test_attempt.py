"""A whole trial on digits: the same bits however often it is interrupted, and every way to fail has its reason."""

import errno
import json
import math
import os
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sparsweep.trainables import attempt as attempt_module
from sparsweep.trainables.attempt import Attempt, FencedError, PreemptedError, lost, own_front, reason_of, run_trial
from sparsweep.trainables.methods.gasl import Gasl
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import BEGAN, StorageFullError, TrialFolder, TrialRecord
from sparsweep.trainables.trial import Trial, TrialPlan
from tests.trainables.nets import plan
from tests.trainables.test_point import POINT

ADVANCES = 6
"""Two epochs, the own cut, three cuts."""
SHORT: dict[str, Any] = {"method": "dense", "fixed": {"epochs": 1}}


def _plain(points: tuple[Point, ...] | list[Point]) -> list[Point]:
    """Points less the attempt in which each was measured."""
    return [point.with_(network=None) for point in points]


def _networks(folder: TrialFolder, record: TrialRecord) -> dict[str, dict[str, Tensor]]:
    return {p.cut: load_file(folder.path / f"{p.network}.safetensors") for p in record.points if p.network}


SETTINGS: dict[str, dict[str, Any]] = {
    "gasl": {},
    "magnitude": {"method": "magnitude", "granularity": "weight", "final_sparsity": 0.6},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[TrialFolder, TrialRecord]]:
    """An uninterrupted trial of each setting, run once."""
    done: dict[str, tuple[TrialFolder, TrialRecord]] = {}

    def get(name: str) -> tuple[TrialFolder, TrialRecord]:
        if name not in done:
            folder = TrialFolder(tmp_path_factory.mktemp(name) / "00007")
            done[name] = folder, run_trial(plan(**SETTINGS[name]), folder)
        return done[name]

    return get


def test_a_trial_gives_its_own_cut_and_every_cut_of_the_descent(whole: Callable[[str], Any]) -> None:
    folder, record = whole("gasl")
    assert record.state == "done"
    assert [point.cut for point in record.points] == ["own", "own-tuned", "00", "01", "02"]
    assert [(epoch.step, epoch.phase) for epoch in record.epochs] == [
        (1, "train"), (2, "train"), (3, "finetune"), (4, "finetune"), (5, "finetune"), (6, "finetune"),
    ]  # fmt: skip
    sparsities = [point.sparsity for point in record.points[2:]]
    assert sparsities == sorted(sparsities)
    assert [point.macs for point in record.points[2:]] == sorted((p.macs for p in record.points[2:]), reverse=True)
    assert folder.record() == record
    assert set(record.seconds) == {"prepare", "train", "own", "descend"}


def test_only_networks_of_its_own_front_are_kept(whole: Callable[[str], Any]) -> None:
    folder, record = whole("gasl")
    kept = {f"{p.network}.safetensors" for p in record.points if p.network}
    assert {f"attempt-1/{path.name}" for path in (folder.path / "attempt-1").glob("*.safetensors")} == kept
    assert _plain([p for p in record.points if p.network]) == _plain(own_front(list(record.points)))
    assert not (folder.path / "attempt-1" / "checkpoint.pt").exists()


@pytest.mark.parametrize("done", range(1, ADVANCES))
@pytest.mark.parametrize("name", SETTINGS)
def test_a_trial_resumed_at_any_epoch_or_cut_is_the_same_to_the_bit(
    whole: Callable[[str], Any], tmp_path: Path, name: str, done: int
) -> None:
    folder, steps = TrialFolder(tmp_path / "00007"), iter(range(1, ADVANCES))
    first = Attempt.begin(plan(**SETTINGS[name]), folder)
    assert first.run(until=lambda trial: next(steps) == done)
    first.save()
    torch.rand(100)  # whatever else the process does meanwhile
    record = run_trial(plan(**SETTINGS[name]), folder)
    unbroken_folder, unbroken = whole(name)
    assert record.attempt == 2
    assert _plain(record.points) == _plain(unbroken.points)
    assert [(e.step, e.loss, e.accuracy) for e in record.epochs] == [
        (e.step, e.loss, e.accuracy) for e in unbroken.epochs
    ]
    mine, theirs = _networks(folder, record), _networks(unbroken_folder, unbroken)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[cut][n], weight) for cut, net in theirs.items() for n, weight in net.items())


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda content: b"", lambda content: content[1:]])
def test_a_damaged_checkpoint_is_skipped_for_the_older_one(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    folder = TrialFolder(tmp_path / "00007")
    for _ in range(2):
        begun = Attempt.begin(plan(), folder)
        begun.run(until=lambda trial: True)
        begun.save()
    newest = folder.attempt(2) / "checkpoint.pt"
    newest.write_bytes(damage(newest.read_bytes()))
    assert Attempt.begin(plan(), folder).trial.done == 1
    assert (folder.attempt(2) / "checkpoint.unreadable.txt").read_text()


def test_a_checkpoint_of_another_version_is_skipped_and_leaves_no_trace(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "00007")
    begun = Attempt.begin(plan(), folder)
    fresh = begun.trial.net.state_dict()["conv1.weight"].clone()
    begun.run(until=lambda trial: True)
    begun.save()
    path = folder.attempt(1) / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    del state["optimizer"]
    torch.save(state, path)
    again = Attempt.begin(plan(), folder)
    assert again.trial.done == 0
    assert torch.equal(again.trial.net.state_dict()["conv1.weight"], fresh)
    assert "KeyError: 'optimizer'" in (folder.attempt(1) / "checkpoint.unreadable.txt").read_text()


def test_a_checkpoint_holds_no_code(tmp_path: Path) -> None:
    begun = Attempt.begin(plan(**SHORT), TrialFolder(tmp_path / "t"))
    begun.save()
    assert torch.load(begun.folder.attempt(1) / "checkpoint.pt", weights_only=True)["phase"] == "train"


def test_work_is_saved_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_module, "CHECKPOINT_EVERY_S", 0.0)
    begun = Attempt.begin(plan(), TrialFolder(tmp_path / "t"))
    begun.run(until=lambda trial: trial.done == 1)
    assert (begun.folder.attempt(1) / "checkpoint.pt").exists()


def test_what_is_found_is_shown_while_the_trial_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_module, "SHOW_EVERY_S", 0.0)
    monkeypatch.setattr(attempt_module, "SHOW_SHARE", math.inf)
    folder = TrialFolder(tmp_path / "00007")
    begun = Attempt.begin(plan(), folder)
    assert folder.so_far() is None
    begun.run(until=lambda trial: len(trial.points) == 4)
    begun.run(until=lambda trial: True)
    shown = folder.so_far()
    assert shown is not None
    assert (shown.state, shown.reason, [point.cut for point in shown.points][:3]) == (
        "unfinished", None, ["own", "own-tuned", "00"],
    )  # fmt: skip
    assert len(shown.epochs) >= 4
    assert all((folder.path / f"{point.network}.safetensors").exists() for point in shown.points)
    assert folder.record() is None
    begun.save()
    begun = Attempt.begin(plan(), folder)  # of the older attempt it is known until the newer one says something
    assert [point.cut for point in (folder.so_far() or shown).points] == [point.cut for point in begun.trial.points]
    begun.run()
    record = begun.commit()
    assert folder.so_far() is None
    assert not list(folder.path.glob("attempt-*/so_far.json"))
    seen = {point.id: point.at_ms for point in shown.points}
    times = [point.at_ms for point in record.points]
    assert {point.id: point.at_ms for point in record.points if point.id in seen} == seen, "since when it can be seen"
    assert None not in times
    assert sorted(map(int, times)) == times  # type: ignore[arg-type]
    assert record.ended_ms >= int(times[-1] or 0)


def test_what_an_older_attempt_has_shown_stays_until_the_newer_one_has_come_to_it_again(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "00007")
    begun = Attempt.begin(plan(), folder)
    begun.run(until=lambda trial: len(trial.points) == 2)
    begun.save()
    kept = torch.load(folder.attempt(1) / "checkpoint.pt", weights_only=True)
    assert all(point["at_ms"] for point in json.loads(kept["points"])), "a checkpoint says since when they can be seen"
    begun.run(until=lambda trial: len(trial.points) == 4)
    begun.show()
    shown = folder.so_far()
    assert shown is not None
    again = Attempt.begin(plan(), folder)
    again.show()
    assert len(again.trial.points) == 2
    found = folder.so_far()
    assert found is not None
    assert (found.attempt, found.points) == (2, shown.points)
    assert all((folder.path / f"{point.network}.safetensors").exists() for point in found.points)
    again.run(until=lambda trial: len(trial.points) == 4)
    again.show()
    found = folder.so_far()
    assert found is not None
    assert [point.network for point in found.points][2:] == ["attempt-2/00", "attempt-2/01"]
    assert [point.at_ms for point in found.points] == [point.at_ms for point in shown.points]


def test_points_that_were_found_before_a_trial_failed_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = Trial._measure

    def breaks(self: Trial, name: str, *more: Any) -> None:
        if name == "01":
            raise MemoryError("not enough memory")
        measure(self, name, *more)

    monkeypatch.setattr(Trial, "_measure", breaks)
    record = run_trial(plan(), TrialFolder(tmp_path / "00007"))
    assert (record.state, [point.cut for point in record.points]) == ("failed", ["own", "own-tuned", "00"])
    assert all(point.at_ms and (tmp_path / "00007" / f"{point.network}.json").exists() for point in record.points)
    monkeypatch.undo()
    folder = TrialFolder(tmp_path / "00008")
    begun = Attempt.begin(plan(), folder)
    begun.run(until=lambda trial: len(trial.points) == 3)
    begun.save()
    died = lost(plan(), folder, "its process was killed")
    assert died is not None
    assert (died.state, [point.cut for point in died.points]) == ("failed", ["own", "own-tuned", "00"])


@pytest.mark.parametrize("name", ["attempt-old", "attempt-0", "attempt-1x", "attempt-99999999999"])
def test_other_folders_beside_attempts_are_left_alone(tmp_path: Path, name: str) -> None:
    folder = TrialFolder(tmp_path / "00007")
    begun = Attempt.begin(plan(**SHORT), folder)
    begun.save()
    (folder.path / name).mkdir()
    (folder.path / name / "so_far.json").write_text("{}")
    assert folder.newest_attempt() == 1
    assert folder.so_far() is not None
    assert folder.stamp_so_far() is not None


def test_what_is_shown_below_a_link_is_none_of_the_trial_s(tmp_path: Path) -> None:
    other = TrialFolder(tmp_path / "other")
    Attempt.begin(plan(**SHORT), other).save()
    folder = TrialFolder(tmp_path / "00007")
    folder.path.mkdir()
    folder.attempt(1).symlink_to(other.attempt(1))
    assert other.so_far() is not None
    assert (folder.so_far(), folder.stamp_so_far()) == (None, None)


def test_where_showing_takes_long_it_is_done_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, shown = [0.0], []

    def show(folder: TrialFolder, record: TrialRecord) -> None:
        shown.append(clock[0])
        clock[0] += 2.0

    def advance(trial: Trial) -> bool:
        clock[0] += 10.0
        return real(trial)

    real = Trial.advance
    monkeypatch.setattr(Trial, "advance", advance)
    monkeypatch.setattr(TrialFolder, "show", show)
    monkeypatch.setattr(attempt_module, "CHECKPOINT_EVERY_S", math.inf)
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    begun = Attempt.begin(plan(), TrialFolder(tmp_path / "00007"))
    begun.shown_at = begun.began_at = 0.0
    begun.run()
    assert shown == [30.0, 42.0]  # after two epochs own and 00; to show 01 at 54 was too early after four seconds of it


def test_points_of_a_setting_that_may_be_repeated_wait_for_the_repetitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "SHOW_EVERY_S", 0.0)
    monkeypatch.setattr(attempt_module, "SHOW_SHARE", math.inf)
    folder = TrialFolder(tmp_path / "00007")
    begun = Attempt.begin(replace(plan(), seeds=2), folder)
    begun.run(until=lambda trial: len(trial.points) == 4)
    begun.save()
    shown = folder.so_far()
    assert shown is not None
    assert (shown.points, len(shown.epochs)) == ((), 5)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": 1}', '{"schema": 2}', '{"schema": 1, "setting": null}', "\0" * 300]
)
def test_what_a_broken_machine_left_of_it_counts_as_nothing(tmp_path: Path, content: str) -> None:
    folder = TrialFolder(tmp_path / "00007")
    begun = Attempt.begin(plan(**SHORT), folder)
    begun.save()
    assert folder.so_far() is not None
    (folder.attempt(1) / "so_far.json").write_text(content)
    assert folder.so_far() is None


def test_an_unfinished_record_is_never_committed(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "00007")
    begun = Attempt.begin(plan(**SHORT), folder)
    begun.save()
    shown = folder.so_far()
    assert shown is not None
    with pytest.raises(ValueError, match="trial 7 is unfinished: only an outcome is committed"):
        folder.commit(shown)


def test_sigterm_saves_and_stops(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "t")
    before = signal.getsignal(signal.SIGTERM)

    def told(trial: Trial) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return False

    with pytest.raises(PreemptedError, match="told to end"):
        Attempt.begin(plan(), folder).run(until=told)
    assert signal.getsignal(signal.SIGTERM) == before
    assert folder.record() is None, "a preempted trial is not a failed one"
    assert Attempt.begin(plan(), folder).trial.phase == "own", "both epochs of training were kept"


def test_a_trial_also_runs_where_signals_cannot_be_heard(tmp_path: Path) -> None:
    records: list[TrialRecord] = []
    thread = threading.Thread(target=lambda: records.append(run_trial(plan(**SHORT), TrialFolder(tmp_path / "t"))))
    thread.start()
    thread.join()
    assert [point.cut for point in records[0].points] == ["dense"]


def test_an_attempt_that_was_taken_over_stops_and_changes_nothing(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "t")
    older = Attempt.begin(plan(**SHORT), folder)
    older.save()
    Attempt.begin(plan(**SHORT), folder)
    older.run()
    files = sorted(path.name for path in folder.attempt(1).iterdir() if path.suffix != ".json")
    with pytest.raises(FencedError, match="attempt 1 at trial 7 was taken over"):
        older.save()
    with pytest.raises(FencedError, match="attempt 1 at trial 7 was taken over"):
        older.commit()
    with pytest.raises(FencedError, match="attempt 1 at trial 7 was taken over"):
        older.fail(ValueError("late"))
    assert folder.record() is None
    assert set(files) <= {path.name for path in folder.attempt(1).iterdir()}, "the newer one may be reading them"


# Ways to fail --------------------------------------------------------------------------------------------------------


def _failed(tmp_path: Path, trial_plan: TrialPlan) -> str:
    folder = TrialFolder(tmp_path / "t")
    record = run_trial(trial_plan, folder)
    assert (record.state, record.points) == ("failed", ())
    assert folder.record() == record
    assert (folder.attempt(1) / "error.txt").read_text().startswith("Traceback")
    assert record.reason is not None
    return record.reason


def test_a_rate_that_blows_up_is_a_failed_trial(tmp_path: Path) -> None:
    assert _failed(tmp_path, plan(fixed={"learning_rate": 1e30})).startswith("diverged: ")


def test_a_penalty_that_is_nan_is_a_failed_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gasl, "penalty", lambda self, net: torch.tensor(torch.nan))
    assert _failed(tmp_path, plan()) == "diverged: the loss is nan"


def test_a_last_step_into_the_void_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def after_step(self: Gasl, net: nn.Module, optimizer: object, progress: float) -> None:
        if progress == 1:
            nn.init.constant_(net.get_submodule("fc1").get_parameter("weight"), torch.inf)

    monkeypatch.setattr(Gasl, "after_step", after_step)
    assert _failed(tmp_path, plan(fixed={"epochs": 1})) == "diverged: a weight is not a finite number"


def test_time_is_limited(tmp_path: Path) -> None:
    """To prepare takes a second or more in a process that has done nothing yet."""
    reason = _failed(tmp_path, plan(fixed={"time_limit": 1e-9}))
    assert re.fullmatch(r"time limit: [0-9]+ s of work, allowed 1e-09 s", reason)


def _raising(fault: Exception) -> Callable[[Trial], bool]:
    def advance(trial: Trial) -> bool:
        raise fault

    return advance


def test_running_out_of_memory_is_a_failed_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "advance", _raising(torch.OutOfMemoryError("CUDA out of memory. Tried\nmore")))
    assert _failed(tmp_path, plan()) == "out of memory: CUDA out of memory. Tried"


def test_the_processors_memory_can_run_out_too() -> None:
    with pytest.raises(RuntimeError, match="allocate memory") as caught:
        torch.empty(10**15)
    assert reason_of(caught.value).startswith("out of memory: ")
    assert reason_of(MemoryError()) == "out of memory: MemoryError"


def test_anything_else_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "advance", _raising(ZeroDivisionError("by zero")))
    assert _failed(tmp_path, plan()) == "error: ZeroDivisionError: by zero"


def test_debugging_lets_the_unexpected_pass_and_records_the_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = plan(fixed={"time_limit": 1e-9})
    assert run_trial(limited, TrialFolder(tmp_path / "a"), debug=True).state == "failed"
    monkeypatch.setattr(Trial, "advance", _raising(ZeroDivisionError("by zero")))
    with pytest.raises(ZeroDivisionError, match="by zero"):
        run_trial(plan(), TrialFolder(tmp_path / "b"), debug=True)


def test_a_trial_that_cannot_even_start_is_a_failed_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> Trial:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trial, "start", start)
    folder = TrialFolder(tmp_path / "t")
    record = run_trial(plan(), folder)
    assert (record.state, record.reason) == ("failed", "out of memory: CUDA out of memory")
    assert folder.record() == record


def test_a_lost_process_is_recorded_unless_it_had_committed(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "a")
    folder.claim_attempt()
    record = lost(plan(), folder, "the process died")
    assert record is not None
    assert (record.state, record.reason) == ("failed", "the process died")
    committed = run_trial(plan(**SHORT), TrialFolder(tmp_path / "b"))
    assert lost(plan(**SHORT), TrialFolder(tmp_path / "b"), "the process died") == committed


# Options -------------------------------------------------------------------------------------------------------------


def test_without_descent_the_own_cut_stands_alone(tmp_path: Path) -> None:
    record = run_trial(plan(fixed={"epochs": 1, "descent": "none"}), TrialFolder(tmp_path / "t"))
    assert [point.cut for point in record.points] == ["own", "own-tuned"]


def test_without_fine_tuning_there_is_no_tuned_own_cut(tmp_path: Path) -> None:
    fixed = {"epochs": 1, "descent": "none", "finetune_epochs": 0}
    record = run_trial(plan(fixed=fixed), TrialFolder(tmp_path / "t"))
    assert [point.cut for point in record.points] == ["own"]
    assert [epoch.phase for epoch in record.epochs] == ["train"]


@pytest.mark.parametrize(("regrowth", "tuned"), [(0.0, 0), (0.2, 2)])
def test_nothing_is_spent_on_a_network_that_is_dead(tmp_path: Path, regrowth: float, tuned: int) -> None:
    trial = Trial.start(plan(fixed={"epochs": 1, "cuts": 3, "finetune_epochs": 1, "regrowth": regrowth}), tmp_path)
    while not any(point.cut == "00" for point in trial.points):
        assert trial.advance()
    before = len(trial.epochs)
    with torch.no_grad():
        trial.net.get_parameter("conv1.bias").fill_(-1e6)  # behind a rectifier: nothing fires any more
    while trial.advance():
        pass
    assert [point.cut for point in trial.points][-3:] == ["00", "01", "02"], "what is left of it is measured"
    assert trial.points[-1].accuracy < 0.2
    assert len(trial.epochs) - before == tuned


def test_what_the_row_chose_stands_over_what_the_sweep_fixed() -> None:
    options = plan(finetune_epochs=4, fixed={"finetune_epochs": 1, "cuts": 5}).options()
    assert (options.finetune_epochs, options.cuts) == (4, 5)
    assert plan(threshold=0.3).method() == Gasl(threshold=0.3)


def test_the_own_front_drops_what_another_point_beats() -> None:
    best = POINT.with_(cut="00")
    worse = POINT.with_(cut="01", accuracy=0.9)
    smaller = POINT.with_(cut="02", accuracy=0.9, macs=100)
    equal = POINT.with_(cut="03")
    assert [point.cut for point in own_front([best, worse, smaller, equal])] == ["00", "02", "03"]


def test_a_full_disk_leaves_the_trial_unfinished_and_it_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = TrialFolder(tmp_path / "00007")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(attempt_module, "CHECKPOINT_EVERY_S", 0.0)
        patch.setattr(torch, "save", full)
        with pytest.raises(StorageFullError, match="no room to write in"):
            run_trial(plan(**SHORT), folder)
    assert folder.record() is None
    assert run_trial(plan(**SHORT), folder).state == "done"


def test_earlier_attempts_are_charged_from_their_beginning_to_their_last_sign_of_life(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "00000")
    for number, lived in ((1, 30.0), (2, 12.5)):
        attempt = folder.attempt(folder.claim_attempt())
        for name, at in ((BEGAN, 1000.0), ("checkpoint.pt", 1000.0 + lived), ("other.json", 1001.0)):
            (attempt / name).touch()
            os.utime(attempt / name, (at, at))
        assert folder.newest_attempt() == number
    folder.attempt(folder.claim_attempt())  # lost before it began
    assert folder.held_before(1) == 0
    assert folder.held_before(2) == 30.0
    assert folder.held_before(4) == 42.5


def test_a_lost_trial_is_charged_until_its_loss_is_noticed(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "00000")
    began = folder.attempt(folder.claim_attempt()) / BEGAN
    began.touch()
    os.utime(began, (began.stat().st_mtime - 90, began.stat().st_mtime - 90))
    record = lost(replace(plan(), slot={"cpu": 2.0, "gpu": 0.5}), folder, "its process died")
    assert record is not None
    assert 89 < record.held_s < 600
    assert record.slot == {"cpu": 2.0, "gpu": 0.5}
    assert folder.record() == record

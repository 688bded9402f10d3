"""One attempt at a trial: its working folder, its checkpoint, its commit.

The checkpoint is written at the latest every 10 s of work and on SIGTERM, whole or not at all (renamed into place). A
new attempt goes on from the newest readable checkpoint of the older ones. An attempt that sees a newer one is fenced:
it stops, and nothing that it writes counts.

What a trial has found is shown while it is at work: its points are on the frontier a second after they were measured,
and stay there if the trial is broken off.
"""

import os
import platform
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import torch

from sparsweep.trainables.compact.removal import InexactCompactionError
from sparsweep.trainables.judgement import LENIENT, Judge
from sparsweep.trainables.measures.device import device_label
from sparsweep.trainables.point import LOOK, Point, by_training
from sparsweep.trainables.record import (
    BEGAN,
    SO_FAR,
    State,
    StorageFullError,
    TrialFolder,
    TrialRecord,
    is_full,
    now_ms,
)
from sparsweep.trainables.repeats import Ended, plan_of, with_spread
from sparsweep.trainables.training import CompileError, DivergedError
from sparsweep.trainables.trial import Trial, TrialPlan

CHECKPOINT_EVERY_S = 10.0
SHOW_EVERY_S = 0.1
"""New points are shown at most so often before the trial ends."""
SHOW_SHARE = 0.05
"""Of an attempt's time that showing them may have taken: on slow storage they are shown less often."""


PREEMPTED = "preempted"
"""File in an attempt's folder: it was told to end and left a checkpoint; the trial is not failed but unfinished."""


class FencedError(RuntimeError):
    """A newer attempt at the same trial has begun."""


class TimeLimitError(RuntimeError):
    """The trial has worked for longer than it may."""


class PreemptedError(RuntimeError):
    """SIGTERM came; the checkpoint is written."""


EXPECTED = (CompileError, DivergedError, InexactCompactionError, TimeLimitError)
"""Ways to fail that a trial itself finds out; their text is the reason."""


NO_MEMORY = ("not enough memory", "allocate memory")
"""How torch's allocator for the CPU says it, as a plain RuntimeError, on Windows and on Linux."""


@dataclass(kw_only=True)
class Attempt:
    """A trial at work in its folder: a first look perhaps, and one training or more (`trainables.repeats`)."""

    plan: TrialPlan
    trial: Trial
    """The present training."""
    folder: TrialFolder
    number: int
    started_ms: int
    device: str = "cpu"
    ended: Ended = field(default_factory=Ended)
    """What the trainings before it left."""
    lost: str | None = None
    """Why the present training, not the first, has failed."""
    saved_at: float = field(default_factory=time.monotonic)
    shown_at: float = field(default_factory=time.monotonic)
    showing_s: float = 0.0
    """Seconds that it has taken so far."""
    began_at: float = field(default_factory=time.monotonic)
    earlier_s: float = 0.0
    """Seconds that earlier attempts held a slot."""
    seen: Mapping[str, int] = field(default_factory=dict)
    """By cut since when (`Point.at_ms`) it can be seen, of those that earlier attempts have shown."""

    @classmethod
    def begin(cls, plan: TrialPlan, folder: TrialFolder, device: str = "cpu") -> "Attempt":
        """Claims the next attempt number and goes on from the last checkpoint, if there is one."""
        started_ms = now_ms()
        number = folder.claim_attempt()
        (folder.attempt(number) / BEGAN).touch()
        shown = folder.so_far()
        seen = {point.cut: point.at_ms for point in shown.points if point.at_ms is not None} if shown else {}
        first = plan_of(plan, LOOK if plan.look > 0 else 0)
        ended, trial = Ended(), Trial.start(first, folder.attempt(number), device)
        for older in range(number - 1, 0, -1):
            path = folder.attempt(older) / "checkpoint.pt"
            if not path.exists() or (state := _read(path)) is None:
                continue
            try:
                ended = Ended.from_text(str(state["ended"]))
                training = int(str(state.get("training", ended.trainings)))
                if training != trial.plan.training:
                    trial = Trial.start(plan_of(plan, training), folder.attempt(number), device)
                trial.load_state(state)
                break
            except (KeyError, TypeError, ValueError, RuntimeError) as fault:  # another version's, half taken in
                _unreadable(path, fault)
                ended, trial = Ended(), Trial.start(first, folder.attempt(number), device)
        return cls(
            plan=plan, trial=trial, folder=folder, number=number, started_ms=started_ms, device=device, ended=ended,
            earlier_s=folder.held_before(number), seen=seen,
        )  # fmt: skip

    def run(
        self, until: Callable[[Trial], bool] = lambda trial: False, told: threading.Event | None = None,
        judge: Judge = LENIENT,
    ) -> bool:  # fmt: skip
        """Works until `until` holds, the judge ends it or nothing is left to do; true if there is more to do.

        Args:
            told: set where SIGTERM came; None listens for it from now on.

        Raises:
            FencedError: a newer attempt has begun.
            PreemptedError: SIGTERM came; the checkpoint is written.
        """
        with nullcontext(told) if told is not None else _noticing_sigterm() as heard:
            while True:
                try:
                    if self._train(until, heard, judge):
                        return True
                except EXPECTED:
                    if not self._looks:
                        raise  # of a look its points are left, and the training shows whether it fails too
                if not self._again(judge):
                    return False

    def _train(self, until: Callable[[Trial], bool], heard: threading.Event, judge: Judge) -> bool:
        """The present training, or look, to its end; true if `until` held before."""
        while self.trial.advance():
            self.trial.be_judged(judge)
            if heard.is_set():
                self.save()
                (self.folder.attempt(self.number) / PREEMPTED).touch()
                raise PreemptedError("told to end (SIGTERM); the checkpoint is written")
            if time.monotonic() - self.saved_at > CHECKPOINT_EVERY_S:
                self.save()
            elif self._worth_showing():
                self.show()
            limit, spent = self.trial.options.time_limit, sum(self.trial.seconds.values())
            if 0 < limit < spent:
                raise TimeLimitError(f"time limit: {spent:.0f} s of work, allowed {limit:g} s")
            if until(self.trial):
                return True
        return False

    def _worth_showing(self) -> bool:
        """Whether there is something new, and time to show it."""
        now = time.monotonic()
        if now - self.shown_at <= SHOW_EVERY_S or self.showing_s > SHOW_SHARE * (now - self.began_at):
            return False
        return any(point.at_ms is None for point in self.trial.points)

    def _again(self, judge: Judge) -> bool:
        """Begins the next training, if there is to be one."""
        if self._looks:
            self._begin(0)
            self.show()
            return True
        points, done = self.trial.points, self.ended.trainings + 1
        if done >= self.plan.seeds or not points:
            return False
        if done == 1 and not judge.worth_repeating(self.plan.number, points):
            return False
        self._begin(done)
        return True

    @property
    def _looks(self) -> bool:
        return self.trial.plan.training == LOOK

    def _begin(self, training: int) -> None:
        self.ended = self.ended.and_(self.trial)
        self.trial = Trial.start(plan_of(self.plan, training), self.folder.attempt(self.number), self.device)

    def lose(self, fault: BaseException) -> bool:
        """Leaves the present training, which has failed, out; false if it is the first, so that nothing is left."""
        if self.ended.trainings == 0:
            return False
        of = f"training {self.ended.trainings + 1} of {self.plan.seeds}"
        self.lost = f"{of}, with seed {self.trial.plan.seed}, failed: {reason_of(fault)}"
        return True

    def save(self) -> None:
        """Shows what was found so far and writes the checkpoint, whole or not at all.

        Raises:
            FencedError: this attempt no longer counts.
        """
        if self.folder.newest_attempt() > self.number:
            raise FencedError(f"attempt {self.number} at trial {self.trial.plan.number} was taken over")
        self.show()  # first, so that the checkpoint says since when its points can be seen
        path = self.folder.attempt(self.number) / "checkpoint.pt"
        beside = path.with_suffix(f".{os.getpid()}")
        torch.save({**self.trial.state(), "ended": self.ended.as_text()}, beside)
        beside.replace(path)
        self.saved_at = time.monotonic()

    def show(self) -> None:
        """Lets others see what was found so far; points of a setting that may be repeated wait for the repetitions."""
        began = time.monotonic()
        points = self._shown()
        with suppress(OSError):  # a full disk: the checkpoint tells of it, and the points are shown when there is room
            self.folder.show(self._record("unfinished", None, points))
            if points:
                looked = len(self.ended.points)
                self.ended = replace(self.ended, points=points[:looked])
                self.trial.points[:] = points[looked:]
        self.shown_at = time.monotonic()
        self.showing_s += self.shown_at - began

    def _shown(self) -> tuple[Point, ...]:
        """The points that others may see before the trial has ended."""
        found = (*self.ended.points, *self.trial.points) if self.plan.seeds == 1 else ()
        return tuple(map(partial(self._seen, now_ms()), found))

    def _seen(self, at_ms: int, point: Point) -> Point:
        """The point, seen at the latest now."""
        return point if point.at_ms is not None else point.with_(at_ms=self.seen.get(point.cut, at_ms))

    def commit(self) -> TrialRecord:
        """Commits the finished trial, keeps the networks near each training's own front, drops the rest.

        Raises:
            FencedError: another attempt counts; nothing was committed and nothing is dropped.
        """
        whole = self.ended if self.lost else self.ended.and_(self.trial)
        found = with_spread(whole.points, self.ended.trainings + 1, failed=int(self.lost is not None))
        together = by_training(found) if self.plan.seeds > 1 else [found]  # with one seed there may be a look's
        worth = {point.id for those in together for point in own_front(those)}
        kept = (point if point.id in worth else point.with_(network=None) for point in found)
        points = tuple(map(partial(self._seen, now_ms()), kept))
        reason = self.lost or whole.ended_early
        record = self._record("stopped" if reason is not None and not by_training(points) else "done", reason, points)
        self._commit(record)
        for point in (*self.ended.points, *self.trial.points):
            if point.id not in worth:
                for ending in (".json", ".safetensors"):
                    (self.folder.path / f"{point.network}{ending}").unlink(missing_ok=True)
        (self.folder.attempt(self.number) / "checkpoint.pt").unlink(missing_ok=True)
        return record

    def fail(self, fault: BaseException) -> TrialRecord:
        """Commits the failure with its reason; the traceback stays beside it. Points that were found before count.

        Raises:
            FencedError: as `commit` does.
        """
        (self.folder.attempt(self.number) / "error.txt").write_text("".join(traceback.format_exception(fault)))
        record = self._record("failed", reason_of(fault), self._shown())
        self._commit(record)
        return record

    def _commit(self, record: TrialRecord) -> None:
        if not self.folder.commit(record):
            raise FencedError(f"attempt {self.number} at trial {record.number} was taken over")
        for number in self.folder.attempts():
            with suppress(OSError):  # another user's
                (self.folder.attempt(number) / SO_FAR).unlink(missing_ok=True)

    def _record(self, state: State, reason: str | None, points: tuple[Point, ...]) -> TrialRecord:
        plan, whole = self.plan, self.ended.and_(self.trial)
        return TrialRecord(
            number=plan.number, attempt=self.number, setting=plan.setting, seed=plan.seed,
            state=state, reason=reason, points=points, rungs=whole.rungs,
            epochs=whole.epochs, started_ms=self.started_ms, ended_ms=now_ms(),
            seconds={phase: round(s, 4) for phase, s in whole.seconds.items()}, environment=environment(),
            slot=plan.slot, earlier_s=self.earlier_s,
        )  # fmt: skip


def run_trial(
    plan: TrialPlan, folder: TrialFolder, *, device: str = "cpu", debug: bool = False, judge: Judge = LENIENT
) -> TrialRecord:
    """A whole trial, from wherever it was left to its committed record.

    Args:
        judge: may end it early.
        debug: lets an unexpected exception pass instead of recording it as the trial's failure.

    Raises:
        StorageFullError: nothing can be written; the trial is not failed but unfinished.
    """
    with _noticing_sigterm() as told:  # from the start: a machine may be told to go while the trial still prepares
        return _run_trial(plan, folder, device, debug, told, judge)


def _run_trial(
    plan: TrialPlan, folder: TrialFolder, device: str, debug: bool, told: threading.Event, judge: Judge
) -> TrialRecord:
    attempt = None
    try:
        attempt = Attempt.begin(plan, folder, device)
        attempt.run(told=told, judge=judge)
    except (FencedError, PreemptedError):
        raise
    except Exception as fault:
        if not isinstance(fault, EXPECTED) and is_full(fault, folder.path.parent):
            raise StorageFullError(f"no room to write in {folder.path.parent}") from fault
        if debug and not isinstance(fault, EXPECTED):
            raise
        if attempt is None:
            if (record := lost(plan, folder, reason_of(fault))) is None:
                raise
            return record
        if not attempt.lose(fault):
            return attempt.fail(fault)
    try:
        return attempt.commit()
    except OSError as fault:
        if is_full(fault, folder.path.parent):
            raise StorageFullError(f"no room to write in {folder.path.parent}") from fault
        raise


def lost(plan: TrialPlan, folder: TrialFolder, reason: str) -> TrialRecord | None:
    """The failure of a trial whose process died before it could say so, with the points that it had shown; if it had
    committed after all, that record."""
    number = folder.newest_attempt() or folder.claim_attempt()
    began, now, shown = folder.attempt(number) / BEGAN, now_ms(), folder.so_far()
    started_ms = min(round(1e3 * began.stat().st_mtime), now) if began.exists() else now
    record = TrialRecord(
        number=plan.number, attempt=number, setting=plan.setting, seed=plan.seed, state="failed", reason=reason,
        points=shown.points if shown else (), epochs=shown.epochs if shown else (), started_ms=started_ms, ended_ms=now,
        seconds=shown.seconds if shown else {}, environment=shown.environment if shown else {},
        slot=plan.slot, earlier_s=folder.held_before(number),
    )  # fmt: skip
    return record if folder.commit(record) else folder.record()


def was_preempted(folder: TrialFolder) -> bool:
    """Whether the newest attempt was told to end before it could commit."""
    return (folder.attempt(folder.newest_attempt()) / PREEMPTED).exists()


def reason_of(fault: BaseException) -> str:
    """One line that says why a trial failed."""
    text = str(fault).strip().splitlines()[0] if str(fault).strip() else ""
    if isinstance(fault, EXPECTED):
        return text
    if isinstance(fault, MemoryError | torch.OutOfMemoryError) or any(sign in text for sign in NO_MEMORY):
        return f"out of memory: {text or type(fault).__name__}"
    return f"error: {type(fault).__name__}: {text}"


def own_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other equals or beats in accuracy, sparsity, MACs (executed, ideal), size, expected time."""

    def gains(p: Point) -> tuple[float, ...]:
        return (p.accuracy, p.sparsity, -p.macs, -p.macs_ideal, -p.size_bytes, p.expected_time_removed or 0.0)

    def beaten(p: Point, by: Point) -> bool:
        mine, other = gains(p), gains(by)
        return other != mine and all(o >= m for o, m in zip(other, mine, strict=True))

    return [p for p in points if not any(beaten(p, by=q) for q in points)]


@cache
def _versions() -> dict[str, str]:
    names = ("sparsweep", "torch", "torchvision", "torch-pruning", "ray", "optuna", "mlflow")
    return {name: version(name) for name in names}


def environment() -> dict[str, str]:
    """Versions, processor and host of this process."""
    return {
        **_versions(),
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "threads": str(torch.get_num_threads()),
        "device": device_label("cuda" if torch.cuda.is_available() else "cpu"),
    }


def _read(path: Path) -> dict[str, object] | None:
    """A checkpoint, or None where it cannot be read whole; nothing in it is unpickled but tensors and plain data."""
    try:
        state: dict[str, object] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as fault:
        _unreadable(path, fault)
        return None
    return state


def _unreadable(path: Path, fault: Exception) -> None:
    path.with_suffix(".unreadable.txt").write_text(f"{type(fault).__name__}: {fault}\n")


@contextmanager
def _noticing_sigterm() -> Iterator[threading.Event]:
    """An event that is set when SIGTERM comes; only the main thread can listen, elsewhere it never is."""
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)

"""The trials of a sweep's first minutes on this machine run before Ray is there.

A local Ray takes seconds to begin, its processes take seconds more to import torch, and while they do they take the
processors from trials. The driver has imported torch already: it forks a process for every slot, and these work on
trials. Ray begins when the sweep is so long that this does not matter, or one of them has died, and takes over when it
has processes of its own.

driver: data loaded → fork → checks, study → minutes later: Ray begins → Ray is ready: hand over
forerunner:                                → trial 0 → trial 2 → … → the trial it is at → ends, its slot is Ray's

A forerunner is told its trials by a pipe, as JSON, a line each. It says by another when it has committed one, and asks
by it what a trial asks its judge, which the driver answers at once. It ends when the pipe does, so that none outlives
its driver.
"""

import gc
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from sparsweep.search.source import Source
from sparsweep.spaces.sweep_file import Resources
from sparsweep.trainables.death import KILLED, Death, cause_of_death, watched
from sparsweep.trainables.judgement import LENIENT, Judge, Verdict
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import StorageFullError

LOOK_S = 0.05
"""How often a driver's thread looks for a trial to give, or for its end."""
GRACE_S = 10.0
"""How long a forerunner that is told to end has for its epoch and its checkpoint."""
MOST_BYTES = 1 << 16
"""Read from a pipe at once."""
STORAGE_FULL = 74
"""Exit code (EX_IOERR) of one that found no room to write."""


def forerunner_count(needs: Resources) -> int:
    """As many as a local Ray would have slots; none where forking is not safe: beside other threads of this process,
    and where a trial uses several threads or a GPU."""
    if needs.cpu > 1 or needs.gpu or sys.platform != "linux" or threading.active_count() > 1:
        return 0
    return int((os.cpu_count() or 1) / needs.cpu)


@dataclass(kw_only=True)
class _Process:
    """A forerunner as its driver has it."""

    pid: int
    orders: int
    """Write end of the pipe by which it is told its trials."""
    answers: int
    """Read end of the pipe by which it says that one is done, and asks."""
    code: int | None = None
    """Its exit code, once that was asked for; less than 0 is the signal that killed it."""
    _half: bytes = b""
    """What it has said of a line that has not ended yet."""

    def send(self, order: Mapping[str, Any]) -> None:
        """Raises OSError where it is gone."""
        text = memoryview(json.dumps(order).encode() + b"\n")
        while text:
            text = text[os.write(self.orders, text) :]

    def heard(self, within_s: float) -> dict[str, Any] | None:
        """What it says; None where it says nothing yet. Raises EOFError where it has ended."""
        while b"\n" not in self._half:
            if not select.select([self.answers], [], [], within_s)[0]:
                return None
            if not (more := os.read(self.answers, MOST_BYTES)):
                raise EOFError
            self._half += more
        line, self._half = self._half.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        return found

    def signal(self, which: signal.Signals) -> None:
        if self.code is None:
            os.kill(self.pid, which)

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        if self.code is None:
            try:
                self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            except ChildProcessError:  # somebody in this process waits for all of its children
                self.code = -signal.SIGKILL
        return self.code

    def end(self) -> None:
        """Ends it at once, wherever it is."""
        os.close(self.orders)
        os.close(self.answers)
        self.signal(signal.SIGKILL)
        self.wait()


@dataclass(kw_only=True)
class Forerunners:
    """The processes, and for each a thread of the driver's; leaving the context ends them."""

    count: int
    """How many are to be forked."""
    _idle: list[_Process] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _handed_over: threading.Event = field(default_factory=threading.Event)
    _ended_one: threading.Event = field(default_factory=threading.Event)

    def fork(self) -> None:
        """Makes them. What the driver has loaded by now they have too."""
        for _ in range(self.count):
            (to_read, orders), (answers, to_write) = os.pipe(), os.pipe()
            if (pid := os.fork()) == 0:
                of_others = [end for other in self._idle for end in (other.orders, other.answers)]
                _become_forerunner(to_read, to_write, not_mine=[orders, answers, *of_others])
            os.close(to_read)
            os.close(to_write)
            self._idle.append(_Process(pid=pid, orders=orders, answers=answers))

    def begin(
        self, source: Source, folder_of: Callable[[int], Path], stop: threading.Event,
        judge_of: Callable[[], Judge] = lambda: LENIENT,
    ) -> None:  # fmt: skip
        """Has them work on trials of `source`, from now until `hand_over`, `stop` or their end.

        Args:
            judge_of: the judge of now, which threads ask side by side.
        """
        self._stop = stop
        while self._idle:
            given = (self._idle.pop(), source, folder_of, judge_of)
            serve = threading.Thread(target=self._serve, args=given, daemon=True)
            self._threads.append(serve)
            serve.start()

    def busy(self) -> int:
        """How many slots they hold."""
        return sum(thread.is_alive() for thread in self._threads)

    def has_ended_one(self) -> bool:
        """Whether a trial has ended, or a forerunner."""
        return self._ended_one.is_set()

    def is_short(self) -> bool:
        """Whether a slot has none any more."""
        return self.busy() < self.count

    def hand_over(self) -> None:
        """Each ends when it is done with its present trial."""
        self._handed_over.set()

    def end(self) -> None:
        """Ends those that are still there; what they were at is left to be gone on with."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        while self._idle:
            self._idle.pop().end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, where: TracebackType | None
    ) -> None:  # fmt: skip
        self.end()

    def _serve(
        self, process: _Process, source: Source, folder_of: Callable[[int], Path], judge_of: Callable[[], Judge]
    ) -> None:  # fmt: skip
        """One forerunner's trials, in a thread of its own."""
        try:
            while not (self._stop.is_set() or self._handed_over.is_set() or source.exhausted()):
                if (plan := source.next()) is None:
                    time.sleep(LOOK_S)
                    continue
                source.began(plan.number)
                folder = folder_of(plan.number)
                with suppress(BrokenPipeError):  # it has died meanwhile: heard of below
                    process.send({"plan": plan.as_json(), "folder": str(folder)})
                if not self._works(process, judge_of):
                    source.ended(plan.number, self._death(process, folder))
                    return
                source.ended(plan.number)
                self._ended_one.set()
        finally:
            self._ended_one.set()
            process.end()

    def _works(self, process: _Process, judge_of: Callable[[], Judge]) -> bool:
        """Waits for the end of its trial, and makes it end where the sweep does; whether it said that it is done."""
        kill_at: float | None = None
        while True:
            try:
                said = process.heard(LOOK_S)
            except EOFError:
                return False
            if said is not None and "ask" not in said:
                return True
            if said is not None:
                with suppress(BrokenPipeError):
                    process.send({"answer": _answer(judge_of(), said)})
            if self._stop.is_set() and kill_at is None:
                process.signal(signal.SIGTERM)
                kill_at = time.monotonic() + GRACE_S
            if kill_at is not None and time.monotonic() > kill_at:
                process.signal(signal.SIGKILL)

    def _death(self, process: _Process, folder: Path) -> Death | None:
        """How it died; None where it was told to."""
        code = process.wait()
        if self._stop.is_set():
            return None
        said = f"{KILLED} {-code}" if code < 0 else f"it ended with exit code {code}"
        return Death(reason=cause_of_death(folder, said), storage_full=code == STORAGE_FULL)


def _become_forerunner(orders: int, answers: int, not_mine: Sequence[int]) -> NoReturn:
    """What a forked process does from now on; nothing of the driver's is undone or let go in it."""
    code = 1
    try:
        gc.freeze()  # the driver's open databases are not this process's to close
        os.setsid()  # Ctrl-C is the driver's to hear
        for end in not_mine:
            os.close(end)
        for stream in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Thread(target=_end_with_driver, args=(orders,), daemon=True).start()
        _settle()
        _work(orders, answers)
        code = 0
    except StorageFullError:
        code = STORAGE_FULL
    finally:
        os._exit(code)


def _end_with_driver(orders: int) -> None:
    """Tells this process to end once the other end of the pipe is closed: the driver is gone."""
    watch = select.poll()
    watch.register(orders, 0)  # nothing but a hang-up
    watch.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def _settle() -> None:
    """As a process of Ray's is settled (`with_ray.trials.PruningTrainable.setup`); imports what training takes."""
    import torch
    import torch._dynamo  # torch's first optimizer asks for it

    import sparsweep.trainables.attempt  # noqa: F401

    os.nice(5)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # rather this one than the driver, as Ray has it
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _work(orders: int, answers: int) -> None:
    """Trials as they are told, one after the other, until no more are. Raises what ends the process."""
    from sparsweep.trainables.attempt import FencedError, run_trial
    from sparsweep.trainables.record import TrialFolder
    from sparsweep.trainables.trial import TrialPlan

    with open(orders, closefd=False) as lines, open(answers, "w", closefd=False) as said:

        def say(what: Mapping[str, Any]) -> None:
            said.write(json.dumps(what) + "\n")
            said.flush()

        def ask(what: str, number: int, points: Sequence[Point], **more: Any) -> Any:
            say({"ask": what, "number": number, "points": [point.as_json() for point in points], **more})
            return json.loads(next(lines))["answer"]

        for line in lines:
            order = json.loads(line)
            plan, folder = TrialPlan.from_json(order["plan"]), Path(order["folder"])
            with suppress(FencedError), watched(folder, plan.longest_s()):
                run_trial(plan, TrialFolder(folder), judge=_Driver(ask))
            say({"done": plan.number})


@dataclass(frozen=True)
class _Driver:
    """The driver as its forerunner's trial has it: the judge."""

    ask: Callable[..., Any]

    def at_rung(self, number: int, epoch: int, probe: Sequence[Point]) -> Verdict:
        return _verdict(self.ask("rung", number, probe, epoch=epoch))

    def at_cut(self, number: int, points: Sequence[Point]) -> Verdict:
        return _verdict(self.ask("cut", number, points))

    def worth_repeating(self, number: int, points: Sequence[Point]) -> bool:
        return bool(self.ask("repeat", number, points))


def _verdict(answer: Mapping[str, Any]) -> Verdict:
    return Verdict(values=tuple(answer["values"]), reason=answer["reason"])


def _answer(judge: Judge, asked: Mapping[str, Any]) -> Any:
    """What the judge says, as plain data."""
    number, points = asked["number"], [Point.from_json(point) for point in asked["points"]]
    if asked["ask"] == "repeat":
        return judge.worth_repeating(number, points)
    verdict = judge.at_rung(number, asked["epoch"], points) if asked["ask"] == "rung" else judge.at_cut(number, points)
    return {"values": verdict.values, "reason": verdict.reason}

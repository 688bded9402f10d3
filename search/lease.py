"""Who drives a sweep: one driver at a time, on whatever machine, and a driver that lost its turn finds out.

    driver/00003.json    the third driver's claim: host, process, has it ended; its mtime is its last sign of life
    driver/00003.stop    somebody asked the third driver to stop

The folder lies beside the trials, so on a cluster all drivers share it. A claim is the exclusive creation of the next
number. A newer claim fences every older driver: it may be alive (suspended, cut off), but nothing it does counts.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from sparsweep.trainables.record import write_atomically

BEAT_S = 3.0
"""Between two signs of life."""
STALE_S = 30.0
"""A driver that gave no sign of life for so long may be replaced; on its own machine a dead process may be at once."""


class FencedOutError(RuntimeError):
    """Another driver has taken this sweep over."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The newest driver of a sweep, as its claim describes it."""

    number: int
    host: str
    process: int
    started: float
    """When its process started, seconds since 1970: a recycled process id is another process."""
    ended: bool
    silent_s: float
    """Since its last sign of life."""

    @property
    def alive(self) -> bool:
        """Whether it must be taken to be at work."""
        if self.ended or self.silent_s > STALE_S:
            return False
        return self.host != socket.gethostname() or _runs(self.process, self.started)

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} (last sign of life {self.silent_s:.0f} s ago)"


def holder_of(folder: Path) -> Holder | None:
    """The newest driver that claimed the sweep; None where none did, or its claim cannot be read (being written)."""
    return _holder(folder, _newest(folder))


def _holder(folder: Path, number: int) -> Holder | None:
    path = _claim(folder, number)
    try:
        content = json.loads(path.read_text())
        silent_s = max(_now(folder) - path.stat().st_mtime, 0.0)
        return Holder(number=number, silent_s=silent_s, **content)
    except (OSError, ValueError, TypeError):
        return None


def ask_to_stop(folder: Path) -> Holder | None:
    """Asks the driver at work, wherever it is, to stop as Ctrl-C would; None where none is at work."""
    holder = holder_of(folder)
    if holder is None or not holder.alive:
        return None
    _claim(folder, holder.number).with_suffix(".stop").touch()
    return holder


@dataclass(kw_only=True)
class Lease:
    """A driver's own claim, kept alive by a thread."""

    folder: Path
    number: int
    on_stop: Callable[[], None] = lambda: None
    """Called once, from the lease's thread, when somebody asks the driver to stop or it is fenced out."""
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @classmethod
    def take(cls, folder: Path, name: str) -> "Lease":
        """Claims the sweep.

        Raises:
            ValueError: another driver is at work on it; it is named.
        """
        folder.mkdir(parents=True, exist_ok=True)
        mine = _content(ended=False)
        while True:
            newest = _newest(folder)  # read once: whoever claims after this look makes the link below fail
            holder = _holder(folder, newest)
            if holder is not None and holder.alive:
                raise ValueError(
                    f"sweep {name} is being run by {holder}: wait for it, stop it with sparsweep stop {name}, "
                    "or start yours under another --name"
                )
            number = newest + 1
            beside = folder / f".{os.getpid()}.{time.monotonic_ns()}"
            beside.write_text(json.dumps(mine))
            try:
                os.link(beside, _claim(folder, number))
            except FileExistsError:
                continue
            finally:
                beside.unlink()
            return cls(folder=folder, number=number)

    def start(self, on_stop: Callable[[], None]) -> None:
        """Gives signs of life from now on."""
        self.on_stop = on_stop
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Asked before everything that must not be done twice. Raises FencedOutError if another driver took over."""
        if (newest := _newest(self.folder)) > self.number:
            holder = holder_of(self.folder)
            raise FencedOutError(f"this driver was taken for dead: the sweep was taken over by {holder or newest}")

    def release(self) -> None:
        """Ends the claim; the next driver need not wait."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if _newest(self.folder) == self.number:
            with contextlib.suppress(OSError):  # a full disk: the claim of a process that has ended holds nobody up
                write_atomically(_claim(self.folder, self.number), json.dumps(_content(ended=True)))

    def _beat(self) -> None:
        told = False
        while not self._over.wait(BEAT_S):
            path = _claim(self.folder, self.number)
            try:
                os.utime(path)
                if not told and (_newest(self.folder) > self.number or path.with_suffix(".stop").exists()):
                    told = True
                    self.on_stop()
            except OSError:
                continue  # a shared folder that does not answer for a while: the next beat may


def _content(*, ended: bool) -> dict[str, Any]:
    process = psutil.Process()
    return {
        "host": socket.gethostname(), "process": process.pid, "started": process.create_time(), "ended": ended,
    }  # fmt: skip


def _runs(process: int, started: float) -> bool:
    try:
        found = psutil.Process(process)
        return bool(abs(found.create_time() - started) < 1.0 and found.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _claim(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.json"


def _newest(folder: Path) -> int:
    return max((int(path.stem) for path in folder.glob("[0-9]*.json")), default=0)


def _now(folder: Path) -> float:
    """The time by the clock that stamps the folder's files, which on a shared folder is not ours."""
    probe = folder / f".now.{os.getpid()}.{threading.get_ident()}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:  # a folder that we may only read
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)

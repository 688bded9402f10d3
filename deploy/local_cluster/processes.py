"""Processes that outlive the command that started them, and are ended without ever touching another's.

A process is known by its id, its start time and the machine's boot: an id alone is given away again. Each is started in
a session of its own, so its children, and theirs, are found by the session, whose number Linux does not reuse while one
of them lives. Signals go through a file descriptor of the process, so that none can be replaced between look and blow.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

BOOT = Path("/proc/sys/kernel/random/boot_id")
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


@dataclass(frozen=True, kw_only=True)
class Started:
    """A process that was started here."""

    what: str
    address: str
    pid: int
    start_ticks: int
    """Since boot, as the kernel counts."""
    boot: str
    stop_signal: int = signal.SIGTERM

    def is_alive(self) -> bool:
        return boot_id() == self.boot and _start_ticks(self.pid) == self.start_ticks

    def members(self) -> list[int]:
        """Ids of the process and everything in its session that is alive."""
        if boot_id() != self.boot or _start_ticks(self.pid) not in (None, self.start_ticks):
            return []  # another boot, or the id belongs to somebody else by now: then the session is gone as well
        return sorted(pid for pid, stat in _table() if stat.session == self.pid and not stat.is_zombie)

    def listens_beyond_loopback(self) -> list[str]:
        """Addresses of other networks that the process or its children listen on."""
        found = []
        for pid in self.members():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                found += [
                    f"{open_.laddr.ip}:{open_.laddr.port}"
                    for open_ in psutil.Process(pid).net_connections("tcp")
                    if open_.status == psutil.CONN_LISTEN and open_.laddr.ip not in LOOPBACK
                ]
        return found

    def stop(self, patience_s: float = 15) -> None:
        """Asks the process to end, then its session, then insists."""
        for patience, kind, everybody in (
            (patience_s, self.stop_signal, False), (5, signal.SIGTERM, True), (5, signal.SIGKILL, True)
        ):  # fmt: skip
            members = self.members()
            for pid in members if everybody or self.pid not in members else [self.pid]:
                self._send(pid, kind)
            if _within(patience, lambda: not self.members()):
                return
        raise RuntimeError(f"{self.what}: processes {self.members()} do not end")

    def _send(self, pid: int, kind: int) -> None:
        """Sends a signal if the process is still of this session once nobody can take its place."""
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if pid in self.members():
                    signal.pidfd_send_signal(handle, kind)
            finally:
                os.close(handle)


@dataclass(frozen=True)
class _Stat:
    session: int
    start_ticks: int
    is_zombie: bool


def start(
    what: str, command: Sequence[str], *, address: str, log: Path, env: Mapping[str, str], cwd: Path,
    user: tuple[int, int] | None = None, stop_signal: int = signal.SIGTERM,
) -> Started:  # fmt: skip
    """Starts a process in a session of its own, its output in `log`; `user` is (uid, gid) where not our own."""
    other = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
    with log.open("ab") as output:
        child = subprocess.Popen(  # type: ignore[call-overload]
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=dict(env),
            start_new_session=True, **other,
        )  # fmt: skip
    child.returncode = 0  # nobody waits for it: it stays when we end
    return Started(
        what=what, address=address, pid=child.pid, start_ticks=_start_ticks(child.pid) or 0, boot=boot_id(),
        stop_signal=stop_signal,
    )  # fmt: skip


def boot_id() -> str:
    return BOOT.read_text().strip()


def _within(seconds: float, holds) -> bool:  # type: ignore[no-untyped-def]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.1)
    return bool(holds())


def _start_ticks(pid: int) -> int | None:
    stat = _stat(pid)
    return None if stat is None or stat.is_zombie else stat.start_ticks


def _stat(pid: int) -> _Stat | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return _Stat(session=int(fields[3]), start_ticks=int(fields[19]), is_zombie=fields[0] in "ZX")


def _table() -> Iterator[tuple[int, _Stat]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            yield int(entry.name), stat

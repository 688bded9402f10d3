"""A process with everything that comes of it, known by a mark in the environment, so that nothing is left behind.

Ray's daemons outlive a killed driver, and have other parents by then: children are not enough.
"""

import contextlib
import os
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "SPARSWEEP_BENCHMARK_RUN"
PATIENCE_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Family:
    """A process that was started here, and its mark."""

    process: "subprocess.Popen[bytes]"
    mark: str

    @classmethod
    def start(cls, command: Sequence[str], *, folder: Path, environment: Mapping[str, str], output: Path) -> "Family":
        """Starts a command in a folder, both its outputs in one file."""
        mark = uuid.uuid4().hex
        with output.open("wb") as said:
            process = subprocess.Popen(
                list(command), cwd=folder, env={**environment, MARK: mark}, stdin=subprocess.DEVNULL, stdout=said,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return cls(process=process, mark=mark)

    def members(self) -> list[psutil.Process]:
        """All that carry the mark; psutil knows each by id and start time."""
        return [process for process in psutil.process_iter() if _mark_of(process) == self.mark]

    def end(self) -> None:
        """Ends all of them at once. Raises RuntimeError where some stay."""
        until = time.monotonic() + PATIENCE_S
        while members := self.members():
            for process in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.poll()
            if time.monotonic() > until:
                raise RuntimeError(f"processes {[process.pid for process in members]} do not end")
            time.sleep(0.05)
        self.process.wait()


def _mark_of(process: psutil.Process) -> str | None:
    """None for a process that is gone, ended, or somebody else's."""
    try:
        mark = process.environ().get(MARK) if process.pid != os.getpid() else None
        return None if mark is None or process.status() == psutil.STATUS_ZOMBIE else mark
    except (psutil.Error, OSError):
        return None

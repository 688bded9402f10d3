"""Imported last by the idle processes of a local Ray: the one it is in has imported what trials need, and says so.

A task that asked them would spoil the one it ran in: Ray gives a process that has run a task to no actor any more.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

SIGNS = "SPARSWEEP_READY"
"""Variable with the folder that signs are left in, a file a process."""
LOOK_S = 0.1


def leave_sign() -> None:
    """Leaves this process's sign, where one is waited for."""
    if folder := os.environ.get(SIGNS):
        with contextlib.suppress(OSError):  # nobody waits any more
            (Path(folder) / str(os.getpid())).touch()


def await_signs(folder: Path, count: int, within_s: float, needless: Callable[[], bool]) -> None:
    """Waits for so many signs, until they are `needless` or the time is over."""
    until = time.monotonic() + within_s
    while len(list(folder.glob("*"))) < count and time.monotonic() < until and not needless():
        time.sleep(LOOK_S)


leave_sign()

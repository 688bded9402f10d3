"""How a trial's process died, where the process itself could not say.

While a trial works, Python's fault handler keeps `died.txt` open in its folder: a crash (segmentation fault, abort)
writes its traceback there, and a trial that hangs beyond its time limit is ended by the handler's own thread, which
needs no help from the interpreter. A trial that ends on its own takes the file away.
"""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

HANG_GRACE_S = 10.0
"""How long after its time limit a trial that does not end by itself is killed; one epoch may still be under way."""
DIED = "died.txt"
KILLED = "killed by signal"
"""How it is said of a process, by whoever waited for it."""


@dataclass(frozen=True, kw_only=True)
class Death:
    """A trial whose process ended without a word."""

    reason: str
    """For the record."""
    node_lost: bool = False
    """Its machine went with it: no fault of the trial, which goes on elsewhere."""
    storage_full: bool = False
    """It could not write what it had found: no fault of the trial, which goes on when there is room again."""


@contextmanager
def watched(folder: Path, limit_s: float) -> Iterator[None]:
    """Has this process tell how it dies, and kills it if it works HANG_GRACE_S longer than `limit_s` (0: for ever)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DIED
    with path.open("w") as file:
        faulthandler.enable(file=file)
        if limit_s > 0:
            faulthandler.dump_traceback_later(limit_s + HANG_GRACE_S, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            faulthandler.disable()
    path.unlink(missing_ok=True)


def cause_of_death(folder: Path, said: str) -> str:
    """One line for the record.

    Args:
        folder: of the trial.
        said: what the engine said of the process, any number of lines.
    """
    try:
        text = (folder / DIED).read_text(errors="replace").strip()
    except OSError:
        text = ""
    if text.startswith("Timeout"):
        return f"time limit: it hung and was killed; where it hung is in {folder / DIED}"
    fatal = next((line for line in text.splitlines() if line.startswith("Fatal Python error")), None)
    if fatal is not None:
        return f"crashed: {fatal.partition(': ')[2]}; its traceback is in {folder / DIED}"
    if "running low on memory" in said or "OutOfMemoryError" in said:
        return "out of memory: the node's memory was used up and the trial's process was killed"
    if "worker process has died" in said or f"{KILLED} {SIGKILL.value}" in said:
        return "the trial's process was killed from outside, perhaps by the system for its memory"
    return f"the trial's process died: {(said.strip() or 'without a word').splitlines()[-1]}"

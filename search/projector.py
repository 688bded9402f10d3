"""Keeps MLflow and the points study in step with the records, in a thread of its own.

Projections may lag: what cannot be written now (a server that is down) is written later, at the latest by the next
`sparsweep resume`. Trials never wait for it.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sparsweep.search.lease import FencedOutError
from sparsweep.trainables.record import TrialRecord

PATIENCE_S = 30.0
"""How long the end of a sweep waits for a projection that fails again and again."""
PAUSE_S = 1.0
"""Between two tries."""


class Ledger(Protocol):
    """Where records are projected to."""

    def log(self, record: TrialRecord) -> None: ...


@dataclass
class Projector:
    """Projects records one after the other; a failing one is tried again until it succeeds or the sweep ends."""

    open_ledger: Callable[[], Ledger]
    """Opened by the thread itself: MLflow's first schema takes seconds."""
    say: Callable[[str], None]
    """Takes one line for the user."""
    fence: Callable[[], None] = lambda: None
    """Raises where another driver has taken the sweep over: nothing more is written."""
    records: "queue.SimpleQueue[TrialRecord | None]" = field(default_factory=queue.SimpleQueue)
    missed: list[int] = field(default_factory=list)
    """Numbers of the trials that could not be projected."""
    _ledger: Ledger | None = None
    _ending: float | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="projector", daemon=True)
        self._thread.start()

    def take(self, record: TrialRecord) -> None:
        self.records.put(record)

    def drain(self) -> Ledger | None:
        """Waits until all is projected, at most PATIENCE_S on a store that keeps failing; the ledger, if it opened."""
        self._ending = time.monotonic() + PATIENCE_S
        self.records.put(None)
        if self._thread is not None:
            self._thread.join()
        if self.missed:
            self.say(f"{len(self.missed)} trials are not in MLflow yet; sparsweep resume writes them later")
        return self._ledger

    def _work(self) -> None:
        said = False
        while (record := self.records.get()) is not None:
            while True:
                if said and self._ending is not None and time.monotonic() > self._ending:
                    self.missed.append(record.number)  # untried: every try may take minutes
                    break
                try:
                    self.fence()
                    self._ledger = self._ledger or self.open_ledger()
                    self._ledger.log(record)
                except FencedOutError:
                    return
                except Exception as fault:
                    if not said:
                        self._outage(fault)
                        said = True
                    time.sleep(PAUSE_S)
                else:
                    if said:
                        self.say("records are being taken again")
                        said = False
                    break
        if self._ledger is None and not self.missed:
            try:
                self._ledger = self.open_ledger()
            except Exception as fault:
                self._outage(fault)

    def _outage(self, fault: Exception) -> None:
        reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
        self.say(f"the record stores do not answer ({reason}); going on, trying again")

"""How far a sweep is, whoever asks: counts, what was spent, why it ended. Reads its files, never its driver."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sparsweep.search.budget import Account
from sparsweep.search.progress import UNDONE
from sparsweep.search.sweep_folder import SweepFolder
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.record import TrialRecord


@dataclass
class Tally:
    """What the records of a sweep count up to; give it each once."""

    sweep: SweepFile
    done: int = 0
    stopped: int = 0
    failed: int = 0
    best_accuracy: float | None = None
    reasons: dict[str, int] = field(default_factory=dict)
    account: Account = field(init=False)

    def __post_init__(self) -> None:
        self.account = Account(self.sweep.budget, self.sweep.resources)

    @property
    def ended(self) -> int:
        """How many trials have an outcome, whichever."""
        return self.done + self.stopped + self.failed

    def take(self, record: TrialRecord) -> None:
        """Counts a record in."""
        self.account.take(record, ())
        self.done += record.state == "done"
        self.stopped += record.state == "stopped"
        if record.state == "failed":
            self.failed += 1
            self.reasons[str(record.reason)] = self.reasons.get(str(record.reason), 0) + 1
        known = () if self.best_accuracy is None else (self.best_accuracy,)
        self.best_accuracy = max([*known, *(point.accuracy for point in record.points)], default=None)

    def told(self) -> dict[str, Any]:
        """Under the names of a status file."""
        return {
            "done": self.done, "stopped": self.stopped, "failed": self.failed, "best_accuracy": self.best_accuracy,
            "reasons": dict(self.reasons), "spent": vars(self.account.spent), "ended": self.account.over(),
        }  # fmt: skip


def tally_of(folder: SweepFolder) -> Tally:
    """Of all records; reads every one."""
    sweep, where = folder.read()
    tally = Tally(sweep)
    for record in folder.store(where).records():
        tally.take(record)
    return tally


def state_of(folder: SweepFolder, tally: Callable[[SweepFolder], Tally] = tally_of) -> dict[str, Any]:
    """A sweep's counts: from its status file where that has counted every record, else from the records.

    Args:
        tally: of the sweep's records, for whoever has read them already.
    """
    sweep, where = folder.read()
    store = folder.store(where)
    known: Mapping[str, Any] = {}
    with suppress(OSError, ValueError):  # not written yet, or damaged: the records are what counts
        known = json.loads((folder.path / "status.json").read_text())
    ended = store.ended()
    counted = sum(known.get(state, 0) for state in ("done", "failed", "stopped"))
    if counted != ended or "spent" not in known:
        found = tally(folder).told()
        known = {**known, **found, "ended": known.get("ended") or found["ended"]}
    held, why = folder.is_held(where), known.get("ended")
    complete = ended >= sweep.budget.trials or why not in (None, UNDONE)
    return {
        "sweep": folder.name, "state": "running" if held else "finished" if complete else "stopped",
        "done": known["done"], "stopped_early": known.get("stopped", 0), "failed": known["failed"],
        "trials": sweep.budget.trials,
        "best_accuracy": known["best_accuracy"] or None, "hypervolume": known.get("hypervolume"),
        "reasons": known["reasons"], "spent": known["spent"], "ended": None if held else why,
    }  # fmt: skip

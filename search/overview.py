"""How far a sweep is, whoever asks: counts, what was spent, why it ended. Reads its files, never its driver."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from sparsweep.search.budget import Account
from sparsweep.search.progress import UNDONE
from sparsweep.search.sweep_folder import SweepFolder
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.record import TrialRecord


def state_of(folder: SweepFolder) -> dict[str, Any]:
    """A sweep's counts: from its status file where that has counted every record, else from the records."""
    sweep, where = folder.read()
    store = folder.store(where)
    known: Mapping[str, Any] = {}
    with suppress(OSError, ValueError):  # not written yet, or damaged: the records are what counts
        known = json.loads((folder.path / "status.json").read_text())
    ended = store.ended()
    counted = sum(known.get(state, 0) for state in ("done", "failed", "stopped"))
    if counted != ended or ended == 0 or "spent" not in known:
        found = _counted(list(store.records()), sweep)
        known = {**known, **found, "ended": known.get("ended") or found["ended"]}
    held, why = folder.is_held(where), known.get("ended")
    complete = ended >= sweep.budget.trials or why not in (None, UNDONE)
    return {
        "sweep": folder.name, "state": "running" if held else "finished" if complete else "stopped",
        "done": known["done"], "stopped_early": known.get("stopped", 0), "failed": known["failed"],
        "trials": sweep.budget.trials,
        "best_accuracy": known["best_accuracy"] if known["done"] else None, "hypervolume": known.get("hypervolume"),
        "reasons": known["reasons"], "spent": known["spent"], "ended": None if held else why,
    }  # fmt: skip


def _counted(records: Sequence[TrialRecord], sweep: SweepFile) -> dict[str, Any]:
    account = Account(sweep.budget, sweep.resources)
    for record in records:
        account.take(record, 0.0)
    failed, stopped = ([record for record in records if record.state == state] for state in ("failed", "stopped"))
    accuracies = [point.accuracy for record in records for point in record.points]
    return {
        "done": len(records) - len(failed) - len(stopped), "stopped": len(stopped), "failed": len(failed),
        "best_accuracy": max(accuracies, default=None),
        "reasons": {str(r.reason): sum(o.reason == r.reason for o in failed) for r in failed},
        "spent": vars(account.spent), "ended": account.over(),
    }  # fmt: skip

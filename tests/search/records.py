"""Records for tests: what a trial left behind, from the few figures that a test names."""

from pathlib import Path

from sparsweep.spaces.space import Choice, Float, Knob, Row, Space
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import Rung, State, TrialRecord, TrialStore

SPACE = Space(
    (
        Knob(name="method", range=Choice(choices=("gasl",))),
        Knob(name="sparsity_strength", range=Float(low=1e-4, high=1e-1, log=True)),
    )
)
GOOD: Row = {"method": "gasl", "sparsity_strength": 0.003}


def make_record(
    number: int = 0, *points: Point, reason: str | None = None, ended_s: float = 2.0, setting: Row | None = None,
    state: State | None = None, rungs: tuple[Rung, ...] = (),
) -> TrialRecord:  # fmt: skip
    """A done trial that began one second before it ended; with a reason a failed one."""
    return TrialRecord(
        number=number, attempt=1, setting=setting or GOOD, seed=number, state=state or ("failed" if reason else "done"),
        reason=reason, rungs=rungs, points=points, epochs=(), started_ms=round(1e3 * ended_s) - 1000,
        ended_ms=round(1e3 * ended_s), seconds={}, environment={},
    )  # fmt: skip


def commit(store: TrialStore, record: TrialRecord) -> Path:
    """Commits it as the trial's own process does; the trial's folder."""
    folder = store.folder(record.number)
    assert folder.claim_attempt() == record.attempt
    assert folder.commit(record)
    return folder.path

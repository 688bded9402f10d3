"""What a simulation says: a line for every so many trials, and the figures that have targets. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.simulation.checks import Fronts
from tests.benchmarks.simulation.driver import MLFLOW_EVERY, Simulated, Step
from tests.benchmarks.simulation.stopwatch import Call, Spread
from tests.benchmarks.verdict import Row, number

HEADERS: Final = (
    "trials", "proposal", "95 %", "processor", "95 %", "tell", "95 %", "processor", "95 %", "a judge's answer",
    "driver, a trial", "share of a core", "memory",
)  # fmt: skip
PROPOSAL_MS: Final = 50
MEMORY_MB: Final = 1500
SHARE: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Work:
    """Processor seconds of the driver."""

    seconds: float
    trials: int

    @property
    def ms(self) -> float:
        """A trial."""
        return 1e3 * self.seconds / max(self.trials, 1)


def work_of(calls: dict[str, list[Call]], trials: int, mlflow_s: float) -> Work:
    """Proposals and all that becomes of outcomes, MLflow at what its sample took.

    Args:
        mlflow_s: of one record.
    """
    own = sum(call.own_s for name in ("proposal", "outcome") for call in calls.get(name, ()))
    logged = sum(call.own_s for call in calls.get("MLflow", ()))
    return Work(seconds=own - logged + mlflow_s * trials, trials=trials)


def mlflow_s(simulated: Simulated) -> float:
    """Processor seconds of one record in MLflow, in the mean of the sample; the first opens connections."""
    calls = simulated.watch.calls.get("MLflow", [])
    sample = calls[1:] or calls
    return sum(call.own_s for call in sample) / max(len(sample), 1)


def lines_of(simulated: Simulated) -> list[tuple[str, ...]]:
    """A line a step, under HEADERS."""
    each, before, lines = mlflow_s(simulated), Step(ended=simulated.known, calls={}, rss_mb=0, now_s=0), []
    for step in simulated.steps:
        work = work_of(step.calls, step.ended - before.ended, each)
        lines.append(_line(step, work, step.now_s - before.now_s))
        before = step
    return lines


def _line(step: Step, work: Work, simulated_s: float) -> tuple[str, ...]:
    cells = [str(step.ended)]
    for name in ("proposal", "tell"):
        calls = step.calls.get(name, [])
        for spread in (Spread.of([call.wall_s for call in calls]), Spread.of([call.own_s for call in calls])):
            cells += [number(spread.median), number(spread.p95)] if calls else ["", ""]
    answers = [call.own_s for name in ("rung", "cut") for call in step.calls.get(name, ())]
    share = f"{work.seconds / simulated_s:.1%}" if simulated_s > 0 else ""
    return (*cells, number(Spread.of(answers).median), number(work.ms), share, f"{step.rss_mb:.0f}")


def rows_of(simulated: Simulated, fronts: Fronts, plain: Spread, slots: int) -> list[Row]:
    """The figures of the whole, those with a target marked."""
    asked = next((step.calls["proposal"] for step in reversed(simulated.steps) if step.calls.get("proposal")), [])
    last = Spread.of([call.own_s for call in asked])
    rows = simulated.steps[-1].ended
    trials = rows - simulated.known
    work = work_of(simulated.watch.calls, trials, mlflow_s(simulated))
    most_mb = max(step.rss_mb for step in simulated.steps)
    judged = simulated.watch.own_s("rung") + simulated.watch.own_s("cut")
    return [
        Row(name="proposal by auto, last step: processor time, median", unit="ms", ours=last.median, limit=PROPOSAL_MS),
        Row(name=f"plain Optuna, TPE, 3 objectives, {rows} rows: the same", unit="ms", ours=plain.median),
        Row(name="driver's memory at its most", unit="MB", ours=most_mb, limit=MEMORY_MB),
        Row(name="driver's share of one core", unit="", ours=work.seconds / simulated.now_s, limit=SHARE),
        Row(name="  of it a trial, MLflow included", unit="ms", ours=work.ms),
        Row(name="  MLflow alone, of the sample", unit="ms", ours=1e3 * mlflow_s(simulated)),
        Row(name="  points study alone", unit="ms", ours=1e3 * simulated.watch.own_s("points study") / trials),
        Row(name=f"shortest trial with {slots} slots at half a core", unit="s", ours=work.ms / 1e3 * slots / SHARE),
        Row(name="judge, a process of its own: share of its core", unit="", ours=judged / simulated.now_s),
        Row(name="slots at work", unit="%", ours=100 * simulated.at_work_s / (slots * simulated.now_s)),
        Row(name=f"a new driver of {simulated.resume_calls} ended trials: until it knows all", unit="s",
            ours=simulated.resume_s),
        Row(name=f"frontier by the index, {fronts.points} points", unit="ms", ours=fronts.index_ms),
        Row(name="front by the index, the records and the database: differences", unit="",
            ours=0 if fronts.same else 1, limit=0),
    ]  # fmt: skip


def remarks(simulated: Simulated, slots: int, minutes: float, recorded: int, cells: Sequence[Row]) -> tuple[str, ...]:
    """What one must know to read the page."""
    hours, known = simulated.now_s / 3600, simulated.known
    begun = f"Of {known} trials it began with the records and the rows in all databases, at random settings. "
    return (
        *([begun.strip()] if known else []),
        f"{slots} slots, {hours:.1f} simulated hours; a trial takes {minutes:g} min in the mean of the table, early "
        f"stopping (halving) is on. Trials are answered from {recorded} real ones of the digits, recorded in "
        "`tests/benchmarks/simulation/digits.json`; everything else is the product's own code and really happens: "
        "proposals, SQLite, records, points study, index, judge.",
        "Milliseconds by the clock on the wall, then of the processor, which is what is judged: median and 95 % of the "
        "trials since the line before. Wall time is mostly waiting for the disk (two synced files and two commits a "
        "trial) and for a core.",
        f"MLflow takes one record in {MLFLOW_EVERY}; its processor time is counted as if it had taken all.",
        "Driver, a trial: processor ms of proposing, telling, points study, MLflow, index, progress. The first line "
        f"has {slots} proposals more than outcomes. What it takes passes on the simulated clock too.",
        f"Front: {int(cells[-1].ours or 0)} differences between the index, all records read afresh, and the database.",
    )

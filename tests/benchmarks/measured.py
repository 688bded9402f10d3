"""From what was measured to the rows of the table. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.slot_time import Spread, Worked, slope, slot_times, slots_of
from tests.benchmarks.verdict import Row
from tests.benchmarks.watched_sweep import SweepRun

SLOT_MS, TIMES_BARE = 200, 1.5
WALL_S, STARTUP_S, VERSION_S, HELP_S = 90, 12, 1, 1.5
MEMORY_MB, GROWTH_KB = 900, 100
SETTLED_SHARE = 1 / 3
"""Share of a sweep after which the driver has imported what it ever imports while trials run."""


@dataclass(frozen=True, kw_only=True)
class Bare:
    """Bare Ray trials that compute for as long as ours of one kind."""

    trials: tuple[Worked, ...]
    wall_s: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything that the table is made of."""

    digits: SweepRun
    small: SweepRun
    """Trials that do next to nothing."""
    long: SweepRun
    """Small trials with as many points as real ones, for the driver's growth."""
    bare_idle: Bare
    bare_small: Bare
    bare_digits: Bare
    plain: Bare
    """The plain script."""
    publish_s: tuple[float, ...]
    help_s: float


def rows_of(m: Measured) -> list[Row]:
    """The table: orchestration, time, memory."""
    small = _slot_rows("small trials", m.small.trials, m.bare_small.trials, m.plain.trials)
    digits = _slot_rows("digits trials", m.digits.trials, m.bare_digits.trials, judged=True)
    idle = _Slots.of(m.bare_idle.trials).median
    return [
        *small, _rate("small trials", m.small.trials, m.bare_small.trials),
        *digits, _rate("digits trials", m.digits.trials, m.bare_digits.trials),
        Row(name="slot time, trials that do nothing: median", unit="ms", bare=idle),
        *_time_rows(m), *_memory_rows(m),
    ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Slots:
    """Slot time of some trials, in ms; None where none ran."""

    median: float | None = None
    p90: float | None = None
    inside: float | None = None
    count: float | None = None

    @classmethod
    def of(cls, trials: Sequence[Worked]) -> "_Slots":
        if not trials:
            return cls()
        times = slot_times(trials)
        spread = Spread.of([time.total_ms for time in times])
        return cls(
            median=spread.median,
            p90=spread.p90,
            inside=median(time.inside_ms for time in times),
            count=len(slots_of(trials)),
        )


def _slot_rows(
    kind: str, ours: Sequence[Worked], bare: Sequence[Worked], plain: Sequence[Worked] = (), *, judged: bool = False
) -> list[Row]:
    mine, floor, script = (_Slots.of(trials) for trials in (ours, bare, plain))
    at = f"slot time, {kind}"
    return [
        Row(name=f"{at}: median", unit="ms", ours=mine.median, bare=floor.median, plain=script.median,
            limit=SLOT_MS if judged else None),
        Row(name=f"{at}: median, times bare Ray", unit="x", ours=_ratio(mine.median, floor.median), bare=1.0,
            plain=_ratio(script.median, floor.median), limit=TIMES_BARE if judged else None),
        Row(name=f"{at}: 90th percentile", unit="ms", ours=mine.p90, bare=floor.p90, plain=script.p90),
        Row(name=f"{at}: of it inside the trial", unit="ms", ours=mine.inside, bare=floor.inside, plain=script.inside),
        Row(name=f"slots at work, {kind}", unit="", ours=mine.count, bare=floor.count, plain=script.count),
    ]  # fmt: skip


def _rate(kind: str, ours: Sequence[Worked], bare: Sequence[Worked]) -> Row:
    """Trials a second on all slots, from the first one's start to the last one's end."""

    def a_second(trials: Sequence[Worked]) -> float:
        return 1e3 * len(trials) / (max(t.ended_ms for t in trials) - min(t.started_ms for t in trials))

    return Row(name=f"{kind} a second, of {len(ours)}", unit="", ours=a_second(ours), bare=a_second(bare))


def _ratio(value: float | None, floor: float | None) -> float | None:
    return value / floor if value is not None and floor else None


def _time_rows(m: Measured) -> list[Row]:
    run, count = m.digits, len(m.digits.trials)
    first, *following = m.publish_s
    return [
        Row(name=f"sparsweep run digits, {count} trials, prompt to prompt", unit="s", ours=run.wall_s, limit=WALL_S),
        Row(name="  start-up: until the first trial starts", unit="s", ours=run.startup_s, limit=STARTUP_S),
        Row(name="  search: until the last trial ends", unit="s", ours=run.search_s, bare=m.bare_digits.wall_s),
        Row(name="  ending: record, time, test, register, draw", unit="s", ours=run.ending_s),
        Row(name=f"{len(m.plain.trials)} trials that train next to nothing, in all", unit="s", plain=m.plain.wall_s),
        Row(name="one version published: the first", unit="s", ours=first),
        Row(name="one version published: slowest after the first", unit="s", ours=max(following), limit=VERSION_S),
        Row(name="sparsweep --help", unit="s", ours=m.help_s, limit=HELP_S),
    ]


def _memory_rows(m: Measured) -> list[Row]:
    return [
        Row(name="driver memory at its peak, digits", unit="MB", ours=m.digits.peak_mb, limit=MEMORY_MB),
        Row(name="  until the last trial ended", unit="MB", ours=m.digits.search_peak_mb),
        Row(name=f"driver growth, {len(m.long.trials)} trials of 18 points", unit="kB a trial", limit=GROWTH_KB,
            ours=growth_kb(m.long.memory)),
    ]  # fmt: skip


def growth_kb(memory: Sequence[tuple[int, float]]) -> float:
    """Kilobytes a trial by which the driver grows within one run.

    Sounder than the difference between the peaks of two runs: imports differ by megabytes from run to run, as much as
    is looked for, and the peak belongs to the delivery, which does not grow with the trials.

    Args:
        memory: (trials done, resident kB).
    """
    last = max(done for done, _ in memory)
    return slope([(done, kb) for done, kb in memory if done >= last * SETTLED_SHARE])

"""All runs of a benchmark, interleaved seed by seed; what is kept already is not run again."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.search.benchmark import Benchmark
from tests.benchmarks.search.contenders import Contender, Start
from tests.benchmarks.search.kept import Run
from tests.benchmarks.search.one_run import FailedRunError, run
from tests.benchmarks.search.over_time import Curve
from tests.benchmarks.search.syne_tune_environment import SYNE_TUNE, NotInstallableError, syne_tune_python


@dataclass(kw_only=True)
class Outcome:
    """The runs by contender, and by contender why some or all are missing."""

    runs: dict[str, list[Run]]
    missing: dict[str, str] = field(default_factory=dict)


def run_all(benchmark: Benchmark) -> Outcome:
    """Runs what is not kept yet.

    Raises:
        ValueError: a kept run cannot be read, or the code has changed since the first run began.
    """
    todo = [(seed, each) for seed in range(benchmark.seeds) for each in turned(benchmark.contenders, seed)]
    settings = {each.name: benchmark.settings(each) for each in benchmark.contenders}
    shelf, outcome = benchmark.shelf, Outcome(runs={each.name: [] for each in benchmark.contenders})
    kept = {(seed, each.name): shelf.find(each.name, seed, settings[each.name]) for seed, each in todo}
    say(f"{sum(done is not None for done in kept.values())} of {len(todo)} runs are kept in {shelf.folder}")
    start = _start(benchmark, outcome, needed=any(kept[s, c.name] is None and c.module == "moasha" for s, c in todo))
    for at, (seed, each) in enumerate(todo, 1):
        done = kept[seed, each.name]
        if done is None and not (each.module == "moasha" and start.syne_tune is None):
            say(f"[{at}/{len(todo)}] seed {seed}, {each.name}, {benchmark.end_s:.0f} s")
            done = _run(benchmark, each, seed, start, outcome)
            if benchmark.settings(each) != settings[each.name]:
                raise ValueError("the code has changed meanwhile: begin again, from a clone that stays as it is")
            if done is not None:
                shelf.put(done, settings[each.name])
        if done is not None:
            outcome.runs[each.name].append(done)
    return outcome


def turned(contenders: Sequence[Contender], seed: int) -> list[Contender]:
    """The order within a seed: each seed begins with the next contender, so that none always runs first."""
    first = seed % len(contenders)
    return [*contenders[first:], *contenders[:first]]


def _start(benchmark: Benchmark, outcome: Outcome, *, needed: bool) -> Start:
    """What contenders are started with; where Syne Tune cannot be had, that is noted."""
    python = None
    if needed:
        say(f"{SYNE_TUNE} in an environment of its own")
        try:
            python = syne_tune_python(benchmark.keep / "syne-tune")
        except NotInstallableError as fault:
            outcome.missing["moasha"] = str(fault)
            say(f"    {fault}")
    return Start(preset=benchmark.preset, minutes=benchmark.minutes, data_root=benchmark.data_root, syne_tune=python)


def _run(benchmark: Benchmark, contender: Contender, seed: int, start: Start, outcome: Outcome) -> Run | None:
    began = time.monotonic()
    try:
        done = run(contender, lambda folder: benchmark.contest(seed, folder), start, _ticking(benchmark.end_s))
    except FailedRunError as fault:
        outcome.missing[contender.name] = f"seed {seed}: {fault}"
        say(f"    {fault}")
        return None
    end = Curve.of(done.points, benchmark.end_s).at(benchmark.end_s)
    say(f"    hypervolume {end:.4f} of {len(done.points)} points; {time.monotonic() - began:.0f} s in all")
    return done


def _ticking(end_s: float) -> Callable[[float], None]:
    """Shows the seconds where somebody looks on."""

    def tick(spent_s: float) -> None:
        if sys.stderr.isatty():
            print(f"    {spent_s:.0f} of {end_s:.0f} s ", end="\r", file=sys.stderr, flush=True)

    return tick


def say(text: str) -> None:
    """One line about what is being run."""
    print(f"… {text}", file=sys.stderr, flush=True)

"""What sparsweep costs beside the work of its trials, next to a bare Ray trainable and the engines' plain script.

    python -m tests.benchmarks.overhead [--trials 24] [--small-trials 400] [--json FILE] [--quick]

All in one run on one machine, each part in a process of its own; exit code 1 if a target is missed. `--quick` runs few
trials to see that everything works: it judges nothing and keeps nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.machine import machine, quiet_environment, root
from tests.benchmarks.measured import Bare, Measured, rows_of
from tests.benchmarks.slot_time import Worked
from tests.benchmarks.verdict import HEADERS, Row, as_json, as_markdown, as_text
from tests.benchmarks.watched_sweep import run_watched, sparsweep

RESULTS = Path(__file__).with_name("results") / "overhead.md"

SMALL = """
name: small
task: {network: lenet-digits, data: digits}
methods: [gasl]
space: {granularity: {choices: [filter]}}
objectives: {accuracy: max, sparsity: max, speedup: max}
budget: {epochs: 1, time_limit: 10m}
trial: {descent: nested, cuts: CUTS, finetune_epochs: 0}
registry: {model: small, keep: 1}
"""
"""A sweep whose trials do next to nothing: one epoch, CUTS cuts, no fine-tuning."""

REMARKS = (
    "Slot time: from one trial's start to the next one's in the same slot, less preparing the network, training, "
    "descent and measuring. Slots are named by process for bare Ray, else reconstructed from the trials' clocks; a "
    "slot's first trial, which imports, is left out.",
    "Slots at work: with actor reuse Tune hands short trials to the first process that is free and may start no other.",
    "Bare Ray: a class trainable with actor reuse, one result a trial, no loggers, as many pending trials as slots, "
    "computing for as long as ours of the same row on one thread, so that both drivers find the cores equally busy.",
    "Plain script: function trainable, OptunaSearch, MLflowLoggerCallback on SQLite, as Ray's documentation has it.",
    "Small trials: one epoch and one cut on the digits, no fine-tuning. They end faster than the driver proposes and "
    "records, so their slots wait; the digits trials are what is judged.",
    "Driver memory is the kernel's VmHWM of the driver process alone. Its growth is the median slope (Theil, Sen) of "
    "the resident memory over the trials done, within one run, after its first third.",
)


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much is run."""

    trials: int
    small_trials: int
    memory_trials: int
    plain_trials: int
    help_calls: int


QUICK = Amounts(trials=8, small_trials=8, memory_trials=8, plain_trials=6, help_calls=1)


def measure(amounts: Amounts, space: Path) -> Measured:
    """Runs all parts one after the other; minutes."""
    say(f"sparsweep run digits, {amounts.trials} trials")
    digits = run_watched("digits", (), space / "digits", trials=amounts.trials)
    say("its versions published anew")
    publish_s = published(space / "digits")
    say(f"{amounts.small_trials} small trials")
    file = small_file(space, cuts=1)
    small = run_watched(str(file), (), space / "small", trials=amounts.small_trials, deliver=False)
    say(f"{amounts.memory_trials} small trials of 18 points")
    file = small_file(space, cuts=16)
    long = run_watched(str(file), (), space / "long", trials=amounts.memory_trials, deliver=False)
    idle, bare_small = bare_trials(amounts.small_trials, [0.0, _work_ms(small.trials)])
    (bare_digits,) = bare_trials(amounts.trials, [_work_ms(digits.trials)])
    return Measured(
        digits=digits, small=small, long=long, publish_s=tuple(publish_s), bare_idle=idle, bare_small=bare_small,
        bare_digits=bare_digits, plain=plain_trials(amounts.plain_trials), help_s=help_seconds(amounts.help_calls),
    )  # fmt: skip


def _work_ms(trials: Sequence[Worked]) -> float:
    return median(trial.work_ms for trial in trials)


def small_file(folder: Path, *, cuts: int) -> Path:
    """The sweep file of small trials."""
    path = folder / f"small-{cuts}.yaml"
    path.write_text(SMALL.replace("CUTS", str(cuts)))
    return path


def published(home: Path) -> list[float]:
    """Seconds of each version of the digits sweep that lies in this home."""
    from sparsweep.search.sweep_folder import SweepFolder
    from tests.benchmarks.publishing import publish_times_s

    return publish_times_s(SweepFolder(home / "sweeps" / "digits"))


def bare_trials(trials: int, work_ms: Sequence[float]) -> list[Bare]:
    """A bare Ray run for every length of trial."""
    say(f"{trials} bare Ray trials of {', '.join(f'{ms:.0f}' for ms in work_ms)} ms")
    lengths = (f"--work-ms={ms:.0f}" for ms in work_ms)
    return [_bare(run) for run in module("bare_ray", "--trials", str(trials), *lengths)]


def plain_trials(trials: int) -> Bare:
    """The plain script."""
    say(f"the plain script, {trials} trials")
    return _bare(module("plain_script", "--trials", str(trials)))


def _bare(run: Any) -> Bare:
    return Bare(trials=tuple(Worked(**trial) for trial in run["trials"]), wall_s=run["wall_s"])


def module(name: str, *options: str) -> Any:
    """What a module of this folder prints as JSON on its last line. Raises RuntimeError with its output if it fails."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *options]
    ended = subprocess.run(command, cwd=root(), env=quiet_environment(), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{name} ended with {ended.returncode}:\n{ended.stdout[-1000:]}{ended.stderr[-3000:]}")
    return json.loads(ended.stdout.strip().splitlines()[-1])


def help_seconds(calls: int) -> float:
    """Median wall seconds of `sparsweep --help`."""
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        subprocess.run([sparsweep(), "--help"], env=quiet_environment(), stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def say(text: str) -> None:
    """One line about what is being run."""
    print(f"… {text}", file=sys.stderr, flush=True)


def page(rows: Sequence[Row], found_on: dict[str, Any], trials: int, small_trials: int) -> str:
    """The Markdown page of the results."""
    command = f"python -m tests.benchmarks.overhead --trials {trials} --small-trials {small_trials}"
    return as_markdown(
        "Overhead", command, found_on, HEADERS,
        [row.cells() for row in rows], REMARKS,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table, keeps the page; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=24, help="trials of the digits sweep and of each comparison")
    parser.add_argument("--small-trials", type=int, default=400, help="trials that do next to nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--quick", action="store_true", help="few trials; judges nothing, keeps nothing")
    options = parser.parse_args(arguments)
    full = Amounts(
        trials=options.trials,
        small_trials=options.small_trials,
        memory_trials=4 * options.trials,
        plain_trials=8,
        help_calls=5,
    )
    found_on = machine()
    with tempfile.TemporaryDirectory(prefix="overhead-") as space:
        rows = rows_of(measure(QUICK if options.quick else full, Path(space)))
    print(as_text(rows))
    if options.json:
        options.json.write_text(json.dumps(as_json(rows, found_on), indent=1))
    if options.quick:
        return 0
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(page(rows, found_on, options.trials, options.small_trials))
    return int(any(row.missed for row in rows))


if __name__ == "__main__":
    sys.exit(main())

"""A sweep of 10,000 trials on 1,000 slots by simulation: what its driver takes, and whether it stays right.

    python -m tests.benchmarks.simulation [--trials 10000] [--slots 1000] [--minutes 10] [--known 0]
    python -m tests.benchmarks.simulation --record FILE [--rows 64]

Trials are answered from a table of real ones (`--record` makes one, a trial after the other), on a simulated clock; the
driver's code is the real one. Keeps its page of 10,000 trials or more. Exit code 1 if a target is missed.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.machine import machine
from tests.benchmarks.simulation import recording
from tests.benchmarks.simulation.checks import fronts_of, plain_optuna
from tests.benchmarks.simulation.driver import job_in, simulate
from tests.benchmarks.simulation.figures import HEADERS, lines_of, remarks, rows_of
from tests.benchmarks.verdict import Row, as_markdown, lines_as_text

RESULTS = Path(__file__).parents[1] / "results" / "simulation.md"
FULL = 10_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulates, checks, prints, keeps the page."""
    o = _options(arguments)
    if o.record:
        recording.record(o.rows, o.record)
        return 0
    where, table = machine(), recording.read(o.table)
    with tempfile.TemporaryDirectory(prefix="simulation-") as home:
        job = job_in(Path(home), o.trials)
        simulated = simulate(
            job, table, slots=o.slots, trial_s=60 * o.minutes, say=_say, known=o.known,
            every=max((o.trials - o.known) // 10, 1),
        )  # fmt: skip
        rows = rows_of(simulated, fronts_of(job), plain_optuna(job, table), o.slots)
    lines, said = lines_of(simulated), [_cells(row) for row in rows]
    print(lines_as_text(HEADERS, lines))
    print(lines_as_text(("figure", "unit", "", "target", ""), said, left=2))
    if o.trials >= FULL:
        command = f"python -m tests.benchmarks.simulation --trials {o.trials} --slots {o.slots} --known {o.known}"
        told = [f"{name.strip()}: {value} {unit} {target} {mark}".strip() for name, unit, value, target, mark in said]
        more = remarks(simulated, o.slots, o.minutes, len(table.trials), rows)
        RESULTS.write_text(as_markdown("A sweep by simulation", command, where, HEADERS, lines, (*told, *more)))
    return int(any(row.missed for row in rows))


def _cells(row: Row) -> tuple[str, ...]:
    name, unit, ours, _, _, target, mark = row.cells()
    return name, unit, ours, target, mark


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.simulation", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--trials", type=int, default=FULL)
    parser.add_argument("--slots", type=int, default=1000)
    parser.add_argument("--known", type=int, default=0, help="trials that have ended before it begins")
    parser.add_argument("--minutes", type=float, default=10.0, help="that a trial takes in the mean of the table")
    parser.add_argument("--table", type=Path, default=recording.TABLE, help="recorded trials that answer")
    parser.add_argument("--record", type=Path, metavar="FILE", help="run real trials and keep them in this file")
    parser.add_argument("--rows", type=int, default=64, help="how many --record runs")
    os.environ["OMP_NUM_THREADS"] = "1"
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""`sparsweep frontier NAME` over many points: by the index, and recomputed from all records, in the same run.

    python -m tests.benchmarks.frontier_index [--points 100000] [--repeats 9]

Sweeps are made in a temporary folder: records of 18 points a trial, as descents leave them, and of one point a trial,
as `descent: none` does; one point in a trial's curve in three is kept, some hundred are timed. Each figure is the
command's own time in a process that has imported everything and answered once for another, small sweep; nothing is
kept from one call to the next. Exit code 1 if the index takes more than 300 ms for 18 points a trial, or gives another frontier than the records.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median

from sparsweep.search.sweep_folder import SweepFolder, Where
from sparsweep.spaces.sweep_file import SweepFile, Task
from sparsweep.trainables.point import Latency, Point
from sparsweep.trainables.record import TrialRecord
from tests.benchmarks.machine import machine, quiet_environment, root
from tests.benchmarks.verdict import as_markdown, lines_as_text, number

RESULTS = Path(__file__).with_name("results") / "frontier-index.md"
HEADERS = (
    "sweep",
    "points",
    "frontier",
    "index: median",
    "index: slowest",
    "records: median",
    "no index yet",
    "target",
    "",
)
LIMIT_MS = 300
REMARKS = (
    "Milliseconds of `sparsweep frontier NAME --json` after start-up, imports excluded.",
    "No index yet: the first call, which reads all records and writes the index; a driver writes it as trials end.",
    "Frontier and hypervolumes were the same every time. Files lie in the page cache.",
)
DENSE_MACS, DENSE_BYTES, DENSE_WEIGHTS = 176_520, 121_880, 30_180
SHAPES = (("18 points a trial", 18), ("1 point a trial", 1))

TIMED = """
import contextlib, io, json, os, sys, time
from sparsweep.search import commands, cli, delivery, report, hindrances, caption, frontier_index
from sparsweep.search.with_mlflow import settle
import moocore, numpy, rich.table
def answers(home: Path, way: str, name: str, repeats: int) -> tuple[list[float], list[object]]:
    """Milliseconds of each call in one process, and each frontier with its hypervolumes."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED, way, name, str(repeats)], cwd=root(),
        env=quiet_environment(SPARSWEEP_HOME=str(home)), capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout.splitlines()[-1])
    return said["took"], list(zip(*said["found"], strict=True))


def line_of(home: Path, label: str, points: int, cuts: int, repeats: int) -> tuple[tuple[str, ...], bool]:
    """The row, and whether something is wrong with it."""
    name = f"cuts-{cuts}"
    say(f"{label}: making {points} points")
    build(home, name, -(-points // cuts), cuts)
    say("by the index")
    (first, *by_index), found = answers(home, "index", name, 1 + repeats)
    say(f"{median(by_index):.0f} ms; from the records")
    by_records, afresh = answers(home, "records", name, 2)
    same = all(each == afresh[0] for each in (*found, *afresh))
    judged = cuts > 1
    missed = not same or (judged and median(by_index) > LIMIT_MS)
    front = len(afresh[0][0])  # type: ignore[index]
    mark = "ANOTHER FRONTIER" if not same else "" if not judged else "MISSED" if missed else "met"
    cells = (*map(number, (median(by_index), max(by_index), median(by_records), first)), f"≤ {LIMIT_MS}" * judged, mark)
    return (label, str(-(-points // cuts) * cuts), str(front), *cells), missed


def say(text: str) -> None:
    """One line about what is being run."""
    print(f"… {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the sweeps, measures, prints, and keeps the page where everything was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=9)
    o = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    where = machine()
    rows: list[tuple[tuple[str, ...], bool]] = []
    with tempfile.TemporaryDirectory(prefix="frontier-index-") as folder:
        home = Path(folder)
        build(home, "small", 3, 18)
        for label, cuts in SHAPES:
            rows.append(line_of(home, label, o.points, cuts, o.repeats))
            print(lines_as_text(HEADERS, [rows[-1][0]], left=1), flush=True)
    if o.points >= 100_000 and o.repeats >= 9:
        title, command = "Frontier queries by the index", "python -m tests.benchmarks.frontier_index"
        RESULTS.write_text(as_markdown(title, command, where, HEADERS, [line for line, _ in rows], REMARKS))
    return int(any(missed for _, missed in rows))


if __name__ == "__main__":
    sys.exit(main())

"""`sparsweep frontier NAME` over many points: by the index, and recomputed from all records, in the same run.

    python -m tests.benchmarks.frontier_index [--points 100000] [--repeats 9]

Sweeps are made in a temporary folder: records of 18 points a trial, as descents leave them, and of one point a trial,
as `descent: none` does. Of a curve every third point has its network, and some hundred points are timed. Each figure is
the command's own time in a process that has imported everything and answered once for another, small sweep; nothing is
kept from one call to the next. Exit code 1 if the index takes more than 300 ms for 18 points a trial, or gives another
frontier than the records.
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
    "sweep", "points", "frontier", "index: median", "index: slowest", "index: processor", "records: median",
    "no index yet", "target", "",
)  # fmt: skip
LIMIT_MS = 300
REMARKS = (
    "Milliseconds of `sparsweep frontier NAME --json` after start-up, imports excluded.",
    "Index: processor: the median of what the process itself took; the rest of the median is waiting for a core.",
    "No index yet: the first call, which reads all records and writes the index; a driver writes it as trials end.",
    "Frontier and hypervolumes were the same every time. Files lie in the page cache.",
)
DENSE_MACS, DENSE_BYTES, DENSE_WEIGHTS = 176_520, 121_880, 30_180
Took = tuple[float, float]
"""Milliseconds by the clock on the wall, and of the process's own work."""
SHAPES = (("18 points a trial", 18), ("1 point a trial", 1))

TIMED = """
import contextlib, io, json, os, sys, time
from sparsweep.search import commands, cli, delivery, report, hindrances, caption, frontier_index
import moocore, numpy
way, name, repeats = sys.argv[1:]
if way == "records":
    def afresh(sweep, folder, where):
        frontier, points = delivery.frontier_now(sweep, folder, folder.store(where))
        return frontier, len(points)
    delivery.frontier_indexed = afresh
def timed(name):
    said = io.StringIO()
    began, own = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(said):
        code = cli.main(["frontier", name, "--json"])
    assert code == 0
    took = (time.perf_counter() - began) * 1e3, (time.process_time() - own) * 1e3
    return took, json.loads(said.getvalue())
timed("small")
calls = [timed(name) for _ in range(int(repeats))]
found = [
    [[[p["trial"], p["cut"]] for p in each["points"]], each["hypervolume"], each["hypervolume_macs"]["value"]]
    for _, each in calls
]
print(json.dumps({"took": [took for took, _ in calls], "found": found}))
"""


def curve(trial: int, cuts: int, chance: Random) -> tuple[Point, ...]:
    """A descent of a network with 30,180 weights: accuracy falls with sparsity, by how well its setting does."""
    skill, floor = chance.betavariate(4, 2), chance.uniform(0.3, 0.7)
    points = []
    for at in range(cuts):
        sparsity = floor + (1 - floor) * (at + chance.random()) / cuts
        accuracy = 0.985 * skill**0.15 * (1 - sparsity**12) + chance.gauss(0, 0.01)
        removed = sparsity * chance.uniform(0.85, 1.0)
        points.append(
            Point(
                trial=trial, cut=f"{at:02d}", method="gasl", threshold=chance.random(),
                accuracy=min(max(accuracy, 0.1), 1.0), sparsity=sparsity, layer_sparsity=sparsity,
                weights_left=round(DENSE_WEIGHTS * (1 - sparsity)), macs=round(DENSE_MACS * (1 - removed)),
                macs_ideal=round(DENSE_MACS * (1 - sparsity)), dense_macs=DENSE_MACS,
                size_bytes=round(DENSE_BYTES * (1 - 0.98 * sparsity)), dense_size_bytes=DENSE_BYTES,
                widths=(20, 50, 100),
                setting={"method": "gasl", "sparsity_strength": chance.random(), "learning_rate": chance.random()},
                network=f"attempt-1/{at:02d}" if cuts == 1 or at % 3 == 0 else None,
            )
        )  # fmt: skip
    return tuple(points)


def build(home: Path, name: str, trials: int, cuts: int) -> None:
    """A sweep as a driver leaves it, without its networks and its index."""
    chance, folder = Random(name), SweepFolder(home / "sweeps" / name)
    folder.create(SweepFile(name=name, task=Task(network="lenet-digits", data="digits")), Where())
    store, notes = folder.store(Where()), []
    for trial in range(trials):
        record = TrialRecord(
            number=trial, attempt=1, setting={"method": "gasl"}, seed=trial, state="done", reason=None,
            points=curve(trial, cuts, chance), epochs=(), started_ms=trial * 1000, ended_ms=trial * 1000 + 900,
            seconds={}, environment={},
        )  # fmt: skip
        own = store.folder(trial)
        own.path.mkdir(parents=True)
        (own.path / "result.json").write_text(json.dumps(record.as_json()))
        for point in record.points:
            if point.network is not None and chance.random() < 1000 / (trials * cuts):
                quick = 1 / (1 - 0.8 * point.macs_removed)
                notes.append((point, {"latency": [vars(latency(quick, batch)) for batch in (1, 32)]}))
    folder.note(notes)


def latency(speedup: float, batch: int) -> Latency:
    """A record against 10 ms dense."""
    return Latency(
        batch=batch, latency_ms=10 / speedup, dense_latency_ms=10.0, speedup=speedup, iqr_share=0.02, pairs=21,
        device="a processor", threads=1, runtime="eager",
    )  # fmt: skip


def answers(home: Path, way: str, name: str, repeats: int) -> tuple[list[Took], list[list[list[object]]]]:
    """Milliseconds of each call in one process, by the clock and of the processor; each frontier, its hypervolumes."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED, way, name, str(repeats)], cwd=root(),
        env=quiet_environment(SPARSWEEP_HOME=str(home)), capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout.splitlines()[-1])
    return said["took"], said["found"]


def line_of(home: Path, label: str, points: int, cuts: int, repeats: int) -> tuple[tuple[str, ...], bool]:
    """The row, and whether something is wrong with it."""
    name = f"cuts-{cuts}"
    say(f"{label}: making {points} points")
    build(home, name, -(-points // cuts), cuts)
    say("by the index")
    ((first, _), *calls), found = answers(home, "index", name, 1 + repeats)
    by_index, own = zip(*calls, strict=True)
    say(f"{median(by_index):.0f} ms, {median(own):.0f} of the processor; from the records")
    from_records, afresh = answers(home, "records", name, 2)
    by_records = [wall for wall, _ in from_records]
    same = all(each == afresh[0] for each in (*found, *afresh))
    judged = cuts > 1
    missed = not same or (judged and median(by_index) > LIMIT_MS)
    mark = "ANOTHER FRONTIER" if not same else "" if not judged else "MISSED" if missed else "met"
    times = map(number, (median(by_index), max(by_index), median(own), median(by_records), first))
    target = f"≤ {LIMIT_MS}" if judged else ""
    return (label, str(-(-points // cuts) * cuts), str(len(afresh[0][0])), *times, target, mark), missed


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
        build(Path(folder), "small", 3, 18)
        for label, cuts in SHAPES:
            rows.append(line_of(Path(folder), label, o.points, cuts, o.repeats))
            print(lines_as_text(HEADERS, [rows[-1][0]], left=1), flush=True)
    if o.points >= 100_000 and o.repeats >= 9:
        title, command = "Frontier queries by the index", "python -m tests.benchmarks.frontier_index"
        RESULTS.write_text(as_markdown(title, command, where, HEADERS, [line for line, _ in rows], REMARKS))
    return int(any(missed for _, missed in rows))


if __name__ == "__main__":
    sys.exit(main())

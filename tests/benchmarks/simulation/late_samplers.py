"""Whether `auto` should hand over to NSGA-II after so many trials: both go on from the same rows of the same seed.

    python -m tests.benchmarks.simulation.late_samplers [--after 1000] [--rows 2000] [--seeds 5]

Trials are answered from the recorded ones, told 50 proposals later, as by 50 slots. With a curve a trial a row is worth
its curve's hypervolume; with `descent: none` it is one point with three objectives. NSGA-II begins with the best 50
rows so far as its first generation. Keeps its page of 5 seeds or more. Exit code 1 if NSGA-II is better by more than
two standard errors in what its proposals are worth, and not worse in the front.
"""

import argparse
import os
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Final

import optuna

from sparsweep.search.catalogue import catalogue
from sparsweep.search.curve import curve_value, near_front
from sparsweep.search.dominance import volume
from sparsweep.search.with_optuna.memory import Memory, best_of
from sparsweep.search.with_optuna.proposer import Proposer, sampler_named
from sparsweep.spaces.space import Row
from sparsweep.trainables.point import Point
from tests.benchmarks.machine import machine
from tests.benchmarks.paired import Paired
from tests.benchmarks.simulation import recording
from tests.benchmarks.simulation.surrogate import Surrogate
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS: Final = Path(__file__).parents[1] / "results" / "late-samplers.md"
AXES: Final = ("macs_removed", "sparsity")
AT_WORK: Final = 50
"""Rows that are being tried while another is proposed."""
GENERATION: Final = 50
"""Rows of NSGA-II's generations, Optuna's default."""
MODES: Final = {"a curve a trial": 1, "descent: none": 3}
"""By name how many values a row has."""
HEADERS: Final = ("a trial gives", "sampler", "seeds", "front", "against", "proposals", "against")


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One row with what it gave."""

    row: Row
    points: tuple[Point, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Late:
    """What a sampler found from some row on."""

    front: float
    """Hypervolume of accuracy x MACs removed over all trials, the earlier ones included."""
    proposals: float
    """Mean of what its trials are worth."""


class Trials:
    """Answers rows, each at its number's own noise."""

    def __init__(self, surrogate: Surrogate, seed: int, values: int) -> None:
        self.surrogate, self.seed, self.values = surrogate, seed, values

    def tried(self, number: int, row: Row) -> Tried:
        """The curve, or the point that `descent: none` leaves."""
        points = self.surrogate.curve(number, row, self.seed)
        if self.values == 1:
            return Tried(row=row, points=points, values=(curve_value(points, AXES),))
        own = points[:1]
        return Tried(row=row, points=own, values=(own[0].accuracy, own[0].macs_removed, own[0].sparsity))


def searched(memory: Memory | Proposer, trials: Trials, first: int, count: int) -> list[Tried]:
    """So many more trials of a sampler, of which all are told in the end."""
    found: list[Tried] = []
    waiting: deque[tuple[int, Tried]] = deque()
    for number in range(first, first + count):
        row, attributes = memory.next(number) if isinstance(memory, Proposer) else memory.propose()
        tried = trials.tried(number, row)
        found.append(tried)
        if isinstance(memory, Proposer):
            memory.begin(number, row, attributes)
            waiting.append((number, tried))
        else:
            waiting.append((memory.begin(row, attributes), tried))
        while len(waiting) > (AT_WORK if number < first + count - 1 else 0):
            place, done = waiting.popleft()
            memory.end(place, done.values, {})
    return found


def genetic(surrogate: Surrogate, before: Sequence[Tried], seed: int, values: int) -> Memory:
    """NSGA-II that knows all rows, the best of them as its first generation."""
    memory = Memory(surrogate.space, sampler_named("nsga2", seed), values, flat=True)
    key = optuna.samplers.NSGAIISampler._get_generation_key()
    for tried in before:
        memory.end(memory.begin(tried.row, {}), tried.values, {})
    for number in best_of(list(memory.rows.values()), GENERATION):
        memory.rows[number].system_attrs[key] = 0
    return memory


def late(before: Sequence[Tried], found: Sequence[Tried]) -> Late:
    """How it stands in the end."""
    points = near_front([point for tried in (*before, *found) for point in tried.points], AXES[:1])
    front = volume([(point.accuracy, point.macs_removed) for point in points], (0.0, 0.0))
    worths = [curve_value(tried.points, AXES) for tried in found]
    return Late(front=front, proposals=mean(worths))


def both(surrogate: Surrogate, seed: int, values: int, after: int, rows: int) -> tuple[Late, Late]:
    """Capped TPE and NSGA-II, from the same rows on."""
    trials = Trials(surrogate, seed, values)
    auto = Proposer(surrogate.space, sampler="auto", seed=seed, begun=0, objectives=values, say=_say)
    before = searched(auto, trials, 0, after)
    handed = genetic(surrogate, before, seed, values)
    capped = searched(auto, trials, after, rows - after)
    return late(before, capped), late(before, searched(handed, trials, after, rows - after))


def lines_of(mode: str, found: Sequence[tuple[Late, Late]]) -> tuple[list[tuple[str, ...]], bool]:
    """Both samplers' lines, and whether NSGA-II is clearly better."""
    capped, handed = zip(*found, strict=True)
    lines, clearly = [], []
    for name, arm in (("auto (capped TPE)", capped), ("nsga2 from there", handed)):
        cells = [mode, name, str(len(found))]
        for figure in ("front", "proposals"):
            values = [getattr(each, figure) for each in arm]
            cells.append(f"{mean(values):.4f}")
            if arm is capped:
                cells.append("")
                continue
            against = Paired.of(values, [getattr(each, figure) for each in capped])
            clearly.append((against.mean, against.standard_error))
            cells.append(f"{against.mean:+.4f} ± {against.standard_error:.4f} ({against.wins}/{against.count})")
        lines.append(tuple(cells))
    (front, of_front), (proposals, of_proposals) = clearly
    return lines, proposals > 2 * of_proposals and front > -2 * of_front


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Searches, prints, keeps the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--after", type=int, default=1000, help="rows that both have in common")
    parser.add_argument("--rows", type=int, default=2000, help="in all")
    parser.add_argument("--seeds", type=int, default=5)
    o = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    where, table = machine(), recording.read()
    surrogate = Surrogate(recording.sweep().space(catalogue()), table)
    lines, better = list[tuple[str, ...]](), False
    for mode, values in MODES.items():
        found = []
        for seed in range(o.seeds):
            found.append(both(surrogate, seed, values, o.after, o.rows))
            _say(f"{mode}, seed {seed}: {found[-1]}")
        own, clearly = lines_of(mode, found)
        lines, better = [*lines, *own], better or clearly
    print(lines_as_text(HEADERS, lines, left=2))
    if o.seeds >= 5:
        given, more = f"--after {o.after} --rows {o.rows} --seeds {o.seeds}", o.rows - o.after
        command = f"python -m tests.benchmarks.simulation.late_samplers {given}"
        remarks = (
            f"The first {o.after} rows are the same for both; then {more} more of each, 50 at work at once.",
            "Front: hypervolume of accuracy x share of MACs removed over all trials, reference 0, 0.",
            f"Proposals: mean of what the last {more} trials are worth, a curve or one point, over both axes.",
            "Against: less capped TPE's with the same seeds, mean ± standard error (seeds that were better).",
            f"Answered from {len(table.trials)} recorded trials of the digits, the three nearest together, with noise.",
        )
        RESULTS.write_text(as_markdown("NSGA-II late in a sweep", command, where, HEADERS, lines, remarks))
    return int(better)


if __name__ == "__main__":
    sys.exit(main())

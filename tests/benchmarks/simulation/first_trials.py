"""What a sweep should propose before it knows much: rows far from all others, near the best so far, or at random.

    python -m tests.benchmarks.simulation.first_trials [--seeds 40] [--slots 2]

Trials are answered from the recorded ones, as by so many slots. All begin with the known-good settings, and what there
is of seeds they have in common. Keeps its page of 20 seeds or more.
"""

import argparse
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import mean
from typing import Final

import optuna

from sparsweep.search.catalogue import catalogue
from sparsweep.search.curve import near_front
from sparsweep.search.dominance import volume
from sparsweep.search.sweep import known_good_rows
from sparsweep.search.with_optuna.near import near
from sparsweep.search.with_optuna.proposer import Proposer
from sparsweep.spaces.space import Row
from sparsweep.trainables.point import Point
from tests.benchmarks.machine import machine
from tests.benchmarks.paired import Paired
from tests.benchmarks.simulation import recording
from tests.benchmarks.simulation.late_samplers import AXES, MODES, Trials
from tests.benchmarks.simulation.surrogate import Surrogate
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS: Final = Path(__file__).parents[1] / "results" / "first-trials.md"
AFTER: Final = (4, 6, 8, 12, 20, 40)
"""Trials after which the front is looked at."""
HEADERS: Final = ("a trial gives", "proposes", *(f"after {count}" for count in AFTER))
FULL_SEEDS: Final = 20


class Far(Proposer):
    """As `auto` with several values a row."""

    def _early(self, number: int) -> Row:
        return self._quasi_random(self._spent + number)


class Near(Proposer):
    """As `auto` with one value a row: near the best, or near one that is not dominated."""

    def _early(self, number: int) -> Row:
        best = self.memory.best() or self.good[0]
        return near(self.space, best, Random(f"{self.seed} {number} near"))


class InTurns(Near):
    """One after the other."""

    def _early(self, number: int) -> Row:
        return super()._early(number) if number % 2 else self._quasi_random(self._spent + number // 2)


ARMS: Final[Mapping[str, tuple[type[Proposer], str]]] = {
    "far from all, as TPE after 10": (Far, "auto"),
    "near the best, as TPE after 10": (Near, "auto"),
    "in turns far and near, as TPE after 10": (InTurns, "auto"),
    "at random, as TPE after 10": (Proposer, "tpe"),
    "at random": (Proposer, "random"),
}
"""By name the class, and its sampler."""


def fronts(proposer: Proposer, trials: Trials, good: Sequence[Row], slots: int) -> list[float]:
    """Hypervolume of accuracy x MACs removed after so many trials each, `slots` of them at work at once."""
    proposer.good = good
    points: list[Point] = []
    found: list[float] = []
    waiting: deque[tuple[int, tuple[float, ...]]] = deque()
    for number in range(max(AFTER)):
        row, attributes = (good[number], {}) if number < len(good) else proposer.next(number)
        proposer.begin(number, row, attributes)
        tried = trials.tried(number, row)
        waiting.append((number, tried.values))
        points = near_front([*points, *tried.points], AXES[:1])
        if number + 1 in AFTER:
            found.append(volume([(point.accuracy, point.macs_removed) for point in points], (0.0, 0.0)))
        while len(waiting) >= slots:
            place, values = waiting.popleft()
            proposer.end(place, values, {})
    return found


def lines_of(mode: str, arms: Mapping[str, Sequence[Sequence[float]]]) -> list[tuple[str, ...]]:
    """A line each: the first one's fronts, and what the others have more."""
    lines = []
    first = next(iter(arms.values()))
    for name, found in arms.items():
        cells = []
        for at in range(len(AFTER)):
            own, other = [each[at] for each in found], [each[at] for each in first]
            if found is first:
                cells.append(f"{mean(own):.4f}")
                continue
            against = Paired.of(own, other)
            cells.append(f"{against.mean:+.4f} ± {against.standard_error:.4f} ({against.wins}/{against.count})")
        lines.append((mode, name, *cells))
    return lines


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Searches, prints, keeps the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--slots", type=int, default=2)
    o = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    where, table, sweep = machine(), recording.read(), recording.sweep()
    space = sweep.space(catalogue())
    surrogate = Surrogate(space, table)
    good = [space.nearest(row) for row in known_good_rows(sweep.methods, space)]
    lines: list[tuple[str, ...]] = []
    for mode, values in MODES.items():
        arms: dict[str, list[list[float]]] = {name: [] for name in ARMS}
        for seed in range(o.seeds):
            for name, (of, sampler) in ARMS.items():
                proposer = of(space, sampler=sampler, seed=seed, begun=0, objectives=values, say=_say)
                arms[name].append(fronts(proposer, Trials(surrogate, seed, values), good, o.slots))
        lines += lines_of(mode, arms)
        _say(mode)
    print(lines_as_text(HEADERS, lines, left=2))
    if o.seeds >= FULL_SEEDS:
        command = f"python -m tests.benchmarks.simulation.first_trials --seeds {o.seeds} --slots {o.slots}"
        remarks = (
            "Hypervolume of accuracy x share of MACs removed over all trials so far, reference 0, 0.",
            "The first line as it is, the others less it with the same seeds, mean ± standard error (seeds better).",
            f"All begin with the {len(good)} known-good settings; {o.slots} trials at work at once.",
            f"Answered from {len(table.trials)} recorded trials of the digits, the three nearest together, with noise.",
        )
        RESULTS.write_text(as_markdown("The first proposals of a sweep", command, where, HEADERS, lines, remarks))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the sampler should be told of a trial, and which sampler should be the default: an ablation on recorded trials.

    python -m tests.benchmarks.observations --table FILE [--record 150] [--seeds 20]

`--record` runs so many trials of the preset `digits` at quasi-random settings, one after the other, and writes their
curves into the table. The arms then search the table: a proposal is answered with the curve of the nearest recorded
setting, so that a seed costs no training. Nothing is known-good to them.

one row        a network is one row, worth its own curve's hypervolume
sixteen rows   every cut of its curve is a row with its setting: accuracy, share of MACs removed, sparsity

Exit code 1 if one row is worse than sixteen, or `auto` worse than `tpe`, by more than two standard errors.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import optuna

from sparsweep.search.catalogue import catalogue
from sparsweep.search.dominance import volume
from sparsweep.search.with_optuna.memory import Memory
from sparsweep.search.with_optuna.proposer import Proposer, sampler_named
from sparsweep.spaces.load import load_sweep
from sparsweep.spaces.space import Row, Space, Value
from tests.benchmarks.machine import machine
from tests.benchmarks.nearness import distance, place_of
from tests.benchmarks.paired import Paired
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS = Path(__file__).with_name("results") / "observations.md"
AT = (12, 24, 36)
HEADERS = ("told", "sampler", "seeds", *(f"hypervolume after {at}" for at in AT), "curve of a proposal", "against")
Cut = tuple[float, float, float]
"""Accuracy, share of MACs removed, sparsity."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One trial: its setting and the points of its curve."""

    row: Row
    curve: tuple[Cut, ...]

    @property
    def worth(self) -> float:
        """As `curve.curve_value` over both axes."""
        return mean(volume([(cut[0], cut[axis]) for cut in self.curve], (0.0, 0.0)) for axis in (1, 2))


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What is told, and to which sampler."""

    told: str
    sampler: str


ARMS = (
    Arm(told="one row", sampler="tpe"),
    Arm(told="sixteen rows", sampler="tpe"),
    Arm(told="one row", sampler="auto"),
    Arm(told="one row", sampler="random"),
)
REFERENCE = ARMS[0]


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What an arm found with one seed."""

    hypervolumes: tuple[float, ...]
    """Of accuracy x share of MACs removed over all curves so far, after each proposal."""
    worths: tuple[float, ...]
    """What each proposal's own curve is worth."""


def record(count: int, table: Path) -> None:
    """Runs trials of the preset and writes the table; what it has already is kept."""
    import torch

    from sparsweep.trainables.attempt import run_trial
    from sparsweep.trainables.record import TrialFolder
    from sparsweep.trainables.tasks import Task
    from sparsweep.trainables.trial import TrialPlan

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    sweep = load_sweep("digits", catalogue())
    task = Task(network=sweep.task.network, data=sweep.task.data)
    fixed = {"epochs": sweep.budget.epochs, **sweep.trial}
    spread = Proposer(sweep.space(catalogue()), sampler="auto", seed=0, begun=0, objectives=1, say=say)
    kept: list[dict[str, Any]] = json.loads(table.read_text()) if table.exists() else []
    for number in range(len(kept), count):
        row, _ = spread.next(number)  # no outcome is told, so all of them are quasi-random
        plan = TrialPlan(number=number, setting=row, seed=number, task=task, fixed=fixed)
        with tempfile.TemporaryDirectory() as folder:
            done = run_trial(plan, TrialFolder(Path(folder) / "00000"))
        curve = [(point.accuracy, point.macs_removed, point.sparsity) for point in done.points]
        kept.append({"row": row, "curve": curve, "seconds": (done.ended_ms - done.started_ms) / 1e3})
        table.write_text(json.dumps(kept))
        say(f"{number + 1} of {count}: {len(curve)} points")


def recorded(table: Path) -> list[Recorded]:
    """The table's trials; those that failed have no points."""
    return [
        Recorded(row=each["row"], curve=tuple((a, m, s) for a, m, s in each["curve"]))
        for each in json.loads(table.read_text())
    ]


class Surrogate:
    """Answers a setting with the curve of the nearest recorded one."""

    def __init__(self, space: Space, trials: Sequence[Recorded]) -> None:
        self.space, self.trials = space, [trial for trial in trials if trial.curve]
        self.places = [place_of(space, trial.row) for trial in self.trials]

    def nearest(self, row: Mapping[str, Value]) -> Recorded:
        """The trial whose setting is nearest in shares of the ranges; another choice is a whole range away."""
        place = place_of(self.space, row)
        return self.trials[min(range(len(self.places)), key=lambda at: distance(place, self.places[at]))]


def searched(arm: Arm, surrogate: Surrogate, seed: int, trials: int) -> Searched:
    """One search of the table."""
    one = arm.told == "one row"
    proposer = Proposer(surrogate.space, sampler=arm.sampler, seed=seed, begun=0, objectives=1, say=say)
    many = Memory(surrogate.space, sampler_named(arm.sampler, seed), 3)
    front: list[tuple[float, float]] = []
    volumes, worths = [], []
    for number in range(trials):
        row, attributes = proposer.next(number) if one else many.propose()
        found = surrogate.nearest(row)
        if one:
            proposer.begin(number, row, attributes)
            proposer.end(number, (found.worth,), {})
        else:
            for cut in found.curve:
                many.end(many.begin(row, {}), cut, {})
        front += [(accuracy, removed) for accuracy, removed, _ in found.curve]
        volumes.append(volume(front, (0.0, 0.0)))
        worths.append(found.worth)
    return Searched(hypervolumes=tuple(volumes), worths=tuple(worths))


def line_of(arm: Arm, found: Sequence[Searched], reference: Sequence[Searched], after: Sequence[int]) -> tuple[
    tuple[str, ...], Paired | None
]:  # fmt: skip
    """The arm's line, and how it stands to the reference in the worth of its later proposals."""
    late = [mean(each.worths[after[0] :]) for each in found]
    against = None
    if found is not reference:
        against = Paired.of(late, [mean(each.worths[after[0] :]) for each in reference])
    said = "" if against is None else (
        f"{against.mean:+.4f} ± {against.standard_error:.4f} ({against.wins}/{against.count})"
    )  # fmt: skip
    volumes = [f"{mean(each.hypervolumes[at - 1] for each in found):.4f}" for at in after]
    return (arm.told, arm.sampler, str(len(found)), *volumes, f"{mean(late):.4f}", said), against


def say(text: str) -> None:
    """One line about what is being run."""
    print(f"… {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Records where asked to, searches, prints, and keeps the page of 20 seeds or more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="the recorded trials, JSON")
    parser.add_argument("--record", type=int, default=0, help="run trials until the table has so many")
    parser.add_argument("--seeds", type=int, default=20)
    o = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if o.record:
        record(o.record, o.table)
    trials = recorded(o.table)
    surrogate = Surrogate(load_sweep("digits", catalogue()).space(catalogue()), trials)
    found = {}
    for arm in ARMS:
        say(f"{arm.told}, {arm.sampler}")
        found[arm] = [searched(arm, surrogate, seed, AT[-1]) for seed in range(o.seeds)]
    stands = {arm: line_of(arm, found[arm], found[REFERENCE], AT) for arm in ARMS}
    lines = [line for line, _ in stands.values()]
    print(lines_as_text(HEADERS, lines, left=2))
    remarks = (
        f"{len(surrogate.trials)} trials of the preset digits at quasi-random settings of {len(surrogate.space.knobs)} "
        f"ranges, {len(trials) - len(surrogate.trials)} more failed; best curve of the table "
        f"{max(trial.worth for trial in surrogate.trials):.4f}, mean {mean(t.worth for t in surrogate.trials):.4f}.",
        "Hypervolume: accuracy x share of MACs removed over all curves so far, reference 0, 0; mean over the seeds.",
        f"Curve of a proposal: what a proposal's own curve is worth, mean over those after the first {AT[0]}.",
        "Against: that, less the first line's with the same seeds, mean ± standard error (seeds that were better).",
    )
    if o.seeds >= 20:
        command = f"python -m tests.benchmarks.observations --record {len(trials)} --seeds {o.seeds}"
        RESULTS.write_text(as_markdown("What the sampler is told", command, machine(), HEADERS, lines, remarks))
    sixteen, auto = stands[ARMS[1]][1], stands[ARMS[2]][1]
    assert sixteen is not None
    assert auto is not None
    return int(sixteen.mean > 2 * sixteen.standard_error or auto.mean < -2 * auto.standard_error)


if __name__ == "__main__":
    sys.exit(main())

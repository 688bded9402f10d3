"""Every method on the digits: its own cut, and its descent beside `random`, `magnitude` and its own ablation.

    python -m tests.benchmarks.methods [--seeds 5] [--only gasl,l0] [--processes 2]

One trial a method, granularity and seed, at the method's known-good setting; controls run with the same learning
rate, fine-tuning and granularity, on the same seeds. Curves are compared at equal sparsity: `level` is the mean over
SPARSITIES of the best accuracy among a descent's points that are at least so sparse. The page of results is kept only
of all methods and five seeds or more; there is no target: what comes out is written down.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev

from sparsweep.spaces.space import Row
from sparsweep.trainables.methods import METHODS
from tests.benchmarks.machine import machine
from tests.benchmarks.paired import Paired
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS = Path(__file__).with_name("results") / "methods.md"
EPOCHS, CUTS = 20, 16
SPARSITIES = tuple(0.60 + 0.02 * step for step in range(20))
HEADERS = ("method", "prunes", "own cut: sparsity", "own cut: points below dense", "level", "- random", "- magnitude",
           "- ablation")  # fmt: skip
REMARKS = (
    f"Digits, lenet-digits, {EPOCHS} epochs, {CUTS} cuts of one fine-tuning epoch, Adam, batch 64; known-good "
    "settings, no search. Validation data only.",
    "own cut: the method's own cut before any fine-tuning, and in brackets after its fine-tuning epochs; points of "
    "validation accuracy below the dense control of the same seed and learning rate; mean over the seeds.",
    f"level: mean over sparsities {SPARSITIES[0]:.2f} to {SPARSITIES[-1]:.2f} of the best accuracy among the "
    "descent's points that are at least so sparse.",
    "- random, - magnitude, - ablation: paired differences of the level on the same seeds, mean ± standard error, and "
    "on how many seeds the method was ahead. Controls share granularity, learning rate and fine-tuning; magnitude is "
    "the nested descent of an unpenalised network by |w| or by filters' norms.",
    "300 validation images: one image is 0.33 points. What lies within two standard errors is noise.",
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One trial."""

    own_sparsity: float
    own_accuracy: float
    tuned_accuracy: float
    level: float


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A method at one known-good setting, with the settings of its controls."""

    method: str
    setting: Row

    @property
    def granularity(self) -> str:
        return str(self.setting.get("granularity", getattr(METHODS[self.method](), "granularity", "weight")))

    def controls(self) -> dict[str, Row]:
        """dense, random, magnitude and, where the method has one, its ablation, as rows of trials."""
        shared = {name: self.setting[name] for name in ("learning_rate", "finetune_epochs") if name in self.setting}
        cut: Row = {"granularity": self.granularity, "final_sparsity": 0.0, **shared}
        found: dict[str, Row] = {
            "dense": {"method": "dense", **shared},
            "random": {"method": "random", **cut},
            "magnitude": {"method": "magnitude", **cut},
        }
        if METHODS[self.method].ablation:
            found["ablation"] = {**self.row, **METHODS[self.method].ablation}
        return found

    @property
    def row(self) -> Row:
        return {"method": self.method, **self.setting}


def entries(only: Sequence[str]) -> list[Entry]:
    """The methods but the controls, each known-good setting once; all of them where `only` is empty."""
    chosen = [name for name in METHODS if (name in only or not only) and name not in ("random", "dense")]
    return [Entry(method=name, setting=row) for name in chosen for row in METHODS[name].known_good]


def level(curve: Sequence[tuple[float, float]]) -> float:
    """Mean over SPARSITIES of the best accuracy among the points (sparsity, accuracy) that are at least so sparse.

    >>> round(level([(0.5, 1.0), (0.80, 0.9), (0.98, 0.5)]), 3)
    0.72
    """
    return mean(max((accuracy for sparsity, accuracy in curve if sparsity >= least), default=0.0)
                for least in SPARSITIES)  # fmt: skip


def outcome(row: Row, seed: int) -> Outcome:
    """Runs one trial on one thread."""
    import torch

    from sparsweep.trainables.attempt import run_trial
    from sparsweep.trainables.record import TrialFolder
    from sparsweep.trainables.tasks import Task
    from sparsweep.trainables.trial import TrialPlan

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    plan = TrialPlan(
        number=0, setting=row, seed=seed, task=Task(network="lenet-digits", data="digits"),
        fixed={"epochs": EPOCHS, "cuts": CUTS},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        record = run_trial(plan, TrialFolder(Path(folder) / "00000"), debug=True)
    points = {point.cut: point for point in record.points}
    own = points.get("own") or points["dense"]
    return Outcome(
        own_sparsity=own.sparsity, own_accuracy=own.accuracy, tuned_accuracy=points.get("own-tuned", own).accuracy,
        level=level([(point.sparsity, point.accuracy) for point in record.points]),
    )  # fmt: skip


Key = tuple[tuple[tuple[str, object], ...], int]


def key(row: Row, seed: int) -> Key:
    return tuple(sorted(row.items())), seed


def outcomes(wanted: Sequence[Entry], seeds: int, processes: int) -> dict[Key, Outcome]:
    """Every trial once, whoever asks for it."""
    rows = {key(row, seed): (row, seed) for entry in wanted for row in (entry.row, *entry.controls().values())
            for seed in range(seeds)}  # fmt: skip
    found: dict[Key, Outcome] = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = {at: pool.submit(outcome, *job) for at, job in rows.items()}
        for done, (at, future) in enumerate(futures.items(), 1):
            found[at] = future.result()
            print(f"\r… {done} of {len(futures)} trials", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def line_of(entry: Entry, found: Mapping[Key, Outcome], seeds: int) -> tuple[str, ...]:
    """The entry's line under HEADERS."""
    controls = entry.controls()
    mine = [found[key(entry.row, seed)] for seed in range(seeds)]
    of = {name: [found[key(row, seed)] for seed in range(seeds)] for name, row in controls.items()}
    below = [100 * (d.own_accuracy - m.own_accuracy) for d, m in zip(of["dense"], mine, strict=True)]
    tuned = [100 * (d.own_accuracy - m.tuned_accuracy) for d, m in zip(of["dense"], mine, strict=True)]

    def against(name: str) -> str:
        if name not in of or controls[name] == entry.row:
            return ""
        pair = Paired.of([m.level for m in mine], [c.level for c in of[name]])
        return f"{pair.mean:+.4f} ± {pair.standard_error:.4f} ({pair.wins}/{pair.count})"

    levels = [m.level for m in mine]
    name = f"{entry.method} (recovery)" if entry.setting.get("recovery") else entry.method
    return (
        name, entry.granularity, f"{mean(m.own_sparsity for m in mine):.3f}",
        f"{mean(below):.1f} ({mean(tuned):.1f})",
        f"{mean(levels):.4f} ± {stdev(levels):.4f}", against("random"), against("magnitude"), against("ablation"),
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, prints, keeps the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="2 or more")
    parser.add_argument("--only", default="", help="methods, separated by commas")
    parser.add_argument("--processes", type=int, default=2)
    o = parser.parse_args(arguments)
    only = [name for name in o.only.split(",") if name]
    found_on, wanted = machine(), entries(only)
    found = outcomes(wanted, o.seeds, o.processes)
    lines = [line_of(entry, found, o.seeds) for entry in wanted]
    print(lines_as_text(HEADERS, lines, left=2))
    if not only and o.seeds >= 5:
        RESULTS.parent.mkdir(exist_ok=True)
        command = f"python -m tests.benchmarks.methods --seeds {o.seeds}"
        RESULTS.write_text(as_markdown("Methods", command, found_on, HEADERS, lines, REMARKS))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Schedules of cuts and of the rate, regrowth, setting out from the own cut, and cutting silent units first, against
the geometric descent without them, each from the same trained networks of digits.

    python -m tests.benchmarks.descents [--seeds 5] [--epochs 20] [--cuts 16,6] [--table FILE]

A setting and seed is trained once; every arm goes down from that network, so arms are paired to the bit. Worth of a
curve: hypervolume above (0, 0) of validation accuracy x share of multiply-adds removed, executed ones of filters and
ideal ones of weights. A run with a table goes on where one was stopped. No target: what comes out is written down. The
page is kept only of five seeds or more.
"""

import argparse
import copy
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sparsweep.spaces.space import Row, Value
from tests.benchmarks.machine import machine
from tests.benchmarks.paired import Paired
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS = Path(__file__).with_name("results") / "descents.md"
ARMS: Mapping[str, Mapping[str, Value]] = {
    "geometric": {},
    "macs": {"cut_schedule": "macs"},
    "scores": {"cut_schedule": "scores"},
    "adaptive": {"cut_schedule": "adaptive"},
    "regrowth 0.1": {"regrowth": 0.1},
    "regrowth 0.3": {"regrowth": 0.3},
    "from own": {"descent_from": "own"},
    "silent first": {"silent_first": True},
    "cosine": {"schedule": "cosine"},
    "warmup": {"schedule": "warmup_cosine"},
}
"""The first is the reference."""
SETTINGS: Mapping[str, tuple[Row, ...]] = {
    "filter": (
        {"method": "gasl", "granularity": "filter", "sparsity_strength": 3e-3, "threshold": 3e-2,
         "attention_strength": 1e-3, "learning_rate": 5e-3},
        {"method": "magnitude", "granularity": "filter", "final_sparsity": 0.0, "learning_rate": 5e-3},
    ),
    "weight": (
        {"method": "gasl", "granularity": "weight", "sparsity_strength": 1e-4, "threshold": 1e-2,
         "attention_strength": 0.0, "learning_rate": 5e-3},
        {"method": "magnitude", "granularity": "weight", "final_sparsity": 0.7, "learning_rate": 5e-3},
    ),
}  # fmt: skip
"""Known-good ones or near them, by what is cut."""
AXES = {"filter": "macs_removed", "weight": "macs_ideal_removed"}
HEADERS = ("prunes", "cuts", "descent", "curves", "hypervolume", "± over seeds", "- geometric", "95 % interval",
           "ahead", "CPU seconds")  # fmt: skip
REMARKS = (
    "hypervolume: of a trial's own curve, mean; ± over seeds: standard deviation over seeds of the mean over settings.",
    "- geometric: paired differences from the same trained networks, a seed's mean over its settings counting once, "
    "with Student's 95 % interval over seeds; ahead: curves that were better.",
    "CPU seconds: of the descent alone, on one thread, mean.",
)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What one descent came to."""

    worth: float
    cpu_seconds: float
    """Of the descent alone."""


def descents_of(row: Row, seed: int, options: Mapping[str, Value], folder: Path) -> dict[str, Curve]:
    """Every arm from one training."""
    import torch

    from sparsweep.search.curve import headline
    from sparsweep.trainables.tasks import Task
    from sparsweep.trainables.trial import Trial, TrialPlan

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    trained: dict[str, Any] | None = None
    found = {}
    for arm, more in ARMS.items():
        plan = TrialPlan(
            number=0, setting=row, seed=seed, task=Task(network="lenet-digits", data="digits"),
            fixed={**options, **more},
        )  # fmt: skip
        trial = Trial.start(plan, folder)
        if trained is None:
            while trial.phase == "train":
                trial.advance()
            trained = copy.deepcopy(trial.state())
        else:
            trial.load_state(copy.deepcopy(trained))
        began = time.process_time()
        while trial.advance():
            pass
        spent = time.process_time() - began
        worth = headline(trial.points, (AXES[str(row["granularity"])],))
        found[arm] = Curve(worth=worth, cpu_seconds=spent)
    return found


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of their mean; two of them or more.

    >>> [round(end, 2) for end in interval([1.0, 2.0, 3.0])]
    [-0.48, 4.48]
    """
    from scipy.stats import t

    half = float(t.ppf(0.975, len(differences) - 1)) * stdev(differences) / sqrt(len(differences))
    return mean(differences) - half, mean(differences) + half


def lines_of(prunes: str, cuts: int, found: Sequence[Sequence[Mapping[str, Curve]]]) -> list[tuple[str, ...]]:
    """A line an arm under HEADERS; `found` has per seed and setting the curves by arm."""
    lines, reference = [], next(iter(ARMS))
    for arm in ARMS:
        curves = [each[arm] for seed in found for each in seed]
        by_seed = [mean(each[arm].worth for each in seed) for seed in found]
        against = ("", "", "")
        if arm != reference:
            pair = Paired.of([c.worth for c in curves], [each[reference].worth for seed in found for each in seed])
            low, high = interval([
                ours - mean(each[reference].worth for each in seed) for ours, seed in zip(by_seed, found, strict=True)
            ])  # fmt: skip
            against = (f"{pair.mean:+.4f}", f"{low:+.4f} … {high:+.4f}", f"{pair.wins}/{pair.count}")
        lines.append((
            prunes, str(cuts), arm, str(len(curves)), f"{mean(c.worth for c in curves):.4f}", f"{stdev(by_seed):.4f}",
            *against, f"{mean(c.cpu_seconds for c in curves):.1f}",
        ))  # fmt: skip
    return lines


def curves_of(prunes: str, seed: int, fixed: Mapping[str, Value], table: Path | None) -> list[dict[str, Curve]]:
    """By setting, what every arm came to; out of the table where it stands there, else run and added."""
    known: dict[str, Any] = json.loads(table.read_text()) if table is not None and table.exists() else {}
    found = []
    for row in SETTINGS[prunes]:
        name = json.dumps([row, seed, fixed], sort_keys=True)
        if known.get(name, {}).keys() != ARMS.keys():
            say(f"{row['method']}, {prunes}, seed {seed}, {fixed}")
            with tempfile.TemporaryDirectory() as folder:
                curves = descents_of(row, seed, fixed, Path(folder))
            known[name] = {arm: asdict(curve) for arm, curve in curves.items()}
            if table is not None:
                table.write_text(json.dumps(known))
        found.append({arm: Curve(**curve) for arm, curve in known[name].items()})
    return found


def say(text: str) -> None:
    """One line about what is being run."""
    print(f"… {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, prints, keeps the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="2 or more")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--cuts", default="16,6", help="of a descent; several, separated by commas")
    parser.add_argument("--table", type=Path, help="where curves are kept, JSON")
    o = parser.parse_args(arguments)
    found_on, lines = machine(), []
    for cuts in map(int, o.cuts.split(",")):
        fixed = {"epochs": o.epochs, "cuts": cuts}
        found = [{prunes: curves_of(prunes, seed, fixed, o.table) for prunes in SETTINGS} for seed in range(o.seeds)]
        for prunes in SETTINGS:
            lines += lines_of(prunes, cuts, [seed[prunes] for seed in found])
    print(lines_as_text(HEADERS, lines, left=3))
    if o.seeds >= 5:
        command = f"python -m tests.benchmarks.descents --seeds {o.seeds} --epochs {o.epochs} --cuts {o.cuts}"
        RESULTS.write_text(as_markdown("Descents", command, found_on, HEADERS, lines, REMARKS))
    return 0


if __name__ == "__main__":
    sys.exit(main())

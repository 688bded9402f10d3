"""How good a sweep of the digits is over several seeds, and whether gasl beats cutting at random.

    python -m tests.benchmarks.digits_hypervolume [--seeds 5] [--trials 24] [--pairs 10]

Hypervolume: validation accuracy x share of MACs removed, reference 0, 0. Exit code 1 if the median over the seeds is
below 0.97, or if gasl does not win the mean over pairs of single descents. The page of results is kept only of five
seeds and five pairs or more.
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

from tests.benchmarks.machine import machine, quiet_environment, root
from tests.benchmarks.paired import Paired
from tests.benchmarks.verdict import as_markdown, lines_as_text
from tests.benchmarks.watched_sweep import sparsweep

RESULTS = Path(__file__).with_name("results") / "digits-hypervolume.md"
TARGET = 0.97
METHOD, CONTROL = "gasl", "random"
HEADERS = ("seed", "sweep", "seconds", METHOD, CONTROL, "difference")
REMARKS = (
    "sweep: hypervolume of `sparsweep run digits --seed S`; seconds: from prompt to prompt.",
    f"{METHOD} and {CONTROL}: one descent each (20 epochs, 16 cuts, one fine-tuning epoch a cut) at the method's own "
    "known-good setting (filters); the same seed means the same split, first weights and order of batches.",
)


@dataclass(frozen=True, kw_only=True)
class Swept:
    """A sweep's outcome."""

    hypervolume: float
    wall_s: float


def swept(seed: int, trials: int) -> Swept:
    """Runs the preset with this seed in a home of its own. Raises RuntimeError with its output if it fails."""
    with tempfile.TemporaryDirectory(prefix="hypervolume-") as home:
        began = time.perf_counter()
        _sparsweep(home, "run", "digits", "--seed", str(seed), "--trials", str(trials))
        wall_s = time.perf_counter() - began
        frontier = json.loads(_sparsweep(home, "frontier", "digits", "--json"))
    return Swept(hypervolume=frontier["hypervolume_macs"]["value"], wall_s=wall_s)


def _sparsweep(home: str, *arguments: str) -> str:
    environment = quiet_environment(SPARSWEEP_HOME=home)
    ended = subprocess.run(
        [sparsweep(), *arguments], cwd=root(), env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(f"sparsweep {arguments[0]} ended with {ended.returncode}:\n{ended.stderr[-3000:]}")
    return ended.stdout


def descent(method: str, seed: int) -> float:
    """Hypervolume of one descent of the preset's trial at the method's first known-good setting, which cuts filters."""
    from sparsweep.search.catalogue import catalogue
    from sparsweep.search.curve import headline
    from sparsweep.spaces.load import load_sweep
    from sparsweep.trainables.attempt import run_trial
    from sparsweep.trainables.methods import METHODS
    from sparsweep.trainables.record import TrialFolder
    from sparsweep.trainables.tasks import Task
    from sparsweep.trainables.trial import TrialPlan

    sweep = load_sweep("digits", catalogue())
    plan = TrialPlan(
        number=0, setting={**METHODS[method].known_good[0], "method": method}, seed=seed,
        task=Task(network=sweep.task.network, data=sweep.task.data),
        fixed={"epochs": sweep.budget.epochs, **sweep.trial},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        record = run_trial(plan, TrialFolder(Path(folder) / "00000"), debug=True)
    return float(headline(record.points, ("macs_removed",)))


def descents(pairs: int) -> list[tuple[float, float]]:
    """Pairs (gasl, random) by seed, on one thread."""
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    found = []
    for seed in range(pairs):
        say(f"descents of seed {seed}")
        found.append((descent(METHOD, seed), descent(CONTROL, seed)))
    return found


def lines_of(sweeps: Sequence[Swept], pairs: Sequence[tuple[float, float]]) -> list[tuple[str, ...]]:
    """A line a seed under HEADERS; empty where there were fewer sweeps than pairs, or the other way round."""
    lines: list[tuple[str, ...]] = []
    for seed in range(max(len(sweeps), len(pairs))):
        of_sweep = (f"{sweeps[seed].hypervolume:.4f}", f"{sweeps[seed].wall_s:.0f}") if seed < len(sweeps) else ("", "")
        ours, control = pairs[seed] if seed < len(pairs) else (None, None)
        of_pair = ("", "", "") if ours is None or control is None else (
            f"{ours:.4f}", f"{control:.4f}", f"{ours - control:+.4f}"
        )  # fmt: skip
        lines.append((str(seed), *of_sweep, *of_pair))
    return lines


def verdicts(sweeps: Sequence[Swept], paired: Paired) -> tuple[tuple[str, bool], ...]:
    """Each target in words, and whether it is met."""
    middle = median(run.hypervolume for run in sweeps)
    return (
        (f"median hypervolume over {len(sweeps)} seeds: {middle:.4f}, target ≥ {TARGET}", middle >= TARGET),
        (
            f"{METHOD} - {CONTROL}: mean {paired.mean:+.4f} ± {paired.standard_error:.4f} (standard error), "
            f"{METHOD} ahead in {paired.wins} of {paired.count}, one-sided sign test p = {paired.p_value:.4f}, "
            "target: mean > 0",
            paired.mean > 0,
        ),
    )


def say(text: str) -> None:
    """One line about what is being run."""
    print(f"… {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, prints, keeps the page; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="sweeps, of seeds 0, 1, ...")
    parser.add_argument("--trials", type=int, default=24, help="trials a sweep")
    parser.add_argument("--pairs", type=int, default=10, help="pairs of single descents, of seeds 0, 1, ...")
    o = parser.parse_args(arguments)
    found_on, sweeps = machine(), []
    for seed in range(o.seeds):
        say(f"sparsweep run digits --seed {seed}")
        sweeps.append(swept(seed, o.trials))
    pairs = descents(o.pairs)
    judged = verdicts(sweeps, Paired.of([a for a, _ in pairs], [b for _, b in pairs]))
    said = [f"{text}: {'met' if met else 'MISSED'}" for text, met in judged]
    lines = lines_of(sweeps, pairs)
    print("\n".join([lines_as_text(HEADERS, lines), "", *said]))
    command = f"python -m tests.benchmarks.digits_hypervolume --seeds {o.seeds} --trials {o.trials} --pairs {o.pairs}"
    if min(o.seeds, o.pairs) >= 5:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(as_markdown("Digits", command, found_on, HEADERS, lines, [*said, *REMARKS]))
    return int(not all(met for _, met in judged))


if __name__ == "__main__":
    sys.exit(main())

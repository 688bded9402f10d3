"""What running trials on Ray costs by itself: trials that do nothing, ours beside a bare Ray trainable with reuse.

    python -m tests.benchmarks.orchestration [--trials 10000] [--rounds 2]

Turn and turn about in one run, each in a process of its own; exit code 1 if ours takes more than 1.3 times as long.
Ours is `run_trials`, which every sweep runs its trials by, fed by a source that has its plans ready: what a sweep does
beside it (proposals, records, MLflow) is measured by `tests.benchmarks.overhead`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.machine import machine, pace_ms, quiet_environment, root
from tests.benchmarks.verdict import as_markdown, lines_as_text, number

RESULTS = Path(__file__).with_name("results") / "orchestration.md"
HEADERS = ("round", "trials", "ours, ms a trial", "bare Ray, ms a trial", "times", "target", "")
LIMIT = 1.3
FEWEST = 10_000
"""Trials of a run whose page is kept."""
WARM_UP = 10
"""Trials that are left out at the beginning: Ray's processes begin meanwhile."""
REMARKS = (
    "From the start of the eleventh trial to the last one's end, by the trials' own clocks: how long Ray and its "
    "processes take to begin is another matter.",
    "Ours: `search.with_ray.run_trials`, with a plan of a whole setting for every trial and a trainable whose step "
    "does nothing. Bare Ray: a class trainable with actor reuse whose step does nothing, one number drawn a trial, no "
    "loggers, as many pending trials as slots.",
    "Both leave Tune's own experiment snapshot out: ours needs none.",
)


def ours(trials: int) -> dict[str, Any]:
    """So many trials on all processors of this machine; when each began and ended, in ms."""
    from sparsweep.search import with_ray
    from sparsweep.search.with_ray.trials import PruningTrainable
    from sparsweep.trainables.death import Death
    from sparsweep.trainables.tasks import Task
    from sparsweep.trainables.trial import TrialPlan

    class Nothing(PruningTrainable):
        def step(self) -> dict[str, Any]:
            began_ms = 1e3 * time.time()
            return {"done": True, "started_ms": began_ms, "ended_ms": 1e3 * time.time()}

    setting = {
        "method": "gasl", "granularity": "filter", "proximal": False, "sparsity_strength": 1e-3, "threshold": 0.01,
        "attention_strength": 1e-3, "learning_rate": 1e-3, "finetune_learning_rate": 1e-3,
    }  # fmt: skip

    class Plans:
        def __init__(self) -> None:
            self.began_ms: list[float] = []
            self.ended_ms: list[float] = []
            self.given = 0

        def next(self) -> TrialPlan | None:
            if self.exhausted():
                return None
            self.given += 1
            return TrialPlan(
                number=self.given, seed=self.given, setting=setting, fixed={"epochs": 10},
                task=Task(network="lenet-digits", data="digits"),
            )  # fmt: skip

        def exhausted(self) -> bool:
            return self.given == trials

        def began(self, number: int) -> None:
            self.began_ms.append(1e3 * time.time())

        def ended(self, number: int, death: Death | None = None) -> None:
            assert death is None
            self.ended_ms.append(1e3 * time.time())

    slots, plans = with_ray.Slots(cpu=1, gpu=0, address=None), Plans()
    with tempfile.TemporaryDirectory(prefix="orchestration-") as folder:
        with_ray.start(slots)
        count = with_ray.slot_count(slots)
        with_ray.run_trials(
            plans, slots, lambda number: Path(folder) / f"{number:05d}", Path(folder) / "ray", threading.Event(),
            room=lambda at_work: at_work < count, trainable=Nothing,
        )  # fmt: skip
        with_ray.shut_down()
    return {"trials": [{"started_ms": b, "ended_ms": e} for b, e in zip(plans.began_ms, plans.ended_ms, strict=True)]}


def took_ms(trials: Sequence[dict[str, float]]) -> float:
    """Milliseconds a trial, without the first ones."""
    began = sorted(trial["started_ms"] for trial in trials)[WARM_UP]
    return (max(trial["ended_ms"] for trial in trials) - began) / (len(trials) - WARM_UP)


def run(module: str, *options: str) -> Any:
    """What a module of this folder prints as JSON on its last line. Raises RuntimeError with its output if it fails."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *options]
    environment = quiet_environment(TUNE_GLOBAL_CHECKPOINT_S="100000")
    done = subprocess.run(command, cwd=root(), env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, and keeps the page where everything was asked for; 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=FEWEST)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ours", action="store_true", help="only ours, as JSON: a part of this benchmark's own")
    o = parser.parse_args(arguments)
    if o.ours:
        print(json.dumps(ours(o.trials)))
        return 0
    where, pace = {**machine(), "pace": f"{pace_ms():.0f} ms"}, []
    lines: list[tuple[str, ...]] = []
    for at in range(o.rounds):
        print(f"… round {at + 1} of {o.rounds}", file=sys.stderr, flush=True)
        mine = took_ms(run("orchestration", "--ours", "--trials", str(o.trials))["trials"])
        (bare,) = run("bare_ray", "--trials", str(o.trials), "--work-ms", "0")
        theirs = took_ms(bare["trials"])
        pace.append(mine / theirs)
        lines.append((str(at + 1), str(o.trials), *map(number, (mine, theirs, mine / theirs)), "", ""))
    missed = median(pace) > LIMIT
    lines.append(("median", "", "", "", number(median(pace)), f"≤ {LIMIT}", "MISSED" if missed else "met"))
    print(lines_as_text(HEADERS, lines, left=1))
    if o.trials >= FEWEST and o.rounds > 1:
        command = f"python -m tests.benchmarks.orchestration --trials {o.trials} --rounds {o.rounds}"
        RESULTS.write_text(as_markdown("Orchestration", command, where, HEADERS, lines, REMARKS))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

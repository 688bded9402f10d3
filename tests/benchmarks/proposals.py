"""How long a proposal takes, and telling its outcome, beside Optuna's own TPE in the same run and on the same study.

    python -m tests.benchmarks.proposals [--rows 1000,10000] [--turns 30] [--samplers auto,tpe,nsga2,random,gp]

A study in SQLite is filled with finished trials of GASL's default space, one objective or three; 16 more are being
tried. Each turn asks for a proposal, writes it down, and tells an outcome. "plain" is Optuna's TPESampler over the same
database as an ask-and-tell script has it. Exit code 1 if the median of `auto`'s proposals is above 50 ms.
"""

import argparse
import math
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median, quantiles

import optuna
from optuna.distributions import distribution_to_json
from optuna.samplers import TPESampler

from sparsweep.search.catalogue import catalogue
from sparsweep.search.with_optuna import Outcome, Study, open_storage
from sparsweep.search.with_optuna.rows import distributions, parameters, suggest
from sparsweep.spaces.draw import row_at
from sparsweep.spaces.space import Row, Space
from tests.benchmarks.machine import machine
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS = Path(__file__).with_name("results") / "proposals.md"
HEADERS = ("objectives", "told trials", "sampler", "proposals", "median", "95 %", "CPU", "tell", "start", "")
TARGET_MS = 50
RUNNING = 16
SAMPLERS = ("auto", "tpe")
SHORT = 5
"""One turn in so many is also the plain study's."""

Turn = Callable[[], tuple[float, float, float]]
"""Seconds of one proposal, of the processor in it, and of telling its outcome."""
NAME = "filled"


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One line of the table; times in ms."""

    objectives: int
    rows: int
    sampler: str
    asks: Sequence[float]
    processor: Sequence[float]
    """Of the proposals; what neighbours take away is not in it."""
    tells: Sequence[float]
    start_s: float

    @property
    def high(self) -> float:
        """The 95th percentile of the proposals."""
        return quantiles(self.asks, n=20)[-1] if len(self.asks) > 1 else self.asks[0]

    @property
    def missed(self) -> bool:
        return self.sampler == "auto" and median(self.asks) > TARGET_MS

    def cells(self) -> tuple[str, ...]:
        """As they stand under HEADERS."""
        verdict = "" if self.sampler != "auto" else "MISSED" if self.missed else "met"
        times = (median(self.asks), self.high, median(self.processor), median(self.tells))
        return (
            str(self.objectives), str(self.rows), self.sampler, str(len(self.asks)),
            *(f"{each:.1f} ms" for each in times), f"{self.start_s:.1f} s", verdict,
        )  # fmt: skip


def rows_with_values(space: Space, count: int, objectives: int) -> Iterator[tuple[Row, tuple[float, ...]]]:
    """Rows at random; their values fall with the distance from one place of the space for each objective."""
    chance = Random(0)
    for _ in range(count):
        shares: list[float] = []

        def share(column: str, seen: list[float] = shares) -> float:
            seen.append(chance.random())
            return seen[-1]

        row = row_at(space, share)
        places = [0.3 + 0.4 * at / max(objectives - 1, 1) for at in range(objectives)]
        values = [math.exp(-sum((each - place) ** 2 for each in shares)) for place in places]
        yield row, tuple(value + chance.gauss(0, 0.02) for value in values)


def fill(path: Path, space: Space, rows: int, objectives: int) -> None:
    """A study with so many finished trials, and some that are being tried; by Optuna it would take minutes."""
    storage = open_storage(f"sqlite:///{path}")
    optuna.create_study(storage=storage, study_name=NAME, directions=["maximize"] * objectives)
    storage.remove_session()
    allowed, stamp = distributions(space), "2026-01-01 00:00:00.000000"
    as_json = {name: distribution_to_json(each) for name, each in allowed.items()}
    with closing(sqlite3.connect(path)) as database, database:
        for at, (row, values) in enumerate(rows_with_values(space, rows + RUNNING, objectives)):
            done = at < rows
            trial = (at + 1, at, 1, "COMPLETE" if done else "RUNNING", stamp, stamp if done else None)
            database.execute("INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)"
                             " VALUES (?, ?, ?, ?, ?, ?)", trial)  # fmt: skip
            found = parameters(space, row)
            database.executemany(
                "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)",
                [(at + 1, n, allowed[n].to_internal_repr(value), as_json[n]) for n, value in found.items()],
            )
            database.executemany(
                "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, ?, ?, 'FINITE')",
                [(at + 1, objective, value) for objective, value in enumerate(values) if done],
            )


def plain(url: str, space: Space, objectives: int) -> Turn:
    """Optuna's own: ask, suggest, tell on the database."""
    sampler = TPESampler(seed=0, multivariate=True, group=True, constant_liar=True)
    study = optuna.load_study(study_name=NAME, storage=open_storage(url), sampler=sampler)

    def turn() -> tuple[float, float, float]:
        began, processor = time.perf_counter(), time.process_time()
        trial = study.ask()
        space.row(lambda label, allowed: suggest(trial, label, allowed))
        asked, processor = time.perf_counter(), time.process_time() - processor
        study.tell(trial, [0.5] * objectives)
        return asked - began, processor, time.perf_counter() - asked

    return turn


def ours(url: str, space: Space, objectives: int, sampler: str) -> Turn:
    """The sweep's study."""
    names = [f"objective_{at}" for at in range(objectives)]
    study = Study.open(open_storage(url), NAME, space, sampler=sampler, seed=0, objectives=names, say=say)
    study.proposed()  # reads it

    def turn() -> tuple[float, float, float]:
        began, processor = time.perf_counter(), time.process_time()
        number, _ = study.ask()
        asked, processor = time.perf_counter(), time.process_time() - processor
        study.tell(Outcome(number=number, values=(0.5,) * objectives, attributes={}, violations={}))
        return asked - began, processor, time.perf_counter() - asked

    return turn


def timed(folder: Path, space: Space, rows: int, objectives: int, turns: int, samplers: Sequence[str]) -> list[Timed]:
    """All samplers turn about, so that a slow moment of the machine meets all of them."""
    say(f"{rows} trials, {objectives} objectives")
    urls = {name: f"sqlite:///{folder / f'{name}-{rows}-{objectives}.db'}" for name in ("plain", *samplers)}
    first = folder / f"plain-{rows}-{objectives}.db"
    fill(first, space, rows, objectives)
    for name in samplers:
        (folder / f"{name}-{rows}-{objectives}.db").write_bytes(first.read_bytes())
    made: dict[str, Turn] = {}
    starts: dict[str, float] = {}
    for name, url in urls.items():
        began = time.perf_counter()
        made[name] = plain(url, space, objectives) if name == "plain" else ours(url, space, objectives, name)
        starts[name] = time.perf_counter() - began
    spent: dict[str, list[tuple[float, float, float]]] = {name: [] for name in made}
    for name in made:
        made[name]()  # the first one imports and caches
    for at in range(turns):
        for name, turn in made.items():
            if name != "plain" or at % SHORT == 0:
                spent[name].append(turn())
    return [
        Timed(objectives=objectives, rows=rows, sampler=name, asks=[1e3 * ask for ask, _, _ in times],
              processor=[1e3 * each for _, each, _ in times], tells=[1e3 * tell for _, _, tell in times],
              start_s=starts[name])
        for name, times in spent.items()
    ]  # fmt: skip


def say(text: str) -> None:
    """One line about what is being run."""
    print(f"… {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, and keeps the page where everything was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1000,10000", help="told trials")
    parser.add_argument("--samplers", default=",".join(SAMPLERS), help="beside plain")
    parser.add_argument("--turns", type=int, default=30)
    o = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    where, space = machine(), catalogue().entry("gasl").space
    found: list[Timed] = []
    with tempfile.TemporaryDirectory(prefix="proposals-") as name:
        for rows in map(int, o.rows.split(",")):
            for objectives in (1, 3):
                found += timed(Path(name), space, rows, objectives, o.turns, o.samplers.split(","))
                print(lines_as_text(HEADERS, [each.cells() for each in found], left=3), flush=True)
    lines = [each.cells() for each in found]
    remarks = (
        f"GASL's default space, {len(space.knobs)} ranges, some of them conditional; {RUNNING} trials are being tried.",
        "A proposal: asked of the sampler and written into SQLite. CPU: processor time of it, median. Tell: its outcome"
        " written. Start: the study read.",
        "plain: Optuna's TPESampler (multivariate, group, constant liar) with ask and tell on the same database.",
        f"Target: the median of auto's proposals is at most {TARGET_MS} ms at any number of trials.",
    )
    if o.rows == parser.get_default("rows"):
        command = "python -m tests.benchmarks.proposals"
        RESULTS.write_text(as_markdown("What a proposal takes", command, where, HEADERS, lines, remarks))
    return int(any(each.missed for each in found))


if __name__ == "__main__":
    sys.exit(main())

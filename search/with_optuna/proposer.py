"""The next row of a sweep: from a sampler, and without one where it fails or repeats itself.

| sampler | proposes |
|---|---|
| `auto` | near the best until ten rows have an outcome, then as `tpe`, from the newest and the best past rows only |
| `tpe` | tree-structured Parzen estimator over all past rows; conditions are its own business |
| `gp` | Gaussian process; at its best with few trials, slow past some hundred |
| `nsga2` | genetic, for thousands of trials |
| `random` | evenly in the space, range by range |

`auto` begins near the best row that has an outcome, or before that near the first one that is known to be good; with
neither, or with several values a row, of which none is best, its rows are quasi-random. On recorded trials (40 seeds,
two slots) the front is larger with rows near the best than with quasi-random ones, by 0.0035 ± 0.0011 after 8 trials
and 0.0015 ± 0.0007 after 40; with `descent: none` it is smaller, by 0.054 ± 0.018 after 8
(`python -m tests.benchmarks.simulation.first_trials`).

`gp` and `nsga2` know no conditions: they see every parameter in every row, and those that do not apply are ignored.

`auto` does not hand over to `nsga2`. From the same 400 rows on, on recorded trials, 200 more of NSGA-II (the best 50 as
its first generation) were worth 0.011 ± 0.017 more than 200 of capped TPE (better with 4 of 5 seeds), the front
0.0003 ± 0.0004 (2 of 5): no difference that can be told. More rows, and `descent: none`, were not compared
(`python -m tests.benchmarks.simulation.late_samplers`).
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any

import optuna

from sparsweep.search.with_optuna.memory import Memory
from sparsweep.search.with_optuna.near import near
from sparsweep.search.with_optuna.tpe import GroupedTPESampler
from sparsweep.spaces.draw import columns, every_row, key_of, random_row, row_at
from sparsweep.spaces.space import Row, Space

FLAT = ("gp", "nsga2")
START = 10
"""Rows with an outcome before a model of them says more than evenly spread ones do; Optuna's own number for TPE."""
MOST_ROWS = {"one": 400, "several": 300}
"""How many finished rows `auto` keeps, with one objective and with several. With one, TPE takes the best 25 at most for
good ones, and these are always kept: it sees them as it would with the whole history, and the others more coarsely."""
REDRAWS = 4
"""How often a sampler is asked again where it repeats a row."""
RANDOM_DRAWS = 100
"""How many rows are drawn at random for a new one before what is left of the space is counted out."""
MOST_COUNTED = 100_000


@dataclass(frozen=True, kw_only=True)
class Told:
    """A row with its outcome; without values it failed, or is being tried."""

    row: Row
    values: tuple[float, ...] | None
    violations: Mapping[str, float]


class Proposer:
    """Proposes rows of a space and learns their outcomes. The same seed and outcomes give the same rows."""

    def __init__(
        self, space: Space, *, sampler: str, seed: int, begun: int, objectives: int, say: Callable[[str], None]
    ) -> None:
        """Nothing is learned yet.

        Args:
            seed: of the whole sweep.
            begun: rows that were proposed before this process; its draws differ from theirs.
            objectives: how many values an outcome has.
            say: takes what the user should know, each once.
        """
        self.space, self.name, self.seed, self.objectives, self.say = space, sampler, seed, objectives, say
        self.sampler = sampler_named(sampler, (seed + 7919 * begun) % 2**32)
        self.good: Sequence[Row] = ()
        """Rows of which something good is known before any has an outcome, the best first."""
        self._said: set[str] = set()
        self.relearn(())

    def relearn(self, earlier: Iterable[Told]) -> None:
        """Forgets all rows and begins with those of an earlier sweep, which may be proposed again."""
        most = MOST_ROWS["one" if self.objectives == 1 else "several"] if self.name == "auto" else None
        self.memory = Memory(
            self.space, self.sampler, self.objectives, flat=self.name in FLAT, most_rows=most
        )  # fmt: skip
        self._places: dict[int, int] = {}
        self._tried: set[object] = set()
        self._spent = 0
        """Places of the quasi-random sequence that an earlier sweep may have taken."""
        for told in earlier:
            self._spent += 1
            self.memory.end(self.memory.begin(told.row, {}), told.values, told.violations)

    def begin(self, number: int, row: Row, attributes: Mapping[str, Any]) -> None:
        """The row is being tried."""
        self._tried.add(key_of(row))
        if number not in self._places:
            self._places[number] = self.memory.begin(row, attributes)

    def end(
        self, number: int, values: Sequence[float] | None, violations: Mapping[str, float],
        reached: Mapping[int, tuple[float, ...]] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """The outcome of a row that was begun; `reached` by epoch where it was stopped."""
        if (place := self._places.pop(number, None)) is not None:
            self.memory.end(place, values, violations, reached)

    def next(self, number: int) -> tuple[Row, dict[str, Any]]:
        """A row that was not proposed before, while there is one; and what is to be kept with it."""
        for turn in range(1 + REDRAWS):
            row, attributes = self._draw(number, turn)
            if key_of(row) not in self._tried:
                return row, attributes
        return self._new(Random(f"{self.seed} {number} new")) or row, {}

    def _draw(self, number: int, turn: int) -> tuple[Row, dict[str, Any]]:
        """A row of the sampler's. One that raises costs this proposal, not the sweep."""
        if self.name == "auto" and turn == 0 and self.memory.finished < START:
            return self._early(number), {}
        try:
            return self.memory.propose()
        except Exception as fault:
            reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
            self._tell(
                "failed", f"the sampler {self.name} failed ({type(fault).__name__}: {reason}); where it does, a "
                "setting is drawn at random, and the sweep goes on"
            )  # fmt: skip
            return random_row(self.space, Random(f"{self.seed} {number} {turn}")), {}

    def _early(self, number: int) -> Row:
        """A row near the best so far, or near one that is known to be good; without either one far from all others."""
        best = (self.memory.best() or next(iter(self.good), None)) if self.objectives == 1 else None
        if best is None:
            return self._quasi_random(self._spent + number)
        return near(self.space, best, Random(f"{self.seed} {number} near"))

    def _quasi_random(self, place: int) -> Row:
        """The row at this place of a scrambled Sobol sequence over all columns of the space."""
        names = columns(self.space)
        from scipy.stats import qmc  # takes a second to import

        sequence = qmc.Sobol(len(names), scramble=True, rng=self.seed)
        if place:
            sequence.fast_forward(place)
        shares = dict(zip(names, map(float, sequence.random(1)[0]), strict=True))
        return row_at(self.space, shares.__getitem__)

    def _new(self, chance: Random) -> Row | None:
        """A row at random of those that were not tried; None where there is none, which is told."""
        if "exhausted" not in self._said:
            for _ in range(RANDOM_DRAWS):
                row = random_row(self.space, chance)
                if key_of(row) not in self._tried:
                    return row
            if left := self._left():
                return chance.choice(left)
            self._tell(
                "exhausted", f"all {len(self._tried)} settings of the space were tried; they are tried again, with "
                "other seeds: widen a range under space for new ones"
            )  # fmt: skip
        return None

    def _left(self) -> list[Row]:
        rows = every_row(self.space) or ()
        return [row for _, row in zip(range(MOST_COUNTED), rows, strict=False) if key_of(row) not in self._tried]

    def _tell(self, what: str, text: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self.say(text)


def sampler_named(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's sampler behind a sweep file's name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        if name == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed)
        if name == "gp":
            return optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)
        return GroupedTPESampler(seed=seed)

"""What a sampler learns from: rows and outcomes in memory, apart from the study in the database.

The study is the whole record of a sweep, numbered 0 to n - 1. A sampler needs less and other things: only so many rows
that a proposal stays quick, rows of an earlier sweep that are no trials of this one, and no database in between.
"""

import warnings
from collections.abc import Container, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sparsweep.search.dominance import non_dominated
from sparsweep.search.with_optuna.rows import all_parameters, distributions, parameters, row_of, suggest, suggest_all
from sparsweep.spaces.space import Row, Space

FIRST = 1 << 32
"""Number of the first row: beyond those that the trials get through which a sampler is asked."""
CONSTRAINT = "constraints:"
"""How Optuna's attribute of a constraint begins, as `Trial.set_constraint` writes it."""
SLACK = 1.2
"""By how much the rows may outgrow their limit before they are thinned out."""


class Memory(optuna.Study):  # type: ignore[misc]
    """A study whose trials are the rows that are remembered, in the order in which they came."""

    def __init__(self, space: Space, sampler: optuna.samplers.BaseSampler, objectives: int, *,
                 flat: bool = False, most_rows: int | None = None) -> None:  # fmt: skip
        """An empty memory.

        Args:
            sampler: proposes from what is remembered.
            objectives: how many values an outcome has, all maximised.
            flat: every row has every parameter, for samplers that cannot handle conditions.
            most_rows: finished rows that are kept: the newest half, and the best of the others.
        """
        storage = InMemoryStorage()
        name = optuna.create_study(storage=storage, directions=["maximize"] * objectives).study_name
        super().__init__(study_name=name, storage=storage, sampler=sampler)
        self.space, self.flat, self.most_rows = space, flat, most_rows
        self.allowed = distributions(space)
        self.rows: dict[int, FrozenTrial] = {}
        self.finished = 0
        """How many rows have an outcome."""
        self._next = FIRST

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        """What samplers read; they change nothing of it."""
        return [trial for trial in self.rows.values() if states is None or trial.state in states]

    def propose(self) -> tuple[Row, dict[str, Any]]:
        """A row of the sampler's, not yet remembered, and what the sampler wants to be kept with it."""
        trial_id = self._storage.create_new_trial(self._study_id)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            trial = optuna.Trial(self, trial_id)
            if self.flat:
                row = suggest_all(trial, self.space)
            else:
                row = self.space.row(lambda label, allowed: suggest(trial, label, allowed))
        kept = self._storage.get_trial(trial_id).system_attrs
        return row, {name: value for name, value in kept.items() if name.endswith(":generation")}

    def begin(self, row: Row, attributes: Mapping[str, Any]) -> int:
        """Remembers a row that is being tried; its place, for `end`."""
        place, self._next = self._next, self._next + 1
        found = all_parameters(self.space, row) if self.flat else parameters(self.space, row)
        trial = create_trial(
            state=TrialState.RUNNING, params=found, distributions={name: self.allowed[name] for name in found},
            system_attrs=dict(attributes),
        )  # fmt: skip
        trial.number = trial._trial_id = place
        self.rows[place] = trial
        return place

    def end(
        self, place: int, values: Sequence[float] | None, violations: Mapping[str, float],
        reached: Mapping[int, tuple[float, ...]] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """The row's outcome: values, or by epoch what it had reached when stopped; one with neither is forgotten."""
        if values is None and not reached:
            self.rows.pop(place, None)
            return
        trial = self.rows[place]
        trial.system_attrs.update({CONSTRAINT + name: violation for name, violation in violations.items()})
        self.finished += 1
        if values is None:
            trial.intermediate_values = {epoch: at[0] for epoch, at in reached.items() if len(at) == 1}
            trial.state = TrialState.PRUNED
        else:
            trial.values, trial.state = list(values), TrialState.COMPLETE
        if self.most_rows is not None and self.finished > SLACK * self.most_rows:
            self._thin_out(self.most_rows)

    def best(self) -> Row | None:
        """The best row with an outcome; None where none has one."""
        found = best_of([trial for trial in self.rows.values() if trial.state == TrialState.COMPLETE], 1)
        return row_of(self.space, self.rows[found[0]].params) if found else None

    def _thin_out(self, most: int) -> None:
        done = [trial for trial in self.rows.values() if trial.state != TrialState.RUNNING]
        old = done[: max(len(done) - most // 2, 0)]
        gone = {trial.number for trial in old} - set(best_of(old, most - most // 2))
        self.rows = {place: trial for place, trial in self.rows.items() if place not in gone}
        self.finished -= len(gone)


def best_of(trials: Sequence[FrozenTrial], most: int) -> list[int]:
    """Numbers of the best: front after front of what meets the constraints, then the rest by how little it misses.

    Those that were stopped come last, the newest first.
    """
    ranked: list[FrozenTrial] = []
    whole = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    left = [trial for trial in whole if missed(trial) == 0]
    if left and len(left[0].values) == 1:
        ranked, left = sorted(left, key=lambda trial: -trial.values[0]), []
    while left and len(ranked) < most:
        kept = non_dominated([trial.values for trial in left])
        front = [trial for trial, on in zip(left, kept, strict=True) if on]
        ranked += reversed(front)
        left = [trial for trial, on in zip(left, kept, strict=True) if not on]
    ranked += sorted((trial for trial in whole if missed(trial) > 0), key=missed)
    ranked += [trial for trial in reversed(trials) if trial.state != TrialState.COMPLETE]
    return [trial.number for trial in ranked[:most]]


def missed(trial: FrozenTrial) -> float:
    """By how much the constraints are missed in all; 0 where none is."""
    return float(sum(violation for violation in trial.constraints.values() if violation > 0))

"""The study in the database: every proposal of a sweep and what came of it, numbered 0 to n - 1.

It is written to and, but for the first time and after an outage, not read: what the sampler learns from lies in memory
(`memory.Memory`). The points go into a second study `NAME/points`, for optuna-dashboard.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from sparsweep.search.with_optuna.memory import CONSTRAINT
from sparsweep.search.with_optuna.proposer import Proposer, Told
from sparsweep.search.with_optuna.rows import distributions, parameters, row_of, suggest
from sparsweep.search.with_optuna.writing import add_trials, finish_trial
from sparsweep.spaces.space import Row, Space


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the study is told of one trial: values where it is done, a reason where it failed."""

    number: int
    values: tuple[float, ...] | None
    attributes: Mapping[str, Any]
    violations: Mapping[str, float]
    """Per constraint, how far it is missed; <= 0 where it is met. Every trial of a sweep has the same ones."""
    reached: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """Of a trial that was stopped: by epoch what it was judged by. It is told as pruned."""


@dataclass(kw_only=True)
class _Known:
    """The study as this process knows it: by number its state and Optuna's id."""

    states: dict[int, TrialState] = field(default_factory=dict)
    ids: dict[int, int] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    """Numbers that have a row but were not asked for."""

    def take(self, number: int, trial_id: int, state: TrialState) -> None:
        self.ids[number], self.states[number] = trial_id, state
        (self.waiting.add if state == TrialState.WAITING else self.waiting.discard)(number)


@dataclass(kw_only=True)
class Study:
    """Proposals and outcomes of one sweep."""

    study: optuna.Study
    space: Space
    proposer: Proposer
    earlier: Sequence[Told] = ()
    """Rows of an earlier sweep, which the sampler learns from."""
    _known: _Known | None = None
    """None before the study was read, and where the database may know more than this process."""

    @classmethod
    def open(
        cls, storage: optuna.storages.BaseStorage, name: str, space: Space, *, sampler: str, seed: int,
        objectives: Sequence[str], earlier: Sequence[Told] = (), say: Callable[[str], None] = lambda _: None,
    ) -> "Study":  # fmt: skip
        """Creates the sweep's study or goes on with it. All objectives are maximised.

        Args:
            sampler: a name of the sweep file's.
            seed: fixes the proposals.
            objectives: names of an outcome's values.
            earlier: rows that the sampler knows from the start.
            say: takes what the user should know, in one line.
        """
        study = optuna.create_study(
            storage=storage, study_name=name, directions=["maximize"] * len(objectives), load_if_exists=True
        )
        begun = len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.RandomSampler(seed=(seed + 7919 * begun) % 2**32)  # of rows cut short
        proposer = Proposer(space, sampler=sampler, seed=seed, begun=begun, objectives=len(objectives), say=say)
        if "sparsweep" not in study.user_attrs:
            study.set_metric_names(list(objectives))
            described = {"sampler": sampler, "class": type(proposer.sampler).__name__, "seed": seed}
            study.set_user_attr("sparsweep", {**described, "optuna": optuna.__version__})
        return cls(study=study, space=space, proposer=proposer, earlier=earlier)

    def claim(self, identity: Mapping[str, Any]) -> None:
        """Binds the study to what is searched. Raises ValueError where its name stands for another search here."""
        known = self.study.user_attrs.get("sweep")
        text = json.dumps(identity, sort_keys=True, default=str)
        if known is None:
            self.study.set_user_attr("sweep", text)
        elif known != text:
            raise ValueError(
                f"the study {self.study.study_name} in this database belongs to another search: give this one another "
                "--name, or another --study-storage"
            )

    def propose_first(self, rows: Iterable[Row]) -> None:
        """Settings, laid into the space, to be proposed before anything else; once a study, and none twice."""
        rows = [self.space.nearest(row) for row in rows]
        self.proposer.good = rows
        if self.study.get_trials(deepcopy=False):
            return
        with self._writing():
            for row in rows:
                self.study.enqueue_trial(parameters(self.space, row), skip_if_exists=True)
        self._known = None

    def ask(self) -> tuple[int, Row]:
        """The next proposal: its number and its row."""
        known = self._read()
        with self._writing():
            if known.waiting:
                trial = self.study.ask()
                number, trial_id = trial.number, trial._trial_id
                row: Row = self.space.row(lambda label, allowed: suggest(trial, label, allowed))
                attributes: dict[str, Any] = {}
            else:
                row, attributes = self.proposer.next(len(known.states))
                number, trial_id = self._add(row, attributes)
        known.take(number, trial_id, TrialState.RUNNING)
        self.proposer.begin(number, row, attributes)
        return number, row

    def unfinished(self) -> dict[int, Row]:
        """Rows that were proposed and have no outcome; a row cut short by a crash is completed."""
        known, rows = self._read(), {}
        for number in [number for number, state in known.states.items() if state == TrialState.RUNNING]:
            trial = optuna.Trial(self.study, known.ids[number])
            rows[number] = self.space.row(lambda label, allowed, t=trial: suggest(t, label, allowed))  # type: ignore[misc]
            self.proposer.begin(number, rows[number], {})
        return rows

    def proposed(self) -> int:
        """How many proposals were made, whatever became of them."""
        known = self._read()
        return len(known.states) - len(known.waiting)

    def tell(self, outcome: Outcome) -> None:
        """Tells a trial's outcome; told already counts as done."""
        known, number = self._read(), outcome.number
        if known.states[number].is_finished():
            return
        trial_id, storage = known.ids[number], self.study._storage
        state, values = _told_as(outcome)
        by_epoch = {str(epoch): list(reached) for epoch, reached in outcome.reached.items()}
        with self._writing():
            finish_trial(
                storage, trial_id, state, values,
                user_attrs={**outcome.attributes, **({"reached": by_epoch} if by_epoch else {})},
                system_attrs={CONSTRAINT + name: violation for name, violation in outcome.violations.items()},
                # of several objectives a study takes no intermediate values
                reached={epoch: reached[0] for epoch, reached in outcome.reached.items() if len(reached) == 1},
            )  # fmt: skip
        known.take(number, trial_id, state)
        self.proposer.end(number, outcome.values, outcome.violations, outcome.reached)

    def restore(self, number: int, row: Row) -> None:
        """Puts back a proposal that the study has lost, in ascending order; gone numbers between become failures."""
        known = self._read()
        if known.states.get(number, TrialState.WAITING) != TrialState.WAITING:
            return
        with self._writing():
            if number in known.states:  # a first row waits in the new study: the old one's proposal takes its place
                storage, trial_id = self.study._storage, known.ids[number]
                allowed = distributions(self.space)
                for name, value in parameters(self.space, row).items():
                    storage.set_trial_param(trial_id, name, allowed[name].to_internal_repr(value), allowed[name])
                storage.set_trial_state_values(trial_id, TrialState.RUNNING)
                known.take(number, trial_id, TrialState.RUNNING)
            for gap in range(len(known.states), number):
                gone = create_trial(state=TrialState.FAIL, user_attrs={"reason": "its folder is gone"})
                ((_, trial_id),) = add_trials(self.study, [gone])
                known.take(gap, trial_id, TrialState.FAIL)
            if number not in known.states:
                _, trial_id = self._add(row, {})
                known.take(number, trial_id, TrialState.RUNNING)
        self.proposer.begin(number, row, {})

    def _add(self, row: Row, attributes: Mapping[str, Any]) -> tuple[int, int]:
        """Writes a new proposal down as a whole; its number, and Optuna's id of it."""
        found, allowed = parameters(self.space, row), distributions(self.space)
        trial = create_trial(
            state=TrialState.RUNNING, params=found, distributions={name: allowed[name] for name in found},
            system_attrs=dict(attributes),
        )  # fmt: skip
        (added,) = add_trials(self.study, [trial])
        return added

    def _read(self) -> _Known:
        """What the database holds: read once, and again after anything has gone wrong with it."""
        if self._known is None:
            trials = self.study.get_trials(deepcopy=False)
            self.proposer.relearn(self.earlier)
            for trial in trials:
                self._learn(trial)
            self._known = _Known()
            for trial in trials:
                self._known.take(trial.number, trial._trial_id, trial.state)
        return self._known

    def _learn(self, trial: FrozenTrial) -> None:
        row = None if trial.state == TrialState.WAITING else row_of(self.space, trial.params)
        if row is None:
            return
        self.proposer.begin(trial.number, row, trial.system_attrs)
        if trial.state == TrialState.PRUNED:
            reached = {int(epoch): tuple(values) for epoch, values in trial.user_attrs.get("reached", {}).items()}
            self.proposer.end(trial.number, None, {}, reached)
        elif trial.state.is_finished():
            self.proposer.end(trial.number, trial.values, trial.constraints)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """After an exception nobody knows what the database has taken."""
        try:
            yield
        except BaseException:
            self._known = None
            raise


def _told_as(outcome: Outcome) -> tuple[TrialState, list[float] | None]:
    """The trial's state, and its values: of one that was stopped what it reached last, if that is one number."""
    if outcome.reached:
        last = outcome.reached[max(outcome.reached)]
        return TrialState.PRUNED, list(last) if len(last) == 1 else None
    if outcome.values is None:
        return TrialState.FAIL, None
    return TrialState.COMPLETE, [float(value) for value in outcome.values]

"""The study: what was proposed and what came of it. The only importer of optuna.

One row a network: by default its value is what its own curve is worth (`frontier.curve_value`), which is stationary.
With `descent: none` a row is one point and the study is multi-objective. The points themselves go into a second study
`NAME/points`, for optuna-dashboard.
"""

import json
import random
import re
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
import sqlalchemy.exc
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from sparsweep.spaces.space import Choice, Float, Int, Row, Space, Value

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning, module=r"sparsweep\..*|optuna\..*")

OUTAGES: tuple[type[Exception], ...] = (
    optuna.exceptions.StorageInternalError, sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.PendingRollbackError, OSError,
)  # fmt: skip
"""What a database raises that is down, restarting or full: worth trying again."""

ZERO = ".zero"
"""Suffix of the parameter that says whether an `or_zero` range is exactly 0."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the study is told of one trial: values where it is done, a reason where it failed."""

    number: int
    values: tuple[float, ...] | None
    attributes: Mapping[str, Any]
    violations: Mapping[str, float]
    """Per constraint, how far it is missed; <= 0 where it is met. Only for studies with one point a row."""
    reached: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """Of a trial that was stopped: by epoch what it was judged by. It is told as pruned."""


SCHEMA_WAITS_S = (0.5, 1.0, 2.0, 4.0)
"""Between tries at a database in which somebody else is making the tables."""


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """Raises ValueError where the URL's database cannot be opened."""
    try:
        for wait_s in SCHEMA_WAITS_S:
            try:
                return _storage(url)
            except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as fault:
                if not _is_half_made(fault):
                    raise
                time.sleep(random.uniform(0.5, 1.0) * wait_s)
        return _storage(url)
    except Exception as fault:
        if type(fault) is sqlalchemy.exc.DatabaseError and url.startswith("sqlite"):  # damaged, not out of reach
            raise ValueError(
                f"study storage {url} cannot be read ({reason_of(fault)}): put a copy back, or move it away: sparsweep "
                "resume rebuilds its sweep's study from the trials' records"
            ) from fault
        raise ValueError(
            f"study storage {without_password(url)} cannot be opened ({reason_of(fault)}): give --study-storage "
            "a database URL such as sqlite:///studies.db or postgresql://user@host/name"
        ) from fault


def _storage(url: str) -> optuna.storages.RDBStorage:
    local = {"connect_args": {"timeout": 60}}
    return optuna.storages.RDBStorage(url, engine_kwargs=local if url.startswith("sqlite") else {"pool_pre_ping": True})


def _is_half_made(fault: BaseException) -> bool:
    """Whether the tables are being made by another driver right now: each makes those that it does not see."""
    causes = (fault, fault.__cause__)
    doubled = (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError)
    return any(isinstance(each, doubled) or "already exists" in str(each) for each in causes)


def reason_of(fault: BaseException) -> str:
    """The first line of what a database said, without its password; Optuna's own text on top of it says less."""
    if isinstance(fault, optuna.exceptions.StorageInternalError) and fault.__cause__ is not None:
        fault = fault.__cause__
    return without_password((str(fault).strip() or type(fault).__name__).splitlines()[0])


@dataclass(frozen=True, kw_only=True)
class Study:
    """Proposals and outcomes of one sweep."""

    study: optuna.Study
    space: Space

    @classmethod
    def open(
        cls, storage: optuna.storages.BaseStorage, name: str, space: Space, *, sampler: str, seed: int,
        objectives: Sequence[str],
    ) -> "Study":  # fmt: skip
        """Creates the sweep's study or goes on with it. All objectives are maximised."""
        study = optuna.create_study(
            storage=storage, study_name=name, directions=["maximize"] * len(objectives), load_if_exists=True
        )
        seed = (seed + 7919 * len(study.get_trials(deepcopy=False))) % 2**32
        study.sampler = _sampler(sampler, seed)
        if "sparsweep" not in study.user_attrs:
            study.set_metric_names(list(objectives))
            described = {"sampler": type(study.sampler).__name__, "seed": seed, "optuna": optuna.__version__}
            study.set_user_attr("sparsweep", described)
        return cls(study=study, space=space)

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
        """Known-good settings, laid into the space, to be proposed before anything else; once a study."""
        if self.study.get_trials(deepcopy=False):
            return
        for row in rows:
            self.study.enqueue_trial(_parameters(self.space, self.space.nearest(row)), skip_if_exists=True)

    def ask(self) -> tuple[int, Row]:
        """The next proposal: its number and its row."""
        trial = self.study.ask()
        return trial.number, self.space.row(lambda label, allowed: _suggest(trial, label, allowed))

    def unfinished(self) -> dict[int, Row]:
        """Rows that were proposed and have no outcome; a row cut short by a crash is completed."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        rows = {}
        for frozen in running:
            trial = optuna.Trial(self.study, frozen._trial_id)
            rows[frozen.number] = self.space.row(lambda label, allowed, t=trial: _suggest(t, label, allowed))  # type: ignore[misc]
        return rows

    def proposed(self) -> int:
        """How many proposals were made, whatever became of them."""
        return sum(t.state != TrialState.WAITING for t in self.study.get_trials(deepcopy=False))

    def tell(self, outcome: Outcome) -> None:
        """Tells a trial's outcome; told already counts as done."""
        known = self.study.get_trials(deepcopy=False)
        frozen = next((t for t in known if t.number == outcome.number), None)
        if frozen is not None and frozen.state.is_finished():
            return
        trial_id = self._id_of(outcome.number)
        for name, value in outcome.attributes.items():
            self.study._storage.set_trial_user_attr(trial_id, name, value)
        if outcome.violations:  # optuna.Trial asks the sampler for a whole proposal when it is made
            trial = optuna.Trial(self.study, trial_id)
            for name, violation in outcome.violations.items():
                trial.set_constraint(name, violation)
        if outcome.reached:
            for epoch, values in outcome.reached.items():
                if len(values) == 1:  # of several objectives a study takes no intermediate values
                    self.study._storage.set_trial_intermediate_value(trial_id, epoch, values[0])
            attribute = {str(epoch): list(values) for epoch, values in outcome.reached.items()}
            self.study._storage.set_trial_user_attr(trial_id, "reached", attribute)
            self.study.tell(outcome.number, state=TrialState.PRUNED)
        elif outcome.values is None:
            self.study.tell(outcome.number, state=TrialState.FAIL)
        else:
            self.study.tell(outcome.number, list(outcome.values))

    def restore(self, number: int, row: Row) -> None:
        """Puts back a proposal that the study has lost, in ascending order; gone numbers between become failures."""
        known = self.study.get_trials(deepcopy=False)
        if number < len(known) and known[number].state != TrialState.WAITING:
            return
        parameters = _parameters(self.space, row)
        distributions = {name: d for name, d in _distributions(self.space).items() if name in parameters}
        if number < len(known):  # a known-good row that waits in the new study: the old one's proposal takes its place
            storage, trial_id = self.study._storage, self._id_of(number)
            for name, allowed in distributions.items():
                storage.set_trial_param(trial_id, name, allowed.to_internal_repr(parameters[name]), allowed)
            storage.set_trial_state_values(trial_id, TrialState.RUNNING)
            return
        for _ in range(len(known), number):
            self.study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"reason": "its folder is gone"}))
        self.study.add_trial(create_trial(state=TrialState.RUNNING, params=parameters, distributions=distributions))

    def _id_of(self, number: int) -> int:
        trial_id: int = self.study._storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)
        return trial_id


@dataclass(frozen=True, kw_only=True)
class PointsStudy:
    """Points of a sweep's curves as trials of the study `NAME/points`: for optuna-dashboard, not for a sampler."""

    study: optuna.Study
    space: Space

    @classmethod
    def open(
        cls, storage: optuna.storages.BaseStorage, name: str, space: Space, *, objectives: Sequence[str]
    ) -> "PointsStudy":
        """Creates the second study or goes on with it. All objectives are maximised."""
        study = optuna.create_study(
            storage=storage, study_name=f"{name}/points", directions=["maximize"] * len(objectives),
            load_if_exists=True,
        )  # fmt: skip
        study.set_metric_names(list(objectives))
        return cls(study=study, space=space)

    def add(self, points: Iterable[tuple[str, Row, tuple[float, ...]]]) -> None:
        """Adds points (id, setting, values); those it has are left alone."""
        known = {t.user_attrs.get("point") for t in self.study.get_trials(deepcopy=False)}
        distributions = _distributions(self.space)
        for name, row, values in points:
            if name not in known:
                parameters = _parameters(self.space, row)
                self.study.add_trial(
                    create_trial(
                        params=parameters, distributions={n: distributions[n] for n in parameters},
                        values=list(values), user_attrs={"point": name},
                    )
                )  # fmt: skip


def delete(storage: optuna.storages.BaseStorage, name: str) -> None:
    """Removes a sweep's studies, if they are there."""
    for study in (name, f"{name}/points"):
        if study in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=study, storage=storage)


def _sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def _suggest(trial: optuna.Trial, label: str, allowed: Float | Int | Choice) -> Value:
    """The trial's value for a labelled range, drawn now or read if it has one."""
    value: Value
    if isinstance(allowed, Choice):
        value = trial.suggest_categorical(label, list(allowed.choices))
    elif isinstance(allowed, Int):
        value = trial.suggest_int(label, allowed.low, allowed.high, log=allowed.log)
    elif allowed.or_zero and trial.suggest_categorical(label + ZERO, [False, True]):
        value = 0.0
    else:
        value = trial.suggest_float(label, allowed.low, allowed.high, log=allowed.log)
    return value


def _parameters(space: Space, row: Mapping[str, Value]) -> dict[str, Any]:
    """The row as the study stores it."""
    ranges = {knob.label: knob.range for knob in space.knobs}
    parameters: dict[str, Any] = {}
    for label, value in space.labels_of(row).items():
        allowed = ranges[label]
        if isinstance(allowed, Choice):
            parameters[label] = value
            continue
        zero = isinstance(allowed, Float) and allowed.or_zero and value == 0
        if isinstance(allowed, Float) and allowed.or_zero:
            parameters[label + ZERO] = zero
        if not zero:
            parameters[label] = value
    return parameters


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    found: dict[str, BaseDistribution] = {}
    for knob in space.knobs:
        allowed = knob.range
        if isinstance(allowed, Choice):
            found[knob.label] = CategoricalDistribution(list(allowed.choices))
        elif isinstance(allowed, Int):
            found[knob.label] = IntDistribution(allowed.low, allowed.high, log=allowed.log)
        else:
            found[knob.label] = FloatDistribution(allowed.low, allowed.high, log=allowed.log)
            if allowed.or_zero:
                found[knob.label + ZERO] = CategoricalDistribution([False, True])
    return found


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    head, at, tail = url.rpartition("@")
    scheme, colon, rest = head.partition("://")
    user, secret, _ = rest.partition(":")
    shown = f"{scheme}{colon}{user}:***@{tail}" if at and secret else url
    return re.sub(r"(?i)([?&][^=&]*(?:password|token|secret)[^=&]*=)[^&]*", r"\1***", shown)

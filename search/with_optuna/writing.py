"""Rows of a study written as a whole: one transaction for many new ones, one for all that came of one.

Optuna's own calls make a transaction of every attribute, ask the database several times for every parameter, count all
earlier trials for every new one and keep each in memory. Here the same rows are written in a few statements. It knows
Optuna's tables, which the version's bound in pyproject.toml and a test hold in place; where a storage has none (in
memory), Optuna's calls are used.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

Added = list[tuple[int, int]]
"""Of each new trial its number and Optuna's id."""


def add_trials(study: optuna.Study, trials: Sequence[FrozenTrial]) -> Added:
    """Adds new trials in their order, all or none."""
    backend = _backend(study._storage)
    if backend is None:
        ids = [study._storage.create_new_trial(study._study_id, trial) for trial in trials]
        return [(study._storage.get_trial_number_from_id(each), each) for each in ids]
    with _create_scoped_session(backend.scoped_session) as session:
        _hold(session, study._study_id)
        last = session.scalar(select(func.max(models.TrialModel.number)).filter_by(study_id=study._study_id))
        first = 0 if last is None else last + 1
        rows = [_row(study._study_id, first + at, trial) for at, trial in enumerate(trials)]
        session.add_all(rows)
        session.flush()
        added = [(row.number, row.trial_id) for row in rows]
        for table, cells in _cells(trials, [trial_id for _, trial_id in added]).items():
            if cells:
                session.execute(insert(table), cells)
    return added


def finish_trial(
    storage: BaseStorage, trial_id: int, state: TrialState, values: Sequence[float] | None, *,
    user_attrs: Mapping[str, Any], system_attrs: Mapping[str, Any], reached: Mapping[int, float],
) -> None:  # fmt: skip
    """Ends a trial that is at work, with all that is to be kept of it; one that has ended is left alone.

    Args:
        reached: intermediate values by step.
    """
    backend = _backend(storage)
    if backend is None:
        for name, value in user_attrs.items():
            storage.set_trial_user_attr(trial_id, name, value)
        for name, value in system_attrs.items():
            storage.set_trial_system_attr(trial_id, name, value)
        for step, value in reached.items():
            storage.set_trial_intermediate_value(trial_id, step, value)
        storage.set_trial_state_values(trial_id, state, values)
        return
    with _create_scoped_session(backend.scoped_session) as session:
        trial = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
        if trial.state.is_finished():
            return
        ended = optuna.trial.create_trial(
            state=state, values=values, user_attrs=dict(user_attrs), system_attrs=dict(system_attrs),
            intermediate_values=dict(reached),
        )  # fmt: skip
        trial.state, trial.datetime_complete = state, datetime.now()
        for table, cells in _cells([ended], [trial_id]).items():
            if cells:
                _forget(session, table, cells)
                session.execute(insert(table), cells)


def _backend(storage: BaseStorage) -> RDBStorage | None:
    """The database behind a study's storage, if it is one."""
    behind = storage._backend if isinstance(storage, _CachedStorage) else storage
    return behind if isinstance(behind, RDBStorage) else None


def _hold(session: Session, study_id: int) -> None:
    """Nobody else adds to the study until the end of the transaction: a write locks on SQLite too. Raises KeyError."""
    own = models.StudyModel
    if not session.scalar(select(func.count()).where(own.study_id == study_id)):
        raise KeyError(f"there is no study {study_id} in this database any more")
    session.execute(update(own).where(own.study_id == study_id).values(study_name=own.study_name))


def _row(study_id: int, number: int, trial: FrozenTrial) -> Any:
    return models.TrialModel(
        study_id=study_id, number=number, state=trial.state, datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
    )  # fmt: skip


def _cells(trials: Iterable[FrozenTrial], ids: Iterable[int]) -> dict[Any, list[dict[str, Any]]]:
    """What the tables beside that of the trials hold of them."""
    found: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (
            models.TrialParamModel, models.TrialValueModel, models.TrialUserAttributeModel,
            models.TrialSystemAttributeModel, models.TrialIntermediateValueModel,
        )
    }  # fmt: skip
    for trial, trial_id in zip(trials, ids, strict=True):
        for name, allowed in trial.distributions.items():
            found[models.TrialParamModel].append(
                {"trial_id": trial_id, "param_name": name, "distribution_json": distribution_to_json(allowed),
                 "param_value": allowed.to_internal_repr(trial.params[name])}
            )  # fmt: skip
        for objective, value in enumerate(trial.values or ()):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            found[models.TrialValueModel].append(
                {"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind}
            )
        attributes = (models.TrialUserAttributeModel, trial.user_attrs), (
            models.TrialSystemAttributeModel, trial.system_attrs)  # fmt: skip
        for table, named in attributes:
            found[table] += [{"trial_id": trial_id, "key": k, "value_json": json.dumps(v)} for k, v in named.items()]
        for step, value in trial.intermediate_values.items():
            stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
            found[models.TrialIntermediateValueModel].append(
                {"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind}
            )
    return found


_NAMED_BY = {
    models.TrialUserAttributeModel: "key", models.TrialSystemAttributeModel: "key",
    models.TrialIntermediateValueModel: "step", models.TrialValueModel: "objective",
}  # fmt: skip


def _forget(session: Session, table: Any, cells: Sequence[Mapping[str, Any]]) -> None:
    """Removes what a driver that was killed half-way had written of the same."""
    column = _NAMED_BY[table]
    names = [cell[column] for cell in cells]
    session.execute(
        delete(table).where(table.trial_id == cells[0]["trial_id"], getattr(table, column).in_(names))
    )  # fmt: skip

"""Rows written in few statements are the rows that Optuna's own calls would have written."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import create_engine, text

from sparsweep.search.with_optuna import delete, open_storage
from sparsweep.search.with_optuna.writing import add_trials, finish_trial

ALLOWED = {
    "form": CategoricalDistribution(["a", "b"]), "strength": FloatDistribution(1e-4, 1e-1, log=True),
    "epochs": IntDistribution(1, 9),
}  # fmt: skip
PARAMS = {"form": "b", "strength": 3e-3, "epochs": 4}
TABLES = ("trial_params", "trial_values", "trial_user_attributes", "trial_system_attributes",
          "trial_intermediate_values")  # fmt: skip


def running(**more: Any) -> FrozenTrial:
    return create_trial(state=TrialState.RUNNING, params=PARAMS, distributions=ALLOWED, **more)


def done(*values: float, **more: Any) -> FrozenTrial:
    return create_trial(values=list(values), params=PARAMS, distributions=ALLOWED, **more)


NEW = (
    running(system_attrs={"nsga:generation": 2}),
    done(0.5, user_attrs={"point": "00001/03", "seconds": 1.5}),
    done(float("inf"), intermediate_values={1: 0.25, 3: float("nan")}),
    create_trial(state=TrialState.FAIL, user_attrs={"reason": "its folder is gone"}),
)


def study_in(path: Path) -> optuna.Study:
    return optuna.create_study(storage=open_storage(f"sqlite:///{path}"), study_name="digits", direction="maximize")


def rows_of(path: Path) -> dict[str, list[Any]]:
    """Every table of trials as it lies in the database, without the times of day."""
    with create_engine(f"sqlite:///{path}").connect() as database:
        found = {name: sorted(map(str, database.execute(text(f"SELECT * FROM {name}")))) for name in TABLES}
        found["trials"] = database.execute(text("SELECT trial_id, number, study_id, state FROM trials")).all()
    return found


def without_keys(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Without each row's own number in its table, which says in which order it was written."""
    return {name: sorted(str(row).partition(",")[2] for row in each) for name, each in rows.items()}


def test_new_trials_are_the_rows_that_optuna_writes(tmp_path: Path) -> None:
    ours, theirs = study_in(tmp_path / "ours.db"), study_in(tmp_path / "theirs.db")
    assert add_trials(ours, NEW[:1]) + add_trials(ours, NEW[1:]) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    for trial in NEW:
        theirs._storage.create_new_trial(theirs._study_id, trial)
    assert without_keys(rows_of(tmp_path / "ours.db")) == without_keys(rows_of(tmp_path / "theirs.db"))
    assert [trial.params for trial in ours.trials] == [PARAMS, PARAMS, PARAMS, {}]


def test_an_outcome_is_the_rows_that_optuna_writes(tmp_path: Path) -> None:
    ours, theirs = study_in(tmp_path / "ours.db"), study_in(tmp_path / "theirs.db")
    for study in (ours, theirs):
        add_trials(study, [running(), running()])
    finish_trial(
        ours._storage, 1, TrialState.COMPLETE, [0.75], user_attrs={"seconds": 2.0, "reached": {"3": [0.5]}},
        system_attrs={"constraints:accuracy >= 0.9": -0.05}, reached={3: 0.5},
    )  # fmt: skip
    theirs._storage.set_trial_user_attr(1, "seconds", 2.0)
    theirs._storage.set_trial_user_attr(1, "reached", {"3": [0.5]})
    theirs._storage.set_trial_system_attr(1, "constraints:accuracy >= 0.9", -0.05)
    theirs._storage.set_trial_intermediate_value(1, 3, 0.5)
    theirs._storage.set_trial_state_values(1, TrialState.COMPLETE, [0.75])
    assert without_keys(rows_of(tmp_path / "ours.db")) == without_keys(rows_of(tmp_path / "theirs.db"))
    first, second = ours.trials
    assert (first.state, first.value, first.constraints) == (TrialState.COMPLETE, 0.75, {"accuracy >= 0.9": -0.05})
    assert first.datetime_complete is not None
    assert second.state == TrialState.RUNNING


def test_what_a_killed_driver_had_half_written_is_written_over_and_an_end_is_final(tmp_path: Path) -> None:
    study = study_in(tmp_path / "studies.db")
    add_trials(study, [running()])
    study._storage.set_trial_user_attr(1, "seconds", 1.0)
    for state, value, seconds in ((TrialState.COMPLETE, 0.5, 2.0), (TrialState.COMPLETE, 0.9, 3.0)):
        finish_trial(
            study._storage, 1, state, [value], user_attrs={"seconds": seconds}, system_attrs={}, reached={}
        )  # fmt: skip
    (trial,) = study.trials
    assert (trial.value, trial.user_attrs) == (0.5, {"seconds": 2.0})


def test_all_new_trials_are_written_or_none(tmp_path: Path) -> None:
    study = study_in(tmp_path / "studies.db")
    broken = done(0.5, user_attrs={"point": "00001/03"})
    broken.user_attrs["point"] = object()
    with pytest.raises(TypeError, match="not JSON serializable"):
        add_trials(study, [running(), broken])
    assert study.trials == []


def test_two_writers_at_once_give_every_trial_a_number_of_its_own(tmp_path: Path) -> None:
    study_in(tmp_path / "studies.db")

    def write(_: int) -> list[int]:
        study = optuna.load_study(storage=open_storage(f"sqlite:///{tmp_path / 'studies.db'}"), study_name="digits")
        return [number for _ in range(10) for number, _ in add_trials(study, [running()])]

    with ThreadPoolExecutor(2) as writers:
        first, second = writers.map(write, range(2))
    assert sorted(first + second) == list(range(20))


def test_nothing_is_written_into_a_study_that_was_deleted(tmp_path: Path) -> None:
    study = study_in(tmp_path / "studies.db")
    delete(study._storage, "digits")
    with pytest.raises(KeyError, match="no study"):
        add_trials(study, [running()])


def test_a_storage_without_tables_is_written_by_optunas_own_calls() -> None:
    study = optuna.create_study(direction="maximize")
    assert add_trials(study, NEW[:2]) == [(0, 0), (1, 1)]
    finish_trial(study._storage, 0, TrialState.PRUNED, [0.2], user_attrs={"a": 1}, system_attrs={}, reached={1: 0.2})
    assert [(trial.state.name, trial.value) for trial in study.trials] == [("PRUNED", 0.2), ("COMPLETE", 0.5)]

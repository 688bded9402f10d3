"""Stores of another schema: one message that names both, exit code 2, and not a byte changed."""

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sparsweep.search.catalogue import catalogue
from sparsweep.search.cli import main
from sparsweep.search.sweep_folder import SweepFolder, Where
from sparsweep.search.with_mlflow import prepare_store, reachable
from sparsweep.search.with_mlflow.schema import revisions, schema_fault
from sparsweep.search.with_optuna import open_storage
from sparsweep.spaces.load import load_sweep
from tests.search.records import commit, make_record

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

OLD_MLFLOW, NEWER_MLFLOW = "451aebb31d03", "f00df00df00d"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with both databases of this version."""
    home = tmp_path_factory.mktemp("made")
    prepare_store(f"sqlite:///{home / 'mlflow.db'}")
    open_storage(f"sqlite:///{home / 'studies.db'}")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "state"
    home.mkdir()
    for path in made.glob("*.db"):
        (home / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARSWEEP_HOME", str(home))
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "SPARSWEEP_STUDY_STORAGE", "SPARSWEEP_STORAGE_PATH"):
        monkeypatch.delenv(name, raising=False)
    return home


def rewritten(path: Path, statement: str) -> str:
    """The database's digest after the statement."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    return digest(path)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_revisions_are_those_of_mlflow() -> None:
    from mlflow.store.db.utils import _get_latest_schema_revision

    known, own = revisions()
    assert own == _get_latest_schema_revision()
    assert OLD_MLFLOW in known
    assert NEWER_MLFLOW not in known
    assert schema_fault(own, "x") is schema_fault(None, "x") is None


@pytest.mark.parametrize(
    ("revision", "advice"),
    [
        (OLD_MLFLOW, "back the database up, then run mlflow db upgrade 'sqlite:///"),
        (NEWER_MLFLOW, "does not know the other: use the newer MLflow that made it, or another database"),
    ],
)
@pytest.mark.parametrize("words", [["run", "digits", "--inline"], ["pick", "digits"]])
def test_an_mlflow_of_another_schema(
    words: list[str], revision: str, advice: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rewritten(home / "mlflow.db", f"UPDATE alembic_version SET version_num = '{revision}'")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"its tables have MLflow's schema {revision}; MLflow 3.17" in said
    assert f"which is installed, has {revisions()[1]}" in said
    assert advice in said
    assert said.count("\n") == 1
    assert digest(home / "mlflow.db") == before
    assert sorted(path.name for path in home.iterdir()) == ["mlflow.db", "studies.db"]


def test_an_mlflow_of_this_schema_and_an_empty_database_are_fine(home: Path, tmp_path: Path) -> None:
    reachable(f"sqlite:///{home / 'mlflow.db'}")
    with closing(sqlite3.connect(tmp_path / "empty.db")) as connection:
        connection.execute("CREATE TABLE mine (x)")
    reachable(f"sqlite:///{tmp_path / 'empty.db'}")


def test_mlflows_old_tables_are_upgraded_as_the_message_says(home: Path) -> None:
    """`mlflow db upgrade`, the documented way; here from the last schema but one."""
    import mlflow.store.db.utils as utils
    import sqlalchemy
    from alembic import command

    uri = f"sqlite:///{home / 'mlflow.db'}"
    command.downgrade(utils._get_alembic_config(uri), "-1")
    with pytest.raises(ValueError, match="mlflow db upgrade"):
        reachable(uri)
    engine = sqlalchemy.create_engine(uri)
    utils._upgrade_db(engine)
    engine.dispose()
    reachable(uri)


def test_studies_of_another_schema(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = rewritten(home / "studies.db", "UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    assert main(["run", "digits", "--inline"]) == 2
    said = capsys.readouterr().err
    assert "study storage sqlite:///" in said
    assert "optuna storage upgrade" in said
    assert "Traceback" not in said
    assert digest(home / "studies.db") == before


def a_sweep(home: Path) -> SweepFolder:
    folder = SweepFolder(home / "sweeps" / "digits")
    folder.create(load_sweep("digits", catalogue()), Where())
    return folder


@pytest.mark.parametrize("words", [["status"], ["status", "digits"], ["resume", "digits"], ["frontier", "digits"],
                                   ["logs", "digits/0"], ["gc"], ["stop", "digits"], ["run", "digits"]])  # fmt: skip
def test_a_sweep_of_another_schema(words: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = a_sweep(home).path / "sweep.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "schema": 7}))
    before = digest(path)
    assert main(words) == 2
    assert "sweep.json has schema 7; this sparsweep reads 1: use its version" in capsys.readouterr().err
    assert digest(path) == before


@pytest.mark.parametrize("words", [["status", "digits"], ["frontier", "digits"], ["logs", "digits/0"], ["gc"]])
def test_a_record_of_another_schema(words: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_sweep(home)
    store = folder.store(Where())
    store.folder(0).propose(0, {"method": "gasl"}, 0)
    path = commit(store, make_record()) / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 7}))
    before = digest(path)
    assert main(words) == 2
    assert "trial record of schema 7; this sparsweep reads schema 1" in capsys.readouterr().err
    assert digest(path) == before

"""What MLflow's embedded database raises is no traceback on the terminal besides."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_FAULT = """
import sys
from sparsweep.search import with_mlflow
from sparsweep.search.with_mlflow.quiet import settle

settle()
import mlflow.store.db.utils as utils
import sqlalchemy
from mlflow.exceptions import MlflowException

engine = sqlalchemy.create_engine("sqlite:///" + sys.argv[1])
sessions = utils._get_managed_session_maker(sqlalchemy.orm.sessionmaker(bind=engine), "sqlite")
try:
    with sessions() as session:
        session.execute(sqlalchemy.text("SELECT * FROM missing"))
except MlflowException as fault:
    print("raised:", str(fault).splitlines()[0])
utils._logger.warning("a warning is told")
"""


def said(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, "-c", _FAULT, str(folder / "a.db")]
    done = subprocess.run(command, env=env | more, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "raised: (sqlite3.OperationalError) no such table: missing" in done.stdout
    return done


def test_a_fault_of_the_database_is_raised_and_not_printed(tmp_path: Path) -> None:
    stderr = said(tmp_path).stderr
    assert "Traceback" not in stderr
    assert "a warning is told" in stderr


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_one_who_wants_mlflow_to_say_more_has_it_all(tmp_path: Path, level: str) -> None:
    assert "Traceback" in said(tmp_path, MLFLOW_LOGGING_LEVEL=level).stderr

"""A home filled with copies of one real sweep: its folder, its MLflow runs, its registered model."""

import json
import re
import shutil
import sqlite3
import uuid
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

NAME = "model-00000"
OF_RUN = ("latest_metrics", "metrics", "params", "tags")


def fill(home: Path, *, models: int, trials: int) -> None:
    """Makes `models` sweeps with a model each, and `trials` trials in all, out of the one that is there."""
    _folders(home / "sweeps", models, trials // models)
    with closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        _rows(database, models, trials // models)


def _folders(sweeps: Path, models: int, each: int) -> None:
    first = sweeps / NAME
    records = [json.loads(path.read_text()) for path in sorted(first.glob("trials/*/result.json"))]
    texts = [_numbered(records[number % len(records)], number) for number in range(each)]
    for model in range(models):
        folder = sweeps / f"model-{model:05d}"
        folder.mkdir(exist_ok=True)
        for name in ("sweep.json", "status.json", "measured.json"):
            if model:
                shutil.copy(first / name, folder / name)
        for number, text in enumerate(texts):
            trial = folder / "trials" / f"{number:05d}"
            trial.mkdir(parents=True, exist_ok=True)
            (trial / "result.json").write_text(text)
        status = json.loads((folder / "status.json").read_text())
        (folder / "status.json").write_text(json.dumps(status | {"done": each, "failed": 0, "budget": each}))


def _numbered(record: Mapping[str, Any], number: int) -> str:
    points = [{**point, "trial": number} for point in record["points"]]
    return json.dumps({**record, "number": number, "points": points})


def _rows(database: sqlite3.Connection, models: int, each: int) -> None:
    database.row_factory = sqlite3.Row
    (experiment,) = _all(database, "experiments", "name = ?", f"sparsweep/{NAME}")
    runs = _all(database, "runs", "experiment_id = ?", experiment["experiment_id"])
    parts = {run["run_uuid"]: {t: _all(database, t, "run_uuid = ?", run["run_uuid"]) for t in OF_RUN} for run in runs}
    children = [run for run in runs if any(t["key"] == "sparsweep.trial" for t in parts[run["run_uuid"]]["tags"])]
    (parent,) = [run for run in runs if run not in children]
    (model,) = _all(database, "registered_models", "name = ?", NAME)
    of_model = {t: _all(database, t, "name = ?", NAME) for t in
                ("model_versions", "model_version_tags", "registered_model_aliases")}  # fmt: skip
    for number in range(1, models):
        name = f"model-{number:05d}"
        at = experiment["experiment_id"] + 1000 + number
        _put(database, "experiments", [{**experiment, "experiment_id": at, "name": f"sparsweep/{name}"}])
        top = uuid.uuid4().hex
        _copy_run(database, parent, parts, run=top, at=at, name=name, top=top)
        for trial in range(each):
            _copy_run(database, children[trial % len(children)], parts, run=uuid.uuid4().hex, at=at, name=name, top=top,
                      trial=trial)  # fmt: skip
        _put(database, "registered_models", [{**model, "name": name}])
        for table, rows in of_model.items():
            _put(database, table, [{**_renamed(row, name), "name": name} for row in rows])


def _copy_run(database: sqlite3.Connection, of: Mapping[str, Any], parts: Mapping[str, Any], *, run: str, at: int,
              name: str, top: str, trial: int | None = None) -> None:  # fmt: skip
    _put(database, "runs", [{**of, "run_uuid": run, "experiment_id": at}])
    for table in OF_RUN:
        rows = [{**_renamed(row, name), "run_uuid": run} for row in parts[of["run_uuid"]][table]]
        for row in rows:
            if row.get("key") == "mlflow.parentRunId":
                row["value"] = top
            elif row.get("key") == "sparsweep.trial":
                row["value"] = f"{name}/{trial:05d}"
        _put(database, table, rows)


def _renamed(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {k: re.sub(NAME, name, v) if isinstance(v, str) and NAME in v else v for k, v in row.items()}


def _all(database: sqlite3.Connection, table: str, where: str, value: object) -> list[dict[str, Any]]:
    return [dict(row) for row in database.execute(f"SELECT * FROM {table} WHERE {where}", (value,))]


def _put(database: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        columns = ", ".join(rows[0])
        database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(rows[0]))})",
                             [tuple(row.values()) for row in rows])  # fmt: skip

"""The MLflow server on a loopback port: PostgreSQL behind it, a password before it, artifacts through it."""

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from local_cluster.processes import Started, start
from local_cluster.state import State

ADMIN = "admin"


def start_mlflow(state: State, port: int, postgres: str) -> Started:
    """Starts the server and does not wait; no password is in its command line."""
    secrets = state.secrets()
    config = state.write_private(
        "mlflow-auth.ini",
        "[mlflow]\n"
        "default_permission = NO_PERMISSIONS\n"
        f"database_uri = postgresql+psycopg://mlflow@{postgres}/mlflow_auth\n"
        f"admin_username = {ADMIN}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 60\n",  # each request else hashes the password anew
    )
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg://mlflow@{postgres}/mlflow",
        "PGPASSWORD": secrets["mlflow_database"],
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
        "MLFLOW_AUTH_ADMIN_PASSWORD": secrets["mlflow_admin"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets["mlflow_cookie"],
    }
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_REGISTRY_URI"):
        environment.pop(name, None)
    command = [
        str(Path(sys.executable).parent / "mlflow"), "server", "--app-name", "basic-auth",
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--serve-artifacts", "--artifacts-destination", str(state.folder("artifacts")),
    ]  # fmt: skip
    return start(
        "mlflow", command, address=f"http://127.0.0.1:{port}", log=state.folder("logs") / "mlflow.log",
        env=environment, cwd=state.path,
    )  # fmt: skip


def answers(address: str, password: str) -> bool:
    """Whether the server lists experiments to the administrator, and to nobody without a password.

    Raises:
        ValueError: it answers without a password.
    """
    if _status(address, None) == 200:
        raise ValueError(f"MLflow at {address} lets everybody in: its basic-auth application was not loaded")
    return _status(address, password) == 200


def _status(address: str, password: str | None) -> int | None:
    request = urllib.request.Request(f"{address}/api/2.0/mlflow/experiments/search?max_results=1")
    if password is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{ADMIN}:{password}".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            json.loads(answer.read())
            code: int = answer.status
            return code
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (OSError, ValueError):
        return None

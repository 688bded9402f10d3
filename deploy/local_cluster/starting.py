"""Everything in its order: database, MLflow, Ray's head, its workers; each is waited for before the next needs it."""

import argparse
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from local_cluster.mlflow_server import ADMIN, answers, start_mlflow
from local_cluster.postgres import make_databases, start_postgres
from local_cluster.processes import Started
from local_cluster.ray_nodes import has_job_server, is_up, nodes_alive, ray_environment, start_head, start_worker
from local_cluster.state import State


class Ports(NamedTuple):
    """Free ports, chosen anew at each `up`."""

    postgres: int
    mlflow: int
    ray: int
    jobs: int
    client: int


def start_all(state: State, options: argparse.Namespace, ray_folder: Path, started: list[Started]) -> None:
    """Starts everything and writes `env`; `started` grows as it goes, and is noted in the state folder each time.

    Raises:
        RuntimeError: something ended, did not answer in time, or listens beyond loopback.
    """
    until = time.monotonic() + options.wait

    def note(process: Started) -> Started:
        started.append(process)
        state.note(started, ray_folder)
        return process

    def wait(process: Started, holds: Callable[[], object]) -> None:
        while not holds():
            if not process.is_alive():
                raise RuntimeError(f"{process.what} ended while it started: {_last_words(state, process)}")
            if time.monotonic() > until:
                raise RuntimeError(f"{process.what} does not answer within {options.wait} s: see its log")
            time.sleep(0.2)

    state.note(started, ray_folder)
    ports = Ports(*_free_ports(5))
    variables = _variables(state, ports)
    head = note(start_head(state, ports.ray, ray_folder, ports=(ports.jobs, ports.client), env=variables))
    database = note(start_postgres(state, ports.postgres))
    wait(database, lambda: _databases_made(state, ports.postgres))
    server = note(start_mlflow(state, ports.mlflow, database.address))
    wait(head, lambda: is_up(state, head.what))
    for number in range(1, options.workers + 1):
        worker = note(start_worker(state, head.address, number, options.cpus))
        wait(worker, lambda worker=worker: is_up(state, worker.what))  # type: ignore[misc]
    wait(head, lambda: nodes_alive(state, head.address) == options.workers + 1)
    wait(server, lambda: answers(server.address, state.secrets()["mlflow_admin"]))
    if open_ := [f"{p.what} {address}" for p in started for address in p.listens_beyond_loopback()]:
        raise RuntimeError(f"listens beyond loopback, which must not be: {', '.join(open_)}")
    state.write_env(variables)


def _variables(state: State, ports: Ports) -> dict[str, str]:
    """What a driver needs: yours, from the file `env`, and those of jobs, which the head starts."""
    secrets = state.secrets()
    studies = f"studies:{secrets['studies_database']}@127.0.0.1:{ports.postgres}/studies"
    return {
        "RAY_ADDRESS": f"127.0.0.1:{ports.ray}",
        **({"RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{ports.jobs}"} if has_job_server() else {}),
        **ray_environment(state),
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports.mlflow}",
        "MLFLOW_TRACKING_USERNAME": ADMIN,
        "MLFLOW_TRACKING_PASSWORD": secrets["mlflow_admin"],
        "SPARSWEEP_STUDY_STORAGE": f"postgresql+psycopg://{studies}",
        "SPARSWEEP_STORAGE_PATH": str(state.folder("storage")),
    }


def _databases_made(state: State, port: int) -> bool:
    from psycopg import OperationalError

    try:
        make_databases(state, port)
    except OperationalError:
        return False
    return True


def _free_ports(count: int) -> list[int]:
    """Ports that are free on loopback now; held together, so that no two are the same."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _last_words(state: State, process: Started) -> str:
    log = state.path / "logs" / f"{process.what.replace(' ', '-')}.log"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"

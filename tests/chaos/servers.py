"""PostgreSQL and MLflow servers that can be killed and started again, and a wire between that can be cut."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos.drivers import until
from tests.chaos.processes import end_all

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy"))
from local_cluster.postgres import make_databases, start_postgres
from local_cluster.processes import Started
from local_cluster.state import State


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class MlflowServer:
    """`mlflow server` on loopback."""

    folder: Path
    backend: str
    store: Sequence[str] = ()
    """Options for its artifacts; as default it takes them itself."""
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.folder.mkdir(exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        command = [
            str(Path(sys.executable).parent / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(self.port),
            "--workers", "1", "--backend-store-uri", self.backend,
            *(self.store or ("--serve-artifacts", "--artifacts-destination", str(self.folder / "artifacts"))),
        ]  # fmt: skip
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        until(self.answers, "the MLflow server")

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/api/2.0/mlflow/experiments/search?max_results=1", timeout=5):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9 for it and its workers."""
        if self.process is not None:
            family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
            end_all(family)
            self.process.wait()
            psutil.wait_procs(family, timeout=30)
            self.process = None


@contextlib.contextmanager
def mlflow_server(folder: Path, backend: str | None = None, store: Sequence[str] = ()) -> Iterator[MlflowServer]:
    """A server that answers, on a SQLite file of its own unless told otherwise."""
    server = MlflowServer(folder, backend or f"sqlite:///{folder / 'server.db'}", store)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@dataclass
class Postgres:
    """PostgreSQL on loopback, with a database `studies` and a database `mlflow`."""

    state: State
    port: int
    process: Started

    def uri(self, database: str) -> str:
        """With its password: for environment variables only."""
        password = self.state.secrets()[f"{database}_database"]
        return f"postgresql+psycopg://{database}:{password}@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """A fast shutdown: open transactions are rolled back, connections are cut."""
        self.process.stop()

    def start(self) -> None:
        self.process = start_postgres(self.state, self.port)
        until(self._answers, "PostgreSQL")

    def _answers(self) -> bool:
        import psycopg

        try:
            make_databases(self.state, self.port)
        except psycopg.OperationalError:
            return False
        return True


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """A database that answers; its data goes with the block."""
    state = State(folder)
    with state.held():
        server = Postgres(state, free_port(), None)  # type: ignore[arg-type]
        server.start()
        try:
            yield server
        finally:
            server.stop()
            state.purge()


@dataclass
class Wire:
    """Carries requests to a server; `on_answer` is told each request's first line and may cut the wire by True."""

    to: int
    on_answer: Callable[[str], bool]
    port: int = 0
    _listener: socket.socket | None = None

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def _accept(self) -> None:
        while self._listener is not None:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        """One connection: what the client says goes on, the answers come back unless the wire is cut."""
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.to)) as server:
            asked = [""]

            def back() -> None:
                with contextlib.suppress(OSError):
                    while answer := server.recv(65536):
                        if self.on_answer(asked[0]):
                            break
                        client.sendall(answer)
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

            threading.Thread(target=back, daemon=True).start()
            while said := client.recv(65536):
                first = said.split(b"\r\n", 1)[0].decode(errors="replace")
                asked[0] = first if " HTTP/1." in first else asked[0]
                server.sendall(said)

"""The folder of one local cluster: what runs, its secrets, its data.

cluster.json     the processes, written after each start, so that `down` knows them whatever happens
secrets.json     passwords and the Ray token, made once                       (0600)
env              what a user sources                                          (0600)
ray-token        the token as Ray reads it                                    (0600)
logs/            one file a process; Ray's own under logs/ray after `down`
postgres/ artifacts/ storage/ home/     data: kept by `down`, removed by `down --purge`
"""

import fcntl
import json
import os
import secrets
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from local_cluster.processes import Started

SECRETS = ("postgres", "mlflow_database", "studies_database", "mlflow_admin", "mlflow_cookie", "ray_token")
PARTS = ("cluster.json", "secrets.json", "env", "ray-token", "mlflow-auth.ini", "lock")
FOLDERS = ("logs", "postgres", "artifacts", "storage", "home")


@dataclass(frozen=True)
class State:
    """A state folder."""

    path: Path

    @contextmanager
    def held(self) -> Iterator[None]:
        """One `up` or `down` at a time. Raises ValueError where another is at work."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)  # root's PostgreSQL runs as somebody else
        with (self.path / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"another local-cluster command is at work in {self.path}: wait for it") from None
            yield

    def folder(self, name: str) -> Path:
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def secrets(self) -> dict[str, str]:
        """The cluster's passwords: made at random the first time, the same ones afterwards."""
        path = self.path / "secrets.json"
        if not path.exists():
            self.write_private("secrets.json", json.dumps({name: secrets.token_hex(24) for name in SECRETS}))
        found: dict[str, str] = json.loads(path.read_text())
        return found

    def write_private(self, name: str, text: str) -> Path:
        """Writes a file that nobody else may read, whole or not at all."""
        path, draft = self.path / name, self.path / f".{name}.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.replace(path)
        return path

    def write_env(self, variables: Mapping[str, str]) -> Path:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        return self.write_private("env", "\n".join(["# source this file; it holds passwords", *lines, ""]))

    def processes(self) -> list[Started]:
        return [Started(**known) for known in self._known().get("processes", [])]

    def ray_folder(self) -> Path | None:
        found = self._known().get("ray_folder")
        return Path(found) if found else None

    def postgres_data(self) -> Path | None:
        """Where the database lies if not in this folder."""
        path = self.path / "postgres-elsewhere"
        return Path(path.read_text().strip()) if path.exists() else None

    def note(self, processes: list[Started], ray_folder: Path) -> None:
        content = {"processes": [asdict(process) for process in processes], "ray_folder": str(ray_folder)}
        self.write_private("cluster.json", json.dumps(content, indent=1))

    def forget(self) -> None:
        """Nothing runs any more."""
        for name in ("cluster.json", "env"):
            (self.path / name).unlink(missing_ok=True)

    def purge(self) -> None:
        """Removes what this command has made here, and the folder if nothing else is in it."""
        if elsewhere := self.postgres_data():
            shutil.rmtree(elsewhere, ignore_errors=True)
        for name in FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (*PARTS, "postgres-elsewhere"):
            (self.path / name).unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def _known(self) -> dict:  # type: ignore[type-arg]
        path = self.path / "cluster.json"
        return json.loads(path.read_text()) if path.exists() else {}

"""A cluster of several Ray nodes with PostgreSQL and MLflow on this machine, for tests: started once a session."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMAND = Path(__file__).parent.parent / "deploy" / "local-cluster"


@dataclass(frozen=True)
class LocalCluster:
    """A cluster that is up."""

    state: Path

    @property
    def env(self) -> dict[str, str]:
        """The environment of a driver."""
        lines = (shlex.split(line) for line in (self.state / "env").read_text().splitlines() if "=" in line)
        return {**os.environ, "OMP_NUM_THREADS": "1", **dict(words[1].split("=", 1) for words in lines)}

    @property
    def storage(self) -> Path:
        """The folder that all nodes share."""
        return self.state / "storage"

    def pids(self) -> dict[str, int]:
        """Process ids: `ray head`, `ray worker 1`, `ray worker 2`, `postgresql`, `mlflow`."""
        known = json.loads((self.state / "cluster.json").read_text())["processes"]
        return {process["what"]: process["pid"] for process in known}

    def sparsweep(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Runs the command as a user of the cluster does."""
        command = [sys.executable, "-m", "sparsweep.search.cli", *arguments]
        return subprocess.run(command, cwd=cwd, env=self.env, capture_output=True, text=True)


def command(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs deploy/local-cluster."""
    return subprocess.run([sys.executable, str(COMMAND), *arguments], cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="session")
def local_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Up for the session; everything is removed afterwards."""
    state = tmp_path_factory.mktemp("cluster") / "state"
    done = command("up", "--state", str(state), "--wait", "240")
    assert done.returncode == 0, done.stderr
    try:
        yield LocalCluster(state)
    finally:
        ended = command("down", "--state", str(state), "--purge")
        assert ended.returncode == 0, ended.stderr

"""A driver that cannot reach the artifact store has its uploads done by a node that can."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.machine import quiet_environment
from tests.chaos.damage import can_mount
from tests.chaos.node_faults import cluster_of
from tests.chaos.servers import mlflow_server
from tests.flow.conftest import SMALL

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of the engines
    pytest.mark.skipif(
        not (can_mount() and shutil.which("unshare")), reason="hiding a folder from a process needs root"
    ),
]
HIDDEN = 'mount -t tmpfs none "$0" && exec "$@"'
"""Runs a command for which a folder is another, empty one."""


def files_that_arrive(folder: Path, resources: dict[str, float]) -> tuple[str, list[str]]:
    """What a sweep says whose driver sees another artifact folder than the cluster's node, and what arrives there."""
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    (folder / "small.yaml").write_text(SMALL)
    store = ("--no-serve-artifacts", "--default-artifact-root", artifacts.as_uri())
    with (
        mlflow_server(folder / "server", store=store) as server,
        cluster_of(num_cpus=1, resources=resources) as cluster,
    ):
        words = ["run", "small.yaml", "--trials", "2", "--address", cluster.address, "--tracking-uri", server.address]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", HIDDEN, str(artifacts),
             sys.executable, "-m", "sparsweep.search.cli", *words],
            cwd=folder, env=quiet_environment(SPARSWEEP_HOME=str(folder / "state")), capture_output=True, text=True,
            timeout=280,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, [path.name for path in artifacts.rglob("*") if path.is_file()]


def test_uploads_are_done_by_the_node_that_reaches_the_store(tmp_path: Path) -> None:
    said, arrived = files_that_arrive(tmp_path, {"artifact_store": 1})
    assert "registered models:/small@knee" in said
    assert {"sweep.yaml", "environment.json", "frontier.json", "frontier.png", "frontier.html"} <= set(arrived)
    assert {"model.pt2", "network.safetensors", "architecture.json", "point.json", "MLmodel"} <= set(arrived)


def test_without_such_a_node_the_driver_uploads_itself(tmp_path: Path) -> None:
    """The control: nothing arrives, as this driver's folder is another one."""
    _, arrived = files_that_arrive(tmp_path, {})
    assert arrived == []

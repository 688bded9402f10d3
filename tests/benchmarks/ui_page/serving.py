"""The three servers on free ports of loopback, each a process of its own, ended by its id."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.benchmarks.machine import quiet_environment, root

MOST_S = 180


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def ours(home: Path) -> Iterator[str]:
    """`sparsweep ui`; its address."""
    command = [sys.executable, "-m", "sparsweep.search.cli", "ui", "--port", "0"]
    with _process(command, home, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+?(?=/?$)", line.strip())
        if found is None:
            raise RuntimeError(f"sparsweep ui says {line!r}")
        yield found[0]


@contextmanager
def dashboard(home: Path, url: str) -> Iterator[str]:
    """optuna-dashboard on a study's storage; its address."""
    port = free_port()
    program = str(Path(sys.executable).with_name("optuna-dashboard"))
    with _process([program, url, "--host", "127.0.0.1", "--port", str(port)], home):
        yield _answering(f"http://127.0.0.1:{port}")


@contextmanager
def mlflow_server(home: Path, uri: str) -> Iterator[str]:
    """`mlflow server` with one worker, which serves its page; its address."""
    port = free_port()
    program = str(Path(sys.executable).with_name("mlflow"))
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", uri]
    with _process([program, *words], home):
        yield _answering(f"http://127.0.0.1:{port}")


@contextmanager
def _process(command: Sequence[str], home: Path, stdout: int = subprocess.DEVNULL) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        command, cwd=root(), env=quiet_environment(SPARSWEEP_HOME=str(home)), stdout=stdout,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answering(address: str) -> str:
    end = time.monotonic() + MOST_S
    while time.monotonic() < end:
        try:
            with urlopen(address, timeout=10):
                return address
        except (URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"{address} does not answer after {MOST_S} s")

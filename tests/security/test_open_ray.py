"""A cluster that lets anybody in: `doctor` fails, `run` and `submit` warn; on loopback, or with a token, it is fine."""

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sparsweep.search.with_ray import access

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.9.10", True), ("::1", True), ("localhost", True), ("10.0.0.1", False),
     ("0.0.0.0", False), ("head", False), ("", False), (None, False), ("127.0.0.1.example.org", False)],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host: str | None, loopback: bool) -> None:
    assert access.is_loopback(host) is loopback


def network_address() -> str | None:
    """This machine's address in some network, where it has one."""
    found = [a.address for addresses in psutil.net_if_addrs().values() for a in addresses if a.family == socket.AF_INET]
    return next((address for address in found if not address.startswith("127.")), None)


@contextmanager
def job_server(status: int, host: str) -> Iterator[str]:
    """Something that answers every request without a token with this status."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.HTTPServer((host, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_job_server_beyond_loopback_must_ask_for_a_token() -> None:
    if (host := network_address()) is None:
        pytest.skip("this machine is in no network")
    for status, is_open in ((200, True), (401, False), (403, False)):
        with job_server(status, host) as address:
            assert access.open_job_server(address) is is_open
    assert not access.open_job_server(address)  # nobody there any more


def test_a_job_server_on_loopback_need_not() -> None:
    with job_server(200, "127.0.0.1") as address:
        assert not access.open_job_server(address)


@contextmanager
def ray_head(host: str, mode: str, port: int) -> Iterator[str]:
    """A cluster of one node, as `ray start` makes it."""
    folder = tempfile.mkdtemp(prefix="op-", dir="/tmp")
    (Path(folder) / "token").write_text("0123456789abcdef" * 3)
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN_PATH": f"{folder}/token", "RAY_USAGE_STATS_ENABLED": "0",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port", str(port),
        "--node-ip-address", host, "--num-cpus", "1", "--include-dashboard", "false", "--temp-dir", folder,
        "--object-store-memory", "80000000",
    ]  # fmt: skip
    log = Path(folder) / "log"
    with log.open("w") as file:
        node = subprocess.Popen(command, env=env, stdout=file, stderr=file, start_new_session=True)
    try:
        for _ in range(900):
            if "Ray runtime started" in log.read_text():
                break
            assert node.poll() is None, log.read_text()
            time.sleep(0.1)
        yield f"{host}:{port}"
    finally:
        os.killpg(node.pid, signal.SIGTERM)
        try:
            node.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(node.pid, signal.SIGKILL)
            node.wait()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


_LOOK = """
import sys
from sparsweep.search import doctor
check = doctor._check("Ray", lambda: doctor._ray(sys.argv[1]))
print("ok  " if check.ok else "FAIL", check.found)
"""


def doctor(address: str, folder: Path, **variables: str) -> str:
    """What doctor says of Ray, with its verdict."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-c", _LOOK, address]
    done = subprocess.run(command, cwd=folder, env={**env, **variables}, capture_output=True, text=True, timeout=200)
    return done.stdout.splitlines()[-1] if done.stdout else done.stderr


def test_doctor_fails_on_an_open_cluster_and_says_what_to_do(tmp_path: Path) -> None:
    if (host := network_address()) is None:
        pytest.skip("this machine is in no network")
    with ray_head(host, "disabled", free_port()) as address:
        for variables in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 48}):
            line = doctor(address, tmp_path, **variables)
            assert line.startswith("FAIL"), line
            assert f"{address} can be used without a token: anybody who reaches it runs code as you" in line
            assert "RAY_AUTH_MODE=token" in line


def test_doctor_is_content_with_a_token(tmp_path: Path) -> None:
    if (host := network_address()) is None:
        pytest.skip("this machine is in no network")
    with ray_head(host, "token", free_port()) as address:
        line = doctor(address, tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0123456789abcdef" * 3)
        assert line.startswith("ok "), line
        assert "1 node" in line


_LISTENS = """
import json, psutil
from sparsweep.search import with_ray
with_ray.start(with_ray.Slots(cpu=1, gpu=0, address=None))
me = psutil.Process()
family = (me, *me.children(recursive=True))
ports = [c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == "LISTEN"]
print(json.dumps([ports, with_ray.open_doors(), with_ray.described()]))
with_ray.shut_down()
"""


@pytest.mark.parametrize("mode", ["token", "disabled"])
def test_a_ray_of_our_own_listens_on_loopback_only(mode: str, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env |= {"RAY_AUTH_MODE": mode}
    done = subprocess.run([sys.executable, "-c", _LISTENS], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ports, doors, described = json.loads(done.stdout.splitlines()[-1])
    assert len(ports) > 3
    assert [ip for ip in ports if not ip.removeprefix("::ffff:").startswith("127.")] == []
    assert doors == []
    assert "1 node" in described


def test_a_job_server_is_no_address_to_run_on(tmp_path: Path) -> None:
    from sparsweep.search import with_ray

    with pytest.raises(ValueError, match="is a job server, which takes whole sweeps: sparsweep submit SWEEP"):
        with_ray.start(with_ray.Slots(cpu=1, gpu=0, address="http://127.0.0.1:8265"))
    line = doctor("http://127.0.0.1:1", tmp_path)
    assert line.startswith("FAIL no Ray job server answers at http://127.0.0.1:1"), line

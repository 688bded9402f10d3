"""Several Ray nodes on one machine, on loopback only, with a token."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local_cluster.processes import Started, start
from local_cluster.state import State

LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray takes 127.0.0.1 for "this machine's address in the network" and listens everywhere, except where it thinks
clusters are not supported. Drivers need the variable too, or they look for the cluster at that address."""

OBJECT_STORE_BYTES = 80_000_000

_START_RAY = """
from ray._private import ray_constants, services
ray_constants.ENABLE_RAY_CLUSTER = True  # `ray start --address` refuses otherwise
services.get_node_ip_address = lambda address=None: "127.0.0.1"
from ray.scripts.scripts import main
main()
"""

_COUNT_NODES = """
import ray
ray.init(address={address!r}, log_to_driver=False, logging_level="ERROR")
print("alive", sum(node["Alive"] for node in ray.nodes()))
"""


def ray_environment(state: State) -> dict[str, str]:
    """What nodes and drivers need to find and trust each other."""
    token = state.write_private("ray-token", state.secrets()["ray_token"])
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), **LOOPBACK_ONLY}


def has_job_server() -> bool:
    """Whether `ray[default]` is installed, whose dashboard takes jobs."""
    return all(importlib.util.find_spec(name) for name in ("aiohttp_cors", "opencensus", "prometheus_client"))


def start_head(
    state: State, port: int, folder: Path, *, ports: tuple[int, int], env: Mapping[str, str]
) -> Started:  # fmt: skip
    """The node that holds the cluster together; it has no CPUs, so no trial runs on it, but jobs do, with `env`.

    Args:
        ports: of the job server and of Ray's client server, which starts where `ray[default]` is installed.
    """
    options = ["--head", "--port", str(port), "--temp-dir", str(folder), "--num-cpus", "0"]
    options += ["--include-dashboard", str(has_job_server()).lower(), "--dashboard-host", "127.0.0.1"]
    options += ["--dashboard-port", str(ports[0]), "--ray-client-server-port", str(ports[1])]
    driver = {name: value for name, value in env.items() if name != "RAY_ADDRESS"}
    driver["SPARSWEEP_HOME"] = str(state.folder("home"))  # a job's own folder goes with it
    driver["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return _start(state, "ray head", f"127.0.0.1:{port}", options, driver)


def start_worker(state: State, head: str, number: int, cpus: int) -> Started:
    """A node for trials. Two must not start at once: they would take the same socket."""
    return _start(state, f"ray worker {number}", head, ["--address", head, "--num-cpus", str(cpus)])


def is_up(state: State, what: str) -> bool:
    return "Ray runtime started" in _log(state, what).read_text(errors="replace")


def nodes_alive(state: State, address: str) -> int:
    """How many nodes the cluster counts, asked as a driver asks. 0: it does not answer."""
    asked = subprocess.run(
        [sys.executable, "-c", _COUNT_NODES.format(address=address)], cwd=state.path, timeout=60,
        env=_environment(state), capture_output=True, text=True,
    )  # fmt: skip
    answer = [line for line in asked.stdout.splitlines() if line.startswith("alive ")]
    return int(answer[-1].split()[1]) if answer else 0


def _start(
    state: State, what: str, address: str, options: list[str], env: Mapping[str, str] | None = None
) -> Started:  # fmt: skip
    _log(state, what).write_text("")
    command = [
        sys.executable, "-c", _START_RAY, "start", "--block", "--node-ip-address", "127.0.0.1", "--num-gpus", "0",
        "--object-store-memory", str(OBJECT_STORE_BYTES), "--disable-usage-stats",
        "--dashboard-agent-listen-port", "0", *options,
    ]  # fmt: skip
    return start(
        what, command, address=address, log=_log(state, what), env={**_environment(state), **(env or {})},
        cwd=state.folder("storage"),
    )  # fmt: skip


def _environment(state: State) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**inherited, **ray_environment(state), "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1"}


def _log(state: State, what: str) -> Path:
    return state.folder("logs") / f"{what.replace(' ', '-')}.log"

"""A local Ray or somebody's cluster: joined, counted, its versions checked, left."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsweep.search.with_ray.jobs import is_job_server
from sparsweep.search.with_ray.quiet import settle
from sparsweep.search.with_ray.ready import SIGNS

settle()

import ray  # noqa: E402

STORE = "artifact_store"
"""Resource of nodes that can reach the artifact store: `ray start --resources '{"artifact_store": 1}'`."""
STORED_WITHIN_S = 900.0
"""How long one upload may take, waiting for such a node included."""
PRELOAD = "RAY_preload_python_modules"
NEEDED = (
    "torch._dynamo", "sparsweep.search.with_ray.trials", "sparsweep.trainables.attempt",
    "sparsweep.search.with_ray.ready",
)  # fmt: skip
"""Modules that take seconds to import: Tune and torch, and the part of torch that its first optimizer asks for. The
last one says that they are imported."""
PATIENT = {"RAY_idle_worker_killing_time_threshold_ms": "120000"}
"""Tune reserves processors before it asks for processes, and Ray ends those that idle where no processor is free."""
ANSWER_S = 60.0
"""How long a node has to start a process and answer."""


@dataclass(frozen=True, kw_only=True)
class Slots:
    """What one trial is given, and where."""

    cpu: float
    gpu: float
    address: str | None
    """A Ray address, or None for a Ray of its own on this machine."""
    wished: int = 0
    """How many slots are asked for where the cluster can grow; 0 takes what there is."""


def start(slots: Slots, signs: Path | None = None) -> None:
    """Starts a local Ray on loopback, or joins the cluster at `slots.address`.

    Args:
        signs: A folder in which the processes that a local Ray begins with say that they have imported what trials
            need (see `ready`).

    Raises:
        ValueError: nobody answers at the address, or it is a job server's.
    """
    if is_job_server(slots.address):
        raise ValueError(
            f"{slots.address} is a job server, which takes whole sweeps: sparsweep submit SWEEP --address "
            f"{slots.address}, or give a cluster's own address, such as head:6379"
        )
    quiet = {"include_dashboard": False} if slots.address is None else {}
    cpus = (
        {"num_cpus": max(os.cpu_count() or 1, 1), "object_store_memory": 256 * 2**20} if slots.address is None else {}
    )
    try:
        with _as_local(slots, signs) if slots.address is None else nullcontext():
            ray.init(
                address=slots.address or "local", log_to_driver=False, logging_level="ERROR", configure_logging=True,
                **quiet, **cpus,
            )  # fmt: skip
    except (ConnectionError, ray.exceptions.AuthenticationError) as fault:
        raise ValueError(
            f"no Ray cluster answers at {slots.address}, or it refuses us: check --address or RAY_ADDRESS, and that "
            "its token is in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, with RAY_AUTH_MODE=token"
        ) from fault
    except Exception as fault:  # Ray raises a bare one where its parts are not up in time
        if slots.address is not None or isinstance(fault, ValueError):
            raise
        said = (str(fault).strip() or type(fault).__name__).splitlines()[0]
        raise ValueError(
            f"Ray does not start on this machine ({said[:200]}): it may be overloaded, try again when it is not; "
            "sparsweep doctor tells more, and --inline runs trials without Ray"
        ) from fault
    _hush()


@contextmanager
def _as_local(slots: Slots, signs: Path | None) -> Iterator[None]:
    with _on_loopback(), _preloaded(slots, signs):
        yield


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Has a Ray that is started meanwhile listen on 127.0.0.1 only, as it does on macOS; on Linux it listens on all
    networks, and has no option for it."""
    from ray._private import ray_constants

    variable, before = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    given = os.environ.get(variable)
    os.environ[variable], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        if given is None:
            del os.environ[variable]
        else:
            os.environ[variable] = given


@contextmanager
def _preloaded(slots: Slots, signs: Path | None = None) -> Iterator[None]:
    """Has the idle processes that a local Ray begins with import what trials need while the driver is not ready yet.

    Ray begins with one a processor: only where a trial takes one processor will each of them get a trial.
    """
    if slots.cpu > 1 or slots.gpu or PRELOAD in os.environ:
        yield
        return
    wanted = {name: value for name, value in PATIENT.items() if name not in os.environ}
    wanted[PRELOAD] = ",".join(NEEDED)
    if signs is not None:
        signs.mkdir(parents=True, exist_ok=True)
        wanted[SIGNS] = str(signs)
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            del os.environ[name]


def _hush() -> None:
    """Keeps a dead node's last words, 30 lines of its daemon's counters, off the terminal; Ray has no option for it.

    That a node came or went is said by the sweep, in one line.
    """
    from ray._private import worker

    worker._worker_logs_enabled = False
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # that a trial failed is in its record


def slot_count(slots: Slots) -> int:
    """How many trials can run at once: what fits on each node, added up."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(
        int(min(have.get("CPU", 0) / slots.cpu, have.get("GPU", 0) / slots.gpu if slots.gpu else float("inf")))
        for have in nodes
    )


def refuse_other_versions(wanted: Mapping[str, str]) -> None:
    """Asks every node which versions it has.

    Raises:
        ValueError: a node has another sparsweep, ray or torch than the driver, or none; all such nodes are named.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def versions(names: list[str]) -> dict[str, str]:
        from importlib.metadata import PackageNotFoundError, version

        found = {}
        for name in names:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "nothing"
        return found

    asked = {
        f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})": ray.remote(num_cpus=0)(versions)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(list(wanted))
        for node in ray.nodes()
        if node["Alive"]
    }
    faults = []
    for node, answer in asked.items():
        try:
            found = ray.get(answer, timeout=ANSWER_S)
        except ray.exceptions.RayError as fault:
            faults.append(f"node {node} does not answer ({_first_line(fault)})")
            continue
        faults += [f"node {node} has {name} {found[name]}, this driver {v}" for name, v in wanted.items()
                   if _release(found[name]) != _release(v)]  # fmt: skip
    if faults:
        raise ValueError(f"{'; '.join(faults)}: install the same versions on every node and where the command runs")


def _release(version: str) -> str:
    """A CPU and a CUDA build of one release are the same: `2.13.0+cpu` is 2.13.0."""
    return version.partition("+")[0]


def _first_line(fault: BaseException) -> str:
    return (str(fault).strip() or type(fault).__name__).splitlines()[0]


def node_count() -> int:
    """How many nodes are alive."""
    return sum(node["Alive"] for node in ray.nodes())


def described() -> str:
    """Version and size of the Ray that is joined."""
    have = ray.cluster_resources()
    nodes = sum(node["Alive"] for node in ray.nodes())
    return (
        f"{ray.__version__}, {nodes} node{'s' * (nodes != 1)}, {have.get('CPU', 0):g} CPUs, {have.get('GPU', 0):g} GPUs"
    )


def shut_down() -> None:
    """Ends a local Ray, or leaves the cluster."""
    ray.shutdown()


def exclusively(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Runs `function(*arguments)` alone on a node: as a task that takes all its processors."""
    cpus = max(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    try:
        return ray.get(ray.remote(num_cpus=cpus)(function).remote(*arguments))
    except ray.exceptions.RayTaskError as fault:  # its text is a page: what the function itself said is enough
        raise fault.cause from None


def near_store(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Runs `function(*arguments)` on a node that has the resource STORE; in this process where no node has it.

    The node's own environment counts there, its credentials for the store among it.
    """
    if not any(node["Alive"] and STORE in node["Resources"] for node in ray.nodes()):
        return function(*arguments)
    task = ray.remote(num_cpus=0, resources={STORE: 0.001}, max_retries=0)(function)
    try:
        return ray.get(task.remote(*arguments), timeout=STORED_WITHIN_S)
    except ray.exceptions.RayTaskError as fault:
        raise fault.cause from None
    except ray.exceptions.GetTimeoutError as fault:
        raise TimeoutError(f"no node with the resource {STORE} answered within {STORED_WITHIN_S:.0f} s") from fault

"""Whom a cluster lets in. Whoever can reach a Ray without a token can run anything there, as anybody on it."""

import ipaddress
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

KNOCK_S = 30.0
"""How long a cluster has to answer somebody without a token; Ray is imported first."""
ADVICE = (
    "anybody who reaches it runs code as you: start its nodes with RAY_AUTH_MODE=token and one token (ray "
    "get-auth-token --generate, then RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH), or bind it to 127.0.0.1"
)

_STRANGER = """
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError, RpcError
try:
    GcsClient(address=sys.argv[1]).get_all_node_info(timeout=5)
except (AuthenticationError, RpcError):
    sys.exit(77)
"""
REFUSED = 77


def open_doors() -> list[str]:
    """Addresses beyond loopback at which the cluster that is joined lets anybody in; asked as a stranger asks."""
    import ray

    control = ray.get_runtime_context().gcs_address
    dashboard = getattr(ray._private.worker.global_worker.node, "webui_url", None)
    return [*_open_control(control), *_open_job_server(f"http://{dashboard}" if dashboard else None)]


def warning() -> str | None:
    """One line for the user of a cluster that lets anybody in; None where it does not."""
    try:
        doors = open_doors()
    except ValueError as fault:
        return f"warning: {fault}"
    return f"warning: {' and '.join(doors)} can be used without a token: {ADVICE}" if doors else None


def open_job_server(address: str) -> bool:
    """Whether a job server beyond loopback, `http://head:8265`, takes jobs from anybody."""
    return any(_open_job_server(address))


def is_loopback(host: str | None) -> bool:
    """Whether only this machine reaches the host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _open_control(address: str) -> Iterator[str]:
    """The cluster's own port, asked by a process that has neither token nor certificate.

    Raises:
        ValueError: it cannot be asked.
    """
    if is_loopback(address.rpartition(":")[0].strip("[]")):
        return
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_AUTH", "RAY_TLS"))}
    stranger = {**kept, "RAY_AUTH_MODE": "disabled", "RAY_USE_TLS": "0"}
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _STRANGER, address], env=stranger, capture_output=True, text=True, timeout=KNOCK_S
        )
    except subprocess.TimeoutExpired:
        return  # such as a server that waits for a certificate
    if asked.returncode == 0:
        yield address
    elif asked.returncode != REFUSED:
        last = (asked.stderr.strip() or f"exit code {asked.returncode}").splitlines()[-1]
        raise ValueError(f"whether the cluster at {address} lets anybody in cannot be found out ({last})")


def _open_job_server(address: str | None) -> Iterator[str]:
    if address is None or is_loopback(urlsplit(address).hostname):
        return
    request = urllib.request.Request(f"{address.rstrip('/')}/api/jobs/")
    try:
        with urllib.request.urlopen(request, timeout=5):
            yield address
    except OSError:  # refused, or out of reach from here
        return

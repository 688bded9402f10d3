"""Commands that run on a cluster as Ray jobs: a sweep that outlives the laptop, and short questions about it."""

import logging
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.search.with_ray.quiet import settle

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

logging.getLogger("ray.dashboard").setLevel(logging.WARNING)

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
POLL_S = 0.5
SHIP_MOST_BYTES = 100 * 2**20


def is_job_server(address: str | None) -> bool:
    """Whether an address is that of a cluster's job server: `http://head:8265`."""
    return address is not None and address.startswith(("http://", "https://"))


def submit(address: str, words: Sequence[str], *, job: str, folder: Path | None = None) -> str:
    """Starts `sparsweep WORDS…` on the cluster and returns its job's id.

    Args:
        job: what its id begins with.
        folder: its files are sent along and are the job's working directory.

    Raises:
        ValueError: nobody answers at the address, access is refused, or the folder is too large to send.
    """
    client = _client(address)
    environment: dict[str, Any] = {"env_vars": {"OMP_NUM_THREADS": "1"}}
    if folder is not None:
        environment["working_dir"] = str(folder)
    entry = shlex.join(["sparsweep", *words])
    try:
        return str(
            client.submit_job(
                entrypoint=entry, submission_id=f"{job}-{time.time_ns() // 1_000_000:x}", runtime_env=environment
            )
        )
    except (RuntimeError, ConnectionError) as fault:
        raise ValueError(f"the cluster at {address} does not take the job ({_first_line(fault)})") from fault


def follow(address: str, job: str, show: Callable[[str], None]) -> int:
    """Shows the job's output as it comes, to its end; its exit code. Ctrl-C ends the looking, not the job."""
    client = _client(address)
    shown = 0
    while True:
        ended = str(client.get_job_status(job).value) in ENDED
        text = client.get_job_logs(job)
        if len(text) > shown:
            show(text[shown:])
            shown = len(text)
        if ended:
            code = client.get_job_info(job).driver_exit_code
            return int(code) if code is not None else 1
        time.sleep(POLL_S)


def check(address: str) -> None:
    """Raises ValueError where nobody answers at the address, or access is refused."""
    try:
        _client(address).list_jobs()
    except RuntimeError as fault:
        raise ValueError(f"the job server at {address} does not let us in ({_first_line(fault)})") from fault


def stop_job(address: str, job: str) -> None:
    """Ends a job by force."""
    _client(address).stop_job(job)


def _client(address: str) -> "JobSubmissionClient":
    settle()
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except AuthenticationError as fault:
        raise ValueError(
            f"the cluster at {address} refuses us ({_first_line(fault)}): put its token in RAY_AUTH_TOKEN or "
            "RAY_AUTH_TOKEN_PATH, with RAY_AUTH_MODE=token"
        ) from fault
    except (ConnectionError, RuntimeError) as fault:
        raise ValueError(
            f"no Ray job server answers at {address} ({_first_line(fault)}): give the address of the cluster's "
            "dashboard, such as http://head:8265, and its token in RAY_AUTH_TOKEN"
        ) from fault


def _first_line(fault: BaseException) -> str:
    return (str(fault).strip() or type(fault).__name__).splitlines()[0]

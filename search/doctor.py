"""Is this installation able to run sweeps? One line a check: what was found, or what to do."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sparsweep.search.home import Home
from sparsweep.search.redaction import without_secrets
from sparsweep.search.sweep_folder import Where

ROOM_GIB = 2.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str


def examine(home: Home, address: str | None, tracking_uri: str | None, study_storage: str | None) -> list[Check]:
    """All checks, in the order in which a sweep needs them."""
    address = Where(address=address or os.environ.get("RAY_ADDRESS")).cluster
    tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or home.tracking_uri
    study_storage = study_storage or os.environ.get("SPARSWEEP_STUDY_STORAGE") or home.study_storage
    return [
        _check("Python", _python),
        _check("torch and torchvision", _torch),
        _check("devices", _devices),
        _check("Ray", lambda: _ray(address)),
        _check("MLflow", lambda: _mlflow(home, tracking_uri)),
        _check("study database", lambda: _study(home, study_storage)),
        _check("disk", lambda: _disk(home)),
    ]


def _check(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what, True, look())
    except Exception as fault:
        return Check(what, False, " ".join(without_secrets(str(fault)).split()) or type(fault).__name__)


def _python() -> str:
    if platform.python_version_tuple()[:2] != ("3", "11"):
        raise ValueError(f"{platform.python_version()}: sparsweep needs 3.11, make a virtual environment with it")
    return platform.python_version()


def _torch() -> str:
    import torch

    from sparsweep.trainables.tasks.torchvision_import import torchvision_datasets

    torchvision_datasets()
    import torchvision

    return f"torch {torch.__version__} with torchvision {torchvision.__version__}"


def _devices() -> str:
    import psutil
    import torch

    from sparsweep.trainables.measures.device import processor

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} CPUs ({processor()}), {memory:.0f} GiB, GPUs: {', '.join(gpus) or 'none'}"


def _ray(address: str | None) -> str:
    from sparsweep.search import with_ray
    from sparsweep.search.with_ray import jobs

    if jobs.is_job_server(address):
        return _job_server(str(address))
    with_ray.start(with_ray.Slots(cpu=1, gpu=0, address=address))
    try:
        if doors := with_ray.open_doors():
            raise ValueError(f"{' and '.join(doors)} can be used without a token: {with_ray.ADVICE}")
        return with_ray.described()
    finally:
        with_ray.shut_down()


def _job_server(address: str) -> str:
    from sparsweep.search.with_ray import ADVICE, jobs
    from sparsweep.search.with_ray.access import open_job_server

    jobs.check(address)
    if open_job_server(address):
        raise ValueError(f"{address} takes jobs without a token: {ADVICE}")
    return f"the job server at {address} answers"


def _mlflow(home: Home, uri: str) -> str:
    from sparsweep.search import with_mlflow

    with_mlflow.settle()
    if uri == home.tracking_uri and not (home.path / "mlflow.db").exists():
        return f"embedded; {home.path / 'mlflow.db'} will be made by the first sweep"
    with_mlflow.reachable(uri)
    return f"{with_mlflow.without_password(uri)} answers"


def _study(home: Home, url: str) -> str:
    from sparsweep.search.with_optuna import open_storage, without_password

    if url == home.study_storage and not (home.path / "studies.db").exists():
        return f"embedded; {home.path / 'studies.db'} will be made by the first sweep"
    open_storage(url)
    return f"{without_password(url)} answers"


def _disk(home: Home) -> str:
    folder = next(path for path in (home.path, *home.path.parents) if path.exists())
    free = shutil.disk_usage(folder).free / 2**30
    if free < ROOM_GIB:
        raise ValueError(f"{free:.1f} GiB free under {folder}: free {ROOM_GIB:g} GiB or move SPARSWEEP_HOME")
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{folder} cannot be written to: move SPARSWEEP_HOME")
    return f"{free:.1f} GiB free under {Path(folder)}"

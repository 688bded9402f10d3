"""What the figures were measured on; no name and no path of the machine is told."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""For every process that is measured: its trials are what runs in parallel."""


def machine() -> dict[str, Any]:
    """Date, processor, cores, memory, load before the measurement, versions."""
    from sparsweep.trainables.attempt import environment
    from sparsweep.trainables.measures.device import processor

    versions = {name: text for name, text in environment().items() if name not in ("host", "threads", "device")}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{processor()}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load before (1 min)": f"{os.getloadavg()[0]:.1f}",
        "versions": ", ".join(f"{name} {text}" for name, text in versions.items()),
    }


def pace_ms() -> float:
    """Milliseconds that a fixed piece of work takes now on one core, half interpreter, half matrix products: machines
    of one name differ, and one that is shared is not always as fast. The median of five."""
    import torch

    matrix = torch.ones(512, 512)

    def once() -> float:
        began = time.thread_time()
        total = 0
        for number in range(500_000):
            total += number
        for _ in range(8):
            torch.mm(matrix, matrix)
        return (time.thread_time() - began) * 1e3

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return median(once() for _ in range(5))
    finally:
        torch.set_num_threads(threads)


def quiet_environment(**more: str) -> dict[str, str]:
    """This process's environment with one thread a process, and with nothing that points at another store."""
    foreign = ("RAY_ADDRESS", "MLFLOW_TRACKING_URI", "SPARSWEEP_STUDY_STORAGE", "SPARSWEEP_HOME")
    return {**{k: v for k, v in os.environ.items() if k not in foreign}, **ONE_THREAD, **more}


def root() -> Path:
    """The repository's root, from which `python -m tests.benchmarks...` runs."""
    return Path(__file__).resolve().parents[2]

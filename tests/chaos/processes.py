"""Processes known by id and start time: ended, awaited, asked which trial they work on."""

import contextlib
from pathlib import Path

import psutil


def end_all(processes: list[psutil.Process]) -> None:
    """kill -9 for processes known by id and start time (psutil never hits one that took over an id)."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all have ended."""
    return not any(_alive(process) for process in processes)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def trial_at_work(process: psutil.Process) -> int | None:
    """The number of the trial that a process works on: it keeps the trial's died.txt open."""
    try:
        for file in process.open_files():
            path = Path(file.path)
            if path.name == "died.txt" and path.parent.name.isdigit():
                return int(path.parent.name)
    except (psutil.Error, OSError):
        pass
    return None


def workers_of(family: list[psutil.Process]) -> dict[int, psutil.Process]:
    """By number of its trial the process that works on it."""
    found = {trial_at_work(process): process for process in family}
    return {number: process for number, process in found.items() if number is not None}

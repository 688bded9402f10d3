"""Syne Tune's own virtual environment, made once: what it depends on need not agree with what sparsweep does."""

import subprocess
import sys
from pathlib import Path

SYNE_TUNE = "syne-tune==0.16.0"
TRY = "from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA"
PATIENCE_S = 900


class NotInstallableError(RuntimeError):
    """Syne Tune cannot be had here; the text says why."""


def syne_tune_python(folder: Path) -> Path:
    """The Python of the environment in this folder, which is made if it is not there.

    Raises:
        NotInstallableError: it cannot be made, or MOASHA cannot be imported in it.
    """
    python = folder / "bin" / "python"
    if not (python.exists() and _said(python, "-c", TRY) is None):
        for command in (
            (sys.executable, "-m", "venv", "--clear", str(folder)),
            (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", SYNE_TUNE),
            (str(python), "-c", TRY),
        ):
            if (fault := _said(*command)) is not None:
                raise NotInstallableError(f"{SYNE_TUNE} cannot be installed here: {fault}")
    return python


def _said(*command: str | Path) -> str | None:
    """The last line of a command that failed; None of one that did not."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as fault:
        return str(fault)
    if ended.returncode == 0:
        return None
    lines = (ended.stderr or ended.stdout).strip().splitlines()
    return next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "it said nothing")

"""Runs the real command in a folder of its own, as a user would."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = """
name: small
task: {network: lenet-digits, data: digits}
space: {sparsity_strength: {low: 1.0e-3, high: 1.0e-2, log: true}, granularity: {choices: [filter]}}
constraints: ["accuracy >= 0.3"]
budget: {trials: 4, epochs: 2}
trial: {cuts: 4, finetune_epochs: 1}
sampler: {name: tpe, seed: 0}
timing: none
registry: {model: small, keep: 3}
"""


TIMED = SMALL.replace("timing: none", "timing: {round_ms: 20}")


class Shell:
    """The `sparsweep` command with its state in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "state"
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")},
            "SPARSWEEP_HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
        }
        (folder / "small.yaml").write_text(SMALL)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Starts the command and returns at once."""
        command = [sys.executable, "-m", "sparsweep.search.cli", *words]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words: str, timeout_s: float = 280) -> "subprocess.CompletedProcess[str]":
        """Runs the command to its end."""
        with self.start(*words) as process:
            out, err = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, "subprocess.CompletedProcess[str]"]:
    """A small sweep, run to its end on this machine, its networks timed, shared by the tests that only read."""
    shell = Shell(tmp_path_factory.mktemp("swept"))
    (shell.folder / "small.yaml").write_text(TIMED)
    return shell, shell.run("run", "small.yaml")


Swept = tuple[Shell, "subprocess.CompletedProcess[str]"]
Runner = Callable[..., "subprocess.CompletedProcess[str]"]

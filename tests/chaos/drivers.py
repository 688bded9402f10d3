"""The real command as a process that can be watched and hurt. Processes are ended by their ids, never by name."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.machine import quiet_environment
from tests.chaos.processes import end_all

PATIENCE_S = 240.0
"""How long anything may take on a machine that is busy with other work."""

ON_RAY = ("--address", "local")
"""Trials run on a Ray of the driver's from the first one on, not by forerunners."""

SMALL = """
name: small
task: {network: lenet-digits, data: digits}
space: {sparsity_strength: {low: 1.0e-3, high: 1.0e-2, log: true}, granularity: {choices: [filter]}}
objectives: {accuracy: max, sparsity: max, macs: min}
constraints: ["accuracy >= 0.3"]
budget: {trials: 4, epochs: 2}
trial: {cuts: 4, finetune_epochs: 1}
sampler: {name: tpe, seed: 0}
timing: none
registry: {model: small, keep: 3}
"""


def until(holds: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
    """Waits for a condition; its value. Raises TimeoutError that names what did not come."""
    deadline = time.monotonic() + within_s
    while not (value := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_s:.0f} s in vain: {what}")
        time.sleep(0.05)
    return value


@dataclass
class Driver:
    """One run of the command, what it prints in a file."""

    process: "subprocess.Popen[str]"
    printed: Path

    @property
    def text(self) -> str:
        return self.printed.read_text(errors="replace")

    def lines_with(self, part: str) -> list[str]:
        return [line for line in self.text.splitlines() if part in line]

    def left_some(self) -> bool:
        """Whether it says that a resume has records or the frontier still to write."""
        return any(self.lines_with(part) for part in ("are not in MLflow yet", "does not take the frontier"))

    def send(self, kind: int) -> None:
        self.process.send_signal(kind)

    def end(self, within_s: float = 5 * PATIENCE_S) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(timeout=within_s)

    def kill(self) -> list[psutil.Process]:
        """kill -9; the processes that it had started, which nobody told."""
        left = self.family()
        self.process.kill()
        self.process.wait()
        return left

    def family(self) -> list[psutil.Process]:
        """Its children and theirs: Ray's, where it started one."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


@dataclass
class Sweep:
    """A sweep in a folder of its own."""

    folder: Path
    text: str = SMALL
    name: str = "small"
    more: Mapping[str, str] = field(default_factory=dict)
    """Further environment variables."""
    storage: Path | None = None
    """Where its trials lie if not in its home."""
    drivers: list[Driver] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{self.name}.yaml").write_text(self.text)

    @property
    def home(self) -> Path:
        return Path(self.more.get("SPARSWEEP_HOME", self.folder / "state"))

    @property
    def path(self) -> Path:
        return self.home / "sweeps" / self.name

    @property
    def trials(self) -> Path:
        return (self.storage / self.name if self.storage else self.path) / "trials"

    def start(self, *words: str) -> Driver:
        """Starts the command and returns at once."""
        printed = self.folder / f"{self.name}-{len(self.drivers):02d}.txt"
        environment = quiet_environment(**{"SPARSWEEP_HOME": str(self.home), **self.more})
        with printed.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "sparsweep.search.cli", *words], cwd=self.folder, env=environment, text=True,
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.drivers.append(Driver(process, printed))
        return self.drivers[-1]

    def begin(self, *words: str) -> Driver:
        """`sparsweep run` of this sweep."""
        return self.start("run", f"{self.name}.yaml", *words)

    def run(self, *words: str) -> tuple[int, str]:
        """Runs the command to its end: its exit code and all that it printed."""
        driver = self.start(*words)
        return driver.end(), driver.text

    def answer(self, *words: str) -> Any:
        """What a command with --json prints."""
        code, text = self.run(*words, "--json")
        assert code == 0, text
        return json.loads(text.splitlines()[-1])

    def finished(self) -> list[Path]:
        return sorted(self.trials.glob("*/result.json"))

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in self.finished()]

    def wait_for(self, count: int, driver: Driver) -> None:
        """Waits until so many trials have ended. Raises TimeoutError, also where the driver ends first."""

        def there() -> bool:
            if len(self.finished()) >= count:
                return True
            if driver.process.poll() is not None:
                raise TimeoutError(f"the driver ended before trial {count}: {driver.text[-2000:]}")
            return False

        until(there, f"{count} records")


@contextlib.contextmanager
def sweep_in(folder: Path, **fields: Any) -> Iterator[Sweep]:
    """A sweep whose processes are all gone afterwards, whatever happened."""
    sweep = Sweep(folder, **fields)
    try:
        yield sweep
    finally:
        for driver in sweep.drivers:
            if driver.process.poll() is None:
                driver.send(signal.SIGCONT)
                end_all([*driver.kill()])

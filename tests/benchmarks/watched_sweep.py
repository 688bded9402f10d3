"""`sparsweep run` as a user starts it, in a process of its own, watched from outside."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.machine import quiet_environment, root
from tests.benchmarks.slot_time import Worked

EVERY_S = 0.1


@dataclass(frozen=True, kw_only=True)
class SweepRun:
    """What was seen of one sweep."""

    wall_s: float
    """From prompt to prompt."""
    startup_s: float
    """From the process's start to the start of the first trial."""
    search_s: float
    """From there to the end of the last trial."""
    trials: tuple[Worked, ...]
    failed: int
    peak_mb: float
    """Largest resident memory of the driver process alone, as the kernel counts it (VmHWM)."""
    search_peak_mb: float
    """The same until the last trial ended: before the delivery imports torch.export and plotly."""
    memory: tuple[tuple[int, float], ...]
    """(trials done, resident kB of the driver) while the search ran, one sample a count."""

    @property
    def ending_s(self) -> float:
        """Recording, timing, testing, registering, drawing, and the end of the process."""
        return self.wall_s - self.startup_s - self.search_s


def sparsweep() -> str:
    """The installed command of this Python."""
    return str(Path(sys.executable).with_name("sparsweep"))


def run_watched(source: str, options: Sequence[str], home: Path, *, trials: int, deliver: bool = True) -> SweepRun:
    """Runs a sweep in a fresh home and reads its records.

    Args:
        source: a preset's name or a sweep file.
        trials: how many it will run.
        deliver: false stops it by Ctrl-C once the last trial is done.

    Raises:
        RuntimeError: the command failed, or was to be stopped and left trials undone; its last output is in the text.
    """
    with tempfile.TemporaryFile("w+") as output:
        began, clock = time.time(), time.perf_counter()
        process = subprocess.Popen(
            [sparsweep(), "run", source, "--trials", str(trials), *options], cwd=root(), stdout=output, stderr=output,
            env=quiet_environment(SPARSWEEP_HOME=str(home)),
        )  # fmt: skip
        watch = _Watch(process, home, trials)
        watch.until_done(stop=not deliver)
        wall_s = time.perf_counter() - clock
        if process.returncode != 0 if deliver else len(_results(home)) < trials:
            output.seek(0)
            raise RuntimeError(f"sparsweep run ended with {process.returncode}:\n{output.read()[-3000:]}")
    records = [json.loads(path.read_text()) for path in _results(home)]
    first, last = min(r["started_ms"] for r in records), max(r["ended_ms"] for r in records)
    return SweepRun(
        wall_s=wall_s, startup_s=first / 1e3 - began, search_s=(last - first) / 1e3,
        trials=tuple(map(worked, records)), failed=sum(r["state"] == "failed" for r in records),
        peak_mb=watch.peak_kb / 1024, search_peak_mb=watch.search_peak_kb / 1024, memory=tuple(watch.memory.items()),
    )  # fmt: skip


def worked(record: dict[str, Any]) -> Worked:
    """A trial's record as slot time is reckoned from it."""
    work_ms = 1e3 * sum(record["seconds"].values())
    return Worked(started_ms=record["started_ms"], ended_ms=record["ended_ms"], work_ms=work_ms)


@dataclass
class _Watch:
    """Samples the driver's memory from outside; the kernel keeps its peak."""

    process: "subprocess.Popen[bytes]"
    home: Path
    trials: int
    peak_kb: float = 0
    search_peak_kb: float = 0
    memory: dict[int, float] = field(default_factory=dict)

    def until_done(self, *, stop: bool) -> None:
        driver, told = psutil.Process(self.process.pid), False
        while self.process.poll() is None:
            done = len(_results(self.home))
            self._sample(driver, done)
            if stop and not told and done >= self.trials:
                self.process.send_signal(signal.SIGINT)
                told = True
            time.sleep(EVERY_S)

    def _sample(self, driver: psutil.Process, done: int) -> None:
        peak_kb = _peak_kb(driver.pid)
        if peak_kb is None:
            return
        self.peak_kb = max(self.peak_kb, peak_kb)
        if done < self.trials:
            self.search_peak_kb = self.peak_kb
            self.memory[done] = driver.memory_info().rss / 1024


def _peak_kb(pid: int) -> float | None:
    """VmHWM; None where the process has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def _results(home: Path) -> list[Path]:
    return list(home.glob("sweeps/*/trials/*/result.json"))

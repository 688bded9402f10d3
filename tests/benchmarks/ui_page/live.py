"""What one live update takes of the server, and what viewers cost the driver of a running sweep."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from random import Random

import psutil

from sparsweep.search.home import Home
from sparsweep.search.sweep_folder import SweepFolder, Where
from sparsweep.search.ui.live import told_of
from sparsweep.search.ui.reading import Reader
from sparsweep.trainables.record import TrialRecord
from tests.benchmarks.frontier_index import curve
from tests.benchmarks.machine import quiet_environment, root
from tests.benchmarks.ui_page.stores import CUTS

SWEEP = """
task: {network: lenet-digits, data: digits}
budget: {trials: 16, epochs: 4}
trial: {cuts: 8, finetune_epochs: 1}
timing: none
registry: {keep: 1}
"""


def updates(home: Path, folder: SweepFolder, repeats: int) -> list[float]:
    """Milliseconds of the server from looking at the stores until the event of a trial that has ended is made."""
    reader, chance, found = Reader(Home(home)), Random(0), []
    cloud = reader.cloud(folder.name)
    first = max(cloud.trials) + 1
    for number in range(first, first + repeats):
        known = (cloud.version, cloud.count)
        store = folder.store(Where())
        claimed = store.folder(number)
        claimed.claim_attempt()
        claimed.commit(_record(number, chance))
        began = time.perf_counter()
        event = told_of(reader.cloud(folder.name), known)
        reader.state(folder).model_dump_json()
        found.append(1e3 * (time.perf_counter() - began))
        assert event.startswith(b"event: points"), event[:40]
    return found


def _record(number: int, chance: Random) -> TrialRecord:
    return TrialRecord(
        number=number, attempt=1, setting={"method": "gasl"}, seed=number, state="done", reason=None,
        points=curve(number, CUTS, chance), epochs=(), started_ms=number * 1000, ended_ms=number * 1000 + 900,
        seconds={}, environment={},
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Driven:
    """What a sweep's driver took."""

    processor_s: float
    """Of the driver's own process."""
    wall_s: float
    events: int
    """That viewers were told."""


def drive(home: Path, address: str, name: str, viewers: int) -> Driven:
    """Runs a sweep on a local Ray, looked at by so many viewers of its live frontier from its first seconds on.

    Raises:
        RuntimeError: the sweep does not end well.
    """
    home.mkdir(parents=True, exist_ok=True)
    file = home / "looked-at.yaml"
    file.write_text(SWEEP)
    began, used, events = time.monotonic(), 0.0, 0
    command = [sys.executable, "-m", "sparsweep.search.cli", "run", str(file), "--name", name]
    process = subprocess.Popen(
        command, cwd=root(), env=quiet_environment(SPARSWEEP_HOME=str(home)), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    looking: Sequence[_Viewer] = ()
    while process.poll() is None:
        try:
            times = psutil.Process(process.pid).cpu_times()
            used = times.user + times.system
        except psutil.Error:
            break
        if viewers and not looking and SweepFolder(home / "sweeps" / name).exists():
            looking = [_Viewer(address, name) for _ in range(viewers)]
        time.sleep(0.1)
    code, wall = process.wait(), time.monotonic() - began
    for viewer in looking:
        events += viewer.end()
    if code:
        raise RuntimeError(f"the sweep {name} ended with {code}")
    if viewers and events < viewers:
        raise RuntimeError(f"{viewers} viewers were told {events} events only")
    return Driven(processor_s=used, wall_s=wall, events=events)


class _Viewer:
    """One that listens to a sweep's events, as a browser does."""

    def __init__(self, address: str, name: str) -> None:
        self.events = 0
        self.connection = HTTPConnection(address.removeprefix("http://"), timeout=60)
        self.connection.request("GET", f"/api/sweeps/{name}/events?version=-1")
        assert self.connection.sock is not None
        self.socket = self.connection.sock.dup()  # the answer takes the connection's own
        self.answer = self.connection.getresponse()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        try:
            while line := self.answer.readline():
                self.events += line.startswith(b"event: ")
        except (OSError, ValueError, AttributeError):
            return  # ended from the other side

    def end(self) -> int:
        with suppress(OSError):  # hung up already
            self.socket.shutdown(socket.SHUT_RDWR)  # a thread that reads is not woken by closing
        self.socket.close()
        self.connection.close()
        self.thread.join(5)
        return self.events

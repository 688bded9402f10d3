"""Commands that the page begins: `sparsweep run`, `resume`, `submit`, each a process of its own that outlives the page.

Their output lies in the home under `ui/`, so that what went wrong can be read in the page and afterwards.
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shlex import join
from threading import Lock
from typing import Literal

from sparsweep.search.catalogue import catalogue
from sparsweep.search.home import Home
from sparsweep.search.lease import ask_to_stop
from sparsweep.search.sweep_folder import SweepFolder
from sparsweep.search.ui.schemas import Checked, Started, SweepFault
from sparsweep.spaces.faults import SweepFileError, written
from sparsweep.spaces.load import read_sweep
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.record import write_atomically

LAST_BYTES = 8192
"""So much of what a command wrote last is told."""
LEAVING_S = 20
"""So long the next command waits for one that has let go of the sweep and is on its way out."""


def check(text: str, home: Home) -> Checked:
    """All faults of a sweep file at once, as the command line tells them."""
    try:
        sweep = _read(text)
        folder = SweepFolder(home.sweep(sweep.name))
        return Checked(name=sweep.name, exists=folder.exists(), conflict=_conflict(folder, sweep), faults=[])
    except SweepFileError as error:
        faults = [SweepFault(line=f.line, place=written(f.place), text=str(f)) for f in error.faults]
        return Checked(name=None, faults=faults or [SweepFault(line=None, place="", text=str(error))])


def _conflict(folder: SweepFolder, sweep: SweepFile) -> str | None:
    try:
        folder.refuse_another_search(sweep)
    except ValueError as fault:
        return str(fault)
    return None


def _read(text: str) -> SweepFile:
    return read_sweep(text, catalogue(Path.cwd()), title="sweep file")


@dataclass
class Runner:
    """Begins commands and knows what became of them."""

    home: Home
    _begun: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _words: dict[str, list[str]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def start(self, text: str) -> Started:
        """Runs a sweep file.

        Raises:
            SweepFileError: it has faults; nothing is begun.
            ValueError: a sweep of this name is being run, or was begun a moment ago.
        """
        sweep = _read(text)
        folder = SweepFolder(self.home.sweep(sweep.name))
        if folder.exists() and folder.is_held(folder.read()[1]):
            raise ValueError(f"sweep {sweep.name} is being run: stop it first, or give this one another name")
        file = self._space() / f"{sweep.name}.yaml"
        write_atomically(file, text)
        return self._begin(sweep.name, ["run", str(file)])

    def resume(self, folder: SweepFolder, trials: int | None, time_limit: str | None) -> Started:
        """Goes on with a sweep. Raises ValueError where it is being run, or more trials have ended than it may have."""
        where = folder.read()[1]
        ended = folder.store(where).ended()
        if trials is not None and trials < ended:
            raise ValueError(f"{ended} trials of {folder.name} have ended already: give {ended} or more")
        if folder.is_held(folder.read()[1]):
            raise ValueError(f"sweep {folder.name} is being run already")
        further = ["--trials", str(trials)] if trials is not None else []
        further += ["--time-limit", time_limit] if time_limit is not None else []
        return self._begin(folder.name, ["resume", folder.name, *further])

    def submit(self, text: str, address: str) -> Started:
        """Sends a sweep to a cluster's job server. Raises SweepFileError where it has faults."""
        sweep = _read(text)
        file = self._space() / f"{sweep.name}.yaml"
        write_atomically(file, text)
        return self._begin(sweep.name, ["submit", str(file), "--address", address, "--detach"])

    def stop(self, folder: SweepFolder) -> str:
        """Asks a sweep's driver to stop, wherever it is. Raises ValueError where nobody runs it."""
        holder = ask_to_stop(folder.drivers(folder.read()[1]))
        if holder is None:
            raise ValueError(f"sweep {folder.name} is not being run")
        return f"asked {holder} to stop; what finished is kept"

    def state(self, name: str) -> Started | None:
        """What became of the command last begun for a sweep; None where none was."""
        with self._lock:
            process, words = self._begun.get(name), self._words.get(name, [])
        if process is None:
            return None
        code, folder = process.poll(), SweepFolder(self.home.sweep(name))
        state: Literal["starting", "running", "ended"] = "ended" if code is not None else "starting"
        with suppress(ValueError):
            if code is None and folder.exists() and folder.is_held(folder.read()[1]):
                state = "running"
        command = join(["sparsweep", *words])
        return Started(sweep=name, state=state, code=code, said=self._said(name), command=command)

    def _begin(self, name: str, words: Sequence[str]) -> Started:
        with suppress(KeyError, subprocess.TimeoutExpired):
            self._begun[name].wait(LEAVING_S)
        with self._lock:
            if name in self._begun and self._begun[name].poll() is None:
                raise ValueError(f"a command for sweep {name} is at work: wait until it has ended")
            with self._log(name).open("wb") as output:
                self._begun[name] = subprocess.Popen(
                    [sys.executable, "-m", "sparsweep.search.cli", *words], stdout=output, stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
            self._words[name] = list(words)
        begun = self.state(name)
        assert begun is not None
        return begun

    def _space(self) -> Path:
        folder = self.home.path / "ui"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _log(self, name: str) -> Path:
        return self._space() / f"{name}.log"

    def _said(self, name: str) -> str:
        with suppress(OSError), self._log(name).open("rb") as file:
            file.seek(max(self._log(name).stat().st_size - LAST_BYTES, 0))
            return file.read().decode(errors="replace")
        return ""

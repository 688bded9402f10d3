"""Faults of the driver: killed, started twice, suspended and continued."""

import random
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from sparsweep.search.lease import STALE_S
from tests.chaos.agreement import agree
from tests.chaos.drivers import ON_RAY, PATIENCE_S, SMALL, Driver, sweep_in, until
from tests.chaos.outcome import Findings, Outcome
from tests.chaos.processes import end_all, gone

KILLS = 10


def driver_killed(folder: Path, kills: int = KILLS, trials: int = 36) -> Outcome:
    """Killed at any moment: while it imports, starts Ray, replays, searches. Never let come to its end.

    Half of the time its trials are on Ray from the first one on, otherwise Ray never begins.
    """
    findings = Findings(
        f"kill -9 of the driver at a random moment, {kills} times in one sweep",
        f"after the last resume exactly {trials} trials, each once everywhere; the frontier is that of the records",
    )
    moment = random.Random()
    with sweep_in(folder, text=SMALL.replace("epochs: 2", "epochs: 40")) as sweep:
        done: list[int] = []
        recovered: list[float] = []
        words = ("run", "small.yaml", "--trials", str(trials))
        for _ in range(kills):
            driver = sweep.start(*words, *moment.choice([(), ON_RAY]))
            began, before = time.monotonic(), len(sweep.finished())
            if (sweep.path / "sweep.json").exists():
                words = ("resume", "small")
            if moment.random() < 0.3:  # before it has begun to work
                time.sleep(moment.uniform(0, 6))
            else:
                sweep.wait_for(before + 1, driver)
                recovered.append(time.monotonic() - began)
                time.sleep(moment.uniform(0, 2))
            findings.must("the sweep was at work when it was killed", driver.process.poll() is None, driver.text)
            left = driver.kill()
            done.append(len(sweep.finished()))
            until(lambda left=left: gone(left), "the end of the killed driver's processes")  # type: ignore[misc]
        findings.must("trials were left after the last kill", done[-1] < trials, done)
        code, text = sweep.run(*words)
        findings.must("the last resume ends well", code == 0, text)
        agree(findings, sweep, trials)
        attempts = sum(len(list(trial.glob("attempt-*"))) for trial in sweep.trials.iterdir())
        findings.recover_s = max(recovered)
        findings.note(f"killed with {', '.join(map(str, done))} of {trials} trials done; {attempts} attempts in all")
    return findings.outcome()


def two_drivers(folder: Path) -> Outcome:
    """The second one is refused while the first works, and not a moment longer."""
    findings = Findings(
        "a second driver with the same name", "refused with the holder named; the first one is not disturbed"
    )
    with sweep_in(folder) as sweep:
        first = sweep.begin()
        sweep.wait_for(1, first)
        code, text = sweep.run("resume", "small")
        findings.must("the second is refused", code == 2, (code, text))
        findings.must("the holder is named", f"is being run by process {first.process.pid} on " in text, text)
        findings.no_traceback(text)
        findings.must("the first ends well", first.end() == 0, first.text)
        findings.note(text.strip().splitlines()[-1])
        agree(findings, sweep, 4)
    return findings.outcome()


def _suspend_between_writes(driver: Driver, home: Path) -> None:
    """Not in the middle of one: SQLite, unlike a server, leaves a suspended process its lock, and nobody can go on."""
    while True:
        driver.send(signal.SIGSTOP)
        if not any(_locked(file) for file in home.glob("*.db")):
            return
        driver.send(signal.SIGCONT)
        time.sleep(0.5)


def _locked(file: Path) -> bool:
    """Whether another process is in the middle of writing to the database."""
    with closing(sqlite3.connect(file, timeout=0.1, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        database.execute("ROLLBACK")
        return False


def driver_suspended(folder: Path) -> Outcome:
    """SIGSTOP to the driver alone: its Ray works on, as that of a driver cut off from everything would."""
    findings = Findings(
        f"a driver suspended (SIGSTOP), its sweep resumed by another after {STALE_S:.0f} s, then continued (SIGCONT)",
        "it finds itself fenced out and ends with a line that says so; nothing it writes counts; its Ray ends",
    )
    trials = 16
    with sweep_in(folder, text=SMALL.replace("epochs: 2", "epochs: 10")) as sweep:
        old = sweep.begin("--trials", str(trials), *ON_RAY)
        sweep.wait_for(2, old)
        family = old.family()
        _suspend_between_writes(old, sweep.home)
        stopped = time.monotonic()
        code, text = sweep.run("resume", "small")
        findings.must("a resume at once is refused", code == 2 and "is being run by" in text, text)
        time.sleep(max(0.0, STALE_S + 2 - (time.monotonic() - stopped)))
        before = len(sweep.finished())
        new = sweep.start("resume", "small")
        sweep.wait_for(before + 3, new)
        old.send(signal.SIGCONT)
        woken = time.monotonic()
        old.end()
        findings.recover_s = time.monotonic() - woken
        findings.must("it ends as stopped", old.process.returncode == 130, old.process.returncode)
        told = old.lines_with("taken over by process")
        findings.must(
            "it says who took over, in one line", len(told) == 1 and str(new.process.pid) in told[0], old.text
        )
        findings.no_traceback(old.text)
        findings.must("it registers nothing and shows no frontier", "registered models:" not in old.text, old.text)
        until(lambda: gone(family), "the end of the fenced driver's Ray", PATIENCE_S)
        findings.must("the new driver ends well", new.end() == 0, new.text)
        findings.note(f"ended {findings.recover_s:.1f} s after SIGCONT: {told[0] if told else ''}")
        agree(findings, sweep, trials)
        end_all(family)
    return findings.outcome()

"""Files of a finished or interrupted sweep damaged, and a disk that is full."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.agreement import agree
from tests.chaos.drivers import ON_RAY, SMALL, Sweep, sweep_in, until
from tests.chaos.outcome import Findings, Outcome
from tests.chaos.processes import end_all, workers_of


def halved(path: Path) -> None:
    """As a crash of the machine leaves it: the first half."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def garbage(path: Path) -> None:
    """As a broken disk leaves it."""
    path.write_bytes(bytes(range(256)) * 4)


def checkpoint_half_written(folder: Path) -> Outcome:
    """The machine dies while a trial is at work; of its checkpoint the first half is left."""
    findings = Findings(
        "the newest checkpoint half-written", "the trial goes on from the last good one, or from its start, and is done"
    )
    with sweep_in(folder, text=SMALL.replace("epochs: 2", "epochs: 300")) as sweep:
        driver = sweep.begin("--trials", "2", *ON_RAY)
        path = until(lambda: next(sweep.trials.glob("*/attempt-1/checkpoint.pt"), None), "a checkpoint")
        end_all([*driver.family()])
        driver.kill()
        halved(path)
        number = int(path.parent.parent.name)
        left = [path.parent.name for path in sweep.trials.glob("*/result.json")]
        back = time.monotonic()
        code, text = sweep.run("resume", "small", "--trials", "2")
        findings.recover_s = time.monotonic() - back
        findings.must("resume ends well", code == 0, text)
        findings.no_traceback(text)
        record = json.loads((path.parent.parent / "result.json").read_text())
        outcome = (record["state"], record["attempt"])
        findings.must("the trial is done by a second attempt", outcome == ("done", 2), outcome)
        findings.must("what is wrong with the file is written beside", path.with_suffix(".unreadable.txt").exists())
        steps = [epoch["step"] for epoch in record["epochs"]]
        findings.must("no epoch is missing or doubled", steps == list(range(1, len(steps) + 1)) and len(steps) >= 300)
        findings.note(f"trial {number} began anew; {len(left)} trials were done before")
        agree(findings, sweep, 2)
    return findings.outcome()


def files_damaged(folder: Path) -> Outcome:
    """Each file in turn, halved and as garbage; then what the message says is done, and the sweep is whole again."""
    findings = Findings(
        "result.json, setting.json, sweep.json, measured.json, studies.db, mlflow.db truncated and overwritten",
        "a message that names the file and what to do, no traceback; done, the sweep is whole again",
    )
    with sweep_in(folder) as sweep:
        code, text = sweep.run("run", "small.yaml", "--inline", "--trials", "2")
        findings.must("the sweep ends well", code == 0, text)
        trial = sweep.trials / "00001"
        shutil.copy(sweep.path / "sweep.json", folder / "copy.json")
        for path in (trial / "result.json", trial / "setting.json", sweep.path / "measured.json",
                     sweep.home / "studies.db", sweep.home / "mlflow.db"):  # fmt: skip
            _refused(findings, sweep, path, halved, "resume", "small", "--inline")
            path.unlink()
            code, text = sweep.run("resume", "small", "--inline")
            findings.must(f"without {path.name} the sweep is whole again", code == 0, text)
            agree(findings, sweep, 2)
        for path in (trial / "result.json", sweep.home / "studies.db", sweep.home / "mlflow.db"):
            kept = path.read_bytes()
            _refused(findings, sweep, path, garbage, "resume", "small", "--inline")
            path.write_bytes(kept)
        for damage in (halved, garbage):
            _refused(findings, sweep, sweep.path / "sweep.json", damage, "status", "small")
            shutil.copy(folder / "copy.json", sweep.path / "sweep.json")
        garbage(sweep.path / "status.json")
        findings.must("a damaged status.json is passed over", sweep.answer("status", "small")["done"] == 2)
        agree(findings, sweep, 2)
    return findings.outcome()


def _refused(
    findings: Findings, sweep: Sweep, path: Path, damage: Callable[[Path], None], *words: str
) -> None:  # fmt: skip
    damage(path)
    code, text = sweep.run(*words)
    what = f"{damage.__name__} {path.name}"
    said = next((line for line in text.splitlines() if line.startswith("sparsweep: ")), "")
    findings.must(f"{what} is refused", code == 2, (code, text))
    findings.must(f"{what}: the file is named", path.name in said, text)
    findings.must(f"{what}: it is told what to do", any(w in said for w in ("delete it", "move it", "put a")), said)
    findings.no_traceback(text, what)


def can_mount() -> bool:
    """Whether a tiny file system can be made here."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


def disk_full(folder: Path) -> Outcome:
    """All of the sweep's state on a tiny file system, filled to the last byte while trials run, then emptied."""
    findings = Findings(
        "disk full on the driver and under its trials, room again after 20 s",
        "told in one line; no trial fails for it; the sweep goes on when there is room, and loses nothing",
    )
    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "chaos", str(small)], check=True)
    try:
        with sweep_in(folder / "work", text=SMALL.replace("epochs: 2", "epochs: 12"),
                      more={"SPARSWEEP_HOME": str(small / "state")}) as sweep:  # fmt: skip
            driver = sweep.begin("--trials", "12", *ON_RAY)
            sweep.wait_for(3, driver)
            until(lambda: workers_of(driver.family()), "a trial at work")
            _fill(small / "filler")
            time.sleep(20)
            ended = driver.process.poll()
            findings.must("the driver waits", ended is None, (ended, driver.text))
            (small / "filler").unlink()
            back, before = time.monotonic(), len(sweep.finished())
            sweep.wait_for(before + 1, driver)
            findings.recover_s = time.monotonic() - back
            findings.must("the sweep ends well", driver.end() == 0, driver.text)
            findings.must("it is told once", len(driver.lines_with("the disk is full")) == 1, driver.text)
            findings.no_traceback(driver.text)
            failed = [r["reason"] for r in sweep.records() if r["state"] == "failed"]
            findings.must("no trial failed", not failed, failed)
            findings.note("".join(driver.lines_with("the disk is full")).partition(": '")[0])
            again = sum(record["attempt"] > 1 for record in sweep.records())
            findings.note(f"{again} trials that found no room were begun again")
            if driver.left_some():
                sweep.run("resume", "small")
            agree(findings, sweep, 12)
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)
    return findings.outcome()


def _fill(path: Path) -> None:
    """Writes until nothing more goes in."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 2**20):
                pass
        except OSError:
            return

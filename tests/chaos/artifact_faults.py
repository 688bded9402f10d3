"""The artifact store takes nothing: from the start, or from some moment on."""

import os
import shutil
import time
from pathlib import Path

from tests.chaos.agreement import agree
from tests.chaos.drivers import sweep_in
from tests.chaos.outcome import Findings, Outcome
from tests.chaos.store_faults import OUTAGE


def artifacts_refused(folder: Path) -> Outcome:
    """The folder of the artifacts is a file: whatever is written there fails, for root as well."""
    findings = Findings(
        "the artifact store takes nothing",
        "the sweep says so, goes on and ends with its frontier; sparsweep resume publishes",
    )
    with sweep_in(folder) as sweep:
        sweep.home.mkdir()
        (sweep.home / "artifacts").write_text("not a folder")
        driver = sweep.begin()
        findings.must("the sweep ends with a frontier", driver.end() == 0, driver.text)
        findings.must("it says so", bool(driver.lines_with(OUTAGE)), driver.text)
        findings.must("it says what to do", bool(driver.lines_with("sparsweep resume small")) or
                      bool(driver.lines_with("sparsweep resume writes them later")), driver.text)  # fmt: skip
        findings.must("it does not say that it registered", "registered models:" not in driver.text, driver.text)
        findings.no_traceback(driver.text)
        findings.note("; ".join(driver.lines_with("sparsweep resume")))
        (sweep.home / "artifacts").unlink()
        back = time.monotonic()
        code, text = sweep.run("resume", "small")
        findings.recover_s = time.monotonic() - back
        findings.must("resume publishes", code == 0 and "registered models:/small@knee" in text, text)
        agree(findings, sweep, 4)
    return findings.outcome()


def artifacts_lost_while_running(folder: Path) -> Outcome:
    """The folder breaks after the sweep has begun to use it."""
    findings = Findings(
        "the artifact store breaks while trials run",
        "trials are recorded; the sweep ends with its frontier and says what is missing; sparsweep resume publishes",
    )
    with sweep_in(folder) as sweep:
        driver = sweep.begin("--trials", "8")
        sweep.wait_for(2, driver)
        artifacts = sweep.home / "artifacts"
        while not (artifacts / "small").exists() and driver.process.poll() is None:
            time.sleep(0.05)
        time.sleep(1)
        os.rename(artifacts, folder / "aside")
        artifacts.write_text("not a folder")
        findings.must("the sweep ends with a frontier", driver.end() == 0, driver.text)
        told = driver.lines_with("sparsweep resume small registers it later")
        findings.must("it says what to do, in one line", len(told) == 1, driver.text)
        findings.no_traceback(driver.text)
        findings.note("; ".join(driver.lines_with("sparsweep resume")))
        artifacts.unlink()
        shutil.move(folder / "aside", artifacts)
        back = time.monotonic()
        code, text = sweep.run("resume", "small")
        findings.recover_s = time.monotonic() - back
        findings.must("resume publishes", code == 0 and "registered models:/small@knee" in text, text)
        agree(findings, sweep, 8)
    return findings.outcome()

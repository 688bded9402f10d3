"""Faults of the stores: tracking server, database, artifact folder."""

import contextlib
import threading
import time
from pathlib import Path

from tests.chaos.agreement import agree
from tests.chaos.drivers import SMALL, Driver, Sweep, sweep_in
from tests.chaos.outcome import Findings, Outcome
from tests.chaos.servers import MlflowServer, Wire, mlflow_server, postgres

OUTAGE = "do not answer"
"""What is said, once, of record stores that are away; of a study `does not answer`."""


def tracking_server_down(folder: Path, down_s: float = 60.0, trials: int = 100) -> Outcome:
    """kill -9 of the server; trials of about 2 s go on meanwhile."""
    findings = Findings(
        f"the tracking server killed, back after {down_s:.0f} s",
        "training goes on; nothing lost, nothing doubled; the outage is told in one line",
    )
    text = SMALL.replace("epochs: 2", "epochs: 12")
    with mlflow_server(folder / "server") as server, sweep_in(folder, text=text) as sweep:
        driver = sweep.begin("--tracking-uri", server.address, "--trials", str(trials))
        sweep.wait_for(3, driver)
        before = len(sweep.finished())
        server.kill()
        time.sleep(down_s)
        during = len(sweep.finished()) - before
        server.start()
        back = time.monotonic()
        _ends(findings, sweep, driver, back)
        findings.must("trials ended while the server was away", during > 0)
        findings.must("the outage is told in one line", len(driver.lines_with(OUTAGE)) == 1, driver.text)
        findings.must("that it is over, too", len(driver.lines_with("records are being taken again")) == 1, driver.text)
        findings.note(f"{during} trials ended while it was away")
        agree(findings, sweep, trials, tracking=server.address)
    return findings.outcome()


def _ends(findings: Findings, sweep: Sweep, driver: Driver, back: float) -> None:
    """Waits until MLflow is written again, then for the end; a sweep that ended too early is resumed."""
    while driver.process.poll() is None and not driver.lines_with("records are being taken again"):
        time.sleep(0.1)
    findings.recover_s = time.monotonic() - back
    findings.must("the sweep ends well", driver.end() == 0, driver.text)
    findings.no_traceback(driver.text)
    if driver.left_some():
        findings.note("the rest was written by sparsweep resume")
        code, text = sweep.run("resume", sweep.name)
        findings.must("the resume ends well", code == 0, text)


def server_killed_in_a_batch(folder: Path, trials: int = 40) -> Outcome:
    """The server has taken the call, the answer never comes: the client cannot know. Started again each time."""
    findings = Findings(
        "the tracking server killed when it had taken a create_run, a log_batch, an update but had not answered",
        "nothing lost, nothing doubled; at most one line an outage",
    )
    text = SMALL.replace("epochs: 2", "epochs: 12")
    with mlflow_server(folder / "server") as server, sweep_in(folder, text=text) as sweep:
        kills = _Kills(server, ["/runs/create", "/runs/log-batch", "/runs/update"])
        wire = Wire(server.port, kills.answered)
        wire.start()
        keeper = threading.Thread(target=kills.keep_up, daemon=True)
        keeper.start()
        try:
            driver = sweep.begin("--tracking-uri", f"http://127.0.0.1:{wire.port}", "--trials", str(trials))
            sweep.wait_for(2, driver)
            kills.armed = True
            findings.must("the sweep ends well", driver.end() == 0, driver.text)
            kills.calm.set()
            keeper.join()
            findings.must("a create and a batch were hit", len(kills.hit) >= 2, kills.hit)
            findings.no_traceback(driver.text)
            told = len(driver.lines_with(OUTAGE))
            findings.must("at most one line an outage", told <= len(kills.hit), driver.text)
            if driver.left_some():
                code, said = sweep.run("resume", "small")
                findings.must("the resume ends well", code == 0, said)
                findings.note("the rest was written by sparsweep resume")
            findings.note(f"killed in {', '.join(kills.hit)}; {told} lines about it")
            agree(findings, sweep, trials, tracking=server.address)
            findings.must("no metric entry twice", _doubled_entries(server.address, "small") == 0)
        finally:
            kills.calm.set()
            keeper.join()
            wire.close()
    return findings.outcome()


class _Kills:
    """Kills the server when it answers the next call of the list."""

    def __init__(self, server: MlflowServer, calls: list[str]) -> None:
        self.server, self.left, self.hit, self.armed = server, calls, list[str](), False
        self.calm = threading.Event()

    def keep_up(self) -> None:
        """Starts the server again some seconds after each kill, so late that the client's first retries fail."""
        while not self.calm.wait(0.2) or self.server.process is None:
            if self.server.process is None:
                time.sleep(8)
                self.server.start()
                self.armed = not self.calm.is_set()

    def answered(self, asked: str) -> bool:
        call = next((call for call in self.left if call in asked), None)
        if call is None or not self.armed or self.calm.is_set():
            return False
        self.armed = False
        self.server.kill()
        self.left.remove(call)
        self.hit.append(call.rpartition("/")[2])
        return True


def _doubled_entries(uri: str, name: str) -> int:
    """How many metric entries are there more than once."""
    from sparsweep.search.with_mlflow.store import client_of

    client, doubled = client_of(uri), 0
    experiment = client.get_experiment_by_name(f"sparsweep/{name}")
    for run in client.search_runs([experiment.experiment_id], max_results=1000):
        for key in run.data.metrics:
            history = [(m.step, m.timestamp) for m in client.get_metric_history(run.info.run_id, key)]
            doubled += len(history) - len(set(history))
    return doubled


def database_restarted(folder: Path, down_s: float = 15.0, trials: int = 40) -> Outcome:
    """One PostgreSQL behind the study and behind the tracking server, stopped and started."""
    findings = Findings(
        f"PostgreSQL (of the study and of MLflow) restarted in mid-sweep, {down_s:.0f} s away",
        "trials at work go on; nothing lost, nothing doubled; told in one line each by study and MLflow",
    )
    text = SMALL.replace("epochs: 2", "epochs: 12")
    with contextlib.ExitStack() as ends:
        database = ends.enter_context(postgres(folder / "postgres"))
        server = ends.enter_context(mlflow_server(folder / "server", database.uri("mlflow")))
        more = {"SPARSWEEP_STUDY_STORAGE": database.uri("studies")}
        sweep = ends.enter_context(sweep_in(folder, text=text, more=more))
        driver = sweep.begin("--tracking-uri", server.address, "--trials", str(trials))
        sweep.wait_for(3, driver)
        database.stop()
        time.sleep(down_s)
        database.start()
        back, before = time.monotonic(), len(sweep.finished())
        sweep.wait_for(before + 3, driver)
        findings.recover_s = time.monotonic() - back
        findings.must("the sweep ends well", driver.end() == 0, driver.text)
        findings.no_traceback(driver.text)
        for part in ("the study does not answer", "the sweep goes on after"):
            findings.must(f"'{part}' is told once", len(driver.lines_with(part)) == 1, driver.text)
        findings.must("MLflow's outage in at most one line", len(driver.lines_with(OUTAGE)) <= 1, driver.text)
        secret = database.state.secrets()["studies_database"]
        findings.must("no password is printed", secret not in driver.text)
        if driver.left_some():
            sweep.run("resume", "small")
        agree(findings, sweep, trials, tracking=server.address, study=more["SPARSWEEP_STUDY_STORAGE"])
    return findings.outcome()

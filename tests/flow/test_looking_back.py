"""What can be asked of a sweep that has ended: its report, its studies in optuna-dashboard, its index of points."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from sparsweep.search.delivery import frontier_indexed, frontier_now
from sparsweep.search.sweep_folder import SweepFolder
from sparsweep.trainables.point import Latency
from sparsweep.trainables.record import TrialFolder, TrialRecord
from tests.flow.conftest import Shell, Swept

TIMED = Latency(
    batch=32, latency_ms=1.0, dense_latency_ms=2.0, speedup=2.0, iqr_share=0.02, pairs=21, device="a processor",
    threads=1, runtime="eager",
)  # fmt: skip


def test_the_report_in_text_tells_budget_frontier_growth_and_knobs(swept: Swept) -> None:
    shell, _ = swept
    said = shell.run("report", "small")
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0] == "small: finished, 4 of 4 trials have ended"
    assert re.fullmatch(r"spent [\d.]+ CPU h", lines[1])
    assert lines[2] == "the search has ended: all 4 trials have ended"
    assert "what the worth of a trial's curve (accuracy x MACs removed and sparsity) depends on:" in lines
    assert re.search(r"^  +\d+%  gasl\.sparsity_strength|^  +\d+%  sparsity_strength", said.stdout, re.MULTILINE)


def test_the_report_as_a_page(swept: Swept, tmp_path: Path) -> None:
    shell, _ = swept
    said = shell.run("report", "small", "--html")
    assert said.returncode == 0, said.stderr
    page = shell.home / "sweeps" / "small" / "report.html"
    assert said.stdout == f"wrote {page}\n"
    text = page.read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", text)[:2] == ["what was found", "hypervolume over time"]
    elsewhere = shell.run("report", "small", "--html", str(tmp_path / "other.html"))
    assert elsewhere.returncode == 0, elsewhere.stderr
    other = (tmp_path / "other.html").read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", other) == re.findall("<h2>(.*?)</h2>", text)
    for name, told in (("report.pdf", "end the name in .html"), ("absent/report.html", "create it first")):
        refused = shell.run("report", "small", "--html", str(tmp_path / name))
        assert refused.returncode == 2
        assert told in refused.stderr


def test_what_was_spent_and_why_it_ended_are_in_the_status_and_in_mlflow(swept: Swept) -> None:
    from sparsweep.search import with_mlflow

    shell, ended = swept
    assert "the search has ended: all 4 trials have ended" in ended.stdout
    state = json.loads(shell.run("status", "small", "--json").stdout)
    records = [json.loads(p.read_text()) for p in (shell.home / "sweeps/small/trials").glob("*/result.json")]
    assert all(record["slot"] == {"cpu": 1.0, "gpu": 0.0} for record in records)
    seconds = sum((record["ended_ms"] - record["started_ms"]) / 1e3 + record["earlier_s"] for record in records)
    assert state["spent"] == {
        "trials": 4, "cpu_hours": pytest.approx(seconds / 3600), "gpu_hours": 0.0, "cost": None,
    }  # fmt: skip
    assert state["ended"] == "all 4 trials have ended"
    said = shell.run("status", "small").stdout
    assert re.search(r"^spent [\d.]+ CPU h$", said, re.MULTILINE)
    assert "the search has ended: all 4 trials have ended" in said.splitlines()
    with_mlflow.settle()
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{shell.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sparsweep/small")
    assert experiment is not None
    (parent,) = [r for r in client.search_runs([experiment.experiment_id]) if "sparsweep.sweep" in r.data.tags]
    assert parent.data.tags["sparsweep.ended"] == "all 4 trials have ended"


def test_the_driver_leaves_an_index_that_gives_the_same_frontier_without_the_records(
    swept: Swept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shell, _ = swept
    folder = SweepFolder(shutil.copytree(shell.home / "sweeps" / "small", tmp_path / "small"))
    sweep, where = folder.read()
    _, points = frontier_now(sweep, folder, folder.store(where))
    folder.note((point, {"latency": [vars(TIMED)]}) for point in points)  # a busy machine could time none
    afresh, points = frontier_now(sweep, folder, folder.store(where))

    def unread(self: TrialFolder) -> TrialRecord | None:
        raise AssertionError(f"{self.path} was read")

    monkeypatch.setattr(TrialFolder, "record", unread)
    assert frontier_indexed(sweep, folder, where) == (afresh, len(points))
    assert all(point.timing == TIMED for point in afresh.points)


def answer(url: str) -> Any:
    with urlopen(url, timeout=20) as response:
        return json.load(response)


@pytest.fixture
def dashboard(swept: Swept) -> Iterator[str]:
    """The address of optuna-dashboard on the sweep's studies; its process is ended afterwards."""
    shell: Shell = swept[0]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("optuna-dashboard")), f"sqlite:///{shell.home / 'studies.db'}",
        "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                answer(f"{url}/api/studies")
                break
            except URLError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert "Traceback" not in said


def test_optuna_dashboard_shows_both_studies(swept: Swept, dashboard: str) -> None:
    shell, _ = swept
    studies = {study["study_name"]: study for study in answer(f"{dashboard}/api/studies")["study_summaries"]}
    assert set(studies) == {"small", "small/points"}
    assert (studies["small"]["directions"], studies["small/points"]["directions"]) == (["maximize"], ["maximize"] * 3)
    curves = answer(f"{dashboard}/api/studies/{studies['small']['study_id']}?after=0")
    assert [(trial["number"], trial["state"]) for trial in curves["trials"]] == [(n, "Complete") for n in range(4)]
    assert all(0 < trial["values"][0] < 1 for trial in curves["trials"])
    assert curves["objective_names"] == ["curve_value"]
    points = answer(f"{dashboard}/api/studies/{studies['small/points']['study_id']}?after=0")
    assert points["objective_names"] == ["accuracy", "macs_removed", "sparsity"]
    told = {
        attribute["value"].strip('"'): trial["values"]
        for trial in points["trials"]
        for attribute in trial["user_attrs"]
        if attribute["key"] == "point"
    }
    kept = [
        (f"{point['trial']:05d}/{point['cut']}", point)
        for path in (shell.home / "sweeps/small/trials").glob("*/result.json")
        for point in json.loads(path.read_text())["points"]
        if point["network"] is not None and point["accuracy"] >= 0.3
    ]
    assert kept
    assert told == {
        name: pytest.approx([p["accuracy"], 1 - p["macs"] / p["dense_macs"], p["sparsity"]]) for name, p in kept
    }

"""The record and the registry against a real SQLite store and a real `mlflow server`."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from torch import nn

from sparsweep.search.with_mlflow import (
    Ledger,
    Publication,
    Registry,
    SweepFacts,
    git_commit,
    prepare_store,
    reachable,
    without_password,
)
from sparsweep.search.with_mlflow.store import client_of
from sparsweep.trainables.point import Latency, Point
from sparsweep.trainables.record import Epoch, TrialRecord

pytestmark = [
    # SQLAlchemy 2.1 about MLflow 3.17's tables
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    # MLflow 3.17 about its own types while mlflow.pyfunc is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

START = 1_700_000_000_000


def a_point(trial: int = 0, cut: str = "00", accuracy: float = 0.9, sparsity: float = 0.5) -> Point:
    latency = Latency(
        batch=32, latency_ms=1.0, dense_latency_ms=4.0, speedup=4.0, iqr_share=0.02, pairs=9, device="cpu", threads=1,
        runtime="torch",
    )  # fmt: skip
    return Point(
        trial=trial, cut=cut, method="gasl", threshold=0.1, accuracy=accuracy, sparsity=sparsity, layer_sparsity=0.4,
        weights_left=50, macs=25, macs_ideal=20, dense_macs=100, size_bytes=300, dense_size_bytes=1200, widths=(2, 3),
        setting={"method": "gasl", "sparsity_strength": 0.001}, latency=(latency,),
    )  # fmt: skip


def a_record(number: int = 0, *, failed: str | None = None) -> TrialRecord:
    epochs = tuple(
        Epoch(step=s, phase="train", loss=1 / s, accuracy=0.3 * s, ended_ms=START + s * 100) for s in (1, 2, 3)
    )
    cuts = (a_point(number, "own"), a_point(number, "00", 0.95, 0.2), a_point(number, "01", 0.91, 0.8))
    return TrialRecord(
        number=number, attempt=1, setting={"method": "gasl", "sparsity_strength": 0.001}, seed=7,
        state="failed" if failed else "done", reason=failed, points=() if failed else cuts, epochs=epochs,
        started_ms=START, ended_ms=START + 1000, seconds={"train": 0.5}, environment={"torch": "2.13.0"},
    )  # fmt: skip


def some_facts(name: str, **changes: object) -> SweepFacts:
    params = {"task": "digits", "trials": 24, **changes}
    return SweepFacts(
        name=name, params=params, fingerprint="f00d", seed=0, sweep_yaml="name: digits\n", environment={"ray": "2.60"},
        commit="abc123",
    )  # fmt: skip


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    prepare_store(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def server(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an `mlflow server` of this session's own."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(template, folder / "mlflow.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts",
    ]  # fmt: skip
    log = (folder / "log").open("w")
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", folder / "log", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


def _wait_for(address: str, log: Path, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(1800):
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture
def sqlite(template: Path, tmp_path: Path) -> str:
    """URI of a SQLite store of the test's own, in a folder with a space."""
    (tmp_path / "a home").mkdir()
    return f"sqlite:///{shutil.copy(template, tmp_path / 'a home' / 'mlflow.db')}"


@pytest.fixture(params=["sqlite", "server"])
def uri(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def opened(uri: str, tmp_path: Path, facts: SweepFacts) -> Ledger:
    return Ledger.open(tracking_uri=uri, artifact_root=_root(uri, tmp_path), facts=facts)


def _root(uri: str, tmp_path: Path) -> str | None:
    return str(tmp_path / "a home" / "artifacts") if uri.startswith("sqlite") else None


def children(ledger: Ledger) -> list[Any]:
    wanted = f"tags.`mlflow.parentRunId` = '{ledger.run_id}'"
    return list(ledger.client.search_runs([ledger.experiment_id], wanted))


def history(ledger: Ledger, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in ledger.client.get_metric_history(run_id, name)]


def names_of(ledger: Ledger) -> set[str]:
    return {file.path for file in ledger.client.list_artifacts(ledger.run_id)}


def test_a_trial_is_one_nested_run_however_often_it_is_logged(uri: str, tmp_path: Path) -> None:
    for _ in range(2):
        ledger = opened(uri, tmp_path, some_facts("twice"))
        for _ in range(2):
            run_id = ledger.log_trial(a_record(0), curve_value=0.6)

    (run,) = children(ledger)
    assert (run.info.run_id, run.info.status, run.info.run_name) == (run_id, "FINISHED", "00000 gasl")
    assert (run.info.start_time, run.info.end_time) == (START, START + 1000)
    assert run.data.params == {"method": "gasl", "sparsity_strength": "0.001", "seed": "7"}
    assert run.data.tags["sparsweep.trial"] == "twice/00000"
    assert run.data.tags["environment.torch"] == "2.13.0"
    assert history(ledger, run_id, "accuracy") == [(1, 0.3), (2, 0.6), (3, pytest.approx(0.9))]
    assert history(ledger, run_id, "cut/sparsity") == [(0, 0.2), (1, 0.8)]
    assert run.data.metrics["own/macs_removed"] == 0.75
    assert (run.data.metrics["best_accuracy"], run.data.metrics["curve_hypervolume"]) == (0.95, 0.6)


def test_the_parent_carries_the_sweep_and_its_frontier(uri: str, tmp_path: Path) -> None:
    picture = tmp_path / "frontier.html"
    picture.write_text("<p>")
    for trials in (24, 48):
        ledger = opened(uri, tmp_path, some_facts("parent", trials=trials))
        ledger.log_frontier({"hypervolume": 0.5}, [picture], [(1, START, 0.4), (2, START + 5, 0.5)])
        ledger.log_frontier(
            {"hypervolume": 0.6}, [picture], [(1, START, 0.4), (2, START + 7, 0.6), (3, START + 9, 0.6)]
        )
        ledger.finish()
        ledger.finish()

    parent = ledger.client.get_run(ledger.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"task": "digits", "trials": "24"}, "MLflow writes a parameter once"
    assert parent.data.tags["sparsweep.fingerprint"] == "f00d"
    assert parent.data.tags["mlflow.source.git.commit"] == "abc123"
    assert names_of(ledger) == {"sweep.yaml", "environment.json", "frontier.json", "frontier.html"}
    assert history(ledger, ledger.run_id, "hypervolume") == [(1, 0.4), (2, 0.5), (3, 0.6)]
    assert len(ledger.client.search_runs([ledger.experiment_id])) == 1


def test_a_half_logged_trial_is_completed(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = opened(uri, tmp_path, some_facts("half"))
    with monkeypatch.context() as broken:
        broken.setattr(ledger.client, "set_terminated", lambda *a, **k: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception, match="killed"):
            ledger.log_trial(a_record(3))
    assert [run.info.status for run in children(ledger)] == ["RUNNING"]

    run_id = opened(uri, tmp_path, some_facts("half")).log_trial(a_record(3))
    assert [(run.info.run_id, run.info.status) for run in children(ledger)] == [(run_id, "FINISHED")]
    assert len(history(ledger, run_id, "loss")) == 3


def test_a_trial_that_was_broken_off_is_completed_by_its_record(uri: str, tmp_path: Path) -> None:
    whole = a_record()
    seen = tuple(point.with_(at_ms=START + 400 + at) for at, point in enumerate(whole.points))
    broken = replace(whole, state="unfinished", points=seen[:2], ended_ms=START + 500)
    ledger = Ledger.open(tracking_uri=uri, artifact_root=str(tmp_path / "artifacts"), facts=some_facts("broken"))
    run_id = ledger.log_trial(broken)
    run = ledger.client.get_run(run_id)
    assert (run.info.status, run.data.tags["sparsweep.state"]) == ("KILLED", "unfinished")
    again = Ledger.open(tracking_uri=uri, artifact_root=str(tmp_path / "artifacts"), facts=some_facts("broken"))
    assert again.run_of(0) == run_id
    assert again.log_trial(replace(whole, points=seen)) == run_id
    run = ledger.client.get_run(run_id)
    assert (run.info.status, run.data.tags["sparsweep.state"]) == ("FINISHED", "done")
    assert run.data.metrics["points"] == 3
    values = [(m.step, m.value) for m in ledger.client.get_metric_history(run_id, "cut/accuracy")]
    assert values == [(0, 0.95), (1, 0.91)], "no cut stands there twice"


def test_a_run_whose_creation_was_never_answered_is_found_again(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = opened(sqlite, tmp_path, some_facts("lost"))
    create = ledger.client.create_run

    def unanswered(*args: object, **named: object) -> None:
        create(*args, **named)
        raise ConnectionError("gone")

    with monkeypatch.context() as broken:
        broken.setattr(ledger.client, "create_run", unanswered)
        with pytest.raises(ConnectionError, match="gone"):
            ledger.log_trial(a_record(0))
    ledger.log_trial(a_record(0))
    assert len(children(ledger)) == 1


def test_a_failed_trial_says_why(uri: str, tmp_path: Path) -> None:
    ledger = opened(uri, tmp_path, some_facts("failed"))
    ledger.log_trial(a_record(0, failed="diverged: loss is nan in epoch 4"))
    (run,) = children(ledger)
    assert run.info.status == "FAILED"
    assert (
        run.data.tags["sparsweep.reason"] == run.data.tags["mlflow.note.content"] == "diverged: loss is nan in epoch 4"
    )
    assert "cut/accuracy" not in run.data.metrics


def test_a_long_record_is_split_to_mlflows_limits(sqlite: str, tmp_path: Path) -> None:
    epochs = tuple(Epoch(step=s, phase="train", loss=s, accuracy=0.5, ended_ms=START + s) for s in range(1, 1001))
    setting = {"method": "gasl"} | {f"knob{k}": k for k in range(150)}
    record = TrialRecord(**{**vars(a_record(0)), "epochs": epochs, "setting": setting})
    ledger = opened(sqlite, tmp_path, some_facts("long"))
    run_id = ledger.log_trial(record)
    assert len(history(ledger, run_id, "loss")) == 1000
    assert len(ledger.client.get_run(run_id).data.params) == 152


def test_a_database_needs_a_place_for_artifacts_and_a_deleted_experiment_is_named(sqlite: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="artifact_root is missing"):
        Ledger.open(tracking_uri=sqlite, artifact_root=None, facts=some_facts("x"))
    ledger = opened(sqlite, tmp_path, some_facts("gone"))
    ledger.client.delete_experiment(ledger.experiment_id)
    with pytest.raises(ValueError, match="sparsweep/gone was deleted: run `mlflow experiments restore -x"):
        opened(sqlite, tmp_path, some_facts("gone"))


def test_the_commit_of_a_folder(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    assert len(git_commit(tmp_path) or "") == 40


def a_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 10))


def a_publication(
    ledger: Ledger,
    model: str,
    tmp_path: Path,
    point: Point,
    network: nn.Module | torch.export.ExportedProgram | None = None,
) -> Publication:
    files = {"weights.safetensors": tmp_path / "w", "architecture.json": tmp_path / "a"}
    for path in files.values():
        path.write_text("{}")
    return Publication(
        model=model, sweep=ledger.sweep, point=point, fingerprint="f00d", network=network or a_network(),
        example=torch.zeros(2, 1, 8, 8), files=files, run_id=ledger.log_trial(a_record(point.trial)),
        tags={"device": "cpu"},
    )  # fmt: skip


def test_a_point_published_twice_is_one_version(uri: str, tmp_path: Path) -> None:
    ledger, registry = opened(uri, tmp_path, some_facts("publish")), Registry.open(tracking_uri=uri)
    point = a_point(0, "12", 0.97, 0.875)
    first = registry.publish(a_publication(ledger, "once", tmp_path, point))
    again = registry.publish(a_publication(ledger, "once", tmp_path, point.with_(test_accuracy=0.96)))

    assert (first, again) == ("1", "1")
    (info,) = registry.versions("once")
    assert info.point == "publish/00000/12"
    assert info.fingerprint == "f00d"
    assert info.run_id == ledger.run_of(0)
    assert (info.frontier, info.aliases) == (False, ())
    assert info.figures == point.with_(test_accuracy=0.96).figures()
    assert info.tags["device"] == "cpu"
    assert len(ledger.client.search_logged_models([ledger.experiment_id])) == 1

    folder = registry.download("once", "1", tmp_path / "out")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert {"MLmodel", "data/model.pt2", "sparsweep/weights.safetensors", "sparsweep/architecture.json"} <= names
    assert Point.from_json(json.loads((folder / "sparsweep/point.json").read_text())) == point
    part = registry.download("once", "1", tmp_path / "part", part="sparsweep")
    wanted = {"weights.safetensors", "architecture.json", "point.json", "task.json", "no_graph.txt"}
    assert {path.name for path in part.iterdir()} == wanted
    assert "no network.safetensors" in (part / "no_graph.txt").read_text()
    with pytest.raises(ValueError, match="version 1 of model once cannot be copied"):
        registry.download("once", "1", tmp_path / "nothing", part="other")
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(ValueError, match="out is not an empty folder"):
        registry.download("once", "1", tmp_path / "out")
    with pytest.raises(ValueError, match="model once has no version 9; it has 1"):
        registry.download("once", "9", tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_a_cut_that_was_made_again_otherwise_is_another_version(uri: str, tmp_path: Path) -> None:
    ledger, registry = opened(uri, tmp_path, some_facts("again")), Registry.open(tracking_uri=uri)
    first = a_point(0, "12", 0.97, 0.875)
    again = first.with_(accuracy=0.5, macs=first.macs - 1)
    made = [registry.publish(a_publication(ledger, "twice", tmp_path, point)) for point in (first, again, first)]
    assert made == ["1", "2", "1"]
    told = registry.versions("twice")
    assert [info.figures["accuracy"] for info in told] == [0.97, 0.5]
    assert {info.point for info in told} == {"again/00000/12"}
    assert len(ledger.client.search_logged_models([ledger.experiment_id])) == 2


def test_a_publication_that_was_killed_half_way_is_completed(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, registry = opened(sqlite, tmp_path, some_facts("killed")), Registry.open(tracking_uri=sqlite)
    publication = a_publication(ledger, "half", tmp_path, a_point())
    for step in ("log_model_artifacts", "create_model_version"):
        with monkeypatch.context() as broken:
            broken.setattr(registry.client, step, lambda *a, **k: pytest.fail("killed"))
            with pytest.raises(pytest.fail.Exception, match="killed"):
                registry.publish(publication)
    assert registry.publish(publication) == "1"
    assert len(ledger.client.search_logged_models([ledger.experiment_id])) == 1


def test_frontier_tags_and_aliases_follow_the_newest_frontier(uri: str, tmp_path: Path) -> None:
    ledger, registry = opened(uri, tmp_path, some_facts("aliases")), Registry.open(tracking_uri=uri)
    cuts = [a_point(0, cut) for cut in ("00", "01")]
    versions = [registry.publish(a_publication(ledger, "marks", tmp_path, point)) for point in cuts]
    registry.client.set_registered_model_alias("marks", "mine", "1")

    assert registry.mark_frontier("marks", set(versions), fingerprint="f00d") == 2
    assert registry.mark_frontier("marks", {"2"}, fingerprint="f00d") == 1
    assert registry.mark_frontier("marks", {"2"}, fingerprint="f00d") == 0
    assert registry.mark_frontier("marks", set(), fingerprint="another task") == 0
    for version in ("1", "2", "2"):
        registry.set_aliases("marks", {"knee": version, "sparsest": "2"})
    found = [(v.version, v.frontier, v.aliases) for v in registry.versions("marks")]
    assert found == [("1", False, ("mine",)), ("2", True, ("knee", "sparsest"))]


def test_an_unknown_model_is_answered_with_near_names(sqlite: str) -> None:
    registry = Registry.open(tracking_uri=sqlite)
    with pytest.raises(ValueError, match="no registered model digit; there is none yet: run a sweep first"):
        registry.versions("digit")
    registry.client.create_registered_model("digits")
    with pytest.raises(ValueError, match="no registered model digit; there is digits"):
        registry.versions("digit")
    with pytest.raises(ValueError, match="letters, digits, spaces"):
        registry.versions("a'b")


LOADS = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "sparsweep":
            raise ImportError(name + " is not installed here")
sys.meta_path.insert(0, Blocker())
import mlflow, torch
for uri in sys.argv[1:]:
    mlflow.set_tracking_uri(uri)
    for alias in ("module", "program"):
        network = mlflow.pytorch.load_model(f"models:/alone@{alias}")
        served = mlflow.pyfunc.load_model(f"models:/alone@{alias}")
        answers = [network(torch.ones(batch, 1, 8, 8)) for batch in (1, 2, 7)]
        answers.append(torch.tensor(served.predict(torch.ones(3, 1, 8, 8).numpy())))
        for answer in answers:
            print([round(v, 4) for v in answer[-1].tolist()])
"""


class Ours(nn.Module):
    """A class that only this file knows."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = a_network()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.inner(images)
        return answer


def test_a_version_loads_where_sparsweep_is_not_installed(server: str, sqlite: str, tmp_path: Path) -> None:
    network = Ours().eval()
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(network, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=(batch,))
    for uri in (server, sqlite):
        ledger, registry = opened(uri, tmp_path, some_facts("alone")), Registry.open(tracking_uri=uri)
        for alias, form in (("module", network), ("program", program)):
            version = registry.publish(a_publication(ledger, "alone", tmp_path, a_point(0, alias), form))
            registry.set_aliases("alone", {alias: version})

    command = [sys.executable, "-c", LOADS, server, sqlite]
    # With this MLflow refuses an archive that pickles anything but tensors and plain containers.
    strict = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    answer = subprocess.run(command, cwd=tmp_path, env=strict, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    expected = str([round(v, 4) for v in network(torch.ones(1, 1, 8, 8))[0].tolist()])
    assert answer.stdout.splitlines() == [expected] * 16


def test_nothing_of_it_leaks(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    ledger, registry = opened(sqlite, tmp_path, some_facts("quiet")), Registry.open(tracking_uri=sqlite)
    registry.publish(a_publication(ledger, "quiet", tmp_path, a_point()))
    registry.download("quiet", "1", tmp_path / "out")
    ledger.finish()
    assert list((tmp_path / "here").iterdir()) == [], "neither mlruns nor mlflow.db"
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert capfd.readouterr() == ("", "")


def test_a_trial_costs_three_requests_and_its_replay_none(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.tracking.rest_store import RestStore

    ledger = opened(server, tmp_path, some_facts("requests"))
    ledger.log_trial(a_record(0))
    asked: list[str] = []
    ask = RestStore._call_endpoint

    def counted(self: RestStore, api: type, *args: Any, **named: Any) -> Any:
        asked.append(api.__name__)
        return ask(self, api, *args, **named)

    monkeypatch.setattr(RestStore, "_call_endpoint", counted)
    for number in (1, 1, 0):
        ledger.log_trial(a_record(number), curve_value=0.5)
    assert asked == ["CreateRun", "LogBatch", "UpdateRun"]


def test_an_example_of_one_is_refused(sqlite: str, tmp_path: Path) -> None:
    ledger = opened(sqlite, tmp_path, some_facts("one"))
    publication = a_publication(ledger, "one", tmp_path, a_point())
    with pytest.raises(ValueError, match=r"example of shape \(1, 1, 8, 8\): its batch must be 2 or more"):
        Publication(**{**vars(publication), "example": torch.zeros(1, 1, 8, 8)})


def test_what_answers_is_reachable(server: str, sqlite: str, tmp_path: Path) -> None:
    reachable(server)
    reachable(sqlite)
    reachable(f"sqlite:///{tmp_path}/new/folder/mlflow.db")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://me:hush@127.0.0.1:9/x", r"http://me:\*\*\*@127.0.0.1:9/x: no MLflow server answers .*refused"),
        ("mlruns", "mlruns: MLflow keeps no record at such an address; give the http"),
        ("file:///tmp/mlruns", "MLflow keeps no record at such an address"),
        ("sqlite:///{tmp}", "not a database file; write sqlite:////absolute/path.db"),
        ("sqlite:///{tmp}/text", "SQLite cannot open it .*not a database"),
        ("postgresql+nodriver://u:hush@127.0.0.1:9/db", r"u:\*\*\*@127.0.0.1:9/db: the database does not let us in"),
    ],
)
def test_what_does_not_answer_is_one_message(uri: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is a text, not a database\n" * 40)
    started = time.monotonic()
    with pytest.raises(ValueError, match=message) as raised:
        reachable(uri.format(tmp=tmp_path))
    assert "hush" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert time.monotonic() - started < 6


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "it answers 401 Unauthorized; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (404, "it answers 404 Not Found; is it an MLflow server"),
        (200, "it answers, but not as an MLflow server does"),
    ],
)
def test_another_server_is_told_from_mlflow(status: int, message: str) -> None:
    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Web) as web:
        Thread(target=web.handle_request).start()
        with pytest.raises(ValueError, match=message):
            reachable(f"http://127.0.0.1:{web.server_port}")


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ValueError, match=r"no answer within 0.3 s|timed out"):
            reachable(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.3)


def test_passwords_are_not_shown() -> None:
    assert without_password("postgresql://u:p@s@host/db?sslmode=x") == "postgresql://u:***@host/db?sslmode=x"
    assert without_password("postgresql://host/db?user=u&password=p&a=b") == (
        "postgresql://host/db?user=u&password=***&a=b"
    )
    assert without_password("sqlite:////home/me/mlflow.db") == "sqlite:////home/me/mlflow.db"


MAKES = "import sys; from sparsweep.search.with_mlflow import prepare_store; prepare_store(sys.argv[1])"


def test_two_processes_make_one_schema_and_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db.new").write_text("left by a killed process")
    command = [sys.executable, "-c", MAKES, f"sqlite:///{tmp_path}/mlflow.db"]
    makers = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)
    ]
    assert [(maker.communicate()[0], maker.returncode) for maker in makers] == [(b"", 0), (b"", 0)]
    assert client_of(f"sqlite:///{tmp_path}/mlflow.db").search_experiments()[0].name == "Default"
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.store.lock"}


def test_importing_it_does_not_import_mlflow_or_torch() -> None:
    code = "import sys, sparsweep.search.with_mlflow; print({'mlflow', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_axes_of_a_models_frontier_are_kept_and_an_unfit_alias_is_named(sqlite: str) -> None:
    registry = Registry.open(tracking_uri=sqlite)
    registry.client.create_registered_model("axes")
    assert registry.objectives("axes") is None
    registry.note_objectives("axes", {"accuracy": "max", "macs": "min"})
    assert registry.objectives("axes") == {"accuracy": "max", "macs": "min"}
    registry.client.set_registered_model_tag("axes", "sparsweep.objectives", '{"taste": "max"}')
    assert registry.objectives("axes") is None, "somebody else's hand"
    for unfit in ("latest", "V3", "my alias", "../x", ""):
        with pytest.raises(ValueError, match=r"cannot be an alias: use letters, digits, - and _"):
            registry.set_aliases("axes", {unfit: "1"})

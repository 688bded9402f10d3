"""The whole flow on one machine: space, sweep, trials, points, frontier, registry, pick."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sparsweep.search.cli import main
from tests.flow.conftest import Shell, Swept

POINT_KEYS = {
    "trial", "method", "threshold", "accuracy", "test_accuracy", "sparsity", "layer_sparsity", "weights_left", "macs",
    "macs_ideal", "dense_macs", "size_bytes", "latency_ms", "dense_latency_ms", "speedup", "setting", "model_version",
}  # fmt: skip


def frontier_of(shell: Shell) -> dict[str, object]:
    said = shell.run("frontier", "small", "--json")
    assert said.returncode == 0, said.stderr
    content: dict[str, object] = json.loads(said.stdout)
    return content


def test_a_sweep_ends_with_a_table_pictures_versions_and_what_to_type_next(swept: Swept) -> None:
    shell, ended = swept
    assert ended.returncode == 0, ended.stderr
    for words in ("4/4 done", "0 failed", "points on the frontier", "models:/small@knee", "sparsweep pick small"):
        assert words in ended.stdout
    assert "Traceback" not in ended.stderr
    folder = shell.home / "sweeps" / "small"
    assert (folder / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert "plotly" in (folder / "frontier.html").read_text()


WITHOUT_TORCH = """
import sys
from sparsweep.search.cli import main
code = main(sys.argv[1:])
print([name for name in ("torch", "ray", "optuna") if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("words", ["status", "status small --json", "frontier small --json", "list presets"])
def test_looking_at_a_sweep_imports_nothing_that_only_running_one_needs(swept: Swept, words: str) -> None:
    shell, _ = swept
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words.split()], cwd=shell.folder, env=shell.environment, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert (said.returncode, said.stderr.splitlines()[-1]) == (0, "[]"), said.stderr


def test_every_trial_is_recorded_once_with_all_its_cuts(swept: Swept) -> None:
    shell, _ = swept
    records = [json.loads(p.read_text()) for p in sorted((shell.home / "sweeps/small/trials").glob("*/result.json"))]
    assert [record["number"] for record in records] == [0, 1, 2, 3]
    for record in records:
        assert record["state"] == "done"
        assert [point["cut"] for point in record["points"]] == ["own", "own-tuned", "00", "01", "02", "03"]


def test_the_frontier_as_json_has_every_figure(swept: Swept) -> None:
    shell, _ = swept
    content = frontier_of(shell)
    assert content["sweep"] == "small"
    assert content["objectives"] == {"accuracy": "max", "sparsity": "max", "speedup": "max"}
    points = content["points"]
    assert isinstance(points, list)
    assert points
    for point in points:
        assert set(point) >= POINT_KEYS
        assert 0 <= point["test_accuracy"] <= 1
        assert 0 < point["macs"] <= point["dense_macs"] == 176_520
        assert point["weights_left"] == round((1 - point["sparsity"]) * 30_180)
    assert sum(point["model_version"] is not None for point in points) == min(3, len(points))


def test_a_pick_says_what_and_why_and_exports_the_trusted_form(swept: Swept, tmp_path: Path) -> None:
    shell, _ = swept
    target = tmp_path / "picked"
    said = shell.run(
        "pick", "small", "--where", "accuracy >= 0.3", "--best", "sparsity", "--alias", "mine", "--export", str(target),
        "--json",
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout)
    assert "highest sparsity" in told["reason"]
    assert told["next_best"]
    assert told["exported"]["formats"] == ["safetensors", "pt2", "onnx"]
    assert {path.name for path in target.iterdir()} == set(told["exported"]["files"])
    assert told["exported"]["max_difference"]["safetensors"]["as_stored"] == 0
    card = (target / "model_card.md").read_text()
    for line in ("| data | digits |", "| network | lenet-digits |", f"| registered as | {told['uri']} |"):
        assert line in card.splitlines()
    again = shell.run("pick", "small", "--where", "accuracy >= 0.3", "--export", str(target))
    assert again.returncode == 2
    assert "not an empty folder" in again.stderr


def test_a_wish_that_nothing_satisfies_names_the_nearest_misses(swept: Swept) -> None:
    shell, _ = swept
    said = shell.run("pick", "small", "--where", "accuracy >= 1.0", "--where", "sparsity >= 0.9999")
    assert said.returncode == 1
    assert "satisfies accuracy >= 1 and sparsity >= 0.9999" in said.stdout
    assert "misses" in said.stdout


LOAD = """
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "sparsweep":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
import json, mlflow, torch
model = mlflow.pytorch.load_model("models:/small@knee")
inputs, labels = torch.load(sys.argv[1], weights_only=True)
print(json.dumps(float((model(inputs).argmax(dim=1) == labels).float().mean())))
"""


def test_a_version_classifies_at_its_recorded_test_accuracy_where_sparsweep_is_not_installed(
    swept: Swept, tmp_path: Path
) -> None:
    import torch

    from sparsweep.trainables.tasks import load_data

    shell, _ = swept
    test = load_data("digits").test
    torch.save((test.inputs, test.labels), tmp_path / "test.pt")
    environment = {**shell.environment, "MLFLOW_TRACKING_URI": f"sqlite:///{shell.home / 'mlflow.db'}"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path / "test.pt")], env=environment, cwd=tmp_path, text=True,
        capture_output=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    knee = json.loads(shell.run("pick", "small", "--best", "knee", "--json").stdout)
    assert json.loads(done.stdout.splitlines()[-1]) == pytest.approx(knee["figures"]["test_accuracy"], abs=1e-6)


FROM_FILES = """
import sys
import onnxruntime, torch
assert "sparsweep" not in sys.modules
from load import load
inputs, labels = torch.load(sys.argv[1], weights_only=True)
session = onnxruntime.InferenceSession("model.onnx")
outputs = [load(".")(inputs), torch.export.load("model.pt2").module()(inputs)]
outputs.append(torch.tensor(session.run(None, {"input": inputs.numpy()})[0]))
print([round(float((each.argmax(dim=1) == labels).float().mean()), 6) for each in outputs])
"""


def test_an_export_classifies_at_the_recorded_test_accuracy_in_every_format(swept: Swept, tmp_path: Path) -> None:
    import torch

    from sparsweep.trainables.tasks import load_data

    shell, _ = swept
    test = load_data("digits").test
    torch.save((test.inputs, test.labels), tmp_path / "test.pt")
    said = shell.run("pick", "models:/small@knee", "--export", str(tmp_path / "out"), "--format", "all", "--json")
    assert said.returncode == 0, said.stderr
    done = subprocess.run(
        [sys.executable, "-c", FROM_FILES, str(tmp_path / "test.pt")], cwd=tmp_path / "out", env=shell.environment,
        text=True, capture_output=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = round(json.loads(said.stdout)["figures"]["test_accuracy"], 6)
    assert json.loads(done.stdout.splitlines()[-1]) == [expected] * 3


def test_mlflow_and_the_studies_hold_the_same_as_the_records(swept: Swept) -> None:
    from sparsweep.search import with_mlflow

    shell, _ = swept
    with_mlflow.settle()
    from mlflow import MlflowClient
    from optuna import load_study

    client = MlflowClient(f"sqlite:///{shell.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sparsweep/small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags.get("sparsweep.trial", "parent") for run in runs) == [
        "parent", "small/00000", "small/00001", "small/00002", "small/00003",
    ]  # fmt: skip
    parent = next(run for run in runs if "sparsweep.trial" not in run.data.tags)
    assert parent.info.status == "FINISHED"
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} >= {
        "frontier.json", "frontier.png", "frontier.html", "sweep.yaml", "environment.json",
    }  # fmt: skip
    assert len(client.get_metric_history(parent.info.run_id, "hypervolume")) == 4
    study = load_study(study_name="small", storage=f"sqlite:///{shell.home / 'studies.db'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4
    points = load_study(study_name="small/points", storage=f"sqlite:///{shell.home / 'studies.db'}")
    names = [trial.user_attrs["point"] for trial in points.trials]
    assert len(names) == len(set(names)) > 4


def test_status_lists_the_sweep_as_finished(swept: Swept) -> None:
    shell, _ = swept
    (state,) = json.loads(shell.run("status", "--json").stdout)
    assert (state["sweep"], state["state"], state["done"], state["failed"]) == ("small", "finished", 4, 0)


def test_resuming_a_finished_sweep_doubles_nothing_and_tests_nothing_again(swept: Swept) -> None:
    shell, _ = swept
    measured = json.loads((shell.home / "sweeps/small/measured.json").read_text())
    ended = shell.run("resume", "small", "--inline")
    assert ended.returncode == 0, ended.stderr
    again = json.loads((shell.home / "sweeps/small/measured.json").read_text())
    for name, known in measured.items():
        # a batch that stayed noisy is asked again and may now be there; what was measured stays as it is
        assert [record for record in known.pop("latency", []) if record not in again[name]["latency"]] == []
        assert {note: again[name].get(note) for note in known} == known
    versions = [notes["model_version"] for notes in again.values() if "model_version" in notes]
    assert len(versions) == len(set(versions))
    assert len(list((shell.home / "sweeps/small/trials").glob("*/result.json"))) == 4


def test_a_later_sweep_into_the_same_model_says_anew_which_versions_are_on_the_frontier(swept: Swept) -> None:
    from sparsweep.search import with_mlflow

    shell, _ = swept
    registry = with_mlflow.Registry.open(tracking_uri=f"sqlite:///{shell.home / 'mlflow.db'}")
    before = registry.versions("small")
    ended = shell.run("run", "small.yaml", "--inline", "--name", "longer", "--epochs", "6", "--trials", "1")
    assert ended.returncode == 0, ended.stderr
    after = registry.versions("small")
    assert [info.version for info in after[: len(before)]] == [info.version for info in before]
    assert len(after) > len(before)
    assert {info.tags["frontier"] for info in after} <= {"yes", "no"}
    named = {alias: info for info in after for alias in info.aliases}
    assert {"most-accurate", "sparsest", "knee"} <= set(named)
    assert all(info.frontier for alias, info in named.items() if alias != "mine")
    best = max(info.figures["accuracy"] for info in after)
    assert named["most-accurate"].figures["accuracy"] == best


def test_doctor_finds_all_well_here(swept: Swept) -> None:
    shell, _ = swept
    said = shell.run("doctor")
    assert said.returncode == 0, said.stdout
    assert [line[:4] for line in said.stdout.splitlines()] == ["ok  "] * 7


def test_a_version_is_measured_again_and_ranked_for_this_device(swept: Swept) -> None:
    shell, _ = swept
    said = shell.run("measure", "small@sparsest", "--runtime", "eager", "--batch", "4", "--json")
    assert said.returncode in (0, 1), said.stderr  # 1: the machine was too noisy, and nothing was published
    (measured,) = json.loads(said.stdout)["measured"]
    assert (said.returncode == 0) == bool(measured["records"])
    for record in measured["records"]:
        assert (record["batch"], record["runtime"], record["threads"], record["dtype"]) == (4, "eager", 1, "float32")
        assert record["iqr_share"] <= 0.1
        ranked = shell.run("frontier", "small", "--device", record["device"], "--json")
        assert measured["version"] in [p["model_version"] for p in json.loads(ranked.stdout)["points"]]
        picked = shell.run("pick", "small", "--device", record["device"], "--best", "speedup", "--json")
        assert json.loads(picked.stdout)["figures"]["latency_ms"] > 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("measure", "smal"), "no registered model smal; there is small"),
        (("measure", "small@best"), "there is no models:/small@best"),
        (("measure", "models:/small/77"), "there is no models:/small/77"),
        (("measure", "small", "--runtime", "2:4"), "runtime 2:4: 2:4 kernels need a CUDA device"),
        (("measure", "small", "--device", "cuda:7"), "--device cuda:7 is not there: this machine has cpu"),
        (("measure", "small", "--device", "tpu!"), "--device tpu! is no device of torch's"),
        (("measure", "small", "--batch", "0"), "'0' is not a whole number from 1 to 999999"),
        (("frontier", "small", "--device", "a phone"), "no version of small was measured on 'a phone', but on "),
        (("pick", "small", "--device", "a phone"), "no version of small was measured on 'a phone', but on "),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_message(
    swept: Swept, words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPARSWEEP_HOME", str(swept[0].home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    try:
        code = main(words)
    except SystemExit as end:  # argparse's own
        code = int(end.code or 0)
    assert code == 2
    assert told in capsys.readouterr().err

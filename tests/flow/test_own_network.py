"""The README's own network and data, swept by the command; faults of a task, told by it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from sparsweep.search.cli import main
from tests.flow.conftest import Shell

README = (Path(__file__).parents[2] / "README.md").read_text()
SHORT = """objectives: {accuracy: max, sparsity: max}
registry: {keep: 1}
"""


def block(language: str, word: str) -> str:
    (text,) = [text for text in re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL) if word in text]
    return str(text)


def test_the_readmes_own_network_and_data_end_as_a_version_of_the_recorded_accuracy(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shell.folder / "ours.py").write_text(block("python", "load_digits"))
    yaml = block("yaml", "ours:build").replace("shift1}", "shift1, cuts: 2, finetune_epochs: 1}")
    (shell.folder / "ours.yaml").write_text(yaml + SHORT)
    ended = shell.run("run", "ours.yaml", "--inline", "--trials", "1", "--epochs", "1")
    assert ended.returncode == 0, ended.stderr
    points = json.loads((shell.home / "sweeps" / "ours" / "frontier.json").read_text())["points"]
    (version,) = [point for point in points if point["model_version"] is not None]

    monkeypatch.syspath_prepend(str(shell.folder))
    import ours  # type: ignore[import-not-found]

    inputs, labels = ours.load()["test"]
    assert_right(shell, "ours", version, inputs, labels, monkeypatch)


def assert_right(
    shell: Shell, model: str, point: dict[str, Any], inputs: Tensor, labels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registered program, loaded as anybody would, gives the recorded test accuracy."""
    import mlflow
    from mlflow import MlflowClient

    uri = f"sqlite:///{shell.home / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    program = mlflow.pytorch.load_model(f"models:/{model}/{point['model_version']}")
    right = (program(inputs).argmax(dim=1) == labels).float().mean()
    assert float(right) == pytest.approx(point["test_accuracy"], abs=1e-6)
    assert MlflowClient(uri).get_model_version(model, point["model_version"]).tags["frontier"] == "yes"


PHOTOS = """
name: photos
task: {network: NETWORK, data: imagefolder, data_root: ROOT, example_shape: [3, 32, 32]STEM}
methods: [group_lasso]
space: {granularity: {choices: [filter]}, learning_rate: 1.0e-3}
objectives: {accuracy: max, macs: min}
budget: {trials: 1, epochs: 1}
trial: {augment: crop_flip, batch_size: 30, cuts: 1, finetune_epochs: 1}
timing: {batch: 2, round_ms: 20}
registry: {model: photos, keep: 2}
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("network", "stem"), [("torchvision/resnet18", ", stem: cifar"), ("'mine:build'", "")], ids=["resnet18", "own"]
)
def test_a_folder_of_photos_ends_as_versions_of_the_recorded_accuracy(
    network: str, stem: str, shell: Shell, cifar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparsweep.trainables.tasks.image_folder import load_folder

    (shell.folder / "mine.py").write_text(block("python", "load_digits").replace("Conv2d(1,", "Conv2d(3,"))
    text = PHOTOS.replace("NETWORK", network).replace("ROOT", str(cifar)).replace("STEM", stem)
    (shell.folder / "photos.yaml").write_text(text)
    ended = shell.run("run", "photos.yaml", "--inline", timeout_s=800)
    assert ended.returncode == 0, ended.stderr
    points = json.loads((shell.home / "sweeps" / "photos" / "frontier.json").read_text())["points"]
    versions = [point for point in points if point["model_version"] is not None]
    assert versions
    test = load_folder(cifar, (3, 32, 32)).test.part(slice(None))
    for point in versions:
        assert_right(shell, "photos", point, test.inputs, test.labels, monkeypatch)


CASES = {
    "no module": ("{network: 'nowhere_at_all:build', data: digits}", "line 1: task.network: there is no module"),
    "no data": ("{network: resnet20, data: cifra10}", "unknown data 'cifra10'; did you mean cifar10?"),
    "shape of a fixed network": (
        "{network: lenet-5, data: mnist, num_classes: 3}",
        "network lenet-5 takes 1x28x28 and has outputs of its own: leave num_classes out",
    ),
    "stem": ("{network: resnet20, data: cifar10, stem: cifar}", "task.stem: is for networks of torchvision"),
    "corrupt": ("{network: resnet20, data: cifar10, corrupt: skip}", "task.corrupt: is for data: imagefolder"),
    "shape": (
        "{network: resnet20, data: imagefolder, example_shape: [3, 0, 32]}",
        "task.example_shape[2]: 0 is too small",
    ),
    "no folder": ("{network: resnet20, data: imagefolder}", "needs its folder: give --data-root"),
    "no weights": ("{network: torchvision/vgg11, data: digits, start_from: w.safetensors}", "there is no file"),
    "unknown of torchvision": ("{network: torchvision/resnet81, data: digits}", "no network 'torchvision/resnet81'"),
    "key": ("{network: resnet20, data: cifar10, clases: 3}", "unknown key"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_faulty_task_is_one_message_before_anything_is_started(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, words = CASES[case]
    monkeypatch.setenv("SPARSWEEP_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.yaml").write_text(f"task: {task}\n")
    assert main(["run", "sweep.yaml"]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "state" / "sweeps").exists()

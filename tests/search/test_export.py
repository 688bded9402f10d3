"""`sparsweep pick … --export`: a real version from a real registry, whole in its folder or not there at all."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path

import pytest
import torch
from torch import nn

from sparsweep.search.cli import main
from sparsweep.search.with_mlflow import Ledger, Publication, Registry, SweepFacts, prepare_store
from sparsweep.trainables.compact.architecture import describe, save_network
from sparsweep.trainables.compact.removal import Compacted
from sparsweep.trainables.groups import prunable_layers
from sparsweep.trainables.tasks.networks import lenet_digits
from tests.search.points import make_latency, make_point
from tests.search.records import make_record
from tests.trainables.nets import shuffled
from tests.trainables.test_graph import pruned

SHAPE = (1, 8, 8)


class Graded(nn.Module):
    """It asks for gradients, which no graph can say."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            x = x.flatten(1) * 2
        logits: torch.Tensor = self.head(x)
        return logits


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the model `small`: 1 is pruned, 2 has no graph, 3 is of an older sparsweep, 4 of somebody else."""
    home = tmp_path_factory.mktemp("exports") / "state"
    home.mkdir()
    uri = f"sqlite:///{home / 'mlflow.db'}"
    prepare_store(uri)
    facts = SweepFacts(name="small", params={}, fingerprint="f00d", seed=0, sweep_yaml="", environment={})
    ledger = Ledger.open(tracking_uri=uri, artifact_root=str(home / "artifacts"), facts=facts)
    registry = Registry.open(tracking_uri=uri)
    run_id = ledger.log_trial(make_record(0, make_point()))
    nets = {"00": pruned(shuffled(lenet_digits()), SHAPE), "01": Graded().eval(), "02": lenet_digits().eval()}
    for cut, net in nets.items():
        path = home / cut
        kept = {name: list(range(len(layer.weight))) for name, layer in prunable_layers(net).items()}
        save_network(path, describe("lenet-digits", Compacted(net=net, kept=kept), SHAPE), net)
        point = make_point(0, cut, accuracy=0.9 + int(cut) / 100, latency=(make_latency(2.0),))
        files = {"network.safetensors": Path(f"{path}.safetensors"), "architecture.json": Path(f"{path}.json")}
        publication = Publication(
            model="small", sweep="small", point=point, fingerprint="f00d", network=net, example=torch.rand(2, *SHAPE),
            files=files, run_id=run_id, tags={"data": "digits | x", "network": "lenet-digits"},
        )  # fmt: skip
        registry.publish(publication)
    next(folder for folder in folders(home) if '"cut": "02"' in (folder / "point.json").read_text()).joinpath(
        "graph.json"
    ).unlink()
    registry.client.create_model_version("small", home.as_uri(), run_id)
    registry.set_aliases("small", {"knee": "1"})
    return home


def folders(home: Path) -> Iterator[Path]:
    """The trusted forms in the artifact store."""
    return (path.parent for path in home.rglob("sparsweep/point.json"))


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.setenv("SPARSWEEP_HOME", str(home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """What a command says that ends with this code, on one line where it fails."""
    found = main(["pick", *words])
    out = capsys.readouterr()
    assert found == code, out.err
    assert "Traceback" not in out.err
    if code:
        assert len(out.err.splitlines()) == 1
    return out.err if code else out.out


def test_all_formats_with_a_card_whose_blocks_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(said(capsys, 0, "models:/small@knee", "--export", "out", "--format", "all", "--json"))
    exported = told["exported"]
    assert told["version"] == "1"
    assert (exported["path"], exported["left_out"]) == ("out", {})
    assert exported["formats"] == ["safetensors", "pt2", "onnx"]
    assert exported["files"] == {path.name: path.stat().st_size for path in (here / "out").iterdir()}
    assert set(exported["files"]) >= {"model_card.md", "load.py", "model.pt2", "model.onnx", "network.safetensors"}
    assert exported["max_difference"]["safetensors"]["as_stored"] == 0
    assert all(each <= 1e-4 for form in exported["max_difference"].values() for each in form.values())
    assert sorted(path.name for path in here.iterdir()) == ["out"]

    card = (here / "out" / "model_card.md").read_text()
    assert r"| data | digits \| x |" in card
    blocks = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        assert len(block.splitlines()) <= 5
        code = f"{block}\nassert outputs.shape == (1, 10)"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=here / "out", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_exported_network_is_the_published_one(home: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, 0, "small/1", "--export", "deep/er/out", "--format", "safetensors")
    assert "exported to deep/er/out, opened in fresh processes without sparsweep" in text
    assert "safetensors: largest difference of outputs 0 (" in text
    source = next(folder for folder in folders(home) if '"cut": "00"' in (folder / "point.json").read_text())
    for name in ("network.safetensors", "graph.json", "architecture.json", "test_vector.safetensors"):
        assert (here / "deep/er/out" / name).read_bytes() == (source / name).read_bytes()


def test_an_empty_folder_is_filled(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "out").mkdir()
    said(capsys, 0, "small/1", "--export", "out", "--format", "safetensors", "--alias", "shipped")
    assert (here / "out" / "load.py").exists()
    assert json.loads(said(capsys, 0, "small@shipped", "--json"))["version"] == "1"


@pytest.fixture
def without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sparsweep.trainables.delivery.formats.find_spec",
        lambda name: None if name.startswith("onnx") else util.find_spec(name),
    )


@pytest.mark.usefixtures("without_onnx")
def test_what_cannot_be_written_here_is_left_out_and_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, 0, "small/1", "--export", "out")
    assert "onnx was left out: pip install 'sparsweep[onnx]'" in text
    assert not (here / "out" / "model.onnx").exists()
    assert (here / "out" / "model.pt2").exists()


@pytest.mark.usefixtures("without_onnx")
@pytest.mark.parametrize("form", ["onnx", "all"])
def test_a_format_whose_library_is_missing_is_refused(
    form: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, 2, "small/1", "--export", "out", "--format", form)
    assert "format onnx needs onnx, onnxscript, onnxruntime, not installed here: pip install 'sparsweep[onnx]'" in text
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["small/2", "--export", "out"],
            "version 2 of small has no graph to export (operation 'wrap_with_set_grad_enabled'",
        ),
        (["small/3", "--export", "out"], "version 3 of small lacks graph.json, as versions of an older sparsweep do"),
        (["small/4", "--export", "out"], "version 4 of small was not published by sparsweep"),
        (["small/9", "--export", "out"], "there is no models:/small/9; small has versions 1, 2, 3, 4, aliases knee"),
        (["models:/smal@knee", "--export", "out"], "no registered model smal; there is small"),
        (["small@knees", "--export", "out"], "there is no models:/small@knees; did you mean knee?"),
        (
            ["small@knee", "--best", "speedup"],
            "models:/small@knee names one version: leave out --where, --best and --device",
        ),
        (["small", "--format", "pt2"], "--format pt2 needs a folder: add --export DIR"),
        (["small/1", "--export", "a file"], "--export a file is a file: name a new folder"),
        (["small/1", "--export", "a file/out"], "which is a file: name another folder"),
        (["small/1", "--export", "circle/out"], "--export circle/out cannot be written (Symlink loop"),
        (["small/1", "--export", "full"], "--export full is not an empty folder: name a new one"),
        (["small/1", "--export", "."], "--export . is not an empty folder"),
        (["small/1", "--export", "/proc/out"], "--export /proc/out cannot be written"),
        (["small/1", "--export", "x" * 300], "cannot be written (File name too long)"),
    ],
)
def test_bad_input_is_one_message_and_nothing_is_written(
    words: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "a file").write_text("mine")
    (here / "circle").symlink_to("circle")
    (here / "full").mkdir()
    (here / "full" / "mine").write_text("mine")
    assert message in said(capsys, 2, *words)
    assert sorted(path.relative_to(here).as_posix() for path in here.rglob("*")) == [
        "a file", "circle", "full", "full/mine",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["network.safetensors", "graph.json", "test_vector.safetensors", "point.json"])
def test_a_damaged_version_is_refused(
    name: str, home: Path, here: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    source = next(folder for folder in folders(home) if '"cut": "00"' in (folder / "point.json").read_text())
    kept = shutil.copy(source / name, tmp_path_factory.mktemp("kept"))
    try:
        (source / name).write_bytes(b"{" + (source / name).read_bytes()[:-9])
        text = said(capsys, 2, "small/1", "--export", "out", "--format", "safetensors")
    finally:
        shutil.copy(kept, source / name)
    assert "version 1 of small" in text
    assert "damaged" in text
    assert list(here.iterdir()) == []


def test_a_file_that_does_not_open_is_an_error_and_nothing_is_left(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparsweep.trainables.delivery.check.LIMIT_S", 0.01)
    text = said(capsys, 1, "small/1", "--export", "out", "--format", "safetensors", "--alias", "unshipped")
    assert "version 1 of small: safetensors was not open after 0.01 s in a fresh process; nothing was written" in text
    assert list(here.iterdir()) == []
    assert "there is no models:/small@unshipped" in said(capsys, 2, "small@unshipped")


def test_the_licence_is_the_models_or_the_versions_tag(
    home: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Registry.open(tracking_uri=f"sqlite:///{home / 'mlflow.db'}").client
    client.set_registered_model_tag("small", "license", "apache-2.0")
    said(capsys, 0, "small/1", "--export", "out", "--format", "safetensors")
    assert "- licence: apache-2.0" in (here / "out" / "model_card.md").read_text().splitlines()
    client.set_model_version_tag("small", "1", "license", "mit")
    said(capsys, 0, "small/1", "--export", "out2", "--format", "safetensors")
    assert "- licence: mit" in (here / "out2" / "model_card.md").read_text().splitlines()

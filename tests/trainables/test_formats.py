"""The forms of delivery: each is made of the trusted form and opens where sparsweep is not."""

import io
import json
import pickletools
import zipfile
from collections.abc import Iterator
from importlib import util
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sparsweep.trainables.delivery.check import DifferentError, check_format
from sparsweep.trainables.delivery.formats import FORMATS, VECTOR, chosen, read_trusted, write_formats
from sparsweep.trainables.delivery.graph import exported
from sparsweep.trainables.tasks.cifar_networks import IMAGE_NETWORKS
from sparsweep.trainables.tasks.torchvision_networks import zoo_network
from tests.trainables.nets import shuffled
from tests.trainables.test_graph import Constants, pruned, written

REBUILDING = {
    "collections OrderedDict", "torch FloatStorage", "torch DoubleStorage", "torch LongStorage",
    "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter",
}  # fmt: skip
"""What a pickle may name that holds tensors and nothing else."""


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trusted form of a ResNet-20 with half of its filters cut off."""
    folder = tmp_path_factory.mktemp("trusted")
    torch.manual_seed(0)
    written(pruned(IMAGE_NETWORKS["resnet20"].build(3, 10), (3, 16, 16)), (3, 16, 16), folder)
    for name in ("architecture.json", "point.json"):
        (folder / name).write_text("{}")
    return folder


@pytest.fixture(scope="module")
def delivered(trusted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All formats in one folder."""
    folder = tmp_path_factory.mktemp("delivered")
    assert list(write_formats(tuple(FORMATS), trusted, folder)) == ["safetensors", "pt2", "onnx"]
    return folder


def test_the_files_are_those_that_the_formats_say(delivered: Path) -> None:
    told = {file for form in FORMATS.values() for file in form.files}
    assert {path.name for path in delivered.iterdir()} == told - {"constants.safetensors"}


@pytest.mark.parametrize("form", FORMATS)
def test_each_opens_in_a_fresh_process_and_gives_the_stored_outputs(form: str, delivered: Path) -> None:
    difference = check_format(form, delivered)
    assert difference.as_stored <= (1e-4 if form == "onnx" else 0)
    assert difference.other_batches <= 1e-4
    assert not (delivered / "__pycache__").exists()


def test_the_batch_of_an_onnx_file_is_free(delivered: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(delivered / "model.onnx"), providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("input", ["batch", 3, 16, 16])
    assert (made.name, made.shape) == ("output", ["batch", 10])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "convnext_tiny", "densenet121"])
def test_networks_of_torchvision_open_in_every_format(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    written(pruned(zoo_network(f"torchvision/{name}", 10, 3, "imagenet"), (3, 64, 64)), (3, 64, 64), source)
    for file in ("architecture.json", "point.json"):
        (source / file).write_text("{}")
    for form in write_formats(tuple(FORMATS), source, target):
        check_format(form, target)


def test_constants_travel_too(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    written(Constants(), (4,), source)
    for name in ("architecture.json", "point.json"):
        (source / name).write_text("{}")
    assert list(write_formats(["safetensors"], source, target)) == ["safetensors"]
    assert (target / "constants.safetensors").exists()
    assert check_format("safetensors", target).as_stored == 0


def members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Every file in a zip archive, and in the archives that lie in it."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for name in opened.namelist():
            content = opened.read(name)
            if content.startswith(b"PK"):
                yield from ((f"{name}/{inner}", data) for inner, data in members(content))
            else:
                yield name, content


def named_in(pickled: bytes) -> set[str]:
    """Every global that a pickle names; a STACK_GLOBAL takes the two texts before it."""
    named, texts = set(), []
    for code, argument, _ in pickletools.genops(pickled):
        if code.name == "GLOBAL":
            named.add(str(argument))
        elif code.name == "STACK_GLOBAL":
            named.add(" ".join(texts[-2:]))
        elif isinstance(argument, str):
            texts.append(argument)
    return named


@pytest.mark.parametrize("origin", ["exported", "registered"])
def test_the_pickles_in_a_pt2_archive_rebuild_tensors_and_nothing_else(
    origin: str, delivered: Path, tmp_path: Path
) -> None:
    archive = delivered / "model.pt2"
    if origin == "registered":
        archive = tmp_path / "model.pt2"
        net = shuffled(IMAGE_NETWORKS["resnet20"].build(3, 10)).eval()
        torch.export.save(exported(net, torch.rand(2, 3, 16, 16)), archive)
    files = dict(members(archive.read_bytes()))
    pickles = {name: data for name, data in files.items() if name.endswith(".pkl") or data.startswith(b"\x80")}
    assert list(pickles)
    assert all("sample_inputs" in name for name in pickles)
    assert {name: named_in(data) - REBUILDING for name, data in pickles.items()} == {name: set() for name in pickles}
    weights = json.loads(files["model/data/weights/model_weights_config.json"])["config"]
    assert not any(entry["use_pickle"] for entry in weights.values())


@pytest.mark.parametrize("form", ["safetensors", "onnx"])
def test_the_other_formats_hold_no_pickle(form: str, delivered: Path) -> None:
    for file in FORMATS[form].files:
        if (delivered / file).exists():
            content = (delivered / file).read_bytes()
            assert not content.startswith((b"\x80", b"PK"))
            assert b"_rebuild_tensor" not in content


def test_without_a_question_all_formats_that_can_be_written_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(None) == chosen("all") == ("safetensors", "pt2", "onnx")
    assert chosen("pt2") == ("pt2",)
    monkeypatch.setattr(
        "sparsweep.trainables.delivery.formats.find_spec",
        lambda name: None if name == "onnxscript" else util.find_spec(name),
    )
    assert chosen(None) == ("safetensors", "pt2")
    for asked in ("onnx", "all"):
        message = r"format onnx needs onnxscript, not installed here: pip install 'sparsweep\[onnx\]'"
        with pytest.raises(ValueError, match=message):
            chosen(asked)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 'tflite' is unknown: choose from safetensors, pt2, onnx, all"):
        chosen("tflite")


@pytest.fixture
def copied(trusted: Path, tmp_path: Path) -> Path:
    """The safetensors form in a folder of the test's own."""
    assert list(write_formats(["safetensors"], trusted, tmp_path)) == ["safetensors"]
    return tmp_path


@pytest.mark.parametrize("name", ["network.safetensors", "graph.json", VECTOR])
@pytest.mark.parametrize("left", [0, 20])
def test_a_damaged_trusted_form_is_refused(name: str, left: int, copied: Path) -> None:
    (copied / name).write_bytes((copied / name).read_bytes()[:left])
    with pytest.raises(ValueError, match="its files do not give a network: one is damaged"):
        read_trusted(copied)


def test_other_outputs_than_those_stored_are_an_error(delivered: Path, copied: Path) -> None:
    for file in ("model.pt2", "model.onnx", "model.onnx.data"):
        (copied / file).write_bytes((delivered / file).read_bytes())
    vector = load_file(copied / VECTOR)
    save_file({**vector, "output": vector["output"] + 0.01}, copied / VECTOR)
    for form in ("pt2", "onnx"):
        with pytest.raises(DifferentError, match=rf"{form} gives outputs that differ from those stored by 0\.01"):
            check_format(form, copied)
    with pytest.raises(DifferentError, match=r"safetensors does not open in a fresh process .*a file is damaged"):
        check_format("safetensors", copied)


def test_a_loader_that_needs_sparsweep_does_not_open(copied: Path) -> None:
    (copied / "load.py").write_text("from sparsweep.trainables.delivery.load import load\n")
    with pytest.raises(DifferentError, match=r"does not open in a fresh process .*sparsweep.* must not be needed here"):
        check_format("safetensors", copied)

"""The loader that travels with a network: small, alone, and deaf to code in the files it reads."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sparsweep.trainables.delivery import load as loader
from sparsweep.trainables.delivery.load import load, operation
from sparsweep.trainables.tasks.cifar_networks import IMAGE_NETWORKS
from tests.trainables.nets import mlp, shuffled
from tests.trainables.test_graph import written

SOURCE = Path(str(loader.__file__))


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, nn.Module]:
    """A 6-5-3 network's folder, and itself."""
    net = shuffled(mlp(6, 5, 3)).eval()
    return written(net, (6,), tmp_path), net


def test_it_is_short_and_needs_torch_and_safetensors_only() -> None:
    text = SOURCE.read_text()
    assert len(text.splitlines()) <= 60
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    roots = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert roots == {"json", "operator", "pathlib", "typing", "torch", "safetensors.torch"}


def test_the_graph_is_readable(small: tuple[Path, nn.Module]) -> None:
    assert json.loads((small[0] / "graph.json").read_text()) == {
        "schema": 1,
        "parameters": ["0.weight", "0.bias", "2.weight", "2.bias"],
        "nodes": [
            {
                "name": "linear",
                "op": "aten.linear.default",
                "args": [{"node": "input"}, {"tensor": "0.weight"}, {"tensor": "0.bias"}],
                "kwargs": {},
            },
            {"name": "relu", "op": "aten.relu.default", "args": [{"node": "linear"}], "kwargs": {}},
            {
                "name": "linear_1",
                "op": "aten.linear.default",
                "args": [{"node": "relu"}, {"tensor": "2.weight"}, {"tensor": "2.bias"}],
                "kwargs": {},
            },
        ],
        "output": "linear_1",
    }


def test_it_can_be_trained_on(tmp_path: Path) -> None:
    net = IMAGE_NETWORKS["resnet20"].build(3, 10).eval()
    read = load(written(net, (3, 16, 16), tmp_path))
    assert {name for name, _ in read.named_parameters()} == {name for name, _ in net.named_parameters()}
    assert {n for n, _ in read.named_buffers()} == {n for n, _ in net.named_buffers() if "num_batches" not in n}
    read(torch.rand(2, 3, 16, 16)).sum().backward()
    assert all(parameter.grad is not None for parameter in read.parameters())


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_a_layer_may_hold_its_weight_as_sparse_rows(small: tuple[Path, nn.Module]) -> None:
    folder, net = small
    read = load(folder, csr=["0"])
    assert read.get_submodule("0").weight.layout == torch.sparse_csr
    for batch in (1, 32):
        inputs = torch.rand(batch, 6)
        with torch.inference_mode():
            assert torch.allclose(read(inputs), net(inputs), atol=1e-6)
        with torch.no_grad():
            assert torch.allclose(read(inputs), net(inputs), atol=1e-6)
    with pytest.raises(KeyError, match=r"9\.weight"):
        load(folder, csr=["9"])


@pytest.mark.parametrize(
    "name",
    [
        "aten.from_file.default", "aten.nothing.default", "aten.__class__.mro", "operator.attrgetter",
        "operator.__add__", "prim.device.default", "torchvision.nms.default", "os.system", "builtins.eval", "",
        "aten.conv2d.__class__",
    ],
)  # fmt: skip
def test_other_operations_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not allowed: only ATen's and operator\.add"):
        operation(name)


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    graph = json.loads((folder / "graph.json").read_text())
    change(graph)
    (folder / "graph.json").write_text(json.dumps(graph))


CODE = "__import__('pathlib').Path('ran').touch()"
HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "a keyword": lambda g: g["nodes"][1]["kwargs"].update({f"out={CODE}, inplace": 1}),
    "a tensor": lambda g: g["nodes"][0]["args"].__setitem__(1, {"tensor": f'x").a or {CODE} or getattr(self, "y'}),
    "a class": lambda g: g["nodes"][0]["args"].__setitem__(1, {"tensor": "__class__.forward"}),
    "an operation": lambda g: g["nodes"][1].update(op=f"aten.relu.default; {CODE}"),
    "a node": lambda g: [g["nodes"][2].update(name=f"x = {CODE}"), g.update(output=f"x = {CODE}")],
    "a text": lambda g: g["nodes"][1]["args"].append(f"' or {CODE} or '"),
    "a constant": lambda g: g["nodes"][1]["args"].append({"constant": CODE}),
    "a file": lambda g: g["nodes"][1].update(op="aten.from_file.default", args=["ran", True, 10]),
    "its output": lambda g: g.update(output=CODE),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_in_a_graph_runs_as_code(
    hostile: str, small: tuple[Path, nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changed(small[0], HOSTILE[hostile])
    if hostile == "a node":  # a name that is used in this file only
        load(small[0])
    else:
        with pytest.raises((ValueError, KeyError, RuntimeError, TypeError)):
            load(small[0])
    assert not (tmp_path / "ran").exists()


def test_another_schema_is_refused(small: tuple[Path, nn.Module]) -> None:
    changed(small[0], lambda graph: graph.update(schema=2))
    with pytest.raises(ValueError, match="schema 2; this loader reads 1"):
        load(small[0])


@pytest.mark.parametrize("value", [3.0, float("nan")])
def test_altered_weights_are_noticed(value: float, small: tuple[Path, nn.Module]) -> None:
    weights = load_file(small[0] / "network.safetensors")
    weights["2.bias"][0] = value
    save_file(weights, small[0] / "network.safetensors")
    with pytest.raises(ValueError, match="from those stored: a file is damaged"):
        load(small[0])


def test_the_files_may_be_deleted_or_written_again_once_they_are_loaded(small: tuple[Path, nn.Module]) -> None:
    read = load(small[0])
    expected = small[1](torch.ones(1, 6))
    (small[0] / "network.safetensors").write_bytes(bytes(1000))
    assert torch.equal(read(torch.ones(1, 6)), expected)

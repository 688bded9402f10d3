"""One registered version as a folder: a program that runs without our code, and beside it the trusted form.

MLmodel, requirements.txt …    what MLflow wants to know
data/model.pt2                 torch.export program, batch dimension free
sparsweep/                     the files given (weights as safetensors, architecture.json), point.json, task.json,
                               and the graph:
                               graph.json, test_vector.safetensors (see trainables/delivery/graph.py), or no_graph.txt
"""

import copy
import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.trainables.point import Point

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

OURS = "sparsweep"
"""Folder of the trusted form inside a version."""
NO_GRAPH = "no_graph.txt"
"""Says why a version has no graph."""


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A point of the frontier and all that its registered version consists of."""

    model: str
    """Name of the registered model."""
    sweep: str
    point: Point
    fingerprint: str
    """Of the task; only versions of one fingerprint are compared."""
    network: "nn.Module | ExportedProgram"
    """The compact network; it is copied, moved to the CPU and put into evaluation mode."""
    example: "Tensor"
    """Input, shape (batch >= 2, …): torch.export takes a batch of 1 for a constant."""
    files: Mapping[str, Path]
    """The trusted form by name: weights in safetensors, architecture.json."""
    run_id: str
    """The trial's run, from `Ledger.log_trial` or `Ledger.run_of`."""
    task: Mapping[str, Any] = field(default_factory=dict)
    """What network this was cut from, as `Task.as_json` gives it without paths: kept as task.json."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """More tags of the version, device names for instance."""

    def __post_init__(self) -> None:
        if self.example.dim() < 1 or self.example.shape[0] < 2:
            raise ValueError(f"example of shape {tuple(self.example.shape)}: its batch must be 2 or more")

    @property
    def point_id(self) -> str:
        """Unique within a tracking server: `digits/00007/12`."""
        return f"{self.sweep}/{self.point.id}"

    def all_tags(self) -> dict[str, str]:
        """One tag a figure, by its name in `Point.figures`; ours begin with `sparsweep.`."""
        figures = {name: f"{value!r}" for name, value in self.point.figures().items()}
        ours = {
            "sparsweep.point": self.point_id,
            "sparsweep.sweep": self.sweep,
            "sparsweep.fingerprint": self.fingerprint,
        }
        return {**figures, "method": self.point.method, "cut": self.point.cut, **self.tags, **ours}

    def description(self) -> str:
        point = self.point
        return (
            f"{self.sweep}, trial {point.trial}, cut {point.cut}, method {point.method}: "
            f"accuracy {point.accuracy:.4f}, sparsity {point.sparsity:.4f}, MACs removed {point.macs_removed:.4f}"
        )


def write(publication: Publication, folder: Path, **identity: str) -> None:
    """Exports the network once and writes the whole folder, which must not exist.

    MLflow's own `save_model` would export by itself and keep nothing of it. Signature and requirements are stated, not
    inferred: inferring takes MLflow 10 seconds. The example is not kept.

    Args:
        publication: What to write.
        folder: Where to.
        identity: Fields of MLflow's `Model`: run_id, model_id, artifact_path…
    """
    import torch
    from torch.export import ExportedProgram, save

    from sparsweep.trainables.delivery.graph import exported

    example = publication.example.detach().cpu()
    given = publication.network
    net = given.module() if isinstance(given, ExportedProgram) else copy.deepcopy(given).cpu().eval()
    program = given if isinstance(given, ExportedProgram) else exported(net, example)
    with torch.no_grad():
        output = net(example)
    (folder / "data").mkdir(parents=True)
    save(program, folder / "data" / "model.pt2")
    _add_trusted_form(publication, folder / OURS)
    _add_graph(program, net, example, folder / OURS)
    _describe(folder, _signature(example, output), identity)


def _describe(folder: Path, signature: Any, identity: Mapping[str, str]) -> None:
    """The files by which MLflow knows a program of torch and what it needs."""
    import mlflow
    import torch
    import yaml
    from mlflow.models import Model
    from mlflow.pyfunc import add_to_model

    model = Model(**identity, signature=signature)
    add_to_model(
        model, loader_module="mlflow.pytorch", data="data", conda_env="conda.yaml", python_env="python_env.yaml",
        model_config={"device": None},
    )  # fmt: skip
    model.add_flavor("pytorch", model_data="data", pytorch_version=str(torch.__version__), code=None)
    model.model_size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed = [f"mlflow=={mlflow.__version__}", f"torch=={torch.__version__.split('+')[0]}"]
    python = platform.python_version()
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": needed}],
    }
    virtual = {
        "python": python,
        "build_dependencies": ["pip", "setuptools", "wheel"],
        "dependencies": ["-r requirements.txt"],
    }
    (folder / "requirements.txt").write_text("\n".join(needed))
    (folder / "conda.yaml").write_text(yaml.safe_dump(conda))
    (folder / "python_env.yaml").write_text(yaml.safe_dump(virtual))
    model.save(str(folder / "MLmodel"))


def _signature(example: "Tensor", output: "Tensor") -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(tensor: "Tensor") -> Any:
        return Schema([TensorSpec(tensor.numpy().dtype, (-1, *tensor.shape[1:]))])

    return ModelSignature(inputs=schema(example), outputs=schema(output))


def _add_trusted_form(publication: Publication, folder: Path) -> None:
    folder.mkdir()
    for name, path in publication.files.items():
        shutil.copyfile(path, folder / name)
    (folder / "task.json").write_text(json.dumps(dict(publication.task)))
    (folder / "point.json").write_text(json.dumps(publication.point.as_json(), indent=1, allow_nan=False))


def _add_graph(program: "ExportedProgram", net: "nn.Module", example: "Tensor", folder: Path) -> None:
    """The network without its code; where that cannot be, a file that says why."""
    from sparsweep.trainables.delivery.graph import write_graph

    try:
        write_graph(program, net, example, folder)
    except ValueError as fault:
        (folder / NO_GRAPH).write_text(str(fault))

"""The forms in which a network is delivered, all made of its graph form and never of anything that was pickled."""

import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from sparsweep.spaces.faults import shown
from sparsweep.trainables.delivery import load as loader

VECTOR = "test_vector.safetensors"
TRUSTED = ("network.safetensors", "graph.json", "architecture.json", "point.json", VECTOR)
"""Files that every version with a graph has."""
CONSTANTS = "constants.safetensors"
"""One that some have."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One form: the files it consists of, some of which may not be there, and what making it takes."""

    files: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    extra: str = ""
    """The optional dependencies that bring the libraries."""

    @property
    def missing(self) -> list[str]:
        """Libraries that are not installed."""
        return [library for library in self.libraries if not _is_installed(library)]

    @property
    def remedy(self) -> str:
        return f"pip install 'sparsweep[{self.extra}]'"


FORMATS: Mapping[str, Format] = {
    "safetensors": Format(files=(*TRUSTED, CONSTANTS, "load.py")),
    "pt2": Format(files=("model.pt2", VECTOR)),
    "onnx": Format(
        files=("model.onnx", "model.onnx.data", VECTOR), libraries=("onnx", "onnxscript", "onnxruntime"), extra="onnx"
    ),
}


def _is_installed(library: str) -> bool:
    with suppress(ValueError):  # a module without a specification
        return find_spec(library) is not None
    return False


def chosen(asked: str | None) -> tuple[str, ...]:
    """The formats to write: the one that is asked for, all of them, or, without a question, all that can be written.

    Raises:
        ValueError: there is no such format, or a library that it needs is not installed.
    """
    if asked is None:
        return tuple(name for name, each in FORMATS.items() if not each.missing)
    if asked not in (*FORMATS, "all"):
        raise ValueError(f"format {shown(asked)} is unknown: choose from {', '.join(FORMATS)}, all")
    names = tuple(FORMATS) if asked == "all" else (asked,)
    for name in names:
        if missing := FORMATS[name].missing:
            raise ValueError(f"format {name} needs {', '.join(missing)}, not installed here: {FORMATS[name].remedy}")
    return names


def write_formats(formats: Sequence[str], trusted: Path, folder: Path) -> Iterator[str]:
    """Writes the files of the formats into a folder that is there; yields each format when its files are whole.

    Args:
        trusted: folder of the trusted form; nothing of it is unpickled.

    Raises:
        ValueError: the trusted form is damaged, or its network cannot be brought into a format.
    """
    net = read_trusted(trusted)
    inputs = load_file(trusted / VECTOR)["input"]
    shutil.copyfile(trusted / VECTOR, folder / VECTOR)
    if "safetensors" in formats:
        for file in (*TRUSTED, *([CONSTANTS] if (trusted / CONSTANTS).exists() else [])):
            shutil.copyfile(trusted / file, folder / file)
        shutil.copyfile(str(loader.__file__), folder / "load.py")
        yield "safetensors"
    if not {"pt2", "onnx"} & set(formats):
        return
    program = _program(net, inputs)
    if "pt2" in formats:
        torch.export.save(program, folder / "model.pt2")
        yield "pt2"
    if "onnx" in formats:
        _write_onnx(program, folder / "model.onnx")
        yield "onnx"


def read_trusted(folder: Path) -> nn.Module:
    """The network of a folder's graph form. Raises ValueError where it cannot be read or gives other outputs."""
    try:
        return loader.load(folder)
    except Exception as fault:  # whatever damaged files bring about
        first = (str(fault).strip() or type(fault).__name__).splitlines()[0]
        raise ValueError(f"its files do not give a network: one is damaged ({first})") from fault


def _program(net: nn.Module, inputs: Tensor) -> ExportedProgram:
    try:
        return torch.export.export(net, (inputs,), dynamic_shapes=[{0: Dim("batch")}])
    except Exception as fault:  # whatever torch finds wrong
        first = (str(fault).strip() or type(fault).__name__).splitlines()[0]
        raise ValueError(f"torch cannot export this network ({first}): choose --format safetensors") from fault


def _write_onnx(program: ExportedProgram, path: Path) -> None:
    """model.onnx, and model.onnx.data where the weights lie in a file of their own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about itself
            torch.onnx.export(
                program, (), str(path), dynamo=True, verbose=False, input_names=["input"], output_names=["output"],
                dynamic_shapes=({0: "batch"},),
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as fault:
        first = str(fault).strip().splitlines()[0]
        raise ValueError(
            f"torch cannot bring this network into ONNX ({first}): choose --format safetensors or pt2"
        ) from fault

"""The model card: what a delivered network is, how good, how it was made, and how to load it."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.search.caption import ran
from sparsweep.search.devices import records_by_device
from sparsweep.search.figures import UNKNOWN, label, shown
from sparsweep.spaces.faults import visible
from sparsweep.trainables.spread import Spread

if TYPE_CHECKING:
    from sparsweep.search.with_mlflow import ModelVersionInfo
    from sparsweep.trainables.delivery.check import Difference

LONGEST = 300
"""Characters of one text."""
LOADING = {
    "safetensors": """import torch
from load import load

net = load(".")
outputs = net(torch.zeros({shape}))""",
    "pt2": """import torch

net = torch.export.load("model.pt2").module()
outputs = net(torch.zeros({shape}))""",
    "onnx": """import numpy
import onnxruntime

net = onnxruntime.InferenceSession("model.onnx")
outputs = net.run(None, {{"input": numpy.zeros({shape}, "float32")}})[0]""",
}
NEEDS = {"safetensors": "`torch`, `safetensors`", "pt2": "`torch`", "onnx": "`onnxruntime`"}


def model_card(
    info: "ModelVersionInfo", trusted: Path, differences: Mapping[str, "Difference"], licence: str | None
) -> str:  # fmt: skip
    """The card as Markdown; texts from tags and files are shown as plain text.

    Args:
        info: the version.
        trusted: folder of its architecture.json and point.json.
        differences: by format how far its outputs are from those stored.
        licence: None where none is stated.
    """
    point = json.loads((trusted / "point.json").read_text(encoding="utf-8"))
    architecture = json.loads((trusted / "architecture.json").read_text(encoding="utf-8"))
    shape = [int(size) for size in architecture["example_shape"]]
    stated = plain(licence) if licence else f"not stated: set the tag `license` of {plain(info.model)} in MLflow"
    parts = [
        f"# {plain(info.model)}, version {plain(info.version)}",
        f"A pruned {plain(architecture['network'])}. The units that were pruned are physically removed.",
        f"- licence: {stated}",
        "## Figures", *_figures(info, point),
        "## Method and setting", _table(("knob", "value"), [("method", info.tags.get("method")), *_setting(point)]),
        "## Data", _table(("what", "value"), _data(info, architecture, shape)),
        "## Where it comes from", _table(("what", "value"), _provenance(info)),
        "## How to load it", *_loading(differences, shape),
        "## What to trust", _trust(differences),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def plain(value: object) -> str:
    """Any text as plain text inside a line or a table of Markdown."""
    text = visible(str(value)).replace("&", "&amp;")
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return re.sub(r"([\\\\`*\[\]<>|~])", r"\\\1", text)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *([UNKNOWN if cell is None else plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figures(info: "ModelVersionInfo", point: Mapping[str, Any]) -> list[str]:
    """Accuracy, size and MACs beside those of the dense network; latencies, each with where it was measured."""
    names = ("accuracy", "test_accuracy", "sparsity", "weights_left", "macs", "size_bytes")
    figures = {**point, **info.figures}
    dense = {"macs": figures.get("dense_macs"), "size_bytes": figures.get("dense_size_bytes")}
    told: list[Sequence[object]] = [
        (label(name), *(shown(name, each) for each in (figures.get(name), dense.get(name)))) for name in names
    ]
    told += _over_seeds(point)
    times = [
        (
            record.device, record.batch, record.threads, ran(record), shown("latency_ms", record.latency_ms),
            shown("latency_ms", record.dense_latency_ms), shown("speedup", record.speedup),
            f"{100 * record.iqr_share:.1f} %",
        )
        for records in records_by_device(info.tags).values() for record in records
    ]  # fmt: skip
    head = ("device", "batch", "threads", "runtime", "latency", "dense", "speedup", "spread (IQR / median)")
    measured = _table(head, times) if times else "Its latency was not measured."
    remark = "Accuracy is of validation data, by which it was chosen; test accuracy was measured once, afterwards."
    return [_table(("figure", "value", "dense"), told), remark, measured]


def _over_seeds(point: Mapping[str, Any]) -> list[Sequence[object]]:
    """What the accuracy of this cut was over all seeds with which its setting was trained."""
    if not point.get("spread"):
        return []
    spread = Spread.from_json(point["spread"])
    deviation = spread.deviation("accuracy")
    of = f"over {spread.seeds} seeds" + (f", {spread.failed} more failed" if spread.failed else "")
    around = "" if deviation is None else f" ± {shown('accuracy', deviation)}"
    return [(f"accuracy, mean {of}", f"{shown('accuracy', spread.mean('accuracy'))}{around}", None)]


def _setting(point: Mapping[str, Any]) -> list[tuple[object, object]]:
    return [(name, value) for name, value in point["setting"].items() if name != "method"]


def _data(info: "ModelVersionInfo", architecture: Mapping[str, Any], shape: Sequence[int]) -> list[tuple[str, object]]:
    tags = info.tags
    mean, std = tags.get("input_mean"), tags.get("input_std")
    return [
        ("data", tags.get("data")),
        ("network", architecture["network"]),
        ("fingerprint of network, data and split", info.fingerprint),
        ("shape of one input", shape),
        ("images of bytes become inputs by", f"(value / 255 - {mean}) / {std}, by channel" if mean and std else None),
    ]


def _provenance(info: "ModelVersionInfo") -> list[tuple[str, object]]:
    sweep, trial, cut = str(info.point).rsplit("/", 2)
    return [
        ("sweep", sweep), ("trial", trial), ("cut", cut), ("MLflow run", info.run_id),
        ("registered as", f"models:/{info.model}/{info.version}"),
    ]  # fmt: skip


def _loading(differences: Mapping[str, "Difference"], shape: Sequence[int]) -> Iterator[str]:
    """Per format a block of at most five lines, to be run in this folder."""
    for form, difference in differences.items():
        block = LOADING[form].format(shape=(1, *shape))
        yield f"{form}, needs {NEEDS[form]}; largest difference of outputs in a fresh process: {difference}"
        yield f"```python\n{block}\n```"


def _trust(differences: Mapping[str, "Difference"]) -> str:
    remarks = ["Batches may have any size. The outputs in `test_vector.safetensors` are those of its inputs."]
    if "safetensors" in differences:
        remarks.append(
            "`network.safetensors` with `graph.json` is the trusted form: nothing in it is unpickled, and `load.py`, "
            "60 lines to read, takes operations of ATen only. `architecture.json` lists the layers and which of their "
            "units were kept."
        )
    if "pt2" in differences:
        remarks.append(
            "`model.pt2` contains a small pickle: torch.export stores its sample inputs that way "
            "(`sample_inputs/model.pt` in the archive, itself an archive). Here it names nothing but what rebuilds "
            "tensors, but whoever changes the file can put anything there: load it only if you trust where it comes "
            "from, and otherwise take safetensors."
        )
    return "\n\n".join(remarks)

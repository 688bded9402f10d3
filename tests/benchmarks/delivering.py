"""How long it takes to publish a version and to export it, beyond what torch itself takes for its programs.

    python -m tests.benchmarks.delivering [--only lenet-5,resnet20]

Networks with half of their filters cut off, in a fresh SQLite store, one thread. Torch's own time is that inside
torch.export.export, torch.export.save and torch.onnx.export; a .pt2 is opened by torch in a process of its own, which
is in the time of the export. Each network is delivered twice and the second time counts, as the first one imports.
Exit code 1 if publishing takes more than 3 s beyond torch, or an exported file differs.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import machine
from tests.benchmarks.verdict import as_markdown, lines_as_text, number

RESULTS = Path(__file__).with_name("results") / "delivering.md"
NETWORKS = {"lenet-5": ((1, 28, 28), ""), "resnet20": ((3, 32, 32), "cifar10")}
MOST_S = 3.0
HEADERS = ("network", "MB", "publish: s", "of it torch", "beyond torch", "export all formats: s", "of it torch",
           "beyond torch", "largest difference", "eager: ms", "load.py: ms")  # fmt: skip


def main() -> int:
    """Delivers, prints, keeps the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(NETWORKS), help="names, separated by commas")
    names = parser.parse_args().only.split(",")
    where = machine()
    from sparsweep.search.with_mlflow import settle

    settle()
    figures = {name: measured(name) for name in names}
    lines = [(name, *map(number, row[:7]), f"{row[7]:.1e}", *map(number, row[8:])) for name, row in figures.items()]
    print(lines_as_text(HEADERS, lines, left=1))
    missed = [name for name, row in figures.items() if row[3] > MOST_S]
    remarks = [f"Target: at most {number(MOST_S)} s beyond torch to publish; {', '.join(missed) or 'none'} missed it."]
    if names == list(NETWORKS):
        title, command = "Publishing and exporting a version", "python -m tests.benchmarks.delivering"
        RESULTS.write_text(as_markdown(title, command, where, HEADERS, lines, remarks))
    return 1 if missed else 0


def measured(name: str) -> tuple[float, ...]:
    """One row under HEADERS without its name."""
    import torch

    from sparsweep.search.export import Wish, export

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as space:
        registry, publications = _publications(name, Path(space))
        for publication in publications:
            with torch_time() as spent:
                began = time.perf_counter()
                version = registry.publish(publication)
                publish_s, publish_torch_s = time.perf_counter() - began, sum(spent)
        info = next(info for info in registry.versions("delivered") if info.version == version)
        for attempt in range(2):
            wish = Wish.checked(f"{space}/out{attempt}", "all")
            with torch_time() as spent:
                began = time.perf_counter()
                done = export(registry, info, wish)
                export_s, export_torch_s = time.perf_counter() - began, sum(spent)
        largest = max(max(each.as_stored, each.other_batches) for each in done.formats.values())
        eager_ms, load_ms = _speeds(publication.network, Path(f"{space}/out1"), publication.example[:1])
        size = sum(path.stat().st_size for path in Path(f"{space}/out1").iterdir()) / 1e6
    return (size, publish_s, publish_torch_s, publish_s - publish_torch_s, export_s, export_torch_s,
            export_s - export_torch_s, largest, eager_ms, load_ms)  # fmt: skip


@contextmanager
def torch_time() -> Iterator[list[float]]:
    """Seconds of every outermost call of torch's exporters in this process."""
    import torch

    spent: list[float] = []
    inside: list[bool] = []
    places: list[tuple[Any, str]] = [(torch.export, "export"), (torch.export, "save"), (torch.onnx, "export")]
    kept = [getattr(place, name) for place, name in places]

    def timed(function: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            began, outermost = time.perf_counter(), not inside
            inside.append(True)
            try:
                return function(*args, **named)
            finally:
                inside.pop()
                spent.extend([time.perf_counter() - began] if outermost else [])

        return call

    for (place, name), function in zip(places, kept, strict=True):
        setattr(place, name, timed(function))
    try:
        yield spent
    finally:
        for (place, name), function in zip(places, kept, strict=True):
            setattr(place, name, function)


def _publications(name: str, space: Path) -> tuple[Any, list[Any]]:
    """A registry, and the same network as two points."""
    import torch

    from sparsweep.search.with_mlflow import Ledger, Publication, Registry, SweepFacts
    from sparsweep.trainables.compact.architecture import describe, save_network
    from sparsweep.trainables.compact.removal import Compacted
    from sparsweep.trainables.groups import prunable_layers
    from sparsweep.trainables.tasks import Task
    from tests.search.points import make_point
    from tests.search.records import make_record
    from tests.trainables.test_graph import pruned

    shape, data = NETWORKS[name]
    torch.manual_seed(0)
    net = pruned(Task(network=name, data=data or "mnist", given_shape=shape, given_classes=10).build(), shape)
    kept = {layer: list(range(len(module.weight))) for layer, module in prunable_layers(net).items()}
    save_network(space / "net", describe(name, Compacted(net=net, kept=kept), shape), net)
    uri = f"sqlite:///{space}/mlflow.db"
    facts = SweepFacts(name="delivered", params={}, fingerprint="f00d", seed=0, sweep_yaml="", environment={})
    run_id = Ledger.open(tracking_uri=uri, artifact_root=f"{space}/artifacts", facts=facts).log_trial(make_record())
    files = {"network.safetensors": space / "net.safetensors", "architecture.json": space / "net.json"}
    publications = [
        Publication(
            model="delivered", sweep="delivered", point=make_point(0, cut), fingerprint="f00d", network=net,
            example=torch.rand(2, *shape), files=files, run_id=run_id,
        )
        for cut in ("00", "01")
    ]  # fmt: skip
    return Registry.open(tracking_uri=uri), publications


def _speeds(net: Any, folder: Path, example: Any) -> tuple[float, float]:
    """Milliseconds of one forward pass of one example: by its own code and by load.py, interleaved; medians."""
    import torch
    from torch.utils.benchmark import Timer

    from sparsweep.trainables.delivery.load import load

    times: dict[int, list[float]] = {0: [], 1: []}
    with torch.inference_mode():
        for at in (0, 1) * 7:
            given = {"net": (net, load(folder))[at], "x": example}
            times[at].append(Timer("net(x)", globals=given).blocked_autorange(min_run_time=0.2).median)
    return 1e3 * sorted(times[0])[3], 1e3 * sorted(times[1])[3]


if __name__ == "__main__":
    sys.exit(main())

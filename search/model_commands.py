"""What the commands about registered models do: measure, and the frontier on a device."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.search.home import Home
from sparsweep.search.terminal import console

if TYPE_CHECKING:
    from sparsweep.search.measuring import Measured
    from sparsweep.search.model_address import ModelAddress
    from sparsweep.search.with_mlflow import ModelVersionInfo, Registry

BATCHES = (1, 32)


def measure(options: argparse.Namespace) -> int:
    """Measures versions on this machine and adds the records to them; 1 where one stayed too noisy."""
    from sparsweep.search.measuring import measure_versions
    from sparsweep.search.meter import Timing
    from sparsweep.search.model_address import ModelAddress
    from sparsweep.search.refusals import refuse_absent

    address = ModelAddress.parse(options.model)
    _check_device(options.device)
    runtimes = tuple(dict.fromkeys(options.runtime)) or _runtimes_here(options.device)
    refuse_absent(runtimes, options.device)
    registry = open_registry(options)
    model, versions = address.model, _versions(registry, address)
    timing = Timing(
        batches=tuple(sorted(set(options.batch or BATCHES))), runtimes=runtimes, threads=options.threads
    )  # fmt: skip
    code = Path(options.code).expanduser().absolute() if options.code else None
    measured = measure_versions(
        registry, model, versions, timing, on=options.device, code_root=code,
        say=(lambda text: None) if options.json else print,
    )  # fmt: skip
    if options.json:
        rows = [{"version": m.version, "records": [dict(vars(r)) for r in m.records]} for m in measured]
        print(json.dumps({"model": model, "measured": rows}))
    else:
        _print_measured(model, measured)
    return int(any(not each.records for each in measured))


def open_registry(options: argparse.Namespace) -> "Registry":
    """The registry that the options or the environment name, or the embedded one.

    Raises:
        ValueError: nobody answers there, or nothing was ever registered here.
    """
    from sparsweep.search import with_mlflow

    home = Home.find()
    uri = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or home.tracking_uri
    if uri == home.tracking_uri and not (home.path / "mlflow.db").exists():
        raise ValueError(f"there is no registry in {home.path}: run a sweep there first, or give --tracking-uri")
    with_mlflow.settle()
    with_mlflow.reachable(uri)
    return with_mlflow.Registry.open(tracking_uri=uri)


def _versions(registry: "Registry", address: "ModelAddress") -> list["ModelVersionInfo"]:
    """The version that is named, or all on the model's frontier."""
    from sparsweep.search.model_address import resolve

    if address.names_version:
        return [resolve(registry, address)]
    if not (found := [info for info in registry.versions(address.model) if info.frontier]):
        raise ValueError(f"{address.model} has no version on its frontier: name one, as in {address.model}/1")
    return found


def _runtimes_here(on: str) -> tuple[str, ...]:
    """The quick ones that there are."""
    from sparsweep.trainables.measures.runtimes import absent

    return tuple(name for name in ("eager", "channels_last", "onnx") if absent(name, on) is None)


def _check_device(on: str) -> None:
    import torch

    try:
        kind = torch.device(on)
    except RuntimeError as fault:
        raise ValueError(f"--device {on} is no device of torch's: cpu, cuda, or cuda:1") from fault
    count = torch.cuda.device_count()
    if kind.type not in ("cpu", "cuda") or (kind.type == "cuda" and (kind.index or 0) >= count):
        raise ValueError(f"--device {on} is not there: this machine has cpu{' and ' if count else ''}"
                         f"{', '.join(f'cuda:{n}' for n in range(count))}")  # fmt: skip


def _print_measured(model: str, measured: Sequence["Measured"]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from sparsweep.search.caption import ran
    from sparsweep.trainables.point import best_of

    table = Table(box=SIMPLE_HEAD, show_edge=False)
    for header in ("version", "batch", "dense", "compact", "speedup", "spread", "threads"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("runtime")
    for each in measured:
        best = best_of(each.records)
        for r in each.records:
            table.add_row(
                each.version, str(r.batch), f"{r.dense_latency_ms:.3g} ms", f"{r.latency_ms:.3g} ms",
                f"{r.speedup:.2f}x", f"{100 * r.iqr_share:.1f}%", str(r.threads),
                ran(r) + " *" * (r == best), style="bold" if r == best else "",
            )  # fmt: skip
    if table.rows:
        console().print(table)
        print("*: dense and compact each in its fastest runtime, at the largest batch")
    for each in measured:
        if not each.records:
            print(f"version {each.version}: too noisy to publish (spread above 10 %): end what else runs here, or try "
                  "--threads 1, and measure it again")  # fmt: skip
    devices = {record.device for each in measured for record in each.records}
    for device in sorted(devices):
        print(f'rank them for it: sparsweep frontier {model} --device "{device}"')


def frontier_for_device(options: argparse.Namespace) -> int:
    """The frontier of a model's versions as they were measured on one device."""
    from sparsweep.search.devices import frontier_on
    from sparsweep.search.report import check_plot_path, frontier_table, save_plot

    if options.plot:
        check_plot_path(Path(options.plot))
    model, objectives, constraints = _wanted(options.name)
    registry = open_registry(options)
    found, missing = frontier_on(options.device, model, registry.versions(model), objectives, constraints)
    if options.plot:
        save_plot(found, found.points, Path(options.plot))
    if options.json:
        print(json.dumps({**found.as_json(), "device": options.device, "not_measured": missing}))
        return 0
    title = f"{len(found.points)} versions of {model} on the frontier of {options.device}"
    shown = console()
    shown.print(frontier_table(found.points, found.objectives, title=title, width=shown.width))
    if missing:
        print(f"not measured there, so not compared: version {', '.join(missing)}: sparsweep measure {model}")
    if options.plot:
        print(f"wrote {options.plot}")
    return 0


def _wanted(name: str) -> tuple[str, Any, Any]:
    """A sweep's model, objectives and constraints; of a name that is no sweep here the usual ones."""
    from sparsweep.search.pick import KNEE_OBJECTIVES
    from sparsweep.search.sweep_folder import SweepFolder

    folder = SweepFolder(Home.find().sweep(name))
    if not folder.exists():
        return name, KNEE_OBJECTIVES, ()
    sweep, _ = folder.read()
    return sweep.model, sweep.objectives.directions, sweep.constraints

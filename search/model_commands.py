"""What the commands about registered models do: pick, measure, and the frontier on a device."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.search.home import Home
from sparsweep.search.terminal import console

if TYPE_CHECKING:
    from sparsweep.search.measuring import Measured
    from sparsweep.search.model_address import ModelAddress
    from sparsweep.search.pick import NothingFits, Pick
    from sparsweep.search.with_mlflow import ModelVersionInfo, Registry
    from sparsweep.spaces.constraint import Constraint

BATCHES = (1, 32)


def pick(options: argparse.Namespace) -> int:
    """Picks a version, says why, exports and names it."""
    from sparsweep.search.export import Wish, export
    from sparsweep.search.model_address import ModelAddress
    from sparsweep.search.pick import NothingFits
    from sparsweep.spaces.constraint import Constraint
    from sparsweep.trainables.delivery.check import DifferentError

    wishes = [Constraint.parse(text, allow_test_accuracy=True) for text in options.where]
    address = ModelAddress.parse(options.model)
    if options.format and not options.export:
        raise ValueError(f"--format {options.format} needs a folder: add --export DIR")
    wish = Wish.checked(options.export, options.format) if options.export is not None else None
    registry = open_registry(options, address.model)
    picked = version_picked(registry, address, wishes, options.best, options.device)
    if isinstance(picked, NothingFits):
        return _nothing(picked, options.json)
    info = next(v for v in registry.versions(address.model) if v.version == str(picked.chosen.version))
    try:
        exported = export(registry, info, wish) if wish else None
    except DifferentError as fault:
        print(f"sparsweep: version {info.version} of {info.model}: {fault}; nothing was written", file=sys.stderr)
        return 1
    if options.alias:
        registry.set_aliases(address.model, {options.alias: info.version})
    told = {
        "model": info.model, "version": info.version, "reason": picked.reason, "next_best": picked.next_best,
        "figures": dict(picked.chosen.figures), "uri": f"models:/{info.model}/{info.version}",
        "alias": options.alias, "exported": exported.as_json() if exported else None,
    }  # fmt: skip
    print(
        json.dumps(told) if options.json else "\n".join([_picked_text(told), *(exported.lines() if exported else [])])
    )
    return 0


def version_picked(
    registry: "Registry", address: "ModelAddress", wishes: Sequence["Constraint"], best: str | None, device: str | None
) -> "Pick | NothingFits":
    """The version that an address names, or of the newest task's versions the one that satisfies the wish.

    Args:
        device: whose speedups and latencies count; None takes those of the sweep.

    Raises:
        ValueError: there is no such model or version, or nobody has the figure that is asked for.
    """
    from sparsweep.search.devices import peers_of
    from sparsweep.search.model_address import resolve
    from sparsweep.search.pick import KNEE_OBJECTIVES, Pick, pick
    from sparsweep.search.standing import candidate

    if address.names_version:
        if wishes or best or device:
            raise ValueError(
                f"{address} names one version: leave out --where, --best and --device, or write {address.model} only"
            )
        named = candidate(resolve(registry, address))
        return Pick(chosen=named, reason=f"version {named.version} was named", runner_up=None, next_best="")
    peers = peers_of(address.model, registry.versions(address.model), device)
    axes = registry.objectives(address.model) or KNEE_OBJECTIVES
    return pick([candidate(info) for info in peers], wishes, best=best or "knee", objectives=axes)


def _nothing(nothing: Any, as_json: bool) -> int:
    if as_json:
        misses = [{"version": str(m.candidate.version), "text": m.text} for m in nothing.misses]
        print(json.dumps({"version": None, "reason": nothing.reason, "misses": misses}))
    else:
        print(nothing.reason)
        for miss in nothing.misses:
            print(f"  {miss.text}")
    return 1


def _picked_text(told: Mapping[str, Any]) -> str:
    from sparsweep.search.figures import label, shown

    names = ("accuracy", "test_accuracy", "sparsity", "macs", "speedup", "size_bytes")
    figures = [f"{label(n)} {shown(n, told['figures'][n])}" for n in names if n in told["figures"]]
    lines = [f"picked {told['uri']}: {told['reason']}", "  " + ", ".join(figures)]
    if told["next_best"]:
        lines.append(f"  {told['next_best']}")
    if told["alias"]:
        lines.append(f"  named models:/{told['model']}@{told['alias']}")
    return "\n".join(lines)


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
    registry = open_registry(options, address.model)
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


def open_registry(options: argparse.Namespace, model: str) -> "Registry":
    """The registry that the options or the environment name, or the embedded one. Raises ValueError (`registry_at`)."""
    from sparsweep.search.sweep_folder import refuse_passwords

    refuse_passwords(vars(options))
    home = Home.find()
    return registry_at(options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or home.tracking_uri, home, model)


def registry_at(tracking_uri: str, home: Home, model: str) -> "Registry":
    """The registry behind a tracking address.

    Args:
        model: that is asked for; it is told where there is none.

    Raises:
        ValueError: nobody answers there, or it is the embedded one and nothing was ever registered.
    """
    from sparsweep.search import with_mlflow

    if tracking_uri == home.tracking_uri and not (home.path / "mlflow.db").exists():
        raise ValueError(f"no model {model}: there is no registry in {home.path}; run a sweep there first")
    with_mlflow.settle()
    with_mlflow.reachable(tracking_uri)
    return with_mlflow.Registry.open(tracking_uri=tracking_uri)


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
    registry = open_registry(options, model)
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

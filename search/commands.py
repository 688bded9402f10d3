"""What each command does. Every function takes the parsed options and returns the exit code."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.search.home import Home
from sparsweep.search.model_commands import frontier_for_device, measure, pick
from sparsweep.search.redaction import without_secrets
from sparsweep.search.terminal import console

if TYPE_CHECKING:
    from rich.console import Console

    from sparsweep.search.delivery import Delivered
    from sparsweep.search.sweep import Job
    from sparsweep.search.sweep_folder import SweepFolder, Where
    from sparsweep.trainables.point import Point


LONGEST_NUMBER = 18
"""Digits of a trial's number."""


def run(options: argparse.Namespace) -> int:
    """Starts a sweep, or goes on with one of the same name and the same search."""
    from sparsweep.search.starting import new_job
    from sparsweep.spaces.load import Overrides

    overrides = Overrides(
        name=options.name, epochs=options.epochs, seed=options.seed, warm_start=options.warm_start, **_budget(options)
    )
    return _work(
        new_job(options.sweep, overrides, _where(options), Home.find(), inline=options.inline, adopt=options.adopt)
    )


def resume(options: argparse.Namespace) -> int:
    """Goes on with a sweep by name."""
    from sparsweep.search.starting import job_of
    from sparsweep.search.with_ray.jobs import is_job_server
    from sparsweep.spaces.load import Overrides

    if is_job_server(options.address):
        return _or_there(resume)(options)
    home = Home.find()
    folder = _folder(home, options.name)
    sweep, stored = folder.read(Overrides(**_budget(options)), to_run=True)
    given = {name: value for name, value in vars(_where(options)).items() if value is not None}
    if options.storage_path is None:  # the variable is where new sweeps go; this one's trials lie where they lie
        given.pop("storage_path", None)
    return _work(job_of(sweep, replace(stored, **given), folder, home, inline=options.inline))


def _budget(options: argparse.Namespace) -> dict[str, Any]:
    """What the command line says of when the sweep ends, by the names of Overrides."""
    names = ("trials", "time_limit", "gpu_hours", "cpu_hours", "cost", "patience", "slots")
    return {name: getattr(options, name) for name in names}


def _where(options: argparse.Namespace) -> "Where":
    from sparsweep.search.starting import where_of

    return where_of(vars(options))


def _work(job: "Job") -> int:
    from sparsweep.search.sweep import StoppedError, run_sweep

    out = console()
    out.print(f"sweep {job.folder.name} in {job.folder.path}", highlight=False, markup=False, soft_wrap=True)
    try:
        delivered = run_sweep(job, out)
    except StoppedError as stopped:
        print(f"sparsweep: {without_secrets(str(stopped))}", file=sys.stderr)
        return 130
    _tell(job, delivered, out)
    return 0 if delivered.frontier.points else 1


def _tell(job: "Job", delivered: "Delivered", console: "Console") -> None:
    """The end of a sweep: table, pictures, versions, what to type next."""
    from sparsweep.search.caption import speedups_measured
    from sparsweep.search.hindrances import unmet, without_volume
    from sparsweep.search.report import frontier_table

    frontier = delivered.frontier

    def line(text: str = "") -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    if not frontier.points:
        rules = " and ".join(frontier.constraints) or "no constraint"
        line(f"no point satisfies the sweep's constraints ({rules}): see sparsweep status {job.folder.name}")
        if (why := unmet(delivered.points, job.sweep.constraints)) is not None:
            line(why)
        return
    line()
    title = f"{len(frontier.points)} points on the frontier of {job.folder.name}"
    console.print(frontier_table(frontier.points, frontier.objectives, title=title, width=console.width))
    line(f"hypervolume {frontier.macs_hypervolume:.4f} (validation accuracy x share of MACs removed, reference 0, 0)")
    for way in speedups_measured(frontier.points):
        line(way)
    if (idle := without_volume(frontier)) is not None:
        line(idle)
    if delivered.noisy:
        line(f"{delivered.noisy} networks could not be timed quietly: sparsweep resume {job.folder.name} tries again")
    for picture in delivered.pictures:
        line(f"wrote {picture}")
    for alias, version in delivered.versions.items():
        line(f"registered models:/{delivered.model}@{alias} = version {version}")
    line()
    line("next:")
    line(f"  {_pick_of(delivered.model, frontier.points)}")
    line(f"  sparsweep frontier {job.folder.name} --json")
    line(f"  {_look(job)}")


def _pick_of(model: str, front: "Sequence[Point]") -> str:
    """A pick that some version satisfies: the more accurate half of the frontier, the fastest or sparsest of it."""
    middle = sorted(point.accuracy for point in front)[len(front) // 2]
    best = "speedup" if any(point.timing for point in front) else "sparsity"
    return f'sparsweep pick {model} --where "accuracy >= {int(100 * middle) / 100:g}" --best {best} --export picked'


def _look(job: "Job") -> str:
    """How to look at the runs in MLflow."""
    from sparsweep.search.with_mlflow import without_password

    uri = without_password(job.tracking_uri)
    return f"open {uri} in a browser" if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"


def status(options: argparse.Namespace) -> int:
    """One sweep in detail, or all in a table."""
    from sparsweep.search.budget import spent_words
    from sparsweep.search.overview import state_of

    home = Home.find()
    names = [options.name] if options.name else home.sweeps()
    states = [state_of(_folder(home, name)) for name in names]
    if options.json:
        print(json.dumps(states if options.name is None else states[0]))
        return 0
    if not states:
        print(f"no sweep in {home.path} yet: start one with sparsweep run digits")
        return 0
    out = console()
    out.print(_status_table(states))
    for state in states if options.name else []:
        if told := spent_words(state["spent"]):
            out.print(f"spent {told}", markup=False, highlight=False, soft_wrap=True)
        if state["ended"]:
            out.print(f"the search has ended: {state['ended']}", markup=False, highlight=False, soft_wrap=True)
        for reason, count in state["reasons"].items():
            out.print(f"failed {count}x: {reason}", markup=False, highlight=False, soft_wrap=True)
    return 0


def _status_table(states: list[dict[str, Any]]) -> Any:
    from rich import box
    from rich.table import Table

    from sparsweep.search.figures import UNKNOWN

    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for header in ("sweep", "state", "done", "stopped early", "failed", "trials", "best accuracy", "hypervolume"):
        table.add_column(header)
    for state in states:
        best, volume = state["best_accuracy"], state["hypervolume"]
        table.add_row(
            state["sweep"], state["state"],
            *(str(state[name]) for name in ("done", "stopped_early", "failed", "trials")),
            f"{best:.4f}" if best is not None else UNKNOWN, f"{volume:.4f}" if volume is not None else UNKNOWN,
        )  # fmt: skip
    return table


def submit(options: argparse.Namespace) -> int:
    """Checks a sweep here and runs it on a cluster."""
    from sparsweep.search import away
    from sparsweep.search.catalogue import catalogue
    from sparsweep.search.with_ray.jobs import is_job_server
    from sparsweep.spaces.catalogue import is_plug_in
    from sparsweep.spaces.load import Overrides, load_sweep

    if not is_job_server(options.address):
        raise ValueError(f"--address {options.address} is not a job server: write its URL, such as http://head:8265")
    overrides = Overrides(
        name=options.name, epochs=options.epochs, seed=options.seed, warm_start=options.warm_start, **_budget(options)
    )
    code = Path(options.code) if options.code else Path.cwd()
    if not code.is_dir():
        raise ValueError(f"--code {code} is not a folder: name the one that holds your modules")
    sweep = load_sweep(options.sweep, catalogue(code), overrides=overrides)
    own = options.code is not None or any(map(is_plug_in, sweep.methods))
    return away.submit(sweep, options, code if own else None)


def stop(options: argparse.Namespace) -> int:
    """Asks a sweep's driver to stop, wherever it is."""
    from sparsweep.search.lease import ask_to_stop

    folder = _folder(Home.find(), options.name)
    _, where = folder.read()
    holder = ask_to_stop(folder.drivers(where))
    if holder is None:
        print(f"sweep {folder.name} is not being run")
        return 1
    print(f"asked {holder} to stop; what finished is kept; go on with: sparsweep resume {folder.name}")
    return 0


def logs(options: argparse.Namespace) -> int:
    """What one trial did."""
    from sparsweep.search.away import log_text, trial_log
    from sparsweep.spaces.faults import shown

    name, _, number = options.trial.rpartition("/")
    if not name or not number.isdecimal() or len(number) > LONGEST_NUMBER:
        raise ValueError(
            f"TRIAL {shown(options.trial)} is not a trial: write the sweep's name and the number, digits/00007"
        )
    folder = _folder(Home.find(), name)
    _, where = folder.read()
    log = trial_log(folder, where, int(number))
    print(json.dumps(log) if options.json else log_text(log))
    return 0


def gc(options: argparse.Namespace) -> int:
    """Shows what can go, with sizes; removes it only when told to."""
    from sparsweep.search.waste import waste_of

    home = Home.find()
    found, busy = [], []
    for name in [options.name] if options.name else home.sweeps():
        folder = _folder(home, name)
        _, where = folder.read()
        if folder.is_held(where):
            busy.append(name)
            continue
        found += waste_of(folder.path, folder.store(where))
    if options.yes:
        for waste in found:
            waste.remove()
    total = sum(waste.size_bytes for waste in found)
    if options.json:
        files = [{"path": str(w.path), "size_bytes": w.size_bytes, "why": w.why} for w in found]
        print(json.dumps({"files": files, "size_bytes": total, "removed": options.yes, "being_run": busy}))
        return 0
    for waste in found:
        print(f"{waste.size_bytes / 1e3:>12.1f} kB  {waste.path}  ({waste.why})")
    verb = "removed" if options.yes else "can go; sparsweep gc --yes removes them"
    print(f"{total / 1e6:.1f} MB in {len(found)} places {verb}")
    for name in busy:
        print(f"sweep {name} is being run: nothing of it is touched")
    return 0


def listing(options: argparse.Namespace) -> int:
    """Presets, methods or tasks."""
    from sparsweep.search.listing import BRIEF, LISTS

    if options.json:
        print(json.dumps(LISTS[options.what]()))
        return 0
    rows = {**LISTS, **BRIEF}[options.what]()
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for header in rows[0]:
        table.add_column(header, overflow="fold")
    for row in rows:
        cells = ("\n".join(cell) if isinstance(cell, list) else str(cell) for cell in row.values())
        table.add_row(*(Text(cell) for cell in cells))
    console().print(table)
    return 0


def frontier(options: argparse.Namespace) -> int:
    """The frontier as it is now, from the records; of one device, from the registry."""
    if options.device and options.lower_bound:
        raise ValueError(
            f"--lower-bound cannot be asked for --device {options.device}: what each seed came to is in the sweep's "
            "records, not in the registry; leave one of the two out"
        )
    if options.device:
        return frontier_for_device(options)
    from sparsweep.search.delivery import frontier_at_bound, frontier_indexed, frontier_now
    from sparsweep.search.hindrances import without_volume
    from sparsweep.search.report import check_plot_path, frontier_table, save_plot

    plot = Path(options.plot) if options.plot else None
    if plot is not None:
        check_plot_path(plot)
    folder = _folder(Home.find(), options.name)
    sweep, where = folder.read()
    if plot is not None or options.lower_bound:
        find = frontier_at_bound if options.lower_bound else frontier_now
        now, points = find(sweep, folder, folder.store(where))
        if plot is not None:
            save_plot(now, points, plot)
    else:
        now, _ = frontier_indexed(sweep, folder, where)
    if options.json:
        print(json.dumps(now.as_json()))
        return 0
    out = console()
    if now.points:
        title = f"{len(now.points)} points on the frontier of {folder.name}"
        title += ", each at the 95 % bound of its mean over seeds" if options.lower_bound else ""
        out.print(frontier_table(now.points, now.objectives, title=title, width=out.width))
        print(f"hypervolume {now.macs_hypervolume:.4f} (validation accuracy x share of MACs removed, reference 0, 0)")
        if (idle := without_volume(now)) is not None:
            print(idle)
    else:
        print(f"no point of {folder.name} is on the frontier yet: see sparsweep status {folder.name}")
    if plot is not None:
        print(f"wrote {plot}")
    return 0


def report(options: argparse.Namespace) -> int:
    """What a sweep has found, as text or as a page."""
    from sparsweep.search.overview import state_of
    from sparsweep.search.report import check_plot_path
    from sparsweep.search.sweep_folder import refuse_passwords
    from sparsweep.search.sweep_report import SweepReport

    refuse_passwords(vars(options))
    home = Home.find()
    folder = _folder(home, options.name)
    path = None if options.html is None else Path(options.html) if options.html else folder.path / "report.html"
    if path is not None:
        if path.suffix.lower() != ".html":
            raise ValueError(f"cannot write the report to {path.name}: end the name in .html")
        check_plot_path(path)
    sweep, where = folder.read()
    storage = options.study_storage or where.study_storage or home.study_storage
    found = SweepReport.of(sweep, folder, where, storage)
    if path is not None:
        found.save(path)
        print(f"wrote {path}")
        return 0
    state = state_of(folder)
    for line in found.lines(state):
        print(line)
    return 0


def ui(options: argparse.Namespace) -> int:
    """The frontier as a page."""
    from sparsweep.search.ui.serve import serve

    return serve(options)


def doctor(options: argparse.Namespace) -> int:
    """One line a check; exit code 1 where something is not ok."""
    from sparsweep.search.doctor import examine
    from sparsweep.search.sweep_folder import refuse_passwords

    refuse_passwords(vars(options))
    checks = examine(Home.find(), options.address, options.tracking_uri, options.study_storage)
    if options.json:
        print(json.dumps([vars(check) for check in checks]))
    else:
        for check in checks:
            print(f"{'ok  ' if check.ok else 'FAIL'} {check.what}: {check.found}")
    return 0 if all(check.ok for check in checks) else 1


def _or_there(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command as it is, or the same words run on the cluster whose job server is named."""

    def here_or_there(options: argparse.Namespace) -> int:
        if options.address is None:
            return command(options)
        from sparsweep.search import away
        from sparsweep.search.with_ray.jobs import is_job_server

        if not is_job_server(options.address):
            raise ValueError(
                f"--address {options.address} is not a job server: write its URL, such as http://head:8265"
            )
        return away.ask(options.address, away.without_address(options.words))

    return here_or_there


def _folder(home: Home, name: str) -> "SweepFolder":
    from sparsweep.search.sweep_folder import sweep_in

    return sweep_in(home, name)


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "run": run, "resume": resume, "submit": submit, "status": _or_there(status), "list": listing,
    "frontier": _or_there(frontier), "report": report, "pick": pick, "doctor": doctor, "stop": _or_there(stop),
    "logs": _or_there(logs),
    "gc": _or_there(gc), "measure": measure, "ui": ui,
}  # fmt: skip

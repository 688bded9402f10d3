"""The `sparsweep` command: its words and options. What they do is in commands.py, imported when needed."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

_RUN_EXAMPLE = """example:
  sparsweep run digits                      the embedded preset: minutes, no download
  sparsweep run my-sweep.yaml --trials 48 --time-limit 30m --seed 1"""
_MEASURE_EXAMPLE = """example:
  sparsweep measure digits@knee                        this machine's processor, in the runtimes that there are
  sparsweep measure digits --runtime onnx --batch 256  all versions on the frontier"""
_PICK_EXAMPLE = """example:
  sparsweep pick digits --where "accuracy >= 0.97" --best speedup --alias production
  sparsweep pick digits@production --export picked --format onnx"""


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options; other tools rely on these names."""
    parser = argparse.ArgumentParser(
        prog="sparsweep",
        description="Search how far a neural network can be pruned; pick the Pareto-optimal model to ship.",
        epilog="example:\n  sparsweep run digits\n  sparsweep pick digits --best knee",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_run(commands)
    _add_resume(commands)
    _add_reading(commands)
    _add_pick(commands)
    _add_measure(commands)
    _add_away(commands)
    _add_gc(commands)
    _add_ui(commands)
    return parser


def _command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, about: str, example: str) -> (
    argparse.ArgumentParser
):  # fmt: skip
    return commands.add_parser(
        name, help=about, description=about[0].upper() + about[1:] + ".", epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = _command(commands, "run", "run a sweep to its end", _RUN_EXAMPLE)
    run.add_argument("sweep", metavar="SWEEP", help="a preset's name (sparsweep list presets) or a YAML file")
    run.add_argument("--name", help="the sweep's name; default: the file's")
    run.add_argument("--epochs", type=int, help="epochs of training a trial")
    run.add_argument("--seed", type=int, help="fixes proposals and trainings")
    run.add_argument("--warm-start", metavar="NAME", help="an earlier sweep of the same task and space to learn from")
    _add_budget(run)
    _add_where(run)
    run.add_argument("--inline", action="store_true", help="run trials in this process, with plain tracebacks")
    run.add_argument("--adopt", action="store_true", help=argparse.SUPPRESS)  # of submit: see away.adopt


def _add_resume(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    resume = _command(
        commands, "resume", "go on with a sweep that was interrupted, or enlarge its budget",
        "example:\n  sparsweep resume digits --trials 48",
    )  # fmt: skip
    resume.add_argument("name", metavar="NAME", help="the sweep's name (sparsweep status lists them)")
    _add_budget(resume)
    _add_where(resume)
    resume.add_argument("--inline", action="store_true", help="run trials in this process, with plain tracebacks")


def _add_budget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trials", type=int, help="trials in all")
    parser.add_argument("--time-limit", metavar="30m", help="stop proposing and stop trials after this time")
    parser.add_argument("--gpu-hours", type=float, metavar="H", help="hours of trials times their share of GPUs")
    parser.add_argument("--cpu-hours", type=float, metavar="H", help="hours of trials times their share of cores")
    parser.add_argument("--cost", type=float, help="what trials may cost, at cost_per_hour of the sweep file")
    parser.add_argument("--patience", type=int, metavar="N", help="end when N trials bring no more hypervolume")
    parser.add_argument("--slots", type=int, help="ask for so many trials at once where the cluster grows by itself")


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-root", metavar="DIR", help="folder that holds the task's data")
    parser.add_argument(
        "--address",
        help="Ray cluster to run on; local: Ray on this machine for all trials; default: RAY_ADDRESS, or this machine",
    )
    parser.add_argument("--tracking-uri", help="MLflow server; default: MLFLOW_TRACKING_URI, or SQLite in .sparsweep")
    parser.add_argument(
        "--study-storage", metavar="URL", help="Optuna database; default: SPARSWEEP_STUDY_STORAGE, or SQLite there"
    )
    parser.add_argument(
        "--storage-path",
        metavar="DIR",
        help="folder for trial records that all nodes share; default: SPARSWEEP_STORAGE_PATH",
    )


def _add_ui(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    ui = _command(
        commands, "ui", "show sweeps, frontiers and models as a page",
        "example:\n  sparsweep ui\n  SPARSWEEP_UI_TOKEN=... sparsweep ui --host 0.0.0.0 --port 8080",
    )  # fmt: skip
    ui.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1; beyond loopback a token is needed")
    ui.add_argument("--port", type=int, default=8765, help="default: 8765; 0 takes a free one")
    ui.add_argument("--tracking-uri", help="MLflow server; default: MLFLOW_TRACKING_URI, or SQLite in .sparsweep")


def _add_reading(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    status = _command(commands, "status", "show sweeps and how far they are", "example:\n  sparsweep status digits")
    status.add_argument("name", nargs="?", metavar="NAME", help="one sweep; default: all")
    status.add_argument("--json", action="store_true", help="print JSON")
    _add_job_server(status)
    listing = _command(commands, "list", "list what there is", "example:\n  sparsweep list methods")
    listing.add_argument("what", choices=("presets", "methods", "tasks"))
    listing.add_argument("--json", action="store_true", help="print JSON")
    frontier = _command(
        commands, "frontier", "show a sweep's Pareto frontier",
        "example:\n  sparsweep frontier digits --plot frontier.html\n  sparsweep frontier digits --json",
    )  # fmt: skip
    frontier.add_argument("name", metavar="NAME", help="the sweep's name")
    frontier.add_argument("--json", action="store_true", help="print JSON")
    _add_job_server(frontier)
    frontier.add_argument(
        "--lower-bound", action="store_true",
        help="every point at the 95 %% bound of its mean over seeds, of a sweep with seeds: 2 or more",
    )  # fmt: skip
    frontier.add_argument("--plot", metavar="FILE", help="write a .png, an .svg or a self-contained .html")
    frontier.add_argument(
        "--device", metavar="LABEL", help="of the registered versions, as sparsweep measure found them"
    )
    frontier.add_argument("--tracking-uri", help="MLflow server that holds them; default: as in pick")
    report = _command(
        commands, "report", "tell what a sweep has found, and what it depends on",
        "example:\n  sparsweep report digits\n  sparsweep report digits --html digits.html",
    )  # fmt: skip
    report.add_argument("name", metavar="NAME", help="the sweep's name")
    report.add_argument(
        "--html", nargs="?", const="", metavar="FILE",
        help="write one self-contained page; default: report.html in the sweep's folder",
    )  # fmt: skip
    report.add_argument(
        "--study-storage", metavar="URL", help="Optuna database; default: the one that the sweep was run with"
    )
    doctor = _command(commands, "doctor", "check this installation", "example:\n  sparsweep doctor")
    doctor.add_argument("--address", help="Ray cluster to check; default: RAY_ADDRESS, or a local Ray")
    doctor.add_argument("--tracking-uri", help="MLflow to check; default: MLFLOW_TRACKING_URI, or the embedded one")
    doctor.add_argument("--study-storage", metavar="URL", help="Optuna database to check; default: as in run")
    doctor.add_argument("--json", action="store_true", help="print JSON")


def _add_away(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    submit = _command(
        commands, "submit", "run a sweep on a cluster that goes on when this machine is closed",
        "example:\n  sparsweep submit digits --address http://head:8265 --trials 200\n"
        "  sparsweep status digits --address http://head:8265",
    )  # fmt: skip
    submit.add_argument("sweep", metavar="SWEEP", help="a preset's name (sparsweep list presets) or a YAML file")
    submit.add_argument("--address", required=True, metavar="URL", help="the cluster's job server: http://head:8265")
    submit.add_argument("--name", help="the sweep's name; default: the file's")
    submit.add_argument("--epochs", type=int, help="epochs of training a trial")
    submit.add_argument("--seed", type=int, help="fixes proposals and trainings")
    submit.add_argument("--warm-start", metavar="NAME", help="an earlier sweep on that cluster to learn from")
    _add_budget(submit)
    submit.add_argument("--data-root", metavar="DIR", help="folder on the cluster that holds the task's data")
    submit.add_argument(
        "--code", metavar="DIR", help="folder with your own module:Class; default: here, if any is named"
    )
    submit.add_argument("--detach", action="store_true", help="do not follow the sweep's output")
    stop = _command(
        commands, "stop", "stop a sweep, wherever its driver is, as Ctrl-C would", "example:\n  sparsweep stop digits"
    )
    stop.add_argument("name", metavar="NAME", help="the sweep's name")
    _add_job_server(stop)
    logs = _command(
        commands, "logs", "show what one trial did, and why it failed", "example:\n  sparsweep logs digits/00007"
    )
    logs.add_argument("trial", metavar="TRIAL", help="sweep and number: digits/00007")
    logs.add_argument("--json", action="store_true", help="print JSON")
    _add_job_server(logs)


def _add_job_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", metavar="URL", help="ask the cluster at this job server: http://head:8265")


def _add_gc(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    gc = _command(
        commands, "gc", "show, and with --yes remove, files that no record, frontier or version needs",
        "example:\n  sparsweep gc\n  sparsweep gc digits --yes",
    )  # fmt: skip
    gc.add_argument("name", nargs="?", metavar="NAME", help="one sweep; default: all")
    gc.add_argument("--yes", action="store_true", help="remove them")
    gc.add_argument("--json", action="store_true", help="print JSON")
    _add_job_server(gc)


def _add_pick(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    pick = _command(commands, "pick", "pick a registered model by a wish", _PICK_EXAMPLE)
    pick.add_argument("model", metavar="MODEL", help="the registered model's name; or one version: NAME/3, NAME@ALIAS")
    pick.add_argument("--where", action="append", default=[], metavar='"accuracy >= 0.97"', help="may be repeated")
    pick.add_argument(
        "--best", choices=("accuracy", "sparsity", "speedup", "size_bytes", "macs", "knee"),
        help="what to have most of; default: knee",
    )  # fmt: skip
    pick.add_argument("--device", metavar="LABEL", help="speedups as sparsweep measure found them there")
    pick.add_argument("--alias", help="name the picked version")
    pick.add_argument("--export", metavar="DIR", help="write the picked version into a new folder, with a model card")
    pick.add_argument(
        "--format", choices=("safetensors", "pt2", "onnx", "all"),
        help="what to export; default: all formats whose libraries are installed",
    )  # fmt: skip
    pick.add_argument("--tracking-uri", help="MLflow server; default: MLFLOW_TRACKING_URI, or SQLite in .sparsweep")
    pick.add_argument("--json", action="store_true", help="print JSON")


def _add_measure(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    measure = _command(
        commands, "measure", "time registered versions on this machine, and add the records to them", _MEASURE_EXAMPLE
    )  # fmt: skip
    measure.add_argument(
        "model", metavar="MODEL", help="digits@knee, digits/3 or models:/digits/3; digits: all on its frontier"
    )
    measure.add_argument("--device", default="cpu", help="torch's name: cpu, cuda or cuda:1; default: cpu")
    measure.add_argument(
        "--batch",
        type=_size,
        action="append",
        metavar="N",
        help="may be repeated; default: 1 and 32",
    )
    measure.add_argument(
        "--runtime", action="append", default=[],
        choices=("eager", "channels_last", "compile", "onnx", "csr", "2:4"),
        help="may be repeated; default: eager, channels_last, and onnx where it is installed",
    )  # fmt: skip
    measure.add_argument("--threads", type=_size, default=1, metavar="N", help="default: 1")
    measure.add_argument("--code", metavar="DIR", help="folder with your own network, where a version was cut from one")
    measure.add_argument("--tracking-uri", help="MLflow server; default: MLFLOW_TRACKING_URI, or SQLite in .sparsweep")
    measure.add_argument("--json", action="store_true", help="print JSON")


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text[:8]) >= 1 or len(text) > 6:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 1 to 999999")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 done, 1 nothing found or an export that is not right, 2 bad input, 130 stopped."""
    parser = build_parser()
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(words)
    options.words = words
    if options.version:
        from importlib.metadata import version

        print(f"sparsweep {version('sparsweep')}")
        return 0
    if options.command is None:
        parser.print_help()
        return 2
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from sparsweep.search import commands
    from sparsweep.search.redaction import without_secrets

    try:
        return commands.COMMANDS[options.command](options)
    except ValueError as fault:
        if os.environ.get("SPARSWEEP_TRACEBACK"):
            raise
        print(f"sparsweep: {without_secrets(str(fault))}", file=sys.stderr)
        return 2
    except Exception:
        if os.environ.get("SPARSWEEP_TRACEBACK"):
            raise
        print(without_secrets(traceback.format_exc()), end="", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("sparsweep: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

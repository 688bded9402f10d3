"""`deploy/local-cluster`: up, down, status."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local_cluster.processes import Started
from local_cluster.starting import start_all
from local_cluster.state import State

NEEDED = ("postgresql", "ray head")
"""What the others need, ended after them."""

EXAMPLE = """example:
  deploy/local-cluster up                           PostgreSQL, MLflow, a Ray head and two workers, all on 127.0.0.1
  . .sparsweep/local-cluster/env
  sparsweep run digits
  deploy/local-cluster down                         ends exactly what `up` started; --purge removes the data too"""


def main(arguments: Sequence[str] | None = None) -> int:
    """0 done (status: all run), 1 not all run or it could not be started, 2 bad input, 130 stopped."""
    options = _parser().parse_args(arguments)
    if not sys.platform.startswith("linux"):
        print("local-cluster: needs Linux (Ray starts several nodes on one machine there only)", file=sys.stderr)
        return 2
    state = State(Path(options.state).expanduser().absolute())
    try:
        code: int = options.action(state, options)
        return code
    except (ValueError, RuntimeError, OSError) as fault:
        print(f"local-cluster: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("local-cluster: stopped; nothing is left running", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deploy/local-cluster", epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="A cluster on one machine without containers: PostgreSQL, MLflow with a password, Ray nodes with "
        "a token. Everything listens on 127.0.0.1 only.",
    )  # fmt: skip
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, about, action in (
        ("up", "start it, wait until it answers, write the file `env`", up),
        ("down", "end what up has started, by process id", down),
        ("status", "what runs; exit code 1 if not all of it does", status),
    ):
        command = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        command.set_defaults(action=action)
        command.add_argument("--state", metavar="DIR", default=".sparsweep/local-cluster", help="default: %(default)s")
        if name == "up":
            command.add_argument("--workers", type=_count, default=2, help="Ray nodes for trials; default: 2")
            command.add_argument("--cpus", type=_count, default=1, help="CPUs of each; default: 1")
            command.add_argument("--wait", type=_count, default=120, help="seconds until it must answer; default: 120")
        if name == "down":
            command.add_argument("--purge", action="store_true", help="also remove databases, artifacts and records")
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return int(text)


def up(state: State, options: argparse.Namespace) -> int:
    """Starts everything, or says that it runs. What is half there is ended and started again."""
    with state.held():
        known = state.processes()
        if known and all(process.is_alive() for process in known):
            print(f"already up, in {state.path}")
            _tell(state, known)
            return 0
        _end(state)
        ray_folder = Path(tempfile.mkdtemp(prefix="sps-", dir="/tmp"))  # short: Unix sockets' names have 107 bytes
        started: list[Started] = []
        try:
            start_all(state, options, ray_folder, started)
        except BaseException as fault:
            _end(state)
            if isinstance(fault, KeyboardInterrupt):
                raise
            raise RuntimeError(
                f"{fault}\n  all that was started is ended again; logs: {state.path / 'logs'}"
            ) from fault
        _tell(state, started)
        return 0


def down(state: State, options: argparse.Namespace) -> int:
    """Ends what runs; the data stays unless it is to be purged."""
    if not state.path.is_dir():
        print(f"nothing to end: there is no {state.path}")
        return 0
    with state.held():
        ended = _end(state)
        print("\n".join(f"ended {process.what} (process {process.pid})" for process in ended) or "nothing was running")
        if options.purge:
            state.purge()
    print(f"data removed: {state.path}" if options.purge else f"data kept in {state.path}; --purge removes it")
    return 0


def _end(state: State) -> list[Started]:
    """Ends all processes, the last started first, keeps Ray's logs, and forgets them."""
    ended = [process for process in reversed(state.processes()) if process.members()]
    for first in (True, False):  # those that need the others, then the database and Ray's head
        together = [process for process in ended if (process.what not in NEEDED) is first]
        with ThreadPoolExecutor(max(len(together), 1)) as pool:
            list(pool.map(Started.stop, together))
    if (folder := state.ray_folder()) and folder.is_dir():
        for session in folder.glob("session_*/logs"):
            if not session.parent.is_symlink():
                target = state.folder("logs") / "ray"
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(session, target, symlinks=True)
        shutil.rmtree(folder, ignore_errors=True)
    state.forget()
    return ended


def status(state: State, options: argparse.Namespace) -> int:
    """What runs."""
    known = state.processes()
    if not known:
        print(f"down: nothing runs in {state.path}")
        return 1
    _tell(state, known)
    return 0 if all(process.is_alive() for process in known) else 1


def _tell(state: State, processes: list[Started]) -> None:
    rows = [("what", "address", "process", "")]
    rows += [(p.what, p.address, str(p.pid), "" if p.is_alive() else "not running") for p in processes]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if (state.path / "env").exists() and all(process.is_alive() for process in processes):
        print(f"\nnext:\n  . {state.path / 'env'}")
        print("  sparsweep run digits")

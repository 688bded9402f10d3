"""Commands about sweeps that run elsewhere: submitted to a cluster, asked about, stopped, looked into.

A cluster's own environment says where its state lies (SPARSWEEP_HOME, SPARSWEEP_STORAGE_PATH, MLFLOW_TRACKING_URI,
SPARSWEEP_STUDY_STORAGE and their passwords), so that nothing secret travels with a job or shows in its description.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparsweep.search.sweep_folder import SweepFolder, Where
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.death import DIED
from sparsweep.trainables.record import TrialRecord

LEFT_BEHIND = shutil.ignore_patterns(
    ".git", ".sparsweep", ".venv", "venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "*.egg-info",
    "node_modules", "mlruns", ".env", ".env.*", ".envrc", ".netrc", ".ssh", ".aws",
)  # fmt: skip
"""Nothing that code needs: history, environments, results, and where secrets are kept."""
MOST_BYTES = 100 * 2**20
"""Code is small: a larger folder holds data, which belongs on the cluster's own storage."""


def submit(sweep: SweepFile, options: argparse.Namespace, code: Path | None) -> int:
    """Sends the sweep as a Ray job and follows its output; Ctrl-C ends the looking, not the sweep.

    Args:
        sweep: checked here already.
        code: the user's own modules, sent along.
    """
    from sparsweep.search.with_ray import ADVICE, jobs
    from sparsweep.search.with_ray.access import open_job_server

    if open_job_server(options.address):
        print(f"warning: {options.address} takes jobs without a token: {ADVICE}", file=sys.stderr)
    words = ["run", "sweep.yaml", "--adopt", *(["--data-root", options.data_root] if options.data_root else [])]
    with _parcel(sweep, code) as folder:
        job = jobs.submit(options.address, words, job=f"sparsweep-{sweep.name}", folder=folder)
    print(f"submitted {sweep.name} to {options.address} as job {job}; see how far it is with:")
    print(f"  sparsweep status {sweep.name} --address {options.address}", flush=True)
    if options.detach:
        return 0
    try:
        return jobs.follow(options.address, job, _show)
    except KeyboardInterrupt:
        print(
            f"no longer following; the sweep goes on; sparsweep stop {sweep.name} --address {options.address} ends it"
        )
        return 0


def adopt(job: Path, sweep: Path) -> Path:
    """Moves a submitted sweep out of its job's folder, which Ray removes as it likes, to the cluster's own home.

    There its code is found by every node that shares the home, and by a later `resume`.

    Args:
        job: the job's working directory, with what `submit` has sent.
        sweep: the sweep's folder in the home.

    Raises:
        ValueError: the cluster's environment names no home, so that the sweep would go with its job.
    """
    if "SPARSWEEP_HOME" not in os.environ:
        raise ValueError(
            "this cluster names no SPARSWEEP_HOME in the environment of its head: set it to a folder that stays, and "
            "that all nodes share, or a submitted sweep is lost with its job"
        )
    folder = sweep / "code"
    shutil.copytree(job, folder, dirs_exist_ok=True, symlinks=True)
    os.chdir(folder)
    os.environ.pop("RAY_JOB_CONFIG_JSON_ENV_VAR", None)  # the job's folder is not the trials' working directory
    return folder


def without_address(words: Sequence[str]) -> list[str]:
    """A command's words less where it is to run.

    >>> without_address(["status", "digits", "--address", "http://head:8265", "--json"])
    ['status', 'digits', '--json']
    """
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and not word.startswith("--address="):
            skip = word == "--address"
            kept += [] if skip else [word]
        else:
            skip = False
    return kept


def ask(address: str, words: Sequence[str]) -> int:
    """Runs a command on the cluster and shows what it prints; its exit code."""
    from sparsweep.search.with_ray import jobs

    job = jobs.submit(address, words, job=f"sparsweep-{words[0]}")
    try:
        return jobs.follow(address, job, lambda text: _show(_RAYS_OWN.sub("", text)))
    except KeyboardInterrupt:
        print(f"no longer following job {job}")
        return 130


_RAYS_OWN = re.compile(r"^(.*job_manager\.py:.*|Running entrypoint for job .*)\n?", flags=re.MULTILINE)
"""What Ray writes above a job's own output, which may be JSON."""


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def _parcel(sweep: SweepFile, code: Path | None) -> Iterator[Path]:
    """A folder to send: the sweep's file and the user's code.

    Raises:
        ValueError: the code's folder is too large.
    """
    with tempfile.TemporaryDirectory(prefix="sparsweep-") as name:
        folder = Path(name) / "job"
        folder.mkdir()
        if code is not None:
            files, links = code_files(code)
            for link in links:
                print(f"not sent: {link}, a link to a folder or to something outside {code}", file=sys.stderr)
            for file in files:
                target = folder / file.relative_to(code)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        (folder / "sweep.yaml").write_text(sweep.yaml_text, encoding="utf-8")
        yield folder


def code_files(code: Path) -> tuple[list[Path], list[Path]]:
    """The files of the user's code that are sent, and the links that are not.

    A link to a file in the folder is sent as that file. What lies outside is never sent: Ray, given a link, would send
    what it points to.

    Raises:
        ValueError: they are too large.
    """
    files: list[Path] = []
    links: list[Path] = []
    for place, folders, names in os.walk(code):
        here, left = Path(place), LEFT_BEHIND(place, [*folders, *names])
        links += [here / name for name in folders if name not in left and (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in left)
        for path in (here / name for name in sorted(names) if name not in left):
            if path.is_symlink() and not path.resolve().is_relative_to(code.resolve()):
                links.append(path)
            elif path.is_file():
                files.append(path)
    size = sum(path.stat().st_size for path in files)
    if size > MOST_BYTES:
        raise ValueError(
            f"{code} holds {size / 2**20:.0f} MiB, more than the {MOST_BYTES >> 20} that are sent as code: put "
            "data on the cluster's storage and name it with --data-root, and the code's own folder with --code"
        )
    return files, links


def trial_log(folder: SweepFolder, where: Where, number: int) -> dict[str, Any]:
    """What is known of one trial: setting, attempts, epochs, outcome, and what it left when it failed.

    Raises:
        ValueError: no such trial was proposed.
    """
    trial = folder.store(where).folder(number)
    if (proposal := trial.proposal()) is None:
        numbers = folder.store(where).numbers()
        raise ValueError(
            f"sweep {folder.name} has no trial {number:05d}: it has {len(numbers)}"
            + (f", {numbers[0]:05d} to {numbers[-1]:05d}" if numbers else "")
        )
    record = trial.latest()
    notes = {path.relative_to(trial.path).as_posix(): path.read_text(errors="replace").strip()
             for path in (*trial.path.glob("attempt-*/error.txt"), trial.path / DIED) if path.exists()}  # fmt: skip
    return {
        "trial": f"{folder.name}/{number:05d}", "folder": str(trial.path), "setting": proposal["setting"],
        "seed": proposal["seed"], "attempts": trial.newest_attempt(), "state": record.state if record else "unfinished",
        "reason": record.reason if record else None, "seconds": dict(record.seconds) if record else {},
        "environment": dict(record.environment) if record else {},
        "epochs": [vars(epoch) for epoch in record.epochs] if record else [], "points": _cuts(record),
        "notes": {name: text for name, text in notes.items() if text},
    }  # fmt: skip


def _cuts(record: TrialRecord | None) -> list[dict[str, Any]]:
    if record is None:
        return []
    return [{"cut": p.cut, "accuracy": p.accuracy, "sparsity": p.sparsity, "macs": p.macs} for p in record.points]


def log_text(log: dict[str, Any]) -> str:
    """The log for reading."""
    lines = [
        f"trial {log['trial']}: {log['state']}" + (f" ({log['reason']})" if log["reason"] else ""),
        f"in {log['folder']}, {log['attempts']} attempts, seed {log['seed']}",
        f"setting {json.dumps(log['setting'])}",
    ]
    lines += [f"{phase} {seconds:.1f} s" for phase, seconds in log["seconds"].items()]
    lines += [
        f"epoch {e['step']} {e['phase']}: loss {e['loss']:.4f}, accuracy {e['accuracy']:.4f}" for e in log["epochs"]
    ]
    lines += [f"cut {p['cut']}: accuracy {p['accuracy']:.4f}, sparsity {p['sparsity']:.4f}, MACs {p['macs']}"
              for p in log["points"]]  # fmt: skip
    for name, text in log["notes"].items():
        lines += [f"--- {name}", text]
    return "\n".join(lines)

"""From what is asked for to a job that can be run: the command line and notebooks start sweeps alike."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sparsweep.search.catalogue import catalogue
from sparsweep.search.home import Home
from sparsweep.search.sweep_folder import SweepFolder, Where, refuse_passwords, task_of
from sparsweep.spaces.catalogue import is_plug_in
from sparsweep.spaces.load import Overrides, load_sweep, read_sweep
from sparsweep.spaces.sweep_file import SweepFile

if TYPE_CHECKING:
    from sparsweep.search.sweep import Job


def where_of(given: Mapping[str, str | None]) -> Where:
    """Where state lies and trials run: as given, by the names of `Where`, else as the environment's variables say.

    Raises:
        ValueError: an address that is given carries a password.
    """
    refuse_passwords(given)
    storage = given.get("storage_path") or os.environ.get("SPARSWEEP_STORAGE_PATH")
    data = given.get("data_root")
    return Where(
        tracking_uri=given.get("tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI"),
        study_storage=given.get("study_storage") or os.environ.get("SPARSWEEP_STUDY_STORAGE"),
        storage_path=str(Path(storage).expanduser().absolute()) if storage else None,
        address=given.get("address") or os.environ.get("RAY_ADDRESS"),
        data_root=str(Path(data).expanduser().absolute()) if data else None,
    )


def new_job(
    source: str, overrides: Overrides, where: Where, home: Home, *, inline: bool = False, adopt: bool = False,
    is_text: bool = False,
) -> "Job":  # fmt: skip
    """A sweep that is named or described, for the first time or again.

    Args:
        source: a preset's name or a YAML file.
        overrides: what goes before the sweep's own values.
        inline: whether its trials run in this process.
        is_text: whether the source is the YAML text itself.
        adopt: whether the code is the one that an earlier submission brought (`away.adopt`).

    Raises:
        ValueError: there is no such sweep, it has faults, or the folder of its data cannot be read.
    """
    here = Path.cwd()
    known = catalogue(here)
    if is_text:
        sweep = read_sweep(source, known, title="sweep file", overrides=overrides)
    else:
        sweep = load_sweep(source, known, overrides=overrides)
    if adopt:
        from sparsweep.search.away import adopt as adopted

        here = adopted(here, home.sweep(sweep.name))
    code_root = str(here) if any(map(is_plug_in, sweep.methods)) else None
    where = replace(where, code_root=code_root)
    return job_of(sweep, where, SweepFolder(home.sweep(sweep.name)), home, inline=inline)


def job_of(sweep: SweepFile, where: Where, folder: SweepFolder, home: Home, *, inline: bool) -> "Job":
    """A checked sweep with everything that is needed to run it. Raises ValueError where its data cannot be read."""
    from sparsweep.search.sweep import Job

    if where.data_root is not None and not os.access(where.data_root, os.R_OK | os.X_OK):
        raise ValueError(f"--data-root {where.data_root} is not a folder that can be read: name the folder of the data")
    return Job(sweep=sweep, where=where, folder=folder, home=home, task=task_of(sweep, where), inline=inline)

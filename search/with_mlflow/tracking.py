"""What MLflow keeps of one sweep: a parent run, a nested run per trial, and the frontier on the parent."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from sparsweep.search.with_mlflow.store import client_of, exclusively, is_server, prepare_store
from sparsweep.search.with_mlflow.trial_entries import TEXT_LIMIT, metric, metrics_of, params_of, tags_of
from sparsweep.trainables.record import TrialRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

Put = Callable[[str, Mapping[str, bytes]], None]
"""Uploads files, by name, to a run."""

METRICS_PER_BATCH, PARAMS_PER_BATCH = 900, 100
"""MLflow takes at most 1000 entries of all kinds and 100 parameters in one `log_batch`."""


@dataclass(frozen=True, kw_only=True)
class SweepFacts:
    """What is known of a sweep before its first trial."""

    name: str
    params: Mapping[str, object]
    """Task, methods, sampler, budget… MLflow writes a parameter once: on a resume the first value stays."""
    fingerprint: str
    seed: int
    sweep_yaml: str
    """Text of the sweep file, kept as the artifact `sweep.yaml`."""
    environment: Mapping[str, str]
    """Versions and machine, kept as the artifact `environment.json`."""
    commit: str | None = None
    """Git commit of the user's folder, see `git_commit`; None where there is none."""

    def tags(self) -> dict[str, str]:
        tags = {
            "sparsweep.sweep": self.name, "sparsweep.fingerprint": self.fingerprint, "sparsweep.seed": str(self.seed),
        }  # fmt: skip
        return tags if self.commit is None else {**tags, "mlflow.source.git.commit": self.commit}


@dataclass
class Ledger:
    """What MLflow keeps of one sweep. Every call is idempotent: replaying it changes nothing.

    Experiment `sparsweep/<sweep>`; parent run by tag `sparsweep.sweep`; a child by tag `sparsweep.trial`, which is
    `<sweep>/<number>`. One driver at a time holds a sweep's name, so the children are read once, at `open`.
    """

    client: "MlflowClient"
    sweep: str
    experiment_id: str
    run_id: str
    """The parent run."""
    put: Put | None = None
    """Uploads files to a run; None uploads them from here."""
    _children: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Run and whether it has ended, by trial tag."""
    _unsure: bool = True
    """A run may exist that `_children` lacks: at the start, and after a creation whose answer never came."""
    _frontier_steps: set[int] | None = None

    @classmethod
    def open(cls, *, tracking_uri: str, artifact_root: str | None, facts: SweepFacts, put: Put | None = None) -> Self:
        """The sweep's ledger, made if need be; its parent run is at work (RUNNING) until `finish`.

        Args:
            tracking_uri: Address of an MLflow server, or a database URI.
            artifact_root: Folder or URI under which the sweep's artifacts go. None leaves it to the server; a
                database has nobody to decide, so it needs one.
            facts: What the parent run carries.
            put: Uploads files to a run where this process cannot reach the artifact store.

        Raises:
            ValueError: a database without `artifact_root`; an experiment of this name was deleted.
        """
        if artifact_root is None and not is_server(tracking_uri):
            raise ValueError("artifact_root is missing: without a server MLflow would write to ./mlruns")
        prepare_store(tracking_uri)
        client = client_of(tracking_uri)
        with exclusively(tracking_uri, facts.name):
            experiment_id = _experiment(client, facts.name, artifact_root)
            parent = _parent(client, experiment_id, facts)
        ledger = cls(client, facts.name, experiment_id, parent.info.run_id, put)
        new = {k: v for k, v in facts.params.items() if k not in parent.data.params}
        _log(client, ledger.run_id, params=new)
        ledger._put({"sweep.yaml": facts.sweep_yaml.encode(), "environment.json": _json(facts.environment)})
        return ledger

    def log_trial(self, record: TrialRecord, *, curve_value: float | None = None) -> str:
        """One nested run with all of the record: parameters, curves, cuts, state and reason.

        Args:
            record: The committed record, or what a trial that was broken off had found so far, which its record
                completes if there ever is one; all timestamps are its own.
            curve_value: Hypervolume of the trial's own curve, logged as `curve_hypervolume`.

        Returns:
            The trial's run.
        """
        tag = f"{self.sweep}/{record.number:05d}"
        if (known := self._child(tag)) is None:
            run_id, ended = self._create(tag, record), False
        else:
            run_id, ended = known
        if not ended:
            _log(self.client, run_id, metrics=metrics_of(record, curve_value), params=params_of(record))
            if known is not None:  # it was made of what was found by then; last, as the state says that all is there
                _log(self.client, run_id, tags=tags_of(record))
            status = {"done": "FINISHED", "stopped": "KILLED", "unfinished": "KILLED"}.get(record.state, "FAILED")
            self.client.set_terminated(run_id, status, end_time=record.ended_ms)
            self._children[tag] = (run_id, record.state != "unfinished")
        return run_id

    def run_of(self, trial: int) -> str | None:
        """The run of a trial by its number; None if it was not logged."""
        child = self._child(f"{self.sweep}/{trial:05d}")
        return child and child[0]

    def log_frontier(
        self,
        frontier: Mapping[str, Any],
        pictures: Sequence[Path] = (),
        hypervolume_history: Sequence[tuple[int, int, float]] = (),
    ) -> None:
        """`frontier.json` and the pictures on the parent run, replacing older ones; hypervolume as a metric.

        Args:
            frontier: What `frontier.json` holds.
            pictures: Files that are logged under their own names.
            hypervolume_history: (step, timestamp in ms, value); a step once written stays as it is.
        """
        self._put({"frontier.json": _json(frontier), **{path.name: path.read_bytes() for path in pictures}})
        if self._frontier_steps is None:
            self._frontier_steps = {m.step for m in self.client.get_metric_history(self.run_id, "hypervolume")}
        new = [entry for entry in hypervolume_history if entry[0] not in self._frontier_steps]
        _log(self.client, self.run_id, metrics=[metric("hypervolume", value, at, step) for step, at, value in new])
        self._frontier_steps |= {step for step, _, _ in new}

    def finish(self, status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED", *, ended: str | None = None) -> None:
        """Ends the parent run; KILLED is a sweep that was stopped and may be resumed.

        Args:
            ended: what ended the search, kept as the tag `sparsweep.ended`.
        """
        if ended is not None:
            self.client.set_tag(self.run_id, "sparsweep.ended", ended[:TEXT_LIMIT])
        if self.client.get_run(self.run_id).info.status != status:
            self.client.set_terminated(self.run_id, status)

    def _put(self, files: Mapping[str, bytes]) -> None:
        if self.put is None:
            put_files(self.client, self.run_id, files)
        else:
            self.put(self.run_id, files)

    def _child(self, tag: str) -> tuple[str, bool] | None:
        if tag not in self._children and self._unsure:
            wanted = f"tags.`mlflow.parentRunId` = '{self.run_id}'"
            for run in _runs(self.client, self.experiment_id, wanted):
                if (found := run.data.tags.get("sparsweep.trial")) is not None:
                    self._children.setdefault(found, (run.info.run_id, _has_ended(run)))
            self._unsure = False
        return self._children.get(tag)

    def _create(self, tag: str, record: TrialRecord) -> str:
        self._unsure = True
        tags = {"mlflow.parentRunId": self.run_id, "sparsweep.trial": tag, **tags_of(record)}
        name = f"{record.number:05d} {record.method}"
        run = self.client.create_run(self.experiment_id, start_time=record.started_ms, tags=tags, run_name=name)
        self._children[tag], self._unsure = (run.info.run_id, False), False
        return str(run.info.run_id)


def _has_ended(run: "Run") -> bool:
    """Whether a trial's run holds all of a record: one that was broken off, or is half logged, does not."""
    stopped = run.info.status == "KILLED" and run.data.tags.get("sparsweep.state") == "stopped"
    return run.info.status in ("FINISHED", "FAILED") or stopped


def put_files(client: "MlflowClient", run_id: str, files: Mapping[str, bytes]) -> None:
    """Artifacts of a run by name, replacing older ones."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        client.log_artifacts(run_id, folder)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(content), indent=2).encode()


def git_commit(folder: Path) -> str | None:
    """The commit that is checked out in `folder`; None outside a repository, before its first commit or without git."""
    command = ["git", "-C", str(folder), "rev-parse", "--verify", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _experiment(client: "MlflowClient", sweep: str, artifact_root: str | None) -> str:
    name = f"sparsweep/{sweep}"
    if (found := client.get_experiment_by_name(name)) is None:
        root = (
            artifact_root
            if artifact_root is None or "://" in artifact_root
            else Path(artifact_root).absolute().as_uri()
        )
        return str(client.create_experiment(name, artifact_location=root and f"{root.rstrip('/')}/{sweep}"))
    if found.lifecycle_stage == "deleted":
        raise ValueError(
            f"MLflow experiment {name} was deleted: run `mlflow experiments restore -x {found.experiment_id}` "
            "or give the sweep another name (--name)"
        )
    return str(found.experiment_id)


def _parent(client: "MlflowClient", experiment_id: str, facts: SweepFacts) -> "Run":
    found = next(_runs(client, experiment_id, f"tags.`sparsweep.sweep` = '{facts.name}'"), None)
    if found is None:
        return client.create_run(experiment_id, tags=facts.tags(), run_name=facts.name)
    if found.info.status != "RUNNING":
        client.update_run(found.info.run_id, status="RUNNING")
    return found


def _runs(client: "MlflowClient", experiment_id: str, wanted: str) -> "Iterator[Run]":
    """All runs that match, oldest first, page by page."""
    token: str | None = ""
    while token is not None:
        page = client.search_runs(
            [experiment_id], wanted, max_results=1000, order_by=["attributes.start_time ASC"], page_token=token or None
        )
        yield from page
        token = page.token or None


def _log(
    client: "MlflowClient", run_id: str, *, metrics: "Sequence[Metric]" = (),
    params: Mapping[str, object] | None = None, tags: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """As few `log_batch` calls as MLflow's limits allow, none for nothing."""
    from mlflow.entities import Param, RunTag

    if tags:
        client.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()])
    values, rows = iter(metrics), iter([Param(k, str(v)[:TEXT_LIMIT]) for k, v in (params or {}).items()])
    while (some := list(islice(values, METRICS_PER_BATCH))) + (few := list(islice(rows, PARAMS_PER_BATCH))):
        client.log_batch(run_id, metrics=some, params=few)

"""How long the registry takes for a version: the points of a real sweep, published anew into a fresh SQLite store."""

import tempfile
import time
from pathlib import Path

from sparsweep.search.delivery import frontier_now
from sparsweep.search.sweep_folder import SweepFolder, task_of
from sparsweep.search.with_mlflow import Ledger, Publication, Registry, SweepFacts, settle
from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.point import Point


def publish_times_s(folder: SweepFolder) -> list[float]:
    """Seconds of each version of the sweep's frontier, in order; the first pays for imports."""
    settle()
    sweep, where = folder.read()
    task, store = task_of(sweep, where), folder.store(where)
    frontier, _ = frontier_now(sweep, folder, store)
    example = task.load().validation.part(slice(0, 2)).inputs

    def publication(point: Point, run_id: str) -> Publication:
        path = store.folder(point.trial).path / str(point.network)
        files = {"network.safetensors": Path(f"{path}.safetensors"), "architecture.json": Path(f"{path}.json")}
        return Publication(
            model="published", sweep="published", point=point, fingerprint=task.fingerprint(), example=example,
            network=load_network(path, task.build), run_id=run_id, files=files,
        )  # fmt: skip

    seconds = []
    with tempfile.TemporaryDirectory() as space:
        uri = f"sqlite:///{space}/mlflow.db"
        ledger = Ledger.open(tracking_uri=uri, artifact_root=f"{space}/artifacts", facts=_facts(task.fingerprint()))
        runs = {record.number: ledger.log_trial(record) for record in store.records()}
        registry = Registry.open(tracking_uri=uri)
        for point in frontier.points:
            given = publication(point, runs[point.trial])
            began = time.perf_counter()
            registry.publish(given)
            seconds.append(time.perf_counter() - began)
    return seconds


def _facts(fingerprint: str) -> SweepFacts:
    return SweepFacts(name="published", params={}, fingerprint=fingerprint, seed=0, sweep_yaml="", environment={})

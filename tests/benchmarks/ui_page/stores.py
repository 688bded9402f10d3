"""One sweep of many points in three places: our records, an Optuna study, MLflow runs. The same trials in each."""

from pathlib import Path

from sparsweep.search.sweep_folder import SweepFolder, Where, points_of
from sparsweep.search.with_optuna import PointsStudy, open_storage
from sparsweep.spaces.space import Float, Knob, Space
from sparsweep.trainables.record import TrialRecord
from tests.benchmarks.frontier_index import build

NAME = "large"
CUTS = 16
SPACE = Space(
    tuple(Knob(name=name, range=Float(low=0.0, high=1.0)) for name in ("sparsity_strength", "learning_rate"))
)  # as `frontier_index.curve` draws them


def make(home: Path, points: int) -> SweepFolder:
    """The sweep's records, with its index as a driver leaves it."""
    build(home, NAME, points // CUTS, CUTS)
    folder = SweepFolder(home / "sweeps" / NAME)
    sweep, where = folder.read()
    folder.index(where).telling(sweep.objectives.directions, sweep.constraints, (), save=True)
    return folder


def records_of(folder: SweepFolder) -> list[TrialRecord]:
    return list(folder.store(Where()).records())


def make_study(folder: SweepFolder, url: str) -> int:
    """All points as trials of a study with three objectives; its id."""
    study = PointsStudy.open(open_storage(url), NAME, SPACE, objectives=("accuracy", "macs_removed", "sparsity"))
    points = points_of(records_of(folder), {})
    rows = [
        (p.id, {k: v for k, v in p.setting.items() if k != "method"}, (p.accuracy, p.macs_removed, p.sparsity))
        for p in points
    ]
    study.add(rows)
    return int(study.study._study_id)


def make_runs(folder: SweepFolder, uri: str) -> str:
    """A run a trial with its best cut's figures, as a sweep logs them; the experiment's id."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(uri)
    experiment = str(client.create_experiment(NAME))
    for record in records_of(folder):
        run = client.create_run(experiment, run_name=f"{NAME}/{record.number:05d}")
        best = max(record.points, key=lambda point: point.accuracy)
        metrics = [Metric(name, value, record.ended_ms, 0) for name, value in best.figures().items()]
        params = [Param(name, str(value)) for name, value in best.setting.items()]
        client.log_batch(run.info.run_id, metrics=metrics, params=params)
        client.set_terminated(run.info.run_id)
    return experiment

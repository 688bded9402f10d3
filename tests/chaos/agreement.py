"""Do records, study, MLflow and frontier tell of the same trials, each exactly once?"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tests.chaos.drivers import Sweep
from tests.chaos.outcome import Findings

AXES = (("accuracy", 1), ("sparsity", 1), ("macs", -1))
"""Of the sweeps here: figure, and whether more of it is better."""


def agree(
    findings: Findings, sweep: Sweep, trials: int, *, tracking: str | None = None, study: str | None = None,
    states: Sequence[str] = ("COMPLETE",), least_accuracy: float = 0.3,
) -> None:  # fmt: skip
    """Asks for exactly `trials` trials everywhere, and for the frontier that their records give."""
    tracking = tracking or anew(f"sqlite:///{sweep.home / 'mlflow.db'}")
    study = study or f"sqlite:///{sweep.home / 'studies.db'}"
    records = sweep.records()
    numbers = [record["number"] for record in records]
    told = _in_study(study, sweep.name)
    logged, steps = _in_mlflow(tracking, sweep.name)
    wanted = Counter(range(trials))
    places = {"records": Counter(numbers), "study": Counter(n for n, s in told if s in states), "MLflow": logged}
    for place, found in places.items():
        lost, doubled = wanted - found, found - wanted
        findings.lost = max(findings.lost, lost.total())
        findings.doubled = max(findings.doubled, doubled.total())
        findings.must(f"each trial once in {place}", not lost and not doubled, f"lost {lost}, doubled {doubled}")
    findings.must("no other row in the study", len(told) == trials, told)
    points = {point for record in records for point in _rows(record["points"], least_accuracy)}
    findings.must("the hypervolume's history has each trial once", steps <= Counter(range(1, trials + 1)), steps)
    best = _front(points)
    shown = json.loads((sweep.path / "frontier.json").read_text())["points"]
    findings.must("frontier.json is what the records give", _rows(shown, 0) == best, (_rows(shown, 0), best))
    asked = sweep.answer("frontier", sweep.name)["points"]
    findings.must("sparsweep frontier is what the records give", _rows(asked, 0) == best, asked)
    networks = {(point["trial"], point["cut"]): point["network"] for record in records for point in record["points"]}
    kept = [f"{p['trial']:05d}/{networks[p['trial'], p['cut']]}.safetensors" for p in asked]
    missing = [path for path in kept if not (sweep.trials / path).exists()]
    findings.must("the frontier's networks are there", not missing, missing)


_looks = itertools.count(1)


def anew(uri: str) -> str:
    """The same SQLite file under another address: MLflow keeps connections, also to files that were replaced."""
    return f"{uri}?timeout={60 + next(_looks) / 1000}"


def _rows(points: Iterable[dict[str, Any]], least_accuracy: float) -> set[tuple[float, ...]]:
    return {tuple(sign * p[name] for name, sign in AXES) for p in points if p["accuracy"] >= least_accuracy}


def _front(rows: set[tuple[float, ...]]) -> set[tuple[float, ...]]:
    """By the definition: what no other row equals or beats in everything."""
    return {
        row
        for row in rows
        if not any(other != row and all(o >= r for o, r in zip(other, row, strict=True)) for other in rows)
    }


def _in_study(storage: str, name: str) -> list[tuple[int, str]]:
    from optuna import load_study

    return [(trial.number, trial.state.name) for trial in load_study(study_name=name, storage=storage).trials]


def _in_mlflow(uri: str, name: str) -> tuple[Counter[int], Counter[int]]:
    """How often MLflow has each trial, ended; how often each step of the hypervolume."""
    from sparsweep.search.with_mlflow.store import client_of

    client = client_of(uri)
    experiment = client.get_experiment_by_name(f"sparsweep/{name}")
    if experiment is None:
        return Counter(), Counter()
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    trials = [run.data.tags.get("sparsweep.trial") for run in runs if run.info.status in ("FINISHED", "FAILED")]
    parents = [run for run in runs if "sparsweep.trial" not in run.data.tags]
    history = [metric for run in parents for metric in client.get_metric_history(run.info.run_id, "hypervolume")]
    doubled_parents = Counter({-1: len(parents) - 1}) if len(parents) > 1 else Counter[int]()
    return Counter(int(tag.rpartition("/")[2]) for tag in trials if tag) + doubled_parents, Counter(
        m.step for m in history
    )

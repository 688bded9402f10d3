"""A sweep whose hopeless trials end early, on a real Ray: what is stopped, who is told, and that a resume knows."""

import json
from collections import Counter

from tests.flow.conftest import Shell

STOPPING = """
name: stopping
task: {network: lenet-digits, data: digits}
space: {sparsity_strength: {low: 1.0e-3, high: 3.0e-2, log: true}, granularity: {choices: [filter]}}
constraints: ["accuracy >= 0.3"]
budget: {trials: 8, epochs: 4}
trial: {cuts: 4, finetune_epochs: 1}
stopping: {rule: halving, reduction: 2, first: 1}
timing: none
registry: {model: stopping, keep: 1}
"""


def test_hopeless_trials_end_early_and_everybody_knows(shell: Shell) -> None:
    (shell.folder / "stopping.yaml").write_text(STOPPING)
    ended = shell.run("run", "stopping.yaml", "--address", "local")
    assert ended.returncode == 0, ended.stderr
    records = [json.loads(path.read_text()) for path in sorted(shell.home.glob("sweeps/stopping/trials/*/result.json"))]
    states = Counter(record["state"] for record in records)
    assert (sum(states.values()), states["failed"]) == (8, 0)
    assert 1 <= states["stopped"] <= 6, "two and more came to each rung, and the best of them goes on"
    for record in records:
        epochs = [rung["epoch"] for rung in record["rungs"]]
        if record["state"] == "stopped":
            assert record["points"] == []
            assert len(record["epochs"]) == epochs[-1] < 4
            assert record["reason"].startswith(f"stopped after {epochs[-1]} epochs: worth ")
        else:
            assert epochs == [1, 2]
    assert f"{states['stopped']} stopped early" in ended.stderr + ended.stdout
    status = json.loads(shell.run("status", "stopping", "--json").stdout)
    (state,) = status if isinstance(status, list) else [status]
    assert (state["done"], state["stopped_early"], state["state"]) == (states["done"], states["stopped"], "finished")
    _stores_agree(shell, states)
    resumed = shell.run("resume", "stopping", "--trials", "9", "--inline")
    assert resumed.returncode == 0, resumed.stderr
    ninth = json.loads((shell.home / "sweeps/stopping/trials/00008/result.json").read_text())
    if ninth["state"] == "stopped":
        assert "of 9 that came so far" in ninth["reason"] or ninth["rungs"][-1]["epoch"] == 2
    assert ninth["rungs"], "the resumed sweep's judge judged it"


def _stores_agree(shell: Shell, states: Counter[str]) -> None:
    from sparsweep.search import with_mlflow

    with_mlflow.settle()
    from mlflow import MlflowClient
    from optuna import load_study

    study = load_study(study_name="stopping", storage=f"sqlite:///{shell.home / 'studies.db'}")
    assert Counter(trial.state.name for trial in study.trials) == {
        "COMPLETE": states["done"], "PRUNED": states["stopped"],
    }  # fmt: skip
    client = MlflowClient(f"sqlite:///{shell.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sparsweep/stopping")
    assert experiment is not None
    runs = [r for r in client.search_runs([experiment.experiment_id]) if "sparsweep.trial" in r.data.tags]
    assert Counter((run.info.status, run.data.tags["sparsweep.state"]) for run in runs) == {
        ("FINISHED", "done"): states["done"], ("KILLED", "stopped"): states["stopped"],
    }  # fmt: skip

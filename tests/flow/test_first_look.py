"""A sweep whose first trials look ahead, on a real Ray: who looks, who is told what, and that all stores agree."""

import json

from tests.flow.conftest import Shell

LOOKING = """
name: looking
task: {network: lenet-digits, data: digits}
space: {sparsity_strength: {low: 1.0e-3, high: 3.0e-2, log: true}, granularity: {choices: [filter]}}
constraints: ["accuracy >= 0.3"]
budget: {trials: 5, epochs: 8, first_look: 0.25, first_look_batch: 128}
trial: {cuts: 4, finetune_epochs: 4}
stopping: {rule: halving, reduction: 2, first: 1}
timing: none
registry: {model: looking, keep: 8}
"""


def test_the_first_trials_look_ahead_and_everybody_counts_it(shell: Shell) -> None:
    (shell.folder / "looking.yaml").write_text(LOOKING)
    ended = shell.run("run", "looking.yaml")
    assert ended.returncode == 0, ended.stderr
    paths = sorted(shell.home.glob("sweeps/looking/trials/*/result.json"))
    records = [json.loads(path.read_text()) for path in paths]
    assert len(records) == 5
    looked = [record["number"] for record in records if record["points"] and record["points"][0]["cut"] == "look-own"]
    assert looked[:1] == [0]
    assert len(looked) <= 2, "one a slot; a machine may have one alone"
    for record in records:
        cuts = [point["cut"] for point in record["points"]]
        phases = [epoch["phase"] for epoch in record["epochs"]]
        if record["number"] in looked:
            assert cuts[:3] == ["look-own", "look-own-tuned", "look-00"]
            assert phases[:3] == ["train", "train", "finetune"], "a quarter of 8 epochs, then one of 4 a cut"
            cuts = [cut for cut in cuts if not cut.startswith("look-")]
        assert bool(cuts) == (record["state"] == "done"), "who is stopped early has but what its look found"
        assert cuts[:2] == (["own", "own-tuned"] if cuts else [])
    _mlflow_has_them(shell, looked)
    front = json.loads(shell.run("frontier", "looking", "--json").stdout)["points"]
    assert all(point["test_accuracy"] is not None for point in front)
    shown = {(point["trial"], point["cut"]) for point in front}
    assert shown <= {(record["number"], point["cut"]) for record in records for point in record["points"]}


def _mlflow_has_them(shell: Shell, looked: list[int]) -> None:
    from sparsweep.search import with_mlflow

    with_mlflow.settle()
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{shell.home / 'mlflow.db'}")
    (experiment,) = (each for each in client.search_experiments() if each.name == "sparsweep/looking")
    runs = [run for run in client.search_runs([experiment.experiment_id]) if "sparsweep.trial" in run.data.tags]
    assert len(runs) == 5
    told = {int(run.info.run_name.split()[0]) for run in runs if "cut-look/accuracy" in run.data.metrics}
    assert told == set(looked)

"""A sweep that trains what is about to enter the front with three seeds, on a real Ray: what everybody is told."""

import json

from tests.flow.conftest import Shell

SEEDS = """
name: seeds
task: {network: lenet-digits, data: digits}
space: {sparsity_strength: {low: 1.0e-3, high: 3.0e-2, log: true}, granularity: {choices: [filter]}}
constraints: ["accuracy >= 0.3"]
budget: {trials: 5, epochs: 2}
trial: {cuts: 3, finetune_epochs: 1}
seeds: 3
timing: none
registry: {model: seeds, keep: 2}
"""


def test_what_is_about_to_enter_the_front_is_trained_with_all_seeds(shell: Shell) -> None:
    (shell.folder / "seeds.yaml").write_text(SEEDS)
    ended = shell.run("run", "seeds.yaml")
    assert ended.returncode == 0, ended.stderr
    records = [json.loads(path.read_text()) for path in sorted(shell.home.glob("sweeps/seeds/trials/*/result.json"))]
    assert [record["state"] for record in records] == ["done"] * 5
    cuts = {record["number"]: {point["cut"] for point in record["points"]} for record in records}
    repeated = {number for number, names in cuts.items() if any(name.startswith("r2-") for name in names)}
    assert repeated, "the first to end enters an empty front"
    for number, names in cuts.items():
        further = {name for name in names if name[:2] in ("r1", "r2")}
        assert bool(further) == (number in repeated), "all seeds or the one"
    front = json.loads(shell.run("frontier", "seeds", "--json").stdout)
    assert {point["trial"] for point in front["points"]} <= repeated, "nothing enters the front with one seed"
    for point in front["points"]:
        spread = point["spread"]
        assert (spread["seeds"], spread["failed"]) == (3, 0)
        assert spread["accuracy"]["bound"] <= spread["accuracy"]["mean"]
    _the_bound_is_lower(shell, front)
    _mlflow_knows(shell, repeated, front)


def _the_bound_is_lower(shell: Shell, front: dict) -> None:  # type: ignore[type-arg]
    bound = json.loads(shell.run("frontier", "seeds", "--lower-bound", "--json").stdout)
    assert 0 < bound["hypervolume_macs"]["value"] < front["hypervolume_macs"]["value"]
    for point in bound["points"]:
        assert point["accuracy"] == point["spread"]["accuracy"]["bound"]
    picture = shell.folder / "bound.png"
    told = shell.run("frontier", "seeds", "--lower-bound", "--plot", str(picture))
    assert "each at the 95 % bound of its mean over seeds" in " ".join(told.stdout.split())
    assert picture.read_bytes().startswith(b"\x89PNG")


def _mlflow_knows(shell: Shell, repeated: set[int], front: dict) -> None:  # type: ignore[type-arg]
    from sparsweep.search import with_mlflow

    with_mlflow.settle()
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{shell.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sparsweep/seeds")
    assert experiment is not None
    runs = [run for run in client.search_runs([experiment.experiment_id]) if "sparsweep.trial" in run.data.tags]
    seeds = [run.data.metrics["seeds"] for run in runs]
    assert sorted(seeds) == [1.0] * (5 - len(repeated)) + [3.0] * len(repeated)
    assert sum("cut/accuracy_deviation" in run.data.metrics for run in runs) == len(repeated)
    by_version = {point["model_version"]: point for point in front["points"] if point["model_version"]}
    for version in client.search_model_versions("name = 'seeds'"):
        known = by_version[str(version.version)]["spread"]["accuracy"]
        assert float(version.tags["accuracy_mean"]) == known["mean"]
        assert (version.tags["seeds"], float(version.tags["accuracy_deviation"])) == ("3", known["deviation"])


def test_a_bound_of_one_seed_is_refused(swept: tuple[Shell, object]) -> None:
    shell, _ = swept
    told = shell.run("frontier", "small", "--lower-bound")
    assert told.returncode == 2
    assert told.stderr.strip().splitlines()[-1] == (
        "sparsweep: no point of small has a bound: it trains with one seed; put seeds: 3 or more into the sweep file "
        "of a sweep that is to have them"
    )
    both = shell.run("frontier", "small", "--lower-bound", "--device", "cpu")
    assert both.returncode == 2
    assert "leave one of the two out" in both.stderr

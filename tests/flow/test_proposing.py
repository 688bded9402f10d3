"""What is proposed, as a user sees it: the same from the same seed, own settings first, an earlier sweep's lessons."""

import json
import shutil
from typing import Any

from tests.flow.conftest import Shell

SWEEP = """
task: {network: lenet-digits, data: digits}
space: {sparsity_strength: {low: 1.0e-3, high: 1.0e-2, log: true}, granularity: {choices: [filter]}}
objectives: {accuracy: max, sparsity: max}
constraints: ["accuracy >= 0.2"]
budget: {trials: TRIALS, epochs: 1}
timing: none
trial: {cuts: 3, finetune_epochs: 0}
sampler: {name: SAMPLER, seed: 4}
registry: {keep: 1}
"""


def write(shell: Shell, name: str, trials: int = 4, sampler: str = "auto", more: str = "") -> str:
    text = SWEEP.replace("TRIALS", str(trials)).replace("SAMPLER", sampler)
    (shell.folder / f"{name}.yaml").write_text(text + more)
    return f"{name}.yaml"


def run(shell: Shell, *words: str) -> str:
    ended = shell.run(*words, "--inline")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def settings_of(shell: Shell, name: str) -> list[dict[str, Any]]:
    paths = sorted((shell.home / "sweeps" / name / "trials").glob("*/result.json"))
    return [json.loads(path.read_text())["setting"] for path in paths]


def points_of(shell: Shell, name: str) -> list[dict[str, Any]]:
    shown = json.loads(shell.run("frontier", name, "--json").stdout)["points"]
    return [{key: point[key] for key in ("trial", "cut", "accuracy", "sparsity", "macs")} for point in shown]


def test_the_same_file_and_seed_give_the_same_proposals_and_the_same_frontier(shell: Shell) -> None:
    file = write(shell, "sweep", trials=4)
    for name in ("one", "two"):
        run(shell, "run", file, "--name", name)
    assert settings_of(shell, "one") == settings_of(shell, "two")
    assert len({json.dumps(row) for row in settings_of(shell, "one")}) == 4
    assert points_of(shell, "one") == points_of(shell, "two") != []
    run(shell, "resume", "one", "--trials", "5")
    after = settings_of(shell, "one")
    assert after[:4] == settings_of(shell, "two")
    assert len({json.dumps(row) for row in after}) == 5


def test_a_seeded_sweep_repeats_itself_beyond_its_spread_start_with_stopping_and_seeds(shell: Shell) -> None:
    """Thirteen real trials: from the eleventh on TPE proposes by what came before, and rungs judge by it."""
    more = "stopping: {rule: halving, reduction: 2, first: 1}\nseeds: 2\n"
    file = write(shell, "sweep", trials=13, more=more)
    text = (shell.folder / file).read_text().replace("epochs: 1", "epochs: 2").replace("cuts: 3", "cuts: 2")
    (shell.folder / file).write_text(text)
    for name in ("one", "two"):
        run(shell, "run", file, "--name", name)
    rows = settings_of(shell, "one")
    assert rows == settings_of(shell, "two")
    assert len({json.dumps(row) for row in rows}) == 13
    assert points_of(shell, "one") == points_of(shell, "two") != []
    states = [stopped_of(shell, name) for name in ("one", "two")]
    assert states[0] == states[1]
    assert 0 < len(states[0]) < 13


def stopped_of(shell: Shell, name: str) -> list[int]:
    """Numbers of the trials that ended early."""
    paths = sorted((shell.home / "sweeps" / name / "trials").glob("*/result.json"))
    records = [json.loads(path.read_text()) for path in paths]
    return [record["number"] for record in records if record["state"] == "stopped"]


def test_a_sweep_learns_from_an_earlier_one_which_may_go_afterwards(shell: Shell) -> None:
    run(shell, "run", write(shell, "old", trials=3))
    file = write(shell, "new", trials=4, more="points: [{sparsity_strength: 0.004}]\nwarm_start: old\n")
    run(shell, "run", file, "--trials", "3")
    kept = json.loads((shell.home / "sweeps" / "new" / "warm_start.json").read_text())["rows"]
    assert [told["row"] for told in kept] == settings_of(shell, "old")
    rows = settings_of(shell, "new")
    worth = {json.dumps(told["row"]): told["values"][0] for told in kept}
    best = sorted(worth, key=lambda row: -worth[row])
    assert rows[0]["sparsity_strength"] == 0.004
    assert [json.dumps(row) for row in rows[1:3]] == best[:2]
    assert all(point["trial"] < 3 for point in points_of(shell, "new"))
    shutil.rmtree(shell.home / "sweeps" / "old")
    run(shell, "resume", "new", "--trials", "4")
    assert len(settings_of(shell, "new")) == 4


def test_a_warm_start_from_no_sweep_is_refused_before_anything_starts(shell: Shell) -> None:
    ended = shell.run("run", write(shell, "new"), "--warm-start", "old", "--inline")
    assert ended.returncode == 2
    assert ended.stderr == f"sparsweep: warm_start: 'old' is no sweep in {shell.home}; there is none yet\n"
    assert not (shell.home / "sweeps" / "new").exists()

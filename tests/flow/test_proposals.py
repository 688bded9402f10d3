"""What is proposed, as a user sees it: the same from the same seed, own settings first, an earlier sweep's lessons."""

import json
import shutil
from typing import Any

import pytest

from tests.flow.conftest import Shell

SWEEP = """
task: {network: lenet-digits, data: digits}
space: {sparsity_strength: {low: 1.0e-3, high: 1.0e-2, log: true}, granularity: {choices: [filter]}}
objectives: {accuracy: max, sparsity: max}
constraints: ["accuracy >= 0.2"]
budget: {trials: TRIALS, epochs: 1}
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
    file = write(shell, "sweep", trials=13)  # twelve and more, so that the model proposes too
    for name in ("one", "two"):
        run(shell, "run", file, "--name", name)
    assert settings_of(shell, "one") == settings_of(shell, "two")
    assert len({json.dumps(row) for row in settings_of(shell, "one")}) == 13
    assert points_of(shell, "one") == points_of(shell, "two") != []
    run(shell, "resume", "one", "--trials", "15")
    after = settings_of(shell, "one")
    assert after[:13] == settings_of(shell, "two")
    assert len({json.dumps(row) for row in after}) == 15


def test_a_sweep_learns_from_an_earlier_one_which_may_go_afterwards(shell: Shell) -> None:
    run(shell, "run", write(shell, "old", trials=5), "--trials", "5")
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


@pytest.fixture(scope="module")
def with_an_old_one(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("old"))
    run(shell, "run", write(shell, "old", trials=1))
    return shell


@pytest.mark.parametrize(
    ("given", "changed", "said"),
    [
        ("odl", {}, "warm_start: 'odl' is no sweep in {home}; did you mean old?; there is old"),
        ("new", {}, "warm_start: 'new' is this sweep itself; there is old"),
        ("old", {"high: 1.0e-2": "high: 2.0e-2"},
         "warm_start: sweep old searched something else: sparsity_strength.high was 0.01 and is now 0.02; search the "
         "same task and space, or leave warm_start out"),
        ("old", {"lenet-digits": "lenet-300-100", "data: digits": "data: mnist"},
         "warm_start: sweep old searched something else: task.network was lenet-digits and is now lenet-300-100; "
         "task.data was digits and is now mnist"),
        ("old", {"cuts: 3": "descent: none"},
         "trial.descent was nested and is now none; search the same task and space, or leave warm_start out"),
    ],
)  # fmt: skip
def test_a_warm_start_from_something_else_is_refused_before_anything_starts(
    given: str, changed: dict[str, str], said: str, with_an_old_one: Shell
) -> None:
    shell = with_an_old_one
    path = shell.folder / write(shell, "new")
    text = path.read_text()
    for old, new in changed.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    ended = shell.run("run", "new.yaml", "--warm-start", given, "--inline")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert said.replace("{home}", str(shell.home)) in ended.stderr
    assert not (shell.home / "sweeps" / "new").exists()

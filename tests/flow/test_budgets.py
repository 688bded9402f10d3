"""A sweep ends by whatever limit comes first, in order, says so, and goes on when the limit is raised."""

import json
import re
from typing import Any

from tests.flow.conftest import Shell

SWEEP = """
name: limited
task: {network: lenet-digits, data: digits}
space: {granularity: filter}
constraints: ["sparsity >= 0.999"]
budget: {trials: 40, epochs: 1, BUDGET}
timing: none
trial: {cuts: 3, finetune_epochs: 1}
"""


def run(shell: Shell, budget: str, *words: str) -> str:
    (shell.folder / "limited.yaml").write_text(SWEEP.replace("BUDGET", budget))
    ended = shell.run("run", "limited.yaml", *words)
    assert "Traceback" not in ended.stderr
    assert ended.returncode in (0, 1), ended.stderr
    return ended.stdout


def state_of(shell: Shell) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(shell.run("status", "limited", "--json").stdout)
    return state


def test_a_sweep_that_has_spent_its_money_ends_and_goes_on_with_more(shell: Shell) -> None:
    # a core costs 1 a second, so the first trial costs more than a thousandth
    said = run(shell, "cost: 0.001, cost_per_hour: {cpu: 3600}", "--inline")
    told = re.search(r"^the search has ended: ([\d.,]+ of 0\.00100 in cost are spent)$", said, re.MULTILINE)
    assert told, said
    first = state_of(shell)
    assert (first["state"], first["done"], first["ended"]) == ("finished", 1, told[1])
    assert first["spent"]["cost"] == first["spent"]["cpu_hours"] * 3600 > 0.001
    (shell.home / "sweeps/limited/status.json").unlink()
    counted = state_of(shell)
    assert {key: counted[key] for key in ("state", "spent", "ended")} == {
        key: first[key] for key in ("state", "spent", "ended")
    }
    resumed = shell.run("resume", "limited", "--inline", "--cost", "100000", "--trials", "3")
    assert resumed.returncode in (0, 1), resumed.stderr
    assert "the search has ended: all 3 trials have ended" in resumed.stdout
    assert re.search(r"cost [\d.,]+ of 100,000$", resumed.stdout, re.MULTILINE)
    after = state_of(shell)
    assert (after["done"], after["ended"]) == (3, "all 3 trials have ended")
    assert after["spent"]["cost"] > first["spent"]["cost"]
    again = shell.run("resume", "limited", "--inline")
    assert again.returncode in (0, 1), again.stderr
    assert state_of(shell)["spent"] == after["spent"]


BROKEN_OFF = """
name: limited
task: {network: lenet-digits, data: digits}
space: {granularity: filter}
budget: {trials: 2, epochs: 1, cost: 6, cost_per_hour: {cpu: 3600}}
timing: none
trial: {cuts: 8, finetune_epochs: 60}
"""


def test_what_trials_had_found_when_they_were_broken_off_is_on_the_frontier(shell: Shell) -> None:
    (shell.folder / "limited.yaml").write_text(BROKEN_OFF)
    ended = shell.run("run", "limited.yaml")
    assert ended.returncode == 0, ended.stderr
    assert "at work were broken off" in ended.stdout
    assert "registered models:/limited@" in ended.stdout
    state = state_of(shell)
    assert state["done"] == 0
    assert state["best_accuracy"] > 0.5
    assert state["hypervolume"] > 0
    front = json.loads(shell.run("frontier", "limited", "--json").stdout)["points"]
    assert front
    assert all(point["model_version"] and point["test_accuracy"] > 0.5 for point in front)
    log = shell.run("logs", f"limited/{front[0]['trial']:05d}").stdout
    assert ": unfinished" in log
    assert f"cut {front[0]['cut']}: accuracy" in log
    resumed = shell.run("resume", "limited", "--cost", "100000")
    assert resumed.returncode == 0, resumed.stderr
    assert "the search has ended: all 2 trials have ended" in resumed.stdout
    tested = json.loads((shell.home / "sweeps/limited/measured.json").read_text())
    after = json.loads(shell.run("frontier", "limited", "--json").stdout)["points"]
    assert all(tested[f"{p['trial']:05d}/{p['cut']}"]["model_version"] == p["model_version"] for p in (*front, *after))
    assert len(after) > 0
    assert not list((shell.home / "sweeps/limited").rglob("so_far.json"))


def test_a_plateau_ends_a_sweep_on_ray_and_a_constraint_that_nothing_meets_is_told_once(shell: Shell) -> None:
    # the hypervolume cannot more than double over three trials once there is any to speak of
    said = run(shell, "patience: 3, min_growth: 1")
    told = re.findall("^the search has ended: (3 trials .* hypervolume .*, by no more than 100 %)$", said, re.MULTILINE)
    assert len(told) == 1, said
    state = state_of(shell)
    assert state["ended"] == told[0]
    assert 4 <= state["done"] + state["failed"] <= 12
    unmet = re.findall("^no point so far meets sparsity >= 0.999: the nearest, .*$", said, re.MULTILINE)
    assert len(unmet) == 1, said
    assert "no point satisfies the sweep's constraints" in said

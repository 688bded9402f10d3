"""Several methods in one sweep: the method is a choice like any other, each with its own knobs."""

import json
from typing import Any

from sparsweep.trainables.methods import METHODS
from sparsweep.trainables.options import ALLOWED
from tests.flow.conftest import Shell

THREE = ("gasl", "group_lasso", "magnitude")
SWEEP = """
task: {network: lenet-digits, data: digits}
methods: [gasl, group_lasso, magnitude]
budget: {trials: 5, epochs: 1}
timing: none
trial: {cuts: 3, finetune_epochs: 0}
objectives: {accuracy: max, sparsity: max}
registry: {keep: 1}
"""


def settings_of(shell: Shell) -> list[dict[str, Any]]:
    paths = sorted((shell.home / "sweeps" / "three" / "trials").glob("*/result.json"))
    return [json.loads(path.read_text())["setting"] for path in paths]


def is_its_own(setting: dict[str, Any]) -> bool:
    """Whether the row holds the knobs that its method's space gives it, each in its range, and no other."""
    method = METHODS[setting["method"]]
    own = {name: value for name, value in setting.items() if name != "method"}
    space = method.default_space.without({"finetune_epochs"})
    return own == space.nearest(own) and set(own) <= set(method.allowed) | set(ALLOWED)


def test_rows_have_their_methods_knobs_known_good_ones_first_and_points_name_their_method(shell: Shell) -> None:
    (shell.folder / "three.yaml").write_text(SWEEP)
    ended = shell.run("run", "three.yaml", "--inline")
    assert ended.returncode == 0, ended.stderr
    before = settings_of(shell)
    for setting, name in zip(before, THREE, strict=False):
        good = {k: v for k, v in METHODS[name].known_good[0].items() if k != "finetune_epochs"}
        assert {"method": name, **good} == setting
    shown = json.loads(shell.run("frontier", "three", "--json").stdout)["points"]
    assert {point["method"] for point in shown} <= set(THREE)
    assert all(point["method"] == before[point["trial"]]["method"] for point in shown)
    assert all(point["speedup"] is None and point["latency_ms"] is None for point in shown)
    assert "timing" not in ended.stderr
    table = shell.run("frontier", "three").stdout
    assert all(f"{point['method']} {point['trial']}/{point['cut']}" in table for point in shown)
    more = shell.run("resume", "three", "--inline", "--trials", "7")
    assert more.returncode == 0, more.stderr
    after = settings_of(shell)
    assert (after[:5], len(after)) == (before, 7)
    assert all(is_its_own(setting) for setting in after)

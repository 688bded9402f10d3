"""A sweep that goes by looked-up layer times while it searches, and by measured ones at its end."""

import json

import pytest

from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.measures.layer_times import LayerTimes
from sparsweep.trainables.tasks import Task
from tests.flow.conftest import Shell

LOOK = """
name: look
task: {network: lenet-digits, data: digits}
space: {granularity: {choices: [filter]}, channel_multiple: {choices: [1, 8]}}
constraints: ["accuracy >= 0.2"]
budget: {trials: 2, epochs: 1}
trial: {cuts: 4, finetune_epochs: 1}
timing: {look_up: true, batch: 8, round_ms: 20}
registry: {model: look, keep: 1}
"""


def test_the_search_goes_by_the_time_that_layers_take(shell: Shell) -> None:
    (shell.folder / "look.yaml").write_text(LOOK)
    ended = shell.run("run", "look.yaml")
    assert ended.returncode == 0, ended.stderr
    sweep = shell.home / "sweeps" / "look"
    times = json.loads((sweep / "layer_times.json").read_text())
    assert (times["batch"], set(times["dense"])) == (8, {"conv1", "conv2", "fc1", "fc2"})
    build, table, looked_up = Task(network="lenet-digits", data="digits").build, LayerTimes.from_json(times), 0
    for trial in sorted((sweep / "trials").glob("*/result.json")):
        points = json.loads(trial.read_text())["points"]
        assert all(point["expected_time_removed"] < 1 for point in points)
        assert len({point["expected_time_removed"] for point in points if point["cut"].isdigit()}) > 1
        for point in (point for point in points if point["network"]):
            net = load_network(trial.parent / point["network"], build)
            assert point["expected_time_removed"] == pytest.approx(table.removed(net)), "what the table of times says"
            looked_up += 1
    assert looked_up > 0
    frontier = json.loads(shell.run("frontier", "look", "--json").stdout)
    if any(point["speedup"] for point in frontier["points"]):  # a noisy machine publishes none
        assert "looked-up speedups were" in ended.stderr + ended.stdout
    written = (sweep / "layer_times.json").stat().st_mtime_ns
    resumed = shell.run("resume", "look", "--inline")
    assert resumed.returncode == 0, resumed.stderr
    assert (sweep / "layer_times.json").stat().st_mtime_ns == written

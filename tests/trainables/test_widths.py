"""Options of a trial that say how wide layers stay, and which of them are pruned at all."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.measures.accuracy import accuracy
from sparsweep.trainables.options import ALLOWED, patterns
from sparsweep.trainables.tasks import NETWORKS, Task
from sparsweep.trainables.tasks.networks import Network
from sparsweep.trainables.trial import Trial
from tests.trainables.nets import Residual, plan


def _finished(folder: Path, **fixed: Any) -> Trial:
    """A trial on digits; its network has 20, 50, 100 and 10 units."""
    trial = Trial.start(plan(fixed={"epochs": 1, "cuts": 4, "finetune_epochs": 0, **fixed}), folder)
    while trial.advance():
        pass
    return trial


def _cuts(trial: Trial) -> list[tuple[int, ...]]:
    return [point.widths for point in trial.points if point.cut.isdigit()]


def test_widths_are_multiples_and_never_below_the_minimum(tmp_path: Path) -> None:
    for widths in _cuts(_finished(tmp_path, channel_multiple=8, minimum_width=10)):
        assert all(width % 8 == 0 or width in (20, 50, 100) for width in widths[:3]), widths
        assert min(widths[:3]) >= 16, "10 rounded up"


def test_excluded_layers_stay_whole(tmp_path: Path) -> None:
    trial = _finished(tmp_path, exclude="conv*, nothing.*")
    assert {widths[:2] for widths in _cuts(trial)} == {(20, 50)}
    assert _cuts(trial)[-1][2] < 100


def test_only_included_layers_are_pruned(tmp_path: Path) -> None:
    assert {widths[1:3] for widths in _cuts(_finished(tmp_path, include="conv1"))} == {(50, 100)}


def test_the_report_lies_beside_the_network(tmp_path: Path) -> None:
    trial = _finished(tmp_path)
    described = json.loads((tmp_path / "00.json").read_text())
    assert [row["state"] for row in described["coverage"]] == ["removable"] * 3 + ["kept"]
    assert trial.couplings.report() == described["coverage"]


@pytest.mark.parametrize("name", ["include", "exclude"])
def test_any_text_of_patterns_is_allowed(name: str) -> None:
    assert "encoder.*.mlp, head" in ALLOWED[name]
    assert 3 not in ALLOWED[name]
    assert patterns("encoder.*.mlp, head,") == ("encoder.*.mlp", "head")


@pytest.mark.parametrize("coupling", ["mean", "all"])
def test_a_trial_of_a_residual_network_with_norms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coupling: str
) -> None:
    network = Network(build=Residual, example_shape=(1, 8, 8), about="")
    monkeypatch.setitem(NETWORKS, "residual", network)  # type: ignore[arg-type]
    task = Task(network="residual", data="digits")
    fixed = {"epochs": 1, "cuts": 3, "finetune_epochs": 1, "coupling": coupling}
    chosen = plan(method="magnitude", granularity="filter", final_sparsity=0.5)
    trial = Trial.start(replace(chosen, task=task, fixed=fixed), tmp_path)
    while trial.advance():
        pass
    sparsest = [point for point in trial.points if point.cut.isdigit()][-1]
    head, stem, inner, outer = sparsest.widths
    assert (head, stem) == (10, outer), "what is added goes together, and the classes stay"
    assert stem < 12 or coupling == "all"
    assert inner < 16
    assert sparsest.macs < sparsest.dense_macs
    loaded = load_network(tmp_path / sparsest.cut, Residual)
    assert accuracy(loaded, trial.data.validation) == sparsest.accuracy

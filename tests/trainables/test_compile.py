"""Training passes under `torch.compile`: the same numbers, and one message where it cannot compile."""

from pathlib import Path

import pytest
import torch

from sparsweep.trainables.attempt import run_trial
from sparsweep.trainables.methods import METHODS
from sparsweep.trainables.record import TrialFolder, TrialRecord
from sparsweep.trainables.trial import TrialPlan
from tests.trainables.nets import DIGITS

pytestmark = pytest.mark.filterwarnings("ignore")  # the compiler's own


def trained(folder: Path, method: str, compile: str) -> TrialRecord:
    fixed = {"epochs": 2, "cuts": 2, "batch_size": 256, "learning_rate": 1e-3, "descent": "none", "compile": compile}
    plan = TrialPlan(number=0, setting={"method": method}, seed=0, task=DIGITS, fixed=fixed)
    return run_trial(plan, TrialFolder(folder), debug=True)


def assert_alike(method: str, folder: Path) -> None:
    eager, compiled = (trained(folder / mode, method, mode) for mode in ("none", "default"))
    assert compiled.state == "done", compiled.reason
    assert [e.loss for e in compiled.epochs] == pytest.approx([e.loss for e in eager.epochs], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(set(METHODS) - {"gss", "l0"}))
def test_a_compiled_trial_has_the_losses_of_an_eager_one(method: str, tmp_path: Path) -> None:
    """Not gss, which has a network of its own, nor l0, whose draws compiled code makes in another order."""
    assert_alike(method, tmp_path)
    assert torch._dynamo.utils.counters["stats"]["calls_captured"] > 0


def test_without_a_compiler_the_trial_fails_with_one_message(tmp_path: Path) -> None:
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}):
        record = trained(tmp_path, "magnitude", "default")
    assert record.state == "failed"
    assert record.reason is not None
    assert record.reason.startswith("compile: default fails here (")
    assert "set compile: none" in record.reason

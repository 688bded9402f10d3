"""Every method's own cut, without a descent: at least 60 % sparse at no more than 3 points below the dense network."""

import json
from pathlib import Path

import pytest

from sparsweep.trainables.methods import METHODS
from tests.flow.conftest import Shell

SWEEP = """
name: own
task: {network: lenet-digits, data: digits}
methods: [METHOD]
space: {SPACE}
budget: {trials: TRIALS, epochs: 20}
trial: {descent: none}
sampler: {name: tpe, seed: 0}
timing: none
registry: {model: own, keep: 1}
"""
pytestmark = pytest.mark.timeout(1800)
PRUNING = tuple(name for name in METHODS if name not in ("random", "dense"))
SPACES = {"gss": "granularity: {choices: [filter]}"}
"""At its released constants (single weights) gss is not asked: it needs 100,000 steps."""
Cut = tuple[float, float]


def own_cuts(folder: Path, method: str, trials: int) -> list[Cut]:
    """(sparsity, accuracy) of every trial's own cut, untouched."""
    folder.mkdir()
    shell = Shell(folder)
    text = SWEEP.replace("METHOD", method).replace("TRIALS", str(trials)).replace("SPACE", SPACES.get(method, ""))
    (folder / "own.yaml").write_text(text)
    ended = shell.run("run", "own.yaml", "--inline", timeout_s=1500)
    assert ended.returncode == 0, ended.stderr
    records = [json.loads(path.read_text()) for path in shell.home.glob("sweeps/own/trials/*/result.json")]
    assert len(records) == trials
    points = [point for record in records for point in record["points"] if point["cut"] in ("own", "dense")]
    return [(point["sparsity"], point["accuracy"]) for point in points]


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Accuracy of the network that nothing was done to."""
    ((_, accuracy),) = own_cuts(tmp_path_factory.mktemp("own-cuts") / "dense", "dense", 1)
    assert accuracy >= 0.95
    return accuracy


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=[] if name == "gasl" else [pytest.mark.slow]) for name in PRUNING]
)
def test_the_own_cut_is_sparse_and_close_to_dense(method: str, dense: float, tmp_path: Path) -> None:
    cuts = own_cuts(tmp_path / method, method, 12)
    good = [cut for cut in cuts if cut[0] >= 0.6 and cut[1] >= dense - 0.03]
    assert good, f"dense {dense}, {method} {sorted(cuts)}"

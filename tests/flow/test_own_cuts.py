"""Every method's own cut, without a descent: at least 60 % sparse at no more than 3 points below the dense network."""

import json
from concurrent.futures import ThreadPoolExecutor
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
registry: {model: own, keep: 1}
"""
pytestmark = pytest.mark.timeout(3000)  # the first test waits for all sweeps: minutes, on a busy machine many
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
def cuts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Cut]]:
    """All methods' sweeps of 12 trials, two at a time."""
    folder = tmp_path_factory.mktemp("own-cuts")
    with ThreadPoolExecutor(2) as pool:
        found = {m: pool.submit(own_cuts, folder / m, m, 12) for m in PRUNING}
        found["dense"] = pool.submit(own_cuts, folder / "dense", "dense", 1)
        return {method: cut.result() for method, cut in found.items()}


@pytest.mark.parametrize("method", PRUNING)
def test_the_own_cut_is_sparse_and_close_to_dense(cuts: dict[str, list[Cut]], method: str) -> None:
    ((_, dense),) = cuts["dense"]
    assert dense >= 0.95
    good = [cut for cut in cuts[method] if cut[0] >= 0.6 and cut[1] >= dense - 0.03]
    assert good, f"dense {dense}, {method} {sorted(cuts[method])}"

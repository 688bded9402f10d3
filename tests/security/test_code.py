"""Whose code runs: ours, and what a sweep names as `module:Class`. Nothing is evaluated, nothing is unpickled."""

import ast
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sparsweep.search.catalogue import catalogue
from sparsweep.spaces.catalogue import Catalogue
from sparsweep.spaces.constraint import Constraint
from sparsweep.spaces.faults import SweepFileError
from sparsweep.spaces.load import read_sweep
from sparsweep.trainables.attempt import _read
from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.tasks.networks import NETWORKS

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    file for folder in ("search", "spaces", "trainables", "deploy") for file in (ROOT / folder).rglob("*.py")
)
TASK = "task: {network: lenet-digits, data: digits}\n"
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
LOADS = {"yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "np.load", "numpy.load"}
RUNS = {"eval", "exec", "compile", "__import__"}


def dotted(node: ast.expr) -> str:
    """`torch.load` of the expression torch.load; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def findings(source: str) -> Iterator[str]:
    """Every place that unpickles or evaluates something."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from (f"line {node.lineno}: imports {name}" for name in names if name.split(".")[0] in PICKLES)
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        given = {word.arg: word.value for word in node.keywords}
        safe = given.get("weights_only")
        if name in RUNS:
            yield f"line {node.lineno}: {name}"
        elif name == "torch.load" and not (isinstance(safe, ast.Constant) and safe.value is True):
            yield f"line {node.lineno}: torch.load without weights_only=True"
        elif name in LOADS or name.endswith(("pytorch.load_model", "pyfunc.load_model", "export.load", "jit.load")):
            yield f"line {node.lineno}: {name}"
        elif any(
            word == "shell" and not (isinstance(v, ast.Constant) and v.value is False) for word, v in given.items()
        ):
            yield f"line {node.lineno}: a shell"


OPENS = ROOT / "trainables/delivery/opening.py"
"""Opens the .pt2 that the process asking for it has written a moment ago, to check it; `pick --export` alone asks."""


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_source_unpickles_or_evaluates(file: Path) -> None:
    found = [finding.partition(": ")[2] for finding in findings(file.read_text())]
    assert found == (["torch.export.load"] if file == OPENS else [])


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from joblib import load", "eval('1')", "exec('x')", "torch.load(p)",
        "torch.load(p, weights_only=False)", "torch.load(p, weights_only=flag)", "yaml.load(t, Loader=L)",
        "np.load(p)", "mlflow.pytorch.load_model(u)", "torch.export.load(p)", "subprocess.run(c, shell=True)",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(line: str) -> None:
    assert len(list(findings(line))) == 1


def test_three_places_import_by_name() -> None:
    """A user's own code, written `module:name`, torchvision, whose plain import may fail, and what the driver has a
    process of its own do."""
    users = {str(f.relative_to(ROOT)) for f in SOURCES if "import_module(" in f.read_text()}
    assert users == {"search/own_process.py", "trainables/own_code.py", "trainables/tasks/torchvision_import.py"}


class Malicious:
    """Unpickled, it leaves a file behind."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> object:
        return (Path.touch, (self.witness,))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_as_checkpoint_does_not_run(tmp_path: Path) -> None:
    witness, path = tmp_path / "ran", tmp_path / "checkpoint.pt"
    for write in (torch.save, lambda value, to: to.write_bytes(pickle.dumps(value))):
        write({"net": Malicious(witness)}, path)
        assert _read(path) is None
        assert not witness.exists()
        assert "UnpicklingError" in (tmp_path / "checkpoint.unreadable.txt").read_text()


def test_a_pickle_as_network_does_not_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    (tmp_path / "00.json").write_text('{"schema": 1, "layers": {}, "example_shape": [1, 8, 8], "test_output": [[0]]}')
    torch.save({"net": Malicious(witness)}, tmp_path / "00.safetensors")
    with pytest.raises(ValueError, match="one is damaged"):
        load_network(tmp_path / "00", NETWORKS["lenet-digits"].build)
    assert not witness.exists()


OWN = "from pathlib import Path\nPath('ran').touch()\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module that leaves a file when it is imported."""
    (tmp_path / "evil_twin.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("evil_twin", None)


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return catalogue()


@pytest.mark.parametrize(
    "line",
    [
        "name: evil_twin:Mine", "name: !!python/object/apply:evil_twin.main []", "methods: [evil_twin]",
        "methods: [evil_twin.Mine]", "methods: ['evil_twin:Mine()']", "methods: ['evil_twin:Mine;import os']",
        "methods: ['__import__(\"evil_twin\"):x']", "space: {threshold: evil_twin:Mine}",
        "trial: {optimizer: evil_twin:Mine}", "trial: {cuts: '__import__(\"evil_twin\")'}",
        "constraints: ['__import__(\"evil_twin\") > 1']", "sampler: {name: evil_twin:Mine}",
        "registry: {model: evil_twin:Mine}", "objectives: {accuracy: max, evil_twin: max}",
        "budget: {time_limit: evil_twin:Mine}", "task: {network: evil_twin.build, data: digits}",
    ],
)  # fmt: skip
def test_no_other_line_of_a_sweep_file_runs_code(line: str, here: Path, known: Catalogue) -> None:
    text = line + "\n" if line.startswith("task") else TASK + line + "\n"
    with pytest.raises(SweepFileError, match=r"1 fault|2 faults"):
        read_sweep(text, catalogue(here), title="t.yaml")
    assert not (here / "ran").exists()


def test_a_method_of_the_users_own_runs_where_it_is_named(here: Path) -> None:
    with pytest.raises(SweepFileError, match="has no Mine; it defines no method"):
        read_sweep(TASK + "methods: ['evil_twin:Mine']\n", catalogue(here), title="t.yaml")
    assert (here / "ran").exists()


def test_reading_a_stored_sweep_imports_nothing(here: Path, known: Catalogue) -> None:
    """`status`, `logs`, `frontier`, `stop` and `gc` take a user's method on trust."""
    assert read_sweep(TASK + "methods: ['evil_twin:Mine']\n", known, title="t.yaml").methods == ("evil_twin:Mine",)
    assert not (here / "ran").exists()


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('id') > 1", "accuracy > __import__('os')", "accuracy > (1)", "accuracy.__class__ > 1",
     "accuracy > 0.9 or True", "accuracy > 1e99999999999", "accuracy > 0.9; import os", "lambda: 1 > 1"],
)  # fmt: skip
def test_a_wish_is_not_evaluated(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be read|unknown figure|not a finite number"):
        Constraint.parse(text)

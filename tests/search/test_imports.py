"""Imports point one way, each engine has one importer, and the command starts light."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "ray", "mlflow", "optuna", "pydantic", "rich", "numpy", "pandas", "sklearn", "matplotlib", "plotly")


def imported(file: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, by its full name."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(*folders: str) -> dict[str, set[str]]:
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    assert files
    return {str(file.relative_to(ROOT)): set(imported(file)) for file in files}


def among(modules: set[str], *wanted: str) -> set[str]:
    return {module for module in modules if any(module == w or module.startswith(f"{w}.") for w in wanted)}


@pytest.mark.parametrize("engine", ["ray", "optuna", "mlflow"])
def test_an_engine_has_one_importer(engine: str) -> None:
    found = {file for file, modules in importers("spaces", "trainables", "search").items() if among(modules, engine)}
    assert found
    assert [f for f in found if f != f"search/with_{engine}.py" and not f.startswith(f"search/with_{engine}/")] == []


def test_spaces_know_neither_trials_nor_search() -> None:
    modules = importers("spaces").values()
    assert set().union(*(among(m, "sparsweep.trainables", "sparsweep.search", "torch") for m in modules)) == set()


def test_trials_do_not_know_the_search() -> None:
    modules = importers("trainables").values()
    assert set().union(*(among(m, "sparsweep.search") for m in modules)) == set()


def test_the_folders_are_imported_as_parts_of_sparsweep() -> None:
    for file, modules in importers("spaces", "trainables", "search").items():
        assert among(modules, "spaces", "trainables", "search", "tests") == set(), file


@pytest.mark.parametrize("words", [[], ["--help"], ["run", "--help"], ["--version"]])
def test_the_command_starts_without_anything_heavy(words: list[str]) -> None:
    code = (
        "import json, sys\n"
        "from sparsweep.search.cli import main\n"
        "try:\n"
        f"    main({words!r}) if {words!r} else None\n"
        "except SystemExit as left:\n"
        "    assert left.code == 0\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []

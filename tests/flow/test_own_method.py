"""The README's own method, as it stands there: on Ray, inline, and from another folder."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.flow.conftest import Shell

README = (Path(__file__).parents[2] / "README.md").read_text()
OWN = "mine:MeanWeight"


def block(language: str) -> str:
    (text,) = [
        text for text in re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL) if "MeanWeight" in text
    ]
    return str(text)


def records_of(shell: Shell, name: str) -> list[dict[str, Any]]:
    paths = sorted((shell.home / "sweeps" / name / "trials").glob("*/result.json"))
    return [json.loads(path.read_text()) for path in paths]


SHORT = """trial: {cuts: 2, finetune_epochs: 0}
objectives: {accuracy: max, sparsity: max}
timing: none
registry: {keep: 1}
"""


@pytest.fixture
def own(shell: Shell) -> Shell:
    (shell.folder / "mine.py").write_text(block("python"))
    (shell.folder / "mine.yaml").write_text(block("yaml") + SHORT)
    return shell


def run_two_trials(own: Shell, *words: str) -> None:
    ended = own.run("run", "mine.yaml", "--trials", "2", "--epochs", "1", *words)
    assert ended.returncode == 0, ended.stderr
    records = records_of(own, "mine")
    assert [record["setting"]["method"] for record in records] == ["gasl", OWN]
    assert [record["state"] for record in records] == ["done"] * 2
    assert set(records[1]["setting"]) == {"method", "strength", "threshold"}
    assert {point["method"] for point in records[1]["points"]} == {OWN}


def test_the_readmes_own_method_runs_on_ray(own: Shell) -> None:
    run_two_trials(own)


def test_the_readmes_own_method_runs_inline_and_is_found_when_resumed_from_elsewhere(
    own: Shell, tmp_path: Path
) -> None:
    run_two_trials(own, "--inline")
    (tmp_path / "elsewhere").mkdir()
    home, own.folder = own.folder, tmp_path / "elsewhere"
    more = own.run("resume", "mine", "--inline", "--trials", "4")
    assert more.returncode == 0, more.stderr
    assert [record["state"] for record in records_of(own, "mine")] == ["done"] * 4
    own.folder = home
    look_without_it(own)


def look_without_it(shell: Shell) -> None:
    """Reading commands import nothing of the user's; a resume says what is missing."""
    (shell.folder / "mine.py").write_text("raise SystemExit('imported')")
    points = json.loads(shell.run("frontier", "mine", "--json").stdout)["points"]
    assert {point["method"] for point in points} <= {"gasl", OWN}
    assert json.loads(shell.run("status", "mine", "--json").stdout)["done"] == 4
    (shell.folder / "mine.py").unlink()
    gone = shell.run("resume", "mine")
    assert gone.returncode == 2
    assert f"there is no module mine in {shell.folder}" in gone.stderr

"""What there is, and whether this installation can use it."""

import json
import platform
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from sparsweep.search import doctor
from sparsweep.search.cli import main
from sparsweep.search.doctor import Check
from sparsweep.search.home import Home
from sparsweep.search.listing import BRIEF, LISTS, methods, presets, tasks
from sparsweep.trainables.methods import METHODS


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_listed_with_its_paper_and_every_knob_it_is_searched_by(name: str) -> None:
    row = next(row for row in methods() if row["method"] == name)
    assert row["paper"] == METHODS[name].paper != ""
    assert [line.split(": ")[0] for line in row["searched"]] == [k.label for k in METHODS[name].default_space.knobs]


def test_a_method_is_listed_whole_as_json_and_in_brief_for_people() -> None:
    gasl, magnitude, dense = (
        next(row for row in methods() if row["method"] == n) for n in ("gasl", "magnitude", "dense")
    )
    assert (gasl["fidelity"], magnitude["fidelity"], dense["fidelity"]) == ("reconstruction", "faithful", "control")
    assert (gasl["structured"], gasl["unstructured"], dense["structured"]) == (True, True, False)
    assert set(gasl["knobs"]) == set(METHODS["gasl"].allowed)
    assert gasl["knobs"]["threshold"] == {
        "kind": "float", "low": 0.0, "high": 1000.0, "log": False, "or_zero": False,
    }  # fmt: skip
    assert json.loads(json.dumps(methods())) == methods()
    brief = next(row for row in BRIEF["methods"]() if row["method"] == "gasl")
    assert brief["prunes"] == ["structured:", "  filter, input", "unstructured:", "  weight"]
    assert "threshold: 0.003 to 0.2, log" in brief["searched by default"]
    assert "  0.0003 to 0.02, log if filter or input" in brief["searched by default"]


def test_methods_are_read_within_110_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 110
    firsts = {line.split()[0] for line in lines if line[1:2].strip()}
    assert set(METHODS) <= firsts


def test_a_knob_is_listed_with_its_range() -> None:
    gasl = next(row for row in methods() if row["method"] == "gasl")
    assert "granularity: one of filter, input, weight" in gasl["searched"] or "filter" in gasl["prunes"]
    strengths = [line for line in gasl["searched"] if line.startswith("sparsity_strength")]
    assert strengths
    assert all(" a number from " in line and line.endswith(", log") for line in strengths)


def test_presets_and_tasks_are_listed_with_what_they_are() -> None:
    assert {row["preset"] for row in presets()} >= {"digits", "lenet300-mnist"}
    assert all(row["about"] for row in presets())
    kinds = {(row["kind"], row["name"]): row for row in tasks()}
    assert kinds["network", "lenet-digits"]["example"] == kinds["data", "digits"]["example"] == "1x8x8"
    assert set(LISTS) == {"presets", "methods", "tasks"}


def looked(name: str, home: Path) -> Check:
    looks = {"disk": lambda: doctor._disk(Home(home)), "Python": doctor._python}
    return doctor._check(name, looks[name])


def test_the_disk_is_looked_at_where_the_home_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10 * 2**30))
    assert looked("disk", tmp_path / "a" / ".sparsweep") == Check("disk", True, f"10.0 GiB free under {tmp_path}")


def test_a_full_disk_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**29))
    assert looked("disk", tmp_path) == Check(
        "disk", False, f"0.5 GiB free under {tmp_path}: free 2 GiB or move SPARSWEEP_HOME"
    )


def test_a_read_only_home_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10 * 2**30))
    monkeypatch.setattr(doctor.os, "access", lambda folder, mode: False)
    assert looked("disk", tmp_path).found == f"{tmp_path} cannot be written to: move SPARSWEEP_HOME"


def test_another_python_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked("Python", tmp_path) == Check("Python", True, platform.python_version())
    monkeypatch.setattr(platform, "python_version_tuple", lambda: ("3", "12", "1"))
    monkeypatch.setattr(platform, "python_version", lambda: "3.12.1")
    found = looked("Python", tmp_path)
    assert (found.ok, found.found) == (False, "3.12.1: sparsweep needs 3.11, make a virtual environment with it")


def test_a_check_is_one_line_whatever_the_fault() -> None:
    def broken() -> str:
        raise RuntimeError("cannot start:\n  port is taken\n")

    def silent() -> str:
        raise KeyError

    assert doctor._check("Ray", broken) == Check("Ray", False, "cannot start: port is taken")
    assert doctor._check("Ray", silent) == Check("Ray", False, "KeyError")


def test_stores_that_were_never_made_are_fine_and_stay_unmade(tmp_path: Path) -> None:
    home = Home(tmp_path / ".sparsweep")
    assert doctor._study(home, home.study_storage).startswith("embedded; ")
    assert not home.path.exists()


def test_a_study_database_that_cannot_be_opened_is_a_fault(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/absent/studies.db"
    found = doctor._check("study database", lambda: doctor._study(Home(tmp_path), url))
    assert not found.ok
    assert "give --study-storage" in found.found

"""Bad input: one clear message that names what was given, what is allowed, what to do; exit code 2; nothing written."""

import socket
import sys
from pathlib import Path

import pytest

from sparsweep.search.cli import main

TASK = "task: {network: lenet-digits, data: digits}\n"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command that must fail with exit code 2 says."""
    code = main(words)
    out = capsys.readouterr()
    assert code == 2
    assert "Traceback" not in out.err + out.out
    return out.err


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARSWEEP_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "state"


def test_an_unknown_preset_names_the_near_one(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    message = said(capsys, "run", "digit")
    assert "unknown preset 'digit'" in message
    assert "did you mean digits?" in message
    assert not home.exists()


CASES = {
    "method": (TASK + "methods: [gasp]\n", ["gasp", "did you mean gasl?"]),
    "knob": (TASK + "space: {sparsity_strenght: {low: 1.0e-3, high: 1}}\n", ["sparsity_strenght", "sparsity_strength"]),
    "network": ("task: {network: lenet-digit, data: digits}\n", ["lenet-digit", "did you mean lenet-digits?"]),
    "order": (TASK + "space: {threshold: {low: 0.2, high: 0.1}}\n", ["low 0.2 is greater than high 0.1"]),
    "log of zero": (TASK + "space: {threshold: {low: 0, high: 1, log: true}}\n", ["low > 0", "not 0"]),
    "misspelt key": (TASK + "objctives: {accuracy: max}\n", ["objctives", "did you mean objectives?"]),
    "objective": (TASK + "objectives: {accuracy: min, sparsity: max}\n", ["accuracy", "max"]),
    "constraint": (TASK + 'constraints: ["accuracy is good"]\n', ["accuracy is good", "accuracy >= 0.97"]),
    "budget": (TASK + "budget: {trials: -3}\n", ["trials", "-3"]),
    "not yaml": ("task: {network: [\n", ["not YAML"]),
    "shapes": ("task: {network: lenet-5, data: digits}\n", ["lenet-5", "digits"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_fault_in_a_sweep_file_is_named_with_its_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    text, words = CASES[case]
    (tmp_path / "sweep.yaml").write_text(text)
    message = said(capsys, "run", "sweep.yaml")
    assert "line " in message
    for word in words:
        assert word in message
    assert not home.exists()


OWN = """
from dataclasses import dataclass
from sparsweep.spaces.space import Space
from sparsweep.trainables.methods import Method, Scores

@dataclass(frozen=True, kw_only=True)
class Mine(Method):
    paper = "none"
    allowed = {}
    default_space = Space(())
    known_good = ()

    def scores(self, net):
        return {}
"""
NO_MODULE = "line 2: methods[2]: there is no module absent in "
OWN_CASES = {
    "no module": ("methods: [gasl, absent:Mine]\n", OWN, [NO_MODULE, "run the command in the folder that holds it"]),
    "no class": ("methods: [{}:Mne]\n", OWN, ["line 2: methods[1]: ", "has no Mne; did you mean Mine?"]),
    "its own error": ("methods: [{}:Mine]\n", "def f(:", ["line 2: methods[1]: ", "SyntaxError: ", "line 1)"]),
    "not whole": ("methods: [{}:Mine]\n", OWN.replace("paper", "papers"), ["line 2: methods[1]: ", "lacks paper"]),
    "knob": ("methods: [{}:Mine]\nspace: {threshold: 3}\n", OWN, ["line 3: space.threshold: is a knob of gasl"]),
    "rehearsal": ("methods: [{}:Mine]\n", OWN, ["method ", ":Mine: scores returned a value of type dict"]),
}


@pytest.mark.parametrize("case", OWN_CASES)
def test_a_fault_of_an_own_method_is_named_before_anything_is_written(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, code, words = OWN_CASES[case]
    module = f"own_{case.replace(' ', '_')}"
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / f"{module}.py").write_text(code)
    (tmp_path / "sweep.yaml").write_text(TASK + text.replace("{}", module))
    message = said(capsys, "run", "sweep.yaml")
    for word in words:
        assert word in message
    assert not (home / "sweeps").exists()


def test_a_method_that_cannot_serve_the_network_is_refused_with_its_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparsweep.trainables.methods.random import Random

    def check(self: Random, net: object, example_shape: tuple[int, ...]) -> None:
        if self.granularity == "filter":
            raise ValueError("filters are none of my business: use granularity = weight")

    monkeypatch.setattr(Random, "check", check)
    (tmp_path / "sweep.yaml").write_text(TASK + "methods: [gasl, random]\n")
    assert said(capsys, "run", "sweep.yaml") == (
        "sparsweep: the network lenet-digits cannot be pruned as the sweep asks:\n"
        "  method random with granularity = filter: filters are none of my business: use granularity = weight\n"
    )
    assert not (home / "sweeps").exists()


def test_all_faults_of_a_file_are_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sweep.yaml").write_text(TASK + "methods: [gasp]\nbudget: {trials: 0}\nsede: 3\n")
    message = said(capsys, "run", "sweep.yaml")
    assert "3 faults" in message
    for line in ("line 2", "line 3", "line 4"):
        assert line in message


def test_a_negative_budget_on_the_command_line_is_named_by_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--trials" in said(capsys, "run", "digits", "--trials", "-1")


def test_an_unreadable_data_root_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    message = said(capsys, "run", "lenet300-mnist", "--data-root", str(tmp_path / "nowhere"))
    assert f"--data-root {tmp_path / 'nowhere'}" in message


def test_data_that_are_not_there_and_cannot_be_downloaded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparsweep.trainables.tasks import mnist

    def no_network(folder: Path) -> None:
        raise ValueError(f"MNIST is not under {folder} and cannot be downloaded (no network): give --data-root")

    monkeypatch.setattr(mnist, "_download", no_network)
    message = said(capsys, "run", "lenet300-mnist", "--data-root", str(tmp_path))
    assert f"MNIST is not under {tmp_path} and cannot be downloaded" in message
    assert not (tmp_path / "state" / "sweeps").exists()


def test_a_tracking_server_that_nobody_answers_for(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = said(capsys, "run", "digits", "--tracking-uri", f"http://127.0.0.1:{port}")
    assert f"http://127.0.0.1:{port}" in message
    assert not (home / "sweeps").exists()


def test_a_study_storage_that_is_no_database(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    message = said(capsys, "run", "digits", "--study-storage", "nosuch://127.0.0.1:1/x")
    assert "study storage nosuch://127.0.0.1:1/x cannot be opened" in message
    assert not (home / "sweeps").exists()


def test_a_password_on_the_command_line_is_refused_and_not_repeated(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    message = said(capsys, "run", "digits", "--study-storage", "postgresql://me:secret@127.0.0.1:1/x")
    assert "SPARSWEEP_STUDY_STORAGE" in message
    assert "secret" not in message
    assert not (home / "sweeps").exists()


def test_a_name_that_is_used_with_another_space(capsys: pytest.CaptureFixture[str], tmp_path: Path, home: Path) -> None:
    from sparsweep.search.catalogue import catalogue
    from sparsweep.search.sweep_folder import SweepFolder, Where
    from sparsweep.spaces.load import load_sweep

    SweepFolder(home / "sweeps" / "digits").create(load_sweep("digits", catalogue()), Where())
    text = TASK + "name: digits\nspace: {threshold: {low: 0.01, high: 0.1}}\n"
    (tmp_path / "sweep.yaml").write_text(text)
    message = said(capsys, "run", "sweep.yaml")
    assert "the name digits is already used" in message
    assert "space.threshold" in message
    assert "--name" in message


@pytest.mark.parametrize("words", [("resume", "nobody"), ("status", "nobody"), ("frontier", "nobody")])
def test_a_sweep_that_does_not_exist(words: tuple[str, str], capsys: pytest.CaptureFixture[str], home: Path) -> None:
    message = said(capsys, *words)
    assert "no sweep 'nobody'" in message
    assert str(home) in message


def test_a_pick_without_a_registry_and_with_an_unreadable_wish(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no model digits" in said(capsys, "pick", "digits")
    assert "cannot be read" in said(capsys, "pick", "digits", "--where", "accuracy")
    assert "unknown figure 'accurcy'; did you mean accuracy?" in said(
        capsys, "pick", "digits", "--where", "accurcy > 1"
    )


def test_an_unknown_plot_ending(capsys: pytest.CaptureFixture[str]) -> None:
    assert "end the name in .png, .svg, .html" in said(capsys, "frontier", "digits", "--plot", "frontier.pdf")

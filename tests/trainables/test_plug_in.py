"""A user's class: found, imported and asked whether it is a method, every fault in words."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsweep.trainables.methods import METHODS, method_of

WHOLE = """
from dataclasses import dataclass
from sparsweep.spaces.space import Choice, Float, Knob, Space
from sparsweep.trainables.methods import Method, Scores, norm_scores

@dataclass(frozen=True, kw_only=True)
class Mine(Method):
    strength: float = 0.5
    granularity: str = "filter"
    paper = "none"
    allowed = {"strength": Float(low=0, high=1), "granularity": Choice(choices=("filter", "weight"))}
    default_space = Space((Knob(name="strength", range=Float(low=0.1, high=0.9)),))
    known_good = ({"strength": 0.5},)

    def scores(self, net):
        values = norm_scores(net, self.granularity)
        own = {name: value > 0 for name, value in values.items()}
        return Scores(granularity=self.granularity, values=values, own=own, threshold=0.0)
"""
DECORATED = "@dataclass(frozen=True, kw_only=True)\n"


@pytest.fixture
def code(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder for `mine.py`, forgotten afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def fault_of(code: Path, text: str, name: str = "mine:Mine") -> str:
    (code / "mine.py").write_text(text)
    with pytest.raises(ValueError, match=r".") as caught:
        method_of(name, code)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_class_is_found_in_the_folder_and_in_packages_under_it(code: Path) -> None:
    (code / "own").mkdir()
    (code / "own" / "mine.py").write_text(WHOLE)
    method = method_of("own.mine:Mine", code)
    assert (method.__name__, method().paper) == ("Mine", "none")
    assert method_of("own.mine:Mine") is method


def test_a_built_in_name_puts_no_folder_on_the_path(code: Path) -> None:
    assert method_of("gasl", code) is METHODS["gasl"]
    assert str(code) not in sys.path


@pytest.mark.parametrize("name", ["gasp", "mine", ":Mine", "mine:", "a:b:c", ".mine:Mine", "mine:Mine[x=y]", "m" * 130])
def test_a_name_of_another_form_imports_nothing(name: str, code: Path) -> None:
    (code / "mine.py").write_text("raise SystemExit(3)")
    with pytest.raises(ValueError, match="is not module:Class: write such as mine:Mine"):
        method_of(name, code)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def broken(:", "mine cannot be imported: SyntaxError: invalid syntax (mine.py, line 1)"),
        ("\nimport surely_not_there", "mine cannot be imported: ModuleNotFoundError: No module named "
         "'surely_not_there' (mine.py, line 2); try python -c 'import mine'"),
        ("from math import tau, nu", "mine cannot be imported: ImportError: cannot import name 'nu'"),
        ("\n\n1 / 0", "mine cannot be imported: ZeroDivisionError: division by zero (mine.py, line 3)"),
        ("raise SystemExit('bye')", "mine cannot be imported: SystemExit: bye"),
        (WHOLE.replace("frozen=True, ", ""), "TypeError: cannot inherit non-frozen dataclass from a frozen one"),
        (WHOLE.replace("Mine", "Mne"), "has no Mine; did you mean Mne?; its methods are Mne"),
        ("", "has no Mine; it defines no method"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_tells_its_own_error(text: str, said: str, code: Path) -> None:
    assert said in fault_of(code, text)


def test_no_such_module_names_the_folder(code: Path) -> None:
    said = fault_of(code, "", "yours:Mine")
    assert said == f"there is no module yours in {code} nor installed: run the command in the folder that holds it"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (WHOLE, "def Mine(): ...", "mine:Mine: is a function, not a class: write class NAME(Method)"),
        (WHOLE, "class Mine:\n    def penalty(self, net): ...", "is not a Method: write class Mine(Method); it also "
         "lacks check, prepare, learning_rates, after_step, fold, scores, of which a Method inherits all but scores"),
        ("def scores", "def score", "lacks scores: define it in the class"),
        ("    paper = ", "    penalty = 3\n    paper = ", "penalty cannot be called: a method's functions"),
        (DECORATED, "", "is not a dataclass: write @dataclass(frozen=True, kw_only=True) above class Mine"),
        (", kw_only=True", "", "is not frozen and kw_only: write @dataclass(frozen=True, kw_only=True) above"),
        ("strength: float = 0.5", "strength: float", "knob strength has no default: give it one"),
        ("    paper = ", "    papers = ", "lacks paper: text: where the method is from"),
        ("    allowed = ", "    alowed = ", "lacks allowed: a mapping from every knob to the widest legal"),
        ("    default_space = ", "    space = ", "lacks default_space: a Space of the knobs"),
        ("    known_good = ", "    good = ", "lacks known_good: a tuple of settings"),
        ('"none"', "None", "paper is of type NoneType; it must be text"),
        ('({"strength": 0.5},)', '{"strength": 0.5}', "known_good is of type dict; it must be a tuple of settings"),
        ('({"strength": 0.5},)', "(0.5,)", "known_good[0] is of type float; it must be a mapping"),
        ('"strength": Float(low=0, high=1)', '"strength": (0, 1)', "allowed: strength is of type tuple; it must be a "
         "Float, Int or Choice"),
        ('"strength": Float(low=0', '"strenght": Float(low=0', "allowed: strenght is not a field of the class; did "
         "you mean strength?"),
        ('allowed = {', 'allowed = {"epochs": Float(low=0, high=1), ', "allowed: epochs is an option of the trial: "
         "give the knob another name"),
        ("strength: float = 0.5", "strength: float = 3.0", "the default of strength: 3.0 is not allowed: it must be a "
         "number from 0 to 1"),
        ('Knob(name="strength"', 'Knob(name="stength"', "default_space: unknown knob stength; did you mean strength?: "
         "add it to allowed"),
        ("low=0.1, high=0.9", "low=0.1, high=9", "default_space: strength: high 9.0 is not allowed: it must be a "
         "number from 0 to 1"),
        ('({"strength": 0.5},)', '({"strength": 2},)', "known_good[0]: strength: 2 is not allowed"),
        ('({"strength": 0.5},)', '({"srength": 2},)', "known_good[0]: unknown knob srength; did you mean strength?"),
    ],
)  # fmt: skip
def test_what_is_not_a_method_is_told_in_words(old: str, new: str, said: str, code: Path) -> None:
    assert WHOLE.count(old) == 1
    assert said in fault_of(code, WHOLE.replace(old, new))


def test_all_faults_come_at_once(code: Path) -> None:
    text = WHOLE.replace("def scores", "def score").replace("paper = ", "papers = ").replace("known_good", "good")
    said = fault_of(code, text)
    assert [part.split(":")[0] for part in said.removeprefix("mine:Mine: ").split("; ")][:3] == [
        "lacks scores", "lacks paper", "lacks known_good",
    ]  # fmt: skip

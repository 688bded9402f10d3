"""Runs are kept by what they depend on, and a benchmark goes on where it was."""

from dataclasses import asdict
from pathlib import Path

import pytest

from tests.benchmarks.search.contenders import CONTENDERS
from tests.benchmarks.search.kept import Run, Shelf, digest, fingerprint
from tests.benchmarks.search.running import turned

RUN = Run(
    contender="optuna", seed=3, points=((5.5, 0.9, 0.5),), front=((0.9, 0.5, 0.88),), load_before=0.25, pace_ms=40.5
)  # fmt: skip
SETTINGS = {"task": "digits", "minutes": 2.0, "slots": 2}


def test_a_run_comes_back_as_it_was_put(tmp_path: Path) -> None:
    shelf = Shelf(folder=tmp_path / "digits")
    shelf.put(RUN, SETTINGS)
    assert shelf.find("optuna", 3, SETTINGS) == RUN


def test_a_run_of_other_settings_or_another_seed_is_not_found(tmp_path: Path) -> None:
    shelf = Shelf(folder=tmp_path)
    shelf.put(RUN, SETTINGS)
    assert shelf.find("optuna", 3, {**SETTINGS, "minutes": 2.5}) is None
    assert shelf.find("optuna", 4, SETTINGS) is None
    assert shelf.find("random", 3, SETTINGS) is None


def test_runs_of_several_settings_lie_beside_each_other(tmp_path: Path) -> None:
    shelf, longer = Shelf(folder=tmp_path), {**SETTINGS, "minutes": 60.0}
    shelf.put(RUN, SETTINGS)
    shelf.put(Run(**{**asdict(RUN), "points": ()}), longer)
    assert shelf.find("optuna", 3, SETTINGS) == RUN
    assert (found := shelf.find("optuna", 3, longer)) is not None
    assert found.points == ()


def test_a_renamed_run_is_refused(tmp_path: Path) -> None:
    shelf, longer = Shelf(folder=tmp_path), {**SETTINGS, "minutes": 60.0}
    shelf.put(RUN, SETTINGS)
    shelf.path("optuna", 3, SETTINGS).rename(shelf.path("optuna", 3, longer))
    with pytest.raises(ValueError, match="holds a run of other settings: it was renamed or edited; delete it"):
        shelf.find("optuna", 3, longer)


@pytest.mark.parametrize("text", ["{", "[]", '{"settings": {}}', '{"settings": {}, "run": {"contender": "optuna"}}'])
def test_a_damaged_run_is_named(tmp_path: Path, text: str) -> None:
    shelf = Shelf(folder=tmp_path)
    path = shelf.path("optuna", 3, SETTINGS)
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"{path.name} is damaged .*: delete it, and the run is done again"):
        shelf.find("optuna", 3, SETTINGS)


def test_the_fingerprint_does_not_go_by_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})


PARTS = ("spaces", "curve.py")


def folder_with(root: Path, **code: str) -> Path:
    """A folder of spaces/a.py, spaces/b.yaml, curve.py and other.py, these ones otherwise."""
    files = {"spaces/a.py": "1", "spaces/b.yaml": "cuts: 2", "curve.py": "2", "other.py": "3"}
    for name, text in {**files, **code}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_digest_goes_by_names_and_contents_of_the_sources(tmp_path: Path) -> None:
    as_it_is = digest(folder_with(tmp_path / "0"), PARTS)
    assert digest(folder_with(tmp_path / "1", **{"other.py": "4", "spaces/a.pyc": "5"}), PARTS) == as_it_is
    changes = [{"curve.py": "6"}, {"spaces/a.py": "7"}, {"spaces/b.yaml": "cuts: 3"}, {"spaces/c.py": ""}]
    found = {digest(folder_with(tmp_path / f"change{at}", **code), PARTS) for at, code in enumerate(changes)}
    renamed = folder_with(tmp_path / "renamed")
    (renamed / "spaces" / "a.py").rename(renamed / "spaces" / "d.py")
    assert len(found | {as_it_is, digest(renamed, PARTS)}) == 6


def test_what_is_left_out_of_the_digest_may_change(tmp_path: Path) -> None:
    but = ("spaces/shown", "spaces/a.py")
    as_it_is = digest(folder_with(tmp_path / "0"), PARTS, but)
    assert digest(folder_with(tmp_path / "1", **{"spaces/a.py": "4", "spaces/shown/c.py": "5"}), PARTS, but) == as_it_is
    assert digest(folder_with(tmp_path / "2", **{"spaces/shown.py": "6"}), PARTS, but) != as_it_is


CODE = """
RATE = 0.1

def step(net):
    net.rate = RATE
"""
SAME = '''
"""What it does."""
RATE = (0.1)
"""Per step."""
def step(net):
    """Takes one."""
    # with care
    net.rate = RATE
'''


def test_comments_docstrings_and_layout_change_no_digest(tmp_path: Path) -> None:
    as_it_is = digest(folder_with(tmp_path / "0", **{"curve.py": CODE}), PARTS)
    assert digest(folder_with(tmp_path / "1", **{"curve.py": SAME}), PARTS) == as_it_is
    for at, other in enumerate((CODE.replace("0.1", "0.2"), CODE.replace("net.rate", "net.rates"))):
        assert digest(folder_with(tmp_path / f"other{at}", **{"curve.py": other}), PARTS) != as_it_is


def test_each_seed_begins_with_the_next_contender() -> None:
    names = [[c.name for c in turned(CONTENDERS[:3], seed)] for seed in range(4)]
    first, second, third = (c.name for c in CONTENDERS[:3])
    assert names == [
        [first, second, third], [second, third, first], [third, first, second], [first, second, third],
    ]  # fmt: skip

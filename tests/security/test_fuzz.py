"""A small run of tests/security/fuzz.py, and what its large runs have found."""

import pytest

from sparsweep.search.catalogue import catalogue
from sparsweep.search.cli import main
from sparsweep.spaces.constraint import Constraint
from sparsweep.spaces.faults import SweepFileError
from sparsweep.spaces.load import Overrides, read_sweep
from tests.security import fuzz

TASK = "task: {network: lenet-digits, data: digits}\n"


def test_two_thousand_cases_end_in_a_sweep_or_one_clean_message() -> None:
    report = fuzz.fuzz(2000, seed=0)
    assert report.failures == []
    assert report.cases == 2000
    assert report.accepted > 50
    assert len(report.messages) > 200


def test_a_case_is_the_same_every_time() -> None:
    first, second = fuzz.fuzz(30, seed=3), fuzz.fuzz(30, seed=3)
    assert first.messages == second.messages


def message(text: str, **given: object) -> str:
    with pytest.raises(SweepFileError) as caught:
        read_sweep(text, catalogue(), title="t.yaml", overrides=Overrides(**given))  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (r"\x1b[2Jx", r"\x1b[2Jx"),
        (r"a\n  line 9: b", r"a\n  line 9: b"),
        ("a\u202eb", r"a\u202eb"),
        (r"a\u2028b", r"a\u2028b"),
        (r"\x85", r"\x85"),
        (r"\ud800", r"\ud800"),
    ],
)
def test_a_key_neither_commands_the_terminal_nor_forges_a_line(key: str, told: str) -> None:
    lines = message(TASK + f'"{key}": 3\n').split("\n")
    assert len(lines) in (2, 3)
    assert all(line.isprintable() for line in lines)
    assert told in lines[1]


def test_so_does_a_name_on_the_command_line() -> None:
    assert r"'\x1b[2J' cannot be a name" in message(TASK, name="\x1b[2J")
    assert r"'\udcff' cannot be a name" in message(TASK, name="\udcff")


def test_so_does_a_files_own_name(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "\x1b[2J.yaml"]) == 2
    assert capsys.readouterr().err.rstrip("\n").isprintable()


def test_the_command_reports_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["--cases", "40", "--seed", "2", "--messages", "1"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("40 cases, ")
    assert last.endswith(", 0 failed")


def test_white_space_before_a_percent_sign_forges_no_line() -> None:
    with pytest.raises(ValueError, match=r"cannot be held against 1e5%$"):
        Constraint.parse("macs_removed <= 1e5\r%")

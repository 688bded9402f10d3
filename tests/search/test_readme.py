"""The README says what is so: its commands parse, its sweep file loads, what it names is there."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from sparsweep.search.catalogue import catalogue
from sparsweep.search.cli import build_parser
from sparsweep.spaces.load import read_sweep

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
SPANS = re.findall(r"`([^`]+)`", PROSE)
FOLDERS = ("spaces", "trainables", "search", "tests", "deploy")
VALUES = {
    "SWEEP": "digits",
    "NAME": "digits",
    "MODEL": "digits",
    "DIR": "out",
    "FILE.png": "f.png",
    "30m": "30m",
    "TRIAL": "digits/00007",
    "URL": "http://head:8265",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def commands() -> dict[str, argparse.ArgumentParser]:
    actions = build_parser()._actions
    return dict(next(a for a in actions if isinstance(a, argparse._SubParsersAction)).choices)


def options(command: str) -> set[str]:
    return {option for action in commands()[command]._actions for option in action.option_strings}


def spelled(span: str) -> list[list[str]]:
    """`sparsweep list presets\\|methods` as the words of every command it stands for, placeholders filled."""
    ways: list[list[str]] = [[]]
    for word in shlex.split(span.replace("\\|", "|").replace("[", "").replace("]", ""))[1:]:
        each = [VALUES.get(part, part) for part in word.split("|")]
        ways = [[*way, part] for way in ways for part in each]
    return ways


COMMANDS = [span for span in SPANS if span.startswith("sparsweep ")]
IN_BLOCKS = [
    command.split("#")[0].strip()
    for block in (*blocks("bash"), *blocks("sh"), *blocks("console"))
    for command in re.split(r"&&|\n", block)
    if command.strip().startswith("sparsweep ")
]


def test_the_first_two_blocks_are_the_two_commands() -> None:
    venv = "python3 -m venv .venv && . .venv/bin/activate && "
    assert blocks("bash")[:2] == [
        f"{venv}pip install -e . && sparsweep run digits\n",
        f'{venv}pip install -e ".[test]" && pytest\n',
    ]


def test_the_sweep_file_loads() -> None:
    text, *_ = blocks("yaml")
    sweep = read_sweep(text, catalogue(), title="README.md")
    assert (sweep.name, sweep.model, sweep.methods) == ("my-digits", "digits", ("gasl", "magnitude"))


def test_only_the_task_is_required() -> None:
    assert (
        read_sweep("task: {network: lenet-digits, data: digits}", catalogue(), title="t", stem="short").name == "short"
    )


@pytest.mark.parametrize("command", sorted({*COMMANDS, *IN_BLOCKS}))
def test_every_command_parses(command: str) -> None:
    for words in spelled(command):
        assert build_parser().parse_args(words).command == words[0]


def test_every_command_is_in_the_table() -> None:
    rows = re.findall(r"^\| `sparsweep ([a-z]+)", TEXT, flags=re.MULTILINE)
    assert sorted(rows) == sorted(commands())


@pytest.mark.parametrize("row", [line for line in TEXT.splitlines() if line.startswith("| `sparsweep ")])
def test_the_options_of_a_row_are_the_commands_own(row: str) -> None:
    command = row.split()[2].strip("`")
    named = set(re.findall(r"--[a-z][a-z-]*", row))
    assert named <= options(command)


def options_in(span: str) -> list[str]:
    return re.findall(r"(?<!\S)--[a-z][a-z-]*", span)


def test_every_option_named_anywhere_exists() -> None:
    known = set().union(*(options(command) for command in commands()))
    spans = [span for span in SPANS if not span.startswith("python -m tests.")]
    assert {option for span in spans for option in options_in(span)} <= known


def benchmark_options() -> list[tuple[str, str]]:
    """Every option beside the module of this repository that it is named with: `python -m tests.MODULE --OPTION`."""
    return sorted(
        {
            (span.split()[2], option)
            for span in SPANS
            if span.startswith("python -m tests.")
            for option in options_in(span)
        }
    )


@pytest.mark.parametrize(("module", "option"), benchmark_options())
def test_every_option_of_a_benchmark_exists(module: str, option: str) -> None:
    path = ROOT / module.replace(".", "/")
    source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    assert f'"{option}"' in source.read_text()


def test_every_path_and_link_of_the_repository_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", TEXT) if "://" not in link]
    paths = [span for span in SPANS if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./-]*", span)]
    assert {f"{folder}/" for folder in FOLDERS} <= set(paths)
    assert [path for path in (*links, *paths) if not (ROOT / path).exists()] == []


def test_every_method_of_the_table_exists_and_every_other_is_told() -> None:
    section = TEXT.split("## Methods")[1].split("\n## ")[0]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)} == set(catalogue().methods)


def test_every_network_is_named() -> None:
    assert [name for name in catalogue().networks if f"`{name}`" not in TEXT] == []

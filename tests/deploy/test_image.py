"""The image's recipe and the scripts in it."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
RECIPE = (DEPLOY / "Dockerfile").read_text()
GOOD = "a-value-of-our-own-0123"


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def test_recipe_passes_hadolint() -> None:
    done = subprocess.run([_tool("hadolint"), str(DEPLOY / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_scripts_pass_shellcheck() -> None:
    scripts = [DEPLOY / "check-settings", DEPLOY / "kubernetes" / "databases.sh"]
    done = subprocess.run([_tool("shellcheck"), *map(str, scripts)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert all(os.access(script, os.X_OK) for script in scripts)


def test_base_is_pinned_and_the_user_is_not_root() -> None:
    assert re.findall(r"^FROM (.+)$", RECIPE, re.M) == ["docker.io/library/python:3.11.13-slim-bookworm"]
    assert re.findall(r"^USER (.+)$", RECIPE, re.M)[-1] == "10001:10001"
    assert RECIPE.index("USER 10001") > RECIPE.rindex("RUN ")


def test_torch_is_within_the_projects_bounds() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    bounds = {Requirement(line).name: Requirement(line).specifier for line in project["dependencies"]}
    for name in ("torch", "torchvision"):
        (pinned,) = re.findall(rf'"{name}==([\d.]+)"', RECIPE)
        assert pinned in bounds[name]
    assert {Requirement(line).name for line in project["optional-dependencies"]["cluster"]} == {
        "ray",
        "mlflow",
        "psycopg",
    }


def test_context_holds_what_the_recipe_copies() -> None:
    allowed = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = {
        word
        for line in re.findall(r"^COPY (.+)$", RECIPE, re.M)
        for word in line.split()[:-1]
        if not word.startswith("--")
    }
    assert copied == allowed
    assert all((DEPLOY.parent / path).exists() for path in allowed)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "is not set"),
        ("", "is not set"),
        ("change-me", "still has the example's value"),
        ("short", "shorter than 20"),
        ("twenty characters, and more", "other than letters"),
        ("p@ss/word:with-url-characters", "other than letters"),
    ],
)
def test_check_settings_refuses(value: str | None, says: str) -> None:
    env = {"PATH": os.environ["PATH"], "GOOD": GOOD} | ({} if value is None else {"SECRET": value})
    done = subprocess.run(
        [DEPLOY / "check-settings", "GOOD", "SECRET", "--", "echo", "started"], env=env, capture_output=True, text=True
    )
    assert done.returncode == 78
    assert done.stdout == ""
    assert says in done.stderr
    assert not value or len(value) < 10 or value not in done.stderr


def test_check_settings_runs_the_command() -> None:
    env = {"PATH": os.environ["PATH"], "GOOD": GOOD}
    done = subprocess.run(
        [DEPLOY / "check-settings", "GOOD", "--", "echo", "two words"], env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "two words\n")


def test_check_settings_refuses_every_line_of_the_example() -> None:
    lines = [line for line in (DEPLOY / "settings.example.env").read_text().splitlines() if not line.startswith("#")]
    env = {"PATH": os.environ["PATH"], **dict(line.split("=", 1) for line in lines)}
    done = subprocess.run(
        [DEPLOY / "check-settings", *(line.split("=")[0] for line in lines)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 78
    assert done.stderr.count("example's value") == len(lines) == 6

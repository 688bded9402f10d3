"""A sweep that is submitted to a cluster, asked about, looked into, stopped and cleared up, through its job server."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chromium import NAMES
from tests.launched_cluster import LocalCluster

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        importlib.util.find_spec("aiohttp_cors") is None, reason="ray[default] is not installed: no job server"
    ),
]
OWN = """
from dataclasses import dataclass
from pathlib import Path
from sparsweep.spaces.space import Space
from sparsweep.trainables.methods import Method, Scores
from sparsweep.trainables.methods.random import Random

WHERE = __file__

@dataclass(frozen=True, kw_only=True)
class Mine(Random):
    paper = "none"
"""
SWEEP = """
name: NAME
task: {network: lenet-digits, data: digits}
methods: [METHOD]
constraints: ["accuracy >= 0.05"]
budget: {trials: TRIALS, epochs: EPOCHS}
trial: {descent: nested, cuts: 2, finetune_epochs: 1}
timing: none
registry: {model: NAME, keep: 1}
"""


class Laptop:
    """A machine with nothing but the command and the cluster's job server and token."""

    def __init__(self, cluster: LocalCluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.address = cluster.env["RAY_API_SERVER_ADDRESS"]
        hidden = ("MLFLOW_", "SPARSWEEP_", "RAY_ADDRESS")
        self.env = {k: v for k, v in cluster.env.items() if not k.startswith(hidden)}
        self.env["SPARSWEEP_HOME"] = str(folder / "home")

    def says(self, *words: str, code: int = 0) -> str:
        """What the command prints; it must end with `code`."""
        command = [sys.executable, "-m", "sparsweep.search.cli", *words, "--address", self.address]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=500)
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def write(self, name: str, method: str = "random", trials: int = 2, epochs: int = 1) -> str:
        text = SWEEP.replace("NAME", name).replace("METHOD", method)
        (self.folder / f"{name}.yaml").write_text(text.replace("TRIALS", str(trials)).replace("EPOCHS", str(epochs)))
        return f"{name}.yaml"


@pytest.fixture(scope="module")
def laptop(local_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    return Laptop(local_cluster, tmp_path_factory.mktemp("laptop"))


def test_a_sweep_is_followed_to_its_end_and_asked_about_afterwards(laptop: Laptop) -> None:
    said = laptop.says("submit", laptop.write("sent"))
    assert f"submitted sent to {laptop.address} as job sparsweep-sent-" in said
    assert "registered models:/sent@" in said
    assert not (laptop.folder / "home").exists()
    state = json.loads(laptop.says("status", "sent", "--json").splitlines()[-1])
    assert (state["state"], state["done"], state["failed"]) == ("finished", 2, 0)
    assert "trial sent/00001: done" in laptop.says("logs", "sent/00001")
    assert "has no trial 00009: it has 2, 00000 to 00001" in laptop.says("logs", "sent/00009", code=2)
    assert "points on the frontier of sent" in laptop.says("frontier", "sent")
    assert "no sweep 'sen' in " in laptop.says("status", "sen", code=2)
    assert "sweep sent is not being run" in laptop.says("stop", "sent", code=1)
    assert "sparsweep gc --yes removes them" in laptop.says("gc", "sent")


def test_only_the_code_that_is_sent_runs(laptop: Laptop) -> None:
    code = laptop.folder / "code"
    code.mkdir()
    (code / "my_own_method.py").write_text(OWN)
    (code / "link.py").symlink_to("/etc/passwd")
    said = laptop.says("submit", laptop.write("own", "my_own_method:Mine"), "--code", str(code))
    assert f"not sent: {code / 'link.py'}" in said
    assert "registered models:/own@" in said
    home = laptop.cluster.state / "home" / "sweeps" / "own"
    assert sorted(path.name for path in (home / "code").iterdir() if path.suffix) == ["my_own_method.py", "sweep.yaml"]
    where = json.loads((home / "sweep.json").read_text())["where"]
    assert where["code_root"] == str(home / "code")
    (laptop.folder / "my_own_method.py").write_text(OWN)
    refused = laptop.says("submit", laptop.write("own2", "my_own_method:Other"), code=2)
    assert "has no Other" in refused


def test_a_sweep_is_stopped_from_anywhere(laptop: Laptop) -> None:
    laptop.says("submit", laptop.write("long", trials=500, epochs=20), "--detach")
    for _ in range(60):
        state = (
            laptop.says("status", "long", "--json")
            if os.path.exists(laptop.cluster.state / "home" / "sweeps" / "long" / "sweep.json")
            else ""
        )
        if '"running"' in state:
            break
    said = laptop.says("stop", "long")
    assert "go on with: sparsweep resume long" in said
    for _ in range(60):
        if '"running"' not in (state := laptop.says("status", "long", "--json")):
            break
    assert json.loads(state.splitlines()[-1])["state"] == "stopped"


def test_the_page_sends_a_sweep_and_tells_what_came_of_it(laptop: Laptop, tmp_path: Path) -> None:
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip(f"no browser is installed (looked for {', '.join(NAMES)})")
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "sparsweep.search.cli", "ui", "--port", "0"]
    server = subprocess.Popen(command, cwd=tmp_path, env=laptop.env, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
        assert found is not None
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(f"{found[0]}/new")
            page.get_by_label("sweep file").fill((laptop.folder / laptop.write("clicked")).read_text())
            page.get_by_text("sweep clicked has no fault").wait_for()
            page.get_by_label("on a cluster's job server").fill(laptop.address)
            page.get_by_role("button", name="Start").click()
            page.get_by_text("the command has ended").wait_for(timeout=200_000)
            said = page.locator("pre").inner_text()
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    assert f"submitted clicked to {laptop.address} as job sparsweep-clicked-" in said
    assert f"sparsweep status clicked --address {laptop.address}" in said
    state: dict[str, object] = {}
    deadline = time.monotonic() + 400
    while state.get("state") != "finished" and time.monotonic() < deadline:
        if (laptop.cluster.state / "home" / "sweeps" / "clicked" / "sweep.json").exists():
            state = json.loads(laptop.says("status", "clicked", "--json").splitlines()[-1])
        time.sleep(1)
    assert (state.get("state"), state.get("done")) == ("finished", 2)


def test_without_the_token_nothing_is_taken(laptop: Laptop) -> None:
    env = {k: v for k, v in laptop.env.items() if not k.startswith("RAY_AUTH")}
    command = [sys.executable, "-m", "sparsweep.search.cli", "status", "--address", laptop.address]
    stranger = {**env, "RAY_AUTH_MODE": "disabled"}
    done = subprocess.run(command, cwd=laptop.folder, env=stranger, capture_output=True, text=True, timeout=200)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "RAY_AUTH_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr

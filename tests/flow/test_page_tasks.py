"""What a newcomer does in the page, from an empty home: begin a sweep, watch, stop, go on, look, pick, name, export."""

import json
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparsweep.search.sweep_folder import SweepFolder, Where
from tests.flow.conftest import SMALL, Shell
from tests.flow.test_page import browser  # noqa: F401
from tests.search.test_frontier_index import sweep_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SWEEP = SMALL.replace("trials: 4", "trials: 200")
WAIT_MS = 120_000


@pytest.fixture
def address(shell: Shell) -> Iterator[str]:
    """Where `sparsweep ui` serves the shell's home; ended as Ctrl-C does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sparsweep.search.cli", "ui", "--port", "0"], cwd=shell.folder, env=shell.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
    assert found is not None
    yield found[0]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said


@pytest.fixture
def page(browser: "Browser", address: str) -> "Iterator[Page]":  # noqa: F811
    context = browser.new_context(base_url=address, accept_downloads=True, viewport={"width": 1280, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    yield page
    context.close()


def test_the_server_ends_although_pages_are_open(shell: Shell) -> None:
    SweepFolder(shell.home / "sweeps" / "digits").create(sweep_of(), Where())
    words = [sys.executable, "-m", "sparsweep.search.cli", "ui", "--port", "0"]
    process = subprocess.Popen(
        words, cwd=shell.folder, env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
    assert found is not None
    looking = [HTTPConnection(found[0], timeout=60) for _ in range(5)]
    for each in looking:
        each.request("GET", "/api/sweeps/digits/events")
    answers = [each.getresponse() for each in looking]
    assert all(answer.readline().startswith(b"event: ") for answer in answers)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert said == ""
    for answer, connection in zip(answers, looking, strict=True):
        answer.read()  # told to the end: IncompleteRead where it was broken off
        answer.close()
        connection.close()


@pytest.mark.parametrize(
    ("op", "bounds"),
    [(">=", [0.98666, 0.99, 2.0, 0.0, 123450, 512]), ("<=", [0.98667, 0.99, 2.0, 0.0, 123460, 512])],
)
def test_the_figure_that_a_slider_s_bound_comes_from_keeps_to_it(page: "Page", op: str, bounds: list[float]) -> None:
    page.goto("/")
    script = "async ([all, op]) => (m => all.map(each => m.bound(each, op)))(await import('/assets/models.js'))"
    assert page.evaluate(script, [[0.9866666, 0.99, 2.0, 0.0, 123456, 512], op]) == bounds


def trials_ended(page: "Page") -> int:
    return int(page.request.get("/api/sweeps/small").json()["done"])


@pytest.mark.timeout(600)
def test_from_an_empty_home_to_an_exported_model(page: "Page", shell: Shell, tmp_path: Path) -> None:
    # begins from the empty page
    page.goto("/")
    page.get_by_role("link", name="Start one here").click()
    page.get_by_label("begin with").select_option("digits")
    text = page.get_by_label("sweep file")
    assert "network: lenet-digits" in text.input_value()
    text.fill(SWEEP)
    page.get_by_text("sweep small has no fault").wait_for()
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/sweeps/small")
    page.get_by_role("button", name="Stop").wait_for()

    # watches: points come without a reload
    page.get_by_role("link", name="Frontier", exact=True).click()
    page.get_by_text(re.compile(r"^\d+ of [1-9]\d* points on the frontier")).wait_for()
    seen = page.get_by_text(re.compile(r"points on the frontier; ")).inner_text()
    page.wait_for_function("was => !document.body.innerText.includes(was)", arg=seen)

    # stops, and goes on for two more
    page.go_back()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text(re.compile("asked .* to stop")).wait_for()
    page.get_by_role("button", name="Go on").wait_for()
    stopped = trials_ended(page)
    assert 1 <= stopped < 200
    page.get_by_label("trials in all").fill(str(stopped + 2))
    page.get_by_role("button", name="Go on").click()
    page.locator("main .state.running").wait_for()
    page.locator("main .state.finished").wait_for()
    assert trials_ended(page) == stopped + 2

    # looks at a point
    page.get_by_role("link", name="Frontier", exact=True).click()
    page.locator("table", has_text="the frontier of small").locator("tbody tr").first.click()
    layers = page.locator("table", has_text="units of each layer before and after")
    layers.wait_for()
    assert layers.locator("tbody td:first-child").first.inner_text().startswith("conv")
    page.get_by_role("heading", name="Learning curve").wait_for()

    # picks by a slider: every place of it is a bound that some version keeps to, and the address gives it back
    page.get_by_role("link", name="pick from model small").click()
    slider = page.get_by_label("sparsity at least")
    slider.focus()
    for _ in range(int(slider.get_attribute("max") or 0)):
        slider.press("ArrowRight")
    sparsest = slider.get_attribute("aria-valuetext")
    page.get_by_role("heading", name="Picked: version").wait_for()
    page.reload()
    page.get_by_role("heading", name="Picked: version").wait_for()
    assert page.get_by_label("sparsity at least").get_attribute("aria-valuetext") == sparsest != "any"
    slider.press("Home")

    # picks by words; the command that the page gives picks the same
    page.get_by_label("or typed").fill("accuracy >= 0.3")
    page.get_by_label("or typed").press("Enter")
    page.get_by_label("best in").select_option("sparsity")
    page.get_by_text("highest sparsity").wait_for()
    version = page.get_by_role("heading", name="Picked: version").inner_text().removeprefix("Picked: version ")
    page.get_by_role("button", name="copy", exact=True).click()
    command = page.evaluate("navigator.clipboard.readText()").split()
    assert command[:3] == ["sparsweep", "pick", "small"]
    typed = "pick small --where 'accuracy >= 0.3' --best sparsity"
    assert " ".join(command[1:]) == typed
    said = shell.run("pick", "small", "--where", "accuracy >= 0.3", "--best", "sparsity", "--json")
    assert json.loads(said.stdout)["version"] == version

    # names it, loads it, takes it along
    page.get_by_label("alias").fill("champion")
    page.get_by_role("button", name="Set alias").click()
    page.get_by_text(f"champion names version {version}").wait_for()
    history = page.locator("table", has_text="which version an alias came to name").locator("tbody tr").first
    assert history.inner_text().split()[:2] == ["champion", version]
    page.get_by_role("button", name="Copy loading snippet").click()
    assert f"models:/small/{version}" in page.evaluate("navigator.clipboard.readText()")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export", exact=True).click()
    target = tmp_path / "picked.zip"
    shutil.copy(download.value.path(), target)
    with zipfile.ZipFile(target) as archive:
        assert {"network.safetensors", "architecture.json", "load.py", "model_card.md"} <= set(archive.namelist())

    # finds it again
    page.goto("/models")
    page.get_by_role("link", name="small", exact=True).click()
    row = page.locator("table", has_text="versions on and off the frontier").locator("tbody tr", has_text="champion")
    assert row.inner_text().split()[:2] == [version, "on"]
    row.get_by_role("link").click()  # to the point that it is
    page.get_by_role("heading", name="Point small/").wait_for()

"""What somebody who looks waits for, in the Chromium that is installed: first pictures, a filter."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.chromium import NAMES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WAIT_MS = 400_000
OURS = "document.querySelector('.stage')?.dataset.shown && document.querySelectorAll('tbody tr').length > 0"
WHOLE = "document.querySelector('.plot')?.dataset.drawn"
PARETO = "document.querySelectorAll('#graph-pareto-front .point').length > 0"
RUNS = "[...document.querySelectorAll('a')].some(each => each.textContent.includes('large/'))"


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Raises RuntimeError where none is installed."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise RuntimeError(f"no browser is installed (looked for {', '.join(NAMES)})")
    with sync_playwright() as driver:
        options = ["--no-sandbox", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]
        browser = driver.chromium.launch(executable_path=found, args=options)
        yield browser
        browser.close()


def until_shown(browser: "Browser", address: str, shown: str) -> float:
    """Seconds from asking for an address in a fresh window, nothing cached, until a condition of the page holds.

    By the page's own clock, which begins with the navigation; the condition is looked at every 10 ms.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(address, wait_until="commit", timeout=WAIT_MS)
    took = page.wait_for_function(f"({shown}) && performance.now()", timeout=WAIT_MS, polling=10)
    seconds = float(took.json_value()) / 1e3
    context.close()
    return seconds


def filters(browser: "Browser", address: str, repeats: int) -> list[float]:
    """Milliseconds in the browser from letting go of a brush on an axis until the filtered picture is on the screen."""
    context = browser.new_context(viewport={"width": 1280, "height": 1900})
    page = context.new_page()
    page.goto(address, timeout=WAIT_MS)
    page.wait_for_function(WHOLE, timeout=WAIT_MS)
    page.locator(".parcoords .axis-brush").first.wait_for(timeout=WAIT_MS)
    found = [_brush(page, at) for at in range(repeats)]
    context.close()
    return found


def _brush(page: "Page", at: int) -> float:
    """Drags along the first axis, each time elsewhere; the page tells how long it took by the User Timing API."""
    before = page.evaluate("performance.getEntriesByName('filter').length")
    box = page.locator(".parcoords .axis-brush .background").first.bounding_box()
    assert box is not None
    across, top, height = box["x"] + box["width"] / 2, box["y"], box["height"]
    start = top + height * (0.1 + 0.05 * (at % 8))
    page.mouse.move(across, start)
    page.mouse.down()
    page.mouse.move(across, start + height / 4, steps=4)
    page.mouse.move(across, start + height / 3, steps=2)
    page.mouse.up()
    page.wait_for_function(f"performance.getEntriesByName('filter').length > {before}", timeout=WAIT_MS)
    return float(page.evaluate("performance.getEntriesByName('filter').at(-1).duration"))

"""The README's pictures of the page, taken in the installed Chromium from a sweep that there is.

    python -m tests.pictures [--sweep digits] [--into search/ui/pictures]

SPARSWEEP_HOME names the home, as for every command. Light and dark at 1280 pixels, and at 390.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sparsweep.search.home import Home
from tests.benchmarks.ui_page.serving import ours
from tests.chromium import NAMES

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
DRAWN = "document.querySelector('.plot')?.dataset.drawn"


def frontier(page: "Page", sweep: str) -> None:
    """The frontier with a point chosen."""
    page.goto(f"/sweeps/{sweep}/frontier")
    page.wait_for_function(DRAWN)
    page.locator("tr[tabindex]").nth(2).click()
    page.get_by_role("heading", name="Learning curve").first.wait_for()
    page.wait_for_timeout(1500)
    page.evaluate("scrollTo(0, 0)")


def pick(page: "Page", model: str) -> None:
    """A pick by a typed wish."""
    page.goto(f"/models/{model}?where=accuracy+%3E%3D+0.96&best=speedup")
    page.get_by_role("heading", name="Picked: version").wait_for()
    elsewhere = (
        "for (const each of document.querySelectorAll('code')) each.textContent = each.textContent.replace(...to)"
    )
    page.evaluate(f"to => {{ {elsewhere} }}", [str(Home.find().path), "/path/to/.sparsweep"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Takes them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", default="digits")
    parser.add_argument("--into", default="search/ui/pictures")
    o = parser.parse_args(arguments)
    from playwright.sync_api import sync_playwright

    into = Path(o.into)
    into.mkdir(parents=True, exist_ok=True)
    found = next(filter(None, map(shutil.which, NAMES)), None)
    options = ["--no-sandbox", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]
    with ours(Home.find().path) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=options)
        for name, size, scheme, show in (
            ("frontier-light", WIDE, "light", frontier), ("frontier-dark", WIDE, "dark", frontier),
            ("frontier-narrow", NARROW, "light", frontier), ("pick-light", WIDE, "light", pick),
        ):  # fmt: skip
            page = browser.new_page(viewport=size, color_scheme=scheme, base_url=address)
            show(page, o.sweep)
            page.screenshot(path=str(into / f"{name}.png"))
            page.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

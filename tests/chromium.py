"""Pages in a real browser: headless Chromium, if one is installed."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass(frozen=True)
class Opened:
    """A page after its scripts have run."""

    dom: str
    console: str
    """What its scripts wrote or raised."""


def open_page(page: Path, folder: Path) -> Opened:
    """Opens a file and lets its scripts run; skips the test where no browser is installed.

    Args:
        folder: an empty one for the browser's own files.
    """
    if (browser := next(filter(None, map(shutil.which, NAMES)), None)) is None:
        pytest.skip(f"no browser is installed (looked for {', '.join(NAMES)})")
    done = subprocess.run(
        [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader",
            "--disable-dev-shm-usage", f"--user-data-dir={folder}", "--window-size=1200,3000",
            "--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom", page.absolute().as_uri(),
        ],
        capture_output=True, text=True, timeout=200, check=True,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return Opened(done.stdout, "\n".join(said))

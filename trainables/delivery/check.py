"""Checks delivered files where they will be used: in a fresh process that cannot import sparsweep."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TOLERANCE = 1e-4
"""Largest difference of outputs that counts as equal, as in load.py; of outputs above 1 relative to the largest."""
LIMIT_S = 600
"""Seconds that one format may take to be opened."""


class DifferentError(RuntimeError):
    """A delivered file does not give the outputs that are stored beside it."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The largest |difference| between outputs in a fresh process and those stored.

    In one and the same batch, and with one example and more examples at once, which other kernels may compute.
    """

    as_stored: float
    other_batches: float

    def __str__(self) -> str:
        return f"{self.as_stored:.2g} ({self.other_batches:.2g} in other batches)"


def check_format(form: str, folder: Path) -> Difference:
    """How far one format in `folder` is from its stored test vector.

    The environment is this one, as torch may be found by it alone; the script's own folder is not on the path.

    Raises:
        DifferentError: the outputs differ by more than TOLERANCE,
            or the file does not open.
    """
    script = Path(__file__).with_name("opening.py")
    # Python writes no __pycache__ beside load.py.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(script), form], cwd=folder, env=environment, capture_output=True, text=True,
            timeout=LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as fault:
        raise DifferentError(f"{form} was not open after {LIMIT_S} s in a fresh process") from fault
    if done.returncode != 0:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise DifferentError(f"{form} does not open in a fresh process ({last})")
    told = json.loads(done.stdout.splitlines()[-1])
    largest = told.pop("largest_output")
    difference = Difference(**told)
    for each in (difference.as_stored, difference.other_batches):
        if not each <= TOLERANCE * max(1.0, largest):
            raise DifferentError(
                f"{form} gives outputs that differ from those stored by {each:.3g} "
                f"(allowed {TOLERANCE:g}, relative where they are above 1; the largest is {largest:.3g})"
            )
    return difference

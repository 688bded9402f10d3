"""Makes deploy/'s own modules importable, and the local cluster known."""

import sys
from pathlib import Path

from tests.local_cluster import local_cluster  # noqa: F401

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy"))

"""Makes the local cluster known, as tests/deploy does."""

import sys
from pathlib import Path

from tests.local_cluster import local_cluster  # noqa: F401

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy"))

"""`sparsweep` as it is, but for one thing: no trial begins before Ray is there. An ablation, no part of the product.

python -m tests.benchmarks.search.without_forerunners run digits
"""

import sys
from typing import Any

from sparsweep.search import sweep
from sparsweep.search.cli import main


def none_forked(*_: Any) -> int:
    """As on a cluster."""
    return 0


if __name__ == "__main__":
    sweep.forerunner_count = none_forked
    sys.exit(main())

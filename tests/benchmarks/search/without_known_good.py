"""`sparsweep` as it is, but for one thing: it begins with no setting that is known to be good. An ablation, no part of
the product.

python -m tests.benchmarks.search.without_known_good run digits
"""

import sys
from typing import Any

from sparsweep.search import sweep
from sparsweep.search.cli import main


def none_known(*_: Any) -> list[Any]:
    """As if nobody had tried the methods before."""
    return []


if __name__ == "__main__":
    sweep.known_good_rows = none_known
    sys.exit(main())

"""`sparsweep` as it is, but for one thing: Ray begins a process for every trial. An ablation, no part of the product.

python -m tests.benchmarks.search.without_reuse run digits
"""

import sys
from typing import Any

from ray import tune

from sparsweep.search.cli import main

TuneConfig = tune.TuneConfig


def config(**given: Any) -> Any:
    """Tune's settings with `reuse_actors` off, whatever was asked for."""
    return TuneConfig(**{**given, "reuse_actors": False})


if __name__ == "__main__":
    tune.TuneConfig = config
    sys.exit(main())

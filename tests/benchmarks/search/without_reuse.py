"""`sparsweep` as it is, but that Ray begins a process for every trial, and none begins before Ray. An ablation, no part
of the product.

python -m tests.benchmarks.search.without_reuse run digits
"""

import sys
from typing import Any

from ray import tune

from sparsweep.search import sweep
from sparsweep.search.cli import main
from tests.benchmarks.search.without_forerunners import none_forked

TuneConfig = tune.TuneConfig


def config(**given: Any) -> Any:
    """Tune's settings with `reuse_actors` off, whatever was asked for."""
    return TuneConfig(**{**given, "reuse_actors": False})


if __name__ == "__main__":
    tune.TuneConfig, sweep.forerunner_count = config, none_forked
    sys.exit(main())

"""One of MOASHA's trials, a process of its own as Syne Tune's local backend starts them; reports every epoch.

The lines are those that Syne Tune's Reporter prints: importing it would cost every trial a second.
"""

import argparse
import json
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

from tests.benchmarks.search.contest import Contest, row_of
from tests.benchmarks.search.one_trial import FAULTS, by_epoch, settle


def main() -> int:
    """Reports epoch, accuracy and share removed; the worst of both where the setting fails."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--st_config_json_filename", type=Path)
    config = json.loads(parser.parse_known_args()[0].st_config_json_filename.read_text())
    contest = Contest.read(Path(config["contest"]))
    began, numbers = time.perf_counter(), count()

    def report(**figures: Any) -> None:
        own = {"st_worker_timestamp": time.time(), "st_worker_time": time.perf_counter() - began}
        print(f"[tune-metric]: {json.dumps({**figures, **own, 'st_worker_iter': next(numbers)})}", flush=True)

    settle()
    epoch = 0
    try:
        for epoch, accuracy, removed in by_epoch(contest, row_of(contest.space(), config)):
            report(epoch=epoch, accuracy=accuracy, removed=removed)
    except FAULTS:
        report(epoch=epoch + 1, accuracy=0.0, removed=0.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The floor: a bare Ray class trainable with actor reuse, no loggers, as many pending trials as slots, one result.

A trial computes for as long as it is told (0: nothing) on one thread, so that the driver finds the cores as busy as
beside real trials. Run in a process of its own; prints JSON.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from typing import Any

RESULTS = 1


def compute_ms(for_ms: float) -> float:
    """Multiplies matrices for so long; how long it took."""
    import numpy as np

    began, matrix = time.perf_counter(), np.full((96, 96), 0.5)
    while (spent := 1e3 * (time.perf_counter() - began)) < for_ms:
        matrix @ matrix
    return spent


def trainable() -> type:
    """The class, made here so that ray is imported after its settings."""
    from ray import tune

    class Bare(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            self.begin(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.begin(new_config)
            return True

        def begin(self, config: dict[str, Any]) -> None:
            self.for_ms, self.work_ms, self.steps, self.started_ms = float(config["work_ms"]), 0.0, 0, 0.0

        def step(self) -> dict[str, Any]:
            self.started_ms = self.started_ms or 1e3 * time.time()
            self.steps += 1
            self.work_ms += compute_ms(self.for_ms / RESULTS) if self.for_ms else 0.0
            times = {"started_ms": self.started_ms, "ended_ms": 1e3 * time.time(), "work_ms": self.work_ms}
            return {**times, "process": os.getpid(), "done": self.steps == RESULTS}

    return Bare


def run(trials: int, work_ms: float) -> dict[str, Any]:
    """So many trials on all slots; their times and the seconds in all."""
    from ray import tune

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as space:
        tuner = tune.Tuner(
            tune.with_resources(trainable(), {"cpu": 1}),
            param_space={"x": tune.uniform(0, 1), "work_ms": work_ms},
            tune_config=tune.TuneConfig(num_samples=trials, reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=space, verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        )  # fmt: skip
        results = tuner.fit()
    names = ("started_ms", "ended_ms", "work_ms", "process")
    times = [{name: result.metrics[name] for name in names} for result in results]
    return {"trials": times, "wall_s": time.perf_counter() - began}


def main() -> int:
    """Runs once for every --work-ms, on one Ray."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--work-ms", type=float, action="append", required=True)
    options = parser.parse_args()
    slots = os.cpu_count() or 1
    os.environ |= {
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "TUNE_MAX_PENDING_TRIALS_PG": str(slots),
        "RAY_AIR_NEW_OUTPUT": "0", "RAY_USAGE_STATS_ENABLED": "0",
    }  # fmt: skip
    import ray

    ray.init(address="local", num_cpus=slots, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    print(json.dumps([run(options.trials, work_ms) for work_ms in options.work_ms]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

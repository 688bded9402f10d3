"""What a user writes from the engines' own documentation: function trainable, OptunaSearch, MLflowLoggerCallback.

It trains next to nothing on the digits, so that what it takes is what the engines take. Run in a process of its own;
prints JSON.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def objective(config: dict[str, Any]) -> None:
    """One epoch of a small network on the digits, reported twice: after training and with its sparsity at the end."""
    started_ms = 1e3 * time.time()
    import torch
    from ray import tune
    from sklearn.datasets import load_digits

    torch.set_num_threads(1)
    images, labels = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    images = images.float() / 16
    began = time.perf_counter()
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=config["learning_rate"])
    for batch in torch.randperm(1200).view(-1, 60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    accuracy = float((net(images[1200:]).argmax(1) == labels[1200:]).float().mean())
    kept = sum(int((p.abs() > config["threshold"]).sum()) for p in net.parameters())
    figures = {"accuracy": accuracy, "sparsity": 1 - kept / sum(p.numel() for p in net.parameters())}
    work_ms = 1e3 * (time.perf_counter() - began)
    tune.report(figures)
    tune.report({**figures, "started_ms": started_ms, "ended_ms": 1e3 * time.time(), "work_ms": work_ms})


def run(trials: int, folder: Path) -> dict[str, Any]:
    """The tuner as the documentation shows it."""
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.search.optuna import OptunaSearch

    logger = MLflowLoggerCallback(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", experiment_name="digits")
    space = {"learning_rate": tune.loguniform(1e-3, 2e-2), "threshold": tune.loguniform(3e-3, 2e-1)}
    tuner = tune.Tuner(
        tune.with_resources(objective, {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(search_alg=OptunaSearch(), metric="accuracy", mode="max", num_samples=trials),
        run_config=tune.RunConfig(name="digits", storage_path=str(folder), callbacks=[logger], verbose=0),
    )
    results = tuner.fit()
    names = ("started_ms", "ended_ms", "work_ms")
    return {"trials": [{name: result.metrics[name] for name in names} for result in results]}


def main() -> int:
    """Runs the tuner on a Ray of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=8)
    options = parser.parse_args()
    os.environ |= {"RAY_AIR_NEW_OUTPUT": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    import ray

    began = time.perf_counter()
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as folder:
        found = run(options.trials, Path(folder))
    print(json.dumps({**found, "wall_s": time.perf_counter() - began}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

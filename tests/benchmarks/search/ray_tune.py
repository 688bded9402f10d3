"""Ray Tune by itself, as its documentation shows it.

    --scheduler none    function trainable, multi-objective OptunaSearch, MLflowLoggerCallback
    --scheduler asha    class trainable, epoch by epoch; OptunaSearch and ASHA on the mean of accuracy and share removed

Both use their processes again for the next trial. Run in a process of its own until it is ended.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from sparsweep.spaces.space import Space
from tests.benchmarks.search.contest import Contest, parameters_of, row_of, suggested

OBJECTIVES = ["accuracy", "removed"]
WORST = {"accuracy": 0.0, "removed": 0.0, "mean_of_both": 0.0}
"""Of a setting that fails: OptunaSearch would leave a trial without a result open for ever."""
REDUCTION = 3


def pruned(config: dict[str, Any]) -> None:
    """The function trainable: one point."""
    from tests.benchmarks.search.one_trial import FAULTS, one_point, settle

    settle()
    contest = Contest.read(Path(config["contest"]))
    try:
        found = dict(zip(OBJECTIVES, one_point(contest, row_of(contest.space(), config)), strict=True))
    except FAULTS:
        found = {name: WORST[name] for name in OBJECTIVES}
    tune.report(found)


class EpochByEpoch(tune.Trainable):  # type: ignore[misc]
    """The class trainable: one result an epoch."""

    def setup(self, config: dict[str, Any]) -> None:
        from tests.benchmarks.search.one_trial import settle

        settle()
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        from tests.benchmarks.search.one_trial import by_epoch

        self.contest = Contest.read(Path(new_config["contest"]))
        self.epochs = by_epoch(self.contest, row_of(self.contest.space(), new_config))
        return True

    def step(self) -> dict[str, Any]:
        from tests.benchmarks.search.one_trial import FAULTS

        try:
            epoch, accuracy, removed = next(self.epochs)
        except FAULTS:
            return {**WORST, "done": True}
        both = {"accuracy": accuracy, "removed": removed, "mean_of_both": (accuracy + removed) / 2}
        return {**both, "done": epoch == self.contest.epochs}


@dataclass(frozen=True)
class Defined:
    """The space, defined by run so that conditions hold; a class, as OptunaSearch pickles it with itself."""

    space: Space
    contest: str

    def __call__(self, trial: Any) -> dict[str, Any]:
        self.space.row(suggested(trial))
        return {"contest": self.contest}


def search_of(contest: Contest, path: Path, **goal: Any) -> OptunaSearch:
    """OptunaSearch over the contest's space, the known-good settings first."""
    space = contest.space()
    return OptunaSearch(
        space=Defined(space, str(path)), points_to_evaluate=[parameters_of(space, row) for row in contest.known_good],
        sampler=optuna.samplers.TPESampler(seed=contest.seed), **goal,
    )  # fmt: skip


def tuner_of(contest: Contest, path: Path, scheduler: str) -> tune.Tuner:
    """The tuner of either way."""
    folder = Path(contest.folder)
    if scheduler == "asha":
        trainable, callbacks = EpochByEpoch, []
        goal: dict[str, Any] = {"metric": "mean_of_both", "mode": "max"}
        stops = ASHAScheduler(
            max_t=contest.epochs, grace_period=max(1, contest.epochs // 4), reduction_factor=REDUCTION, **goal
        )
    else:
        trainable, stops = pruned, None
        goal = {"metric": OBJECTIVES, "mode": ["max", "max"]}
        callbacks = [MLflowLoggerCallback(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", experiment_name="contest")]
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=search_of(contest, path, **goal), scheduler=stops, num_samples=-1, reuse_actors=True,
            max_concurrent_trials=contest.slots,
        ),
        run_config=tune.RunConfig(
            name="tune", storage_path=str(folder), callbacks=callbacks, verbose=0,
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, **({"checkpoint_at_end": False} if scheduler == "asha" else {})
            ),
        ),
    )  # fmt: skip


def main() -> int:
    """Tunes on a Ray of its own, without end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contest", type=Path)
    parser.add_argument("--scheduler", choices=("none", "asha"), default="none")
    options = parser.parse_args()
    contest = Contest.read(options.contest)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ray.init(
        address="local", num_cpus=contest.slots, include_dashboard=False, log_to_driver=False,
        logging_level="ERROR", object_store_memory=256 * 2**20,
    )  # fmt: skip
    tuner_of(contest, options.contest, options.scheduler).fit()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Optuna by itself: worker processes on one SQLite storage, as its documentation on parallel work shows it.

Run in a process of its own until it is ended; the workers are forked when data and libraries are loaded.
"""

import argparse
import sys
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.synchronize import Lock
from pathlib import Path

import optuna

from tests.benchmarks.search.contest import Contest, parameters_of, suggested
from tests.benchmarks.search.one_trial import FAULTS, one_point, settle, whole_descent

NAME = "contest"


def sampler_of(kind: str, seed: int) -> optuna.samplers.BaseSampler:
    """TPE as it is best set for workers side by side, or random search."""
    if kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def storage_of(contest: Contest) -> optuna.storages.BaseStorage:
    url = f"sqlite:///{Path(contest.folder) / 'study.db'}"
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})


def prepare(contest: Contest, *, descent: str) -> None:
    """The study with the known-good settings waiting in it; the data, which the forked workers share."""
    directions = ["maximize"] * (1 if descent == "nested" else 2)
    study = optuna.create_study(study_name=NAME, storage=storage_of(contest), directions=directions)
    for row in contest.known_good:
        study.enqueue_trial(parameters_of(contest.space(), row))
    contest.plan(contest.known_good[0], descent=descent).task.load()


def work(contest: Contest, sampler: str, descent: str, worker: int, turn: Lock) -> None:
    """Trials one after the other, without end; one worker asks at a time, since two on SQLite may be given the same
    waiting trial, and the second to tell of it dies."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = contest.space()
    study = optuna.load_study(
        study_name=NAME, storage=storage_of(contest), sampler=sampler_of(sampler, 1000 * contest.seed + worker)
    )

    def objective(trial: optuna.Trial) -> float | tuple[float, float]:
        row = space.row(suggested(trial))
        return whole_descent(contest, row) if descent == "nested" else one_point(contest, row)

    while True:
        with turn:
            trial = study.ask()
        try:
            values = objective(trial)
        except FAULTS:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, values)


def main() -> int:
    """Starts the workers and waits for what never comes; 1 if one of them ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contest", type=Path)
    parser.add_argument("--sampler", choices=("tpe", "random"), default="tpe")
    parser.add_argument("--descent", choices=("none", "nested"), default="none")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    settle()
    contest = Contest.read(options.contest)
    prepare(contest, descent=options.descent)
    context = get_context("fork")
    turn = context.Lock()
    workers = [
        context.Process(target=work, args=(contest, options.sampler, options.descent, number, turn))
        for number in range(contest.slots)
    ]
    for worker in workers:
        worker.start()
    wait([worker.sentinel for worker in workers])
    for worker in workers:  # they work without end: one that ended has failed, and half of the slots is no fair run
        worker.terminate()
        worker.join()
    return 1


if __name__ == "__main__":
    sys.exit(main())

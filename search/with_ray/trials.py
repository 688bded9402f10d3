"""Trials at work on Ray: a class trainable whose process is used again, fed by our own searcher.

To Ray a trial reports one result, that it is done; what it found travels in its record. Ray's own checkpoints, loggers
and restore are not used: a sweep goes on from the records with a new Tuner.
"""

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sparsweep.search.source import Source
from sparsweep.search.with_ray.cluster import Slots
from sparsweep.search.with_ray.judging import RemoteJudge, judge_of
from sparsweep.trainables.death import Death, cause_of_death, watched
from sparsweep.trainables.trial import TrialPlan

# isort: split
import ray
from ray import tune
from ray.tune import ProgressReporter
from ray.tune.execution import class_cache
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

MOST_PENDING = 10_000
"""More than any cluster has slots."""
SLEEP_S = 1.0
"""How long Tune sleeps between two questions where no trial is at work."""
LOOK_S = 0.01
"""How often it is looked meanwhile whether a trial is ready."""
NODE_LOST = ("is unavailable", "node has died", "node was terminated", "node is dead")
"""How Ray says that a process cannot be reached any more; of one that died alone it says `worker process has died`."""


class PruningTrainable(tune.Trainable):  # type: ignore[misc]
    """One trial after the other in one process."""

    def setup(self, config: dict[str, Any]) -> None:
        """Sets the process's threads, and its priority below the driver's, whose answers its slot waits for.

        What a trial needs is imported here already: once it has begun it must hear at once when it is told to end.
        """
        import torch

        import sparsweep.trainables.attempt  # noqa: F401

        os.nice(5)
        torch.set_num_threads(max(1, int(config["threads"])))
        torch.set_flush_denormal(True)
        self.plan, self.folder, self.judge = config["plan"], config["folder"], config["judge"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next trial into the same process."""
        self.plan, self.folder, self.judge = new_config["plan"], new_config["folder"], new_config["judge"]
        return True

    def step(self) -> dict[str, Any]:
        """One whole trial; a fault of its own is its recorded failure, so to Tune it is done either way.

        An attempt that was taken over by a newer one ends without a record: it is another driver's trial now.
        """
        from sparsweep.trainables.attempt import FencedError, run_trial
        from sparsweep.trainables.record import TrialFolder

        device = "cuda" if ray.get_runtime_context().get_accelerator_ids().get("GPU") else "cpu"
        plan, folder = TrialPlan.from_json(self.plan), Path(self.folder)
        with contextlib.suppress(FencedError), watched(folder, plan.longest_s()):
            run_trial(plan, TrialFolder(folder), device=device, judge=judge_of(self.judge))
        return {"done": True}


class SourceSearcher(Searcher):  # type: ignore[misc]
    """Tune's view of a Source."""

    def __init__(
        self, source: Source, folder_of: Callable[[int], Path], threads: int, stop: threading.Event,
        room: Callable[[int], bool], judge: RemoteJudge | None = None,
    ) -> None:  # fmt: skip
        super().__init__(metric=None, mode=None)
        self.source, self.folder_of, self.threads, self.stop = source, folder_of, threads, stop
        self.judge, self.room = judge, room
        self.numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> Any:
        if self.stop.is_set():  # Tune, which has no trial yet, would wait for one
            return Searcher.FINISHED
        plan = self._next()
        if plan is None:
            return Searcher.FINISHED if self.source.exhausted() else None
        self.numbers[trial_id] = plan.number
        return {
            "plan": plan.as_json(), "folder": str(self.folder_of(plan.number)), "threads": self.threads,
            "judge": self.judge.actor if self.judge else None,
        }  # fmt: skip

    def _next(self) -> TrialPlan | None:
        """The next trial, if there is a slot for it; where no trial is at work it is waited for, since Tune would sleep
        for a second before it asked again."""
        until = time.monotonic() + (0 if self.numbers else SLEEP_S)
        while self.room(len(self.numbers)):
            plan = self.source.next()
            if plan or time.monotonic() >= until or self.source.exhausted() or self.stop.wait(LOOK_S):
                return plan
        return None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if not error and (number := self.numbers.pop(trial_id, None)) is not None:
            self.source.ended(number)

    def started(self, trial_id: str) -> None:
        """Told by Witness: the trial's process is there."""
        if (number := self.numbers.get(trial_id)) is not None:
            self.source.began(number)

    def died(self, trial_id: str, said: str) -> None:
        """Told by Witness: what Ray said when the trial's process went."""
        if (number := self.numbers.pop(trial_id, None)) is None:
            return
        if self.stop.is_set():  # our own stop kills processes too
            self.source.ended(number)
            return
        lost = any(sign in said for sign in NODE_LOST)
        reason = cause_of_death(self.folder_of(number), said)
        self.source.ended(number, Death(reason=reason, node_lost=lost, storage_full="StorageFullError" in said))

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its configuration for `Tuner.restore`, which is never used: nothing of ours goes in."""
        return {}

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing of ours is kept in Ray's snapshot: the study and the records are the truth."""

    def save(self, checkpoint_path: str) -> None:
        """See save_to_dir."""

    def restore(self, checkpoint_path: str) -> None:
        """See save_to_dir."""


class Witness(tune.Callback):  # type: ignore[misc]
    """Hands on what Tune knows of a trial's process and does not tell the searcher: that it is there, why it died."""

    def __init__(self, searcher: SourceSearcher) -> None:
        self.searcher = searcher

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.searcher.started(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        try:
            said = Path(trial.error_file or "").read_text(errors="replace")
        except OSError:
            said = ""
        self.searcher.died(trial.trial_id, said)

    def __getstate__(self) -> dict[str, Any]:
        """See SourceSearcher."""
        return {}


class StopWhen(Stopper):  # type: ignore[misc]
    """Ends all trials once the event is set."""

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    def __getstate__(self) -> dict[str, Any]:
        """See SourceSearcher."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.event.is_set()


class Silent(ProgressReporter):  # type: ignore[misc]
    """Says nothing. In a notebook Tune would clear the cell's output for a display of its own, even with verbose=0."""

    def should_report(self, trials: Any, done: bool = False) -> bool:
        return False

    def report(self, trials: Any, done: bool, *sys_info: str) -> None:
        """Never called."""


def _short_name(trial: Any) -> str:
    """Ray's folder of a trial: empty but for what Ray heard of its death."""
    return f"{trial.config['plan']['number']:05d}"


@contextlib.contextmanager
def _driver_environment() -> Iterator[None]:
    """Has Tune leave the environment of its actors as it is, for which it has no option.

    The processes of a local Ray have the driver's already. With variables of its own an actor gets a process of its own
    too, which begins only now and imports for seconds, instead of one that Ray has begun with (`cluster.start`).
    """
    kept = class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = {}, frozenset()
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = kept


def run_trials(
    source: Source, slots: Slots, folder_of: Callable[[int], Path], scratch: Path, stop: threading.Event,
    room: Callable[[int], bool], judge: RemoteJudge | None = None, trainable: type[tune.Trainable] = PruningTrainable,
) -> None:  # fmt: skip
    """Runs trials on all slots until the source is exhausted or `stop` is set.

    `room` says whether there is a slot for one more beside so many of Ray's. None is to be given to Tune ahead of its
    slot: when a trial ends, Tune gives its process to any that has none yet, and ends the process that this one's had
    begun with, be it about to be ready. With trials shorter than a process takes to begin, a slot may never get one.

    Called from a thread of its own, so that Tune installs no signal handlers. All slots start at once, and so do those
    of nodes that come later (Tune's own limit is one pending trial, so a thousand slots would start one after the
    other).
    """
    needs = {"cpu": slots.cpu, **({"gpu": slots.gpu} if slots.gpu else {})}
    sys.setswitchinterval(0.001)  # Tune's thread waits for none of the driver's others longer than this
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(MOST_PENDING)
    searcher = SourceSearcher(source, folder_of, int(slots.cpu), stop, room, judge)
    tuner = tune.Tuner(
        tune.with_resources(trainable, needs),
        tune_config=tune.TuneConfig(
            search_alg=searcher, num_samples=-1, reuse_actors=True,
            trial_name_creator=_short_name, trial_dirname_creator=_short_name,
        ),
        run_config=tune.RunConfig(
            name=f"tune-{time.time_ns()}", storage_path=str(scratch), verbose=0, stop=StopWhen(stop),
            callbacks=[Witness(searcher)], progress_reporter=Silent(),
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )  # fmt: skip
    try:
        with _driver_environment() if slots.address is None else contextlib.nullcontext():
            tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

"""Trials at work on Ray: a class trainable whose process is used again, fed by our own searcher.

The only importer of ray. To Ray a trial reports one result, that it is done; what it found travels in its record. Ray's
own checkpoints, loggers and restore are not used: a sweep goes on from the records with a new Tuner.
"""

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
for _name, _value in {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402
from ray.tune.stopper import Stopper  # noqa: E402

from sparsweep.trainables.trial import TrialPlan  # noqa: E402


class Source(Protocol):
    """Where trials come from and go to; `search.clerk.Clerk` is one."""

    def next(self) -> TrialPlan | None: ...
    def exhausted(self) -> bool: ...
    def ended(self, number: int, death: str | None = None) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Slots:
    """What one trial is given, and where."""

    cpu: float
    gpu: float
    address: str | None
    """A Ray address, or None for a Ray of its own on this machine."""


def start(slots: Slots) -> None:
    """Starts a local Ray on loopback, or joins the cluster at `slots.address`.

    Raises:
        ValueError: nobody answers at the address.
    """
    quiet = {"include_dashboard": False} if slots.address is None else {}
    cpus = (
        {"num_cpus": max(os.cpu_count() or 1, 1), "object_store_memory": 256 * 2**20} if slots.address is None else {}
    )
    try:
        ray.init(
            address=slots.address or "local", log_to_driver=False, logging_level="ERROR", configure_logging=True,
            **quiet, **cpus,
        )  # fmt: skip
    except ConnectionError as fault:
        raise ValueError(f"no Ray cluster answers at {slots.address}: check --address or RAY_ADDRESS") from fault


def slot_count(slots: Slots) -> int:
    """How many trials can run at once: what fits on each node, added up."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(
        int(min(have.get("CPU", 0) / slots.cpu, have.get("GPU", 0) / slots.gpu if slots.gpu else float("inf")))
        for have in nodes
    )


def node_count() -> int:
    """How many nodes are alive."""
    return sum(node["Alive"] for node in ray.nodes())


def described() -> str:
    """Version and size of the Ray that is joined."""
    have = ray.cluster_resources()
    nodes = sum(node["Alive"] for node in ray.nodes())
    return (
        f"{ray.__version__}, {nodes} node{'s' * (nodes != 1)}, {have.get('CPU', 0):g} CPUs, {have.get('GPU', 0):g} GPUs"
    )


def shut_down() -> None:
    """Ends a local Ray, or leaves the cluster."""
    ray.shutdown()


class PruningTrainable(tune.Trainable):  # type: ignore[misc]
    """One trial after the other in one process."""

    def setup(self, config: dict[str, Any]) -> None:
        """Sets the process's threads, and its priority below the driver's, whose answers its slot waits for."""
        import torch

        os.nice(5)
        torch.set_num_threads(max(1, int(config["threads"])))
        torch.set_flush_denormal(True)
        self.plan, self.folder = config["plan"], config["folder"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next trial into the same process."""
        self.plan, self.folder = new_config["plan"], new_config["folder"]
        return True

    def step(self) -> dict[str, Any]:
        """One whole trial; a fault of its own is its recorded failure, so to Tune it is done either way.

        An attempt that was taken over by a newer one ends without a record: it is another driver's trial now.
        """
        from sparsweep.trainables.attempt import FencedError, run_trial
        from sparsweep.trainables.record import TrialFolder

        device = "cuda" if ray.get_runtime_context().get_accelerator_ids().get("GPU") else "cpu"
        with contextlib.suppress(FencedError):
            run_trial(plan_from(self.plan), TrialFolder(Path(self.folder)), device=device)
        return {"done": True}


def plan_as_json(plan: TrialPlan) -> dict[str, Any]:
    """The plan as plain data, as it travels to a worker."""
    root = plan.task.data_root
    return {
        "number": plan.number, "setting": dict(plan.setting), "seed": plan.seed, "fixed": dict(plan.fixed),
        "task": {"network": plan.task.network, "data": plan.task.data, "data_root": str(root) if root else None},
    }  # fmt: skip


def plan_from(data: Mapping[str, Any]) -> TrialPlan:
    """The plan that `plan_as_json` made."""
    from sparsweep.trainables.tasks import Task

    root = data["task"]["data_root"]
    task = Task(network=data["task"]["network"], data=data["task"]["data"], data_root=Path(root) if root else None)
    return TrialPlan(number=data["number"], setting=data["setting"], seed=data["seed"], fixed=data["fixed"], task=task)


class SourceSearcher(Searcher):  # type: ignore[misc]
    """Tune's view of a Source."""

    def __init__(self, source: Source, folder_of: Callable[[int], Path], threads: int, stop: threading.Event) -> None:
        super().__init__(metric=None, mode=None)
        self.source, self.folder_of, self.threads, self.stop = source, folder_of, threads, stop
        self.numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> Any:
        plan = self.source.next()
        if plan is None:
            return Searcher.FINISHED if self.source.exhausted() else None
        self.numbers[trial_id] = plan.number
        return {"plan": plan_as_json(plan), "folder": str(self.folder_of(plan.number)), "threads": self.threads}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        number = self.numbers.pop(trial_id, None)
        if number is not None:
            died = error and not self.stop.is_set()  # our own stop kills processes too
            death = "the trial's process died (killed, out of memory or crashed)" if died else None
            self.source.ended(number, death)

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


def _short_name(trial: Any) -> str:
    """Ray's folder of a trial, which stays empty."""
    return f"{trial.config['plan']['number']:05d}"


def run_trials(
    source: Source, slots: Slots, folder_of: Callable[[int], Path], scratch: Path, stop: threading.Event
) -> None:
    """Runs trials on all slots until the source is exhausted or `stop` is set.

    Called from a thread of its own, so that Tune installs no signal handlers. All slots start at once (Tune's own
    limit is one pending trial, so a thousand slots would start one after the other); how far ahead of the slots trials
    are proposed is the source's business.
    """
    needs = {"cpu": slots.cpu, **({"gpu": slots.gpu} if slots.gpu else {})}
    sys.setswitchinterval(0.001)  # Tune's thread waits for none of the driver's others longer than this
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slot_count(slots))
    tuner = tune.Tuner(
        tune.with_resources(PruningTrainable, needs),
        tune_config=tune.TuneConfig(
            search_alg=SourceSearcher(source, folder_of, int(slots.cpu), stop), num_samples=-1, reuse_actors=True,
            trial_name_creator=_short_name, trial_dirname_creator=_short_name,
        ),
        run_config=tune.RunConfig(
            name=f"tune-{time.time_ns()}", storage_path=str(scratch), verbose=0, stop=StopWhen(stop),
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )  # fmt: skip
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def exclusively(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Runs `function(*arguments)` alone on a node: as a task that takes all its processors."""
    cpus = max(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    return ray.get(ray.remote(num_cpus=cpus)(function).remote(*arguments))

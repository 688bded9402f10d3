"""Run a sweep, resume a sweep.

check (task, stores, name)  →  the first proposals, to forerunners  →  MLflow's schema is made  →  Ray starts
proposals → trials → records          the records are the truth
records → study, MLflow, progress     projections, replayed on every start
records → delivery                    meter, frontier, test, registry, pictures: see delivery.py
"""

import json
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.search import with_mlflow
from sparsweep.search.budget import Account
from sparsweep.search.catalogue import catalogue
from sparsweep.search.clerk import Clerk
from sparsweep.search.curve import AXES, LOOKED_UP, search_axes
from sparsweep.search.delivery import Delivered, Run, deliver
from sparsweep.search.first_rows import first_rows
from sparsweep.search.forerunners import Forerunners, forerunner_count
from sparsweep.search.hindrances import Watch
from sparsweep.search.home import Home
from sparsweep.search.judging import Forgiving, SweepJudge
from sparsweep.search.lease import FencedOutError, Lease
from sparsweep.search.meter import layer_times_of
from sparsweep.search.onlooker import EVERY_S, Onlooker
from sparsweep.search.own_process import in_own_process
from sparsweep.search.progress import UNDONE, Progress
from sparsweep.search.projector import Projector
from sparsweep.search.proposals import Proposals
from sparsweep.search.publishing import put_files
from sparsweep.search.refusals import refuse_absent, refuse_unsuitable
from sparsweep.search.sweep_folder import SweepFolder, Where
from sparsweep.search.undisturbed import undisturbed
from sparsweep.search.warm_start import Earlier, best_rows, earlier_of, keep
from sparsweep.search.with_optuna import OUTAGES, PointsStudy, Study, open_storage, reason_of
from sparsweep.search.worth import searched_points, searched_rules, setting_value
from sparsweep.spaces.space import Choice, Row, Space
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.attempt import PreemptedError, environment, run_trial
from sparsweep.trainables.judgement import LENIENT
from sparsweep.trainables.measures.layer_times import LayerTimes
from sparsweep.trainables.methods import method_of
from sparsweep.trainables.own_code import is_own
from sparsweep.trainables.point import by_training
from sparsweep.trainables.record import (
    StorageFullError,
    TrialRecord,
    TrialStore,
    check_room,
    read_whole,
    write_atomically,
)
from sparsweep.trainables.tasks import Task

if TYPE_CHECKING:
    from rich.console import Console

    from sparsweep.search.with_ray import Slots

STOP_GRACE_S = 15.0
"""How long a stop waits for the slots to end before Ray is shut down over them."""


RAY_AFTER_S = 600.0
"""So long forerunners work alone. Ray's beginning takes as much of the processors as a short trial, which a sweep of
minutes would feel, and on one machine it does nothing for trials that they do not."""
PROCESSES_WITHIN_S = 120.0
"""How long Ray's first processes have to import what trials need, while forerunners work."""
EVERY_STEP_S = 0.2
"""How often the driver looks about while others work."""
ROOM_EVERY_S = 1.0
"""How often a full disk is looked at."""
RECOUNT_S = 2.0
"""How often the nodes are counted."""

STOPPED = "stopped; what finished is kept; go on with: sparsweep resume {}"


AWAY: tuple[type[Exception], ...] = (*OUTAGES, StorageFullError)
"""What a sweep ends with when a store has not come back, or has no room."""


class StoppedError(RuntimeError):
    """The user stopped the sweep; what finished is kept."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A sweep with everything that is needed to run it."""

    sweep: SweepFile
    where: Where
    folder: SweepFolder
    home: Home
    task: Task
    inline: bool

    @property
    def store(self) -> TrialStore:
        return self.folder.store(self.where)

    @property
    def tracking_uri(self) -> str:
        return self.where.tracking_uri or self.home.tracking_uri

    @property
    def study_storage(self) -> str:
        return self.where.study_storage or self.home.study_storage

    @property
    def axes(self) -> tuple[str, ...]:
        return search_axes(self.sweep.objectives.directions, look_up=self.looks_up)

    @property
    def looks_up(self) -> bool:
        """Whether the search goes by looked-up layer times."""
        return self.sweep.timing.look_up and any(name in LOOKED_UP for name in self.sweep.objectives.directions)

    @property
    def code_root(self) -> Path | None:
        """Where the sweep's own methods, `module:Class`, are found; None where it has none."""
        return Path(self.where.code_root) if self.where.code_root else None

    def space(self) -> Space:
        return self.sweep.space(catalogue(self.code_root))

    def fixed(self) -> dict[str, Any]:
        return {"epochs": self.sweep.budget.epochs, **self.sweep.trial}


def run_sweep(job: Job, console: "Console") -> Delivered:
    """Runs the sweep to the end of its budget and delivers its frontier; goes on where an earlier run stopped.

    Raises:
        ValueError: the user can put it right; nothing has been started yet.
        StoppedError: Ctrl-C, or a store that did not come back; everything that finished is kept.
    """
    try:
        return _hold_and_run(job, console)
    except AWAY as fault:
        if os.environ.get("SPARSWEEP_TRACEBACK"):
            raise
        raise StoppedError(f"{reason_of(fault)}; {STOPPED.format(job.folder.name)}") from fault


def _hold_and_run(job: Job, console: "Console") -> Delivered:
    with Forerunners(count=_forerunner_count(job)) as forerunners:
        check(job, loaded=forerunners.fork)
        return _run_held(job, console, forerunners)


def _forerunner_count(job: Job) -> int:
    """None where trials run elsewhere or on Ray from the first one on, and where data of the user's own may hold files
    open that two processes cannot share."""
    if job.inline or job.where.address is not None or is_own(job.task.data):
        return 0
    return forerunner_count(job.sweep.resources)


def _judged(job: Job) -> bool:
    return job.sweep.stopping.rule != "none" or job.sweep.seeds > 1


def _run_held(job: Job, console: "Console", forerunners: Forerunners) -> Delivered:
    with job.folder.held(job.where) as lease:
        job.folder.create(job.sweep, job.where)
        account = Account(job.sweep.budget, job.sweep.resources)
        progress = Progress(
            job.sweep.budget.trials, job.axes, job.folder.path / "status.json", account, job.sweep.constraints
        )
        # As Ctrl-C would, wherever the driver is; not by SIGINT itself, which a shell's background job ignores.
        signal.signal(signal.SIGUSR1, signal.default_int_handler)
        lease.start(on_stop=lambda: os.kill(os.getpid(), signal.SIGUSR1))
        try:
            with progress.shown(console), _engine(job, forerunners) as engine:
                return _run(job, engine, progress, lease)
        except (KeyboardInterrupt, StoppedError):
            lease.check()
            raise StoppedError(STOPPED.format(job.folder.name)) from None
        except FencedOutError as fault:
            raise StoppedError(str(fault)) from None


def check(job: Job, loaded: Callable[[], None] = lambda: None) -> None:
    """Everything that can be wrong before any work: stores, data, methods. Raises ValueError with one message.

    Args:
        loaded: is called when the data are there, before a network computes anything.
    """
    with_mlflow.settle()
    if job.where.tracking_uri is not None or (job.home.path / "mlflow.db").exists():
        with_mlflow.reachable(job.tracking_uri)
    if job.where.study_storage is not None or (job.home.path / "studies.db").exists():
        open_storage(job.study_storage)
    first_of(job, earlier_of(job))
    if job.where.cluster is None:
        refuse_absent(job.sweep.timing.runtimes)
    job.task.load()
    loaded()
    refuse_unsuitable(job.sweep.methods, job.space(), job.task, job.code_root)


def _run(job: Job, engine: "Engine", progress: Progress, lease: Lease) -> Delivered:
    def open_ledger() -> _Ledger:
        engine.settled.wait()
        with engine.imports:
            return _Ledger(job, engine.near_store)

    projector = Projector(open_ledger=open_ledger, say=progress.say, fence=lease.check)
    proposals = _proposals(job, progress, projector)
    proposals.fence = lease.check
    if job.looks_up:
        proposals.layer_times = _layer_times(job, engine, progress)
    engine.begin(proposals, progress)
    projector.start()
    try:
        engine.run(proposals, progress)
    finally:
        progress.started(0)
    if engine.stopped:
        progress.search_ended(UNDONE)
        progress.entered("stopping")
        if isinstance(stopped := projector.drain(), _Ledger):
            stopped.ledger.finish("KILLED", ended=UNDONE)
        raise StoppedError(STOPPED.format(job.folder.name))
    progress.search_ended(proposals.why())
    progress.entered("recording")
    ledger = projector.drain()
    progress.entered("delivering")
    lease.check()
    return deliver(
        job.sweep, job.folder, job.store, job.task,
        latency_file=job.home.path / "latency.json", run_alone=engine.alone, near_store=engine.near_store,
        release=engine.release, progress=progress,
        ledger=ledger.ledger if isinstance(ledger, _Ledger) else None, tracking_uri=job.tracking_uri,
        fence=lease.check,
    )  # fmt: skip


def _proposals(job: Job, progress: Progress, projector: Projector) -> Proposals:
    sweep = job.sweep
    space = job.space()
    single = sweep.trial.get("descent") == "none"
    earlier = earlier_of(job)
    study = Study.open(
        open_storage(job.study_storage), job.folder.name, space, sampler=sweep.sampler.name, seed=sweep.sampler.seed,
        objectives=("accuracy", *job.axes) if single else ("curve_value",), earlier=earlier.comparable,
        say=progress.say,
    )  # fmt: skip
    study.claim(sweep.identity())
    keep(job, earlier)
    if (said := earlier.words(str(sweep.warm_start))) is not None:
        progress.say(said)
    study.propose_first(first_of(job, earlier))

    watch, needs, index = (
        Watch(searched_rules(sweep.constraints), job.axes[0]),
        sweep.resources,
        job.folder.index(job.where),
    )

    def on_record(record: TrialRecord) -> None:
        progress.ended(record)
        projector.take(record)
        with suppress(OSError):  # a full disk: whoever asks for the frontier reads the record itself
            index.take(record)
        watch.take(record)
        tell()

    def tell() -> None:
        if known.is_set() and (line := watch.line(progress.used_share())) is not None:
            progress.say(line)

    known = threading.Event()
    progress.limited(sweep.budget.time_limit_s)
    proposals = Proposals(
        study=study, store=job.store, task=job.task, fixed=job.fixed(), axes=job.axes, constraints=sweep.constraints,
        code_root=job.code_root, single_point=single, budget=sweep.budget.trials, deadline=progress.deadline,
        seed=sweep.sampler.seed, on_record=on_record, say=progress.say, seeds=sweep.seeds,
        first_look=sweep.budget.first_look, first_look_batch=sweep.budget.first_look_batch,
        stopping=sweep.stopping if sweep.stopping.rule != "none" else None, judge=_judge(job, single),
        slot={"cpu": needs.cpu, "gpu": needs.gpu}, enough=progress.account.over, overrun=progress.account.overrun,
    )  # fmt: skip
    proposals.reconcile()
    known.set()
    tell()
    return proposals


def first_of(job: Job, earlier: Earlier) -> list[Row]:
    """What is proposed first. Raises ValueError where a point of the sweep file is no setting of its space."""
    sweep, space = job.sweep, job.space()
    good = known_good_rows(sweep.methods, space, job.code_root)
    return first_rows(sweep.points, best_rows(earlier.rows), good, space, sweep.sampler.seed)


def _judge(job: Job, single: bool) -> Forgiving | None:
    stopping = job.sweep.stopping
    if not _judged(job):
        return None
    return Forgiving(judge=SweepJudge(
        axes=job.axes, constraints=job.sweep.constraints, reduction=stopping.reduction, single_point=single
    ))  # fmt: skip


def _layer_times(job: Job, engine: "Engine", progress: Progress) -> LayerTimes:
    """Timed once a sweep, before its trials; kept beside them, so that a resumed one goes by the same."""
    kept = job.store.path.parent / "layer_times.json"
    if kept.exists():
        return LayerTimes.from_json(read_whole(kept, "delete it, and the layers are timed again"))
    progress.entered("timing layers")
    timing = job.sweep.timing
    data = engine.alone(layer_times_of, (job.task.resolved().as_json(), timing.batch, timing.threads))
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, json.dumps(data))
    return LayerTimes.from_json(data)


def known_good_rows(methods: Sequence[str], space: Space, code_root: Path | None = None) -> list[Row]:
    """The methods' known-good settings whose choices the space has; where it has none of a method's, its first.

    Every method's first comes before any method's second.
    """
    known = {method: _fitting(method_of(method, code_root).known_good, method, space) for method in methods}
    turns = zip_longest(*([{**row, "method": method} for row in rows] for method, rows in known.items()))
    return [row for turn in turns for row in turn if row is not None]


def _fitting(rows: Sequence[Row], method: str, space: Space) -> Sequence[Row]:
    own = space.fixing({"method": method})
    choices = [(knob.name, knob.range) for knob in own.knobs if isinstance(knob.range, Choice) and not knob.when]
    return [row for row in rows if all(row[n] in allowed for n, allowed in choices if n in row)] or rows[:1]


class _Ledger:
    """Both projections of a record: its MLflow run, and its points in the second study."""

    def __init__(self, job: Job, near_store: Run) -> None:
        with_mlflow.prepare_store(job.tracking_uri)
        self.job = job

        def put(run_id: str, files: Mapping[str, bytes]) -> None:
            near_store(put_files, (job.tracking_uri, run_id, files))

        self.ledger = with_mlflow.Ledger.open(
            tracking_uri=job.tracking_uri, artifact_root=artifact_root(job), facts=facts_of(job), put=put
        )
        space = job.space()
        self.study = PointsStudy.open(
            open_storage(job.study_storage), job.folder.name, space, objectives=("accuracy", *job.axes)
        )
        with_mlflow.warm_up()

    def log(self, record: TrialRecord) -> None:
        feasible = searched_points(record.points, self.job.sweep.constraints)
        rules, axes = self.job.sweep.constraints, self.job.axes
        worth = setting_value(record.points, axes, rules) if by_training(record.points) else None
        self.ledger.log_trial(record, curve_value=worth)
        kept = [point for point in feasible if point.network is not None]
        values = [(p.accuracy, *(AXES[axis](p) for axis in self.job.axes)) for p in kept]
        self.study.add((p.id, record.setting, v) for p, v in zip(kept, values, strict=True))


def artifact_root(job: Job) -> str | None:
    """Where artifacts go: beside an embedded database, or wherever the server says."""
    return None if job.tracking_uri.startswith("http") else str(job.home.path / "artifacts")


def facts_of(job: Job) -> with_mlflow.SweepFacts:
    """What the parent run carries."""
    sweep = job.sweep
    return with_mlflow.SweepFacts(
        name=job.folder.name,
        params={
            "network": sweep.task.network, "data": sweep.task.data, "methods": ",".join(sweep.methods),
            "sampler": sweep.sampler.name, "seed": sweep.sampler.seed, "trials": sweep.budget.trials,
            "epochs": sweep.budget.epochs, "objectives": ",".join(sweep.objectives.directions),
            "constraints": "; ".join(map(str, sweep.constraints)),
            **{f"task.{k}": v for k, v in sweep.task.written().items() if k not in ("network", "data")},
            **{f"trial.{name}": value for name, value in sweep.trial.items()},
        },
        fingerprint=job.task.fingerprint(), seed=sweep.sampler.seed, sweep_yaml=sweep.yaml_text,
        environment=environment(), commit=with_mlflow.git_commit(Path.cwd()),
    )  # fmt: skip


class Engine:
    """Where trials run. `run` returns when the proposals are exhausted or the user stopped it."""

    stopped = False

    def __init__(self) -> None:
        self.settled = threading.Event()
        """Set once there is room for what is done beside the trials."""
        self.imports = threading.Lock()
        """Held while a package like Ray or MLflow is imported: two threads that do so may wait for each other."""

    def begin(self, proposals: Proposals, progress: Progress) -> None:
        """What can be set to work at once is."""

    def run(self, proposals: Proposals, progress: Progress) -> None:
        raise NotImplementedError

    def alone(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """Runs a function while nothing else runs on the device."""
        raise NotImplementedError

    def near_store(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """Runs a function where the artifact store can be reached."""
        return function(*arguments)

    def release(self) -> None:
        """Nothing will be measured any more."""


class InlineEngine(Engine):
    """Trials in this process, one after the other, with plain tracebacks: for debugging, and for a seeded repeat."""

    def begin(self, proposals: Proposals, progress: Progress) -> None:
        self.settled.set()

    def run(self, proposals: Proposals, progress: Progress) -> None:
        try:
            while (plan := proposals.next()) is not None:
                progress.started(1)
                proposals.began(plan.number)
                run_trial(plan, proposals.store.folder(plan.number), debug=True, judge=proposals.judge or LENIENT)
                proposals.ended(plan.number)
        except (KeyboardInterrupt, PreemptedError):
            self.stopped = True

    def alone(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        return function(*arguments)


class RayEngine(Engine):
    """Trials on Ray: this machine's, or a cluster's; those of the first minutes by forerunners, if there are any."""

    def __init__(self, job: Job, forerunners: Forerunners) -> None:
        super().__init__()
        self.job, self.forerunners = job, forerunners
        self.stop = threading.Event()
        self._scratch = job.folder.path / "ray"
        self._signs = self._scratch / "ready"
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="ray")
        self._started: Future[None] | None = None
        self._released = False
        self._counted = -math.inf
        self._slots: int | None = None
        if not forerunners.count:
            self.ray()

    @property
    def slots(self) -> "Slots":
        """What a trial is given, and where."""
        from sparsweep.search.with_ray import Slots

        needs = self.job.sweep.resources
        return Slots(cpu=needs.cpu, gpu=needs.gpu, address=self.job.where.cluster, wished=needs.slots or 0)

    def ray(self) -> "Future[None]":
        """Done when Ray is there; it is imported here and now, and begins behind what else there is to do."""
        if self._started is None:
            with self.imports, undisturbed():
                from sparsweep.search import with_ray

            signs = self._signs if self.forerunners.count else None
            self._started = self._worker.submit(with_ray.start, self.slots, signs)
            self.settled.set()
        return self._started

    def begin(self, proposals: Proposals, progress: Progress) -> None:
        """Has the forerunners work, for whom only the first proposals are needed."""
        if self.forerunners.count:
            progress.slots = self.forerunners.count
        proposals.ahead = self.forerunners.count + 1
        self.clerk = Clerk(proposals, progress.say)
        self.clerk.start()
        self.forerunners.begin(
            self.clerk, lambda number: proposals.store.folder(number).path, self.stop,
            lambda: proposals.judge or LENIENT,
        )  # fmt: skip

    def run(self, proposals: Proposals, progress: Progress) -> None:
        """Forerunners and Tune work in threads; this one looks on, so that Ctrl-C is ours."""
        clerk, stop = self.clerk, self.stop
        faults: list[BaseException] = []

        def work() -> None:
            try:
                self._tune(proposals, progress)
            except BaseException as fault:
                faults.append(fault)

        onlooker, looked = Onlooker(proposals.store), -math.inf
        thread = threading.Thread(target=work, name="tune", daemon=True)
        try:
            while not stop.is_set() or thread.is_alive():
                if self._started is None and clerk.exhausted() and not self.forerunners.busy():
                    break
                if self.forerunners.has_ended_one():
                    self.settled.set()
                if self._started is None and self._ray_is_wanted(progress):
                    self.ray()
                if self._started is not None and thread.ident is None:
                    thread.start()
                if thread.ident is not None and not thread.is_alive():
                    break
                time.sleep(EVERY_STEP_S)
                if self._slots is not None:
                    self._count_slots(proposals, progress)
                if (running := clerk.running()) or self._slots is not None:
                    progress.started(min(running, progress.slots))
                if time.monotonic() - looked > EVERY_S:
                    with suppress(OSError):  # a storage that is away for a moment: the trials go on
                        progress.found(onlooker.look(list(proposals.at_work)))
                    looked = time.monotonic()
                if proposals.late():
                    stop.set()
        except KeyboardInterrupt:
            self.stopped = True
            stop.set()
            progress.say("stopping; what finished is kept")
            if thread.ident is not None:
                thread.join(STOP_GRACE_S)
        self.forerunners.end()
        clerk.close()
        with suppress(OSError):
            progress.found(onlooker.look(proposals.store.unfinished()))
        if faults and not self.stopped:
            raise faults[0]
        self.settled.set()

    def _ray_is_wanted(self, progress: Progress) -> bool:
        """Where a slot has no forerunner, or they have worked long enough for its beginning not to matter."""
        if self.forerunners.is_short():
            return not self.clerk.exhausted()
        return time.monotonic() - progress.began > RAY_AFTER_S

    def _tune(self, proposals: Proposals, progress: Progress) -> None:
        """Waits for Ray and has it run what the forerunners leave. Raises ValueError where it can run nothing."""
        from sparsweep.search import with_ray

        self.ray().result()
        if self.stop.is_set():
            return
        self._refuse_cluster(progress.say)
        self._count_slots(proposals, progress)
        if progress.slots < 1 and not self.slots.wished:
            raise ValueError(
                f"no node can give a trial {self.slots.cpu:g} CPUs and {self.slots.gpu:g} GPUs: lower resources in the "
                "sweep file, add nodes, or, where the cluster grows by itself, say how far: resources: {slots: 8}"
            )
        judge = None
        if isinstance(proposals.judge, Forgiving):
            proposals.judge = judge = with_ray.remote_judge(proposals.judge)
        with_ray.await_signs(
            self._signs, min(progress.slots, os.cpu_count() or 1), PROCESSES_WITHIN_S,
            needless=lambda: self.stop.is_set() or not self.forerunners.busy(),
        )  # fmt: skip
        self._await_room()
        self.forerunners.hand_over()

        def room(at_work: int) -> bool:
            return at_work + self.forerunners.busy() < max(progress.slots, self.slots.wished)

        with_ray.run_trials(
            self.clerk, self.slots, lambda number: proposals.store.folder(number).path, self._scratch, self.stop, room,
            judge,
        )  # fmt: skip

    def _await_room(self) -> None:
        """Tune does not begin on a full disk; that it is full is told by the clerk, which waits too."""
        while not self.stop.is_set():
            try:
                check_room(self.job.folder.path)
            except OSError:
                time.sleep(ROOM_EVERY_S)
            else:
                return

    def _refuse_cluster(self, say: Callable[[str], None]) -> None:
        """Everything about a cluster that would go wrong later. Raises ValueError; an open cluster is only told of."""
        from sparsweep.search import with_ray

        if with_ray.node_count() > 1 and self.job.where.storage_path is None:
            raise ValueError("a cluster of several nodes needs --storage-path: a folder that all of them share")
        if self.slots.address is not None:
            versions = environment()
            with_ray.refuse_other_versions({name: versions[name] for name in ("sparsweep", "ray", "torch")})
            if (warning := with_ray.warning()) is not None:
                say(warning)

    def _count_slots(self, proposals: Proposals, progress: Progress) -> None:
        """Nodes come and go: as many trials are proposed as there are slots now, or are wished for, and one more."""
        from sparsweep.search import with_ray

        if time.monotonic() - self._counted > RECOUNT_S:
            self._counted = time.monotonic()
            before, progress.slots = self._slots, with_ray.slot_count(self.slots)
            self._slots = progress.slots
            if before is not None and progress.slots != before:
                progress.say(f"nodes came or went: {before} → {progress.slots} slots")
            proposals.ahead = max(progress.slots, self.slots.wished) + 1

    def alone(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """Before trials, or after them: where Ray has not begun by then, nothing is at work."""
        if self._started is None:
            return in_own_process(function, arguments)
        from sparsweep.search import with_ray

        self.ray().result()
        return with_ray.exclusively(function, arguments)

    def near_store(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """On a node that says it can reach the artifact store; here where none says so."""
        from sparsweep.search import with_ray

        if self.job.where.cluster is None:
            return function(*arguments)
        self.ray().result()
        return with_ray.near_store(function, arguments)

    def release(self) -> None:
        """A Ray of our own is not needed any more: shut down behind what is left to do (it takes seconds)."""
        if self.job.where.cluster is None:
            self._shut_down()

    def _shut_down(self) -> None:
        if self._started is not None and not self._released:
            from sparsweep.search import with_ray

            self._released = True
            self._worker.submit(with_ray.shut_down)

    def close(self) -> None:
        self._shut_down()
        self._worker.shutdown(wait=True)
        shutil.rmtree(self._scratch, ignore_errors=True)


@contextmanager
def _engine(job: Job, forerunners: Forerunners) -> Iterator[Engine]:
    if job.inline:
        yield InlineEngine()
        return
    engine = RayEngine(job, forerunners)
    try:
        yield engine
    finally:
        engine.close()

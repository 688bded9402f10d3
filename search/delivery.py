"""From records to a frontier that can be picked from: time, choose, test, register, draw. Every step can be repeated.

near-front points → meter → frontier → test accuracy (once a point) → versions, aliases → frontier.json|png|html
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from sparsweep.search.curve import headline, near_front
from sparsweep.search.frontier import Frontier, hypervolume
from sparsweep.search.knee import aliases
from sparsweep.search.lease import FencedOutError
from sparsweep.search.lower_bound import at_bound
from sparsweep.search.meter import Meter, Timing
from sparsweep.search.progress import Progress
from sparsweep.search.publishing import Order, publish
from sparsweep.search.report import save_plot
from sparsweep.search.standing import restand
from sparsweep.search.sweep_folder import SweepFolder, Where, points_of, with_measured
from sparsweep.search.worth import searched_points
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import TrialStore, write_atomically

if TYPE_CHECKING:
    from sparsweep.search.with_mlflow import Ledger
    from sparsweep.trainables.tasks import Task


Run = Callable[[Callable[..., Any], Sequence[Any]], Any]
"""Calls a function with arguments, somewhere, and returns what it returns."""


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """How a sweep ended."""

    frontier: Frontier
    points: tuple[Point, ...]
    """All points of the sweep."""
    model: str
    versions: dict[str, str]
    """By alias the version it points to."""
    pictures: tuple[Path, ...]
    noisy: int
    """Near-front points whose latency could not be measured quietly enough to publish."""


def deliver(
    sweep: SweepFile, folder: SweepFolder, store: TrialStore, task: "Task", *, latency_file: Path,
    run_alone: Run, near_store: Run, release: Callable[[], None], progress: Progress, ledger: "Ledger | None",
    tracking_uri: str, fence: Callable[[], None],
) -> Delivered:  # fmt: skip
    """Delivers what the records hold; with no usable point the frontier is empty and nothing is registered.

    Args:
        run_alone: calls a function with arguments while nothing else runs on the device.
        near_store: calls a function with arguments where the artifact store can be reached.
        release: told when nothing more is measured.
        fence: raises where another driver has taken the sweep over: nothing more is written.
    """
    found = points_of(store.records_so_far(), {})  # once: nothing is at work any more, and there may be many

    def as_measured() -> tuple[Frontier, list[Point]]:
        points = with_measured(found, folder.measured())
        return frontier_over(points, sweep, folder.name), points

    noisy = _time(found, sweep, folder, store, task, Meter(latency_file, run_alone, timing_of(sweep)), progress)
    release()
    fence()
    progress.entered("testing the frontier")
    _test(as_measured()[0].points, folder, store, task)
    frontier, points = as_measured()
    progress.entered("drawing")
    pictures = _draw(frontier, points, folder)
    versions: dict[str, str] = {}
    try:
        if ledger is not None and frontier.points:
            progress.entered("registering")
            versions = _register(frontier, sweep, folder, store, task, ledger, tracking_uri, fence, near_store)
            frontier, points = as_measured()
            pictures = _draw(frontier, points, folder)
        if ledger is not None:
            ledger.log_frontier(frontier.as_json(), pictures, progress.history)
            ledger.finish(ended=progress.why)
    except FencedOutError:
        raise
    except Exception as fault:
        reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
        progress.say(f"MLflow does not take the frontier ({reason}): sparsweep resume {folder.name} registers it later")
    progress.entered("done")
    return Delivered(
        frontier=frontier, points=tuple(points), model=sweep.model, versions=versions, pictures=pictures, noisy=noisy
    )


def frontier_now(sweep: SweepFile, folder: SweepFolder, store: TrialStore) -> tuple[Frontier, list[Point]]:
    """The frontier over everything that is known now, and all points; changes nothing.

    What trials without a record have found so far is part of it: their networks are there, and so they can be picked.
    """
    points = points_of(store.records_so_far(), folder.measured())
    return frontier_over(points, sweep, folder.name), points


def frontier_at_bound(sweep: SweepFile, folder: SweepFolder, store: TrialStore) -> tuple[Frontier, list[Point]]:
    """The frontier of what was trained with several seeds, every point at its bound (`lower_bound`), and these points.

    Raises:
        ValueError: no point has one.
    """
    points = at_bound(points_of(store.records(), folder.measured()))
    if not points:
        wished = "no setting has been trained with all its seeds yet" if sweep.seeds > 1 else "it trains with one seed"
        raise ValueError(
            f"no point of {folder.name} has a bound: {wished}; put seeds: 3 or more into the sweep file of a sweep "
            "that is to have them"
        )
    return frontier_over(points, sweep, folder.name), list(points)


def frontier_indexed(sweep: SweepFile, folder: SweepFolder, where: Where) -> tuple[Frontier, int]:
    """The same frontier by the sweep's index, and how many points the sweep has; reads few of the records or none."""
    measured = folder.measured()
    timed = [name for name, known in measured.items() if known.get("latency")]
    points, count = folder.index(where).telling(
        sweep.objectives.directions, sweep.constraints, timed, save=not folder.is_held(where)
    )
    return frontier_over(with_measured(points, measured), sweep, folder.name), count


def frontier_over(points: Sequence[Point], sweep: SweepFile, name: str) -> Frontier:
    """The frontier of those that have their network; the hypervolume that is shown live counts all."""
    candidates = [point for point in points if point.network is not None]
    frontier = Frontier.of(name, candidates, sweep.objectives.directions, sweep.constraints)
    return replace(frontier, macs_hypervolume=headline(points, ("macs_removed",)))


def _time(
    found: Sequence[Point], sweep: SweepFile, folder: SweepFolder, store: TrialStore, task: "Task", meter: Meter,
    progress: Progress,
) -> int:  # fmt: skip
    """Times what is near the front of all that was found; how many stayed too noisy."""
    points = searched_points(with_measured(found, folder.measured()), sweep.constraints)
    near = near_front([point for point in points if point.network is not None], progress.axes)
    untimed = [point for point in near if not _timed(point, meter.timing)]
    if not untimed:
        return 0
    progress.entered(f"timing {len(untimed)} network{'s'[: len(untimed) != 1]}")
    paths = {point.id: store.folder(point.trial).path / str(point.network) for point in untimed}
    measured = meter.measure(task, paths)
    largest = meter.timing.throughput_batch
    quiet = {name: records for name, records in measured.items() if any(r["batch"] == largest for r in records)}
    folder.note((point, {"latency": quiet[point.id]}) for point in untimed if point.id in quiet)
    _tell_expectation(with_measured(found, folder.measured()), progress)
    return len(untimed) - len(quiet)


def _tell_expectation(points: Sequence[Point], progress: Progress) -> None:
    """How near the look-up that the search went by was to what was then measured."""
    shares = [
        abs(1 / (1 - point.expected_time_removed) / point.timing.speedup - 1)
        for point in points
        if point.timing and point.expected_time_removed is not None
    ]
    if shares:
        progress.say(f"looked-up speedups were {median(shares):.0%} (median) off those measured")


def _timed(point: Point, timing: Timing) -> bool:
    """Whether it has what is asked for; what a runtime refused is asked again, and known to the meter."""
    at = [r for r in point.latency if r.batch == timing.throughput_batch and r.threads == timing.threads]
    return {record.runtime for record in at} >= set(timing.runtimes)


def timing_of(sweep: SweepFile) -> Timing:
    """How a sweep's networks are timed: at batch 1 and at the sweep's own."""
    asked = sweep.timing
    batches = tuple(sorted({1, asked.batch}))
    return Timing(batches=batches, runtimes=asked.runtimes, threads=asked.threads, round_ms=asked.round_ms)


def _test(points: Sequence[Point], folder: SweepFolder, store: TrialStore, task: "Task") -> None:
    """Test accuracy of the frontier's compact networks: once a point, never seen by the search."""
    from sparsweep.trainables.compact.architecture import load_network
    from sparsweep.trainables.measures.accuracy import accuracy

    data, score = task.load(), task.score_function()
    notes = []
    for point in points:
        if point.test_accuracy is None:
            net = load_network(store.folder(point.trial).path / str(point.network), task.build)
            notes.append((point, {"test_accuracy": accuracy(net, data.test, score=score)}))
    if notes:
        folder.note(notes)


def kept_points(frontier: Frontier, keep: int) -> list[Point]:
    """Which frontier points become versions: those with an alias, then whatever adds most hypervolume."""
    named = {point.id: point for point in aliases(frontier.points, frontier.objectives).values()}
    chosen = list(named.values())[:keep]
    rest = [point for point in frontier.points if point.id not in named]
    while rest and len(chosen) < keep:

        def volume_with(point: Point) -> float:
            return hypervolume([*chosen, point], frontier.objectives, frontier.reference)

        best = max(rest, key=volume_with)
        chosen.append(best)
        rest.remove(best)
    return sorted(chosen, key=lambda point: -point.accuracy)


def _register(
    frontier: Frontier, sweep: SweepFile, folder: SweepFolder, store: TrialStore, task: "Task", ledger: "Ledger",
    tracking_uri: str, fence: Callable[[], None], near_store: Run,
) -> dict[str, str]:  # fmt: skip
    """Publishes the kept points and says anew which of the model's versions stand on the frontier."""
    from sparsweep.search.with_mlflow import Registry

    example = task.load().validation.part(slice(0, 2)).inputs
    for point in kept_points(frontier, sweep.registry.keep):
        fence()
        order = Order(
            model=sweep.model, sweep=folder.name, point=point.as_json(), task=task.resolved().as_json(),
            fingerprint=task.fingerprint(), path=str(store.folder(point.trial).path / str(point.network)),
            example=example, run_id=_run_of(ledger, store, point),
            tags=_device_tags(point) | _task_tags(task) | _seeds_tags(point),
        )  # fmt: skip
        folder.note([(point, {"model_version": near_store(publish, (tracking_uri, order))})])
    registry = Registry.open(tracking_uri=tracking_uri)
    return restand(registry, sweep.model, task.fingerprint(), sweep.objectives.directions)


def _run_of(ledger: "Ledger", store: TrialStore, point: Point) -> str:
    """The trial's MLflow run, logged now if its projection has lagged so far, and with all that it has found."""
    known, trial = ledger.run_of(point.trial), store.folder(point.trial)
    if known is not None and trial.has_ended():
        return known
    record = trial.latest()
    assert record is not None, "a point without a record"
    return ledger.log_trial(record)


def _device_tags(point: Point) -> dict[str, str]:
    """Where and how the point was timed: speedups are compared for equal devices only."""
    if (at := point.timing) is None:
        return {}
    return {
        "device": at.device, "batch": str(at.batch), "threads": str(at.threads), "runtime": at.runtime,
        "dense_runtime": at.dense_runtime,
        "latency": json.dumps([vars(record) for record in point.latency]),
    }  # fmt: skip


def _seeds_tags(point: Point) -> dict[str, str]:
    """Over how many seeds this cut's accuracy is known, and its mean and standard deviation."""
    spread = point.spread
    if spread is None or (deviation := spread.deviation("accuracy")) is None:
        return {}
    told = {"seeds": str(spread.seeds), "accuracy_mean": repr(spread.mean("accuracy"))}
    return {**told, "accuracy_deviation": repr(deviation)}


def _task_tags(task: "Task") -> dict[str, str]:
    """The task's own words, and how bytes become the network's inputs: (value / 255 - mean) / std, by channel."""
    inputs, named = task.load().train, {"network": task.network, "data": task.data}
    return named | ({"input_mean": json.dumps(inputs.mean), "input_std": json.dumps(inputs.std)} if inputs.mean else {})


def _draw(frontier: Frontier, points: Sequence[Point], folder: SweepFolder) -> tuple[Path, ...]:
    write_atomically(folder.path / "frontier.json", json.dumps(frontier.as_json(), indent=1))
    pictures = (folder.path / "frontier.png", folder.path / "frontier.html")
    for picture in pictures:
        save_plot(frontier, points, picture)
    return pictures

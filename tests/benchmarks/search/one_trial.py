"""The trial that all contenders run, and what they note of it: every finished point with its time.

A peer may run it whole with one point, whole with its descent, or epoch by epoch for an early-stopping scheduler.
"""

import copy
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from sparsweep.search.curve import AXES
from sparsweep.search.worth import setting_value
from sparsweep.spaces.constraint import Constraint
from sparsweep.spaces.space import Row
from sparsweep.trainables.compact.removal import InexactCompactionError
from sparsweep.trainables.cut import weight_masks
from sparsweep.trainables.groups import set_masks
from sparsweep.trainables.point import Point
from sparsweep.trainables.training import DivergedError
from sparsweep.trainables.trial import Trial
from tests.benchmarks.search.contest import Contest

FAULTS = (DivergedError, InexactCompactionError)
"""Ways in which a setting fails by itself."""


def settle() -> None:
    """One thread a trial, numbers as in our own slots."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def one_point(contest: Contest, row: Row) -> tuple[float, float]:
    """Trains, cuts at the setting's own threshold, fine-tunes: accuracy and share removed. Raises FAULTS."""
    points = _finished(contest, begun(contest, row, descent="none"))
    return values(contest, points[-1])


def whole_descent(contest: Contest, row: Row) -> float:
    """Our whole trial, valued as `sparsweep run` values it: the hypervolume of its own curve. Raises FAULTS."""
    points = _finished(contest, begun(contest, row, descent="nested"))
    return setting_value(points, contest.axes, [Constraint.parse(text) for text in contest.constraints])


def by_epoch(contest: Contest, row: Row) -> Iterator[tuple[int, float, float]]:
    """After each epoch its number, accuracy and share removed of the method's cut by then; the last one fine-tuned.

    Every one of them counts as a point. Raises FAULTS.
    """
    trial = begun(contest, row, descent="none")
    for epoch in range(1, contest.epochs):
        trial.advance()
        point = _interim(trial, epoch)
        note(contest, trial, [point])
        yield epoch, *values(contest, point)
    yield contest.epochs, *values(contest, _finished(contest, trial)[-1])


def begun(contest: Contest, row: Row, *, descent: str) -> Trial:
    """A fresh trial in a folder of its own."""
    networks = Path(contest.folder) / "networks"
    networks.mkdir(exist_ok=True)
    return Trial.start(contest.plan(row, descent=descent), Path(tempfile.mkdtemp(dir=networks)))


def values(contest: Contest, point: Point) -> tuple[float, float]:
    """What is judged: accuracy and share removed."""
    return point.accuracy, AXES[contest.axis](point)


def note(contest: Contest, trial: Trial, points: Iterable[Point]) -> None:
    """Appends finished points to this process's file, each with its time and its network's path."""
    now = time.time()
    lines = [
        {"at": now, "values": values(contest, point), "network": str(trial.folder / point.cut)} for point in points
    ]
    with (Path(contest.folder) / f"points-{os.getpid()}.jsonl").open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))


def _finished(contest: Contest, trial: Trial) -> list[Point]:
    """Works to the end; its points are noted as they are measured, as those of our own trials are shown."""
    going, noted = True, 0
    while going:
        going = trial.advance()
        note(contest, trial, trial.points[noted:])
        noted = len(trial.points)
    return trial.points


def _interim(trial: Trial, epoch: int) -> Point:
    """The method's own cut of the network as it stands, made and measured on a copy."""
    training, trial.net = trial.net, copy.deepcopy(trial.net)
    try:
        trial.method.fold(trial.net)
        scores = trial.method.scores(trial.net)
        set_masks(trial.net, weight_masks(trial.net, scores, scores.own))
        trial._measure(f"epoch-{epoch:03d}", scores.threshold)
    finally:
        trial.net = training
    return trial.points.pop()

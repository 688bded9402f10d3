"""What a sweep has found and what it hangs on: a summary in text, or one page that loads nothing.

It is made of the records, and of the sweep's study for what a value depends on; so it can be asked for at any time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Self

from sparsweep.search.budget import spent_words
from sparsweep.search.curve import LiveFront, search_axes
from sparsweep.search.delivery import frontier_over
from sparsweep.search.figures import label
from sparsweep.search.frontier import Frontier
from sparsweep.search.hindrances import unmet, without_volume
from sparsweep.search.page import Section, save_html
from sparsweep.search.sweep_folder import SweepFolder, Where, points_of
from sparsweep.search.with_optuna import open_storage
from sparsweep.search.with_optuna.pictures import StudyView
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import TrialRecord

MOST_TOLD = 8
"""Steps of the hypervolume, and knobs, that the text tells."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """The hypervolume after one more trial."""

    trials: int
    hours: float
    """From the start of the first trial to the end of this one."""
    hypervolume: float


@dataclass(frozen=True, kw_only=True)
class SweepReport:
    """Everything that is told of a sweep."""

    sweep: SweepFile
    frontier: Frontier
    points: Sequence[Point]
    failed: int
    growth: Sequence[Growth]
    axis: str
    """Against which the hypervolume of accuracy is counted."""
    study: StudyView

    @classmethod
    def of(cls, sweep: SweepFile, folder: SweepFolder, where: Where, study_storage: str) -> Self:
        """As it is now; a sweep that is being run may be asked too.

        Raises:
            ValueError: a record is damaged, or the study's database cannot be opened.
        """
        known = folder.store(where).records_so_far()
        points = points_of(known, folder.measured())
        ended = [record for record in known if record.state != "unfinished"]
        records = sorted(ended, key=lambda record: (record.ended_ms, record.number))
        axes = search_axes(sweep.objectives.directions, look_up=sweep.timing.look_up)
        words = {"curve_value": f"the worth of a trial's curve (accuracy x {' and '.join(map(label, axes))})"}
        words |= {axis: label(axis) for axis in axes}
        return cls(
            sweep=sweep, frontier=frontier_over(points, sweep, folder.name), points=points,
            failed=sum(record.state == "failed" for record in records), growth=growth_of(records, axes), axis=axes[0],
            study=StudyView.open(open_storage(study_storage), folder.name, words),
        )  # fmt: skip

    def lines(self, state: Mapping[str, Any]) -> Iterator[str]:
        """The summary in text.

        Args:
            state: what `sparsweep status NAME --json` says.
        """
        yield f"{self.frontier.sweep}: {state['state']}, {len(self.growth)} of {state['trials']} trials have ended"
        if told := spent_words(state["spent"], self.sweep.budget):
            yield f"spent {told}"
        if state["ended"]:
            yield f"the search has ended: {state['ended']}"
        yield from self._front_lines()
        yield from (f"failed {count}x: {reason}" for reason, count in state["reasons"].items())
        yield from self._growth_lines()
        yield from self._importance_lines()

    def save(self, path: Path) -> None:
        """The page: frontier, hypervolume over time, and Optuna's own pictures of the study."""
        sections = [
            Section(title="what was found", lines=[*self._front_lines(), *self._failed()]),
            Section(title="hypervolume over time", lines=list(self._growth_lines())[:1], figure=self._growth_figure()),
            *(
                Section(title=each.title, lines=[each.note] if each.note else [], figure=each.figure)
                for each in self.study.pictures()
            ),
        ]
        save_html(self.frontier, self.points, path, kind="report", sections=sections)

    def _front_lines(self) -> Iterator[str]:
        front = self.frontier
        yield f"{len(front.points)} of {len(self.points)} points are on the frontier"
        for line in (without_volume(front), unmet(self.points, self.sweep.constraints)):
            if line is not None:
                yield line

    def _failed(self) -> list[str]:
        return [f"{self.failed} of {len(self.growth)} trials failed"] if self.failed else []

    def _growth_lines(self) -> Iterator[str]:
        if not self.growth:
            yield "no trial has ended yet"
            return
        last = self.growth[-1]
        yield (
            f"hypervolume {last.hypervolume:.4f} (accuracy x {label(self.axis)}) after {last.trials} trials "
            f"and {last.hours:.3g} h"
        )
        for step in _steps(self.growth):
            yield f"  {step.hypervolume:.4f} after {step.trials} trials"

    def _importance_lines(self) -> Iterator[str]:
        for target, known in self.study.importances().items():
            if isinstance(known, str):
                yield f"what {target} depends on: {known}"
                continue
            yield f"what {target} depends on:"
            yield from (f"  {share:4.0%}  {knob}" for knob, share in list(known.items())[:MOST_TOLD])

    def _growth_figure(self) -> dict[str, Any] | None:
        if not self.growth:
            return None
        shown = [f"{g.trials} trials, {g.hours:.3g} h: {g.hypervolume:.4f}" for g in self.growth]
        line = {
            "type": "scatter", "mode": "lines+markers", "line": {"shape": "hv", "color": "#0b5fa5"},
            "marker": {"size": 4}, "x": [g.trials for g in self.growth], "y": [g.hypervolume for g in self.growth],
            "text": shown, "hoverinfo": "text",
        }  # fmt: skip
        titles = ("trials that have ended", escape(f"hypervolume (accuracy x {label(self.axis)})"))
        axes = [{"title": {"text": text}, "gridcolor": "#e4e7eb", "automargin": True} for text in titles]
        layout = {"xaxis": axes[0], "yaxis": axes[1], "margin": {"t": 20, "r": 20, "b": 60, "l": 70}}
        return {"data": [line], "layout": layout}


def growth_of(records: Sequence[TrialRecord], axes: Sequence[str]) -> list[Growth]:
    """The hypervolume that was shown live, after each record in the order of ending."""
    front, found = LiveFront(axes), []
    began = min((record.started_ms for record in records), default=0)
    for at, record in enumerate(records, start=1):
        hours = (record.ended_ms - began) / 3.6e6
        found.append(Growth(trials=at, hours=hours, hypervolume=front.take(record.points)))
    return found


def _steps(growth: Sequence[Growth]) -> list[Growth]:
    """Where it grew: at most so many, the largest ones, in their order."""
    before = [0.0, *(each.hypervolume for each in growth)]
    gains = [(each.hypervolume - old, each) for old, each in zip(before, growth, strict=False)]
    largest = sorted((pair for pair in gains if pair[0] > 0), key=lambda pair: -pair[0])[:MOST_TOLD]
    return sorted((each for _, each in largest), key=lambda each: each.trials)

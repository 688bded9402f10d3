"""Live progress of a sweep: on a terminal a few lines that renew themselves, elsewhere a line now and then."""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.search.budget import Account, amount
from sparsweep.search.curve import LiveFront, headline
from sparsweep.search.redaction import without_secrets
from sparsweep.search.worth import searched_points
from sparsweep.spaces.constraint import Constraint
from sparsweep.spaces.sweep_file import Budget, Resources
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import TrialRecord, now_ms, write_atomically

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PLAIN_EVERY_S = 5.0
UNDONE = "stopped before its end"
"""Why a search has ended whose budget is not spent."""


@dataclass
class Tally:
    """Counts of a sweep."""

    budget: int
    done: int = 0
    failed: int = 0
    stopped: int = 0
    """Early, by the sweep's judge; they count as trials of the budget."""
    running: int = 0
    best_accuracy: float | None = None
    """None before a trial is done."""
    hypervolume: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """How many trials have an outcome, whichever."""
        return self.done + self.failed + self.stopped


class Progress:
    """Takes what happens and shows it; safe to be told from several threads."""

    def __init__(
        self, budget: int, axes: Sequence[str], status: Path, account: Account | None = None,
        constraints: Sequence[Constraint] = (),
    ) -> None:  # fmt: skip
        self.tally = Tally(budget=budget)
        self.account = account or Account(Budget(trials=budget), Resources())
        self.why: str | None = None
        """What ended the search, once something has."""
        self.axes, self.status = tuple(axes), status
        self.fronts = [LiveFront((axis,)) for axis in axes]
        """By axis, of all points; the first one's hypervolume is shown."""
        self.met = [LiveFront((axis,)) for axis in axes]
        """By axis, of the points that meet the constraints."""
        self.constraints = tuple(constraints)
        self.at_work = LiveFront(axes)
        """What trials without an outcome have found so far: shown, and counted in nothing."""
        self.best_at_work: float | None = None
        self.history: list[tuple[int, int, float]] = []
        """(trials ended, end in ms, hypervolume) in the order of ending."""
        self.slots = 1
        self.began = time.monotonic()
        self.spent: list[float] = []
        self.deadline: float | None = None
        self.limit_s: float | None = None
        """Seconds from the driver's start to the deadline."""
        self.phase = "starting"
        self.entries: list[tuple[str, float]] = []
        """(part of the work, seconds after the start) in the order of entering."""
        self._lock = threading.Lock()
        self._console: Console | None = None

    def started(self, running: int) -> None:
        """So many trials are at work now."""
        with self._lock:
            self.tally.running = running
            self.phase = "searching"

    def ended(self, record: TrialRecord) -> None:
        """A trial ended. All of its points count for the hypervolume, as they do in `Frontier.macs_hypervolume`."""
        with self._lock:
            tally = self.tally
            if record.state == "failed":
                tally.failed += 1
                tally.reasons[str(record.reason)] = tally.reasons.get(str(record.reason), 0) + 1
            elif record.state == "stopped":
                tally.stopped += 1
            else:
                tally.done += 1
            if record.points:  # a failed one may have some, of before it failed
                known = () if tally.best_accuracy is None else (tally.best_accuracy,)
                tally.best_accuracy = max([*known, *(point.accuracy for point in record.points)])
                for front, met in zip(self.fronts, self.met, strict=True):
                    front.take(record.points)
                    met.take(searched_points(record.points, self.constraints))
                tally.hypervolume = self.fronts[0].headline
            self.spent.append((record.ended_ms - record.started_ms) / 1e3)
            step = tally.ended
            self.history.append((step, record.ended_ms, tally.hypervolume))
            self.account.take(record, [f.headline for f in self.met], [f.headline for f in self.fronts])
        self._write()

    def found(self, points: Sequence[Point]) -> None:
        """All that trials at work have found so far."""
        front, before = LiveFront(self.axes), self.at_work
        front.take(points)
        self.at_work, self.best_at_work = front, max((point.accuracy for point in points), default=None)
        if front.points != before.points:
            self._write()

    def best(self) -> tuple[float | None, float]:
        """The best accuracy, None where there is no point, and the hypervolume, with what trials at work have found."""
        known = [best for best in (self.tally.best_accuracy, self.best_at_work) if best is not None]
        front, shown = self.fronts[0].points, self.at_work.points
        return max(known, default=None), headline((*front, *shown), self.axes) if shown else self.tally.hypervolume

    def search_ended(self, why: str) -> None:
        """The search has ended, and this ended it."""
        self.why = why
        self.say(f"the search has ended: {why}")
        self._write()

    def _write(self) -> None:
        """What `sparsweep status` reads."""
        known = {**asdict(self.tally), "spent": asdict(self.account.spent), "ended": self.why, "phase": self.phase}
        accuracy, volume = self.best()
        known |= {"left_s": self.left_s(), "slots": self.slots, "best_accuracy": accuracy, "hypervolume": volume}
        with contextlib.suppress(OSError):  # a full disk: the records are what counts
            write_atomically(self.status, json.dumps({**known, "at_ms": now_ms()}))

    def limited(self, limit_s: float | None) -> None:
        """The driver may search for so long from now on."""
        self.limit_s = limit_s
        self.deadline = None if limit_s is None else time.monotonic() + limit_s

    def used_share(self) -> float:
        """How much of the budget is gone, in [0, 1], by the limit that is nearest."""
        if self.deadline is None or self.limit_s is None:
            return self.account.used_share()
        by_time = 1 - max(self.deadline - time.monotonic(), 0.0) / self.limit_s
        return max(self.account.used_share(), by_time)

    def say(self, text: str) -> None:
        """One line that stays."""
        from rich.markup import escape

        text = without_secrets(text)
        if self._console is not None:
            self._console.print(escape(text), highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def entered(self, phase: str) -> None:
        """The sweep has come to another part of its work."""
        self.phase = phase
        self.entries.append((phase, round(time.monotonic() - self.began, 3)))
        self._write()

    def left_s(self) -> float | None:
        """Expected seconds until the trials are done; None before the first has ended."""
        if not self.spent:
            return None
        expected = self.account.rest_trials() * (sum(self.spent) / len(self.spent)) / max(self.slots, 1)
        return expected if self.deadline is None else min(expected, max(self.deadline - time.monotonic(), 0))

    def line(self) -> str:
        """All of it in one line."""
        t, left = self.tally, self.left_s()
        cost = self.account.rest_cost()
        to_pay = "" if cost is None else f" and {amount(cost)} in cost"
        rest = "" if left is None or self.phase != "searching" else f", about {clock(left)}{to_pay} left"
        spent = f", {words}" if (words := self.account.words()) else ""
        accuracy, reached = self.best()
        volume = f"{reached:.4f} (accuracy x {self.axes[0].replace('_', ' ')})"
        stopped = f"{t.stopped} stopped early, " if t.stopped else ""
        found = "" if accuracy is None else f", best accuracy {accuracy:.4f}, hypervolume {volume}"
        return (
            f"[{clock(time.monotonic() - self.began)}] {self.phase}: {t.done}/{t.budget} done, {t.running} running, "
            f"{stopped}{t.failed} failed{found}{spent}{rest}"
        )

    @contextmanager
    def shown(self, console: "Console") -> Iterator[None]:
        """Shows the progress on this console until the block ends."""
        self._console = console
        if console.is_terminal:
            from rich.live import Live

            with Live(get_renderable=self._view, console=console, refresh_per_second=4, transient=True):
                yield
        else:
            ending = threading.Event()
            thread = threading.Thread(target=self._tell_plainly, args=(ending,), daemon=True)
            thread.start()
            try:
                yield
            finally:
                ending.set()
                thread.join()
        console.print(self.line(), highlight=False, markup=False, soft_wrap=True)

    def _tell_plainly(self, ending: threading.Event) -> None:
        last = ""
        while not ending.wait(PLAIN_EVERY_S):
            if self._console is not None and (line := self.line()) != last:
                self._console.print(line, highlight=False, markup=False, soft_wrap=True)
                last = line

    def _view(self) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        t = self.tally
        reasons = [Text(f"  failed {n}x: {why}", style="red") for why, n in list(t.reasons.items())[:3]]
        bar: Any = ProgressBar(total=max(t.budget, 1), completed=t.ended, width=48)
        return Group(Text(self.line()), bar, *reasons)


def clock(seconds: float) -> str:
    """`0:07`, `12:34`, `1:02:03`."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"

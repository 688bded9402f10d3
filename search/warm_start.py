"""What a sweep learns from an earlier one of the same task and the same space before its first trial.

The earlier rows are no trials of the new sweep: they are numbered in none of its stores and count for no budget. They
are kept in `warm_start.json` beside its trials, so that it goes on though the earlier sweep is removed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsweep.search.catalogue import catalogue
from sparsweep.search.dominance import non_dominated
from sparsweep.search.proposals import outcome_of
from sparsweep.search.sweep_folder import SweepFolder
from sparsweep.search.with_optuna import Told
from sparsweep.spaces.faults import nearest, shown
from sparsweep.spaces.same_search import differences
from sparsweep.spaces.space import Row, Space
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.options import TrialOptions
from sparsweep.trainables.record import read_whole, write_atomically

if TYPE_CHECKING:
    from sparsweep.search.sweep import Job

BEST = 3
"""How many of the earlier sweep's rows are tried again first."""
REMEDY = "delete it, and it is made again from the earlier sweep"


NOT_COMPARED = ("workers", "compile", "time_limit")
"""Options of a trial that say nothing of what a setting is worth."""


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What an earlier sweep has found."""

    rows: tuple[Told, ...] = ()
    """With what they are worth by the new sweep's objectives and constraints."""
    otherwise: tuple[str, ...] = ()
    """How its trials trained or descended otherwise: `epochs was 1 and is now 20`."""

    @property
    def comparable(self) -> tuple[Told, ...]:
        """What a sampler may learn from: nothing where trials were others, as their worth would be another."""
        return () if self.otherwise else self.rows

    def words(self, name: str) -> str | None:
        """What the user should know."""
        if not self.otherwise:
            return None
        return (
            f"warm_start: {name} trained otherwise ({'; '.join(self.otherwise)}): its best settings are tried first, "
            "but what they were worth there says nothing here"
        )


def earlier_of(job: "Job") -> Earlier:
    """What the sweep's `warm_start` has found; nothing without it.

    Raises:
        ValueError: there is no such sweep, or it searched something else.
    """
    kept = _kept(job)
    if job.sweep.warm_start is None:
        return Earlier()
    if kept.exists():
        content = read_whole(kept, REMEDY)
        try:
            return Earlier(rows=tuple(map(_told, content["rows"])), otherwise=tuple(content.get("otherwise", ())))
        except (KeyError, TypeError) as fault:
            raise ValueError(f"{kept} is damaged ({type(fault).__name__}: {fault}): {REMEDY}") from fault
    return _found_by(job, job.sweep.warm_start)


def keep(job: "Job", earlier: Earlier) -> None:
    """Writes it down where a resumed sweep finds it; once."""
    if earlier.rows and not _kept(job).exists():
        _kept(job).parent.mkdir(parents=True, exist_ok=True)
        rows = [{"row": told.row, "values": told.values, "violations": dict(told.violations)} for told in earlier.rows]
        write_atomically(_kept(job), json.dumps({"rows": rows, "otherwise": earlier.otherwise}))


def best_rows(rows: Sequence[Told], most: int = BEST) -> list[Row]:
    """The best of the earlier rows: those that meet the constraints before others, then by value or dominance."""
    met = [told for told in rows if not any(violation > 0 for violation in told.violations.values())]
    ranked = sorted(met or rows, key=lambda told: -sum(told.values or ()))
    kept = non_dominated([told.values or () for told in ranked])
    front = [told for told, on in zip(ranked, kept, strict=True) if on]
    others = [told for told, on in zip(ranked, kept, strict=True) if not on]
    return [told.row for told in (*front, *others)[:most]]


def _kept(job: "Job") -> Path:
    return job.store.path.parent / "warm_start.json"


def _told(data: Any) -> Told:
    return Told(row=data["row"], values=tuple(data["values"]), violations=data["violations"])


def _found_by(job: "Job", name: str) -> Earlier:
    folder = SweepFolder(job.home.sweep(name))
    if not folder.exists() or name == job.folder.name:
        known = [sweep for sweep in job.home.sweeps() if sweep != job.folder.name]
        listed = f"there is {', '.join(known)}" if known else "there is none yet"
        what = "is this sweep itself" if name == job.folder.name else f"is no sweep in {job.home.path}"
        raise ValueError(f"warm_start: {shown(name)} {what}{nearest(name, known)}; {listed}")
    earlier, where = folder.read()
    space = earlier.space(catalogue(Path(where.code_root) if where.code_root else None))
    changed = [f"task.{text}" for text in differences(earlier.task.identity(), job.sweep.task.identity())]
    changed += differences(_by_label(space), _by_label(job.space()))
    changed += differences(_shape(earlier.trial.get("descent")), _shape(job.sweep.trial.get("descent")))
    if changed:
        raise ValueError(
            f"warm_start: sweep {name} searched something else: {'; '.join(changed)}; search the same task and space, "
            "or leave warm_start out"
        )
    single = job.sweep.trial.get("descent") == "none"
    done = [record for record in folder.store(where).records() if record.state == "done"]
    outcomes = [outcome_of(r, job.axes, job.sweep.constraints, single_point=single) for r in done]
    rows = zip((record.setting for record in done), outcomes, strict=True)
    return Earlier(
        rows=tuple(Told(row=dict(row), values=told.values, violations=told.violations) for row, told in rows),
        otherwise=tuple(differences(_training(earlier), _training(job.sweep))),
    )


def _training(sweep: SweepFile) -> dict[str, Any]:
    """What decides, beside its setting, what a trial comes to."""
    options = vars(TrialOptions.from_row({**sweep.trial, "epochs": sweep.budget.epochs}, {}))
    return {name: value for name, value in options.items() if name not in NOT_COMPARED}


def _by_label(space: Space) -> dict[str, Any]:
    return {each.pop("label"): each for each in space.as_json()}


def _shape(descent: object) -> dict[str, Any]:
    """A curve and a single point are not worth the same."""
    return {"trial.descent": "none" if descent == "none" else "nested"}

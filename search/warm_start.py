"""What a sweep learns from an earlier one of the same task and the same space before its first trial.

The earlier rows are no trials of the new sweep: they are numbered in none of its stores and count for no budget. They
are kept in `warm_start.json` beside its trials, so that it goes on though the earlier sweep is removed.
"""

import json
from collections.abc import Sequence
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
from sparsweep.trainables.record import read_whole, write_atomically

if TYPE_CHECKING:
    from sparsweep.search.sweep import Job

BEST = 3
"""How many of the earlier sweep's rows are tried again first."""
REMEDY = "delete it, and it is made again from the earlier sweep"


def earlier_rows(job: "Job") -> list[Told]:
    """Rows of the sweep's `warm_start`, with what they are worth in this one; none without it.

    Raises:
        ValueError: there is no such sweep, or it searched something else.
    """
    kept = _kept(job)
    if job.sweep.warm_start is None:
        return []
    if kept.exists():
        content = read_whole(kept, REMEDY)
        try:
            return [_told(each) for each in content["rows"]]
        except (KeyError, TypeError) as fault:
            raise ValueError(f"{kept} is damaged ({type(fault).__name__}: {fault}): {REMEDY}") from fault
    return _rows_of(job, job.sweep.warm_start)


def keep(job: "Job", rows: Sequence[Told]) -> None:
    """Writes the rows down where a resumed sweep finds them; once."""
    if rows and not _kept(job).exists():
        _kept(job).parent.mkdir(parents=True, exist_ok=True)
        data = [{"row": told.row, "values": told.values, "violations": dict(told.violations)} for told in rows]
        write_atomically(_kept(job), json.dumps({"rows": data}))


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


def _rows_of(job: "Job", name: str) -> list[Told]:
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
    return [Told(row=dict(row), values=told.values, violations=told.violations) for row, told in rows]


def _by_label(space: Space) -> dict[str, Any]:
    return {each.pop("label"): each for each in space.as_json()}


def _shape(descent: object) -> dict[str, Any]:
    """A curve and a single point are not worth the same."""
    return {"trial.descent": "none" if descent == "none" else "nested"}

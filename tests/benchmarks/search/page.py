"""The comparison as a table, with what is to be known of it. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from tests.benchmarks.search.comparison import FULL_SEEDS, Standing, best_alternative, target_share
from tests.benchmarks.search.contenders import Contender
from tests.benchmarks.search.over_time import Spread

AXIS_WORDS = {
    "macs_removed": "share of MACs removed, as executed",
    "macs_ideal_removed": "share of MACs that an ideal sparse kernel would save (single weights leave the executed "
    "ones as they are)",
}


def headers(times_s: Sequence[float]) -> tuple[str, ...]:
    """Over `lines_of`."""
    told = [duration(time_s) for time_s in times_s]
    return ("contender", "runs", "points", *told[:-1], f"{told[-1]} (end)", "test", "ours has its end after",
            "of the budget", "p", "p, test")  # fmt: skip


def lines_of(found: Sequence[Standing], missing: Mapping[str, str]) -> list[tuple[str, ...]]:
    """A line a contender, of one at least; those that did not run say so."""
    lines = [
        (
            s.name, str(s.runs), f"{s.points:.0f}", *(spread_text(spread) for spread in s.at.values()),
            spread_text(s.test), *_against(s),
        )
        for s in found
    ]  # fmt: skip
    none = set(missing) - {s.name for s in found}
    return lines + [(name, "0", "not run", *[""] * (len(lines[0]) - 3)) for name in missing if name in none]


def _against(standing: Standing) -> tuple[str, str, str, str]:
    if standing.reached_s is None:
        return ("", "", "", "")
    share = "" if math.isinf(standing.reached_s) else f"{standing.share:.3f}"
    p_values = ("" if p is None else f"{p:.4f}" for p in (standing.p_value, standing.p_test))
    return (duration(standing.reached_s), share, *p_values)


def spread_text(spread: Spread) -> str:
    """Median and, where there are several runs, quartiles."""
    if spread.low == spread.high:
        return f"{spread.middle:.4f}"
    return f"{spread.middle:.4f} ({spread.low:.4f} to {spread.high:.4f})"


def duration(seconds: float) -> str:
    """As it is read easily.

    >>> [duration(s) for s in (9.84, 60, 90, 7200, float("inf"))]
    ['9.8 s', '60 s', '90 s', '120 min', 'never']
    """
    if math.isinf(seconds):
        return "never"
    if seconds >= 600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds >= 10 and seconds == round(seconds) else f"{seconds:.1f} s"


def verdicts(
    found: Sequence[Standing], contenders: Sequence[Contender], end_s: float, *, saturates: bool
) -> list[tuple[str, bool | None]]:  # fmt: skip
    """What is said of the comparison, and whether its target is met; None where there is none to meet.

    Args:
        saturates: whether the task leaves searches of the same trial nothing but how soon they have nearly everything.
    """
    alternatives = [c.name for c in contenders if c.is_alternative]
    said: list[tuple[str, bool | None]] = []
    best = best_alternative(found, alternatives)
    if best is not None and best.reached_s is not None and best.share is not None:
        target = target_share(end_s)
        text = f"{_soonness(best, 'the best alternative', end_s)}, target ≤ {target:.3f}"
        said.append((text, best.share <= target))
        late = [s for s in found if s.name in alternatives and s.behind_s]
        longest = ", ".join(f"{s.name} for {duration(s.behind_s or 0.0)}" for s in late) or "none"
        said.append(
            (f"alternatives that are ahead of sparsweep after its first point: {longest}, target none", not late)
        )
    ours, mine = {c.name for c in contenders if c.our_trial}, next((s for s in found if s.reached_s is None), None)
    for other in (s for s in found if s.name in ours and s.share and mine is not None):
        said.append((_soonness(other, "our trial under another search", end_s), None))
        said.append(_beyond_start(mine, other) if saturates else _ahead(mine, other))
    return said


def _beyond_start(mine: Standing, other: Standing) -> tuple[str, bool]:
    """How long each takes from its first point to what the other one has at its end."""
    theirs_s, reached_s = other.own_s - other.first_s, math.inf if other.reached_s is None else other.reached_s
    ours_s = reached_s - mine.first_s if math.isfinite(reached_s) else math.inf
    text = f"from its first point on sparsweep takes {duration(ours_s)} to there, {other.name} {duration(theirs_s)}"
    return f"{text}, target no longer", ours_s <= theirs_s


def _ahead(mine: Standing, other: Standing) -> tuple[str, bool]:
    return (
        f"at the end sparsweep has {mine.end.middle:.4f}, {other.name} {other.end.middle:.4f}, target more",
        mine.end.middle > other.end.middle,
    )


def _soonness(other: Standing, what: str, end_s: float) -> str:
    held = f"{what}, {other.name}, has after {duration(end_s)} (median {other.end.middle:.4f})"
    if other.reached_s is None or math.isinf(other.reached_s):
        return f"sparsweep never has what {held}"
    return f"sparsweep has after {duration(other.reached_s)} what {held}: {other.share:.3f} of the budget"


def _finite(seconds: float | None) -> float | None:
    return None if seconds is None or math.isinf(seconds) else seconds


def remarks(
    contenders: Sequence[Contender], missing: Mapping[str, str], axis: str, slots: int, paces_ms: Sequence[float]
) -> list[str]:  # fmt: skip
    """What is to be known; `paces_ms` are those of the machine before each run."""
    return [
        f"Hypervolume of validation accuracy x {AXIS_WORDS[axis]}; reference 0, 0. Median and quartiles over seeds.",
        f"Everybody has the preset's network, data, epochs, options and space, {slots} slots of one thread, the same "
        "known-good setting first, and is ended, with all of its processes, when the budget is spent. Time counts from "
        "the prompt, start-up included. A point counts from when it is measured and can be seen; of early-stopped "
        "trials every epoch's.",
        "test: hypervolume of test accuracy over the points of the front that validation accuracy claims; each network "
        "was opened from its files and tested after the run.",
        "ours has its end after: median over the seeds of when sparsweep had the contender's median at the end.",
        "p: one-sided Mann-Whitney of the values at the end, ours against the contender's; p, test: of those on the "
        f"test set. With {FULL_SEEDS} seeds each it is 0.0040 at best.",
        f"A fixed piece of work took {min(paces_ms):.0f} to {max(paces_ms):.0f} ms before the runs (median "
        f"{median(paces_ms):.0f}): machines of this processor's name differ, and so does one that is shared.",
        *(f"{c.name}: {c.about}." for c in contenders),
        *(f"{name} did not run, or not always: {' '.join(reason.split())}" for name, reason in missing.items()),
    ]


def as_json(found: Sequence[Standing], missing: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """All figures; null stands for never."""
    return {
        "settings": dict(settings),
        "contenders": [
            {
                **asdict(s), "share": None if s.share is None or math.isinf(s.share) else s.share,
                "at": {f"{time_s:g}": asdict(spread) for time_s, spread in s.at.items()},
                **{name: _finite(getattr(s, name)) for name in ("reached_s", "first_s", "own_s")},
            }
            for s in found
        ],
        "missing": dict(missing),
    }  # fmt: skip

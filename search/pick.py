"""A pick: of the registered versions that satisfy every wish the best one, with its reason and what was next best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from sparsweep.search.dominance import oriented
from sparsweep.search.figures import WORDINGS, Objectives, label, shown
from sparsweep.search.knee import bulges
from sparsweep.spaces.constraint import Constraint

Best = Literal["accuracy", "sparsity", "speedup", "size_bytes", "macs", "knee"]
KNEE_OBJECTIVES: Objectives = {"accuracy": "max", "sparsity": "max", "speedup": "max"}
NEAREST_MISSES = 3


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One registered version with its figures by name; a figure that was not measured is absent."""

    version: int | str
    figures: Mapping[str, float]
    frontier: bool = True
    """Whether it is on the frontier of its model now."""


@dataclass(frozen=True, kw_only=True)
class Pick:
    """The version chosen, and by how much the next best loses."""

    chosen: Candidate
    reason: str
    """One sentence: what was asked, the value, how many of how many satisfied the wishes."""
    runner_up: Candidate | None
    next_best: str
    """One sentence on the runner-up; says so where there is none."""


@dataclass(frozen=True, kw_only=True)
class Miss:
    """A version that does not satisfy the wishes, and by how much."""

    candidate: Candidate
    violation: float
    """Sum over the wishes of the distance to the bound as a share of the bound; infinite where one was unmeasured."""
    text: str


@dataclass(frozen=True, kw_only=True)
class NothingFits:
    """No version satisfies every wish; the nearest misses first."""

    misses: tuple[Miss, ...] = field(default=())
    reason: str


def pick(
    candidates: Sequence[Candidate],
    wishes: Sequence[Constraint],
    best: str = "knee",
    objectives: Objectives = KNEE_OBJECTIVES,
) -> Pick | NothingFits:
    """The candidate that satisfies every wish and is the best in one figure.

    Ties go to versions on the frontier, then to the higher accuracy, sparsity and speedup, then to the earlier one.

    Args:
        candidates: versions of one model.
        wishes: all must hold; none means any version will do.
        best: a figure, each taken in its own direction, or `knee`: the version where the frontier bends most
            (`search.knee`). The bend is measured over the whole frontier, so a wish filters and moves nothing.
        objectives: the axes of the frontier, for `knee`; an unmeasured speedup counts as 1 there.

    Raises:
        ValueError: `best` is none of these, or no version that satisfies the wishes has that figure.
    """
    if best not in get_args(Best):
        raise ValueError(f"best {best!r} is unknown: choose from {', '.join(get_args(Best))}")
    fitting = [candidate for candidate in candidates if all(wish.holds(candidate.figures) for wish in wishes)]
    if not fitting:
        return _nothing_fits(candidates, wishes)
    worth = _bulges(candidates, objectives) if best == "knee" else _figures(candidates, best)
    able = [candidate for candidate in fitting if candidate.version in worth]
    if not able:
        lacking = "is on the frontier" if best == "knee" else f"has a measured {label(best)}"
        raise ValueError(f"no version{_with(wishes)} {lacking}: ask for another best")
    sign = -1 if best != "knee" and WORDINGS[best].better == "min" else 1
    able.sort(key=lambda candidate: (-sign * worth[candidate.version], *_rank(candidate)))
    count = f"{len(fitting)} of {len(candidates)} versions satisfy {_all(wishes)}" if wishes else _any(candidates)
    return Pick(
        chosen=able[0],
        reason=f"version {able[0].version} {_praise(best, worth[able[0].version])}; {count}",
        runner_up=able[1] if len(able) > 1 else None,
        next_best=_next_best(best, [(candidate, worth[candidate.version]) for candidate in able[:2]]),
    )


def _figures(candidates: Sequence[Candidate], figure: str) -> dict[int | str, float]:
    return {c.version: c.figures[figure] for c in candidates if figure in c.figures}


def _bulges(candidates: Sequence[Candidate], objectives: Objectives) -> dict[int | str, float]:
    """How far each version on the frontier lies beyond the plane through the frontier's corners."""
    front = [candidate for candidate in candidates if candidate.frontier]
    slowest = max((c.figures.get("dense_latency_ms", 0.0) for c in front), default=0.0)
    absent = {"speedup": 1.0, "latency_ms": slowest}
    rows = oriented((candidate.figures for candidate in front), objectives, absent)
    return {candidate.version: bulge for candidate, bulge in zip(front, bulges(rows), strict=True)}


def _rank(candidate: Candidate) -> tuple[float | str, ...]:
    """Sorts the better of equals first; versions count up, whether they are numbers or texts."""
    figures = candidate.figures
    values = (-figures.get(name, 0.0) for name in ("accuracy", "sparsity", "speedup"))
    version = str(candidate.version)
    return (not candidate.frontier, *values, len(version), version)


def _praise(best: str, value: float) -> str:
    if best == "knee":
        return f"is where the frontier bends most ({value:.3f} beyond the plane through its corners)"
    return f"has the {_superlative(best)}, {shown(best, value)}"


def _superlative(best: str) -> str:
    return f"{'lowest' if WORDINGS[best].better == 'min' else 'highest'} {label(best)}"


def _next_best(best: str, ranked: Sequence[tuple[Candidate, float]]) -> str:
    if len(ranked) < 2:
        return "there is no other to choose from"
    (_, first), (runner_up, second) = ranked
    if first == second:
        return f"next best is version {runner_up.version}, equal in this"
    gap = f"{round(first, 3) - round(second, 3):.3f} less" if best == "knee" else _gap(best, second - first)
    value = f"{second:.3f}" if best == "knee" else shown(best, second)
    return f"next best is version {runner_up.version} with {value}, {gap}"


def _gap(figure: str, difference: float) -> str:
    """`0.52 points less` for a share, `1.20x less`, `3.4 kB more`."""
    more = "more" if difference > 0 else "less"
    if WORDINGS[figure].kind == "share":
        return f"{100 * abs(difference):.2f} points {more}"
    return f"{shown(figure, abs(difference))} {more}"


def _nothing_fits(candidates: Sequence[Candidate], wishes: Sequence[Constraint]) -> NothingFits:
    if not candidates:
        return NothingFits(reason="there is no version to choose from")
    misses = [_miss(candidate, wishes) for candidate in candidates]
    misses.sort(key=lambda miss: (miss.violation, *_rank(miss.candidate)))
    return NothingFits(
        misses=tuple(misses[:NEAREST_MISSES]),
        reason=f"none of {len(candidates)} version{'s' * (len(candidates) > 1)} satisfies {_all(wishes)}",
    )


def _miss(candidate: Candidate, wishes: Sequence[Constraint]) -> Miss:
    broken = [wish for wish in wishes if not wish.holds(candidate.figures)]
    texts = [_shortfall(wish, candidate.figures) for wish in broken]
    return Miss(
        candidate=candidate,
        violation=sum(wish.violation(candidate.figures) / (abs(wish.bound) or 1.0) for wish in broken),
        text=f"version {candidate.version} misses {' and '.join(texts)}",
    )


def _shortfall(wish: Constraint, figures: Mapping[str, float]) -> str:
    if wish.figure not in figures:
        return f"{wish}: {label(wish.figure)} was not measured"
    value = figures[wish.figure]
    if value == wish.bound:
        return f"{wish}: it is exactly that"
    gap = _gap(wish.figure, value - wish.bound) if wish.figure in WORDINGS else f"{value - wish.bound:+g}"
    return f"{wish}: it has {shown(wish.figure, value)}, {gap}"


def _all(wishes: Sequence[Constraint]) -> str:
    return " and ".join(str(wish) for wish in wishes)


def _with(wishes: Sequence[Constraint]) -> str:
    return f" with {_all(wishes)}" if wishes else ""


def _any(candidates: Sequence[Candidate]) -> str:
    return "it is the only version" if len(candidates) == 1 else f"all {len(candidates)} versions were considered"

"""What keeps a sweep from a frontier: constraints that no point meets, an axis that nothing moves along."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sparsweep.search.curve import AXES
from sparsweep.search.figures import UNKNOWN, label, shown
from sparsweep.search.frontier import Frontier
from sparsweep.spaces.constraint import Constraint
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import TrialRecord

ENOUGH_SHARE = 1 / 3
"""Of the budget, after which what has not been met once is told."""
MOVED_SHARE = 0.01
"""Of the dense network; less than that taken away anywhere is nothing."""


@dataclass
class Watch:
    """Takes the records of a running sweep and has one thing to say, once; keeps one point a constraint at most."""

    constraints: Sequence[Constraint]
    """Those that can be judged while the search runs."""
    axis: str
    """Along which the hypervolume that is shown live counts."""
    met: set[Constraint] = field(default_factory=set)
    nearest: Point | None = None
    all_met: bool = False
    moved: float = 0.0
    points: int = 0
    told: bool = False

    def take(self, record: TrialRecord) -> None:
        """Looks at a trial's points."""
        for point in record.points:
            self.points += 1
            self.moved = max(self.moved, AXES[self.axis](point))
            if self.all_met:
                continue
            self.met.update(rule for rule in self.constraints if rule.holds(point.figures()))
            self.all_met = not missed(point, self.constraints)
            if self.nearest is None or _distance(point, self.constraints) < _distance(self.nearest, self.constraints):
                self.nearest = point

    def line(self, used_share: float) -> str | None:
        """What to tell now, after this share of the budget; None where all is well, or it was told."""
        if self.told or used_share < ENOUGH_SHARE or not self.points:
            return None
        self.told = True
        if not self.all_met and self.nearest is not None:
            return unmet_line(self.nearest, self.constraints, [r for r in self.constraints if r not in self.met])
        if self.moved < MOVED_SHARE:
            return (
                f"no point so far has more than {max(self.moved, 0):.1%} {label(self.axis)}, by which the hypervolume "
                "counts: search granularity: filter or input, or leave out the objectives that need it"
            )
        return None


def missed(point: Point, constraints: Sequence[Constraint]) -> list[Constraint]:
    """The constraints that the point does not meet."""
    figures = point.figures()
    return [rule for rule in constraints if not rule.holds(figures)]


def unmet(points: Sequence[Point], constraints: Sequence[Constraint]) -> str | None:
    """Says of all points of a sweep what none of them meets, and which is nearest; None where one meets everything."""
    if not points or not constraints or any(not missed(point, constraints) for point in points):
        return None
    nearest = min(points, key=lambda point: _distance(point, constraints))
    never = [rule for rule in constraints if not any(rule.holds(point.figures()) for point in points)]
    return unmet_line(nearest, constraints, never)


def unmet_line(nearest: Point, constraints: Sequence[Constraint], never: Sequence[Constraint]) -> str:
    """`no point so far meets accuracy >= 0.99: the nearest, 00003/07, has accuracy 98.10 %`.

    Args:
        never: the constraints that no point meets by themselves; empty where they only fail together.
    """
    rules = " and ".join(map(str, never or constraints))
    figures = nearest.figures()
    has = [f"{label(rule.figure)} {_value(rule.figure, figures)}" for rule in missed(nearest, constraints)]
    together = "" if never or len(constraints) < 2 else " together"
    return f"no point so far meets {rules}{together}: the nearest, {nearest.id}, has {', '.join(dict.fromkeys(has))}"


def _value(figure: str, figures: dict[str, float]) -> str:
    text = shown(figure, figures.get(figure))
    return "not measured" if text == UNKNOWN else text


def _distance(point: Point, constraints: Sequence[Constraint]) -> tuple[float, float]:
    """How far a point is from meeting all, each in shares of its bound; of equals the more accurate is nearer."""
    figures = point.figures()
    far = sum(rule.violation(figures) / (abs(rule.bound) or 1.0) for rule in constraints)
    return far, -point.accuracy


def without_volume(frontier: Frontier) -> str | None:
    """Says which frontier points add nothing to its hypervolume, as they do not beat the reference: the dense network.

    None where all count, or there is no point.
    """
    behind: dict[str, int] = {}
    idle: set[str] = set()
    for point in frontier.points:
        figures = point.figures()
        for name, way in frontier.objectives.items():
            value, bound = figures.get(name), frontier.reference[name]
            if name != "accuracy" and (value is None or (value <= bound if way == "max" else value >= bound)):
                behind[name] = behind.get(name, 0) + 1
                idle.add(point.id)
    if not idle:
        return None
    worst = " and ".join(f"{label(name)} ({count})" for name, count in behind.items())
    return (
        f"{len(idle)} of {len(frontier.points)} frontier points do not beat the dense network in {worst}: "
        "they add nothing to the hypervolume over all objectives"
    )

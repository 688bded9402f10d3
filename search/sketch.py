"""A frontier as a small SVG for a notebook: accuracy against one figure, no library, no script, some kilobytes.

Lines and text take the colour of the text around them, so it can be read on light and on dark ground.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from sparsweep.search.caption import drawn_figures
from sparsweep.search.figures import WORDINGS, shown
from sparsweep.search.frontier import Frontier, dense_figures
from sparsweep.search.knee import knee
from sparsweep.search.panel import FRONT, KNEE, staircase
from sparsweep.trainables.point import Point

WIDTH, HEIGHT = 380, 250
"""In pixels."""
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 40
"""Room beside the panel."""
MOST_POINTS = 1000
"""So many of those that are not on the frontier are drawn."""
MOST_PANELS = 2
ROOM_SHARE = 0.07
"""Of a panel, left free on each side."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A range of values along pixels, with some room at both ends."""

    low: float
    high: float
    pixels: tuple[float, float]
    """Of `low` and `high`."""

    @classmethod
    def over(cls, values: Sequence[float], pixels: tuple[float, float]) -> "Scale":
        """From the smallest to the largest of the values; equal ones lie in the middle."""
        low, high = min(values), max(values)
        begin, end = pixels
        room = ROOM_SHARE * (end - begin)
        return cls(low=low, high=high, pixels=(begin + room, end - room))

    def at(self, value: float) -> float:
        """The pixel of a value."""
        begin, end = self.pixels
        return begin + (end - begin) * ((value - self.low) / (self.high - self.low) if self.high > self.low else 0.5)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def sketches(frontier: Frontier, all_points: Sequence[Point]) -> str:
    """A panel for each of the first two objectives that can be drawn against accuracy; empty without points."""
    figures = drawn_figures(frontier, all_points)[:MOST_PANELS]
    return "".join(sketch(figure, frontier, all_points) for figure in figures if all_points)


def sketch(figure: str, frontier: Frontier, all_points: Sequence[Point]) -> str:
    """One panel, well-formed as XML; empty where no point has the figure.

    The frontier's pruned points are framed; without a frontier all points are.

    Args:
        figure: what is drawn to the right; one of which less is better falls in that direction.
    """
    there = [point for point in all_points if figure in point.figures()]
    front = [point for point in frontier.points if figure in point.figures()]
    framed = [point for point in front if point.cut != "dense"] or front or there
    if not framed:
        return ""
    ends = (WIDTH - RIGHT, LEFT) if WORDINGS[figure].better == "min" else (LEFT, WIDTH - RIGHT)
    across = Scale.over([point.figures()[figure] for point in framed], ends)
    dense = dense_figures(all_points).get("accuracy")
    accuracies = [point.accuracy for point in framed] + ([] if dense is None else [dense])
    up = Scale.over(accuracies, (HEIGHT - BOTTOM, TOP))

    def place(point: Point) -> tuple[float, float]:
        return across.at(point.figures()[figure]), up.at(point.accuracy)

    def inside(points: Sequence[Point]) -> list[Point]:
        return [p for p in points if across.holds(p.figures()[figure]) and up.holds(p.accuracy)]

    on_front = {point.id for point in front}
    rest = inside([point for point in there if point.id not in on_front])
    bend = knee(frontier.points, frontier.objectives)
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="11" role="img">',
            f"<title>{escape(f'accuracy against {WORDINGS[figure].label}')}</title>",
            _axes(figure, across, up),
            "" if dense is None else _dense_line(dense, up),
            _dots(rest[:: -(-len(rest) // MOST_POINTS) or 1], place, "currentColor", 4, 0.3),
            _steps(staircase(inside(front), figure), place),
            _dots(inside(front), place, FRONT, 8, 1),
            _dots(inside([bend]) if bend is not None and bend in front else [], place, KNEE, 12, 1),
            "</svg>",
        ]
    )


def _dots(
    points: Sequence[Point], place: Callable[[Point], tuple[float, float]], colour: str, pixels: int, opacity: float
) -> str:
    """Points as lines of no length with round ends: a few bytes each."""
    if not points:
        return ""
    path = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in map(place, points))
    look = f'stroke="{colour}" stroke-width="{pixels}" stroke-linecap="round" opacity="{opacity}" fill="none"'
    return f'<path d="{path}" {look}/>'


def _steps(points: Sequence[Point], place: Callable[[Point], tuple[float, float]]) -> str:
    if not points:
        return ""
    (x, y), *others = map(place, points)
    path = f"M{x:.0f} {y:.0f}" + "".join(f"H{right:.0f}V{high:.0f}" for right, high in others)
    return f'<path d="{path}" stroke="{FRONT}" stroke-width="1.5" opacity="0.7" fill="none"/>'


def _axes(figure: str, across: Scale, up: Scale) -> str:
    """Two lines with the least and the largest value where they lie, and the figures' names."""
    ground, edge = HEIGHT - BOTTOM, WIDTH - RIGHT
    frame = f'<path d="M{LEFT} {TOP}V{ground}H{edge}" stroke="currentColor" opacity="0.5" fill="none"/>'
    axis = WORDINGS[figure].axis + (", less to the right" if WORDINGS[figure].better == "min" else "")
    texts = [_text((LEFT + edge) / 2, ground + 31, axis, "middle"), _text(4, 10, WORDINGS["accuracy"].label, "start")]
    texts += [_text(across.at(v), ground + 14, shown(figure, v), "middle") for v in dict.fromkeys(_ends(across))]
    texts += [_text(LEFT - 6, up.at(v) + 4, shown("accuracy", v)) for v in dict.fromkeys(_ends(up))]
    return frame + "".join(texts)


def _ends(scale: Scale) -> tuple[float, float]:
    return scale.low, scale.high


def _dense_line(dense: float, up: Scale) -> str:
    """Where the uncut network's accuracy lies."""
    y = f"{up.at(dense):.0f}"
    line = f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="currentColor" stroke-dasharray="5 4" opacity="0.5"/>'
    return line + _text(LEFT + 4, up.at(dense) - 3, f"dense {shown('accuracy', dense)}", "start")


def _text(x: float, y: float, text: str, anchor: str = "end") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'

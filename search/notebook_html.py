"""A sweep and a pick as pieces of HTML for a notebook: they load nothing, and no text of a user is markup."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from sparsweep.search.budget import spent_words
from sparsweep.search.figures import label, shown
from sparsweep.search.frontier import Frontier
from sparsweep.search.hindrances import unmet
from sparsweep.search.page import table_html
from sparsweep.search.sketch import sketches
from sparsweep.spaces.constraint import Constraint
from sparsweep.trainables.point import Point

MOST_ROWS = 12
"""Of the frontier's table."""
MOST_REASONS = 5
"""Why trials failed."""
OF_A_PICK = ("accuracy", "test_accuracy", "sparsity", "macs", "macs_removed", "speedup", "latency_ms", "size_bytes")


def sweep_html(
    state: Mapping[str, Any], frontier: Frontier, points: Sequence[Point], constraints: Sequence[Constraint]
) -> str:
    """What there is of a sweep, at any time of its life.

    Args:
        state: what `sparsweep status NAME --json` says.
        points: all points of the sweep.
    """
    return "\n".join([*_state_html(state), *_front_html(frontier, points, constraints)])


def unreadable_html(name: str, fault: str) -> str:
    """A sweep that cannot be read, with the reason."""
    return f"<p><b>{escape(name)}</b> cannot be read: {escape(fault)}</p>"


def picked_html(uri: str, figures: Mapping[str, float], reason: str, next_best: str) -> str:
    """A picked version: its figures, why it was picked, what was next best."""
    there = [name for name in OF_A_PICK if name in figures]
    heads = "".join(f"<th>{escape(label(name))}</th>" for name in there)
    cells = "".join(f"<td>{escape(shown(name, figures[name]))}</td>" for name in there)
    return (
        f"<p><b>{escape(uri)}</b>: {escape(reason)}</p>\n<table><thead><tr>{heads}</tr></thead>"
        f"<tbody><tr>{cells}</tr></tbody></table>\n<p>{escape(next_best)}</p>"
    )


def _state_html(state: Mapping[str, Any]) -> Iterator[str]:
    ended = state["done"] + state["failed"] + state["stopped_early"]
    counts = [f"{ended} of {state['trials']} trials have ended"]
    counts += [f"{state['stopped_early']} of them early"] if state["stopped_early"] else []
    counts += [f"{state['failed']} failed"] if state["failed"] else []
    counts += [f"spent {told}"] if (told := spent_words(state["spent"])) else []
    yield f"<p><b>{escape(state['sweep'])}</b>: {escape(state['state'])}; {escape(', '.join(counts))}"
    yield f'<progress value="{ended}" max="{max(state["trials"], 1)}"></progress></p>'
    if state["ended"]:
        yield f"<p>the search has ended: {escape(state['ended'])}</p>"
    reasons = list(state["reasons"].items())
    lines = [f"<li>failed {count}x: {escape(reason)}</li>" for reason, count in reasons[:MOST_REASONS]]
    lines += [f"<li>and {len(reasons) - MOST_REASONS} other reasons</li>"] if len(reasons) > MOST_REASONS else []
    if lines:
        yield f"<ul>{''.join(lines)}</ul>"


def _front_html(frontier: Frontier, points: Sequence[Point], constraints: Sequence[Constraint]) -> Iterator[str]:
    if not points:
        yield "<p>no point yet</p>"
        return
    if not frontier.points:
        why = unmet(points, constraints) or f"none of {len(points)} points is on the frontier yet"
        yield f"<p>{escape(why)}</p>"
    else:
        yield (
            f"<p>{len(frontier.points)} of {len(points)} points on the frontier; "
            f"hypervolume {frontier.macs_hypervolume:.4f} (accuracy x MACs removed); "
            "the largest dot is the knee</p>"
        )
    yield sketches(frontier, points)
    if frontier.points:
        yield table_html(frontier, MOST_ROWS)

"""What heads a picture or a page of a frontier, and which of its figures are drawn."""

from collections.abc import Sequence

from sparsweep.search.figures import label
from sparsweep.search.frontier import Frontier
from sparsweep.trainables.point import Latency, Point

MOST_DRAWN = 4


def drawn_figures(frontier: Frontier, all_points: Sequence[Point]) -> list[str]:
    """The objectives that can be drawn against accuracy, at most four; MACs stand in for what was not timed."""
    timed = any(point.timing is not None for point in all_points)
    wanted = [name for name in frontier.objectives if name != "accuracy"] or ["sparsity"]
    drawn = ["macs_removed" if name in ("speedup", "latency_ms") and not timed else name for name in wanted]
    return list(dict.fromkeys(drawn))[:MOST_DRAWN]


def headline_of(frontier: Frontier, all_points: Sequence[Point]) -> str:
    """One line on the whole: how many points, and the hypervolume that was shown live."""
    return (
        f"{len(frontier.points)} of {len(all_points)} points on the frontier; "
        f"hypervolume {frontier.macs_hypervolume:.4f} (accuracy x MACs removed)"
    )


def conditions_of(frontier: Frontier) -> str:
    """The frontier's own hypervolume with its axes, the constraints, and how speedups were measured."""
    axes = " x ".join(label(name) for name in frontier.objectives)
    parts = [f"hypervolume {frontier.hypervolume:.4g} over {axes}"]
    if frontier.constraints:
        parts.append(f"with {' and '.join(frontier.constraints)}")
    return "; ".join([*parts, *timing_of(frontier.points)])


def timing_of(points: Sequence[Point]) -> list[str]:
    """How the speedups were measured, one text for each way; empty where nothing was timed."""
    largest = [point.timing for point in points if point.timing]
    ways = {f"batch {r.batch}, {r.threads} thread{'s' * (r.threads > 1)}, {ran(r)}, {r.device}" for r in largest}
    return [f"speedup measured at {way}" for way in sorted(ways)]


def speedups_measured(points: Sequence[Point]) -> list[str]:
    """A line for every way in which speedups were measured, with how many rounds at least."""
    pairs: dict[str, int] = {}
    for record in (point.timing for point in points if point.timing):
        threads = f"{record.threads} thread{'s' * (record.threads > 1)}"
        way = f"speedup on {record.device}, batch {record.batch}, {threads}, {ran(record)}"
        pairs[way] = min(record.pairs, pairs.get(way, record.pairs))
    return [
        f"{way}: medians of {least} or more interleaved rounds, spread (IQR / median) at most 0.1"
        for way, least in sorted(pairs.items())
    ]


def ran(record: Latency) -> str:
    """What ran the networks: `eager`, or `compact onnx, dense channels_last`."""
    same = record.runtime == record.dense_runtime
    return record.runtime if same else f"compact {record.runtime}, dense {record.dense_runtime}"

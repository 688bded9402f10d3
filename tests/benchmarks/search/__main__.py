"""How good a search is against time: `sparsweep run` beside what else a user would do, on equal terms.

    python -m tests.benchmarks.search --task digits|lenet300-mnist --minutes M --seeds S [--data-root DIR]
                                      [--keep DIR] [--only NAME,…] [--ablations]

Runs one after the other, interleaved seed by seed; each is kept in the folder of `--keep`, so that the same command
goes on where it was. `--ablations` holds sweeps of ours with one thing otherwise against ours, in place of what else a
user would do. Of a full run (5 seeds or more, of all contenders, or of ours and some ablations) page, figures and
picture are kept. The exit code is 1 if a target is missed: ours is to have what the best alternative has at its end
after a tenth of the budget (a thirtieth of 20 minutes or more), never to be behind once it has begun, and not to be
slower than another search of our own trial on a task that both saturate, or to end ahead of it on one that they do not.
"""

import argparse
import json
import math
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sparsweep.spaces.faults import SweepFileError
from tests.benchmarks.search.benchmark import Benchmark
from tests.benchmarks.search.comparison import FULL_SEEDS, standings
from tests.benchmarks.search.contenders import ABLATIONS, CONTENDERS, OURS, differs
from tests.benchmarks.search.contest import AXES, SATURATES
from tests.benchmarks.search.over_time import Curve, told_at
from tests.benchmarks.search.page import as_json, headers, lines_of, remarks, verdicts
from tests.benchmarks.search.picture import save_picture
from tests.benchmarks.search.running import Outcome, run_all
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS = Path(__file__).parents[1] / "results"
LONGEST_MINUTES = 7 * 24 * 60


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is missing, prints, keeps; 1 if a full run misses the target, 2 for bad input, 130 if stopped."""
    options = _options(arguments)
    try:
        benchmark = benchmark_of(options)
        benchmark.task.load()
        outcome = run_all(benchmark)
    except (ValueError, SweepFileError) as fault:
        print(f"search benchmark: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; runs that are done are kept, and the same command with --keep goes on", file=sys.stderr)
        return 130
    return tell(benchmark, outcome, command=_command(options))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.search", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--task", required=True, choices=tuple(AXES), help="preset that is searched")
    parser.add_argument("--minutes", required=True, type=float, help="budget of each run, start-up included")
    parser.add_argument("--seeds", required=True, type=int, help="runs of each contender, of seeds 0, 1, ...")
    parser.add_argument("--data-root", metavar="DIR", help="folder that holds the task's data")
    parser.add_argument("--keep", metavar="DIR", help="folder for runs that are done; default: a new temporary one")
    names = ", ".join(c.name for c in (*CONTENDERS, *ABLATIONS))
    parser.add_argument("--only", metavar="NAME,…", help=f"some of {names}")
    parser.add_argument("--ablations", action="store_true", help="sweeps of ours with one thing otherwise instead")
    return parser.parse_args(arguments)


def field(preset: str, *, ablations: bool) -> list[str]:
    """Names of those that a full run holds against each other; what changes nothing of the preset is no ablation."""
    if ablations:
        return [OURS.name, *(each.name for each in ABLATIONS if differs(each, preset))]
    return [each.name for each in CONTENDERS]


def benchmark_of(options: argparse.Namespace) -> Benchmark:
    """What is asked for. Raises ValueError with all that is wrong."""
    every = {c.name: c for c in (*CONTENDERS, *ABLATIONS)}
    names = options.only.split(",") if options.only else field(options.task, ablations=options.ablations)
    faults = []
    if not (math.isfinite(options.minutes) and 0.1 <= options.minutes <= LONGEST_MINUTES):
        faults.append(f"--minutes {options.minutes:g} is no budget: give 0.1 to {LONGEST_MINUTES}")
    if not 1 <= options.seeds <= 1000:
        faults.append(f"--seeds {options.seeds} cannot be run: give 1 to 1000")
    if unknown := [name for name in names if name not in every]:
        faults.append(f"--only {','.join(unknown)} is not known: give some of {', '.join(every)}")
    data_root = str(Path(options.data_root).expanduser().absolute()) if options.data_root else None
    if data_root is not None and not os.access(data_root, os.R_OK | os.X_OK):
        faults.append(f"--data-root {data_root} is not a folder that can be read: name the folder of the data")
    keep = Path(options.keep).expanduser().absolute() if options.keep else None
    if keep is not None and keep.exists() and not keep.is_dir():
        faults.append(f"--keep {keep} is not a folder: name one, or one that can be made")
    if faults:
        raise ValueError("; ".join(faults))
    return Benchmark(
        preset=options.task, minutes=options.minutes, seeds=options.seeds, data_root=data_root,
        keep=keep or Path(tempfile.mkdtemp(prefix="search-runs-")),
        contenders=tuple(every[name] for name in dict.fromkeys(names)),
    )  # fmt: skip


def tell(benchmark: Benchmark, outcome: Outcome, *, command: str) -> int:
    """Prints the comparison; keeps page, figures and picture of a full run."""
    found = standings(outcome.runs, OURS.name, benchmark.end_s)
    if not found:
        print("\n".join(f"{name}: {reason}" for name, reason in outcome.missing.items()), file=sys.stderr)
        return 1
    head, lines = headers(told_at(benchmark.end_s)), lines_of(found, outcome.missing)
    judged = verdicts(found, benchmark.contenders, benchmark.end_s, saturates=SATURATES[benchmark.preset])
    said = [text if met is None else f"{text}: {'met' if met else 'MISSED'}" for text, met in judged]
    paces = [run.pace_ms for runs in outcome.runs.values() for run in runs]
    notes = remarks(benchmark.contenders, outcome.missing, benchmark.axis, benchmark.slots, paces)
    print("\n".join([lines_as_text(head, lines, left=1), "", *said, *([""] if said else []), *notes]))
    here = {contender.name for contender in benchmark.contenders}
    ablations = {OURS.name} < here <= {OURS.name, *(each.name for each in ABLATIONS)}
    if benchmark.seeds < FULL_SEEDS or not (ablations or here >= set(field(benchmark.preset, ablations=False))):
        return 0
    title = f"Search against time: {benchmark.preset}" + (", ours with one thing otherwise" if ablations else "")
    page = RESULTS / f"search-{benchmark.preset}{'-ablations' if ablations else ''}.md"
    page.write_text(as_markdown(title, command, benchmark.found_on, head, lines, [*said, *notes]))
    settings = {name: getattr(benchmark, name) for name in ("preset", "axis", "minutes", "seeds", "slots")}
    figures = as_json(found, outcome.missing, {**settings, "machine": dict(benchmark.found_on), "paces_ms": paces})
    page.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    curves = {s.name: [Curve.of(run.points, benchmark.end_s) for run in outcome.runs[s.name]] for s in found}
    save_picture(curves, benchmark.end_s, title, page.with_suffix(".png"))
    return int(any(met is False for _, met in judged))


def _command(options: argparse.Namespace) -> str:
    """As it can be typed again, without this machine's paths."""
    words = f"--task {options.task} --minutes {options.minutes:g} --seeds {options.seeds}"
    more = (" --data-root DIR" if options.data_root else "") + (" --ablations" if options.ablations else "")
    more += f" --only {options.only}" if options.only else ""
    return f"python -m tests.benchmarks.search {words}{more}"


if __name__ == "__main__":
    for told in (signal.SIGINT, signal.SIGTERM):  # so that what is at work is ended too
        signal.signal(told, signal.default_int_handler)
    sys.exit(main())

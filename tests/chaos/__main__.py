"""Every fault, one after the other, and one table: `python -m tests.chaos [--only NAME,…]`."""

import argparse
import json
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.machine import machine
from tests.benchmarks.verdict import as_markdown
from tests.chaos.outcome import HEADERS, Outcome
from tests.chaos.scenarios import SCENARIOS

RESULTS = Path(__file__).parent / "results"
REMARKS = (
    "lost, doubled: trials that study, MLflow, records or frontier miss, or have more than once, after the last resume",
    "work repeated: the most that one trial had to do again; back after: from the fault's end until work went on",
)


def run(name: str) -> Outcome:
    """One fault in a folder of its own; a scenario that breaks does not hold."""
    with tempfile.TemporaryDirectory(prefix=f"chaos-{name}-") as folder:
        try:
            return SCENARIOS[name](Path(folder))
        except Exception as fault:
            traceback.print_exc()
            said = f"the scenario broke: {type(fault).__name__}: {' '.join(str(fault).split())[:400]}"
            return Outcome(
                fault=name, expected="", happened=said, trials_lost=0, trials_doubled=0, work_repeated_s=None,
                recover_s=None, held=False,
            )  # fmt: skip


def page() -> str:
    """The table of all outcomes that are known, in the order of the scenarios."""
    known = [json.loads(path.read_text()) for name in SCENARIOS if (path := RESULTS / f"{name}.json").exists()]
    lines = [Outcome(**outcome).cells() for outcome in known]
    return as_markdown("Faults and what they did", "python -m tests.chaos", machine(), HEADERS, lines, REMARKS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", metavar="NAME,…", help=f"some of {', '.join(SCENARIOS)}")
    chosen = parser.parse_args().only
    names = chosen.split(",") if chosen else list(SCENARIOS)
    if unknown := [name for name in names if name not in SCENARIOS]:
        parser.error(f"no scenario {', '.join(unknown)}; there is {', '.join(SCENARIOS)}")
    RESULTS.mkdir(exist_ok=True)
    held = True
    for at, name in enumerate(names, 1):
        print(f"[{at}/{len(names)}] {name} …", file=sys.stderr, flush=True)
        began = time.monotonic()
        outcome = run(name)
        held &= outcome.held
        verdict = "holds" if outcome.held else "DOES NOT HOLD"
        print(f"    {verdict} ({time.monotonic() - began:.0f} s): {outcome.happened}", file=sys.stderr, flush=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(asdict(outcome), indent=1) + "\n")
        (RESULTS / "chaos.md").write_text(page())
    print(page())
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())

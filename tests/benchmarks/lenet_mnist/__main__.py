"""The literature's LeNet table on MNIST: our frontier beside every published row, and the question of attention.

    python -m tests.benchmarks.lenet_mnist --data-root DIR [--budget MINUTES] [--into DIR]
                                           [--only lenet-300-100,lenet-5,attention,twins]

Runs sweeps of this folder in turns on all cores, then the trials of the question and the twins, until the minutes are
spent; the same command with the same --into goes on where it was. What was run by then is told and kept as a page, as
JSON and as a picture; of a network that more was run of elsewhere, with the same settings, the committed figures stay
(parts.py). Exit code 1 while fewer rows are dominated than aimed at.
"""

import argparse
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sparsweep.trainables.record import StorageFullError
from tests.benchmarks.lenet_mnist.attention import Question, first_trials
from tests.benchmarks.lenet_mnist.claims import Claim, Setting, claim, control
from tests.benchmarks.lenet_mnist.page import ANSWERS, HEADERS, Line, answer_lines, cells, save_picture, score
from tests.benchmarks.lenet_mnist.parts import Part, better, kept, left_behind, put
from tests.benchmarks.lenet_mnist.published import NETWORKS, Published, published
from tests.benchmarks.lenet_mnist.sweeps import FailedSweepError, campaigns, settings, work
from tests.benchmarks.lenet_mnist.tested import Tests
from tests.benchmarks.lenet_mnist.twins import HOW, Twins, help_of
from tests.benchmarks.machine import machine
from tests.benchmarks.verdict import as_markdown, lines_as_text

RESULTS = Path(__file__).parents[1] / "results" / "lenet-mnist.md"
PARTS = (*NETWORKS, "attention", "twins")
SEEDS = 3
AIMS = {"lenet-300-100": 6, "lenet-5": 14}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked for."""

    data_root: Path
    into: Path
    minutes: float
    parts: tuple[str, ...]

    @property
    def networks(self) -> tuple[str, ...]:
        return tuple(name for name in NETWORKS if name in self.parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, tells, keeps; 1 if the aims are missed, 2 for bad input, 130 if stopped."""
    try:
        order = order_of(arguments)
        began = time.monotonic()
        work(campaigns(order.networks), order.into / "home", str(order.data_root), order.minutes)
        end = began + 60 * order.minutes
        ask(order, end)
        train_twins(order, end)
        return tell(order)
    except (ValueError, FailedSweepError) as fault:
        print(f"lenet_mnist: {fault}", file=sys.stderr)
        return 2
    except (OSError, StorageFullError) as fault:  # a full disk, most likely
        print(f"lenet_mnist: {fault}; what ended is kept: make room, and the same command with --into goes on",
              file=sys.stderr)  # fmt: skip
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command with --into goes on", file=sys.stderr)
        return 130


def order_of(arguments: Sequence[str] | None) -> Order:
    """What is asked for. Raises ValueError with all that is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.lenet_mnist", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data-root", required=True, metavar="DIR", help="folder of MNIST")
    parser.add_argument("--budget", type=float, default=60.0, metavar="MINUTES", help="default: 60; 0 only tells")
    parser.add_argument("--into", metavar="DIR", help="folder of what was run; default: a new temporary one")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    given = parser.parse_args(arguments)
    data, into = Path(given.data_root).expanduser().absolute(), given.into or tempfile.mkdtemp(prefix="lenet-mnist-")
    faults = []
    if not os.access(data, os.R_OK | os.X_OK):
        faults.append(f"--data-root {data} is not a folder that can be read: name the folder of MNIST")
    if not (math.isfinite(given.budget) and 0 <= given.budget <= 100_000):
        faults.append(f"--budget {given.budget:g} is no number of minutes: give 0 to 100000")
    parts = tuple(dict.fromkeys(given.only.split(",")))
    if unknown := [part for part in parts if part not in PARTS]:
        faults.append(f"--only {','.join(unknown)} is not known: give some of {', '.join(PARTS)}")
    if faults:
        raise ValueError("; ".join(faults))
    return Order(data_root=data, into=Path(into).expanduser().absolute(), minutes=given.budget, parts=parts)


def question_of(order: Order) -> Question:
    return Question(folder=order.into / "attention", data_root=order.data_root, processes=os.cpu_count() or 1)


def twins_of_order(order: Order) -> Twins:
    return Twins(folder=order.into / "twins", data_root=order.data_root)


def ask(order: Order, end: float) -> None:
    """Runs trials of the question while there is time."""
    if "attention" not in order.parts:
        return
    question = question_of(order)
    for find in (lambda: first_trials(NETWORKS), lambda: question.second_trials(NETWORKS)):
        todo = question.missing(list(find()))
        follow("attention", len(todo), question.run(todo), end)


def train_twins(order: Order, end: float) -> None:
    """Trains twins of what dominates a row by now while there is time."""
    if "twins" not in order.parts or time.monotonic() >= end:
        return
    claims = [line.told for network in order.networks for line in part_of(network, order).lines if line.told]
    claims.sort(key=lambda claim: claim.setting.granularity == "weight")  # a twin is first of all one of widths
    twins = twins_of_order(order)
    todo = twins.missing(claims)
    follow("twins", len(todo), twins.train(todo, os.cpu_count() or 1), end)


def follow(what: str, count: int, jobs: Generator[object, None, None], end: float) -> None:
    """Does jobs, says what is done, and begins nothing after the end."""
    if time.monotonic() < end:
        for done, job in enumerate(jobs, 1):
            print(f"… {what}: {done} of {count}: {job}", file=sys.stderr, flush=True)
            if time.monotonic() >= end:
                break
    jobs.close()


def tell(order: Order) -> int:
    """Holds what was run by now, here and for the committed page, against the table."""
    figures = RESULTS.with_suffix(".json")
    before = kept(figures)
    for network in sorted(left_behind(figures)):
        print(f"{network}: the page's figures are of other settings and are not told again", file=sys.stderr)
    parts = [better(part_of(network, order), before.get(network)) for network in NETWORKS]
    lines = [line for part in parts for line in part.lines]
    answers = [answer for part in parts for answer in part.answers]
    told = [cell for part in parts for line in part.lines for cell in cells(line, ran=part.settings > 0)]
    said = [text for part in parts for text in words(part)] + remarks()
    print(lines_as_text(HEADERS, told, left=1), "", *said, sep="\n")
    if answers:
        print("", lines_as_text(ANSWERS, answer_lines(answers), left=3), sep="\n")
    command = "python -m tests.benchmarks.lenet_mnist --data-root DIR --budget MINUTES --into DIR"
    page = as_markdown("LeNet on MNIST: the published table", command, machine(), HEADERS, told, said)
    if answers:
        asked = [f"| {' | '.join(line)} |" for line in (ANSWERS, ["---"] * len(ANSWERS), *answer_lines(answers))]
        page += "\n".join(["\n## Does the attention term help over group lasso?\n", *asked, ""])
    RESULTS.write_text(page)
    put(figures, parts)
    save_picture(lines, RESULTS.with_suffix(".png"))
    return int(any(score(part.lines, part.network)[0] < AIMS[part.network] for part in parts))


def part_of(network: str, order: Order) -> Part:
    """What was run of a network in this folder."""
    tests, trained = Tests.open(order.into / "tested.json", order.data_root), twins_of_order(order)
    known = [s for c in campaigns((network,)) for s in settings(c, order.into / "home", SEEDS)]
    dense = dense_error_pct(network, known, tests)
    lines = tuple(line_of(row, known, dense, tests, trained) for row in published() if row.network == network)
    return Part(
        network=network, lines=lines, answers=tuple(question_of(order).answers((network,))), dense_pct=dense,
        settings=len(known), hours=sum(s.hours for s in known), found_on=machine(),
    )  # fmt: skip


def words(part: Part) -> list[str]:
    """What is said of a part under the table."""
    dominated, alone, of = score(part.lines, part.network)
    own = "not trained yet" if part.dense_pct is None else f"{part.dense_pct:.2f} %"
    where = f" on {part.found_on['processor']} ({part.found_on['date']})" if part.settings else ""
    return [
        f"{part.network}: {dominated} of {of} rows dominated (aim {AIMS[part.network]}), {alone} of them without help; "
        f"our own dense network {own}; {part.settings} settings of {SEEDS} seeds, {part.hours:.1f} core hours{where}",
    ]


def dense_error_pct(network: str, known: Sequence[Setting], tests: Tests) -> float | None:
    """Mean test error of our own dense network, trained without help; None where it has not been."""
    dense = [s for s in known if s.method == "dense" and s.help == "none"]
    errors = [tests.error_pct(network, cut.network) for s in dense for training in s.trainings for cut in training]
    return sum(errors) / len(errors) if errors else None


def line_of(row: Published, known: Sequence[Setting], dense_pct: float | None, tests: Tests, trained: Twins) -> Line:
    """The best claim of each help against a row, and its controls."""
    if row.error_pct is None and dense_pct is None:
        return Line(row=row, claims=(), most_pct=math.nan)
    most = row.most_error_pct(dense_pct or 0.0)
    helps = sorted({s.help for s in known}, key=lambda text: (text != "none", text))

    def best(settings: Sequence[Setting]) -> Claim | None:
        return claim(row, settings, dense_pct or 0.0, lambda setting, cut: tests.error_pct(row.network, cut.network))

    pruned = [s for s in known if s.method not in ("dense", "random")]
    claims = [best([s for s in pruned if s.help == help_]) for help_ in helps]
    line = Line(row=row, claims=tuple(c for c in claims if c is not None), most_pct=most)
    controls = []
    if at_random := best([s for s in known if s.method == "random"]):
        controls.append(
            control(
                f"random mask, {at_random.setting.granularity}",
                at_random,
                at_random.errors_pct,
                helped_by=at_random.setting.help,
            )
        )
    if line.told and (errors := trained.errors_of(line.told)):
        controls.append(control("twin from fresh weights", line.told, errors, helped_by=help_of(line.told)))
    return replace(line, controls=tuple(controls))


def remarks() -> list[str]:
    return [
        "A row is dominated where our mean test error over 3 seeds is no higher and no network has more weights or "
        "MACs, of those that the row gives; executed MACs count against structured rows, MACs that meet a non-zero "
        "weight against the others.",
        "Settings and cuts are chosen by validation accuracy (5,000 of the 60,000 training images); test images are "
        "seen once, by the chosen networks, after the last epoch.",
        "Rows that give only a difference are held against our own dense network, trained without help, plus that.",
        "shifts: training images moved by up to one pixel; distilled: fine-tuning learns from the trial's own uncut "
        "network.",
        "Controls: what λ_a = 0 marks is group lasso, GASL without its attention term, which is compared below; random "
        "mask: what goes is drawn at random, then fine-tuned; twin: widths and zeros of the networks that dominate the "
        f"row with the least help, trained from fresh weights for {HOW['epochs']} epochs, with shifts where these had "
        "them and never with a teacher. Their last column is the difference to the published error.",
    ]


if __name__ == "__main__":
    for told in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told, signal.default_int_handler)
    sys.exit(main())

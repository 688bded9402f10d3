"""Sweep files and `--where` expressions that nobody would write: each ends in a sweep or in one clean message.

    python -m tests.security.fuzz --cases 300000 --seed 1

Sweep files are made from the presets by random edits of their text and of their parsed tree, expressions by a grammar
and random edits. A case fails if it raises anything but the documented error, if its message is not one line a fault
or holds control characters, if it takes more than a second of processor time, or if a sweep that was accepted cannot be
written and read again.
"""

import argparse
import json
import random
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

import yaml

from sparsweep.search.catalogue import catalogue
from sparsweep.spaces.catalogue import Catalogue
from sparsweep.spaces.constraint import FIGURES, Constraint
from sparsweep.spaces.faults import MOST_SHOWN, SweepFileError
from sparsweep.spaces.load import NO_OVERRIDES, Overrides, presets, read_sweep

SLOWEST_S: Final = 1.0
LONGEST_LINE: Final = 2000
EXPRESSIONS_SHARE: Final = 0.5
CHARACTERS: Final = "\0\x07\x1b\x7f\x85\u200b\u202e\u2028\ufeff\ufffe\t\r\n :,-?[]{}#&*!|>'\"%@`~0a.é漢\U0001f600"
NUMBERS: Final = (
    "0", "-0", "-1", "1e999", "-1e999", ".inf", "-.inf", ".nan", "9" * 39, "9" * 41, "1" + "0" * 400, "1e-400", "0x1F",
    "0o17", "1_000", "4.9e-324", "1.7976931348623157e308", "9007199254740993", "+.5", "5.", "1e", "--1", "1.2.3",
)  # fmt: skip
WORDS: Final = (
    "&a", "*a", "&a *a", "<<: *a", "<<", "!!python/object/apply:os.system [id]", "!!binary aGk=", "!!set {a, b}",
    "!", "!x y", "? ", "? [a]", "|", ">", "|-\n  x", "---", "...", "%YAML 1.1", "%TAG ! x:", "# x", "''", '""',
    '"\\x1b[31m"', '"\\0"', '"\\n"', '"a\\u2028b"', '"\\ud800"', "~", "null", "yes", "true", "2026-01-01", "1:30",
    "__import__('os').system('id')", "os:system", "subprocess:Popen", "../../etc/passwd", "${HOME}", "{{7*7}}", "$(id)",
    "[" * 30, "{a: " * 30, "[[[[", "- - - -", "a: b: c", "'", '"', "\t", *NUMBERS,
)  # fmt: skip
KEYS: Final = (
    "name", "task", "network", "data", "methods", "space", "low", "high", "log", "or_zero", "choices", "objectives",
    "accuracy", "sparsity", "constraints", "budget", "trials", "epochs", "time_limit", "trial", "cuts", "descent",
    "resources", "cpu", "gpu", "slots", "sampler", "seed", "registry", "model", "keep", "granularity", "threshold",
    "learning_rate", "sparsity_strength", "method", "__class__", "", "a" * 300, "\x1b[2J", "a\nb", "<<",
)  # fmt: skip


@dataclass
class Report:
    """What came of the cases."""

    cases: int = 0
    accepted: int = 0
    slowest_s: float = 0.0
    messages: Counter[str] = field(default_factory=Counter)
    """By the message's form, without its numbers and what was quoted of the case."""
    failures: list[str] = field(default_factory=list)


def sweep_text(rng: random.Random, texts: Sequence[str]) -> str:
    """A preset after random edits."""
    text = rng.choice(texts)
    if rng.random() < 0.5:
        return _tree_edited(rng, text)
    for _ in range(rng.randint(1, 4)):
        text = rng.choice(_EDITS)(rng, text)
    return text


def _cut(rng: random.Random, text: str) -> str:
    at, length = rng.randrange(len(text) + 1), rng.choice((1, 1, 3, 20))
    return text[:at] + text[at + length :]


def _put(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(CHARACTERS) * rng.choice((1, 1, 1, 50)) + text[at:]


def _put_word(rng: random.Random, text: str) -> str:
    places = [match.end() for match in re.finditer(r"[:,{\[\n]\s?", text)] or [0]
    at = rng.choice(places)
    return text[:at] + rng.choice(WORDS) + rng.choice(("", " ", "\n")) + text[at:]


def _other_value(rng: random.Random, text: str) -> str:
    values = list(re.finditer(r"[\w.+-]+", text))
    if not values:
        return rng.choice(WORDS)
    old = rng.choice(values)
    return text[: old.start()] + rng.choice(rng.choice((WORDS, NUMBERS, KEYS))) + text[old.end() :]


def _lines_moved(rng: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    line = lines[rng.randrange(len(lines))]
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(("", " ", "  ", "\t", "- ")) + line)
    return "".join(lines)


def _short(rng: random.Random, text: str) -> str:
    return text[: rng.randrange(len(text) + 1)]


def _long(rng: random.Random, text: str) -> str:
    return text + rng.choice((text, rng.choice(WORDS) * 200, "".join(f"k{i}: {i}\n" for i in range(300))))


_EDITS: Final = (
    _cut,
    _put,
    _put_word,
    _put_word,
    _other_value,
    _other_value,
    _other_value,
    _lines_moved,
    _short,
    _long,
)
_TREES: Final[dict[str, Any]] = {}


def _tree_edited(rng: random.Random, text: str) -> str:
    if text not in _TREES:
        _TREES[text] = yaml.safe_load(text)
    tree = json.loads(json.dumps(_TREES[text]))
    for _ in range(rng.randint(1, 3)):
        _edit(rng, tree)
    if rng.random() < 0.1:
        return yaml.safe_dump(tree, default_flow_style=rng.random() < 0.5, allow_unicode=True)
    return json.dumps(tree, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1)))


def _edit(rng: random.Random, tree: Any) -> None:
    """Changes one thing, somewhere."""
    while isinstance(tree, dict | list) and tree:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = rng.choice(keys)
        if isinstance(tree[key], dict | list) and tree[key] and rng.random() < 0.7:
            tree = tree[key]
            continue
        change = rng.randrange(5)
        if change == 0:
            del tree[key]
        elif change == 1 and isinstance(tree, dict):
            tree[rng.choice(KEYS)] = tree.pop(key)
        elif change == 2 and isinstance(tree, dict):
            tree[rng.choice(KEYS)] = _value(rng)
        elif change == 3:
            tree[key] = [tree[key]] if rng.random() < 0.5 else {rng.choice(KEYS): tree[key]}
        else:
            tree[key] = _value(rng)
        return


def _value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(9 if depth < 3 else 7)
    if kind < 2:
        return rng.choice((0, 1, -1, 2, 10**30, 10**45, -(10**400), 0.5, 1e308, 5e-324, 1e-3, float("nan"), 1e400))
    if kind < 4:
        return rng.choice((*WORDS, *KEYS, *FIGURES, "gasl", "magnitude", "lenet-5", "digits", "max", "filter", "30m"))
    if kind < 6:
        return rng.choice((None, True, False, "", "x" * 5000, expression(rng)))
    if kind == 6:
        return {"low": rng.choice((1e-3, 1, 0, -1)), "high": rng.choice((1, 1e-2, 10)), "log": rng.random() < 0.5}
    if kind == 7:
        return [_value(rng, depth + 1) for _ in range(rng.randrange(5))]
    return {rng.choice(KEYS): _value(rng, depth + 1) for _ in range(rng.randrange(4))}


def expression(rng: random.Random) -> str:
    """A `--where`: mostly of the right form, with wrong parts; then random edits."""
    name = rng.choice((*FIGURES, "acuracy", "__class__", "Accuracy", "é", "a" * 90, "", "1"))
    op = rng.choice((">=", "<=", "==", ">", "<", "=", "=>", "!=", "≥", "", "in", ">>", "=" * 60))
    number = rng.choice((*NUMBERS, "0.97", "97%", "1", "-0.5", "2x", "0.9 and 1", "٣", "\uff11", "1e5%", "%", ""))
    space = rng.choice(("", " ", "  ", "\t", "\n", "\u3000"))
    text = f"{space if rng.random() < 0.2 else ''}{name}{space}{op}{space}{number}"
    while rng.random() < 0.3:
        text = rng.choice((_cut, _put, _put_word))(rng, text)
    return text


def overrides(rng: random.Random) -> Overrides:
    """What a command line may give."""
    if rng.random() < 0.8:
        return NO_OVERRIDES
    names = ("x", "../x", "a/b", ".x", "\x1b[31m", "a\nb", "x" * 65, "", "\udcff", "-", "a'b", "CON", "a b")
    numbers = (None, 1, 0, -1, 10**9, 10**30)
    return Overrides(
        name=rng.choice((None, *names)), trials=rng.choice(numbers), epochs=rng.choice(numbers),
        seed=rng.choice((None, 0, -1, 2**32)),
        time_limit=rng.choice((None, "30m", "0", "-1s", "1e999", "9" * 60 + "h", "h", "1h1h", "nan", "\0", "٣m")),
    )  # fmt: skip


def fuzz(cases: int, seed: int, say: Callable[[str], None] = lambda text: None) -> Report:
    """Runs the cases; case `i` of a seed is always the same."""
    report, known = Report(), catalogue()
    folder = resources.files("sparsweep.spaces.presets")
    texts = [(folder / f"{name}.yaml").read_text("utf-8") for name in presets()]
    texts += [re.sub(r"\s+#.*", "", text) for text in texts]
    began = time.monotonic()
    for number in range(cases):
        rng = random.Random(f"{seed}/{number}")
        is_expression = rng.random() < EXPRESSIONS_SHARE
        text = expression(rng) if is_expression else sweep_text(rng, texts)
        given = NO_OVERRIDES if is_expression else overrides(rng)
        before = time.thread_time()
        try:
            fault = _where_fault(text, rng) if is_expression else _sweep_fault(text, given, known)
        except Exception as error:
            fault = f"FAILED {type(error).__name__}: {error}"
        took = time.thread_time() - before
        report.slowest_s = max(report.slowest_s, took)
        if took > SLOWEST_S:
            fault = f"FAILED took {took:.1f} s"
        report.cases += 1
        if fault is None:
            report.accepted += 1
        elif fault.startswith("FAILED"):
            report.failures.append(f"seed {seed}, case {number}: {fault}; of {text[:2000]!r} with {given}")
        else:
            for line in fault.splitlines()[1:] or [fault]:
                report.messages[_form(line)] += 1
        if (number + 1) % 20_000 == 0:
            say(f"{number + 1} cases, {(number + 1) / (time.monotonic() - began):.0f} a second")
    return report


def _sweep_fault(text: str, given: Overrides, known: Catalogue) -> str | None:
    """The message; None where the sweep is accepted, which must then be sound."""
    try:
        sweep = read_sweep(text, known, title="fuzz.yaml", overrides=given)
    except SweepFileError as error:
        shown = min(len(error.faults), MOST_SHOWN) + (len(error.faults) > MOST_SHOWN)
        return _checked(str(error), lines=1 + shown)
    assert sweep.space(known).knobs
    again = read_sweep(sweep.yaml_text, known, title="again.yaml")
    assert again.as_json() == sweep.as_json(), "it reads differently when written and read again"
    return None


def _where_fault(text: str, rng: random.Random) -> str | None:
    try:
        wish = Constraint.parse(text, allow_test_accuracy=rng.random() < 0.5)
    except ValueError as error:
        return _checked(str(error), lines=1)
    assert Constraint.parse(str(wish), allow_test_accuracy=True) == wish, f"{wish} is not itself"
    return None


def _checked(message: str, lines: int) -> str:
    found = message.splitlines()
    bad = {char for char in message if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    if bad:
        return f"FAILED the message holds {', '.join(f'U+{ord(char):04X}' for char in sorted(bad))}: {message!r}"
    if len(found) != lines:
        return f"FAILED {len(found)} lines instead of {lines}: {message!r}"
    if max(map(len, found)) > LONGEST_LINE:
        return f"FAILED a line of {max(map(len, found))} characters: {message[:500]!r}"
    return message


def _form(line: str) -> str:
    line = re.sub(r"'(?:[^'\\]|\\.)*'|\"[^\"]*\"", "'…'", line.strip())
    return re.sub(r"[\d.e+-]*\d[\d.e+-]*", "N", line)[:200]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the figures; 1 where a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--messages", type=int, default=0, metavar="N", help="also print the N commonest messages")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    report = fuzz(options.cases, options.seed, lambda text: print(text, file=sys.stderr, flush=True))
    seconds = time.monotonic() - began
    for failure in report.failures[:20]:
        print(failure)
    for message, count in report.messages.most_common(options.messages):
        print(f"{count:8}  {message}")
    print(
        f"{report.cases} cases, {report.cases / seconds:.0f} a second, {report.accepted} accepted, "
        f"{len(report.messages)} distinct messages, slowest {report.slowest_s:.3f} s, {len(report.failures)} failed"
    )
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())

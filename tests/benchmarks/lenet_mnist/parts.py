"""What was measured of each network, kept as JSON beside the page: the page can grow over several machines and days.

A part is one network's rows, answers and how it was run. A later run replaces a part only by one of the same settings
that rests on at least as many trained settings, or by one of other settings altogether; the two are never mixed.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sparsweep.trainables.record import read_whole, write_atomically
from tests.benchmarks.lenet_mnist.attention import BALANCE, FIXED, LASSO, SPARSITIES, STRENGTHS, WIDE, Answer
from tests.benchmarks.lenet_mnist.claims import Claim, Control, Cut, Setting
from tests.benchmarks.lenet_mnist.page import Line
from tests.benchmarks.lenet_mnist.published import Published, published
from tests.benchmarks.lenet_mnist.sweeps import campaigns
from tests.benchmarks.search.kept import fingerprint


@dataclass(frozen=True, kw_only=True)
class Part:
    """One network's figures."""

    network: str
    lines: tuple[Line, ...]
    answers: tuple[Answer, ...]
    dense_pct: float | None
    """Mean test error of our own dense network, trained without help; None where it has not been."""
    settings: int
    """How many were trained with all seeds."""
    hours: float
    """Of one core, of all trials that the figures rest on."""
    found_on: Mapping[str, Any] = field(default_factory=dict)
    """Machine, date and versions."""

    def as_json(self) -> dict[str, Any]:
        """Everything that the page says, for who reads it by machine."""
        return {
            "asked": asked(self.network), "settings": self.settings, "core_hours": round(self.hours, 2),
            "machine": dict(self.found_on), "dense_error_pct": self.dense_pct,
            "rows": [_row_as_json(line) for line in self.lines],
            "attention": [
                {**vars(a), "differences": list(a.differences), "interval": list(a.interval), "p": a.p}
                for a in self.answers
            ],
        }  # fmt: skip

    @classmethod
    def from_json(cls, network: str, data: Mapping[str, Any]) -> "Part":
        """What `as_json` made. Raises KeyError, TypeError or ValueError for anything else."""
        rows = [row for row in published() if row.network == network]
        answers = [
            Answer(**{k: v for k, v in each.items() if k not in ("interval", "p", "differences")},
                   differences=tuple(each["differences"]))
            for each in data["attention"]
        ]  # fmt: skip
        return cls(
            network=network, answers=tuple(answers), dense_pct=data["dense_error_pct"], settings=data["settings"],
            lines=tuple(_line(row, told) for row, told in zip(rows, data["rows"], strict=True)),
            hours=data["core_hours"], found_on=data["machine"],
        )  # fmt: skip


def asked(network: str) -> str:
    """What a part's figures depend on beside code and machine: sweep files but for how many trials; the question."""
    texts = {c.name: re.sub(r"^#.*|trials: \d+", "", c.file.read_text(), flags=re.M) for c in campaigns((network,))}
    question = [dict(FIXED), dict(LASSO), dict(BALANCE), {k: list(v) for k, v in SPARSITIES.items()}, list(WIDE)]
    strengths = {" ".join(key): list(of) for key, of in STRENGTHS.items()}
    return fingerprint({"sweeps": texts, "question": question, "strengths": strengths})


def kept(file: Path) -> dict[str, Part]:
    """The parts of a page of the same settings, by network; of others nothing is taken over.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return {name: Part.from_json(name, part) for name, part in _told(file).items() if part["asked"] == asked(name)}
    except (KeyError, TypeError) as fault:
        raise ValueError(f"{file} is damaged ({fault}): take the one that was committed") from fault


def left_behind(file: Path) -> set[str]:
    """The networks whose figures on a page are of other settings, so that a page made now drops them."""
    return set(_told(file)) - set(kept(file))


def _told(file: Path) -> dict[str, Any]:
    return dict(read_whole(file, "take the one that was committed")["parts"]) if file.exists() else {}


def put(file: Path, parts: Sequence[Part]) -> None:
    """Keeps parts, whole or not at all."""
    write_atomically(file, json.dumps({"parts": {p.network: p.as_json() for p in parts}}, indent=1) + "\n")


def better(new: Part, old: Part | None) -> Part:
    """Which of two parts of the same settings is told: the one that rests on more, the newer of equal ones.

    The answers on attention are of trials of their own: the longer list of them is told with either.
    """
    if old is None:
        return new
    told = new if new.settings and new.settings >= old.settings else old
    return replace(told, answers=max(new.answers, old.answers, key=len))


def _row_as_json(line: Line) -> dict[str, Any]:
    most = None if math.isnan(line.most_pct) else line.most_pct
    return {
        "published": line.row.name, "kind": line.row.kind, "most_error_pct": most,
        "weights_left": line.row.weights_left, "macs": line.row.macs, "source": line.row.source,
        "dominated": line.dominated,
        "ours": [
            {
                "sweep": c.setting.sweep, "trial": c.setting.trial, "method": c.setting.method, "help": c.setting.help,
                "granularity": c.setting.granularity, "attention_strength": c.setting.attention,
                "errors_pct": list(c.errors_pct), "error_pct": c.error_pct,
                "spread_pct": c.spread_pct, "dominates": c.dominates,
                "cuts": [{"cut": cut.name, "weights_left": cut.weights_left, "macs": cut.macs,
                          "macs_ideal": cut.macs_ideal, "validation_accuracy": cut.accuracy} for cut in c.cuts],
            }
            for c in line.claims
        ],
        "controls": [{**vars(control), "errors_pct": list(control.errors_pct)} for control in line.controls],
    }  # fmt: skip


def _line(row: Published, told: Mapping[str, Any]) -> Line:
    if told["published"] != row.name:
        raise ValueError(f"the page's row {told['published']} stands where the table has {row.name}")
    claims, most = [], math.nan if told["most_error_pct"] is None else told["most_error_pct"]
    for each in told["ours"]:
        cuts = tuple(
            Cut(name=cut["cut"], accuracy=cut["validation_accuracy"], weights_left=cut["weights_left"],
                macs=cut["macs"], macs_ideal=cut["macs_ideal"])
            for cut in each["cuts"]
        )  # fmt: skip
        setting = Setting(
            sweep=each["sweep"], trial=each["trial"], network=row.network, method=each["method"],
            granularity=each["granularity"], help=each["help"],
            attention=each["attention_strength"], trainings=tuple((cut,) for cut in cuts),
        )  # fmt: skip
        claims.append(Claim(row=row, setting=setting, cuts=cuts, errors_pct=tuple(each["errors_pct"]), most_pct=most))
    controls = tuple(Control(**{**each, "errors_pct": tuple(each["errors_pct"])}) for each in told["controls"])
    return Line(row=row, claims=tuple(claims), most_pct=most, controls=controls)

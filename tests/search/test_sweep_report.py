"""What a sweep has found, as text and as a page that a real browser opens."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import InMemoryStorage

from sparsweep.search.frontier import Frontier
from sparsweep.search.sweep_report import SweepReport, growth_of
from sparsweep.search.with_optuna import Outcome, Study
from sparsweep.search.with_optuna.pictures import StudyView
from sparsweep.spaces.constraint import Constraint
from sparsweep.spaces.space import Choice, Float, Int, Knob, Space, Value
from sparsweep.spaces.sweep_file import Objectives, SweepFile, Task
from sparsweep.trainables.point import Point
from sparsweep.trainables.record import TrialRecord
from tests.chromium import open_page
from tests.search.points import make_point
from tests.search.records import make_record

EVIL = "<img src=x onerror=alert(1)>"
SPACE = Space(
    (
        Knob(name="method", range=Choice(choices=("gasl", "magnitude"))),
        Knob(name="strength", range=Float(low=1e-4, high=1e-1, log=True)),
        Knob(name="epochs_held", range=Int(low=1, high=9)),
        Knob(name="shape", range=Choice(choices=(EVIL, "round"))),
        Knob(name=f"width {EVIL}", range=Float(low=0, high=1)),
    )
)
FLAT = Space((Knob(name="method", range=Choice(choices=("gasl",))),))
STATE = {
    "state": "finished", "trials": 24, "ended": "all 24 trials have ended", "reasons": {"diverged": 1},
    "spent": {"trials": 24, "cpu_hours": 1.5, "gpu_hours": 0.0, "cost": None},
}  # fmt: skip


def study_of(
    rows: Sequence[tuple[float, ...]], space: Space = SPACE, objectives: tuple[str, ...] = ("curve_value",)
) -> StudyView:
    """A study in which a trial has each of these rows of values; one more is at work."""
    storage = InMemoryStorage()
    study = Study.open(storage, "digits", space, sampler="random", seed=0, objectives=objectives)
    for values in rows:
        number, _ = study.ask()
        study.tell(Outcome(number=number, values=values, attributes={}, violations={}))
    study.ask()
    return StudyView.open(storage, "digits", {"curve_value": "worth", "sparsity": "sparsity"})


def report(
    records: Sequence[TrialRecord], study: StudyView, objectives: Objectives | None = None, rules: Sequence[str] = ()
) -> SweepReport:
    given: dict[str, Any] = {} if objectives is None else {"objectives": objectives}
    sweep = SweepFile(
        name="digits", task=Task(network="lenet-digits", data="digits"),
        constraints=tuple(map(Constraint.parse, rules)), **given,
    )  # fmt: skip
    points = [point for record in records for point in record.points]
    return SweepReport(
        sweep=sweep, frontier=Frontier.of("digits", points, sweep.objectives.directions, sweep.constraints),
        points=points, failed=sum(record.state == "failed" for record in records),
        growth=growth_of(records, ("macs_removed",)), axis="macs_removed", study=study,
    )  # fmt: skip


def saved(found: SweepReport, tmp_path: Path) -> str:
    found.save(tmp_path / "report.html")
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def figures_of(text: str) -> list[dict[str, Any]]:
    (data,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    loaded: list[dict[str, Any]] = json.loads(data)
    return loaded


def titles_of(text: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", text)


def trial(number: int, accuracy: float, sparsity: float, **more: Any) -> TrialRecord:
    """It ended an hour after the one before it."""
    return make_record(
        number, make_point(number, accuracy=accuracy, sparsity=sparsity, **more), ended_s=3600.0 * number + 1
    )


RECORDS = (
    trial(0, 0.9, 0.5),
    trial(1, 0.8, 0.4),
    make_record(2, reason="diverged", ended_s=7201.0),
    trial(3, 0.5, 0.8),
)
STUDY = [(0.1,), (0.5,), (0.3,), (0.9,), (0.2,), (0.6,)]


def test_the_hypervolume_grows_with_the_records() -> None:
    growth = growth_of(RECORDS, ("macs_removed",))
    assert [each.trials for each in growth] == [1, 2, 3, 4]
    # each trial takes a second and ends an hour after the one before
    assert [each.hours for each in growth] == pytest.approx([1 / 3600, 1 + 1 / 3600, 2 + 1 / 3600, 3 + 1 / 3600])
    assert [each.hypervolume for each in growth] == pytest.approx([0.45, 0.45, 0.45, 0.45 + 0.5 * 0.3])
    assert growth_of([], ("macs_removed",)) == []


def test_the_summary_in_text() -> None:
    lines = list(report(RECORDS, study_of(STUDY)).lines(STATE))
    assert lines[:8] == [
        "digits: finished, 4 of 24 trials have ended",
        "spent 1.50 CPU h",
        "the search has ended: all 24 trials have ended",
        "2 of 3 points are on the frontier",
        "2 of 2 frontier points do not beat the dense network in speedup (2): they add nothing to the hypervolume over "
        "all objectives",
        "failed 1x: diverged",
        "hypervolume 0.6000 (accuracy x MACs removed) after 4 trials and 3 h",
        "  0.4500 after 1 trials",
    ]
    assert lines[8] == "  0.6000 after 4 trials"
    assert lines[9] == "what worth depends on:"
    told = {line.split("%", 1)[1].strip(): int(line.split("%")[0]) for line in lines[10:]}
    assert set(told) == {knob.name for knob in SPACE.knobs}
    assert 98 <= sum(told.values()) <= 102


def test_the_page_holds_every_part_once_and_loads_nothing(tmp_path: Path) -> None:
    text = saved(report(RECORDS, study_of(STUDY)), tmp_path)
    assert titles_of(text) == [
        "what was found", "hypervolume over time", "what worth depends on", "settings and worth", "worth by knob",
    ]  # fmt: skip
    kinds = [[trace["type"] for trace in figure["data"]] for figure in figures_of(text)]
    assert kinds[:2] == [["scatter"], ["bar"]]
    assert [len(each) for each in kinds[2:]] == [len(STUDY) + 1, len(SPACE.knobs)]  # a line a trial, and the colours
    assert figures_of(text)[0]["data"][0]["y"] == pytest.approx([0.45, 0.45, 0.45, 0.6])
    assert len(re.findall(r"plotly\.js v", text)) == 1
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)\s*=", text)
    assert "<title>digits &ndash; report</title>" in text
    assert "1 of 4 trials failed" in text


def test_no_text_of_a_user_is_markup(tmp_path: Path) -> None:
    evil = [trial(0, 0.9, 0.5, setting={"method": "gasl", EVIL: EVIL})]
    text = saved(report(evil, study_of(STUDY)), tmp_path)
    assert "<img" not in text
    assert "<img" not in json.dumps(figures_of(text))
    assert "&lt;img src=x" in json.dumps(figures_of(text))


@pytest.mark.parametrize(
    ("records", "values", "space", "notes"),
    [
        pytest.param(
            (), [], SPACE, ["no trial has ended yet", "can be said from two on", "no trial is done yet"], id="none"
        ),
        pytest.param(
            RECORDS[:1], STUDY[:1], SPACE, ["trials that are done: 1; what a value depends on"], id="one trial"
        ),
        pytest.param(RECORDS, [(0.5,)] * 4, SPACE, ["it is the same in all trials"], id="no variance"),
        pytest.param(RECORDS, STUDY, FLAT, ["no knob has more than one value"], id="nothing searched"),
    ],
)
def test_what_cannot_be_told_is_said(
    records: Sequence[TrialRecord], values: list[tuple[float, ...]], space: Space, notes: list[str], tmp_path: Path
) -> None:
    text = saved(report(records, study_of(values, space)), tmp_path)
    assert len(titles_of(text)) == 5
    for note in notes:
        assert note in text


def test_a_sweep_whose_study_is_gone_still_has_its_frontier(tmp_path: Path) -> None:
    gone = StudyView.open(InMemoryStorage(), "digits", {})
    text = saved(report(RECORDS, gone), tmp_path)
    assert "trials that are done: 0" in text
    assert "2 of 3 points on the frontier" in text


def many(count: int) -> tuple[list[TrialRecord], StudyView, Objectives]:
    """A sweep without descent: a point a trial, three values in its study."""
    accuracies = [0.5 + 0.49 * ((7 * n) % 1000) / 1000 for n in range(count)]
    settings: list[dict[str, Value]] = [
        {"method": "gasl", "strength": 1e-4 * (1 + n) / 3, "epochs_held": 1 + n % 9, "shape": "round", "width": n / 7}
        for n in range(count)
    ]
    points: list[Point] = [
        make_point(n, "own", accuracy=a, sparsity=0.3 + (n % 600) / 1000, speedup=1 + n / 1000, setting=settings[n])
        for n, a in enumerate(accuracies)
    ]
    values = [(point.accuracy, point.macs_removed, point.sparsity) for point in points]
    records = [make_record(n, point, ended_s=float(n + 1)) for n, point in enumerate(points)]
    study = study_of(values, objectives=("accuracy", "macs_removed", "sparsity"))
    return records, study, Objectives(accuracy="max", sparsity="max", speedup="max")


def test_a_thousand_points_take_two_megabytes_at_most_beside_the_library(tmp_path: Path) -> None:
    from plotly.offline import get_plotlyjs

    records, study, objectives = many(1000)
    text = saved(report(records, study, objectives), tmp_path)
    assert len(titles_of(text)) == 2 + 3 * 3
    assert len(figures_of(text)) == 1 + 3 * 3
    assert len(text.encode()) - len(get_plotlyjs().encode()) <= 2_000_000


def test_a_real_browser_draws_every_figure_and_runs_nobodys_markup(tmp_path: Path) -> None:
    evil = [trial(n, 0.5 + n / 10, 0.9 - n / 10, setting={"method": "gasl", EVIL: EVIL}) for n in range(4)]
    found = report(evil, study_of(STUDY))
    text = saved(found, tmp_path)
    opened = open_page(tmp_path / "report.html", tmp_path / "browser")
    assert opened.console == ""
    drawn = re.findall(r'<div class="figure[^"]*" id="(figure-\d+)"[^>]*>(?:<div|$)', opened.dom)
    assert drawn == [figure["id"] for figure in figures_of(text)]
    assert len(re.findall('class="main-svg"', opened.dom)) >= len(drawn) + 1
    assert "<img src" not in opened.dom
    for word in ("strength", "epochs_held", "&lt;img src=x onerror=alert(1)&gt;"):
        assert word in opened.dom.split('id="figure-2"')[1]

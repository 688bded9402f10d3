"""The comparison of a few runs, by hand: medians, how soon ours is there, ranks, the table."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.search import __main__ as command
from tests.benchmarks.search.benchmark import Benchmark
from tests.benchmarks.search.comparison import (
    behind,
    best_alternative,
    mann_whitney,
    standings,
    target_share,
    volume_on_test,
)
from tests.benchmarks.search.contenders import ABLATIONS, CONTENDERS
from tests.benchmarks.search.kept import Run
from tests.benchmarks.search.over_time import Curve, Spread, told_at
from tests.benchmarks.search.page import as_json, headers, lines_of, spread_text, verdicts
from tests.benchmarks.search.running import Outcome


def run(contender: str, seed: int, *points: tuple[float, float, float]) -> Run:
    """All points lie on the front, and lose a tenth of their accuracy on the test set."""
    front = tuple((accuracy, removed, 0.9 * accuracy) for _, accuracy, removed in points)
    return Run(contender=contender, seed=seed, points=points, front=front, load_before=0.1, pace_ms=40)


OURS = [run("sparsweep", seed, (first_s, 0.9, 0.6), (40.0, 0.8, 0.9)) for seed, first_s in enumerate((5.0, 6.0, 9.0))]
OPTUNA = [run("optuna", seed, (50.0, accuracy, 0.5)) for seed, accuracy in enumerate((0.8, 0.9, 1.0))]
RANDOM = [run("random", seed, (50.0, 0.9, 0.1)) for seed in range(3)]
RUNS = {"sparsweep": OURS, "optuna": OPTUNA, "random": RANDOM}
"""Ours has 0.54 early and 0.78 in the end; at the end optuna has 0.40, 0.45, 0.50 and random 0.09."""


def test_a_standing_holds_medians_at_the_times_that_are_told() -> None:
    ours, optuna, _ = standings(RUNS, "sparsweep", 60)
    assert {time_s: spread.middle for time_s, spread in ours.at.items()} == pytest.approx(
        {10: 0.54, 30: 0.54, 60: 0.78}
    )
    assert optuna.at[30] == Spread(low=0, middle=0, high=0)
    assert (optuna.end.low, optuna.end.middle, optuna.end.high) == pytest.approx((0.425, 0.45, 0.475))
    assert (optuna.runs, optuna.points, ours.points) == (3, 1, 2)


def test_ours_is_asked_when_it_had_the_other_ones_median_at_the_end() -> None:
    ours, optuna, _ = standings(RUNS, "sparsweep", 60)
    assert ours.reached_s is None
    assert (optuna.reached_s, optuna.share) == (6, 0.1)


def test_ours_may_never_get_there() -> None:
    ahead = [run("optuna", seed, (50.0, 1.0, 0.99)) for seed in range(3)]
    (_, optuna) = standings({"sparsweep": OURS, "optuna": ahead}, "sparsweep", 60)
    assert optuna.reached_s == math.inf
    ((text, met), *_) = verdicts(
        standings({"sparsweep": OURS, "optuna": ahead}, "sparsweep", 60), CONTENDERS, 60, saturates=True
    )
    assert text.startswith("sparsweep never has what the best alternative, optuna, has after 60 s (median 0.9900)")
    assert met is False


def test_volume_on_the_test_set_is_of_the_claimed_front_alone() -> None:
    assert volume_on_test(OPTUNA[2]) == pytest.approx(0.9 * 0.5)
    falls = Run(contender="x", seed=0, points=(), front=((0.9, 0.5, 0.4), (0.5, 0.9, 0.5)), load_before=0, pace_ms=40)
    assert volume_on_test(falls) == pytest.approx(0.5 * 0.9)


def test_the_best_alternative_has_the_highest_median_and_does_not_run_our_trial() -> None:
    found = standings({**RUNS, "optuna-descent": OURS}, "sparsweep", 60)
    alternatives = [c.name for c in CONTENDERS if c.is_alternative]
    assert "optuna-descent" not in alternatives
    best = best_alternative(found, alternatives)
    assert best is not None
    assert best.name == "optuna"
    assert best_alternative(found[:1], alternatives) is None


def test_the_verdict_names_the_best_alternative_and_the_share_of_the_budget() -> None:
    found = standings({**RUNS, "optuna-descent": RANDOM}, "sparsweep", 60)
    judged, ahead, other, beyond = verdicts(found, CONTENDERS, 60, saturates=True)
    assert judged == (
        "sparsweep has after 6.0 s what the best alternative, optuna, has after 60 s (median 0.4500): "
        "0.100 of the budget, target ≤ 0.100",
        True,
    )
    assert ahead == ("alternatives that are ahead of sparsweep after its first point: none, target none", True)
    assert other[1] is None
    assert "our trial under another search, optuna-descent" in other[0]
    text = "from its first point on sparsweep takes 0.0 s to there, optuna-descent 0.0 s, target no longer"
    assert beyond == (text, True)
    (*_, last) = verdicts(found, CONTENDERS, 60, saturates=False)
    assert last == ("at the end sparsweep has 0.7800, optuna-descent 0.0900, target more", True)


def test_twenty_minutes_and_more_have_a_stricter_target() -> None:
    assert (target_share(300), target_share(1199), target_share(1200)) == (0.1, 0.1, 1 / 30)


def test_how_long_ours_is_behind_counts_from_its_own_first_point() -> None:
    """0.2 from 10 s on and 0.6 from 40 s; the other one 0.3 from 5 s and 0.7 from 50 s."""
    ours = [Curve(times_s=(10.0, 40.0), values=(0.2, 0.6))]
    theirs = [Curve(times_s=(5.0, 50.0), values=(0.3, 0.7))]
    assert behind(ours, theirs, 60) == 30 + 10
    assert behind(theirs, ours, 60) == 10
    assert behind([Curve(times_s=(), values=())], theirs, 60) == 0, "what has found nothing has not begun"


def test_an_alternative_that_is_ahead_for_a_while_is_named() -> None:
    early = [run("random", seed, (1.0, 0.9, 0.65)) for seed in range(3)]
    (_, ahead, *_) = verdicts(standings({**RUNS, "random": early}, "sparsweep", 60), CONTENDERS, 60, saturates=True)
    text = "alternatives that are ahead of sparsweep after its first point: random for 34 s, target none"
    assert ahead == (text, False)


def test_our_trial_under_a_search_that_is_sooner_there_is_told() -> None:
    """Ours has 0.78 34 seconds after its first point; the other one its 0.77 at once, later though it began."""
    sooner = [run("optuna-descent", seed, (45.0, 0.8, 0.95), (46.0, 0.85, 0.9)) for seed in range(3)]
    (*_, beyond) = verdicts(standings({"sparsweep": OURS, "optuna-descent": sooner}, "sparsweep", 60), CONTENDERS, 60,
                            saturates=True)  # fmt: skip
    assert beyond[1] is False


def test_a_full_run_is_kept_as_page_figures_and_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    benchmark = Benchmark(
        preset="digits", minutes=1, seeds=5, data_root=None, keep=tmp_path, contenders=CONTENDERS, slots=2,
        found_on={"processor": "one"},
    )  # fmt: skip
    runs = {
        each.name: [
            run(each.name, seed, (5.0 if each is CONTENDERS[0] else 20.0 + seed, 0.9, 0.5)) for seed in range(5)
        ]
        for each in CONTENDERS
    }
    assert command.tell(benchmark, Outcome(runs=runs), command="as typed") == 0
    page = (tmp_path / "search-digits.md").read_text()
    assert "as typed" in page
    assert "0.083 of the budget, target ≤ 0.100: met" in page
    figures = json.loads((tmp_path / "search-digits.json").read_text())
    assert [each["name"] for each in figures["contenders"]] == [each.name for each in CONTENDERS]
    assert (tmp_path / "search-digits.png").read_bytes().startswith(b"\x89PNG")
    few = replace(benchmark, seeds=4)
    (tmp_path / "search-digits.md").unlink()
    assert command.tell(few, Outcome(runs=runs), command="as typed") == 0
    assert not (tmp_path / "search-digits.md").exists(), "fewer seeds tell too little"
    capsys.readouterr()


@pytest.mark.parametrize("only", ["", "sparsweep,no-reuse,descent-none"])
def test_ablations_have_a_page_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], only: str
) -> None:
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    words = ["--task", "digits", "--minutes", "1", "--seeds", "5", "--ablations", "--keep", str(tmp_path / "runs")]
    options = command._options([*words, *(["--only", only] if only else [])])
    benchmark = command.benchmark_of(options)
    names = [each.name for each in benchmark.contenders]
    without = ("no-look", "no-stopping")  # digits has neither
    every = ["sparsweep", *(each.name for each in ABLATIONS if each.name not in without)]
    assert names == (only.split(",") if only else every)
    runs = {name: [run(name, seed, (5.0, 0.9, 0.5)) for seed in range(5)] for name in names}
    assert command.tell(benchmark, Outcome(runs=runs), command=command._command(options)) == 0
    page = (tmp_path / "search-digits-ablations.md").read_text()
    assert (f"--ablations --only {only}`" if only else "--ablations`") in page
    assert "# Search against time: digits, ours with one thing otherwise" in page
    assert all(f"| {name} |" in page for name in names)
    assert (tmp_path / "search-digits-ablations.png").exists()
    assert not (tmp_path / "search-digits.md").exists()
    capsys.readouterr()


def test_without_ours_nothing_is_judged() -> None:
    assert verdicts(standings({"optuna": OPTUNA}, "sparsweep", 60), CONTENDERS, 60, saturates=True) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "p_value"),
    [
        ([3, 4, 5], [1, 2], 1 / 10),  # 1 of the 10 ways to deal out five values
        ([6, 7, 8, 9, 10], [1, 2, 3, 4, 5], 1 / 252),
        ([1, 2], [3, 4, 5], 1),
        ([2, 3], [1, 2], 2 / 6),  # U = 3.5; of the six ways two have as much, as the tied 2s are dealt either way
        ([1, 1], [1, 1], 1),
    ],
)
def test_mann_whitney_by_hand(ours: list[float], theirs: list[float], p_value: float) -> None:
    assert mann_whitney(ours, theirs) == pytest.approx(p_value)


def test_one_value_a_side_tells_nothing() -> None:
    assert mann_whitney([2], [1, 1]) is None


def test_mann_whitney_of_many_values_is_approximated() -> None:
    p_value = mann_whitney(list(range(20, 40)), list(range(20)))
    assert p_value is not None
    assert p_value < 1e-6


def test_the_table() -> None:
    found = standings(RUNS, "sparsweep", 60)
    lines = lines_of(found, {"moasha": "no such package"})
    head = headers(told_at(60))
    assert head[:6] == ("contender", "runs", "points", "10 s", "30 s", "60 s (end)")
    assert {len(line) for line in lines} == {len(head)}
    assert lines[0][-4:] == ("", "", "", "")
    assert lines[1][-4:-1] == ("6.0 s", "0.100", "0.0500")
    assert lines[1][5] == "0.4500 (0.4250 to 0.4750)"
    assert lines[3][:3] == ("moasha", "0", "not run")


def test_a_contender_that_missed_one_seed_stands_in_the_table_once() -> None:
    assert [line[0] for line in lines_of(standings(RUNS, "sparsweep", 60), {"optuna": "seed 3: ended with 1"})] == [
        "sparsweep", "optuna", "random",
    ]  # fmt: skip


def test_one_run_has_no_quartiles() -> None:
    assert spread_text(Spread.of([0.5])) == "0.5000"


def test_json_says_never_with_null() -> None:
    ahead = [run("optuna", seed, (50.0, 1.0, 0.99)) for seed in range(3)]
    written = as_json(standings({"sparsweep": OURS, "optuna": ahead}, "sparsweep", 60), {}, {"minutes": 1})
    assert [each["reached_s"] for each in written["contenders"]] == [None, None]
    assert list(written["contenders"][0]["at"]) == ["10", "30", "60"]

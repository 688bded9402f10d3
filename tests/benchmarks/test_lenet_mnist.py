"""The LeNet table: what dominates a published row, what is chosen by validation alone, and what is told."""

import json
import math
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import mean

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import nn

from sparsweep.search.catalogue import catalogue
from sparsweep.spaces.load import load_sweep
from sparsweep.trainables.attempt import run_trial
from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.groups import prunable_layers
from sparsweep.trainables.record import StorageFullError, TrialFolder
from tests.benchmarks.lenet_mnist import __main__ as command
from tests.benchmarks.lenet_mnist import parts, tested, twins
from tests.benchmarks.lenet_mnist.attention import (
    FORMS,
    SPARSITIES,
    Answer,
    Question,
    Trial,
    adjusted,
    compared,
    first_trials,
    level,
    trials_of,
    verdict,
)
from tests.benchmarks.lenet_mnist.claims import Claim, Control, Cut, Setting, chosen, claim, control
from tests.benchmarks.lenet_mnist.page import Line, cells, save_picture, score, write_names
from tests.benchmarks.lenet_mnist.parts import Part, better, kept, left_behind, put
from tests.benchmarks.lenet_mnist.published import NETWORKS, Published, published
from tests.benchmarks.lenet_mnist.side_by_side import side_by_side
from tests.benchmarks.lenet_mnist.sweeps import Campaign, campaigns
from tests.benchmarks.lenet_mnist.twins import Twin, Twins, help_of, twins_of
from tests.trainables.nets import plan


def row(**given: object) -> Published:
    known: dict[str, object] = {
        "network": "lenet-5", "method": "X", "kind": "unstructured", "error_pct": 1.0, "delta_error_pct": None,
        "kept_units": "", "weights_left": 1000, "macs": None, "source": "a paper", **given,
    }  # fmt: skip
    return Published(**known)  # type: ignore[arg-type]


def cut(accuracy: float, weights: int, macs: int = 500, ideal: int = 400, name: str = "00") -> Cut:
    return Cut(name=name, accuracy=accuracy, weights_left=weights, macs=macs, macs_ideal=ideal, network=Path(name))


def setting(*trainings: tuple[Cut, ...], network: str = "lenet-5", trial: int = 0, help_: str = "none") -> Setting:
    return Setting(
        sweep="s", trial=trial, network=network, method="gasl", granularity="weight", help=help_, trainings=trainings
    )


def test_the_table_is_the_published_one() -> None:
    rows = published()
    assert [sum(r.network == network for r in rows) for network in NETWORKS] == [8, 18]
    sparse = next(r for r in rows if r.method == "Sparse VD 2017" and r.network == "lenet-300-100")
    assert (sparse.error_pct, sparse.weights_left, sparse.macs) == (1.92, 3915, 3915)
    gss = [r for r in rows if r.method == "GSS 2018"]
    assert [(r.error_pct, r.delta_error_pct, r.kept_units) for r in gss] == [
        (None, 0.08, "3-11-109"), (None, 0.2, "3-8-82"),
    ]  # fmt: skip


def test_a_difference_counts_from_our_own_dense_network() -> None:
    assert row(error_pct=None, delta_error_pct=0.2).most_error_pct(0.7) == pytest.approx(0.9)
    assert row(error_pct=1.0).most_error_pct(0.7) == 1.0


def test_executed_macs_count_against_structured_rows_and_ideal_ones_against_others() -> None:
    assert row(kind="structured", weights_left=None, macs=450).is_met_by(10**6, 500, 400) is False
    assert row(kind="unstructured", weights_left=None, macs=450).is_met_by(10**6, 500, 400) is True
    assert row(weights_left=1000).is_met_by(1001, 0, 0) is False
    assert row(weights_left=1000).is_met_by(1000, 10**9, 10**9) is True, "the row gives no MACs"


def test_cuts_and_settings_are_chosen_by_validation() -> None:
    good = setting((cut(0.99, 900), cut(0.995, 1100)), (cut(0.98, 950),), trial=1)
    worse = setting((cut(0.985, 10),), (cut(0.98, 10),), trial=2)
    found = chosen(row(), [worse, good])
    assert found is not None
    assert (found[0].trial, [c.weights_left for c in found[1]]) == (1, [900, 950])


def test_every_training_must_be_small_enough_and_of_the_same_network() -> None:
    assert chosen(row(), [setting((cut(0.99, 900),), (cut(0.99, 1100),))]) is None
    assert chosen(row(), [setting((cut(0.99, 900),), network="lenet-300-100")]) is None


def test_of_equally_accurate_cuts_the_smallest_is_taken() -> None:
    found = chosen(row(), [setting((cut(0.99, 900), cut(0.99, 300), cut(0.98, 100)))])
    assert found is not None
    assert found[1][0].weights_left == 300


def test_the_test_error_decides_nothing_but_the_verdict() -> None:
    """The setting that is better in validation is claimed, though the other would dominate."""
    settings = [setting((cut(0.99, 1, name="a"),) * 1, (cut(0.99, 1, name="a"),)),
                setting((cut(0.98, 1, name="b"),), (cut(0.98, 1, name="b"),), trial=1)]  # fmt: skip
    errors = {"a": 1.1, "b": 0.5}
    made = claim(row(), settings, 0.7, lambda _, c: errors[c.name])
    assert made is not None
    assert (made.error_pct, made.spread_pct, made.dominates) == (pytest.approx(1.1), 0.0, False)
    errors["a"] = 1.0
    again = claim(row(), settings, 0.7, lambda _, c: errors[c.name])
    assert again is not None
    assert again.dominates, "no higher is enough"


def twin_of(told: Claim) -> Control:
    return control("twin", told, (1.0, 1.2), helped_by=help_of(told))


def lines() -> list[Line]:
    met = claim(row(), [setting((cut(0.99, 1000),), (cut(0.99, 900),))], 0.7, lambda _, c: 0.9)
    helped = claim(row(), [setting((cut(0.99, 1000),), (cut(0.99, 900),), help_="shifts")], 0.7, lambda _, c: 0.8)
    short = claim(row(), [setting((cut(0.99, 1000),), (cut(0.99, 900),))], 0.7, lambda _, c: 1.25)
    assert met is not None
    assert helped is not None
    assert short is not None
    return [
        Line(row=row(), claims=(met,), most_pct=1.0), Line(row=row(), claims=(short, helped), most_pct=1.0),
        Line(row=row(weights_left=1), claims=(), most_pct=1.0),
    ]  # fmt: skip


def test_lines_say_by_how_much_and_with_what_help() -> None:
    first, second, third = (cells(line) for line in lines())
    assert first[0][4:] == ("0.90 ± 0.00", "950", "400", "gasl (λ_a = 0), weight", "none", "dominated by 0.10")
    assert [line[-2:] for line in second] == [("none", "0.25 short"), ("shifts", "dominated by 0.20")]
    assert third[0][-3:] == ("no network so small", "", "no")
    assert score(lines(), "lenet-5") == (2, 1, 3)
    delta = Line(row=row(error_pct=None, delta_error_pct=0.2), claims=(), most_pct=math.nan)
    assert (cells(delta, ran=False)[0][1], cells(delta, ran=False)[0][-3]) == ("dense + 0.20", "not run yet")


def test_controls_are_told_under_the_claims_with_their_difference_to_the_row() -> None:
    line = lines()[0]
    random = Control(what="random mask, filter", help="none", errors_pct=(3.0, 4.0), weights_left=10.4, macs=999.6)
    told = cells(replace(line, controls=(random, control("twin", line.claims[0], (0.9, 0.7), helped_by="shifts"))))
    assert told[1] == ("", "", "", "", "3.50 ± 0.71", "10", "1,000", "control: random mask, filter", "none", "+2.50")
    assert told[2][4:] == ("0.80 ± 0.14", "950", "400", "control: twin", "shifts", "-0.20")
    assert score([replace(line, claims=(), controls=(random,))], "lenet-5")[0] == 0, "a control dominates nothing"


@pytest.mark.parametrize(
    ("help_", "has"),
    [("none", "none"), ("shifts", "shifts"), ("distilled", "none"), ("shifts and distilled", "shifts")],
)
def test_a_twin_has_the_shifts_of_its_network_but_no_teacher(help_: str, has: str) -> None:
    found = claim(row(), [setting((cut(0.99, 1000),), (cut(0.99, 900),), help_=help_)], 0.7, lambda _, c: 0.9)
    assert found is not None
    assert help_of(found) == has
    assert {twin.augment for twin in twins_of(found)} == {"shift1" if has == "shifts" else "none"}


def test_what_is_told_of_a_row_is_what_dominates_it_with_the_least_help() -> None:
    first, second, third = lines()
    assert (first.told, second.told, third.told) == (first.claims[0], second.claims[1], None)


def test_the_lines_become_a_picture(tmp_path: Path) -> None:
    save_picture(lines(), tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_names_in_the_picture_do_not_meet() -> None:
    sheet = Figure(figsize=(6, 4), dpi=100)
    canvas, panel = FigureCanvasAgg(sheet), sheet.subplots()
    points = [(90.0 + at, 0.6 + 0.01 * (at % 3), f"published {at}") for at in range(6)]
    panel.plot([10, 200], [0.5, 1.0], linestyle="none")
    for x, y, _ in points:
        panel.plot([x], [y], marker="x")
    canvas.draw()
    write_names(panel, points)
    boxes = {text.get_text(): Text.get_window_extent(text, canvas.get_renderer()) for text in panel.texts}
    assert sorted(boxes) == sorted(name for _, _, name in points), "each once"
    assert not any(a.overlaps(b) for a, b in combinations(boxes.values(), 2))
    assert all(panel.bbox.x0 < box.x0 and box.x1 < panel.bbox.x1 for box in boxes.values())


def part(settings: int = 2, answers: int = 0, error: float = 0.9) -> Part:
    """Of LeNet-5: one setting of two trainings that is small enough for every row."""
    trained = setting((cut(0.99, 1, 1, 1),), (cut(0.98, 1, 1, 1),))
    claims = [claim(row, [trained], 0.7, lambda _, c: error) for row in published() if row.network == "lenet-5"]
    answer = Answer(network="lenet-5", granularity="filter", form=FORMS[0], strength=1e-3, sparsity=0.5,
                    differences=(0.1, 0.2))  # fmt: skip
    return Part(
        network="lenet-5", answers=(answer,) * answers, dense_pct=0.7, settings=settings, hours=1.25,
        lines=tuple(
            Line(row=c.row, claims=(c,), most_pct=c.most_pct, controls=(twin_of(c),)) for c in claims if c is not None
        ),
        found_on={"processor": "P", "date": "2026-01-01"},
    )  # fmt: skip


def test_a_part_is_told_again_from_its_file_as_it_was(tmp_path: Path) -> None:
    file, made = tmp_path / "page.json", part(answers=1)
    put(file, [made])
    again = kept(file)["lenet-5"]
    assert [cells(line) for line in again.lines] == [cells(line) for line in made.lines]
    assert (again.answers, again.dense_pct, again.settings, again.hours) == (made.answers, 0.7, 2, 1.25)
    assert command.words(again) == command.words(made)
    assert "lenet-5: 10 of 18 rows dominated" in command.words(again)[0]
    told = json.loads(file.read_text())["parts"]["lenet-5"]["rows"][0]
    assert (told["dominated"], told["ours"][0]["errors_pct"]) == (False, [0.9, 0.9])


def test_figures_of_other_settings_are_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "page.json"
    assert (kept(file), left_behind(file)) == ({}, set())
    put(file, [part()])
    assert left_behind(file) == set()
    monkeypatch.setattr(parts, "LASSO", {"filter": 1.0, "weight": 1.0})
    assert (kept(file), left_behind(file)) == ({}, {"lenet-5"})
    file.write_text('{"parts": {"lenet-5": {}}}')
    with pytest.raises(ValueError, match=r"page\.json is damaged"):
        kept(file)


def test_the_part_that_rests_on_more_is_told_and_no_answer_is_lost() -> None:
    new, old = part(1, error=0.5), part(3, answers=3)
    assert better(new, None) is new
    assert better(new, old).settings == 3
    assert better(part(3, answers=1), old).answers == old.answers
    assert better(part(4, error=0.5), old).lines[0].claims[0].error_pct == 0.5
    assert better(part(0), part(0, answers=2)).answers == part(0, answers=2).answers


def test_how_many_trials_a_sweep_has_is_no_other_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "lenet-5--weights.yaml"
    monkeypatch.setattr(parts, "campaigns", lambda networks: [Campaign(file=file)])
    seen = []
    for text in (
        "budget: {trials: 4, epochs: 9}",
        "# b\nbudget: {trials: 8, epochs: 9}",
        "budget: {trials: 4, epochs: 8}",
    ):
        file.write_text(text)
        seen.append(parts.asked("lenet-5"))
    assert seen[0] != seen[2]
    file.write_text("budget: {trials: 8, epochs: 9}")
    assert parts.asked("lenet-5") == seen[0]


def test_every_sweep_of_the_folder_is_one() -> None:
    found = campaigns(NETWORKS)
    assert len(found) == 19
    for campaign in found:
        sweep = load_sweep(str(campaign.file), catalogue())
        assert (sweep.name, sweep.task.network, sweep.seeds) == (campaign.name, campaign.network, 3)
        assert ("augment" in sweep.trial) == ("shifts" in campaign.help)
        assert ("distillation" in sweep.trial) == ("distilled" in campaign.help)
    assert {c.help for c in found} == {"none", "shifts", "shifts and distilled"}
    assert Campaign(file=Path("lenet-5--weights-shifts.yaml")).help == "shifts"


def test_a_level_is_that_of_what_is_at_least_so_sparse() -> None:
    assert level([(0.5, 0.99), (0.9, 0.97), (0.95, 0.98)], 0.9) == 0.98
    assert level([(0.5, 0.99)], 0.9) == 0.0


def keep(question: Question, trial: Trial, accuracy: float) -> None:
    question.folder.mkdir(parents=True, exist_ok=True)
    (question.folder / f"{trial.key}.json").write_text(json.dumps({"curve": [[0.999, accuracy]]}))


def test_the_question_is_answered_once_all_its_trials_are_there(tmp_path: Path) -> None:
    """At strength 1e-3 the choosing seeds do best; with it each seed is .3 to .7 points better than without."""
    question = Question(folder=tmp_path / "kept", data_root=tmp_path, processes=1)
    network = ("lenet-5",)
    choosing = [trial for trial in first_trials(network) if trial.form == "scale_free"]
    assert len(choosing) == 6
    assert list(question.answers(network)) == []
    for trial in choosing:
        keep(question, trial, 0.99 if trial.strength == 1e-3 else 0.9)
    assert question.best_strength("lenet-5", "filter", "scale_free") == 1e-3
    assert question.best_strength("lenet-5", "filter", "log_variance") is None
    todo = list(question.second_trials(network))
    assert {(t.strength, t.seed) for t in todo} == {(s, seed) for s in (0.0, 1e-3) for seed in compared("lenet-5")}
    for trial in todo:
        keep(question, trial, 0.97 if trial.strength == 0 else 0.973 + 0.001 * trial.seed)
    assert question.missing(todo) == []
    answers = list(question.answers(network))
    assert [answer.sparsity for answer in answers] == list(SPARSITIES["filter"])
    assert answers[0].differences == pytest.approx((0.3, 0.4, 0.5, 0.6, 0.7))
    low, high = answers[0].interval
    assert (low, high) == pytest.approx((0.5 - 0.1963, 0.5 + 0.1963), abs=1e-3)
    assert [verdict(answer, p) for answer, p in zip(answers, adjusted(answers), strict=True)] == ["helps"] * 3


def answer_of(*differences: float) -> Answer:
    return Answer(
        network="lenet-5", granularity="filter", form=FORMS[0], strength=1e-3, sparsity=0.5, differences=differences
    )


def test_an_interval_around_nothing_is_no_difference() -> None:
    answer = answer_of(0.1, -0.1, 0.05, -0.02, 0.0)
    assert verdict(answer, answer.p) == "no difference shown"
    assert mean(answer.interval) == pytest.approx(mean(answer.differences))
    assert verdict(answer_of(-0.1, -0.11, -0.12), 0.01) == "harms"


def test_what_one_comparison_shows_is_nothing_among_twenty() -> None:
    """Its p alone is .0127: below .05 among two, above it among twenty."""
    shown, nothing = answer_of(0.1, 0.2, 0.25, 0.15, 0.4), answer_of(0.1, -0.1, 0.05, -0.02, 0.0)
    assert shown.p == pytest.approx(0.0127, abs=0.002)
    two, twenty = adjusted([nothing, shown]), adjusted([nothing] * 19 + [shown])
    assert (two[1], twenty[19]) == (pytest.approx(2 * shown.p), pytest.approx(20 * shown.p))
    assert two[0] == pytest.approx(nothing.p)
    assert (verdict(shown, two[1]), verdict(shown, twenty[19])) == ("helps", "no difference shown")
    assert twenty[0] == 1.0


def test_another_setting_is_another_trial() -> None:
    one, other = trials_of("lenet-5", "filter", "scale_free", 1e-3, (0, 1))
    assert one.key != other.key
    assert one.key == trials_of("lenet-5", "filter", "scale_free", 1e-3, (0,))[0].key


def test_a_twin_has_the_shape_and_the_zeros_of_its_network_and_fresh_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = {"epochs": 1, "cuts": 2, "finetune_epochs": 0}
    record = run_trial(plan(granularity="weight", fixed=fixed), TrialFolder(tmp_path / "trial"), debug=True)
    point = next(p for p in record.points if p.cut == "01")
    path, task = tmp_path / "trial" / str(point.network), plan().task
    seen: list[nn.Module] = []
    monkeypatch.setattr(twins, "measured_error_pct", lambda net, _: seen.append(net) or 12.5)
    monkeypatch.setattr(twins, "HOW", {**twins.HOW, "epochs": 1})
    assert twins.trained_from_scratch(task, Twin(network="mlp", path=path, seed=0, augment="none")) == 12.5
    pruned, twin = prunable_layers(load_network(path, task.build)), prunable_layers(seen[0])
    for name, layer in pruned.items():
        assert torch.equal(layer.weight == 0, twin[name].weight == 0)
    first = next(iter(pruned))
    assert not torch.equal(pruned[first].weight, twin[first].weight)


def test_twins_are_those_of_each_training_and_each_is_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lines()[1].claims[1]  # with shifts, two trainings with the same cut
    known = Twins(folder=tmp_path / "twins", data_root=tmp_path)
    todo = known.missing([made, made])
    assert [(twin.seed, twin.augment) for twin in todo] == [(0, "shift1"), (1, "shift1")]
    assert known.errors_of(made) is None
    known.folder.mkdir()
    monkeypatch.setattr(twins, "trained_from_scratch", lambda task, twin: 1.0 + twin.seed)
    twins.train_one(todo[1], known.folder, tmp_path)
    assert known.errors_of(made) is None, "one is missing"
    assert [twin.seed for twin in known.missing([made])] == [0]
    twins.train_one(todo[0], known.folder, tmp_path)
    assert known.errors_of(made) == (1.0, 2.0)
    monkeypatch.setattr(twins, "HOW", {**twins.HOW, "epochs": 1})
    assert known.errors_of(made) is None, "trained in another way"


def _square(number: int, folder: Path) -> None:
    (folder / str(number)).write_text(str(number**2))


def test_jobs_run_side_by_side_and_closing_begins_no_further_one(tmp_path: Path) -> None:
    assert sorted(side_by_side([1, 2, 3], partial(_square, folder=tmp_path), 2)) == [1, 2, 3]
    assert [(tmp_path / str(n)).read_text() for n in (1, 2, 3)] == ["1", "4", "9"]
    with pytest.raises(FileNotFoundError):
        list(side_by_side([1], partial(_square, folder=tmp_path / "missing"), 1))
    running = side_by_side(range(10, 60), partial(_square, folder=tmp_path), 1)
    next(running)
    running.close()
    assert len(list(tmp_path.iterdir())) < 3 + 50


def test_a_network_is_tested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(tested, "load_network", lambda path, build: None)
    monkeypatch.setattr(tested, "measured_error_pct", lambda net, task: asked.append(1) or 1.25)
    network = Path("sweeps/s/trials/00001/attempt-1/03")
    assert tested.Tests.open(tmp_path / "tested.json", tmp_path).error_pct("lenet-5", network) == 1.25
    assert tested.Tests.open(tmp_path / "tested.json", tmp_path).error_pct("lenet-5", network) == 1.25
    assert len(asked) == 1
    (tmp_path / "tested.json").write_text("{")
    with pytest.raises(ValueError, match=r"tested\.json is damaged"):
        tested.Tests.open(tmp_path / "tested.json", tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data-root", "/nowhere/at/all"], "--data-root /nowhere/at/all is not a folder that can be read"),
        (["--data-root", ".", "--budget", "nan"], "--budget nan is no number of minutes: give 0 to 100000"),
        (["--data-root", ".", "--only", "lenet5"], "--only lenet5 is not known: give some of lenet-300-100, lenet-5"),
    ],
)
def test_bad_input_is_one_message(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device", "/x/y.json"), StorageFullError("no room")])
def test_a_full_disk_is_one_message(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise fault

    monkeypatch.setattr(command, "work", full)
    assert command.main(["--data-root", "."]) == 2
    said = capsys.readouterr().err
    assert str(fault) in said
    assert "make room, and the same command with --into goes on" in said

"""What contenders are given and what they run: the same space in every engine's words, the same trial."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import torch
import yaml

from sparsweep.search.catalogue import catalogue
from sparsweep.search.dominance import volume
from sparsweep.spaces.load import presets, read_sweep
from sparsweep.spaces.space import Choice, Float, Int, Knob, Space
from sparsweep.spaces.sweep_file import Resources
from sparsweep.trainables.attempt import Attempt, run_trial
from sparsweep.trainables.record import TrialStore
from sparsweep.trainables.tasks import Task
from tests.benchmarks.machine import quiet_environment, root
from tests.benchmarks.search.__main__ import main
from tests.benchmarks.search.benchmark import Benchmark
from tests.benchmarks.search.contenders import (
    ABLATIONS,
    CONTENDERS,
    OURS,
    Contender,
    Start,
    aside_of,
    command_of,
    differs,
    sources_of,
    sweep_text,
)
from tests.benchmarks.search.contest import (
    AXES,
    ZERO,
    Contest,
    knobs_as_json,
    parameter,
    parameters_of,
    row_of,
    suggested,
)
from tests.benchmarks.search.one_run import points_of_peer, points_of_sweep, with_test_accuracy
from tests.benchmarks.search.one_trial import begun, by_epoch, one_point, whole_descent
from tests.benchmarks.search.over_time import Curve, front_of
from tests.benchmarks.search.without_forerunners import none_forked
from tests.benchmarks.search.without_reuse import config

SPACE = Space(
    (
        Knob(name="method", range=Choice(choices=("gasl",))),
        Knob(name="form", range=Choice(choices=("even", "steep"))),
        Knob(name="strength", range=Float(low=1e-4, high=1e-2, log=True, or_zero=True), when={"form": "even"}),
        Knob(name="strength", range=Float(low=1e-2, high=1.0, log=True), when={"form": "steep"}),
        Knob(name="rounds", range=Int(low=1, high=4)),
    )
)
ROWS = (
    {"method": "gasl", "form": "even", "strength": 0.0, "rounds": 1},
    {"method": "gasl", "form": "even", "strength": 1e-3, "rounds": 2},
    {"method": "gasl", "form": "steep", "strength": 0.5, "rounds": 4},
)


def contest_of(folder: Path, *, epochs: int = 3, preset: str = "digits", seed: int = 0) -> Contest:
    """The preset's contest, with a few epochs and cuts."""
    benchmark = Benchmark(
        preset=preset, minutes=1, seeds=1, data_root=None, keep=folder, contenders=CONTENDERS, found_on={}, slots=2
    )
    contest = benchmark.contest(seed, folder)
    return Contest(**{**vars(contest), "fixed": {**contest.fixed, "epochs": epochs, "cuts": 3}})


def test_settings_in_an_engines_words_and_back() -> None:
    assert [row_of(SPACE, parameters_of(SPACE, row)) for row in ROWS] == list(ROWS)
    assert parameters_of(SPACE, ROWS[0]) == {
        "method": "gasl", "form": "even", "strength.form.even" + ZERO: True, "rounds": 1
    }  # fmt: skip


def test_optuna_proposes_within_the_space_and_takes_first_settings() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for row in ROWS:
        study.enqueue_trial(parameters_of(SPACE, row))
    proposed = [SPACE.row(suggested(study.ask())) for _ in range(40)]
    assert proposed[:3] == list(ROWS)
    for row in proposed:
        SPACE.labels_of(row)  # raises where a value is outside its range
    assert {row["strength"] == 0 for row in proposed[3:] if row["form"] == "even"} == {True, False}


@pytest.mark.parametrize("preset", AXES)
def test_no_two_knobs_of_a_preset_share_a_parameter(preset: str, tmp_path: Path) -> None:
    space = contest_of(tmp_path, preset=preset).space()
    names = [parameter(knob.label) for knob in space.knobs]
    assert len(set(names)) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzFT0123456789_.") for name in names)


@pytest.mark.parametrize("preset", AXES)
def test_a_contest_comes_back_from_its_file(preset: str, tmp_path: Path) -> None:
    contest = contest_of(tmp_path, preset=preset)
    assert Contest.read(contest.write()) == contest
    assert knobs_as_json(contest.space()) == contest.knobs
    assert parameters_of(contest.space(), contest.known_good[0])


def test_equal_settings_are_equal_trials_and_seeds_differ(tmp_path: Path) -> None:
    first, other = contest_of(tmp_path), contest_of(tmp_path, seed=1)
    row = first.known_good[0]
    assert first.plan(row, descent="none").seed == first.plan(dict(row), descent="nested").seed
    assert first.plan(row, descent="none").seed != other.plan(row, descent="none").seed
    assert first.plan({**row, "threshold": 0.01}, descent="none").seed != first.plan(row, descent="none").seed


def test_one_point_is_noted_with_its_network_and_tested(tmp_path: Path) -> None:
    contest = contest_of(tmp_path)
    accuracy, removed = one_point(contest, contest.known_good[0])
    found = list(points_of_peer(contest, 0.0))
    assert len(found) == 2  # the cut untouched, and fine-tuned: the second is what the search is told
    assert (found[1].accuracy, found[1].removed) == (accuracy, removed)
    task = contest.plan(contest.known_good[0], descent="none").task
    front = list(with_test_accuracy(found, task))
    assert all(0 <= share <= 1 for point in front for share in point)
    assert {(a, r) for a, r, _ in front} <= {(p.accuracy, p.removed) for p in found}


def test_a_descent_is_worth_at_least_its_own_cut(tmp_path: Path) -> None:
    contest = replace(contest_of(tmp_path), axes=("macs_removed",), constraints=())
    accuracy, removed = one_point(contest, contest.known_good[0])
    assert whole_descent(contest, contest.known_good[0]) >= accuracy * removed
    assert len(list(points_of_peer(contest, 0.0))) == 2 + 2 + 3


def test_a_descent_is_worth_what_it_is_to_our_own_search(tmp_path: Path) -> None:
    contest = contest_of(tmp_path)
    assert (contest.axes, contest.constraints) == (("macs_removed", "sparsity"), ("accuracy >= 0.9",))
    assert whole_descent(replace(contest, constraints=("accuracy >= 1",)), contest.known_good[0]) == 0


def test_every_epoch_is_a_point_and_training_goes_on_as_if_unseen(tmp_path: Path) -> None:
    contest = contest_of(tmp_path)
    row = contest.known_good[0]
    seen = list(by_epoch(contest, row))
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3]
    assert seen[-1][1:] == one_point(contest, row)
    assert len(list(points_of_peer(contest, 0.0))) == 2 + 2 + 2


def test_points_of_a_sweep_are_finished_when_they_can_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparsweep.trainables.attempt.SHOW_EVERY_S", 1e9)
    contest = contest_of(tmp_path)
    store = TrialStore(tmp_path / "home" / "sweeps" / "digits" / "trials")
    record = run_trial(contest.plan(contest.known_good[0], descent="nested"), store.folder(0), debug=True)
    at_work = Attempt.begin(replace(contest.plan(contest.known_good[0], descent="nested"), number=1), store.folder(1))
    at_work.run(until=lambda trial: len(trial.points) == 3)
    at_work.show()
    shown = store.folder(1).so_far()
    assert shown is not None
    at_work.run(until=lambda trial: len(trial.points) == 4)  # measured, but not seen yet
    points = [*record.points, *shown.points]
    found = list(points_of_sweep(contest, record.ended_ms / 1e3 - 7))
    assert len(found) == len(points) == len(record.points) + 3
    assert [p.at_s for p in found] == pytest.approx([7 + (int(p.at_ms or 0) - record.ended_ms) / 1e3 for p in points])
    assert max(point.at_s for point in found[: len(record.points)]) <= 7 < found[-1].at_s
    values = [(p.accuracy, p.macs_removed) for p in points]
    assert [(p.accuracy, p.removed) for p in found] == values
    assert Curve.of([(p.at_s, p.accuracy, p.removed) for p in found], 60).at(60) == volume(values, (0.0, 0.0))
    front = list(with_test_accuracy(found, Task.from_json(contest.task)))
    assert [(a, r) for a, r, _ in front] == sorted(front_of(values), reverse=True)


def test_a_sweep_that_has_not_begun_has_no_points(tmp_path: Path) -> None:
    assert list(points_of_sweep(contest_of(tmp_path), 0.0)) == []


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    contest = contest_of(tmp_path)
    line = json.dumps({"at": 105.0, "values": [0.9, 0.5], "network": "n"})
    (tmp_path / "points-7.jsonl").write_text(f"{line}\n{line[:20]}")
    (found,) = points_of_peer(contest, 100.0)
    assert (found.at_s, found.accuracy, found.removed, found.network) == (5, 0.9, 0.5, Path("n"))


def test_a_trial_begins_from_its_seed_whatever_came_before(tmp_path: Path) -> None:
    contest = contest_of(tmp_path)
    first = begun(contest, contest.known_good[0], descent="none").net.state_dict()
    torch.rand(7)
    again = begun(contest, contest.known_good[0], descent="none").net.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("preset", AXES)
@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda each: each.name)
def test_every_ablation_is_a_sweep_file_that_differs(ablation: Contender, preset: str) -> None:
    sweep = read_sweep(sweep_text(ablation, preset), catalogue(), title=ablation.name, stem=preset)
    plain = read_sweep(sweep_text(OURS, preset), catalogue(), title=preset, stem=preset)
    assert sweep.task == plain.task
    assert (sweep.as_json() != plain.as_json()) == (bool(ablation.overrides) and differs(ablation, preset))
    assert ablation.overrides or ablation.options or ablation.wrapper


def test_only_where_the_preset_looks_ahead_or_stops_not_to_is_an_ablation() -> None:
    left = {preset: {each.name for each in ABLATIONS if not differs(each, preset)} for preset in AXES}
    assert left == {"digits": {"no-look", "no-stopping"}, "lenet300-mnist": set()}


def test_ours_is_the_preset_itself(tmp_path: Path) -> None:
    start = Start(preset="digits", minutes=0.5, data_root=None, syne_tune=None)
    command = command_of(OURS, contest_of(tmp_path, seed=4), start)
    assert command[1:] == ["run", "digits", "--seed", "4", "--time-limit", "30s", "--trials", "100000"]
    assert set(AXES) <= set(presets())


def test_an_ablation_is_a_file_beside(tmp_path: Path) -> None:
    start = Start(preset="digits", minutes=0.5, data_root="/data", syne_tune=None)
    ablation = next(each for each in ABLATIONS if each.name == "few-cuts")
    command = command_of(ablation, contest_of(tmp_path), start)
    assert command[2] == str(tmp_path / "digits.yaml")
    assert command[-2:] == ["--data-root", "/data"]
    assert yaml.safe_load(Path(command[2]).read_text())["trial"] == {
        "descent": "nested", "cuts": 4, "finetune_epochs": 1
    }  # fmt: skip


def test_without_reuse_it_is_the_same_command_with_one_setting_of_ray_s_otherwise(tmp_path: Path) -> None:
    start = Start(preset="digits", minutes=0.5, data_root=None, syne_tune=None)
    ablation = next(each for each in ABLATIONS if each.name == "no-reuse")
    command, plain = (command_of(each, contest_of(tmp_path), start) for each in (ablation, OURS))
    assert command[1:4] == ["-m", "tests.benchmarks.search.without_reuse", "run"]
    assert command[3:] == plain[1:]
    assert config(reuse_actors=True, num_samples=3).reuse_actors is False
    assert config(reuse_actors=True, num_samples=3).num_samples == 3


def test_without_forerunners_it_is_the_same_command(tmp_path: Path) -> None:
    start = Start(preset="digits", minutes=0.5, data_root=None, syne_tune=None)
    ablation = next(each for each in ABLATIONS if each.name == "no-forerunners")
    command, plain = (command_of(each, contest_of(tmp_path), start) for each in (ablation, OURS))
    assert command[1:4] == ["-m", "tests.benchmarks.search.without_forerunners", "run"]
    assert command[3:] == plain[1:]
    assert none_forked(Resources()) == 0


def test_without_known_good_settings_a_sweep_begins_with_what_its_sampler_draws(tmp_path: Path) -> None:
    words = "run digits --inline --trials 1 --epochs 1 --name drawn"
    first = {}
    for module in ("sparsweep.search.cli", "tests.benchmarks.search.without_known_good"):
        environment = quiet_environment(SPARSWEEP_HOME=str(tmp_path / module), PYTHONPATH=str(root()))
        command = [sys.executable, "-m", module, *words.split()]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        assert ended.returncode == 0 or "no point satisfies" in ended.stderr + ended.stdout, ended.stderr
        (setting,) = (tmp_path / module).glob("sweeps/drawn/trials/00000/setting.json")
        first[module] = json.loads(setting.read_text())["setting"]
    good = contest_of(tmp_path).known_good
    assert [row in good for row in first.values()] == [True, False]


def test_moasha_gets_the_space_and_the_first_setting(tmp_path: Path) -> None:
    start = Start(preset="digits", minutes=0.5, data_root=None, syne_tune=Path("python"))
    contest = contest_of(tmp_path)
    moasha = next(each for each in CONTENDERS if each.name == "moasha")
    orders = json.loads(Path(command_of(moasha, contest, start)[2]).read_text())
    assert orders["first"] == [parameters_of(contest.space(), contest.known_good[0])]
    assert set(orders["first"][0]) <= set(orders["space"])
    assert orders["space"]["threshold"] == ["loguniform", 3e-3, 2e-1]
    assert {kind for kind, *_ in orders["space"].values()} == {"choice", "loguniform"}


def test_the_sources_of_a_contender_are_there() -> None:
    root = Path(__file__).parents[2]
    assert all(
        (root / part).exists() for each in (*CONTENDERS, *ABLATIONS) for part in (*sources_of(each), *aside_of(each))
    )
    ours = sources_of(CONTENDERS[0])
    assert {"search/sweep.py", "search/with_ray", "search/proposals.py", "trainables", "spaces"} <= set(ours)
    assert not {"search/ui", "search/notebook.py"} & set(ours), "a page that changes leaves runs valid"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minutes", "0", "--seeds", "1"], "--minutes 0 is no budget: give 0.1 to 10080"),
        (["--minutes", "nan", "--seeds", "1"], "--minutes nan is no budget"),
        (["--minutes", "1", "--seeds", "0"], "--seeds 0 cannot be run: give 1 to 1000"),
        (
            ["--minutes", "1", "--seeds", "1", "--only", "optuna,optima"],
            "--only optima is not known: give some of spars",
        ),
        (["--minutes", "1", "--seeds", "1", "--data-root", "/no/where"], "--data-root /no/where is not a folder"),
    ],
)
def test_bad_input_is_told_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--task", "digits", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("search benchmark: ")
    assert said in line


def test_a_file_in_place_of_the_keep_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept").write_text("")
    words = ["--task", "digits", "--minutes", "1", "--seeds", "1", "--keep", str(tmp_path / "kept")]
    assert main(words) == 2
    assert "is not a folder: name one, or one that can be made" in capsys.readouterr().err

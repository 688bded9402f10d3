"""Sweeps in a notebook: tables and HTML from the stores, whatever state the sweep is in; picks; what is refused."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sparsweep.search.frontier import Frontier
from sparsweep.search.home import Home
from sparsweep.search.notebook import PickedVersion, Sweep
from sparsweep.search.sketch import HEIGHT, WIDTH, Scale, sketch
from sparsweep.search.sweep_folder import SweepFolder, Where
from sparsweep.search.with_mlflow import ModelVersionInfo
from sparsweep.spaces.load import presets
from tests.search.points import THREE, make_point
from tests.search.records import commit, make_record
from tests.search.test_frontier_index import point as kept
from tests.search.test_frontier_index import sweep_of
from tests.search.test_imports import HEAVY

HERE = Where()
EVIL = "<script>alert('x')</script>"


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    """An empty sweep named digits in a home of its own."""
    folder = SweepFolder(Home(tmp_path / "state").sweep("digits"))
    folder.create(sweep_of(), HERE)
    return folder


@pytest.fixture
def sweep(folder: SweepFolder, tmp_path: Path) -> Sweep:
    """Two trials that ended and one that failed."""
    store = folder.store(HERE)
    commit(store, make_record(0, kept(0, "00", 0.9, 0.5, test_accuracy=0.88), kept(0, "01", 0.4, 0.4)))
    commit(store, make_record(1, kept(1, "00", 0.5, 0.9), ended_s=3.0))
    commit(store, make_record(2, reason="diverged: the loss is nan", ended_s=4.0))
    return Sweep.open("digits", home=tmp_path / "state")


def html_of(shown: Any) -> str:
    """What a notebook shows; it must be well-formed, and load and run nothing."""
    text = shown._repr_html_()
    ElementTree.fromstring(f"<div>{text}</div>")
    assert not re.findall(r"<script|<link|<img|<iframe|\bon\w+=|(?:src|href)\s*=", text)
    return str(text)


def test_a_sweep_that_is_not_there_is_told_with_those_that_are(sweep: Sweep) -> None:
    with pytest.raises(ValueError, match=r"no sweep 'digit' in .*/state; did you mean digits\?; there is digits"):
        Sweep.open("digit", home=sweep.home.path)
    with pytest.raises(ValueError, match=r"no sweep 'digits' in .*nowhere; there is none yet"):
        Sweep.open("digits", home=sweep.home.path / "nowhere")


def test_the_home_is_found_as_the_commands_find_it(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSWEEP_HOME", str(sweep.home.path))
    assert Sweep.open("digits") == sweep


def test_its_state_is_what_status_says(sweep: Sweep) -> None:
    state = sweep.state
    assert (state["state"], state["done"], state["failed"], state["best_accuracy"]) == ("stopped", 2, 1, 0.9)


def test_its_frontier_and_its_points_are_those_of_the_records(sweep: Sweep) -> None:
    assert [point.id for point in sweep.frontier.points] == ["00000/00", "00001/00"]
    table = sweep.to_pandas()
    assert list(table["point"]) == ["00000/00", "00000/01", "00001/00"]
    assert list(table["frontier"]) == [True, False, True]
    assert list(table["accuracy"]) == [0.9, 0.4, 0.5]
    assert table["test_accuracy"].isna().tolist() == [False, True, True]
    assert set(table["sweep"]) == {"digits"}
    assert list(table["setting.sparsity_strength"]) == [1e-3] * 3


def test_its_trials_are_told_with_state_reason_and_setting(sweep: Sweep) -> None:
    table = sweep.trials()
    assert list(table["trial"]) == [0, 1, 2]
    assert list(table["state"]) == ["done", "done", "failed"]
    assert table["reason"].tolist()[2] == "diverged: the loss is nan"
    assert list(table["duration_s"]) == [1.0, 1.0, 1.0]
    assert list(table["points"]) == [2, 1, 0]
    assert table["accuracy"].tolist()[:2] == [0.9, 0.5]
    assert list(table["setting.sparsity_strength"]) == [0.003] * 3


def test_its_history_is_the_hypervolume_after_each_trial(sweep: Sweep) -> None:
    history = sweep.history
    assert list(history["trials"]) == [1, 2, 3]
    assert list(history["hours"] * 3600) == pytest.approx([1.0, 2.0, 3.0])
    assert list(history["hypervolume"]) == pytest.approx([0.45, 0.65, 0.65])


def test_it_shows_state_frontier_and_why_trials_failed(sweep: Sweep) -> None:
    text = html_of(sweep)
    assert "<b>digits</b>: stopped; 3 of 24 trials have ended, 1 failed" in text
    assert '<progress value="3" max="24">' in text
    assert "failed 1x: diverged: the loss is nan" in text
    assert "2 of 3 points on the frontier; hypervolume 0.6500" in text
    assert text.count("<tr") == 3
    assert text.count("<svg") == 2
    assert "<td>90.00 %</td><td>88.00 %</td><td>50.00 %</td>" in text


def test_a_sweep_without_points_shows_itself_and_has_empty_tables(folder: SweepFolder, tmp_path: Path) -> None:
    sweep = Sweep.open("digits", home=tmp_path / "state")
    text = html_of(sweep)
    assert "0 of 24 trials have ended" in text
    assert "no point yet" in text
    for table in (sweep.to_pandas(), sweep.trials(), sweep.frontier.to_pandas()):
        assert len(table) == len(table["accuracy"]) == 0
    assert list(sweep.history.columns) == ["trials", "hours", "hypervolume"]
    commit(folder.store(HERE), make_record(0, reason="out of memory"))
    assert "failed 1x: out of memory" in html_of(sweep)


def test_a_sweep_that_is_being_run_says_so(folder: SweepFolder, sweep: Sweep) -> None:
    with folder.held(HERE):
        assert "<b>digits</b>: running; 3 of 24" in html_of(sweep)
    assert "<b>digits</b>: stopped; 3 of 24" in html_of(sweep)


def test_what_keeps_points_from_the_frontier_is_told(tmp_path: Path) -> None:
    folder = SweepFolder(Home(tmp_path).sweep("digits"))
    folder.create(sweep_of(rules=("accuracy >= 0.99",)), HERE)
    commit(folder.store(HERE), make_record(0, kept(0, "00", 0.9, 0.5), kept(0, "01", 0.4, 0.4)))
    text = html_of(Sweep.open("digits", home=tmp_path))
    assert "no point so far meets accuracy &gt;= 0.99: the nearest, 00000/00, has accuracy 90.00 %" in text
    assert "<svg" in text
    assert "<table" not in text


def test_a_user_s_text_is_never_markup(folder: SweepFolder, tmp_path: Path) -> None:
    setting = {"method": EVIL, EVIL: EVIL}
    evil = kept(0, "00", 0.9, 0.5, method=EVIL, setting=setting, model_version=EVIL)
    commit(folder.store(HERE), make_record(0, evil, setting=setting))
    commit(folder.store(HERE), make_record(1, reason=EVIL))
    text = html_of(Sweep.open("digits", home=tmp_path / "state"))
    assert text.count("&lt;script&gt;") >= 4
    assert f"failed 1x: {EVIL.replace('<', '&lt;').replace('>', '&gt;')}".replace("'", "&#x27;") in text


def test_a_damaged_record_is_told_and_raises_nothing_where_it_is_shown(folder: SweepFolder, sweep: Sweep) -> None:
    (folder.store(HERE).folder(1).path / "result.json").write_text("{")
    assert re.search(r"<b>digits</b> cannot be read: .*result\.json is damaged", html_of(sweep))
    with pytest.raises(ValueError, match=r"result\.json is damaged"):
        sweep.to_pandas()


def test_a_large_sweep_is_shown_in_few_bytes(folder: SweepFolder, tmp_path: Path) -> None:
    cuts = [kept(0, f"{at:04d}", 0.9 - at / 5000, 0.1 + at / 5000) for at in range(2000)]
    dominated = [kept(1, f"{at:04d}", 0.5 - at / 5000, 0.3) for at in range(2000)]
    commit(folder.store(HERE), make_record(0, *cuts))
    commit(folder.store(HERE), make_record(1, *dominated))
    text = html_of(Sweep.open("digits", home=tmp_path / "state"))
    assert "2000 of 4000 points on the frontier" in text
    assert "and 1988 more" in text
    assert all(alias in text for alias in ("most-accurate", "sparsest", "knee"))
    assert len(text) < 150_000


def test_a_scale_leaves_room_and_puts_what_is_equal_into_the_middle() -> None:
    scale = Scale.over([2.0, 4.0, 3.0], (0, 100))
    assert [scale.at(value) for value in (2.0, 3.0, 4.0)] == pytest.approx([7.0, 50.0, 93.0])
    assert Scale.over([2.0, 4.0], (100, 0)).at(4.0) == pytest.approx(7.0)
    assert Scale.over([0.5], (0, 100)).at(0.5) == pytest.approx(50.0)
    assert scale.holds(2.0)
    assert not scale.holds(1.9)


@pytest.mark.parametrize("figure", ["sparsity", "macs"])
def test_a_sketch_has_the_better_to_the_right_and_the_more_accurate_above(figure: str) -> None:
    points = [make_point(at, accuracy=0.9 - 0.1 * at, sparsity=0.5 + 0.1 * at) for at in range(3)]
    drawn = ElementTree.fromstring(sketch(figure, Frontier.of("digits", points, THREE), points))
    (front,) = [each for each in drawn if each.get("stroke-width") == "8"]
    dots = [tuple(map(int, pair)) for pair in re.findall(r"M(\d+) (\d+)h0", front.get("d", ""))]
    assert len(dots) == 3
    assert dots == sorted(dots)
    assert [y for _, y in dots] == sorted(y for _, y in dots), "y counts downwards"
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in dots)


def test_importing_it_is_cheap() -> None:
    code = f"import sys, sparsweep.search.notebook; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def version(number: int, accuracy: float, macs: float) -> ModelVersionInfo:
    figures = {"accuracy": accuracy, "test_accuracy": accuracy, "sparsity": 1 - macs / 1000, "macs": macs}
    return ModelVersionInfo(
        model="digits", version=str(number), figures=figures, fingerprint="f00d", point=f"digits/00000/0{number}",
        frontier=True, aliases=(), run_id=None, tags={},
    )  # fmt: skip


class Shelf:
    """Stands for a registry with three versions."""

    def versions(self, model: str) -> list[ModelVersionInfo]:
        assert model == "digits"
        return [version(1, 0.99, 900), version(2, 0.95, 400), version(3, 0.8, 100)]

    def objectives(self, model: str) -> dict[str, str]:
        return {"accuracy": "max", "macs": "min"}


@pytest.fixture
def published(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setattr("sparsweep.search.model_commands.registry_at", lambda uri, home, model: Shelf())
    (sweep.home.path / "mlflow.db").touch()
    return sweep


def test_a_pick_tells_its_reason_and_the_next_best(published: Sweep) -> None:
    picked = published.pick("accuracy >= 0.9", best="macs")
    assert picked.uri == "models:/digits/2"
    assert picked.figures["accuracy"] == 0.95
    assert picked.reason == "version 2 has the lowest MACs, 400; 2 of 3 versions satisfy accuracy >= 0.9"
    assert picked.next_best == "next best is version 1 with 900, 500 more"
    assert repr(picked) == f"models:/digits/2: {picked.reason}; {picked.next_best}"
    text = html_of(picked)
    assert "<b>models:/digits/2</b>: version 2 has the lowest MACs, 400; 2 of 3 versions satisfy accuracy &gt;=" in text
    assert "<td>95.00 %</td><td>95.00 %</td><td>60.00 %</td><td>400</td>" in text
    assert published.pick().uri == "models:/digits/2", "the knee, unless asked otherwise"


def test_a_pick_that_nothing_satisfies_names_the_nearest(published: Sweep) -> None:
    with pytest.raises(ValueError, match=r"none of 3 versions satisfies macs < 50; version 3 misses macs < 50: it has"):
        published.pick("macs < 50")
    with pytest.raises(ValueError, match="best 'speed' is unknown: choose from accuracy, sparsity, speedup"):
        published.pick(best="speed")
    with pytest.raises(ValueError, match="accuracy is good"):
        published.pick("accuracy is good")


def test_without_a_registry_it_is_told_what_to_do(sweep: Sweep) -> None:
    with pytest.raises(ValueError, match=r"there is no registry in .*state yet; digits publishes .* sparsweep resume"):
        sweep.pick()
    assert not (sweep.home.path / "mlflow.db").exists(), "asking makes none"


def test_a_picked_name_is_never_markup() -> None:
    picked = PickedVersion(info=version(1, 0.9, 10), reason=EVIL, next_best=EVIL, registry=Shelf())  # type: ignore[arg-type]
    assert html_of(picked).count("&lt;script&gt;") == 2


def test_the_readme_s_lines_do_what_they_say(published: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL) if "notebook import Sweep" in b]
    asked: list[str] = []
    monkeypatch.setattr(Sweep, "run", lambda name: asked.append(name) or published)
    monkeypatch.setattr(PickedVersion, "load", lambda picked: picked.uri)
    found: dict[str, Any] = {}
    exec(block, found)
    assert asked == ["digits"]
    assert found["net"] == "models:/digits/1"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without any state."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARSWEEP_HOME", str(tmp_path / "state"))
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "SPARSWEEP_STORAGE_PATH", "SPARSWEEP_STUDY_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("digit", r"unknown preset 'digit'; did you mean digits\?"),
        (Path("digits"), r"/digits: there is no such file"),
        ("task: {network: lenet-digit, data: digits}", r"sweep file: 1 fault\n  line 1: .*did you mean lenet-digits"),
        (
            "task: {network: lenet-digits, data: digits}\nsede: 3\nbudget: {trials: 0}",
            r"(?s)2 faults\n  line .*\n  line ",
        ),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(source: str | Path, said: str, elsewhere: Path) -> None:
    assert "digits" in presets()
    with pytest.raises(ValueError, match=said):
        Sweep.run(source)
    assert not (elsewhere / "state").exists()


def test_another_thread_is_refused(elsewhere: Path) -> None:
    faults: list[str] = []

    def run() -> None:
        try:
            Sweep.run("digits")
        except ValueError as fault:
            faults.append(str(fault))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert faults == ["a sweep is run from the main thread only, where signals come: call Sweep.run there"]


def test_it_runs_what_the_command_would_and_leaves_the_process_as_it_was(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from sparsweep.search import sweep as engine

    seen: list[engine.Job] = []

    def stopped(job: engine.Job, console: Any) -> None:
        seen.append(job)
        signal.signal(signal.SIGUSR1, signal.default_int_handler)
        torch.set_num_threads(2)
        sys.setswitchinterval(0.001)
        raise engine.StoppedError("no answer from postgresql://me:very-secret@db/x; stopped")

    monkeypatch.setattr(engine, "run_sweep", stopped)
    before = (signal.getsignal(signal.SIGUSR1), torch.get_num_threads(), sys.getswitchinterval())
    with pytest.raises(engine.StoppedError, match=r"postgresql://me:\*\*\*@db/x; stopped"):
        Sweep.run("digits", trials=3, epochs=2, time_limit="5m", seed=7, name="mine", inline=True)
    assert (signal.getsignal(signal.SIGUSR1), torch.get_num_threads(), sys.getswitchinterval()) == before
    (job,) = seen
    assert (job.sweep.name, job.folder.path) == ("mine", elsewhere / "state" / "sweeps" / "mine")
    assert (job.sweep.budget.trials, job.sweep.budget.epochs, job.sweep.budget.time_limit_s) == (3, 2, 300)
    assert (job.sweep.sampler.seed, job.inline, job.where) == (7, True, Where())
    assert os.getcwd() == str(elsewhere)

"""Real contenders for a short while: each finds points, and nothing of it is left behind."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.benchmarks.search.benchmark import Benchmark
from tests.benchmarks.search.comparison import volume_on_test
from tests.benchmarks.search.contenders import CONTENDERS, Contender, Start
from tests.benchmarks.search.contest import Contest
from tests.benchmarks.search.family import Family
from tests.benchmarks.search.one_run import FailedRunError, run
from tests.benchmarks.search.over_time import Curve
from tests.benchmarks.search.picture import save_picture
from tests.benchmarks.search.syne_tune_environment import NotInstallableError, syne_tune_python
from tests.chaos.processes import gone

ORPHANS = """
import subprocess, sys, time
inner = "import os, subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
subprocess.run([sys.executable, "-c", inner], start_new_session=True)
print("ready", flush=True)
time.sleep(600)
"""
"""Leaves a grandchild whose parent has ended, in a session of its own, as Ray's daemons are."""


def test_a_family_is_ended_with_its_orphans(tmp_path: Path) -> None:
    output = tmp_path / "output.txt"
    family = Family.start([sys.executable, "-c", ORPHANS], folder=tmp_path, environment={}, output=output)
    while "ready" not in output.read_text():
        assert family.process.poll() is None
        time.sleep(0.05)
    members = family.members()
    assert len(members) == 2
    family.end()
    assert gone(members)
    assert family.members() == []


def test_another_family_is_left_alone(tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    first, second = (
        Family.start(sleep, folder=tmp_path, environment={}, output=tmp_path / name) for name in ("a", "b")
    )
    first.end()
    assert second.process.poll() is None
    second.end()
    assert second.process.poll() == -9


def digits(folder: Path, contender: Contender) -> Benchmark:
    return Benchmark(
        preset="digits", minutes=1, seeds=1, data_root=None, keep=folder, contenders=(contender,), found_on={}, slots=2
    )


def test_a_contender_that_fails_says_why(tmp_path: Path) -> None:
    wrong = Contender(name="wrong", about="", module="optuna_alone", options=("--sampler", "guess"))
    benchmark, start = digits(tmp_path, wrong), Start(preset="digits", minutes=10, data_root=None, syne_tune=None)
    with pytest.raises(FailedRunError, match=r"(?s)wrong ended with 2: .*invalid choice: 'guess'"):
        run(wrong, lambda folder: benchmark.contest(0, folder), start, lambda spent_s: None)


@pytest.mark.slow
@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda each: each.name)
def test_every_contender_finds_points_and_leaves_nothing(contender: Contender, tmp_path: Path) -> None:
    python = None
    if contender.module == "moasha":
        try:
            python = syne_tune_python(tmp_path / "syne-tune")
        except NotInstallableError as fault:
            pytest.skip(str(fault))
    folders: list[Path] = []

    def contest_in(folder: Path) -> Contest:
        folders.append(folder)
        return digits(tmp_path, contender).contest(0, folder)

    before = {process.pid for process in psutil.process_iter()}
    done = run(
        contender,
        contest_in,
        Start(preset="digits", minutes=0.75, data_root=None, syne_tune=python),
        lambda spent_s: None,
    )
    mine = [p for p in psutil.process_iter() if p.pid not in before and any(str(folders[0]) in w for w in p.cmdline())]
    assert mine == []
    assert not folders[0].exists()
    assert done.points
    assert all(0 < at_s <= 45 for at_s, _, _ in done.points)
    assert done.front
    assert 0 < volume_on_test(done) < 1
    assert {(accuracy, removed) for accuracy, removed, _ in done.front} <= {(a, r) for _, a, r in done.points}


def test_the_picture_is_drawn_of_one_run_and_of_several(tmp_path: Path) -> None:
    curves = [Curve.of([(at_s, 0.9, 0.5), (40.0, 0.5, 0.9)], end_s=60) for at_s in (5.0, 8.0, 9.0)]
    path = tmp_path / "search.png"
    save_picture({"sparsweep": curves, "optuna": curves[:1], "empty": [Curve.of([], end_s=60)]}, 60, "Search", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000

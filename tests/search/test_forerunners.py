"""The first trials run in processes that the driver forks, until Ray takes over; what happens to each is told."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from sparsweep.search.forerunners import forerunner_count
from sparsweep.spaces.sweep_file import Resources

_DRIVER = """
import json, os, signal, sys, threading, time
from pathlib import Path
import psutil
from sparsweep.search.forerunners import Forerunners
from sparsweep.trainables.judgement import LENIENT, Verdict
from sparsweep.trainables.record import TrialStore
from sparsweep.trainables.tasks import Task
from sparsweep.trainables.trial import TrialPlan

folder, what, epochs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store, task = TrialStore(folder), Task(network="lenet-digits", data="digits")
task.load()
events, lock = [], threading.Lock()

def tell(*event):
    with lock:
        events.append(event)

class Few:
    numbers = iter(range(4))
    def next(self):
        number = next(self.numbers, None)
        if number is None:
            return None
        return TrialPlan(
            number=number, seed=number, task=task, fixed={"epochs": epochs, "cuts": 2},
            setting={"method": "random", "granularity": "filter", "final_sparsity": 0.5},
            **({"rungs": (1,), "judged_on_the_way": True, "seeds": 2} if what == "judge" else {}),
        )
    def exhausted(self):
        return sum(event[0] == "ended" for event in events) == 4
    def began(self, number):
        tell("began", number)
    def ended(self, number, death=None):
        tell("ended", number, death and death.reason)

def until(true):
    while not true():
        time.sleep(0.02)

def ended():
    return [event for event in events if event[0] == "ended"]

def children():
    return psutil.Process().children()

class Strict:
    # ends the training of trial 1 and the descent of trial 2, has trial 3 trained again
    def at_rung(self, number, epoch, probe):
        tell("rung", number, epoch, len(probe))
        return Verdict(values=(0.5,), reason="not good enough" if number == 1 else None)
    def at_cut(self, number, points):
        tell("cut", number, points[-1].cut)
        return Verdict(reason="too far down" if number == 2 else None)
    def worth_repeating(self, number, points):
        tell("repeat", number)
        return number == 3

stop = threading.Event()
with Forerunners(count=2) as forerunners:
    forerunners.fork()
    pids = [child.pid for child in children()]
    if what != "nothing":
        judge = Strict() if what == "judge" else LENIENT
        forerunners.begin(Few(), lambda number: store.folder(number).path, stop, lambda: judge)
        until(lambda: len(events) >= 2)
    if what in ("all", "judge"):
        until(lambda: not forerunners.busy())
    if what == "hand over":
        forerunners.hand_over()
        until(lambda: not forerunners.busy())
    if what in ("stop", "kill", "preempt", "lose driver"):
        until(lambda: all(any(p.glob("attempt-1/began")) for p in map(lambda n: store.folder(n).path, (0, 1))))
    if what == "stop":
        stop.set()
    if what in ("kill", "preempt"):
        os.kill(pids[0], signal.SIGKILL if what == "kill" else signal.SIGTERM)
        until(ended)
    if what == "lose driver":
        print(json.dumps({"pids": pids}), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
print(json.dumps({
    "events": events, "pids": pids, "left": len(children()),
    "records": sorted(record.number for record in store.records()),
    "ends": {record.number: [record.state, record.reason] for record in store.records()},
    "trainings": {record.number: len({p.cut.split("-")[0] for p in record.points if p.cut.startswith("r")})
                  for record in store.records()},
    "preempted": sorted(path.parent.parent.name for path in folder.glob("*/attempt-1/preempted")),
    "died": sorted(path.parent.name for path in folder.glob("*/died.txt")),
}))
"""


def driver(folder: Path, what: str, epochs: int = 2) -> dict[str, Any]:
    """What a process saw that had two forerunners for four trials, and did `what` to them."""
    script = folder / "driver.py"
    script.write_text(_DRIVER)
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "trials"), what, str(epochs)], capture_output=True, text=True,
        timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_all_trials_are_run_in_two_processes_which_then_end(tmp_path: Path) -> None:
    found = driver(tmp_path, "all")
    assert sorted(event[1] for event in found["events"] if event[0] == "began") == [0, 1, 2, 3]
    assert sorted(event[1:] for event in found["events"] if event[0] == "ended") == [[n, None] for n in range(4)]
    assert found["records"] == [0, 1, 2, 3]
    assert (found["left"], found["died"], len(set(found["pids"]))) == (0, [], 2)


def test_what_a_trial_asks_its_judge_the_driver_answers(tmp_path: Path) -> None:
    found = driver(tmp_path, "judge")
    assert found["records"] == [0, 1, 2, 3]
    ends = found["ends"]
    assert (ends["0"], ends["1"]) == (["done", None], ["stopped", "not good enough"])
    assert ends["2"] == ["done", "too far down"]
    asked = [tuple(event) for event in found["events"] if event[0] in ("rung", "cut", "repeat")]
    assert {(1, 1), (2, 1)} <= {event[1:3] for event in asked if event[0] == "rung"}
    assert all(event[3] > 0 for event in asked if event[0] == "rung")
    assert ("cut", 0, "00") in asked
    assert ("repeat", 0) in asked
    assert (found["trainings"]["0"], found["trainings"]["3"]) == (0, 1), "only what is worth it is trained again"


def test_handing_over_waits_for_the_trials_at_work(tmp_path: Path) -> None:
    found = driver(tmp_path, "hand over")
    assert found["records"] == [0, 1]
    assert (found["left"], found["preempted"]) == (0, [])


def test_stopped_ones_leave_a_checkpoint_and_no_outcome(tmp_path: Path) -> None:
    found = driver(tmp_path, "stop", epochs=400)
    assert sorted(event[1:] for event in found["events"] if event[0] == "ended") == [[0, None], [1, None]]
    assert (found["records"], found["left"]) == ([], 0)
    assert found["preempted"] == ["00000", "00001"]


def test_a_killed_one_is_told_with_its_reason_and_the_other_goes_on(tmp_path: Path) -> None:
    found = driver(tmp_path, "kill", epochs=400)
    first = next(event for event in found["events"] if event[0] == "ended")
    assert first[2] == "the trial's process was killed from outside, perhaps by the system for its memory"
    assert (found["records"], found["left"]) == ([], 0)


def test_a_preempted_one_leaves_its_checkpoint(tmp_path: Path) -> None:
    found = driver(tmp_path, "preempt", epochs=400)
    first = next(event for event in found["events"] if event[0] == "ended")
    assert first[2] == "the trial's process died: it ended with exit code 1"
    assert f"{first[1]:05d}" in found["preempted"]


def test_those_that_were_told_nothing_end_too(tmp_path: Path) -> None:
    found = driver(tmp_path, "nothing")
    assert (found["events"], found["left"], found["records"]) == ([], 0, [])


def test_none_outlives_its_driver(tmp_path: Path) -> None:
    pids = driver(tmp_path, "lose driver", epochs=400)["pids"]
    until = time.monotonic() + 60
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, pids))
    assert len(list((tmp_path / "trials").glob("*/attempt-1/checkpoint.pt"))) == 2


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("needs", "count"),
    [({"cpu": 1}, 3), ({"cpu": 0.5}, 6), ({"cpu": 2}, 0), ({"cpu": 1, "gpu": 0.5}, 0)],
)
def test_as_many_as_a_local_ray_has_slots(
    needs: dict[str, float], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    assert forerunner_count(Resources.model_validate(needs)) == count


def test_none_are_forked_beside_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert forerunner_count(Resources()) == 0

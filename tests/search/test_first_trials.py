"""The first trials of a local Ray run in processes that it began with, which have imported what trials need by then."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparsweep.search.with_ray.cluster import NEEDED, PATIENT, PRELOAD, Slots, _preloaded

_SWEEP = """
import json, os, sys, threading, time
from pathlib import Path
import psutil
from sparsweep.search import with_ray
from sparsweep.trainables.record import TrialStore
from sparsweep.trainables.tasks import Task
from sparsweep.trainables.trial import TrialPlan
from ray.tune.execution import class_cache

folder = Path(sys.argv[1])
store = TrialStore(folder / "trials")
slots = with_ray.Slots(cpu=1, gpu=0, address=None)
with_ray.start(slots, folder / "ready")
me, titles, ran, over = psutil.Process(), {}, [], threading.Event()

def look():
    for child in me.children(recursive=True):
        try:
            title = child.cmdline()[0]
            titles.setdefault(child.pid, set()).add(title)
            if "Trainable" in title and child.pid not in ran:
                ran.append(child.pid)
        except (psutil.Error, IndexError):
            pass

def idle():
    look()
    return {pid for pid, names in titles.items() if "ray::IDLE" in names}

with_ray.await_signs(folder / "ready", with_ray.slot_count(slots), 60, lambda: False)
begun = idle()
signs = sorted(int(sign.name) for sign in (folder / "ready").iterdir())

class Five:
    numbers, given, events = iter(range(5)), 0, []
    def next(self):
        number = next(self.numbers, None)
        if number is None:
            return None
        self.given += 1
        self.events.append(("given", number))
        return TrialPlan(
            number=number, seed=number, task=Task(network="lenet-digits", data="digits"),
            setting={"method": "random", "granularity": "filter", "final_sparsity": 0.5},
            fixed={"epochs": 12, "cuts": 2},  # longer than a process takes to become an actor, on a loaded machine too
        )
    def exhausted(self):
        return self.given == 5
    def began(self, number):
        self.events.append(("began", number))
    def ended(self, number, death=None):
        self.events.append(("ended", number))

def watch():
    while not over.wait(0.02):
        look()

watching = threading.Thread(target=watch)
watching.start()
with_ray.run_trials(
    Five(), slots, lambda n: store.folder(n).path, folder / "ray", threading.Event(),
    room=lambda at_work: at_work < with_ray.slot_count(slots),
)
over.set()
watching.join()
print(json.dumps({
    "begun": sorted(begun), "signs": signs, "had": sorted(idle()),
    "ran": ran, "ended": [len(record.points) for record in store.records()],
    "events": Five.events, "slots": with_ray.slot_count(slots),
    "left": os.environ.get("RAY_preload_python_modules"), "variables": dict(class_cache.DEFAULT_ENV_VARS),
}))
with_ray.shut_down()
"""


def test_first_trials_run_in_the_processes_that_ray_began_with(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SPARSWEEP_"))}
    done = subprocess.run([sys.executable, "-c", _SWEEP, str(tmp_path)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told["ended"]) == 5
    assert all(told["ended"]), "every trial has points"
    assert told["ran"], "somebody ran them"
    assert told["signs"] == told["begun"], "they had imported what a trial needs"
    assert set(told["ran"]) <= set(told["begun"]), told
    assert told["had"] == told["begun"], "no process was begun that another's end made needless"
    for number in range(5):
        assert [what for what, of in told["events"] if of == number] == ["given", "began", "ended"]
    at_once = most = 0
    for what, _ in told["events"]:
        at_once += (what == "began") - (what == "ended")
        most = max(most, at_once)
    assert most <= told["slots"], "a trial begins when it has a slot, be its process a new one or one that had another"
    assert told["left"] is None, "the driver's environment is what it was"
    assert told["variables"] == {"PL_DISABLE_FORK": "1"}, "and so is Tune"


@pytest.mark.parametrize(("cpu", "gpu", "loaded"), [(1, 0, True), (0.5, 0, True), (2, 0, False), (1, 0.5, False)])
def test_only_processes_that_get_a_trial_import_for_one(
    cpu: float, gpu: float, loaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (PRELOAD, *PATIENT):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with _preloaded(Slots(cpu=cpu, gpu=gpu, address=None)):
        more = {name: value for name, value in os.environ.items() if name not in before}
        assert more == ({PRELOAD: ",".join(NEEDED), **PATIENT} if loaded else {})
    assert dict(os.environ) == before


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PRELOAD, "json")
    with _preloaded(Slots(cpu=1, gpu=0, address=None)):
        assert os.environ[PRELOAD] == "json"
    assert os.environ[PRELOAD] == "json"

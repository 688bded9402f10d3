"""One driver at a time, dead or suspended ones replaced, replaced ones fenced."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sparsweep.search.lease import STALE_S, FencedOutError, Lease, ask_to_stop, holder_of

OTHER = """
import sys, time
from pathlib import Path
from sparsweep.search.lease import Lease
lease = Lease.take(Path(sys.argv[1]), "digits")
lease.start(lambda: print("told", flush=True))
print("holds", flush=True)
time.sleep(60)
"""


def start_other(folder: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", OTHER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def age(folder: Path, number: int, seconds: float) -> None:
    path = folder / f"{number:05d}.json"
    os.utime(path, (time.time() - seconds,) * 2)


def test_a_second_driver_is_refused_and_the_holder_named(tmp_path: Path) -> None:
    process = start_other(tmp_path)
    with pytest.raises(ValueError, match=rf"digits is being run by process {process.pid} on .*sparsweep stop digits"):
        Lease.take(tmp_path, "digits")
    end(process)


def test_a_killed_driver_is_replaced_at_once(tmp_path: Path) -> None:
    end(start_other(tmp_path))
    assert Lease.take(tmp_path, "digits").number == 2


def test_a_released_claim_is_free(tmp_path: Path) -> None:
    lease = Lease.take(tmp_path, "digits")
    lease.release()
    holder = holder_of(tmp_path)
    assert holder is not None
    assert (holder.ended, holder.alive) == (True, False)
    assert Lease.take(tmp_path, "digits").number == 2


def test_a_suspended_driver_is_replaced_when_silent_and_fenced_when_it_comes_back(tmp_path: Path) -> None:
    process = start_other(tmp_path)
    process.send_signal(signal.SIGSTOP)
    age(tmp_path, 1, STALE_S - 5)
    with pytest.raises(ValueError, match="is being run by"):
        Lease.take(tmp_path, "digits")
    age(tmp_path, 1, STALE_S + 5)
    Lease.take(tmp_path, "digits")
    process.send_signal(signal.SIGCONT)
    assert process.stdout is not None
    assert process.stdout.readline() == "told\n"
    end(process)


def test_another_machines_driver_is_believed_until_it_is_silent(tmp_path: Path) -> None:
    elsewhere = {"host": "elsewhere", "process": 1, "started": 0.0, "ended": False}
    (tmp_path / "00004.json").write_text(json.dumps(elsewhere))
    with pytest.raises(ValueError, match="process 1 on elsewhere"):
        Lease.take(tmp_path, "digits")
    age(tmp_path, 4, STALE_S + 1)
    assert Lease.take(tmp_path, "digits").number == 5


def test_a_recycled_process_id_is_another_process(tmp_path: Path) -> None:
    lease = Lease.take(tmp_path, "digits")
    path = tmp_path / "00001.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"started": 12.0}))
    assert Lease.take(tmp_path, "digits").number == lease.number + 1


def test_a_fenced_driver_may_write_nothing_more_and_leaves_the_new_claim_alone(tmp_path: Path) -> None:
    lease = Lease.take(tmp_path, "digits")
    lease.check()
    age(tmp_path, 1, STALE_S + 1)
    newer = Lease.take(tmp_path, "digits")
    with pytest.raises(FencedOutError, match=r"taken over by process \d+"):
        lease.check()
    lease.release()
    newer.check()
    holder = holder_of(tmp_path)
    assert holder is not None
    assert holder.alive


def test_stop_reaches_the_driver_at_work_and_no_later_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparsweep.search.lease.BEAT_S", 0.02)
    assert ask_to_stop(tmp_path) is None
    lease, told = Lease.take(tmp_path, "digits"), threading.Event()
    lease.start(told.set)
    asked = ask_to_stop(tmp_path)
    assert asked is not None
    assert asked.process == os.getpid()
    assert told.wait(10)
    lease.release()
    later, again = Lease.take(tmp_path, "digits"), threading.Event()
    later.start(again.set)
    assert not again.wait(0.2)
    later.release()


def test_of_many_that_claim_at_once_one_wins(tmp_path: Path) -> None:
    won, lost = [], []

    def claim() -> None:
        try:
            won.append(Lease.take(tmp_path, "digits"))
        except ValueError as fault:
            lost.append(str(fault))

    threads = [threading.Thread(target=claim) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 15)

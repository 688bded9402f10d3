"""Processes are ended by who they are, not by their number."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

from local_cluster.processes import Started, start
from local_cluster.state import State

# A process that starts a child which ignores SIGTERM, and says so when both are there.
FAMILY = "(trap '' TERM; echo child; exec sleep 60) & echo parent; sleep 60"


def _family(tmp_path: Path) -> Started:
    log = tmp_path / "log"
    family = start("family", ["sh", "-c", FAMILY], address="-", log=log, env=dict(os.environ), cwd=tmp_path)
    while not log.exists() or len(log.read_text().split()) < 2:
        time.sleep(0.05)
    return family


def test_stop_ends_the_process_and_its_children(tmp_path: Path) -> None:
    family = _family(tmp_path)
    assert family.is_alive()
    assert len(family.members()) == 3
    family.stop(patience_s=0.3)
    assert not family.is_alive()
    assert family.members() == []


def test_children_are_found_after_their_parent_is_gone(tmp_path: Path) -> None:
    family = _family(tmp_path)
    os.kill(family.pid, 9)
    while family.is_alive():
        time.sleep(0.05)
    assert family.members()
    family.stop(patience_s=0.3)
    assert family.members() == []


def test_a_recycled_number_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        ours = Started(what="ours", address="-", pid=stranger.pid, start_ticks=1, boot=_family_boot())
        assert not ours.is_alive()
        ours.stop(patience_s=0.1)
        assert stranger.poll() is None
        before_reboot = dataclasses.replace(ours, boot="another")
        before_reboot.stop(patience_s=0.1)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def _family_boot() -> str:
    from local_cluster.processes import boot_id

    return boot_id()


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert state.secrets() == state.secrets()
    assert len(set(state.secrets().values())) == 6
    path = state.write_env({"A": "it's", "B": "2"})
    assert path.read_text().splitlines()[1:] == ["export A='it'\"'\"'s'", "export B=2"]
    assert {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {0o600}


def test_purge_leaves_what_is_not_ours(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    with state.held():
        state.secrets()
        (state.folder("storage") / "record").write_text("x")
        (state.path / "mine.txt").write_text("x")
        state.purge()
    assert [path.name for path in state.path.iterdir()] == ["mine.txt"]

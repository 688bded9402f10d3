"""Commands about sweeps elsewhere: what is sent, what a trial's log says, and every message on the way."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparsweep.search import away
from sparsweep.search.away import adopt, log_text, trial_log, without_address
from sparsweep.search.cli import main
from sparsweep.search.sweep_folder import SweepFolder, Where
from sparsweep.search.with_ray import jobs
from sparsweep.trainables.record import Epoch, TrialRecord
from tests.search.points import make_point
from tests.search.records import GOOD, commit, make_record

NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["status", "digits", "--address", "http://h:1", "--json"], ["status", "digits", "--json"]),
        (["--address=http://h:1", "status"], ["status"]),
        (["status", "--address", "http://h:1", "--address", "http://h:2"], ["status"]),
        (["logs", "digits/00007"], ["logs", "digits/00007"]),
        (["frontier", "--address"], ["frontier"]),
        (["status", "--", "--address-book"], ["status", "--", "--address-book"]),
        ([], []),
    ],
)
def test_the_cluster_gets_the_words_less_its_address(words: list[str], left: list[str]) -> None:
    assert without_address(words) == left


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARSWEEP_HOME", str(tmp_path / "state"))
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "SPARSWEEP_STUDY_STORAGE", "SPARSWEEP_STORAGE_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "state"


@pytest.fixture
def sweep(home: Path) -> SweepFolder:
    """A sweep of four trials: done, failed, unfinished, proposed only."""
    from sparsweep.search.catalogue import catalogue
    from sparsweep.spaces.load import load_sweep

    folder = SweepFolder(home / "sweeps" / "digits")
    folder.create(load_sweep("digits", catalogue()), Where())
    store = folder.store(Where())
    for number in range(4):
        store.folder(number).propose(number, GOOD, 100 + number)
    epoch = Epoch(step=1, phase="train", loss=0.5, accuracy=0.75, ended_ms=1500)
    done = make_record(0, make_point(0, "00", accuracy=0.9, sparsity=0.5))
    commit(store, TrialRecord(**{**vars(done), "epochs": (epoch,), "seconds": {"train": 1.25}}))
    commit(store, make_record(1, reason="diverged: loss is nan"))
    (store.folder(1).attempt(1) / "error.txt").write_text("Traceback: nan\n")
    store.folder(2).claim_attempt()
    store.folder(2).claim_attempt()
    (store.folder(2).path / "died.txt").write_text("Fatal Python error: Segmentation fault\n")
    return folder


def test_the_log_of_a_trial_that_is_done(sweep: SweepFolder) -> None:
    assert log_text(trial_log(sweep, Where(), 0)).splitlines() == [
        "trial digits/00000: done",
        f"in {sweep.store(Where()).folder(0).path}, 1 attempts, seed 100",
        'setting {"method": "gasl", "sparsity_strength": 0.003}',
        "train 1.2 s",
        "epoch 1 train: loss 0.5000, accuracy 0.7500",
        "cut 00: accuracy 0.9000, sparsity 0.5000, MACs 500",
    ]


def test_the_log_of_one_that_failed_says_why(sweep: SweepFolder) -> None:
    log = trial_log(sweep, Where(), 1)
    assert (log["state"], log["reason"], log["points"]) == ("failed", "diverged: loss is nan", [])
    lines = log_text(log).splitlines()
    assert lines[0] == "trial digits/00001: failed (diverged: loss is nan)"
    assert lines[-2:] == ["--- attempt-1/error.txt", "Traceback: nan"]


def test_the_log_of_one_without_an_end_has_what_its_process_left(sweep: SweepFolder) -> None:
    log = trial_log(sweep, Where(), 2)
    assert (log["state"], log["attempts"]) == ("unfinished", 2)
    assert log["notes"] == {"died.txt": "Fatal Python error: Segmentation fault"}
    assert trial_log(sweep, Where(), 3)["attempts"] == 0


def test_a_trial_that_was_never_proposed_is_refused(sweep: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "digits/00042"]) == 2
    assert "sweep digits has no trial 00042: it has 4, 00000 to 00003" in capsys.readouterr().err
    assert main(["logs", "digits"]) == 2
    assert "TRIAL 'digits' is not a trial: write the sweep's name and the number" in capsys.readouterr().err
    assert main(["logs", "digit/0"]) == 2
    assert "no sweep 'digit' in " in capsys.readouterr().err


def test_logs_and_gc_print_json(sweep: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "digits/0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trial"] == "digits/00000"
    assert main(["gc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] is False


def test_gc_shows_first_and_removes_when_told(sweep: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    left = sweep.store(Where()).folder(0).attempt(1) / "checkpoint.pt"
    left.write_bytes(b"x" * 3000)
    assert main(["gc", "digits"]) == 0
    said = capsys.readouterr().out
    assert "3.0 kB" in said
    assert "checkpoint of a finished trial" in said
    assert said.splitlines()[-1].endswith("can go; sparsweep gc --yes removes them")
    assert left.exists()
    assert main(["gc", "digits", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("removed")
    assert not left.exists()


def test_gc_leaves_alone_what_is_being_run(sweep: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep.store(Where()).folder(0).attempt(1) / "checkpoint.pt").write_bytes(b"x")
    with sweep.held(Where()):
        assert main(["gc", "--yes"]) == 0
        assert "sweep digits is being run: nothing of it is touched" in capsys.readouterr().out
    assert (sweep.store(Where()).folder(0).attempt(1) / "checkpoint.pt").exists()


def test_stop_asks_whoever_holds_the_sweep(sweep: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", "digits"]) == 1
    assert capsys.readouterr().out == "sweep digits is not being run\n"
    with sweep.held(Where()):
        assert main(["stop", "digits"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("asked process ")
    assert said.endswith("what finished is kept; go on with: sparsweep resume digits\n")


@pytest.mark.parametrize("words", [["status"], ["frontier", "digits"], ["stop", "digits"], ["logs", "digits/0"]])
def test_an_address_that_is_no_url_is_refused(words: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--address", "head:6379"]) == 2
    assert "--address head:6379 is not a job server: write its URL" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["status"], ["stop", "digits"], ["logs", "digits/0"], ["submit", "digits"]])
def test_a_job_server_that_does_not_answer_is_one_message(
    words: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--address", NOBODY]) == 2
    said = capsys.readouterr().err
    assert f"no Ray job server answers at {NOBODY}" in said
    assert "RAY_AUTH_TOKEN" in said
    assert not home.exists()


def test_a_code_folder_that_is_none_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "digits", "--address", NOBODY, "--code", "absent"]) == 2
    assert "--code absent is not a folder: name the one that holds your modules" in capsys.readouterr().err


class Jobs:
    """Takes jobs and runs none."""

    def __init__(self) -> None:
        self.sent: dict[str, Any] = {}
        self.files: dict[str, str] = {}

    def submit(self, address: str, words: list[str], *, job: str, folder: Path | None = None) -> str:
        self.sent = {"address": address, "words": words, "job": job}
        self.files = {p.name: p.read_text() for p in folder.rglob("*") if p.is_file()} if folder else {}
        return f"{job}-1"

    def follow(self, address: str, job: str, show: Any) -> int:
        show("line\n")
        return 7


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    made = Jobs()
    monkeypatch.setattr(jobs, "submit", made.submit)
    monkeypatch.setattr(jobs, "follow", made.follow)
    return made


def test_a_submitted_sweep_is_whole_and_has_no_secret(
    taken: Jobs, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://u:sesame-street@h")
    assert main(["submit", "digits", "--address", NOBODY, "--trials", "3", "--name", "mine"]) == 7
    assert taken.sent["job"] == "sparsweep-mine"
    assert taken.sent["words"][:2] == ["run", "sweep.yaml"]
    assert list(taken.files) == ["sweep.yaml"]
    assert '"trials": 3' in taken.files["sweep.yaml"]
    assert "sesame" not in str(vars(taken))
    out = capsys.readouterr().out
    assert "submitted mine to http://127.0.0.1:1 as job sparsweep-mine-1" in out
    assert out.endswith("line\n")


def test_a_detached_one_is_not_followed(taken: Jobs, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "digits", "--address", NOBODY, "--detach"]) == 0
    assert "line" not in capsys.readouterr().out


def test_a_question_is_asked_there_in_the_same_words(taken: Jobs, home: Path) -> None:
    assert main(["status", "digits", "--json", "--address", NOBODY]) == 7
    assert taken.sent == {"address": NOBODY, "words": ["status", "digits", "--json"], "job": "sparsweep-status"}


def test_a_cluster_without_a_home_does_not_adopt_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSWEEP_HOME", raising=False)
    with pytest.raises(ValueError, match="this cluster names no SPARSWEEP_HOME"):
        adopt(tmp_path, tmp_path / "sweep")


def test_an_adopted_sweep_stays_when_its_job_goes(home: Path, tmp_path: Path) -> None:
    job = tmp_path / "job"
    (job / "package").mkdir(parents=True)
    (job / "package" / "mine.py").write_text("x = 1")
    folder = adopt(job, home / "sweeps" / "mine")
    assert Path.cwd() == folder == home / "sweeps" / "mine" / "code"
    assert (folder / "package" / "mine.py").read_text() == "x = 1"


def test_the_limit_of_a_parcel_is_rays_own() -> None:
    assert away.MOST_BYTES <= jobs.SHIP_MOST_BYTES

"""What can go, and that nothing which is needed is ever named."""

from dataclasses import replace
from pathlib import Path

from sparsweep.search.waste import Waste, waste_of
from sparsweep.trainables.record import TrialStore
from tests.search.points import make_point
from tests.search.records import GOOD, commit, make_record


def write(path: Path, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def found(sweep: Path) -> dict[str, Waste]:
    store = TrialStore(sweep / "trials")
    return {str(waste.path.relative_to(sweep)): waste for waste in waste_of(sweep, store)}


def test_a_finished_trial_keeps_its_record_and_the_networks_that_it_names(tmp_path: Path) -> None:
    store = TrialStore(tmp_path / "trials")
    kept = make_point(0, "03", network="attempt-2/03")
    folder = store.folder(0)
    folder.propose(0, GOOD, 0)
    folder.claim_attempt()
    folder.claim_attempt()
    write(folder.path / "attempt-1" / "checkpoint.pt", 1000)
    for name in (
        "03.safetensors",
        "03.json",
        "04.safetensors",
        "04.json",
        "checkpoint.pt",
        "checkpoint.4711",
        "so_far.json",
    ):
        write(folder.path / "attempt-2" / name)
    assert folder.commit(replace(make_record(0, kept), attempt=2))
    waste = found(tmp_path)
    assert {path: w.size_bytes for path, w in waste.items()} == {
        "trials/00000/attempt-1": 1000,
        "trials/00000/attempt-2/04.safetensors": 10,
        "trials/00000/attempt-2/04.json": 10,
        "trials/00000/attempt-2/checkpoint.pt": 10,
        "trials/00000/attempt-2/checkpoint.4711": 10,
        "trials/00000/attempt-2/so_far.json": 10,
    }
    for each in waste.values():
        each.remove()
    assert folder.record() == replace(make_record(0, kept), attempt=2)
    assert sorted(p.name for p in folder.path.rglob("*") if p.is_file()) == [
        "03.json", "03.safetensors", "result.json", "result.json", "setting.json"
    ]  # fmt: skip
    assert found(tmp_path) == {}


def test_an_unfinished_trial_keeps_the_checkpoint_that_it_goes_on_from(tmp_path: Path) -> None:
    folder = TrialStore(tmp_path / "trials").folder(3)
    folder.propose(3, GOOD, 0)
    for number in (1, 2, 3):
        assert folder.claim_attempt() == number
    write(folder.path / "attempt-1" / "checkpoint.pt")
    write(folder.path / "attempt-2" / "checkpoint.pt")
    write(folder.path / "attempt-1" / "00.json")
    write(folder.path / "attempt-2" / "so_far.json")
    assert set(found(tmp_path)) == {"trials/00003/attempt-1/checkpoint.pt"}


def test_networks_from_before_an_interruption_stay_where_the_record_names_them(tmp_path: Path) -> None:
    folder = TrialStore(tmp_path / "trials").folder(0)
    folder.claim_attempt()
    folder.claim_attempt()
    for name in ("attempt-1/00.json", "attempt-1/01.json", "attempt-1/checkpoint.pt", "attempt-2/02.json"):
        write(folder.path / name)
    kept = [make_point(0, "00", network="attempt-1/00"), make_point(0, "02", network="attempt-2/02")]
    assert folder.commit(replace(make_record(0, *kept), attempt=2))
    assert set(found(tmp_path)) == {"trials/00000/attempt-1/01.json", "trials/00000/attempt-1/checkpoint.pt"}


def test_scratch_half_written_files_and_old_claims_can_go(tmp_path: Path) -> None:
    commit(TrialStore(tmp_path / "trials"), make_record(0))
    write(tmp_path / "ray" / "session" / "log", 70)
    write(tmp_path / ".measured.json.12.345")
    write(tmp_path / "measured.json")
    write(tmp_path / "driver" / "00001.json")
    write(tmp_path / "driver" / "00001.stop")
    write(tmp_path / "driver" / "00002.json")
    assert {path: w.why for path, w in found(tmp_path).items()} == {
        "ray": "Ray's scratch folder",
        ".measured.json.12.345": "half-written file",
        "driver/00001.json": "claim of an earlier driver",
        "driver/00001.stop": "claim of an earlier driver",
    }

"""Every path that comes from a file, a name or a server stays under its root."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from sparsweep.search import away
from sparsweep.search.catalogue import catalogue
from sparsweep.search.cli import main
from sparsweep.search.waste import waste_of
from sparsweep.search.with_mlflow import Registry, prepare_store
from sparsweep.spaces.load import load_sweep
from sparsweep.spaces.sweep_file import SweepFile
from sparsweep.trainables.compact.architecture import load_network
from sparsweep.trainables.record import TrialFolder, TrialRecord, TrialStore
from sparsweep.trainables.tasks.networks import NETWORKS
from tests.search.points import make_point
from tests.search.records import commit, make_record

OUTSIDE = (
    "../../etc/passwd", "/etc/passwd", "attempt-1/../../../x", "attempt-1/..", "attempt-1/.", "attempt-1/a/b",
    "attempt-1//etc/passwd", "attempt-1\\..\\x", "attempt-x/00", "00", "", "attempt-1/a\0b", "attempt-1/a.b",
    "attempt-1/" + "a" * 300,
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARSWEEP_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "state"


def stored(tmp_path: Path, **changes: Any) -> TrialFolder:
    """A committed record whose only point was changed afterwards."""
    store = TrialStore(tmp_path / "trials")
    path = commit(store, make_record(0, make_point(network="attempt-1/00")))
    content = json.loads((path / "result.json").read_text())
    content["points"][0] |= changes
    (path / "result.json").write_text(json.dumps(content))
    return store.folder(0)


@pytest.mark.parametrize("network", OUTSIDE)
def test_a_record_names_networks_of_its_own_trial_only(network: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not one of the trial's own: it must be attempt-N/NAME"):
        stored(tmp_path, network=network).record()


@pytest.mark.parametrize("cut", ["../x", "a'b", "", "a/b", "00\n", "x" * 65])
def test_a_record_names_its_cuts_plainly(cut: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        stored(tmp_path, cut=cut).record()


def test_a_record_as_it_is_written_is_read(tmp_path: Path) -> None:
    record = stored(tmp_path, network="attempt-1/own").record()
    assert isinstance(record, TrialRecord)
    assert record.points[0].network == "attempt-1/own"


def test_an_attempt_behind_a_link_is_not_read(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    folder.attempt(1).rename(elsewhere)
    folder.attempt(1).symlink_to(elsewhere)
    with pytest.raises(ValueError, match="attempt-1 is a link: networks are read from a trial's own folder only"):
        folder.record()


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_a_network_behind_a_link_is_not_read(ending: str, tmp_path: Path) -> None:
    (tmp_path / "00.json").write_text("{}")
    (tmp_path / "00.safetensors").write_text("")
    (tmp_path / f"00{ending}").unlink()
    (tmp_path / f"00{ending}").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match=f"00{ending} is a link: a network is read from its own folder only"):
        load_network(tmp_path / "00", NETWORKS["lenet-digits"].build)


def test_gc_removes_a_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    store = TrialStore(tmp_path / "sweep" / "trials")
    path = commit(store, make_record())
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    (path / "attempt-7").symlink_to(precious)
    (path / "attempt-1" / "checkpoint.pt").symlink_to(precious / "file")
    found = waste_of(tmp_path / "sweep", store)
    assert {waste.path.name for waste in found} == {"attempt-7", "checkpoint.pt"}
    for waste in found:
        waste.remove()
    assert (precious / "file").read_text() == "mine"
    assert not (path / "attempt-7").is_symlink()


NAMES = [
    "../x",
    "/tmp/x",
    "a/../../b",
    "..",
    ".",
    "",
    "x" * 300,
    "a\nb",
    "\x1b[2J",
    "a\0b",
    "~",
    "a b",
    "-x/",
    "\udcff",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_is_not_called_like_a_path(name: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "digits", f"--name={name}"]) == 2
    said = capsys.readouterr().err
    assert "cannot be a name" in said
    assert said.replace("\n", "").isprintable()
    assert not home.exists()
    assert os.listdir(home.parent) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", ["status", "resume", "frontier", "stop", "gc", "logs"])
def test_nor_is_one_looked_for_under_a_path(
    command: str, name: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = home.parent / "x"
    outside.mkdir()
    (outside / "sweep.json").write_text('{"schema": 1}')
    if name == "" and command in ("status", "gc"):
        return  # the same as no name: all sweeps
    word = f"{name}/00000" if command == "logs" else name
    assert main([command, "--", word]) == 2
    said = capsys.readouterr().err
    assert "no sweep " in said or "is not a trial" in said
    assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "trial", ["x", "x/", "/1", "x/-1", "x/1e3", "x/../1", "x/" + "9" * 5000, "x/\u0663/4", "x/1\n"]
)
def test_a_trial_is_a_sweep_and_a_number(trial: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "--", trial]) == 2
    said = capsys.readouterr().err
    assert "is not a trial: write the sweep's name and the number" in said or "no sweep " in said
    assert len(said) < 400


@pytest.fixture(scope="module")
def registry_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("registry") / "state"
    path.mkdir()
    prepare_store(f"sqlite:///{path / 'mlflow.db'}")
    return path


@pytest.mark.parametrize("model", ["../x", "a/b", "a' or '1'='1", "a`b", "", "\x1b[2J", "a\nb", "models:/x:y", "a%b"])
def test_a_model_is_not_called_like_a_path_or_a_query(
    model: str, registry_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPARSWEEP_HOME", str(registry_home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["pick", "--", model]) == 2
    said = capsys.readouterr().err
    assert "a name has letters, digits, spaces and . - _ only" in said
    assert said.replace("\n", "").isprintable()


def a_version(registry: Registry, source: str) -> str:
    """A version whose files lie at `source`."""
    experiment = registry.client.create_experiment(f"e{source}"[-60:].replace("/", "."))
    run = registry.client.create_run(experiment)
    if not registry.client.search_registered_models("name = 'm'"):
        registry.client.create_registered_model("m")
    return str(registry.client.create_model_version("m", source, run.info.run_id).version)


def test_a_download_takes_no_links_along(registry_home: Path, tmp_path: Path) -> None:
    registry = Registry.open(tracking_uri=f"sqlite:///{registry_home / 'mlflow.db'}")
    source = tmp_path / "source"
    source.mkdir()
    (source / "MLmodel").write_text("{}")
    (source / "link").symlink_to("/etc/passwd")
    version = a_version(registry, source.as_uri())
    with pytest.raises(ValueError, match=r"cannot be copied .*resolved path is outside|link.* is a link"):
        registry.download("m", version, tmp_path / "picked")
    assert not (tmp_path / "picked").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_download_lands_in_its_folder_and_nowhere_else(registry_home: Path, tmp_path: Path) -> None:
    registry = Registry.open(tracking_uri=f"sqlite:///{registry_home / 'mlflow.db'}")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "MLmodel").write_text("{}")
    version = a_version(registry, (tmp_path / "source").as_uri())
    for target in (tmp_path / "picked", tmp_path / "a" / ".." / "other"):
        registry.download("m", version, target)
        assert (target.resolve() / "MLmodel").read_text() == "{}"
    with pytest.raises(ValueError, match="is not an empty folder"):
        registry.download("m", version, tmp_path / "picked")


@pytest.mark.parametrize("listed", ["../escaped", "/tmp/sparsweep-escaped", "a/../../escaped", "..%2fescaped"])
def test_a_server_cannot_list_files_out_of_the_folder(
    listed: str, registry_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracking server that lists and serves `../escaped`."""
    from mlflow.entities import FileInfo
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    def listing(self: object, path: str | None = None) -> list[FileInfo]:
        return [] if path else [FileInfo(listed, False, 4)]

    def fetch(self: object, remote: str, local: str) -> None:
        Path(local).write_text("evil")

    monkeypatch.setattr(HttpArtifactRepository, "list_artifacts", listing)
    monkeypatch.setattr(HttpArtifactRepository, "_download_file", fetch)
    registry = Registry.open(tracking_uri=f"sqlite:///{registry_home / 'mlflow.db'}")
    version = a_version(registry, f"http://127.0.0.1:1/api/2.0/mlflow-artifacts/artifacts/{abs(hash(listed))}")
    try:
        registry.download("m", version, tmp_path / "deep" / "picked")
    except ValueError:
        assert not (tmp_path / "deep" / "picked").exists()
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert all(path.is_relative_to(tmp_path / "deep" / "picked") for path in written)
    assert not Path("/tmp/sparsweep-escaped").exists()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A user's folder, with links of every kind, secrets, and things that are no code."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    folder = tmp_path / "code"
    (folder / "package").mkdir(parents=True)
    (folder / "mine.py").write_text("x = 1")
    (folder / "package" / "__init__.py").write_text("")
    (folder / "alias.py").symlink_to("mine.py")
    (folder / "out.py").symlink_to(outside / "secret.txt")
    (folder / "out").symlink_to(outside)
    (folder / "up.py").symlink_to("../outside/secret.txt")
    (folder / "loop").symlink_to(".")
    (folder / "gone.py").symlink_to("absent.py")
    (folder / ".env").write_text("PASSWORD=secret")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    os.mkfifo(folder / "pipe")
    return folder


def a_sweep() -> SweepFile:
    return load_sweep("digits", catalogue())


def test_what_lies_outside_the_code_is_not_sent(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with away._parcel(a_sweep(), code) as folder:
        sent = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
        assert set(sent) == {"sweep.yaml", "mine.py", "package/__init__.py", "alias.py"}
        assert not any(path.is_symlink() for path in folder.rglob("*"))
        assert sent["alias.py"].read_text() == "x = 1"
    said = capsys.readouterr().err
    assert [name for name in ("out.py", "out,", "up.py", "loop") if f"{code}/{name}" not in said] == []


def test_a_code_folder_that_is_itself_a_link_is_followed(code: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(code)
    files, _ = away.code_files(tmp_path / "link")
    assert {path.name for path in files} == {"mine.py", "__init__.py", "alias.py"}


def test_without_code_of_the_users_own_only_the_sweep_is_sent() -> None:
    with away._parcel(a_sweep(), None) as folder:
        assert [path.name for path in folder.iterdir()] == ["sweep.yaml"]


def test_data_is_refused_before_any_of_it_is_copied(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away, "MOST_BYTES", 2**20)
    with (code / "data.bin").open("wb") as file:
        file.truncate(2**21)
    monkeypatch.setattr(shutil, "copyfile", lambda *_: pytest.fail("copied"))
    with (
        pytest.raises(ValueError, match=r"holds 2 MiB, more than the 1 that are sent as code: put data on"),
        away._parcel(a_sweep(), code),
    ):
        pass


def test_an_unlucky_name_is_one_word_for_the_clusters_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparsweep.search.with_ray import jobs

    sent: dict[str, Any] = {}

    class Client:
        def submit_job(self, **job: Any) -> str:
            sent.update(job)
            return "id"

    monkeypatch.setattr(jobs, "_client", lambda address: Client())
    jobs.submit("http://127.0.0.1:1", ["status", "x; touch /tmp/evil", "$(id)"], job="sparsweep-status")
    assert sent["entrypoint"] == "sparsweep status 'x; touch /tmp/evil' '$(id)'"
    assert set(sent["runtime_env"]) == {"env_vars"}

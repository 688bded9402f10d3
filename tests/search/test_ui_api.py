"""The page's API over a real server and real stores: what it tells, what it refuses, what it says as things change."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any

import pytest
import uvicorn

from sparsweep.search.delivery import frontier_indexed
from sparsweep.search.home import Home
from sparsweep.search.sweep_folder import SweepFolder, Where
from sparsweep.search.ui.app import app_of
from sparsweep.search.ui.guard import Guard
from sparsweep.search.ui.reading import Reader
from sparsweep.trainables.point import Point, cut_name
from sparsweep.trainables.record import TrialFolder, TrialRecord
from sparsweep.trainables.repeats import with_spread
from tests.search.points import make_latency, make_point
from tests.search.records import commit, make_record
from tests.search.test_frontier_index import shown, sweep_of

HERE = Where()


@dataclass(frozen=True)
class Site:
    """A server on its home."""

    home: Home
    port: int

    def ask(
        self, path: str, body: Any = None, method: str | None = None, **headers: str
    ) -> tuple[int, Any]:  # fmt: skip
        """Status and answer of a request; JSON where it is."""
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=data, method=method, headers={**kind, **named}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, _read(answer)
        except urllib.error.HTTPError as error:
            return error.code, _read(error)

    @property
    def folder(self) -> SweepFolder:
        return SweepFolder(self.home.sweep("digits"))

    def end(self, record: TrialRecord) -> None:
        commit(self.folder.store(HERE), record)


def _read(answer: Any) -> Any:
    content = answer.read()
    return json.loads(content) if "json" in answer.headers.get("Content-Type", "") else content


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A home with one sweep of two trials that ended and one that failed."""
    home = Home(tmp_path / "state")
    site = Site(home, 0)
    site.folder.create(sweep_of(), HERE)
    site.end(make_record(0, kept(0, "00", 0.9, 0.5), kept(0, "01", 0.4, 0.4)))
    site.end(make_record(1, kept(1, "00", 0.5, 0.9), ended_s=3.0))
    site.end(make_record(2, reason="diverged: the loss is nan", ended_s=4.0))
    with served(home, Guard.of("127.0.0.1", None)) as port:
        yield Site(home, port)


class served:  # noqa: N801
    """The application on a free port of loopback, ended with the block."""

    def __init__(self, home: Home, guard: Guard) -> None:
        uri = f"sqlite:///{home.path / 'mlflow.db'}"
        config = uvicorn.Config(app_of(home, uri, guard), host="127.0.0.1", port=0, log_level="critical")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> int:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)
        (listening,) = self.server.servers
        return int(listening.sockets[0].getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()


def kept(trial: int, cut: str, accuracy: float, sparsity: float, **more: Any) -> Point:
    return make_point(trial, cut, accuracy=accuracy, sparsity=sparsity, network=f"attempt-1/{cut}", **more)


def test_sweeps_are_told_with_their_state(site: Site) -> None:
    status, (found,) = site.ask("/api/sweeps")
    assert status == 200
    assert (found["sweep"], found["state"], found["done"], found["failed"]) == ("digits", "stopped", 2, 1)
    assert found["reasons"] == {"diverged: the loss is nan": 1}


def test_a_sweep_is_told_with_its_file_history_and_failures(site: Site) -> None:
    _, found = site.ask("/api/sweeps/digits")
    assert found["objectives"] == {"accuracy": "max", "sparsity": "max", "speedup": "max"}
    assert found["text"].startswith("name: digits\ntask: {network: ")
    assert [(step["trials"], step["ended_ms"]) for step in found["history"]] == [(1, 2000), (2, 3000), (3, 4000)]
    volumes = [step["hypervolume"] for step in found["history"]]
    assert volumes == pytest.approx([0.9 * 0.5, 0.9 * 0.5 + 0.5 * 0.4, 0.9 * 0.5 + 0.5 * 0.4])
    assert found["failures"] == [{"number": 2, "reason": "diverged: the loss is nan", "ended_ms": 4000}]


def test_points_are_those_of_the_records_and_their_front_is_the_command_line_s(site: Site) -> None:
    _, found = site.ask("/api/sweeps/digits/points")
    ids = [f"{t:05d}/{c}" for t, c in zip(found["columns"]["trial"], found["columns"]["cut"], strict=True)]
    assert ids == ["00000/00", "00000/01", "00001/00"]
    assert found["columns"]["accuracy"] == [0.9, 0.4, 0.5]
    assert found["columns"]["speedup"] == [None, None, None]
    sweep, where = site.folder.read()
    front, _ = frontier_indexed(sweep, site.folder, where)
    assert [ids[row] for row in found["front"]] == [point.id for point in front.points] == ["00000/00", "00001/00"]
    assert found["hypervolume"] == front.macs_hypervolume
    assert found["trials"]["0"]["method"] == "gasl"


def test_what_is_measured_later_is_taken_over(site: Site) -> None:
    site.ask("/api/sweeps/digits/points")
    site.folder.note([(kept(1, "00", 0.5, 0.9), {"latency": [vars(make_latency(3.0))], "test_accuracy": 0.44})])
    _, found = site.ask("/api/sweeps/digits/points")
    assert found["columns"]["speedup"] == [None, None, 3.0]
    assert found["columns"]["test_accuracy"] == [None, None, 0.44]
    assert found["version"] == 2


def test_a_front_that_grew_trial_by_trial_is_the_one_found_afresh(tmp_path: Path) -> None:
    chance, home = Random(3), Home(tmp_path / "state")
    site, reader = Site(home, 0), Reader(home)
    site.folder.create(sweep_of(), HERE)
    sizes = set()
    for number in range(25):
        sparse = [round(chance.random(), 2) for _ in range(3)]
        points = [
            kept(number, f"{cut:02d}", round((1 - s**2) * chance.uniform(0.7, 1), 2), s) for cut, s in enumerate(sparse)
        ]
        site.end(make_record(number, *points, make_point(number, "03", accuracy=1.0), ended_s=number + 1.0))
        cloud = reader.cloud("digits")
        sweep, where = site.folder.read()
        afresh, _ = frontier_indexed(sweep, site.folder, where)
        columns = [(cloud.columns["trial"][row], cloud.columns["cut"][row]) for row in cloud.front]
        assert columns == [(point.trial, point.cut) for point in afresh.points]
        assert cloud.hypervolume == pytest.approx(afresh.macs_hypervolume, rel=1e-12)
        sizes.add(len(columns))
    assert len(sizes) > 3


def test_a_spread_is_a_band(site: Site) -> None:
    cuts = [kept(3, cut_name("00", at), accuracy, 0.7) for at, accuracy in enumerate((0.8, 0.84))]
    site.end(make_record(3, *with_spread(cuts, trainings=2, failed=0), ended_s=5.0))
    _, found = site.ask("/api/sweeps/digits/points?since=3")
    assert found["columns"]["low"] == pytest.approx([0.82 - 0.0282843] * 2)
    assert found["columns"]["high"] == pytest.approx([0.82 + 0.0282843] * 2)


def test_a_point_is_told_whole_and_one_that_is_not_there_is_named(site: Site) -> None:
    site.end(make_record(3, make_point(3, "00", accuracy=0.7), ended_s=5.0))
    status, found = site.ask("/api/sweeps/digits/points/3/00")
    assert (status, found["id"], found["layers"]) == (200, "00003/00", [])
    assert found["point"]["accuracy"] == 0.7
    status, said = site.ask("/api/sweeps/digits/points/3/99")
    assert (status, said["text"]) == (404, "sweep digits has no point 00003/'99'")


def test_a_damaged_record_costs_itself(site: Site) -> None:
    path = site.folder.store(HERE).folder(1).path / "result.json"
    path.write_text("{")
    status, found = site.ask("/api/sweeps/digits/points")
    assert (status, found["columns"]["trial"], found["front"]) == (200, [0, 0], [0])
    assert list(found["damaged"]) == ["1"]
    assert "sparsweep resume runs the trial again" in found["damaged"]["1"]


def test_unknown_sweeps_are_named_with_what_there_is(site: Site) -> None:
    status, said = site.ask("/api/sweeps/digit")
    assert (status, said["text"]) == (404, "no sweep 'digit'; did you mean digits?; there is digits")
    assert site.ask("/api/sweeps/..%2f..%2fetc")[0] in (404, 422)
    assert site.ask("/api/nothing")[0] == 404


def test_a_sweep_file_s_faults_are_told_all_at_once(site: Site) -> None:
    text = "task: {network: lenet-digits, data: digits}\nbudget: {trials: 0}\nsede: 3\n"
    _, found = site.ask("/api/check", {"text": text})
    assert [fault["line"] for fault in found["faults"]] == [2, 3]
    assert "sede" in found["faults"][1]["text"]
    _, good = site.ask("/api/check", {"text": "name: mine\ntask: {network: lenet-digits, data: digits}\n"})
    assert good == {"name": "mine", "exists": False, "conflict": None, "faults": []}
    _, same = site.ask("/api/check", {"text": site.folder.read()[0].text_to_edit})
    assert (same["exists"], same["conflict"], same["faults"]) == (True, None, [])
    _, other = site.ask("/api/check", {"text": site.folder.read()[0].text_to_edit.replace("seed: 0", "seed: 3")})
    assert other["exists"]
    assert "already used" in other["conflict"]
    assert "seed" in other["conflict"]
    _, there = site.ask("/api/check", {"text": "name: digits\ntask: {network: lenet-digits, data: digits}\n"})
    assert there["exists"] is True
    status, said = site.ask("/api/sweeps", {"text": text})
    assert status == 400
    assert len(said["faults"]) == 2


def test_presets_come_with_their_files(site: Site) -> None:
    _, found = site.ask("/api/presets")
    text = next(row["text"] for row in found if row["preset"] == "digits")
    assert "network: lenet-digits" in text


def test_what_is_not_being_run_cannot_be_stopped(site: Site) -> None:
    status, said = site.ask("/api/sweeps/digits/stop", method="POST")
    assert (status, said["text"]) == (400, "sweep digits is not being run")


def test_what_a_command_that_was_begun_says_can_be_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSWEEP_HOME", str(site.home.path))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"  # nobody listens there
        text = "name: mine\ntask: {network: lenet-digits, data: digits}\n"
        status, begun = site.ask("/api/submit", {"text": text, "address": address})
        assert (status, begun["sweep"]) == (202, "mine")
        assert begun["command"].startswith("sparsweep submit ")
        state: dict[str, Any] = {}
        while state.get("state") != "ended":
            time.sleep(0.2)
            _, state = site.ask("/api/sweeps/mine/command")
    assert state["code"] == 2
    assert address in state["said"]
    assert "Traceback" not in state["said"]


def test_fewer_trials_than_have_ended_are_refused(site: Site) -> None:
    status, said = site.ask("/api/sweeps/digits/resume", {"trials": 2})
    assert (status, said["text"]) == (400, "3 trials of digits have ended already: give 3 or more")


def test_another_site_gets_nothing(site: Site) -> None:
    assert site.ask("/api/sweeps", Sec_Fetch_Site="cross-site")[0] == 403
    assert site.ask("/api/sweeps/digits/stop", method="POST", Origin="http://evil.example")[0] == 403
    assert site.ask("/api/sweeps", Host="evil.example")[0] == 421


def test_every_answer_says_what_a_page_may_load(site: Site) -> None:
    connection = HTTPConnection("127.0.0.1", site.port, timeout=30)
    connection.request("GET", "/api/sweeps")
    answer = connection.getresponse()
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    connection.close()


def test_a_token_in_the_address_becomes_a_cookie(site: Site) -> None:
    guard = Guard.of("0.0.0.0", "a-long-token")
    with served(site.home, guard) as port:
        assert Site(site.home, port).ask("/api/sweeps")[0] == 401
        assert Site(site.home, port).ask("/api/sweeps", Authorization="Bearer a-long-token")[0] == 200
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/sweeps?token=a-long-token")
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.headers["Location"]) == (303, "/sweeps")
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        connection.request("GET", "/api/sweeps", headers={"Cookie": cookie.partition(";")[0]})
        assert connection.getresponse().status == 200
        connection.close()


def events(site: Site, count: int, version: int = -1) -> Iterator[tuple[str, Any]]:
    """The first events of the stream, as they come."""
    connection = HTTPConnection("127.0.0.1", site.port, timeout=30)
    connection.request("GET", f"/api/sweeps/digits/events?version={version}")
    answer, name = connection.getresponse(), ""
    try:
        while count:
            line = answer.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                count -= 1
                yield name, json.loads(line.removeprefix("data: "))
    finally:
        connection.close()


def test_new_points_are_told_as_they_come(site: Site) -> None:
    _, before = site.ask("/api/sweeps/digits/points")
    stream = events(site, 3, version=before["version"])
    assert next(stream)[0] == "state"
    site.end(make_record(3, kept(3, "00", 0.95, 0.95), ended_s=5.0))
    told = dict([next(stream), next(stream)])
    assert told["state"]["done"] == 3
    assert (told["points"]["since"], told["points"]["count"]) == (3, 4)
    assert told["points"]["columns"]["accuracy"] == [0.95]
    assert told["points"]["front"] == [3], "it dominates all others"


def test_what_a_trial_at_work_has_found_is_told_and_makes_way_for_its_record(site: Site) -> None:
    _, before = site.ask("/api/sweeps/digits/points")
    record = make_record(3, kept(3, "00", 0.6, 0.7), kept(3, "01", 0.95, 0.95), ended_s=5.0)
    shown(site.folder, replace(record, points=record.points[:1]))
    _, found = site.ask("/api/sweeps/digits/points")
    assert (found["count"], found["columns"]["cut"][3], found["front"]) == (4, "00", [0, 3, 2])
    assert found["version"] > before["version"]
    assert site.ask("/api/sweeps/digits/points")[1]["version"] == found["version"], "nothing is new"
    assert site.ask("/api/sweeps/digits/points/3/00")[1]["figures"]["accuracy"] == 0.6
    shown(site.folder, record)
    _, found = site.ask("/api/sweeps/digits/points")
    assert (found["count"], found["front"]) == (5, [4])
    assert site.folder.store(HERE).folder(3).commit(replace(record, points=(record.points[0].with_(network=None),)))
    _, found = site.ask("/api/sweeps/digits/points")
    assert (found["count"], found["front"]) == (4, [0, 2]), "as in a record of an attempt that went another way"
    assert site.ask("/api/sweeps/digits")[1]["history"][-1]["trials"] == 4


def test_what_a_trial_had_found_before_it_failed_stays(site: Site) -> None:
    shown(site.folder, make_record(3, kept(3, "00", 0.6, 0.7)))
    assert site.ask("/api/sweeps/digits/points")[1]["front"] == [0, 3, 2]
    assert site.folder.store(HERE).folder(3).commit(make_record(3, kept(3, "00", 0.6, 0.7), reason="out of memory"))
    _, found = site.ask("/api/sweeps/digits/points")
    assert (found["count"], found["front"]) == (4, [0, 3, 2])
    assert len(site.ask("/api/sweeps/digits")[1]["failures"]) == 2


def test_nothing_is_lost_of_a_trial_at_work_when_another_one_ends(site: Site) -> None:
    shown(site.folder, make_record(3, kept(3, "00", 0.95, 0.95)))
    before = site.ask("/api/sweeps/digits/points")[1]
    site.end(make_record(4, reason="diverged: the loss is nan", ended_s=6.0))
    after = site.ask("/api/sweeps/digits/points")[1]
    assert (after["front"], after["hypervolume"]) == (before["front"], before["hypervolume"]) == ([3], 0.95 * 0.95)
    assert after["version"] > before["version"]


def test_a_cut_that_was_made_again_otherwise_is_told_as_it_is_now(site: Site) -> None:
    shown(site.folder, make_record(3, kept(3, "00", 0.95, 0.95)))
    before = site.ask("/api/sweeps/digits/points")[1]
    shown(site.folder, make_record(3, kept(3, "00", 0.6, 0.7), ended_s=77.0))
    after = site.ask("/api/sweeps/digits/points")[1]
    assert (before["front"], after["front"]) == ([3], [0, 3, 2])
    assert after["columns"]["accuracy"][3] == 0.6
    with served(site.home, Guard.of("127.0.0.1", None)) as port:  # one that has seen nothing before
        anew = Site(site.home, port).ask("/api/sweeps/digits/points")[1]
    assert {key: anew[key] for key in ("columns", "front", "hypervolume")} == {
        key: after[key] for key in ("columns", "front", "hypervolume")
    }


def test_what_trials_at_work_have_found_is_read_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3, 8):
        shown(site.folder, make_record(number, kept(number, "00", 0.6, 0.7)))
    version = site.ask("/api/sweeps/digits/points")[1]["version"]
    with monkeypatch.context() as patched:
        patched.setattr(TrialFolder, "so_far", lambda self: pytest.fail(f"{self.path} was read again"))
        assert site.ask("/api/sweeps/digits/points")[1]["version"] == version
    shown(site.folder, make_record(3, kept(3, "00", 0.6, 0.7), ended_s=9.0))  # another epoch, no other point
    assert site.ask("/api/sweeps/digits/points")[1]["version"] == version


def test_who_has_another_version_is_told_to_read_all_anew(site: Site) -> None:
    assert ("reload", {"version": 1}) in list(events(site, 2))


def test_the_api_is_documented(site: Site) -> None:
    status, found = site.ask("/api/openapi.json")
    assert status == 200
    assert all("summary" in way and way.get("description") for each in found["paths"].values() for way in each.values())

"""Two sweeps publish into one registered model at the same time."""

from pathlib import Path

from tests.chaos.agreement import agree
from tests.chaos.drivers import SMALL, sweep_in
from tests.chaos.outcome import Findings, Outcome
from tests.chaos.servers import mlflow_server

TEXT = SMALL.replace("model: small, keep: 3", "model: shared, keep: 4")
ORIENTED = (("accuracy", 1), ("sparsity", 1), ("macs", -1))


def two_sweeps_one_model(folder: Path) -> Outcome:
    """Started together, on one server, from two homes: two machines, as far as their files go."""
    findings = Findings(
        "two sweeps publish into one model at once",
        "all versions are there, each once; `frontier` tags are right; no alias on a dominated version",
    )
    with mlflow_server(folder / "server") as server:
        kinds = {"one": TEXT.replace("name: small", "name: one"), "two": TEXT.replace("name: small", "name: two")}
        kinds["two"] = kinds["two"].replace("seed: 0", "seed: 1")
        with (
            sweep_in(folder / "1", text=kinds["one"], name="one", more={"TMPDIR": _made(folder / "tmp1")}) as one,
            sweep_in(folder / "2", text=kinds["two"], name="two", more={"TMPDIR": _made(folder / "tmp2")}) as two,
        ):
            drivers = [sweep.begin("--tracking-uri", server.address, "--inline") for sweep in (one, two)]
            for driver in drivers:
                findings.must("the sweep ends well", driver.end() == 0, driver.text)
                findings.must("it has registered", bool(driver.lines_with("registered models:/shared")), driver.text)
            _judge(findings, server.address)
            for sweep in (one, two):
                agree(findings, sweep, 4, tracking=server.address)
    return findings.outcome()


def _made(path: Path) -> str:
    """A temporary folder of its own, so that no lock file of this machine keeps the two apart."""
    path.mkdir()
    return str(path)


def _judge(findings: Findings, uri: str) -> None:
    from sparsweep.search.with_mlflow.store import client_of

    client = client_of(uri)
    versions = client.search_model_versions("name = 'shared'")
    points = [version.tags["sparsweep.point"] for version in versions]
    findings.must("each point has one version", len(set(points)) == len(points), points)
    sweeps = {point.partition("/")[0] for point in points}
    findings.must("both sweeps have versions", sweeps == {"one", "two"}, points)
    rows = {v.version: tuple(sign * float(v.tags[name]) for name, sign in ORIENTED) for v in versions}
    dominated = {
        number for number, row in rows.items()
        if any(other != row and all(o >= r for o, r in zip(other, row, strict=True)) for other in rows.values())
    }  # fmt: skip
    tagged = {version.version for version in versions if version.tags.get("frontier") == "yes"}
    findings.must("no dominated version is tagged", not tagged & dominated, (tagged, dominated))
    best = {rows[number] for number in rows.keys() - dominated}
    findings.must("what no other dominates is tagged", {rows[number] for number in tagged} == best, (tagged, rows))
    aliases = {k: str(v) for k, v in dict(client.get_registered_model("shared").aliases).items()}
    findings.must("there are aliases", {"knee", "most-accurate", "sparsest"} <= set(aliases), aliases)
    findings.must("no alias on a dominated version", not set(aliases.values()) & dominated, (aliases, dominated))
    best_accuracy = max(rows.values())[0]
    findings.must("most-accurate is", rows[aliases["most-accurate"]][0] == best_accuracy, (aliases, rows))
    findings.note(f"{len(versions)} versions, {len(tagged)} on the frontier, {len(dominated)} dominated")

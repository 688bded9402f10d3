"""Versions as they were measured on one device, with tags written by hand."""

import json
from dataclasses import replace

import pytest

from sparsweep.search.devices import frontier_on, on_device, point_of, records_by_device, tag_of
from sparsweep.search.with_mlflow import ModelVersionInfo
from sparsweep.trainables.point import Latency
from tests.search.points import THREE, make_latency, make_point


def measured(device: str, speedup: float, *, batch: int = 32, runtime: str = "eager") -> Latency:
    return replace(make_latency(speedup, batch=batch), device=device, runtime=runtime, dense_runtime=runtime)


def version(number: int, accuracy: float, sparsity: float, fingerprint: str = "digits", **tags: list[Latency]
            ) -> ModelVersionInfo:  # fmt: skip
    """A version with its point's figures, and lists of records under `latency` and, with _, under `latency.more`."""
    point = make_point(number, "own", accuracy=accuracy, sparsity=sparsity)
    written = {name.replace("_", "."): json.dumps([vars(record) for record in each]) for name, each in tags.items()}
    return ModelVersionInfo(
        model="digits", version=str(number), figures=point.figures(), fingerprint=fingerprint,
        point=f"s/{point.id}", frontier=True, aliases=(), run_id=None,
        tags={"cut": point.cut, "method": point.method, **written},
    )  # fmt: skip


def test_what_was_measured_again_counts_as_it_was_the_last_time() -> None:
    tags = version(
        1, 0.9, 0.5, latency=[measured("server", 4.0, batch=1), measured("server", 5.0)],
        latency_server=[measured("server", 6.0)], latency_phone=[measured("phone", 2.0)],
    ).tags  # fmt: skip
    found = records_by_device(tags)
    assert {device: [(r.batch, r.speedup) for r in records] for device, records in found.items()} == {
        "server": [(1, 4.0), (32, 6.0)], "phone": [(32, 2.0)],
    }  # fmt: skip
    assert records_by_device({"device": "server"}) == {}
    assert records_by_device({"latency": "{", "latency.a": "[3]", "latency.b": '[{"device": "b"}]'}) == {}


def test_a_device_has_one_tag() -> None:
    assert tag_of("AMD EPYC (7B13) ") == "latency.amd-epyc-7b13"


def test_a_version_is_the_point_that_it_was_made_of() -> None:
    info = version(7, 0.9, 0.5)
    point = point_of(info, [measured("phone", 2.0)])
    assert point is not None
    assert (point.id, point.accuracy, point.speedup, point.model_version) == ("00007/own", 0.9, 2.0, "7")
    assert isinstance(point.macs, int)
    assert point_of(replace(info, point=None)) is None


def test_a_frontier_found_on_a_server_is_ranked_anew_for_a_phone() -> None:
    on_server = [(1, 0.95, 2.0, 8.0), (2, 0.94, 6.0, 3.0), (3, 0.93, 5.0, 9.0)]
    versions = [
        version(number, accuracy, 0.5, latency=[measured("server", server)], latency_phone=[measured("phone", phone)])
        for number, accuracy, server, phone in on_server
    ]

    def ranked(device: str) -> list[str | None]:
        return [point.model_version for point in frontier_on(device, "digits", versions, THREE)[0].points]

    assert ranked("server") == ["1", "2"]
    assert ranked("phone") == ["1", "3"]


def test_versions_of_another_task_or_not_measured_there_are_not_compared() -> None:
    versions = [
        version(1, 0.99, 0.9, fingerprint="mnist", latency=[measured("phone", 9.0)]),
        version(2, 0.95, 0.5, latency=[measured("phone", 2.0)]),
        version(3, 0.94, 0.6, latency=[measured("server", 2.0)]),
    ]
    found, missing = frontier_on("phone", "digits", versions, THREE)
    assert [point.model_version for point in found.points] == ["2"]
    assert missing == ["3"]


def test_a_device_that_nothing_was_measured_on_is_told_with_those_that_there_are() -> None:
    versions = [version(1, 0.95, 0.5, latency=[measured("server", 2.0)])]
    with pytest.raises(
        ValueError, match=r"^no version of digits was measured on 'fone', but on 'server': run sparsweep"
    ):
        frontier_on("fone", "digits", versions, THREE)
    with pytest.raises(ValueError, match="but on no device"):
        frontier_on("fone", "digits", [version(1, 0.95, 0.5)], THREE)


def test_a_version_takes_the_figures_of_a_device() -> None:
    info = version(1, 0.95, 0.5, latency=[measured("server", 2.0)], latency_phone=[measured("phone", 7.0)])
    there = on_device(info, "phone")
    assert there is not None
    assert (there.figures["speedup"], there.figures["accuracy"]) == (7.0, 0.95)
    assert on_device(info, "laptop") is None

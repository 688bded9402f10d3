"""The page's API against its own OpenAPI document: random requests, good and bad ones, and every answer held to it."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from sparsweep.search.home import Home
from sparsweep.search.ui.app import app_of
from sparsweep.search.ui.guard import Guard
from tests.search.test_ui_api import Site, site  # noqa: F401

OPERATIONS = sorted(
    f"{method.upper()} {path}"
    for path, methods in app_of(Home.find(), "sqlite://", Guard.of("127.0.0.1", None)).openapi()["paths"].items()
    for method in methods
    if not path.endswith("/events")  # the stream never ends, and is tested by itself
)
LANGUAGE = ("POST /api/models/{model}/pick", "POST /api/submit", "POST /api/sweeps")
"""They take text that has a language of its own: the document cannot say what is wrong in it, the answer does."""
THERE = {"name": "digits", "trial": 0, "cut": "00"}
"""A sweep and one of its points that there are; half of what only reads asks for them."""


def test_the_document_names_all_that_is_tested() -> None:
    assert len(OPERATIONS) >= 16
    assert "POST /api/models/{model}/pick" in OPERATIONS


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_document_knows(label: str, mode: GenerationMode, site: Site) -> None:  # noqa: F811
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{site.port}/api/openapi.json")
    method, _, path = label.partition(" ")
    operation = schema[path][method]
    if mode is GenerationMode.NEGATIVE and not (operation.path_parameters or operation.query or operation.body):
        pytest.skip("takes nothing that could be bad")

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=20, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )  # fmt: skip
    def asked(case: Any) -> None:
        if method == "GET" and mode is GenerationMode.POSITIVE and len(str(case.path_parameters.get("name", ""))) % 2:
            case.path_parameters |= {name: there for name, there in THERE.items() if name in case.path_parameters}
        case.call_and_validate(timeout=60, excluded_checks=[positive_data_acceptance] if label in LANGUAGE else [])

    asked()

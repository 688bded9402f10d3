"""Who may ask the page's server: hosts, other sites' pages, tokens."""

import pytest

from sparsweep.search.ui.guard import LOOPBACK, Guard, is_loopback, name_of

OWN = {"host": "127.0.0.1:8765"}
HERE = Guard.of("127.0.0.1", None)


def status(guard: Guard, method: str = "GET", cookie: str | None = None, api: bool = True, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = guard.refusal(method, {**OWN, **named}, cookie, api=api)
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST", "[::1]:8765"])
def test_it_answers_to_its_own_names(host: str) -> None:
    assert status(HERE, host=host) == 200


@pytest.mark.parametrize("host", ["", "evil.example", "evil.example:8765", "127.0.0.1.evil.example", "10.0.0.7:8765"])
def test_a_foreign_name_is_refused_whatever_it_points_to(host: str) -> None:
    assert status(HERE, host=host) == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_another_site_s_page_changes_nothing(method: str) -> None:
    assert status(HERE, method, sec_fetch_site="cross-site") == 403
    assert status(HERE, method, sec_fetch_site="same-site") == 403
    assert status(HERE, method, origin="http://evil.example") == 403
    assert status(HERE, method, origin="null") == 403
    assert status(HERE, method, origin="http://127.0.0.1:9999") == 403, "another port is another site"
    assert status(HERE, method, origin="http://127.0.0.1:8765", sec_fetch_site="same-origin") == 200


def test_another_site_s_page_reads_no_data_but_may_link_to_the_page() -> None:
    assert status(HERE, sec_fetch_site="cross-site") == 403
    assert status(HERE, sec_fetch_site="cross-site", api=False) == 200
    assert status(HERE, origin="http://evil.example", api=False) == 403


def test_a_body_is_json_which_no_form_can_send() -> None:
    body = {"content_length": "10"}
    assert status(HERE, "POST", content_type="text/plain", **body) == 415
    assert status(HERE, "POST", content_type="application/x-www-form-urlencoded", **body) == 415
    assert status(HERE, "POST", content_type="application/json; charset=utf-8", **body) == 200
    assert status(HERE, "POST") == 200, "without a body none is asked for"


def test_beyond_loopback_there_is_always_a_token() -> None:
    there = Guard.of("0.0.0.0", None)
    assert there.token is not None
    assert len(there.token) >= 24
    assert there.token != Guard.of("0.0.0.0", None).token
    assert Guard.of("127.0.0.1", None).token is None
    assert Guard.of("localhost", "given").token == "given"


def test_a_token_comes_as_a_cookie_or_as_a_header() -> None:
    there = Guard.of("0.0.0.0", "a-long-token")
    assert status(there) == 401
    assert status(there, cookie="another") == 401
    assert status(there, authorization="Bearer a-long-toke") == 401
    assert status(there, authorization="Basic a-long-token") == 401
    assert status(there, cookie="a-long-token") == 200
    assert status(there, authorization="Bearer a-long-token") == 200
    assert status(there, api=False) == 401


def test_with_a_token_any_address_will_do_but_no_foreign_name() -> None:
    there = Guard.of("0.0.0.0", "a-long-token")
    assert status(there, cookie="a-long-token", host="10.0.0.7:8765") == 200
    assert status(there, cookie="a-long-token", host="evil.example") == 421


@pytest.mark.parametrize(
    ("host", "name"), [("a:1", "a"), ("[::1]:1", "::1"), ("[::1]", "::1"), ("A.b", "a.b"), ("", "")]
)
def test_a_host_without_its_port(host: str, name: str) -> None:
    assert name_of(host) == name


@pytest.mark.parametrize(
    ("host", "own"),
    [*((name, True) for name in sorted(LOOPBACK)), ("127.9.9.9", True), ("0.0.0.0", False), ("::", False),
     ("example.org", False)],
)  # fmt: skip
def test_what_only_this_machine_can_reach(host: str, own: bool) -> None:
    assert is_loopback(host) is own

"""What is shown of a text that holds secrets: nothing of them."""

import pytest

from sparsweep.search.redaction import without_secrets
from sparsweep.search.sweep_folder import has_password
from sparsweep.search.with_mlflow import without_password


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct horse")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "tok-4815162342")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "feedc0de")
    monkeypatch.setenv("SPARSWEEP_STUDY_STORAGE", "postgresql://me:p%40ss%2Fword@db/studies")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/home/me/token")
    monkeypatch.setenv("SHORT_PASSWORD", "the")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("wrong password correct horse", "wrong password ***"),
        ("GET /?p=correct%20horse and correct+horse", "GET /?p=*** and ***"),
        ("Bearer tok-4815162342", "Bearer ***"),
        ("token feedc0de at /home/me/token", "token *** at /home/me/token"),
        ("of user me: p@ss/word", "of user me: ***"),
        ("postgresql://me:p%40ss%2Fword@db/studies", "postgresql://me:***@db/studies"),
        ("API request to http://u:another@host/api failed", "API request to http://u:***@host/api failed"),
        ("two: http://a:b@c and http://d:e@f", "two: http://a:***@c and http://d:***@f"),
        ("the store is down", "the store is down"),
        ("http://host:5000/path?a=1", "http://host:5000/path?a=1"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
        ("", ""),
    ],
)
def test_secrets_are_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "address",
    ["http://u:p@h", "postgresql://u:p/w@h/db", "postgresql://u:p@w@h/db", "http://:p@h", "mysql+pymysql://u:p:q@h/d",
     "postgresql://h/db?user=u&password=p", "http://h/?token=x", "postgresql://h/db?sslpassword=x"],
)  # fmt: skip
def test_a_password_is_seen_wherever_an_address_can_hold_one(address: str) -> None:
    assert has_password(address)
    assert "***" in without_password(address)


@pytest.mark.parametrize("address", ["http://h:5000", "sqlite:////a@b/c.db", "postgresql://u@h/db", "databricks", ""])
def test_an_address_without_one_is_left_as_it_is(address: str) -> None:
    assert without_password(address) == address
    assert not has_password(address)

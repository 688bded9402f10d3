"""What is never shown: the passwords and tokens of this process's environment, and any in an address."""

import os
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

from sparsweep.search.with_mlflow.store import without_password

HIDDEN = "***"
SHORTEST = 6
"""A shorter secret is found only where it stands in an address: it would blot out ordinary words."""
_SECRET = re.compile(r"(?i).*(password|passwd|token|secret|secret_key|access_key|api_key)")
_ADDRESS = re.compile(r"(?i).*(uri|url|storage)")


def without_secrets(text: str) -> str:
    """The text as it may be shown."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return without_password(text)


def _secrets() -> set[str]:
    plain = {secret for secret in _in_environment() if len(secret) >= SHORTEST}
    return plain | {spelled for secret in plain for spelled in (quote(secret, safe=""), quote_plus(secret))}


def _in_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if _SECRET.fullmatch(name):
            yield value
        elif _ADDRESS.fullmatch(name) and "@" in value:
            yield from _in_address(value)


def _in_address(address: str) -> Iterator[str]:
    try:
        password = urlsplit(address).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)

"""Who may ask: by the name under which the server is called, the page that asks, and a token. Pure decisions.

A browser lets any page send requests to 127.0.0.1, and any name's owner can have it point there (DNS rebinding). So
the server answers to its own names only, changes nothing for another site's pages, and tells them nothing either;
beyond loopback it wants a token as well.
"""

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass

COOKIE = "sparsweep_token"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
READING = frozenset({"GET", "HEAD"})
POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self' 'unsafe-eval'", "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:", "font-src 'self'", "connect-src 'self'", "frame-ancestors 'none'",
        "base-uri 'none'", "form-action 'none'",
    )
)  # fmt: skip
"""What the page may load: its own files only. plotly makes its WebGL code at run time and writes styles itself."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What a server answers."""

    names: frozenset[str] = LOOPBACK
    """Under which it may be called, lower case, without port."""
    token: str | None = None
    """None: whoever reaches it may ask."""

    @classmethod
    def of(cls, host: str, token: str | None) -> "Guard":
        """Of a server that is bound to `host`; beyond loopback there is always a token, drawn if none is given."""
        if is_loopback(host):
            return cls(names=LOOPBACK | {host.lower()}, token=token)
        own = {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
        return cls(names=LOOPBACK | own, token=token or secrets.token_urlsafe(24))

    def refusal(self, method: str, headers: Mapping[str, str], cookie: str | None, *, api: bool) -> Refusal | None:
        """None where the request may be answered.

        Args:
            headers: by name in lower case.
            cookie: what the browser kept of the token.
            api: whether it asks for data and not for the page itself.
        """
        called = name_of(headers.get("host", ""))
        if called not in self.names and not (self.token is not None and _is_address(called)):
            return Refusal(status=421, text=f"this server is not called {called or 'nothing'}: use {self._known()}")
        if (foreign := self._foreign(method, headers, api=api)) is not None:
            return foreign
        if self.token is not None and not self._knows_token(headers, cookie):
            return Refusal(status=401, text="a token is needed: open the address that sparsweep ui has printed")
        return None

    def _known(self) -> str:
        return ", ".join(sorted(self.names))

    def _foreign(self, method: str, headers: Mapping[str, str], *, api: bool) -> Refusal | None:
        """Another site's page may link here, and no more."""
        site, origin = headers.get("sec-fetch-site", "none"), headers.get("origin")
        changes = method not in READING
        if (changes or api) and site not in ("none", "same-origin"):
            return Refusal(status=403, text="another site's page cannot ask this server anything")
        if origin is not None and origin.partition("://")[2] != headers.get("host"):
            return Refusal(status=403, text="another site's page cannot ask this server anything")
        kind = headers.get("content-type", "").partition(";")[0].strip()
        if changes and headers.get("content-length", "0") != "0" and kind != "application/json":
            return Refusal(status=415, text="a body must be JSON (Content-Type: application/json)")
        return None

    def _knows_token(self, headers: Mapping[str, str], cookie: str | None) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        offered = (given if kind.lower() == "bearer" else "", cookie or "")
        return any(self.is_token(each) for each in offered)

    def is_token(self, text: str) -> bool:
        """In a time that tells nothing about how near it is."""
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or name."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def name_of(host: str) -> str:
    """A Host header without its port, lower case: `[::1]:8765` is `::1`."""
    text = host.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.rpartition(":")[2].isdigit() and ":" in text else text


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

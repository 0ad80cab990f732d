"""The signed cookie by which a client stays with its server. Pure.

Its value is the time of its end, a mark of the server and a signature. The mark is made with the
secret too, so it does not show the address of the server. If a client changes the value, the proxy
treats it like a client without a cookie.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from config.tables.upstream import SameSite

# A handful of servers need few bits; 72 make a mark of 12 characters without padding.
_MARK_BYTES: Final = 9
_SAME_SITE: Final = {SameSite.STRICT: b"Strict", SameSite.LAX: b"Lax", SameSite.NONE: b"None"}


@dataclass(frozen=True, slots=True)
class CookieSettings:
    """`seconds` is how long it holds; it is renewed when half of that is over."""

    name: str
    secret: bytes = field(repr=False)
    seconds: int
    same_site: SameSite


class StickyCookie:
    def __init__(self, settings: CookieSettings, upstream: str, servers: Iterable[str]) -> None:
        """A cookie of another upstream, although under the same secret, is not valid here."""
        self.name = settings.name.encode("ascii")
        self._settings = settings
        self._context = upstream.encode() + b"\0"
        self._marks = {server: self._mark(server) for server in servers}
        self._servers = {mark: server for server, mark in self._marks.items()}
        attributes = b"; Path=/; Max-Age=%d; Secure; HttpOnly; SameSite=%b\r\n"
        self._attributes = attributes % (settings.seconds, _SAME_SITE[settings.same_site])

    def server(self, value: bytes, now: float) -> tuple[str, bool] | None:
        """The name of the server that a cookie was made for, and whether it is time to renew it.

        None for a cookie that is not ours, was changed or is over, and if its server is gone. `now`
        is in UNIX seconds.
        """
        signed, _, signature = value.rpartition(b".")
        if not hmac.compare_digest(self._signature(signed), signature):
            return None
        until, _, mark = signed.partition(b".")
        left = int(until, 16) - now
        server = self._servers.get(mark)
        if server is None or left <= 0:
            return None
        return server, left * 2 < self._settings.seconds

    def set_cookie(self, server: str, now: float) -> bytes:
        """The field line that binds a client to a server."""
        signed = b"%x.%b" % (int(now) + self._settings.seconds, self._marks[server])
        value = b"%b.%b" % (signed, self._signature(signed))
        return b"Set-Cookie: %b=%b%b" % (self.name, value, self._attributes)

    def _mark(self, server: str) -> bytes:
        return urlsafe_b64encode(self._digest(b"mark", server.encode())[:_MARK_BYTES])

    def _signature(self, signed: bytes) -> bytes:
        return urlsafe_b64encode(self._digest(b"cookie", signed)).rstrip(b"=")

    def _digest(self, purpose: bytes, data: bytes) -> bytes:
        return hmac.digest(self._settings.secret, purpose + b"\0" + self._context + data, sha256)

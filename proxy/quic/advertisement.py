"""When the answers of a listener offer HTTP/3, and when they have clients forget it. Pure.

A client with such an answer tries UDP first for `SECONDS`, and falls back slowly where a firewall
drops it. So nothing is said before a handshake of the proxy with itself has succeeded, and
`clear` is said for as long as a client may still remember (RFC 7838 section 3.1).
"""

from dataclasses import dataclass, replace
from typing import Final

from proxy.http.alternative import CLEAR, http3_at

SECONDS: Final = 3_600
"""How long clients remember: an answer within that time extends it."""
OFF: Final = "http3 is off"
UNTRIED: Final = "no handshake was tried yet"


@dataclass(frozen=True, slots=True)
class RememberedOffer:
    """What clients of one listener still remember, for the process that takes over."""

    listener: str
    port: int
    seconds: float
    """How long."""


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What the answers of one listener say.

    `port` is the UDP port that clients reach. `fault` says why HTTP/3 is not offered, None if it
    is. `remembered_until`: when the last client forgets what an earlier answer offered.
    """

    port: int
    fault: str | None = UNTRIED
    remembered_until: float = 0.0

    @property
    def is_offered(self) -> bool:
        return self.fault is None

    def after(self, fault: str | None, now: float) -> "Advertisement":
        """The next one, when a handshake has succeeded (None), or failed for this reason."""
        return replace(self, fault=fault, remembered_until=self.forgotten_at(now))

    def forgotten_at(self, now: float) -> float:
        """When no client remembers an offer any more, if none is made from now on."""
        return now + SECONDS if self.is_offered else self.remembered_until

    def at_port(self, port: int) -> "Advertisement":
        """The same at the port of another configuration, where nothing was tried yet."""
        return self if port == self.port else replace(self, port=port)

    def value(self, now: float) -> bytes:
        """The value of Alt-Svc, empty if nothing is to be said."""
        if self.is_offered:
            return http3_at(self.port, SECONDS)
        return CLEAR if now < self.remembered_until else b""

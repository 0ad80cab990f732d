"""How a handshake of the doctor ended, as its client saw it. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509

from proxy.tls.wire.alerts import AlertDescription


class Ending(StrEnum):
    ESTABLISHED = "established"
    """Our side has finished. In TLS 1.3 a server may still refuse: for a certificate it misses."""
    ALERT = "alert"
    CLOSED = "closed"
    """The server closed the connection without an alert."""
    SILENT = "silent"
    """The server did not answer in time."""
    UNREACHABLE = "unreachable"
    """TCP did not connect."""
    NOT_TLS = "not TLS"
    """The server answered something else than TLS."""
    CLIENT_REFUSED = "refused by the doctor's TLS"
    """The doctor's own TLS did not take the answer."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the client saw. The fields behind `detail` are of an established connection."""

    ending: Ending
    seconds: float
    """From the first byte of the ClientHello to the end."""
    retried: bool = False
    """Whether the server sent a HelloRetryRequest."""
    alert: int | None = None
    detail: str = ""
    """For an ending without an alert: what the system or the stack says."""
    group: str = ""
    """The key exchange, by the name that the doctor's stack has for it."""
    has_key_exchange: bool = False
    """Whether the ServerHello has a key share: a resumption without one has no forward secrecy."""
    is_resumed: bool = False
    version: str = ""
    protocol: str = ""
    """What ALPN settled; empty without it."""
    chain: tuple[x509.Certificate, ...] = ()
    """As the server presented it; empty for a resumption."""

    @property
    def is_established(self) -> bool:
        return self.ending is Ending.ESTABLISHED

    def __str__(self) -> str:
        match self.ending:
            case Ending.ESTABLISHED:
                trips = "2 round trips" if self.retried else "1 round trip"
                return f"{self.version}, {self.group} in {trips}, {self.seconds * 1000:.1f} ms"
            case Ending.ALERT if self.alert is not None:
                return f"the server refuses with the alert {alert_name(self.alert)}"
            case Ending.CLOSED:
                return "the server closes the connection without an alert"
            case Ending.SILENT:
                return f"no answer within {self.seconds:.1f} s"
            case _:
                return f"{self.ending}: {self.detail}"


def alert_name(number: int) -> str:
    """The name of RFC 8446 section 6 for an alert, with its number."""
    try:
        return f"{AlertDescription(number).name.lower()} ({number})"
    except ValueError:
        return f"number {number}"

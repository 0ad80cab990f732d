"""How clients take up post-quantum key exchange: the answer to `GET /adoption`. Pure."""

from typing import TypedDict

from proxy.figures.snapshot import Summaries


class Nothing(TypedDict):
    """An empty table."""


class OfferRow(TypedDict):
    """The policy `pq` of a listener, and its groups in OpenSSL's syntax."""

    pq: str
    groups: str


class ListenerDayRow(TypedDict):
    handshakes: dict[str, dict[str, int]]
    """By identity and outcome."""
    breaking: Summaries | Nothing
    """Empty without a client that `require` would refuse."""


class AdoptionDocument(TypedDict):
    """The last 30 days. A document of another version is not read."""

    version: int
    writer: str
    """A name for the process that wrote it."""
    saved_at: float
    """In UNIX seconds."""
    listeners: dict[str, OfferRow]
    """What each listener offered when it was seen last."""
    days: dict[str, dict[str, ListenerDayRow]]
    """By day and listener."""

"""Events of clients whose connections were refused or ended. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from proxy.limits.reasons import ConnectionReason
from proxy.observe.events.event import Event, Level

TURNED_AWAY: Final[Mapping[ConnectionReason, str]] = {
    ConnectionReason.CONNECTIONS: "{} refused by connections",
    ConnectionReason.CONNECTIONS_PER_ADDRESS: "{} refused by connections_per_address",
    ConnectionReason.HANDSHAKES_IN_FLIGHT: "{} refused by handshakes_in_flight",
    ConnectionReason.HANDSHAKE_RATE: "{} refused by handshakes_per_second_per_address",
    ConnectionReason.PROXY_SENDER: "{} refused, not from proxy_protocol_from",
    ConnectionReason.OUT_OF_DESCRIPTORS: "accepting paused {} times, no file descriptors left (LimitNOFILE=, ulimit -n)",
    ConnectionReason.OUT_OF_MEMORY: "accepting paused {} times, no memory left (memory_bytes)",
    ConnectionReason.SHED_SILENT: "{} closed before their ClientHello",
    ConnectionReason.SHED_UNFINISHED: "{} closed during their handshake",
    ConnectionReason.SHED_IDLE: "{} closed without a request",
    ConnectionReason.HTTP3_UNKNOWN_CONNECTIONS: "{} packets for unknown connections of HTTP/3 not answered",
    ConnectionReason.HTTP3_INVALID_TOKEN: "{} refused, with a bad token of a Retry packet of HTTP/3",
    ConnectionReason.SHED_TUNNEL: "{} WebSockets or TCP connections closed to make room",
}
"""The reasons of which `turned_away` tells, with their sentences."""


# A ClientHello of 64 KB can list 32,000 groups; clients that exist list below ten.
_SHOWN_GROUPS: Final = 32


@dataclass(frozen=True, slots=True)
class ConnectionsTurnedAway(Event):
    """A listener refused connections, or closed some to make room. Written after a second, then
    every 30 seconds.

    If these are many clients, raise the limit that `reasons` names, or add workers or machines. If
    a few clients cause most of it (`clients`), block them.
    """

    event = "turned_away"
    level = Level.WARNING

    listener: str
    """Name of the listener."""
    seconds: float
    """Seconds that the numbers are of."""
    reasons: Mapping[str, int]
    """Number of connections by reason: the label `reason` of `plexigate_failures_total`."""
    clients: Mapping[str, int]
    """The clients (address, or /64 network) with most of them; an upper bound of each."""

    def sentence(self) -> str:
        said = ", ".join(TURNED_AWAY[ConnectionReason(reason)].format(count) for reason, count in self.reasons.items())
        most = ", ".join(f"{client} {count} times" for client, count in self.clients.items())
        clients = f"; most of them: {most}" if most else ""
        return f"listener {self.listener}, connections in {self.seconds:g} s: {said}{clients}"


@dataclass(frozen=True, slots=True)
class ListFetched(Event):
    """A new revocation list from `client_certificates.crl_url` is in service in all workers."""

    event = "list_fetched"
    level = Level.INFORMATION

    address: str
    """From where it came."""
    until: str
    """When it expires, RFC 3339 in UTC."""
    revoked: int
    """Number of certificates on it."""

    def sentence(self) -> str:
        end = datetime.fromisoformat(self.until)
        return f"new revocation list of {self.address}, current until {end:%Y-%m-%d %H:%M} UTC, revoked: {self.revoked}"


@dataclass(frozen=True, slots=True)
class ListNotFetched(Event):
    """A revocation list could not be fetched, or must not be used. The list before stays in use.

    It is tried again every five minutes. The alert `revocations_expiring` follows if time runs out.
    """

    event = "list_not_fetched"
    level = Level.WARNING

    address: str
    """From where it should come."""
    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"the revocation list of {self.address} was not renewed: {self.detail}"


@dataclass(frozen=True, slots=True)
class HandshakeFailed(Event):
    """A connection ended before its TLS handshake was complete.

    Check `reason` if many clients fail: [Troubleshooting](troubleshooting.md) has the remedies.
    """

    event = "handshake_failed"
    level = Level.INFORMATION

    client: str
    """Address of the client."""
    listener: str
    """Name of the listener."""
    name: str | None
    """Name that the client asked for (SNI), or null."""
    reason: str
    """The label `reason` of `plexigate_failures_total`."""
    detail: str
    """What went wrong."""
    alert: str | None
    """The TLS alert that was sent or received, or null."""
    groups: Sequence[str]
    """Key exchange groups that the client offered, 32 at most; code points in hexadecimal where the
    name is unknown."""
    duration_ms: float
    """Milliseconds from the accept of the connection."""

    def sentence(self) -> str:
        alert = "" if self.alert is None else f" (alert {self.alert})"
        asked = [f"asked for {self.name}"] if self.name is not None else []
        offered = [f"offered {', '.join(self.groups)}"] if self.groups else []
        hello = " and ".join(asked + offered)
        return (
            f"handshake failed, {self.reason}: {self.detail}{alert}; client {self.client}{hello and f', which {hello}'}"
        )


@dataclass(frozen=True, slots=True)
class PageTokenWrong(Event):
    """Clients showed wrong tokens for the admin page. A worker writes it once a minute at most.

    Each is counted in `plexigate_failures_total` under the reason `page_token`. A single one is a
    typing error, or a program that has an old token. Many are an attack, or such a program: limit
    the route by `allow`. A token has too many possibilities to be guessed.
    """

    event = "page_token_wrong"
    level = Level.WARNING

    client: str
    """Address of the client of the latest one."""
    count: int
    """Number of wrong tokens in this worker since the last line."""

    def sentence(self) -> str:
        tokens = "a wrong token" if self.count == 1 else f"{self.count} wrong tokens"
        return f"admin page: {tokens}, the latest from {self.client}"


@dataclass(frozen=True, slots=True)
class ConnectionCut(Event):
    """A connection was closed after its handshake, because the client broke the rules of TLS or
    HTTP/2, exceeded a limit of HTTP/2, or sent a fatal alert.

    A single one is normal. If one client causes many, it is broken or it attacks.
    [Troubleshooting](troubleshooting.md#http2) explains the reasons of HTTP/2.
    """

    event = "connection_cut"
    level = Level.INFORMATION

    client: str
    """Address of the client."""
    listener: str
    """Name of the listener."""
    name: str | None
    """Name that the client asked for (SNI), or null."""
    group: str
    """Key exchange group."""
    outcome: str
    """Outcome of the key exchange: the label `outcome` of `plexigate_handshakes_total`."""
    resumed: bool
    """Whether the session was resumed."""
    protocol: str
    """`h2` or `http/1.1`."""
    reason: str
    """`tls_record_flood`, `tls_broken`, or a reason that begins with `http2_`."""
    detail: str
    """What went wrong."""

    def sentence(self) -> str:
        return f"connection closed, {self.reason}: {self.detail}; client {self.client}"


def offered_groups(code_points: Sequence[int], names: Mapping[int, str]) -> list[str]:
    """Name the key exchange groups that a client offered, the first 32 of them."""
    return [names.get(one) or f"0x{one:04x}" for one in code_points[:_SHOWN_GROUPS]]


def milliseconds(seconds: float) -> float:
    """Convert a duration for the log: to the microsecond."""
    return round(seconds * 1000, 3)

"""Events of connections whose bytes went both ways without being read. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class TcpClosed(Event):
    """A connection of a TCP listener is over.

    `reason` and `detail` say why. Many `no_server`: look at the servers by `plexigate status`. Many
    `idle`: raise `tcp_idle_timeout` above the interval of the clients' pings.
    """

    event = "tcp_closed"
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
    """The protocol that ALPN chose, `tcp` without ALPN."""
    upstream: str | None
    """Name of the upstream, or null if the name has none."""
    server: str | None
    """Address of the server, or null if none was reached."""
    bytes_in: int
    """Bytes from the client, without TLS."""
    bytes_out: int
    """Bytes to the client, without TLS."""
    duration_ms: float
    """Milliseconds from the end of the handshake."""
    reason: str
    """Label `reason` of `plexigate_relay_ends_total`."""
    detail: str | None = None
    """What happened, where the reason does not say it all."""
    subject: str | None = None
    """Subject of the client's certificate, if it showed one."""

    def sentence(self) -> str:
        return (
            f"TCP connection over, {_why(self.reason, self.detail)}: client {self.client}, "
            f"{_path(self.name, self.server)}, {_bytes(self.bytes_in, self.bytes_out)}, {self.duration_ms / 1000:.1f} s"
        )


@dataclass(frozen=True, slots=True)
class PassthroughClosed(Event):
    """A connection is over whose TLS was passed on without being opened.

    `reason` and `detail` say why, as for `tcp_closed`.
    """

    event = "passthrough_closed"
    level = Level.INFORMATION

    client: str
    """Address of the client."""
    listener: str
    """Name of the listener."""
    name: str
    """Name that the client asked for (SNI)."""
    groups: Sequence[str]
    """Key exchange groups that the client offered, 32 at most; none of a client without TLS 1.3."""
    server: str | None
    """Address of the server, or null if it was not reached."""
    bytes_in: int
    """Bytes from the client, its TLS included."""
    bytes_out: int
    """Bytes to the client, its TLS included."""
    duration_ms: float
    """Milliseconds from the ClientHello."""
    reason: str
    """Label `reason` of `plexigate_relay_ends_total`."""
    detail: str | None = None
    """What happened, where the reason does not say it all."""

    def sentence(self) -> str:
        return (
            f"passed-on connection over, {_why(self.reason, self.detail)}: client {self.client}, "
            f"{_path(self.name, self.server)}, {_bytes(self.bytes_in, self.bytes_out)}, {self.duration_ms / 1000:.1f} s"
        )


def _why(reason: str, detail: str | None) -> str:
    return reason if detail is None else f"{reason} ({detail})"


def _path(name: str | None, server: str | None) -> str:
    return f"{name or 'no name'} to {server or 'no server'}"


def _bytes(received: int, sent: int) -> str:
    return f"{received} bytes in, {sent} out"

"""What a listener is given: what one configuration says about it, and what all listeners share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from config.tables.listener import ClientAddressFrom
from proxy.downstream.service.service import HttpService
from proxy.limits.connections import ListenerLimits
from proxy.limits.networks import Networks
from proxy.limits.scarcity import Scarcity
from proxy.limits.shared import SharedTable
from proxy.net.deadlines import Deadlines
from proxy.net.linger import Linger
from proxy.net.shared_io import SharedIo
from proxy.observe.counts.counters import Counters
from proxy.observe.events.clients import HandshakeFailed
from proxy.observe.events.event import Event, Tell
from proxy.observe.turned_away import TurnedAway
from proxy.tls.handshake.challenges import PendingChallenges
from proxy.tls.handshake.flight_makers import FlightServices
from proxy.tls.handshake.handshake_policy import HandshakePolicy

LAST_HANDSHAKE_SECONDS: Final = 2.0
"""The time that a handshake in flight gets in a drain: a few round trips. A client that stalls must
not delay the end."""


@dataclass(frozen=True, slots=True)
class ListenerRuntime:
    """What one configuration says about a listener. A connection keeps what it started with."""

    name: str
    policy: HandshakePolicy
    cipher_suites: str
    limits: ListenerLimits
    trusted_peers: Networks
    linger: Linger
    exempt: Networks = ()
    """Networks to which the limits on single clients do not apply."""
    header_senders: Networks = ()
    """If there are any, only they may connect, each time with a PROXY header first."""
    client_address_from: ClientAddressFrom = ClientAddressFrom.X_FORWARDED_FOR
    """The field by which a trusted peer names its client."""
    quic: HandshakePolicy | None = None
    """What the listener demands of HTTP/3; None if it has none."""
    quic_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """Keys of 32 bytes. The first makes address tokens and stateless resets; older ones follow."""


def _untold(_event: Event) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ListenerServices:
    """What all listeners of a loop share."""

    io: SharedIo
    deadlines: Deadlines
    http: HttpService
    counters: Counters
    flights: FlightServices
    log: Callable[[HandshakeFailed], None]
    scarcity: Scarcity
    turned_away: TurnedAway
    shared: SharedTable = field(default_factory=SharedTable.private)
    """The counts of all workers."""
    challenges: PendingChallenges = field(default_factory=PendingChallenges)
    """The answers to challenges, which CAs may see."""
    tell: Tell = _untold
    worker_prefix: bytes = b"\0\0"
    """What the connection IDs of this process begin with: its slot, and a number of its own."""

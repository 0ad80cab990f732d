"""The facts about a client for the life of its connection, for upstreams and the log."""

from collections.abc import Mapping
from ipaddress import IPv6Address

from proxy.downstream.standing import NoLongerWelcome, standing
from proxy.http.client_cert import client_cert_lines
from proxy.http.fields import Fields
from proxy.http.head import RequestHead
from proxy.http.headers import ForwardedPeer, client_address
from proxy.limits.idleness import Idle, Shown
from proxy.limits.networks import EXEMPT, network_of
from proxy.limits.requests import ClientRates, RequestRate
from proxy.limits.shared import SharedTable
from proxy.observe.access_log import ClientRecord
from proxy.observe.breaking import BreakingClients
from proxy.tls.handshake_policy import HandshakePolicy
from proxy.tls.results import Established


class ClientFacts:
    """Settled by the accept and the handshake. What follows from the facts is made on first use."""

    __slots__ = ("_peer", "_record", "address", "is_trusted", "is_unreported", "listener", "network", "rates", "tls")

    def __init__(
        self,
        address: str,
        listener: str,
        tls: Established,
        is_trusted: bool,  # noqa: FBT001 - a fact
        rates: ClientRates | None = None,
    ) -> None:
        """`is_trusted`: whether the forwarding fields of this peer are believed.

        `rates` is None for a client that is exempt from limits.
        """
        self.address = address
        self.listener = listener
        self.tls = tls
        self.is_trusted = is_trusted
        self.is_unreported = tls.breaks_under_require
        """Whether `require` would refuse this client, and its first request was not counted yet."""
        self.rates = rates
        self.network = EXEMPT if rates is None else rates.network
        """The client network that the connection counts for; `EXEMPT` for one that is exempt."""
        self._peer: ForwardedPeer | None = None
        self._record: ClientRecord | None = None

    def report(self, request: RequestHead, clients: BreakingClients) -> None:
        """Count a client that `require` would refuse, by its first request."""
        self.is_unreported = False
        clients.add(self.address, request.headers)

    def stand(self, policies: Mapping[str, HandshakePolicy]) -> None:
        """Go on under the current policies of the listeners. Raises `NoLongerWelcome`.

        A trusted peer may have been believed when it named its client's certificate, and requests
        of this connection are remembered as they were sent on then.
        """
        before, self.tls = self.tls, standing(self.tls, self.listener, policies)
        if self.is_trusted and (before.identity.clients is None) != (self.tls.identity.clients is None):
            raise NoLongerWelcome("a reload changes who is asked for client certificates")

    @property
    def peer(self) -> ForwardedPeer:
        """What upstreams are told."""
        if self._peer is None:
            group, address, certificate = self.tls.group_name, self.address, None
            if self.tls.identity.clients is not None:
                client = self.tls.client
                certificate = b"" if client is None else client_cert_lines(client.leaf, client.chain)
            self._peer = (
                ForwardedPeer.of(IPv6Address(address), group, is_trusted=self.is_trusted, certificate=certificate)
                if ":" in address
                else ForwardedPeer.of_ipv4(address, group, is_trusted=self.is_trusted, certificate=certificate)
            )
        return self._peer

    def counts_as(self, fields: Fields) -> bytes:
        """The client network that a request with these fields counts for, or `EXEMPT`.

        A request of a trusted peer counts for the client that the peer speaks for.
        """
        if fields.claims and self.is_trusted:
            address = client_address(fields, self.peer)
            if address != self.peer.address:
                try:
                    return network_of(address.decode("ascii"))
                except (OSError, ValueError):
                    return address  # "unknown", or a name of the peer's own (RFC 7239 section 6)
        return self.network

    def idle(self, since: float) -> Idle:
        """A connection that waits for a request."""
        return Idle(Shown.HANDSHAKE, since, self.listener, self.network)

    @property
    def record(self) -> ClientRecord:
        """What the log says in each line."""
        if self._record is None:
            tls = self.tls
            self._record = ClientRecord(
                self.address,
                self.listener,
                tls.server_name,
                tls.group_name,
                tls.outcome,
                resumed=tls.is_resumed,
                protocol=tls.protocol,
                subject=None if tls.client is None else tls.client.subject,
            )
        return self._record

    def wait(self, rate: RequestRate, shared: SharedTable, now: float) -> float:
        """Seconds until a request to a route with this rate may come, 0 for now."""
        return 0.0 if self.rates is None else self.rates.wait(rate, shared, now)

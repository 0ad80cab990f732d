"""The facts about a client for the life of its connection, for upstreams and the log."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from proxy.downstream.requests.origin import Origin, RequestLink, described
from proxy.downstream.requests.requester import PeerTrust, Requester
from proxy.downstream.requests.standing import NoLongerWelcome, standing
from proxy.http.alternative import NO_ALTERNATIVE, AlternativeService
from proxy.http.fields import Fields
from proxy.http.forwarded_head import ForwardedPeer, client_cert_lines
from proxy.http.via import NAMELESS, OwnVia
from proxy.limits.idleness import Idle, Shown
from proxy.limits.networks import EXEMPT, is_in, network_of
from proxy.limits.request_rates import ClientRates
from proxy.observe.counts.breaking import BreakingClients
from proxy.observe.logs.access_log import ClientRecord
from proxy.proxy_protocol.writing import DescribedConnection
from proxy.tls.handshake.handshake_policy import HandshakePolicy
from proxy.tls.handshake.results import Established
from proxy.upstream.pooling.client_link import ClientLink

if TYPE_CHECKING:
    from proxy.downstream.requests.tunnel_places import ListenerPlaces
    from proxy.net.counted_bytes import CountedBytes


class ClientFacts(ClientLink):
    """Settled by the accept and the handshake. What follows from the facts is made on first use."""

    def __init__(
        self,
        address: str,
        listener: str,
        tls: Established,
        trust: PeerTrust | None = None,
        rates: ClientRates | None = None,
        *,
        is_named: bool = True,
    ) -> None:
        """`address` is that of the peer.

        `trust` says how its forwarding fields are read, None if they are not believed. `rates` is
        None for a peer that is exempt from limits. `is_named` is false if a PROXY header says that
        the peer speaks for a client, and does not say for which one.
        """
        super().__init__(keeps_servers=True)
        self.address: Final = address
        self.listener: Final = listener
        self.tls = tls
        self.is_named: Final = is_named
        self.is_trusted: Final = trust is not None
        """Whether the forwarding fields of this peer are believed."""
        self.is_unreported = tls.breaks_under_require
        """Whether `require` would refuse this client, and its first request was not counted yet."""
        self.network: Final = EXEMPT if rates is None else rates.network
        """The client network that the connection counts for; `EXEMPT` for one that is exempt."""
        self._rates: Final = rates
        self._trust: Final = trust
        self._requester: Requester | None = None
        self.wire: CountedBytes | None = None
        """The socket, if its bytes are those of one request at a time: HTTP/1.1."""
        self.listener_places: ListenerPlaces | None = None
        """Its listener, which counts WebSockets that are not connections of their own."""
        self.origin: Origin | None = None
        """Where it comes from: for servers that want a PROXY header."""
        self.via: OwnVia = NAMELESS
        """How the proxy is known to servers."""
        self.alternative: AlternativeService = NO_ALTERNATIVE
        """Where its listener serves HTTP/3."""

    def described(self) -> DescribedConnection:
        return described(self.origin, self.address, self.tls)

    def link_of(self, client: Requester) -> ClientLink:
        """What servers of a request of this client are told: the peer, or who it speaks for."""
        if client.address == self.address:
            return self
        return RequestLink(self.origin, client.address, self.tls)

    def report(self, address: str, headers: Iterable[tuple[bytes, bytes]], clients: BreakingClients) -> None:
        """Count a client that `require` would refuse, by its address and its first request."""
        self.is_unreported = False
        clients.add(self.listener, self.tls.server_name, address, headers)

    def stand(self, policies: Mapping[str, HandshakePolicy]) -> None:
        """Go on under the current policies of the listeners. Raises `NoLongerWelcome`.

        A trusted peer may have been believed when it named its client's certificate, and requests
        of this connection are remembered as they were sent on then.
        """
        before, self.tls = self.tls, standing(self.tls, self.listener, policies)
        if self.is_trusted and (before.identity.clients is None) != (self.tls.identity.clients is None):
            raise NoLongerWelcome("a reload changes who is asked for client certificates")

    @property
    def requester(self) -> Requester:
        if self._requester is None:
            record = self._record(self.address)
            self._requester = Requester(
                self.address, self._rates, self._forwarded_peer(), record, is_named=self.is_named
            )
        return self._requester

    def client_of(self, fields: Fields) -> Requester:
        """The client of a request with these fields.

        It may be behind a trusted peer. Then `exempt` is decided by the client. Where the fields do
        not tell it, nothing is exempt: the peer may be, and all its clients with it.
        """
        trust = self._trust
        own = self.requester
        if trust is None:
            return own
        chain = trust.chain(fields)
        address = chain.addresses[0] if chain.addresses else self.address
        is_exempt = chain.is_whole and bool(trust.exempt) and is_in(address, trust.exempt)
        rates = None if is_exempt else ClientRates(network_of(address))
        return Requester(address, rates, own.peer, self._record(address), chain)

    def idle(self, since: float, *, is_new: bool = True) -> Idle:
        """A connection that waits for a request: for its first if it `is_new`."""
        return Idle(Shown.HANDSHAKE if is_new else Shown.REQUEST, since, self.listener, self.network)

    def _forwarded_peer(self) -> ForwardedPeer:
        group = self.tls.group_name
        address = self.address
        certificate = None
        if self.tls.identity.clients is not None:
            client = self.tls.client
            certificate = b"" if client is None else client_cert_lines(client.leaf, client.chain)
        return (
            ForwardedPeer.of(IPv6Address(address), group, certificate, self.via)
            if ":" in address
            else ForwardedPeer.of_ipv4(address, group, certificate, self.via)
        )

    def _record(self, client: str) -> ClientRecord:
        tls = self.tls
        peer = self.address
        return ClientRecord(
            client,
            self.listener,
            tls.server_name,
            tls.group_name,
            tls.outcome,
            resumed=tls.is_resumed,
            protocol=tls.protocol,
            subject=None if tls.client is None else tls.client.subject,
            peer=None if peer == client else peer,
            cipher=tls.cipher_name or None,
        )

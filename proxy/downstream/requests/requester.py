"""Who a request comes from: what the log, the limits, upstreams and figures are told. Pure.

Without a trusted peer all requests of a connection have the same one. Behind a trusted peer it
follows from the forwarding fields, so requests with the same fields share one.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from config.tables.listener import ClientAddressFrom
from proxy.http.fields import Fields
from proxy.http.forwarded_head import ForwardedPeer
from proxy.http.forwarding import Chain, forwarded_chain, x_forwarded_for_chain
from proxy.limits.networks import EXEMPT, Networks, is_in
from proxy.limits.request_rates import ClientRates, RequestRate
from proxy.observe.logs.access_log import ClientRecord
from proxy.routes.access import Access

if TYPE_CHECKING:
    from proxy.limits.shared import SharedTable


@dataclass(frozen=True, slots=True)
class PeerTrust:
    """What a listener believes of its trusted peers."""

    peers: Networks
    reads: ClientAddressFrom
    """The field that names the client. The other one is not believed, because a peer that writes
    only one of them may pass on what an untrusted client wrote in the other."""
    exempt: Networks = ()
    """Clients to which the limits on single clients do not apply."""

    def chain(self, fields: Fields) -> Chain:
        """The believed hops behind a trusted peer."""
        name = self.reads.value.encode("ascii")
        values = [value for claim, value in fields.claims if claim.lower() == name]
        read = forwarded_chain if self.reads is ClientAddressFrom.FORWARDED else x_forwarded_for_chain
        return read(values, partial(is_in, networks=self.peers))


class Requester:
    def __init__(
        self,
        address: str,
        rates: ClientRates | None,
        peer: ForwardedPeer,
        record: ClientRecord,
        chain: Chain | None = None,
        *,
        is_named: bool = True,
    ) -> None:
        """`rates` is None for a client that is exempt from the limits on single clients.

        `is_named` is false if `address` is that of a balancer, whose PROXY header names no client.
        """
        self.address: Final = address
        self.rates: Final = rates
        self.network: Final = EXEMPT if rates is None else rates.network
        """The client network that the request counts for, or `EXEMPT`."""
        self.peer: Final = peer
        """What PROXY headers tell upstreams about the connection."""
        self.chain: Final = chain
        """The hops behind a trusted peer; None for other peers, whose fields are not believed."""
        self.is_named: Final = is_named
        self.record: Final = record
        """What the log says of the client and its connection."""

    def is_admitted_by(self, access: Access) -> bool:
        """Whether it comes from a network that may pass.

        A client that its trusted peer does not name never may: the peer itself might.
        """
        return self.is_named and (self.chain is None or self.chain.is_whole) and access.admits(self.shown)

    @property
    def shown(self) -> bytes:
        return self.chain.addresses[0].encode("ascii") if self.chain and self.chain.addresses else self.peer.address

    def take(self, rate: RequestRate, shared: "SharedTable", now: float) -> float:
        """Take a token for a request: 0 if there was one, else the seconds until there is.

        A client that is exempt takes none.
        """
        return 0.0 if self.rates is None else self.rates.take(rate, shared, now)

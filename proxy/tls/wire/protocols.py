"""The protocols that one listener offers by ALPN (RFC 7301). Pure."""

from collections.abc import Sequence
from typing import Final

from config.schema import HttpProtocol

HTTP_3: Final = "h3"
"""HTTP/3 by its name in ALPN (RFC 9114 section 3.1). It is offered over QUIC alone."""
BARE_TCP: Final = "tcp"
"""What a client of a TCP listener speaks that has agreed on no protocol by ALPN."""


class ProtocolOffer:
    """Says which clients find nothing in it, and what a client speaks after its handshake.

    OpenSSL chooses the first of ours that the client offers, and that choice is part of what both
    sides sign. So it is asked for its choice; a second ClientHello may differ from the first one.
    """

    def __init__(self, protocols: Sequence[str], without_alpn: str | None, elsewhere: Sequence[str] = ()) -> None:
        """Offer `protocols`. `without_alpn` is what a client without ALPN speaks.

        None refuses such a client. `elsewhere` are protocols of the same listener over another
        transport.
        """
        self._elsewhere: Final = frozenset(elsewhere)
        self._names: Final = frozenset(str(one).encode() for one in protocols)
        self._spoken: Final[dict[str | None, str]] = {str(one): one for one in protocols}
        if without_alpn is not None:
            self._spoken[None] = without_alpn

    @classmethod
    def of_http(cls, protocols: Sequence[HttpProtocol], elsewhere: Sequence[str] = ()) -> "ProtocolOffer":
        """Offer versions of HTTP.

        A client without ALPN speaks HTTP/1.1: HTTP/2 over TLS needs ALPN (RFC 9113 section 3.2).
        """
        return cls(protocols, HttpProtocol.HTTP_1 if HttpProtocol.HTTP_1 in protocols else None, elsewhere)

    def refuses(self, offered: tuple[bytes, ...]) -> bool:
        """Whether a client that offers these protocols has none in common with us.

        OpenSSL would complete the handshake without a protocol. A listener that offers none does
        not take part in ALPN: it ignores what a client offers (RFC 7301 section 3.1).
        """
        if not offered or not self._names:
            return None not in self._spoken
        return self._names.isdisjoint(offered)

    def spoken(self, chosen: str | None) -> str | None:
        """What a client speaks for which OpenSSL chose `chosen`, None if nothing.

        Returns None for a client that we do not serve: its second ClientHello offers less than its
        first one.
        """
        return self._spoken.get(chosen)

    def has(self, protocol: str) -> bool:
        """Whether a connection that speaks `protocol` could be made now.

        A name of HTTP in the list of a TCP listener is not HTTP to us.
        """
        return protocol in self._elsewhere or any(
            one == protocol and isinstance(one, HttpProtocol) is isinstance(protocol, HttpProtocol)
            for one in self._spoken.values()
        )

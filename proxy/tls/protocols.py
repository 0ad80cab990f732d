"""The versions of HTTP that one listener offers by ALPN (RFC 7301). Pure."""

from collections.abc import Sequence
from typing import Final

from config.schema import HttpProtocol


class ProtocolOffer:
    """Says which clients find nothing in it, and what a client speaks after its handshake.

    OpenSSL chooses the first of ours that the client offers, and that choice is part of what both
    sides sign. So it is asked for its choice; a second ClientHello may differ from the first one.
    """

    __slots__ = ("_names", "_spoken")

    def __init__(self, protocols: Sequence[HttpProtocol]) -> None:
        """Offer `protocols`."""
        self._names: Final = frozenset(one.value.encode() for one in protocols)
        self._spoken: Final[dict[str | None, HttpProtocol]] = {one.value: one for one in protocols}
        if HttpProtocol.HTTP_1 in protocols:
            self._spoken[None] = HttpProtocol.HTTP_1

    def refuses(self, offered: tuple[bytes, ...]) -> bool:
        """Whether a client that offers these protocols has none in common with us.

        A client without ALPN offers nothing and speaks HTTP/1.1: HTTP/2 over TLS needs ALPN (RFC
        9113 section 3.2). OpenSSL would complete the handshake without a protocol.
        """
        return self._names.isdisjoint(offered) if offered else None not in self._spoken

    def spoken(self, chosen: str | None) -> HttpProtocol | None:
        """What a client speaks for which OpenSSL chose `chosen`, None if nothing.

        Returns None for a client that we do not serve: its second ClientHello offers less than its
        first one.
        """
        return self._spoken.get(chosen)

    def has(self, protocol: HttpProtocol) -> bool:
        """Whether it is offered."""
        return protocol.value in self._spoken

"""The pair of memory BIOs that an SSL object works on."""

import ssl

from proxy.tls.openssl import libssl
from proxy.tls.openssl.tls_object import TlsObject, server_object


class BioPair:
    """The two memory BIOs of an SSL object: what came from the peer, what goes to it."""

    __slots__ = ("incoming", "outgoing")

    def __init__(self) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()

    def server_side(self, context: ssl.SSLContext) -> TlsObject:
        """Make the object of a client's connection on this pair. `TlsStream` gives its tickets."""
        return server_object(context, self.incoming, self.outgoing)

    def adopt(self, tls: TlsObject) -> None:
        """Give this pair to an object that has none."""
        libssl.set_bios(tls, self.incoming, self.outgoing)

    def clear(self) -> None:
        """Throw away what a failed connection left, so that the next one starts on empty BIOs."""
        for bio in (self.incoming, self.outgoing):
            if bio.pending:
                bio.read()

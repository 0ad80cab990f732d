"""The driver of the standard library: a pair of memory BIOs that SSL objects work on.

Theory of operation. In TLS 1.3 `SSL_read` takes every byte out of its incoming BIO before it asks
for more: the SSL object keeps a partial record and asks for exactly the rest. What OpenSSL writes
is taken out of the outgoing BIO at once. So between two calls both BIOs are empty, and many
connections share one pair. A memory BIO never shrinks: with a pair of its own (a connection to a
server has one), each would keep up to 131 KiB.
"""

import ssl

from proxy.tls.openssl import libssl
from proxy.tls.openssl.tls_object import TlsObject, server_object, shake_hands
from proxy.tls.wire.waiting_data import RECORD_BYTES


class BioPair:
    """A `driver.TlsDriver`. What came from the peer, and what goes to it."""

    def __init__(self) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()

    def server_side(self, context: ssl.SSLContext, /) -> TlsObject:
        return server_object(context, self.incoming, self.outgoing)

    def release(self, tls: TlsObject, /) -> None:
        libssl.take_bios(tls)

    def adopt(self, tls: TlsObject, /) -> None:
        libssl.set_bios(tls, self.incoming, self.outgoing)

    def handshake(
        self, tls: TlsObject, data: bytes, tickets: int, shortest_request: int, /
    ) -> tuple[bool, bytes, bytes, bytes, ssl.SSLError | None]:
        self.incoming.write(data)
        is_finished = False
        rest = b""
        sealed = b""
        try:
            is_finished = shake_hands(tls)
        except ssl.SSLError as error:
            return False, self._clear(), b"", b"", error
        except BaseException:
            self._clear()
            raise
        if is_finished:
            # what came in the same segment as the client's Finished
            rest = self.incoming.read()
        output = self.outgoing.read()
        if tickets and len(rest) >= shortest_request:
            libssl.request_tickets(tls, tickets)
            shake_hands(tls)  # no error of the client is possible: nothing is read
            sealed = self.outgoing.read()
        return is_finished, output, rest, sealed, None

    def decrypt(
        self,
        tls: TlsObject,
        wire: bytes | memoryview,
        ended: int,  # noqa: ARG002 - each read is of one record
        /,
    ) -> tuple[bytes, int, bool, bytes, ssl.SSLError | None]:
        """Each read has room for a whole record, so OpenSSL holds nothing back."""
        incoming = self.incoming
        incoming.write(wire)
        data = b""
        records = 0
        has_ended = False
        failure: ssl.SSLError | None = None
        try:
            while incoming.pending:
                piece = tls.read(RECORD_BYTES)
                if not piece:
                    has_ended = True
                    incoming.read()  # what comes behind a close_notify means nothing
                    break
                records += 1
                data = data + piece if data else piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # a close_notify behind ours
            has_ended = True
            incoming.read()
        except ssl.SSLError as error:
            incoming.read()
            failure = error
        return data, records, has_ended, self.outgoing.read() if self.outgoing.pending else b"", failure

    def encrypt(self, tls: TlsObject, data: bytes | memoryview, tickets: int, /) -> bytes:
        if tickets:
            libssl.request_tickets(tls, tickets)
        try:
            tls.write(data)
        except BaseException:
            self._clear()
            raise
        return self.outgoing.read()

    def close_notify(self, tls: TlsObject, /) -> bytes:
        libssl.say_goodbye(tls)
        return self.outgoing.read()

    def forget_key_share(self, tls: TlsObject, /) -> None:
        libssl.forget_key_share(tls)

    def _clear(self) -> bytes:
        """Forget what the peer sent, for the next call; answers what goes to it."""
        self.incoming.read()
        return self.outgoing.read()

"""What drives OpenSSL for connections: the standard library, or `_native.c` where it was built.

A driver is what the connections of one loop or of one thread share. Each call takes what came for
one connection and answers what goes out, so nothing of a connection is left in the driver.
"""

import ssl
from collections.abc import Callable
from typing import Final, Protocol

from proxy.tls.openssl.bio_pair import BioPair
from proxy.tls.openssl.tls_object import TlsObject


class TlsDriver(Protocol):
    """Makes the steps of TLS objects, one call for each turn."""

    def server_side(self, context: ssl.SSLContext, /) -> TlsObject:
        """Make the object of a client's connection."""

    def release(self, tls: TlsObject, /) -> None:
        """Take an object away from this driver; it can do nothing until it is adopted."""

    def adopt(self, tls: TlsObject, /) -> None:
        """Continue with an object that was released."""

    def handshake(
        self, tls: TlsObject, data: bytes, tickets: int, shortest_request: int, /
    ) -> tuple[bool, bytes, bytes, bytes, ssl.SSLError | None]:
        """Go on with a handshake with bytes of the client.

        Answers whether it is finished, what goes to the client (an alert, after an error), what
        came behind its end, the records of tickets, and the error. `tickets` are made in the last
        step if `shortest_request` bytes or more came behind it.
        """

    def decrypt(
        self, tls: TlsObject, wire: bytes | memoryview, ended: int, /
    ) -> tuple[bytes, int, bool, bytes, ssl.SSLError | None]:
        """Answers the data, in how many records it came, whether a close_notify came behind it,
        what goes to the peer (answers to KeyUpdates; an alert, after an error), and the error.

        About as many records as `ended` end in `wire`: then there is room enough for the data.
        """

    def encrypt(self, tls: TlsObject, data: bytes | memoryview, tickets: int, /) -> bytes:
        """The records of `data`, behind those of new `tickets`. Raises `ssl.SSLError`."""

    def close_notify(self, tls: TlsObject, /) -> bytes:
        """The record that ends our direction; nothing where the connection has failed."""

    def forget_key_share(self, tls: TlsObject, /) -> None:
        """Free the peer's key of the key exchange, after the handshake has finished.

        OpenSSL would keep it as long as the connection, and uses it no more. With ML-KEM it takes 7
        KB, a quarter of what an idle connection needs.
        """


def _best() -> Callable[[], TlsDriver]:
    try:
        from proxy.tls.openssl._native import Driver
    except ImportError:
        return BioPair
    return Driver


_BEST: Final = _best()


def new_driver() -> TlsDriver:
    """Make a driver: the native one if it was built."""
    return _BEST()


def driver_name() -> str:
    """Which one that is: `native`, or `ssl` for that of the standard library."""
    return "ssl" if _BEST is BioPair else "native"

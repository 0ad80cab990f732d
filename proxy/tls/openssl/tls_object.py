"""CPython's TLS object itself, without the `ssl.SSLObject` around it, and its steps that may fail.

An `SSLObject` is a Python object that passes each call on to the object in C: a frame of the
interpreter for each read and each write, and 200 bytes for each connection. `libssl` refuses the
versions of Python whose inner object is not known.

This module is interpreted. OpenSSL reports by an exception that it wants more bytes, and each
handshake has such a report. An exception that reaches compiled code costs 1.5 µs more: mypyc makes
a code object and a frame for its traceback.
"""

import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_DER: Final[int] = ssl._ssl.ENCODING_DER  # type: ignore[attr-defined]  # noqa: SLF001 - see above


class VerifiedCertificate(Protocol):
    def public_bytes(self, encoding: int, /) -> bytes:
        """The certificate in an encoding of `_ssl`."""


class TlsObject(Protocol):
    """One side of a TLS connection on two memory BIOs."""

    @property
    def context(self) -> ssl.SSLContext: ...

    @property
    def session_reused(self) -> bool: ...

    do_handshake: Callable[[], None]
    """Go on with the handshake. Raises `ssl.SSLError`, also when bytes are missing."""

    selected_alpn_protocol: Callable[[], str | None]
    """The protocol that its handshake chose, None if none."""

    getpeercert: Callable[[bool], object]
    """After the handshake: the peer's certificate in DER, with True; None if it showed none."""

    get_verified_chain: Callable[[], "Sequence[VerifiedCertificate] | None"]
    """The chain that was verified, leaf first: as far as OpenSSL came, if it was refused."""

    def read(self, size: int, /) -> bytes:
        """Decrypt; empty after the peer's close_notify. Raises `ssl.SSLError`."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Encrypt. Raises `ssl.SSLError`."""


def server_object(context: ssl.SSLContext, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> TlsObject:
    """Make the object of a client's connection."""
    made: TlsObject = context._wrap_bio(incoming, outgoing, server_side=True)  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    return made


def inner_object(tls: ssl.SSLObject) -> TlsObject:
    """The object that an `SSLObject` stands for."""
    inner: TlsObject = tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    return inner


def shake_hands(tls: TlsObject) -> bool:
    """Go on with the handshake; returns whether it is finished.

    If it is not, OpenSSL wants more bytes of the peer. Raises `ssl.SSLError`.
    """
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def verified_chain(tls: TlsObject) -> list[bytes]:
    """The chain of the peer in DER, leaf first: as far as OpenSSL came, if it was refused."""
    return [one.public_bytes(_DER) for one in tls.get_verified_chain() or ()]

"""A handshake of the proxy with itself by QUIC: whether a listener can be reached by UDP.

The client is that of OpenSSL, which knows nothing of the code that answers it. Nothing is verified:
the address is one of this machine.
"""

import asyncio
import ctypes
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar, Final, Protocol

from proxy.net.in_thread import in_thread
from proxy.quic.availability import unavailable
from proxy.tls.openssl.libssl import InterpreterUnsuitable, bound

_SECONDS: Final = 5.0
_CONFIRMED_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 0.05
# All that a listener may insist on.
_GROUPS: Final = b"X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024:MLKEM1024:X25519:P-256:P-384"
_ALPN: Final = b"\x02h3"
# openssl/ssl.h, openssl/tls1.h, openssl/bio.h
_CTRL_SET_SERVER_NAME: Final = 55
_CTRL_SET_GROUPS_LIST: Final = 92
_WANTS: Final = frozenset({2, 3})
_BY_US: Final = 1
_RAPID_WITHOUT_BLOCKING: Final = 1 << 0 | 1 << 2
# RFC 9001 section 4.8: an alert of TLS is an error code of QUIC above this.
_CRYPTO_ERROR: Final = 0x100
_POINTER = ctypes.c_void_p
_INT = ctypes.c_int
_FUNCTIONS: Final[dict[str, tuple[type | None, ...]]] = {
    "OSSL_QUIC_client_method": (_POINTER,),
    "SSL_CTX_new": (_POINTER, _POINTER),
    "SSL_CTX_free": (None, _POINTER),
    "SSL_CTX_ctrl": (ctypes.c_long, _POINTER, _INT, ctypes.c_long, ctypes.c_char_p),
    "SSL_new": (_POINTER, _POINTER),
    "SSL_free": (None, _POINTER),
    "SSL_ctrl": (ctypes.c_long, _POINTER, _INT, ctypes.c_long, ctypes.c_char_p),
    "SSL_set_alpn_protos": (_INT, _POINTER, ctypes.c_char_p, ctypes.c_uint),
    "SSL_set_bio": (None, _POINTER, _POINTER, _POINTER),
    "SSL_set_blocking_mode": (_INT, _POINTER, _INT),
    "SSL_set1_initial_peer_addr": (_INT, _POINTER, _POINTER),
    "SSL_connect": (_INT, _POINTER),
    "SSL_get_error": (_INT, _POINTER, _INT),
    "SSL_get_event_timeout": (_INT, _POINTER, _POINTER, _POINTER),
    "SSL_get_conn_close_info": (_INT, _POINTER, _POINTER, ctypes.c_size_t),
    "SSL_handle_events": (_INT, _POINTER),
    "SSL_shutdown_ex": (_INT, _POINTER, ctypes.c_uint64, _POINTER, ctypes.c_size_t),
    "BIO_new_dgram": (_POINTER, _INT, _INT),
    "BIO_ADDR_new": (_POINTER,),
    "BIO_ADDR_free": (None, _POINTER),
    "BIO_ADDR_rawmake": (_INT, _POINTER, _INT, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_ushort),
    "ERR_clear_error": (None,),
}


class QuicProbe(Protocol):
    async def __call__(self, address: tuple[str, int], name: str) -> str | None:
        """Shake hands by QUIC at a UDP address, with this server name; empty for none.

        Returns why that failed, or None. It has a deadline, and raises nothing.
        """


async def probe(address: tuple[str, int], name: str, reason: Callable[[], str | None] = unavailable) -> str | None:
    """As `QuicProbe` says, in a thread, and only without a `reason` against it."""
    told = reason()
    if told is not None:
        return told
    return await in_thread(asyncio.get_running_loop(), lambda: shake_hands(address, name, _SECONDS))


def shake_hands(address: tuple[str, int], name: str, seconds: float) -> str | None:
    """Shake hands within `seconds`. Returns why that failed, or None."""
    try:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(address)
            sock.setblocking(False)  # noqa: FBT003 - a method of the standard library
            with _connection(sock, name) as ssl:
                return _shaken(ssl, sock, seconds)
    except (OSError, InterpreterUnsuitable) as error:
        return str(error)


@cache
def _library() -> ctypes.CDLL:
    return bound(_FUNCTIONS)


class _Time(ctypes.Structure):
    """`struct timeval`."""

    _fields_: ClassVar[Any] = [("seconds", ctypes.c_long), ("microseconds", ctypes.c_long)]


class _CloseInfo(ctypes.Structure):
    """`SSL_CONN_CLOSE_INFO`."""

    _fields_: ClassVar[Any] = [
        ("code", ctypes.c_uint64),
        ("frame", ctypes.c_uint64),
        ("reason", _POINTER),
        ("reason_bytes", ctypes.c_size_t),
        ("flags", ctypes.c_uint32),
    ]


@contextmanager
def _connection(sock: socket.socket, name: str) -> Iterator[int]:
    """A connection that has sent nothing yet, and ends with the block."""
    library = _library()
    context = library.SSL_CTX_new(library.OSSL_QUIC_client_method())
    peer = library.BIO_ADDR_new()
    try:
        library.SSL_CTX_ctrl(context, _CTRL_SET_GROUPS_LIST, 0, _GROUPS)
        ssl = library.SSL_new(context)
        try:
            host, port = sock.getpeername()[:2]
            raw = socket.inet_pton(sock.family, host)
            library.BIO_ADDR_rawmake(peer, sock.family, raw, len(raw), socket.htons(port))
            bio = library.BIO_new_dgram(sock.fileno(), 0)
            library.SSL_set_bio(ssl, bio, bio)
            library.SSL_set1_initial_peer_addr(ssl, peer)
            library.SSL_set_blocking_mode(ssl, 0)
            library.SSL_set_alpn_protos(ssl, _ALPN, len(_ALPN))
            if name:
                library.SSL_ctrl(ssl, _CTRL_SET_SERVER_NAME, 0, name.encode())
            yield ssl
        finally:
            library.SSL_free(ssl)
    finally:
        library.BIO_ADDR_free(peer)
        library.SSL_CTX_free(context)
        library.ERR_clear_error()


def _shaken(ssl: int, sock: socket.socket, seconds: float) -> str | None:
    library = _library()
    ends = time.monotonic() + seconds
    while (done := library.SSL_connect(ssl)) != 1:
        if library.SSL_get_error(ssl, done) not in _WANTS:
            return _closed(ssl)
        left = ends - time.monotonic()
        if left <= 0:
            return f"no answer by UDP within {seconds:g} s"
        select.select([sock], [], [], min(left, _next_event(ssl)))
    _close(ssl, sock)
    return None


def _close(ssl: int, sock: socket.socket) -> None:
    """Close the connection, so that the server does not wait for its idle time.

    OpenSSL says so in a Handshake packet until it knows that the server has finished too, and the
    server reads none of those any more (RFC 9001 section 4.9.2): so first hear what it says then.
    """
    ends = time.monotonic() + _CONFIRMED_SECONDS
    wait = _CONFIRMED_SECONDS
    while wait > 0 and select.select([sock], [], [], wait)[0]:
        _library().SSL_handle_events(ssl)
        wait = min(_QUIET_SECONDS, ends - time.monotonic())
    _library().SSL_shutdown_ex(ssl, _RAPID_WITHOUT_BLOCKING, None, 0)


def _next_event(ssl: int) -> float:
    """Seconds until a packet has to be sent again."""
    wait = _Time()
    is_infinite = _INT()
    _library().SSL_get_event_timeout(ssl, ctypes.byref(wait), ctypes.byref(is_infinite))
    return float("inf") if is_infinite.value else wait.seconds + wait.microseconds / 1_000_000


def _closed(ssl: int) -> str:
    info = _CloseInfo()
    if _library().SSL_get_conn_close_info(ssl, ctypes.byref(info), ctypes.sizeof(info)) != 1:
        return "the handshake by UDP has failed"
    code: int = info.code
    if info.flags & _BY_US:
        return f"no QUIC server answers by UDP (error {code:#x} of our own)"
    if _CRYPTO_ERROR <= code < 2 * _CRYPTO_ERROR:
        return f"the handshake by UDP ended with TLS alert {code - _CRYPTO_ERROR}"
    return f"the handshake by UDP ended with QUIC error {code:#x}"

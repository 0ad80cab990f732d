"""The certificates of clients, as far as CPython's `ssl` leaves them to OpenSSL.

As in `libssl`, which checks at the start that the pointers are what they are taken for.
"""

import ctypes
import os
import ssl
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from proxy.tls.openssl import libssl
from proxy.tls.openssl.tls_object import TlsObject

# openssl/ssl.h, OpenSSL 3.5
_CTRL_SET_MAX_CERT_LIST: Final = 51
_CTRL_SET_CLIENT_SIGALGS_LIST: Final = 102
# SSL_OP_NO_RX_CERTIFICATE_COMPRESSION (RFC 8879): a client could make us inflate what it sends
_NO_COMPRESSED_CERTIFICATES: Final = 1 << 33

# openssl/x509_vfy.h: there is no list, it is not valid yet, it has expired
_UNKNOWN_REVOCATION: Final = frozenset({3, 11, 12})

_POINTER = ctypes.c_void_p
_TEXT = ctypes.c_char_p
_INT = ctypes.c_int
_LONG = ctypes.c_long
_SIZE = ctypes.c_size_t
# What a function returns, and what it takes.
_FUNCTIONS: Final[dict[str, tuple[type | None, ...]]] = {
    "SSL_CTX_ctrl": (_LONG, _POINTER, _INT, _LONG, _TEXT),
    "SSL_CTX_get_cert_store": (_POINTER, _POINTER),
    "SSL_CTX_set1_cert_store": (None, _POINTER, _POINTER),
    "SSL_CTX_set_verify_depth": (None, _POINTER, _INT),
    "SSL_CTX_get0_param": (_POINTER, _POINTER),
    "SSL_CTX_get_security_level": (_INT, _POINTER),
    "SSL_load_client_CA_file": (_POINTER, _TEXT),
    "SSL_CTX_set_client_CA_list": (None, _POINTER, _POINTER),
    "SSL_get_session": (_POINTER, _POINTER),
    "SSL_SESSION_get_timeout": (_LONG, _POINTER),
    "SSL_SESSION_set_timeout": (_LONG, _POINTER, _LONG),
    "SSL_SESSION_set1_ticket_appdata": (_INT, _POINTER, _TEXT, _SIZE),
    "SSL_SESSION_get0_ticket_appdata": (_INT, _POINTER, _POINTER, _POINTER),
    "d2i_X509": (_POINTER, _POINTER, _POINTER, _LONG),
    "X509_free": (None, _POINTER),
    "OPENSSL_sk_new_null": (_POINTER,),
    "OPENSSL_sk_push": (_INT, _POINTER, _POINTER),
    "OPENSSL_sk_free": (None, _POINTER),
    "X509_STORE_CTX_new": (_POINTER,),
    "X509_STORE_CTX_free": (None, _POINTER),
    "X509_STORE_CTX_init": (_INT, _POINTER, _POINTER, _POINTER, _POINTER),
    "X509_STORE_CTX_set_default": (_INT, _POINTER, _TEXT),
    "X509_STORE_CTX_get0_param": (_POINTER, _POINTER),
    "X509_STORE_CTX_get_error": (_INT, _POINTER),
    "X509_STORE_CTX_set_error": (None, _POINTER, _INT),
    "X509_STORE_set_verify_cb": (None, _POINTER, _POINTER),
    "X509_VERIFY_PARAM_set1": (_INT, _POINTER, _POINTER),
    "X509_VERIFY_PARAM_set_auth_level": (None, _POINTER, _INT),
    "X509_verify_cert": (_INT, _POINTER),
    "X509_verify_cert_error_string": (_TEXT, _LONG),
    "ERR_clear_error": (None,),
}


@cache
def _library() -> ctypes.CDLL:
    return libssl.bound(_FUNCTIONS)


def ask_for_certificates(context: ssl.SSLContext, authorities: Path, *, depth: int, most_bytes: int) -> None:
    """Bound what a client may send, and name the authorities of a PEM file to it.

    `depth` is how many certificates may stand between that of the client and the authority.
    `most_bytes` is for its whole Certificate message. Raises `libssl.LibsslError`.
    """
    library = _library()
    pointer = libssl.context_pointer(context)
    names = library.SSL_load_client_CA_file(os.fsencode(authorities))
    if names is None:
        raise libssl.LibsslError("the names of authorities in", str(authorities))
    library.SSL_CTX_set_client_CA_list(pointer, names)  # which owns them from now on
    library.SSL_CTX_set_verify_depth(pointer, depth)
    library.SSL_CTX_ctrl(pointer, _CTRL_SET_MAX_CERT_LIST, most_bytes, None)
    context.options |= _NO_COMPRESSED_CERTIFICATES


def set_client_signature_algorithms(context: ssl.SSLContext, algorithms: str) -> None:
    """Set what clients may sign with, and the authorities of their certificates.

    Raises `libssl.LibsslError`.
    """
    pointer = libssl.context_pointer(context)
    if _library().SSL_CTX_ctrl(pointer, _CTRL_SET_CLIENT_SIGALGS_LIST, 0, algorithms.encode()) != 1:
        raise libssl.LibsslError("the signature algorithms of clients", algorithms)


def share_store(source: ssl.SSLContext, target: ssl.SSLContext) -> None:
    """Have `target` trust what `source` trusts: a large revocation list is in memory once."""
    library = _library()
    store = library.SSL_CTX_get_cert_store(libssl.context_pointer(source))
    library.SSL_CTX_set1_cert_store(libssl.context_pointer(target), store)


def accept_unknown_revocation(context: ssl.SSLContext) -> None:
    """Overlook where a certificate is verified that a revocation list is missing or not current.

    A certificate on a list that has expired is still revoked.
    """
    library = _library()
    store = library.SSL_CTX_get_cert_store(libssl.context_pointer(context))
    library.X509_STORE_set_verify_cb(store, _OVERLOOKING)


def _overlook(is_well: int, verification: int) -> int:
    # OpenSSL calls this for each certificate of a chain, and for each error
    if is_well == 0 and _library().X509_STORE_CTX_get_error(verification) in _UNKNOWN_REVOCATION:
        _library().X509_STORE_CTX_set_error(verification, 0)
        return 1
    return is_well


_OVERLOOKING: Final = ctypes.CFUNCTYPE(_INT, _INT, _POINTER)(_overlook)
"""Lives as long as the process: stores have its address."""


def verify(context: ssl.SSLContext, leaf: bytes, chain: Sequence[bytes]) -> str | None:
    """Verify a client's certificate now, as a handshake with this context would.

    All are in DER. Returns OpenSSL's reason if it is refused.
    """
    library = _library()
    pointer = libssl.context_pointer(context)
    loaded = [_certificate(one) for one in (leaf, *chain)]
    stack = library.OPENSSL_sk_new_null()
    verification = library.X509_STORE_CTX_new()
    try:
        if None in loaded:
            return "it cannot be read"
        for one in loaded[1:]:
            library.OPENSSL_sk_push(stack, one)
        library.X509_STORE_CTX_init(verification, library.SSL_CTX_get_cert_store(pointer), loaded[0], stack)
        library.X509_STORE_CTX_set_default(verification, b"ssl_client")
        settings = library.X509_STORE_CTX_get0_param(verification)
        library.X509_VERIFY_PARAM_set_auth_level(settings, library.SSL_CTX_get_security_level(pointer))
        library.X509_VERIFY_PARAM_set1(settings, library.SSL_CTX_get0_param(pointer))
        if library.X509_verify_cert(verification) == 1:
            return None
        code = library.X509_STORE_CTX_get_error(verification)
        return str(library.X509_verify_cert_error_string(code).decode())
    finally:
        library.X509_STORE_CTX_free(verification)
        library.OPENSSL_sk_free(stack)
        for one in loaded:
            library.X509_free(one)
        library.ERR_clear_error()  # else the next caller of OpenSSL takes the error for its own


def _certificate(der: bytes) -> int | None:
    data = ctypes.create_string_buffer(der, len(der))
    start = ctypes.c_void_p(ctypes.addressof(data))
    made: int | None = _library().d2i_X509(None, ctypes.byref(start), len(der))
    return made


def limit_session(tls: TlsObject, ends_at: float) -> bool:
    """Let the tickets of a connection, just made, end at a time in UNIX seconds, if not before.

    Returns whether they would be good for anything.
    """
    library = _library()
    session = library.SSL_get_session(libssl.connection_pointer(tls))
    # OpenSSL counts from the making of a ticket, which may be in the next second, and long after
    # the session was made: the client and the signature had their time
    left = int(ends_at) - int(time.time()) - 1  # noqa: TID251 - the clock of OpenSSL
    if left <= 0:
        return False
    library.SSL_SESSION_set_timeout(session, min(left, library.SSL_SESSION_get_timeout(session)))
    return True


def put_in_tickets(tls: TlsObject, data: bytes) -> None:
    """Seal these bytes in the tickets of a connection too."""
    library = _library()
    library.SSL_SESSION_set1_ticket_appdata(library.SSL_get_session(libssl.connection_pointer(tls)), data, len(data))


def ticket_data(tls: TlsObject) -> bytes:
    """What the ticket holds that a connection has resumed (`put_in_tickets`)."""
    library = _library()
    data = ctypes.c_void_p()
    length = ctypes.c_size_t()
    session = library.SSL_get_session(libssl.connection_pointer(tls))
    library.SSL_SESSION_get0_ticket_appdata(session, ctypes.byref(data), ctypes.byref(length))
    return b"" if data.value is None else ctypes.string_at(data.value, length.value)

"""The keys that a URI finds, through OpenSSL's OSSL_STORE: their number, and the only one.

The number matters because loading a PEM would take one of several keys and say nothing. The key is
loaded here if it is in a library context that is not the default one. All calls go to the libcrypto
of this process (`libssl`) and can never prompt for anything.
"""

import ctypes
import ssl
from collections.abc import Generator
from contextlib import closing
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

from proxy.tls.openssl import libssl

_INFO_PKEY: Final = 4  # OSSL_STORE_INFO_PKEY
_REASON: Final = 0x7F_FFFF  # ERR_GET_REASON
_SYSTEM_ERROR: Final = 0x8000_0000  # ERR_SYSTEM_FLAG
_LIBRARY_SHIFT: Final = 23  # ERR_LIB_OFFSET
_PROVIDERS: Final = 128  # ERR_LIB_USER: the number of a provider is this or more, those of OpenSSL itself are less
# One is wanted; how many more there are does not matter.
_ENOUGH: Final = 2


class LookupFailed(Exception):
    """The token did not answer; `value` is its CKR_ number, 0 if it gave none."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value

    def __str__(self) -> str:
        return f"error 0x{self.value:x} of the token" if self.value else "no answer of the token"


class KeyNotLoaded(OSError):
    """A key could not be loaded; `reason` is what OpenSSL would say of it."""

    def __init__(self, detail: str, reason: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


@cache
def _library() -> ctypes.CDLL:
    import _ssl

    library = ctypes.CDLL(_ssl.__file__)
    pointer = ctypes.c_void_p
    library.OSSL_STORE_open_ex.argtypes = [ctypes.c_char_p, pointer, ctypes.c_char_p, *[pointer] * 5]
    library.OSSL_STORE_open_ex.restype = pointer
    library.OSSL_STORE_expect.argtypes = [pointer, ctypes.c_int]
    for name in ("load", "eof", "close", "INFO_free", "INFO_get_type"):
        getattr(library, f"OSSL_STORE_{name}").argtypes = [pointer]
    library.OSSL_STORE_load.restype = pointer
    library.OSSL_STORE_INFO_free.restype = None
    library.OSSL_STORE_INFO_get1_PKEY.argtypes = [pointer]
    library.OSSL_STORE_INFO_get1_PKEY.restype = pointer
    library.EVP_PKEY_free.argtypes = [pointer]
    library.EVP_PKEY_free.restype = None
    library.UI_null.restype = pointer
    library.ERR_get_error.restype = ctypes.c_ulong
    return library


def count_keys(uri: str, context: int | None = None) -> int:
    """How many keys there are: 0, 1, or 2 for more than one.

    Logs in, and takes a round trip for each attribute of each key. The answer is 0 also if no token
    fits or the token refuses the PIN. `context` is OpenSSL's library context. Raises
    `LookupFailed`.
    """
    with closing(_keys(uri, context)) as keys:
        return sum(1 for _ in islice(keys, _ENOUGH))


def load_key(uri: str, certificate: Path, context: int | None) -> ssl.SSLContext:
    """The only key of a URI and its chain, in a context of the default library context.

    Raises `KeyNotLoaded`.
    """
    loaded = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        with closing(_keys(uri, context)) as keys:
            for key in keys:
                libssl.use_key(loaded, certificate, key)
                return loaded
    except LookupFailed as error:
        raise KeyNotLoaded(str(error)) from None
    except libssl.LibsslError as error:
        raise KeyNotLoaded(str(error), "KEY_VALUES_MISMATCH") from None
    raise KeyNotLoaded("no such key")


def _keys(uri: str, context: int | None) -> Generator[int]:
    """Each key (an `EVP_PKEY *`), until the next one is asked for. Raises `LookupFailed`."""
    library = _library()
    library.ERR_clear_error()
    store = library.OSSL_STORE_open_ex(uri.encode(), context, None, library.UI_null(), None, None, None, None)
    if not store:
        raise LookupFailed(_last_error(library))
    try:
        library.OSSL_STORE_expect(store, _INFO_PKEY)
        while not library.OSSL_STORE_eof(store):
            found = library.OSSL_STORE_load(store)
            if found:
                yield from _taken(library, found)
                continue
            error = _last_error(library)
            if error:
                raise LookupFailed(error)
    finally:
        library.OSSL_STORE_close(store)
        library.ERR_clear_error()  # else the next caller of OpenSSL takes the error for its own


def _taken(library: ctypes.CDLL, found: int) -> Generator[int]:
    key = None
    try:
        if library.OSSL_STORE_INFO_get_type(found) == _INFO_PKEY:
            key = library.OSSL_STORE_INFO_get1_PKEY(found)
            yield key
    finally:
        library.EVP_PKEY_free(key)
        library.OSSL_STORE_INFO_free(found)


def _last_error(library: ctypes.CDLL) -> int:
    """The CKR_ number of the newest error, which pkcs11-provider hands on as the reason."""
    number = 0
    while error := library.ERR_get_error():
        is_of_a_provider = not error & _SYSTEM_ERROR and error >> _LIBRARY_SHIFT >= _PROVIDERS
        number = error & _REASON if is_of_a_provider else 0
    return int(number)

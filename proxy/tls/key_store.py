"""How many keys a URI finds, asked by OpenSSL's OSSL_STORE: loading a PEM would take one of several, and say nothing.

The same libcrypto as everywhere in this process (`libssl`), with no way to ask a person for anything.
"""

import ctypes
from functools import cache
from typing import Final

_INFO_PKEY: Final = 4  # OSSL_STORE_INFO_PKEY
_REASON: Final = 0x7F_FFFF  # ERR_GET_REASON
_SYSTEM_ERROR: Final = 0x8000_0000  # ERR_SYSTEM_FLAG
_LIBRARY_SHIFT: Final = 23  # ERR_LIB_OFFSET
_PROVIDERS: Final = 128  # ERR_LIB_USER: the number of a provider is this or more, those of OpenSSL itself are less
# One is what is wanted; how many more there are does not matter.
_ENOUGH: Final = 2


class LookupFailed(Exception):
    """The token did not answer; `value` is the CKR_ number that it said, 0 if it said none."""

    def __init__(self, value: int) -> None:
        """Remember what it said."""
        super().__init__(value)
        self.value = value

    def __str__(self) -> str:
        """One clause."""
        return f"error 0x{self.value:x} of the token" if self.value else "no answer of the token"


@cache
def _library() -> ctypes.CDLL:
    import _ssl

    library = ctypes.CDLL(_ssl.__file__)
    pointer = ctypes.c_void_p
    library.OSSL_STORE_open.argtypes = [ctypes.c_char_p, pointer, pointer, pointer, pointer]
    library.OSSL_STORE_open.restype = pointer
    library.OSSL_STORE_expect.argtypes = [pointer, ctypes.c_int]
    for name in ("load", "eof", "close", "INFO_free", "INFO_get_type"):
        getattr(library, f"OSSL_STORE_{name}").argtypes = [pointer]
    library.OSSL_STORE_load.restype = pointer
    library.OSSL_STORE_INFO_free.restype = None
    library.UI_null.restype = pointer
    library.ERR_get_error.restype = ctypes.c_ulong
    return library


def count_keys(uri: str) -> int:
    """How many keys there are: 0, 1, or 2 for more than one. Logs in, and takes a round trip for each attribute of each.

    0 also where no token fits, and where the token refuses the PIN. Raises `LookupFailed`.
    """
    library = _library()
    library.ERR_clear_error()
    store = library.OSSL_STORE_open(uri.encode(), library.UI_null(), None, None, None)
    if not store:
        raise LookupFailed(_last_error(library))
    count = 0
    try:
        library.OSSL_STORE_expect(store, _INFO_PKEY)
        while count < _ENOUGH and not library.OSSL_STORE_eof(store):
            found = library.OSSL_STORE_load(store)
            if found:
                count += library.OSSL_STORE_INFO_get_type(found) == _INFO_PKEY
                library.OSSL_STORE_INFO_free(found)
                continue
            error = _last_error(library)
            if error:
                raise LookupFailed(error)
    finally:
        library.OSSL_STORE_close(store)
        library.ERR_clear_error()  # nobody else is to take it for theirs
    return count


def _last_error(library: ctypes.CDLL) -> int:
    """The CKR_ number of the newest error, which pkcs11-provider hands on as the reason."""
    number = 0
    while error := library.ERR_get_error():
        is_of_a_provider = not error & _SYSTEM_ERROR and error >> _LIBRARY_SHIFT >= _PROVIDERS
        number = error & _REASON if is_of_a_provider else 0
    return int(number)

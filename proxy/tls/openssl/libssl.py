"""What CPython's `ssl` lacks before 3.15, on the same libssl that its `_ssl` is linked to.

Everything here reaches into OpenSSL's objects through ctypes. So it stands in one module, is
guarded by version, and checks itself at start-up (`self_check`) before a context that matters is
touched. Symbols are looked up through the shared object of `_ssl`: `dlsym` then searches exactly
the libraries that it depends on, never another OpenSSL in the process.
"""

import ctypes
import os
import ssl
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from proxy.tls.openssl.tls_object import TlsObject, server_object

# openssl/ssl.h, OpenSSL 3.5
_CTRL_MODE: Final = 33
_CTRL_SET_SESSION_CACHE_MODE: Final = 44
_CTRL_SET_TICKET_KEYS: Final = 59
_CTRL_SET_GROUPS_LIST: Final = 92
_CTRL_SET_SIGALGS_LIST: Final = 98
_CTRL_GET_PEER_TMP_KEY: Final = 109
_CTRL_IMPLEMENTED_GROUPS: Final = 139
_MODULES_DIRECTORY: Final = 8
_SESSION_CACHE_OFF: Final = 0
_MODE_NO_AUTO_CHAIN: Final = 0x8
# SSL_OP_PRIORITIZE_CHACHA: ChaCha20 first when the client put it first (a client without AES
# instructions)
PRIORITIZE_CHACHA: Final = 1 << 21
# openssl/obj_mac.h
_NID_X25519: Final = 1034


class LibsslError(Exception):
    """OpenSSL refused a setting: `setting` and the `value` it was given."""

    def __init__(self, setting: str, value: str) -> None:
        super().__init__(setting, value)
        self.setting = setting
        self.value = value

    def __str__(self) -> str:
        return f"OpenSSL refuses {self.setting} {self.value!r}"


class InterpreterUnsuitable(Exception):
    """This Python cannot run the proxy: `found` says what was seen, `remedy` what to do."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found, remedy)
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.found}; {self.remedy}"


_POINTER = ctypes.c_void_p
_TEXT = ctypes.c_char_p
_INT = ctypes.c_int
_LONG = ctypes.c_long
_SIZE = ctypes.c_size_t
_POINTER_BYTES: Final = ctypes.sizeof(_POINTER)
_CONNECTION: Final = object.__basicsize__ + _POINTER_BYTES
# What a function returns, and what it takes.
_FUNCTIONS: Final[dict[str, tuple[type | None, ...]]] = {
    "SSL_CTX_ctrl": (_LONG, _POINTER, _INT, _LONG, _TEXT),
    "SSL_CTX_set_ciphersuites": (_INT, _POINTER, _TEXT),
    "SSL_CTX_get0_privatekey": (_POINTER, _POINTER),
    "SSL_CTX_use_PrivateKey": (_INT, _POINTER, _POINTER),
    "SSL_CTX_use_certificate_chain_file": (_INT, _POINTER, _TEXT),
    "SSL_CTX_get_num_tickets": (_SIZE, _POINTER),
    "SSL_get_SSL_CTX": (_POINTER, _POINTER),
    # Each connection calls these. Their arguments have no types here: ctypes would check and
    # convert each, which takes as long as the call. They are objects of ctypes, or fit an `int`.
    "SSL_new_session_ticket": (_INT,),
    "SSL_ctrl": (_INT,),
    "EVP_PKEY_set_type": (_INT,),
    "EVP_PKEY_free": (_INT,),
    "SSL_shutdown": (_INT,),
    "BIO_up_ref": (_INT, _POINTER),
    "SSL_set_bio": (None, _POINTER, _POINTER, _POINTER),
    "SSL_get_rbio": (_POINTER, _POINTER),
    "OSSL_LIB_CTX_new": (_POINTER,),
    "OSSL_LIB_CTX_load_config": (_INT, _POINTER, _TEXT),
    "OSSL_PROVIDER_available": (_INT, _POINTER, _TEXT),
    "OSSL_PROVIDER_load": (_POINTER, _POINTER, _TEXT),
    "OSSL_PROVIDER_get_params": (_INT, _POINTER, _POINTER),
    "OSSL_PROVIDER_get0_name": (_TEXT, _POINTER),
    "EVP_KEYMGMT_fetch": (_POINTER, _POINTER, _TEXT, _TEXT),
    "EVP_KEYMGMT_get0_provider": (_POINTER, _POINTER),
    "EVP_KEYMGMT_free": (None, _POINTER),
    "ERR_clear_error": (None,),
    "OpenSSL_version": (_TEXT, _INT),
    "UI_null": (_POINTER,),
    "UI_set_default_method": (_INT, _POINTER),
    "OPENSSL_sk_new_null": (_POINTER,),
    "OPENSSL_sk_num": (_INT, _POINTER),
    "OPENSSL_sk_value": (_TEXT, _POINTER, _INT),
    "OPENSSL_sk_free": (_INT, _POINTER),
}
# Where `forget_key_share`, which only loops call, gets a pointer.
_PEER_KEY: Final = _POINTER()
_PEER_KEY_PLACE: Final = ctypes.byref(_PEER_KEY)
_NOTHING: Final = _LONG(0)
_USE_DEBIAN: Final = (
    "run Plexigate with an interpreter that uses the system's OpenSSL, such as Debian's /usr/bin/python3"
)


def bound(functions: Mapping[str, tuple[type | None, ...]]) -> ctypes.CDLL:
    """The libssl in use, with what these functions return and take.

    Raises `InterpreterUnsuitable`.
    """
    if sys.version_info >= (3, 15):
        raise InterpreterUnsuitable(
            f"Python {sys.version.split()[0]} is newer than this release knows", "use 3.11 to 3.14"
        )
    import _ssl

    file = getattr(_ssl, "__file__", None)
    if file is None:
        raise InterpreterUnsuitable("the ssl module is built into this Python, not linked to a libssl", _USE_DEBIAN)
    library = ctypes.CDLL(file)
    try:
        for name, (result, *arguments) in functions.items():
            function = getattr(library, name)
            function.argtypes = arguments
            function.restype = result
    except AttributeError as error:
        raise InterpreterUnsuitable(
            f"the ssl module of this Python ({file}) is not linked dynamically to a libssl of OpenSSL 3", _USE_DEBIAN
        ) from error
    return library


@cache
def _library() -> ctypes.CDLL:
    return bound(_FUNCTIONS)


def libssl_path() -> str:
    """The file of the libssl in use, for the start-up report."""
    _library()
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        path = f"/{line.partition('/')[2]}"
        if path.rpartition("/")[2].startswith("libssl"):
            return path
    raise InterpreterUnsuitable("no libssl is mapped into this process", _USE_DEBIAN)


def modules_directory() -> Path:
    """Where OpenSSL looks for the modules of providers."""
    said: bytes = _library().OpenSSL_version(_MODULES_DIRECTORY)
    return Path(os.fsdecode(said).partition('"')[2].rstrip('"'))  # MODULESDIR: "..."


def self_check() -> None:
    """Prove that the pointers we take are what we take them for.

    That of an `SSLContext` is its `SSL_CTX`: a number set by Python is read back from C. That of a
    `TlsObject` is its `SSL`: C knows its context. That of a `MemoryBIO` is its `BIO`: C knows where
    an object reads. Raises `InterpreterUnsuitable`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for tickets in (7, 3):
        context.num_tickets = tickets
        if _library().SSL_CTX_get_num_tickets(context_pointer(context)) != tickets:
            raise InterpreterUnsuitable("this Python lays out SSLContext in an unknown way", _USE_DEBIAN)
    incoming = ssl.MemoryBIO()
    tls = server_object(context, incoming, ssl.MemoryBIO())
    if _library().SSL_get_SSL_CTX(connection_pointer(tls)) != context_pointer(context):
        raise InterpreterUnsuitable("this Python lays out its TLS objects in an unknown way", _USE_DEBIAN)
    if _library().SSL_get_rbio(connection_pointer(tls)) != _bio(incoming):
        raise InterpreterUnsuitable("this Python lays out MemoryBIO in an unknown way", _USE_DEBIAN)
    libssl_path()


def _word(thing: object, number: int) -> int | None:
    """One of the pointers behind the head of a Python object."""
    pointer: int | None = _POINTER.from_address(id(thing) + object.__basicsize__ + number * _POINTER_BYTES).value
    return pointer


def context_pointer(context: ssl.SSLContext) -> int:
    """The `SSL_CTX *`, the first field of CPython's `PySSLContext`."""
    pointer = _word(context, 0)
    assert pointer is not None  # every SSLContext has its SSL_CTX
    return pointer


def connection_pointer(tls: TlsObject) -> int | None:
    """The `SSL *` of CPython's `PySSLSocket`, behind the Python socket."""
    return _connection(tls).value


def _connection(tls: TlsObject) -> ctypes.c_void_p:
    return _POINTER.from_address(id(tls) + _CONNECTION)


def _bio(memory: ssl.MemoryBIO) -> int | None:
    """The `BIO *`, the first field of CPython's `PySSLMemoryBIO`."""
    return _word(memory, 0)


def _control(context: ssl.SSLContext, command: int, value: str, setting: str) -> None:
    if _library().SSL_CTX_ctrl(context_pointer(context), command, 0, value.encode()) != 1:
        raise LibsslError(setting, value)


def set_groups(context: ssl.SSLContext, groups: str) -> None:
    """Set the key exchange groups in OpenSSL's syntax: `A:B / C:D`, tuples in order of preference.

    Raises `LibsslError`.
    """
    _control(context, _CTRL_SET_GROUPS_LIST, groups, "the group list")


def set_signature_algorithms(context: ssl.SSLContext, algorithms: str) -> None:
    """Set the signature algorithms, most preferred first, separated by colons.

    Raises `LibsslError`.
    """
    _control(context, _CTRL_SET_SIGALGS_LIST, algorithms, "the signature algorithm list")


def set_ciphersuites(context: ssl.SSLContext, suites: str) -> None:
    """Set the TLS 1.3 cipher suites, most preferred first, separated by colons.

    Raises `LibsslError`.
    """
    if _library().SSL_CTX_set_ciphersuites(context_pointer(context), suites.encode()) != 1:
        raise LibsslError("the cipher suites", suites)


def share_credential(certificate: Path, source: ssl.SSLContext, target: ssl.SSLContext) -> None:
    """Have `target` use the private key that `source` has loaded, and its chain from a PEM file.

    A key in a token costs a round trip for each of its attributes when it is loaded, and none when
    it is shared. Raises `LibsslError`.
    """
    use_key(target, certificate, _library().SSL_CTX_get0_privatekey(context_pointer(source)))


def use_key(context: ssl.SSLContext, certificate: Path, key: int) -> None:
    """Have a context use the chain in a PEM file, and a key (an `EVP_PKEY *`) that belongs to it.

    Raises `LibsslError`.
    """
    library = _library()
    if library.SSL_CTX_use_certificate_chain_file(context_pointer(context), os.fsencode(certificate)) != 1:
        raise LibsslError("the certificate chain", str(certificate))
    if library.SSL_CTX_use_PrivateKey(context_pointer(context), key) != 1:
        raise LibsslError("the key for the certificate", str(certificate))


def set_ticket_key(context: ssl.SSLContext, key: bytes) -> None:
    """Set the session ticket key: 16 bytes of name, 32 of HMAC key, 32 of AES key.

    Raises `LibsslError`, without the key.
    """
    if _library().SSL_CTX_ctrl(context_pointer(context), _CTRL_SET_TICKET_KEYS, len(key), key) != 1:
        raise LibsslError("a session ticket key of", f"{len(key)} bytes")


def request_tickets(tls: TlsObject, count: int) -> None:
    """Have `count` tickets go out with the next data that is written.

    Call it after the handshake, just before the write: reading would send the tickets too.
    """
    request = _library().SSL_new_session_ticket
    connection = _connection(tls)
    for _ in range(count):
        request(connection)


def forget_key_share(tls: TlsObject) -> None:
    """Free the peer's key of the key exchange, after the handshake has finished.

    OpenSSL would keep it as long as the connection, and uses it no more. With ML-KEM it takes 7 KB,
    a quarter of what an idle connection needs.
    """
    library = _library()
    if library.SSL_ctrl(_connection(tls), _CTRL_GET_PEER_TMP_KEY, _NOTHING, _PEER_KEY_PLACE) == 1:
        # a key that is given a type loses what it held; of this type it holds nothing
        library.EVP_PKEY_set_type(_PEER_KEY, _NID_X25519)
        library.EVP_PKEY_free(_PEER_KEY)  # the reference that the question gave us


def say_goodbye(tls: TlsObject) -> None:
    """Write a close_notify. `ssl` would also look for the peer's, and raise when there is none."""
    library = _library()
    if library.SSL_shutdown(_connection(tls)) < 0:
        library.ERR_clear_error()  # as in `provider_of`; the connection has failed before


def take_bios(tls: TlsObject) -> None:
    """Take the BIOs, which are empty, from an object; it can do nothing until `set_bios`."""
    _library().SSL_set_bio(connection_pointer(tls), None, None)


def set_bios(tls: TlsObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
    """Have an object that has no BIOs continue with these."""
    library = _library()
    pair = (_bio(incoming), _bio(outgoing))
    for bio in pair:
        library.BIO_up_ref(bio)  # SSL_set_bio takes both over
    library.SSL_set_bio(connection_pointer(tls), *pair)


def disable_session_cache(context: ssl.SSLContext) -> None:
    """Turn off the session cache: it would grow with every handshake (CVE-2024-2511).

    Tickets carry the sessions.
    """
    _library().SSL_CTX_ctrl(context_pointer(context), _CTRL_SET_SESSION_CACHE_MODE, _SESSION_CACHE_OFF, None)


def send_chain_as_loaded(context: ssl.SSLContext) -> None:
    """Send the certificates of the file, and look for no others.

    OpenSSL would verify a chain of one certificate in each handshake, to find those above it: 4 µs.
    """
    _library().SSL_CTX_ctrl(context_pointer(context), _CTRL_MODE, _MODE_NO_AUTO_CHAIN, None)


def implemented_groups(context: ssl.SSLContext) -> tuple[str, ...]:
    """All groups for TLS 1.3 of the loaded providers, as OpenSSL spells them; none before 3.5."""
    library = _library()
    stack = library.OPENSSL_sk_new_null()
    try:
        every_group = 1
        library.SSL_CTX_ctrl(
            context_pointer(context), _CTRL_IMPLEMENTED_GROUPS, every_group, ctypes.cast(stack, ctypes.c_char_p)
        )
        return tuple(library.OPENSSL_sk_value(stack, i).decode() for i in range(library.OPENSSL_sk_num(stack)))
    finally:
        library.OPENSSL_sk_free(stack)


def load_configuration(path: Path) -> None:
    """Load an `openssl.cnf` into the default library context, before any `SSLContext` that relies
    on it.

    OpenSSL reports success even if it did not find a provider: ask `provider_is_available` for
    each. Raises `LibsslError` if the file itself cannot be used.
    """
    if _library().OSSL_LIB_CTX_load_config(None, os.fsencode(path)) != 1:
        raise LibsslError("the configuration file", str(path))


def new_library_context(path: Path) -> int:
    """Make a library context (an `OSSL_LIB_CTX *`, never freed) by an `openssl.cnf`.

    The providers in it are not in the default context. Ask `provider_is_available` for each. Raises
    `LibsslError`.
    """
    library = _library()
    context: int | None = library.OSSL_LIB_CTX_new()
    if context is None or library.OSSL_LIB_CTX_load_config(context, os.fsencode(path)) != 1:
        raise LibsslError("the configuration file", str(path))
    return context


def never_prompt() -> None:
    """Keep everything in this process from prompting for a PIN or passphrase.

    A provider that has lost its login would ask on the terminal or standard input, and wait for
    ever, in the middle of a handshake.
    """
    _library().UI_set_default_method(_library().UI_null())


class _Parameter(ctypes.Structure):
    """`OSSL_PARAM` (openssl/core.h)."""

    _fields_ = [  # type: ignore[mutable-override]
        ("key", ctypes.c_char_p),
        ("data_type", ctypes.c_uint),
        ("data", ctypes.c_void_p),
        ("data_size", ctypes.c_size_t),
        ("return_size", ctypes.c_size_t),
    ]


_UTF8_PTR: Final = 6  # OSSL_PARAM_UTF8_PTR


def provider_versions(name: str) -> tuple[str, str]:
    """What a loaded provider says of its version and its build; empty where it says nothing."""
    library = _library()
    said = (ctypes.c_char_p * 2)()
    asked = (_Parameter * 3)(
        *(
            _Parameter(key, _UTF8_PTR, ctypes.addressof(said) + place * _POINTER_BYTES, 0, 0)
            for place, key in enumerate((b"version", b"buildinfo"))
        )
    )
    provider = library.OSSL_PROVIDER_load(None, name.encode())  # one reference more, until the process ends
    if provider is None or library.OSSL_PROVIDER_get_params(provider, asked) != 1:
        return "", ""
    return (said[0] or b"").decode(errors="replace"), (said[1] or b"").decode(errors="replace")


def provider_of(algorithm: str) -> str | None:
    """The name of the provider that has keys of this name; None if none has."""
    library = _library()
    keys = library.EVP_KEYMGMT_fetch(None, algorithm.encode(), None)
    if keys is None:
        library.ERR_clear_error()  # else the next caller of OpenSSL takes the error for its own
        return None
    try:
        name: bytes = library.OSSL_PROVIDER_get0_name(library.EVP_KEYMGMT_get0_provider(keys))
        return name.decode()
    finally:
        library.EVP_KEYMGMT_free(keys)


def provider_is_available(name: str, context: int | None = None) -> bool:
    """Whether the provider is loaded and active in a library context; None: in the default one."""
    return bool(_library().OSSL_PROVIDER_available(context, name.encode()) == 1)

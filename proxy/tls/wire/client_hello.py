"""The ClientHello (RFC 8446 section 4.1.2), decoded as far as the choice of identity and policy
needs.

OpenSSL decodes the same bytes again and has the last word. So extensions that decide nothing here
are skipped: unknown ones, GREASE (RFC 8701) and the outer hello of Encrypted ClientHello among
them. What is read is read strictly.

Lists of code points become tuples, or, beyond `_LONGEST_TUPLE` entries, an `array` of two bytes per
entry: Python's integers would make a hello of 64 KB cost a megabyte during its handshake.
"""

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from struct import unpack
from typing import Final, TypeVar

from mypy_extensions import i64

from proxy.tls.wire.records import MESSAGE_HEADER_BYTES, HelloError, HelloFailure, number_at

TLS_1_3: Final = 0x0304
_SSL_3: Final = 0x0300
# Where the fixed fields begin, behind the header and legacy_version.
_RANDOM: Final = MESSAGE_HEADER_BYTES + 2
_SESSION_ID: Final = _RANDOM + 32
_LONGEST_SESSION_ID: Final = 32
_EXTENSION_HEADER_BYTES: Final = 4
_KEY_SHARE_HEADER_BYTES: Final = 4
_FEW_SHARES: Final = 4
_OBFUSCATED_TICKET_AGE_BYTES: Final = 4
_SHORTEST_BINDER: Final = 32
_HOST_NAME_TYPE: Final = b"\x00"
_SERVER_NAME_HEADER_BYTES: Final = 3

# Extension numbers, IANA "TLS ExtensionType Values"
_SERVER_NAME: Final = 0
_SUPPORTED_GROUPS: Final = 10
_SIGNATURE_ALGORITHMS: Final = 13
_ALPN: Final = 16
_PRE_SHARED_KEY: Final = 41
_EARLY_DATA: Final = 42
_SUPPORTED_VERSIONS: Final = 43
_PSK_KEY_EXCHANGE_MODES: Final = 45
_KEY_SHARE: Final = 51
# Above all numbers that are read here.
_NUMBERS: Final = 64

# Browsers list about 20; IANA has registered about 60 groups and 350 cipher suites in all.
_LONGEST_TUPLE: Final = 256
# Tickets are tried in order and ours comes from the last visit: clients send one or two.
_KEPT_PSK_IDENTITIES: Final = 16
# IANA has registered about 40 protocols in all.
_KEPT_ALPN_PROTOCOLS: Final = 256
# A name of 253 characters fills the 255 octets of RFC 1035 section 2.3.4.
_LONGEST_HOST_NAME: Final = 253
# RFC 1035 section 2.3.1 in lower case, and "_", which the DNS does not forbid and some hosts carry.
_HOST_NAME: Final = re.compile(rb"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")

# Clients of one kind send the same lists, and many clients the same name: what these decode to is
# kept, as decoding costs ten times a look-up. Two bytes per entry, so a list that is worth keeping
# has at most 64; browsers vary theirs by one of 16 GREASE values. Code points of a hostile client
# take 2.5 KB a list.
_KEPT_BYTES: Final = 132
_KEPT: Final = 256

_Decoded = TypeVar("_Decoded")

_suites_kept: Final[dict[bytes, Sequence[int]]] = {}
_versions_kept: Final[dict[bytes, Sequence[int]]] = {}
_groups_kept: Final[dict[bytes, Sequence[int]]] = {}
_algorithms_kept: Final[dict[bytes, Sequence[int]]] = {}
_names_kept: Final[dict[bytes, str]] = {}


@dataclass(slots=True, init=False)
class ClientHello:
    """What a client offers: code points as they came, in its order, GREASE included."""

    legacy_version: int
    random: bytes
    session_id: bytes
    cipher_suites: Sequence[int]
    supported_versions: Sequence[int]
    supported_groups: Sequence[int]
    key_shares: Sequence[int]
    """The groups of the key shares; any other one takes a HelloRetryRequest."""
    signature_algorithms: Sequence[int]
    server_name: str | None
    """The DNS name that the client asks for, in lower case (IDNs as A-labels), or an IPv4 address
    as text.

    Other values (`host:443`) stand in quotes, and no identity has such a name.
    """
    alpn: tuple[bytes, ...]
    """The application protocols, at most the first 256."""
    psk_identities: tuple[bytes, ...]
    """The session tickets or names of pre-shared keys, at most the first 16."""
    has_early_data: bool

    def __init__(  # noqa: PLR0913 - its fields; the interpreter would run that of a dataclass or NamedTuple
        self,
        legacy_version: int,
        random: bytes,
        session_id: bytes,
        cipher_suites: Sequence[int],
        supported_versions: Sequence[int],
        supported_groups: Sequence[int],
        key_shares: Sequence[int],
        signature_algorithms: Sequence[int],
        server_name: str | None,
        alpn: tuple[bytes, ...],
        psk_identities: tuple[bytes, ...],
        has_early_data: bool,  # noqa: FBT001 - a fact
    ) -> None:
        self.legacy_version = legacy_version
        self.random = random
        self.session_id = session_id
        self.cipher_suites = cipher_suites
        self.supported_versions = supported_versions
        self.supported_groups = supported_groups
        self.key_shares = key_shares
        self.signature_algorithms = signature_algorithms
        self.server_name = server_name
        self.alpn = alpn
        self.psk_identities = psk_identities
        self.has_early_data = has_early_data


def parse_client_hello(message: bytes) -> ClientHello:
    """Decode a whole handshake message, its header of 4 bytes included, as
    `ClientHelloReader.message` gives it.

    Raises `HelloError` for bytes that cannot be decoded, for a hello that does not offer TLS 1.3,
    and for one that breaks a rule which RFC 8446 tells servers to enforce.
    """
    session_id_end = _vector_end(message, _SESSION_ID, 1, "session_id")
    suites_end = _vector_end(message, session_id_end, 2, "cipher_suites")
    compression_end = _vector_end(message, suites_end, 1, "compression_methods")
    session_id = message[_SESSION_ID + 1 : session_id_end]
    if len(session_id) > _LONGEST_SESSION_ID:
        raise HelloError(HelloFailure.MALFORMED, "session_id", found=len(session_id), limit=_LONGEST_SESSION_ID)
    if compression_end == suites_end + 1:
        raise HelloError(HelloFailure.MALFORMED, "compression_methods")
    cipher_suites = _cipher_suites(message[session_id_end + 2 : suites_end])
    extensions = _extensions(message, compression_end)

    legacy_version = number_at(message, MESSAGE_HEADER_BYTES)
    versions = extensions[_SUPPORTED_VERSIONS]
    supported_versions = () if versions is None else _supported_versions(versions)
    # Section 4.2.1: supported_versions alone decides. Appendix D.5: SSL 3.0 as legacy_version is
    # refused anyway.
    if TLS_1_3 not in supported_versions or legacy_version <= _SSL_3:
        error = HelloError(HelloFailure.OLD_VERSION)
        error.server_name = None if (name := extensions[_SERVER_NAME]) is None else _server_name(name)
        raise error
    # Section 4.1.2: "this vector MUST contain exactly one byte, set to zero"
    if message[suites_end:compression_end] != b"\x01\x00":
        raise HelloError(HelloFailure.COMPRESSION)
    _check_mandatory(extensions)

    # what is not there takes no call: a call costs more than what most of them do
    supported_groups = () if (groups := extensions[_SUPPORTED_GROUPS]) is None else _supported_groups(groups)
    early_data = extensions[_EARLY_DATA]
    return ClientHello(
        legacy_version,
        message[_RANDOM:_SESSION_ID],
        session_id,
        cipher_suites,
        supported_versions,
        supported_groups,
        () if (shares := extensions[_KEY_SHARE]) is None else _key_shares(shares, supported_groups),
        () if (algorithms := extensions[_SIGNATURE_ALGORITHMS]) is None else _signature_algorithms(algorithms),
        None if (name := extensions[_SERVER_NAME]) is None else _server_name(name),
        () if (protocols := extensions[_ALPN]) is None else _alpn(protocols),
        () if (offered := extensions[_PRE_SHARED_KEY]) is None else _psk_identities(offered),
        early_data is not None and _has_early_data(early_data),
    )


def _vector_end(data: bytes, start: i64, prefix_bytes: i64, where: str) -> i64:
    """Find the end of the vector whose length stands in the `prefix_bytes` at `start`, 1 or 2.

    It must lie within `data`.
    """
    content = start + prefix_bytes
    size: i64 = len(data)
    if content <= size:
        length: i64 = data[start] if prefix_bytes == 1 else number_at(data, start)
        if content + length <= size:
            return content + length
    raise HelloError(HelloFailure.MALFORMED, where)


def _extensions(message: bytes, start: i64) -> list[bytes | None]:
    """What the extensions below `_NUMBERS` hold, at their numbers; None where there is none."""
    size: i64 = len(message)
    extensions: list[bytes | None] = [None] * _NUMBERS
    others: dict[int, None] = {}
    # section 4.1.2: a client of TLS 1.2 may send no extensions at all
    if start != size and _vector_end(message, start, 2, "extensions") != size:
        raise HelloError(HelloFailure.MALFORMED, "bytes after the extensions")
    position = start + 2
    extension_type: i64 = -1
    while position < size:
        content = position + _EXTENSION_HEADER_BYTES
        if content > size:
            raise HelloError(HelloFailure.MALFORMED, "extensions")
        extension_type = number_at(message, position)
        position = content + number_at(message, position + 2)
        if position > size:
            raise HelloError(HelloFailure.MALFORMED, f"extension {extension_type}")
        if extension_type < _NUMBERS:
            is_repeated = extensions[extension_type] is not None
            extensions[extension_type] = message[content:position]
        else:
            is_repeated = extension_type in others
            others[extension_type] = None
        if is_repeated:  # section 4.2: "There MUST NOT be more than one extension of the same type"
            raise HelloError(HelloFailure.DUPLICATE_EXTENSION, f"extension {extension_type}")
    # Section 4.2.11: "the pre_shared_key extension MUST be the last extension in the ClientHello"
    if extensions[_PRE_SHARED_KEY] is not None and extension_type != _PRE_SHARED_KEY:
        raise HelloError(HelloFailure.PRE_SHARED_KEY)
    return extensions


def _check_mandatory(extensions: list[bytes | None]) -> None:
    """Apply RFC 8446 section 9.2, and section 4.2.9 for psk_key_exchange_modes."""
    has_groups = extensions[_SUPPORTED_GROUPS] is not None
    has_shares = extensions[_KEY_SHARE] is not None
    if extensions[_PRE_SHARED_KEY] is not None:
        if extensions[_PSK_KEY_EXCHANGE_MODES] is None:
            raise HelloError(HelloFailure.MISSING_EXTENSION, "psk_key_exchange_modes")
    else:
        if extensions[_SIGNATURE_ALGORITHMS] is None:
            raise HelloError(HelloFailure.MISSING_EXTENSION, "signature_algorithms")
        if not has_groups:
            raise HelloError(HelloFailure.MISSING_EXTENSION, "supported_groups")
    # Each of the two demands the other; a key_share without a share is allowed.
    if has_groups != has_shares:
        raise HelloError(HelloFailure.MISSING_EXTENSION, "key_share" if has_groups else "supported_groups")


def _keep(kept: dict[bytes, _Decoded], field: bytes, decoded: _Decoded) -> _Decoded:
    """Remember what a short field decodes to. What cannot be decoded does not come here."""
    if len(field) <= _KEPT_BYTES:
        if len(kept) >= _KEPT:
            kept.clear()
        kept[field] = decoded
    return decoded


def _only_vector(extension: bytes, where: str) -> bytes:
    """Take the content of an extension that is one vector with a length of 16 bits."""
    size = len(extension)
    if size < 2 or number_at(extension, 0) != size - 2:
        raise HelloError(HelloFailure.MALFORMED, where)
    return extension[2:]


def _code_points(vector: bytes, where: str) -> Sequence[int]:
    count, odd = divmod(len(vector), 2)
    if odd or not count:
        raise HelloError(HelloFailure.MALFORMED, where)
    values = unpack(f">{count}H", vector)
    return values if count <= _LONGEST_TUPLE else array("H", values)


def _cipher_suites(vector: bytes) -> Sequence[int]:
    return _suites_kept.get(vector) or _keep(_suites_kept, vector, _code_points(vector, "cipher_suites"))


def _supported_versions(extension: bytes) -> Sequence[int]:
    known = _versions_kept.get(extension)
    if known is not None:
        return known
    if not extension or extension[0] != len(extension) - 1:
        raise HelloError(HelloFailure.MALFORMED, "supported_versions")
    return _keep(_versions_kept, extension, _code_points(extension[1:], "supported_versions"))


def _supported_groups(extension: bytes) -> Sequence[int]:
    return _groups_kept.get(extension) or _keep(_groups_kept, extension, _vector(extension, "supported_groups"))


def _signature_algorithms(extension: bytes) -> Sequence[int]:
    known = _algorithms_kept.get(extension)
    return known or _keep(_algorithms_kept, extension, _vector(extension, "signature_algorithms"))


def _vector(extension: bytes, where: str) -> Sequence[int]:
    return _code_points(_only_vector(extension, where), where)


def _key_shares(extension: bytes, supported_groups: Sequence[int]) -> Sequence[int]:
    """Decode the groups of the shares (RFC 8446 section 4.2.8); an empty list asks for a retry."""
    shares = _only_vector(extension, "key_share")
    groups: dict[int, None] = {}
    position: i64 = 0
    size: i64 = len(shares)
    while position < size:
        content = position + _KEY_SHARE_HEADER_BYTES
        if content > size:
            raise HelloError(HelloFailure.MALFORMED, "key_share")
        group = number_at(shares, position)
        position = content + number_at(shares, position + 2)
        if position == content or position > size:
            raise HelloError(HelloFailure.MALFORMED, "key_share")
        if group in groups:  # "Clients MUST NOT offer multiple KeyShareEntry values for the same group"
            raise HelloError(HelloFailure.KEY_SHARE, f"group 0x{group:04x}")
        groups[group] = None
    # "Clients MUST NOT offer any KeyShareEntry values for groups not listed in the client's
    # supported_groups". Clients send one or two; with more, a set keeps the work linear.
    listed = supported_groups if len(groups) <= _FEW_SHARES else frozenset(supported_groups)
    unlisted = [group for group in groups if group not in listed]
    if unlisted:
        raise HelloError(HelloFailure.KEY_SHARE, f"group 0x{min(unlisted):04x}")
    return tuple(groups) if len(groups) <= _LONGEST_TUPLE else array("H", groups)


def _server_name(extension: bytes) -> str:
    return _names_kept.get(extension) or _keep(_names_kept, extension, _host_name(extension))


def _host_name(extension: bytes) -> str:
    """Decode the one host name (RFC 6066 section 3); like OpenSSL, accept exactly one."""
    name_list = _only_vector(extension, "server_name")
    sent = name_list[_SERVER_NAME_HEADER_BYTES:].lower()
    if not sent or name_list[:_SERVER_NAME_HEADER_BYTES] != _HOST_NAME_TYPE + len(sent).to_bytes(2):
        raise HelloError(HelloFailure.MALFORMED, "server_name")
    # "represented as a byte string ... without a trailing dot": some send it anyway, and mean
    # the same host
    name = sent.removesuffix(b".")
    if len(name) > _LONGEST_HOST_NAME or not _HOST_NAME.fullmatch(name):
        return ascii(sent[:_LONGEST_HOST_NAME].decode("latin-1"))
    return name.decode("ascii")


def _alpn(extension: bytes) -> tuple[bytes, ...]:
    """Decode the protocol names, RFC 7301 section 3.1: neither the list nor a name may be empty."""
    names = tuple(_vectors(_only_vector(extension, "alpn"), 1, "alpn"))
    if not names:
        raise HelloError(HelloFailure.MALFORMED, "alpn")
    return names[:_KEPT_ALPN_PROTOCOLS]


def _psk_identities(extension: bytes) -> tuple[bytes, ...]:
    """Decode identities and binders (RFC 8446 section 4.2.11); OpenSSL checks the binders."""
    identities_end = _vector_end(extension, 0, 2, "pre_shared_key")
    identities = tuple(_vectors(extension[2:identities_end], 2, "pre_shared_key", after=_OBFUSCATED_TICKET_AGE_BYTES))
    binders = tuple(_vectors(_only_vector(extension[identities_end:], "pre_shared_key"), 1, "pre_shared_key"))
    if not identities or any(len(binder) < _SHORTEST_BINDER for binder in binders):
        raise HelloError(HelloFailure.MALFORMED, "pre_shared_key")
    if len(binders) != len(identities):  # "Each entry in the binders list ... in the same order as the identities"
        raise HelloError(HelloFailure.PRE_SHARED_KEY, found=len(binders))
    return identities[:_KEPT_PSK_IDENTITIES]


def _has_early_data(extension: bytes) -> bool:
    if extension:  # RFC 8446 section 4.2.10: empty in a ClientHello
        raise HelloError(HelloFailure.MALFORMED, "early_data")
    return True


def _vectors(data: bytes, prefix_bytes: i64, where: str, *, after: i64 = 0) -> list[bytes]:
    """Split `data` into vectors, none of them empty; skip `after` bytes behind each."""
    vectors: list[bytes] = []  # no generator: mypyc makes a slow one
    position: i64 = 0
    size: i64 = len(data)
    while position < size:
        content = position + prefix_bytes
        end = _vector_end(data, position, prefix_bytes, where)
        position = end + after
        if end == content or position > size:
            raise HelloError(HelloFailure.MALFORMED, where)
        vectors.append(data[content:end])
    return vectors

"""What the bill of materials is made from: what is configured, and what was observed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

from cryptography import x509


class Protection(Enum):
    """Where the secret half of a key is."""

    TOKEN = "hardware token"  # noqa: S105 - a place
    SEALED = "sealed file"
    FILE = "file"
    MEMORY = "memory"


class KeyRole(StrEnum):
    IDENTITY = "identity"
    SEALING = "sealing"
    TICKETS = "session tickets"
    PAYLOAD = "payload"


@dataclass(frozen=True, slots=True)
class KeyAsset:
    """A key; nothing here is secret.

    `name` tells it from others of the same use. `algorithm` is one of `algorithms`, as written in
    the configuration for an identity. `place` is the file, the directory or the URI.
    """

    use: KeyRole
    name: str
    algorithm: str
    protection: Protection
    place: str
    token: str = ""
    """The NAME of the token."""
    state: str = "active"
    version: str = ""
    created: datetime | None = None
    is_secret_key: bool = False
    """A symmetric key, otherwise the private half of a pair."""


@dataclass(frozen=True, slots=True)
class CertificateInUse:
    """A certificate in the chain of an identity; position 0 is the leaf.

    `keys` are the indices of the leaf's key in `Inventory.keys`: the same key may be in several
    tokens.
    """

    identity: str
    position: int
    certificate: x509.Certificate
    keys: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OfferedTls:
    """The TLS of one listener. `groups` and `suites` are in the order of preference.

    `observed` counts handshakes by group since the proxy started, None without a running proxy.
    """

    listener: str
    pq: str
    level: str
    groups: tuple[str, ...]
    suites: tuple[str, ...]
    identities: tuple[str, ...]
    observed: Mapping[str, int] | None = None


class LibraryRole(StrEnum):
    TLS = "ends the TLS of clients, and speaks TLS to upstreams"
    KEYS = "encrypts payloads, seals files, makes keys and certificates"
    PROVIDER = "a provider of OpenSSL: computes groups of TLS"
    OTHER_KEMS = "key encapsulation of other families, for payload sessions"
    QUIC = "carries HTTP/3, whose packets OpenSSL encrypts"
    KEM_LIBRARY = "computes the key encapsulation of other families"


@dataclass(frozen=True, slots=True)
class LibraryFacts:
    """A library that implements cryptography. `purl` is its package URL, if it has one.

    `provides` are the algorithms of a provider. `liboqs` is the version of the library that it
    calls.
    """

    name: str
    version: str
    role: LibraryRole
    purl: str = ""
    provides: tuple[str, ...] = ()
    liboqs: str = ""


@dataclass(frozen=True, slots=True)
class TokenAsset:
    """A hardware token (or one of software, which nothing here tells apart)."""

    name: str
    module: str
    label: str
    serial: str
    state: str


@dataclass(frozen=True, slots=True)
class Inventory:
    version: str
    at: datetime
    is_observed: bool
    """Whether a running proxy was asked."""
    listeners: tuple[OfferedTls, ...] = ()
    keys: tuple[KeyAsset, ...] = ()
    certificates: tuple[CertificateInUse, ...] = ()
    suites: tuple[str, ...] = ()
    """Of payload sessions."""
    libraries: tuple[LibraryFacts, ...] = ()
    tokens: tuple[TokenAsset, ...] = ()
    unread: tuple[str, ...] = ()
    """What should be here and could not be read, each with the reason."""

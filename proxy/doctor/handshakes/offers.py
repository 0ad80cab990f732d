"""What a client of the doctor offers in its ClientHello. Pure."""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

MLDSA_SCHEMES: Final = ("mldsa44", "mldsa65", "mldsa87")
"""Signature schemes of a client that takes nothing but ML-DSA (draft-ietf-tls-mldsa)."""

UNKNOWN_NAME: Final = "plexigate-doctor.invalid"
"""A server name that no identity can have: RFC 6761 section 6.4 keeps `.invalid` out of the DNS."""


class Versions(Enum):
    TLS_1_3 = auto()
    ONLY_TLS_1_2 = auto()


class Cut(Enum):
    """How the first flight is cut for its way."""

    WHOLE = auto()
    MANY_SEGMENTS = auto()
    """In many records (RFC 8446 section 5.1 allows it), and each of them in many TCP segments."""


@dataclass(frozen=True, slots=True)
class HelloOffer:
    """A ClientHello, as far as the doctor chooses it.

    `groups` are the supported groups, and `shares` those of them for which a key share is sent.
    Empty `signature_schemes` are those that the stack offers by itself.
    """

    server_name: str | None
    groups: tuple[str, ...]
    shares: tuple[str, ...]
    alpn: tuple[str, ...] = ()
    signature_schemes: tuple[str, ...] = ()
    versions: Versions = Versions.TLS_1_3
    cut: Cut = Cut.WHOLE
    leaves: bool = False
    """Whether the client hangs up in place of its Finished, when the server has done its part."""

    @property
    def groups_list(self) -> str:
        """The groups in OpenSSL's syntax, where `*` marks a share (SSL_CTX_set1_groups_list(3))."""
        return ":".join(f"*{name}" if name in self.shares else name for name in self.groups)


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups that the offers to one listener use: one of each kind.

    Both are groups of the listener where it has any of that kind that the doctor's stack has too.
    """

    quantum_safe: str
    classical: str


USUAL: Final = Groups("X25519MLKEM768", "X25519")
"""What browsers offer first."""


def hybrid_share(server_name: str | None, groups: Groups, alpn: tuple[str, ...] = ()) -> HelloOffer:
    """A modern client: it lists both groups, and sends a share for the quantum-safe one."""
    both = (groups.quantum_safe, groups.classical)
    return HelloOffer(server_name, both, (groups.quantum_safe,), alpn)


def classical_share(server_name: str | None, groups: Groups, alpn: tuple[str, ...] = ()) -> HelloOffer:
    """A client that can do both, and guesses wrong: its only share is the classical one."""
    return HelloOffer(server_name, (groups.classical, groups.quantum_safe), (groups.classical,), alpn)


def classical_only(server_name: str | None, groups: Groups, alpn: tuple[str, ...] = ()) -> HelloOffer:
    """A client without post-quantum key exchange.

    It leaves: its handshake must not count among those of real clients that `doctor readiness`
    judges.
    """
    return HelloOffer(server_name, (groups.classical,), (groups.classical,), alpn, leaves=True)


def in_many_segments(offer: HelloOffer) -> HelloOffer:
    return replace(offer, cut=Cut.MANY_SEGMENTS)


def with_mldsa_only(offer: HelloOffer) -> HelloOffer:
    """The same from a client that takes signatures by ML-DSA alone."""
    return replace(offer, signature_schemes=MLDSA_SCHEMES)


def with_tls_1_2(offer: HelloOffer) -> HelloOffer:
    """The same from a client that has no TLS 1.3; a group of TLS 1.2 is among its own."""
    return replace(offer, versions=Versions.ONLY_TLS_1_2, groups=("X25519", "secp256r1"), shares=())

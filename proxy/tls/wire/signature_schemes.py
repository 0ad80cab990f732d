"""Signature schemes for our certificates (RFC 8446 section 4.2.3), in a server's order of
preference.

The order decides which of several credentials a client gets when it accepts more than one. OpenSSL
takes the first scheme of this list that the client lists too and a loaded key can do. A client that
lists ML-DSA need not trust its issuer. So the classical ones come first, unless the identity or the
level of the listener says otherwise.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from certs.keys.signing_key import KeyAlgorithm, KeyFamily
from config.schema import CredentialPreference, SecurityLevel

# Within a kind, cheap signatures come first: P-256, then the larger curves, then RSA.
_CLASSICAL: Final = {
    "ecdsa_secp256r1_sha256": 0x0403,
    "ecdsa_secp384r1_sha384": 0x0503,
    "ecdsa_secp521r1_sha512": 0x0603,
    "ed25519": 0x0807,
    "ed448": 0x0808,
    "ecdsa_brainpoolP256r1tls13_sha256": 0x081A,
    "ecdsa_brainpoolP384r1tls13_sha384": 0x081B,
    "ecdsa_brainpoolP512r1tls13_sha512": 0x081C,
    "rsa_pss_rsae_sha256": 0x0804,
    "rsa_pss_rsae_sha384": 0x0805,
    "rsa_pss_rsae_sha512": 0x0806,
    "rsa_pss_pss_sha256": 0x0809,
    "rsa_pss_pss_sha384": 0x080A,
    "rsa_pss_pss_sha512": 0x080B,
}
# draft-ietf-tls-mldsa, code points registered by IANA
_MLDSA: Final = {"mldsa44": 0x0904, "mldsa65": 0x0905, "mldsa87": 0x0906}

SIGNATURE_SCHEMES: Final[Mapping[str, int]] = MappingProxyType(_CLASSICAL | _MLDSA)
"""Code points by OpenSSL's names, which are IANA's."""

# RFC 8446 section 4.2.3: these sign certificates only, never a handshake
_OF_AUTHORITIES: Final = ("rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512")

CLIENT_SCHEMES: Final = ":".join((*SIGNATURE_SCHEMES, *_OF_AUTHORITIES))
"""What clients may sign with, and the authorities of their certificates, in OpenSSL's syntax."""

CNSA_CLIENT_SCHEMES: Final = "mldsa87"
"""The same where a level binds them (CNSA 2.0)."""

_ORDERS: Final = {
    CredentialPreference.CLASSICAL: (*_CLASSICAL, *_MLDSA),
    CredentialPreference.MLDSA: (*_MLDSA, *_CLASSICAL),
}


def preference_at(level: SecurityLevel, prefer: CredentialPreference) -> CredentialPreference:
    """What an identity prefers on a listener: ML-DSA, at a level that promises it."""
    return CredentialPreference.MLDSA if level is SecurityLevel.QUANTUM_SAFE else prefer


def sigalgs_list(prefer: CredentialPreference) -> str:
    """Write all schemes in OpenSSL's syntax, the preferred kind first."""
    return ":".join(_ORDERS[prefer])


def ranking(prefer: CredentialPreference, algorithms: Sequence[KeyAlgorithm]) -> tuple[tuple[int, int], ...]:
    """Code points that a server with these keys can sign by, the most preferred first.

    Each has the position of its key in `algorithms`, which are all different. A client gets the
    first code point that it lists too.
    """
    return tuple(
        (SIGNATURE_SCHEMES[name], position)
        for name in _ORDERS[prefer]
        for position, algorithm in enumerate(algorithms)
        if _fits(name, algorithm)
    )


def _fits(scheme: str, algorithm: KeyAlgorithm) -> bool:
    match algorithm.family:
        case KeyFamily.ECDSA:
            return scheme.startswith(f"ecdsa_secp{algorithm.size}r1")
        case KeyFamily.RSA:
            return scheme.startswith("rsa_pss_rsae")
        case KeyFamily.ED25519:
            return scheme == "ed25519"
        case _:  # ML-DSA
            return scheme == f"mldsa{algorithm.size}"

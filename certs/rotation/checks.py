"""The checks of a new chain before it may serve. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.identities.chain import BROKEN_HASHES, alternative_names, digest_name, extension_of
from certs.keys.signing_key import KeyAlgorithm, KeyFamily, algorithm_of, certified_key, certified_spki, spki_of

_LONGEST_NAME: Final = 200
_LEAST_LEFT: Final = 0.5
"""The share of its lifetime that a new certificate has left at least: one that was handed out again
helps for a short time only.
"""

# Bits of security (NIST SP 800-57 part 1, table 2; FIPS 204 for ML-DSA). RSA by its size.
_STRENGTHS: Final = {
    (KeyFamily.ECDSA, 256): 128,
    (KeyFamily.ECDSA, 384): 192,
    (KeyFamily.ECDSA, 521): 256,
    (KeyFamily.MLDSA, 44): 128,
    (KeyFamily.MLDSA, 65): 192,
    (KeyFamily.MLDSA, 87): 256,
    (KeyFamily.ED25519, 0): 128,
}
_RSA: Final = ((15_360, 256), (7_680, 192), (3_072, 128), (2_048, 112))


class ChainUnusable(ValueError):
    """A chain that must not serve; `findings` are clauses about it."""

    def __init__(self, findings: Iterable[str]) -> None:
        self.findings = tuple(findings)
        super().__init__(self.findings)

    def __str__(self) -> str:
        return "; ".join(self.findings)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a chain is held against: it ends in one of `roots`, from `place` (in words).

    `strength`: bits at least, 0 for any.
    """

    key: CertificatePublicKeyTypes
    names: tuple[str, ...]
    roots: tuple[x509.Certificate, ...]
    strength: int = 0
    place: str = "the roots that are expected"


def read_chain_pem(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a chain. Raises `ChainUnusable`."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise ChainUnusable(["it is not a PEM file with certificates"]) from None


def findings(chain: Sequence[x509.Certificate], expected: Expectation, now: datetime) -> list[str]:
    """All that speaks against a new chain, leaf first."""
    return [*serving_findings(chain, expected, now), *_age(chain[0], now)]


def serving_findings(chain: Sequence[x509.Certificate], expected: Expectation, now: datetime) -> list[str]:
    """All that speaks against a chain that serves, leaf first. Its age does not: it is valid to its
    end.
    """
    leaf = chain[0]
    found = []
    if certified_spki(leaf) != spki_of(expected.key):
        found.append("it is for another key")
    missing = sorted(set(expected.names) - set(alternative_names(leaf)))
    if missing:
        found.append(f"it is not for {', '.join(missing)}")
    if not _is_for_servers(leaf):
        found.append("its extended key usage does not allow TLS servers")
    return [*found, *_time(chain, now), *_path(chain, expected, now), *_weakness(chain, expected.strength)]


def strength(algorithm: KeyAlgorithm) -> int:
    if algorithm.family is KeyFamily.RSA:
        return next((bits for size, bits in _RSA if algorithm.size >= size), 0)
    return _STRENGTHS[algorithm.family, algorithm.size]


def is_weak(chain: Sequence[x509.Certificate]) -> bool:
    """Whether a chain that served before must be replaced because of what it is made with."""
    return bool(list(_weakness(chain, 0)))


def _weakness(chain: Sequence[x509.Certificate], least: int) -> Iterator[str]:
    for position, certificate in enumerate(chain, start=1):
        if certificate.issuer != certificate.subject and digest_name(certificate) in BROKEN_HASHES:
            yield f"its certificate in place {position} is signed with {digest_name(certificate)}"
    key = certified_key(chain[0])
    if key is None or algorithm_of(key).is_too_weak:
        yield "its key has a kind or size that TLS does not accept"
    elif strength(algorithm_of(key)) < least:
        yield f"its key is weaker than before ({algorithm_of(key)})"


def _time(chain: Sequence[x509.Certificate], now: datetime) -> Iterator[str]:
    for position, certificate in enumerate(chain, start=1):
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            span = (
                f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to {certificate.not_valid_after_utc:%Y-%m-%d %H:%M}"
            )
            yield f"its certificate in place {position} is valid from {span}; the time here is {now:%Y-%m-%d %H:%M} UTC"
            return


def _age(leaf: x509.Certificate, now: datetime) -> Iterator[str]:
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        return  # `_time` says so
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if leaf.not_valid_after_utc - now < lifetime * _LEAST_LEFT:
        yield "more than half of its lifetime is over"


def _path(chain: Sequence[x509.Certificate], expected: Expectation, now: datetime) -> Iterator[str]:
    """RFC 5280 6.1 without policies: signatures, authorities, depth, and where it ends.

    It may continue behind a certificate that a root has signed: a CA sends another way to older
    roots along, and clients take the first one that they trust.
    """
    for position, (certificate, issuer) in enumerate(pairwise(chain), start=2):
        if not _is_issued_by(certificate, issuer):
            yield f"its certificate in place {position} did not sign the one before it"
            return
        if not _may_sign(issuer, position - 2):
            yield f"its certificate in place {position} is not allowed to sign the one before it"
            return
    roots = [one for one in expected.roots if now < one.not_valid_after_utc]
    if not any(_is_under(one, depth, root) for depth, one in enumerate(chain) for root in roots):
        last = chain[-1]
        yield f"{_named(last.subject)} at its end is signed by {_named(last.issuer)}, which is not among {expected.place}"


def _is_under(certificate: x509.Certificate, depth: int, root: x509.Certificate) -> bool:
    return certificate == root or (_is_issued_by(certificate, root) and _may_sign(root, depth))


def _named(name: x509.Name) -> str:
    """A foreign name on one line, in ASCII, truncated."""
    text = ascii(name.rfc4514_string())[1:-1]
    return f'"{text}"' if len(text) <= _LONGEST_NAME else f'"{text[:_LONGEST_NAME]}..."'


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _may_sign(issuer: x509.Certificate, below: int) -> bool:
    """Whether a certificate is an authority that may have `below` authorities below it (RFC 5280
    4.2.1.9, 6.1.4 k to n).
    """
    constraints = extension_of(issuer, x509.BasicConstraints)
    usage = extension_of(issuer, x509.KeyUsage)  # which counts "if a key usage extension is present"
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        return False
    return constraints.path_length is None or constraints.path_length >= below


def _is_for_servers(leaf: x509.Certificate) -> bool:
    usage = extension_of(leaf, x509.ExtendedKeyUsage)
    return usage is None or ExtendedKeyUsageOID.SERVER_AUTH in usage

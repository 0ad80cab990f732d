"""A certificate chain, judged by itself; `credential` judges whether a key fits it. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import SignatureAlgorithmOID

from certs.files.errors import CredentialError
from config.values.problems import shown

Chain = tuple[x509.Certificate, ...]
Extension = TypeVar("Extension", bound=x509.ExtensionType)

_SIGNATURES = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: "ecdsa-sha256",
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: "ecdsa-sha384",
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: "ecdsa-sha512",
    SignatureAlgorithmOID.RSA_WITH_SHA256: "rsa-sha256",
    SignatureAlgorithmOID.RSA_WITH_SHA384: "rsa-sha384",
    SignatureAlgorithmOID.RSA_WITH_SHA512: "rsa-sha512",
    SignatureAlgorithmOID.RSASSA_PSS: "rsa-pss",
    SignatureAlgorithmOID.ED25519: "ed25519",
    SignatureAlgorithmOID.ED448: "ed448",
    SignatureAlgorithmOID.ML_DSA_44: "mldsa-44",
    SignatureAlgorithmOID.ML_DSA_65: "mldsa-65",
    SignatureAlgorithmOID.ML_DSA_87: "mldsa-87",
}
CNSA_SIGNATURE = "mldsa-87"
"""`signature_name` of the only signature in CNSA 2.0."""

BROKEN_HASHES = frozenset({"md5", "sha1"})  # RFC 8446 4.4.2.4, and OpenSSL's security level 2


class ChainBroken(CredentialError):
    """The certificate of `subject` at `position` (from 0) is not the named `issuer`."""

    def __init__(self, path: Path, position: int, subject: str, issuer: str) -> None:
        which = "another key than the issuer's" if subject == issuer else shown(subject)
        found = f"which has in place {position + 1} {which} where the issuer {shown(issuer)} belongs"
        super().__init__(path, found, "leaf first, then the issuer of each certificate, and no other certificate")


class SignatureTooWeak(CredentialError):
    """The certificate at `position` (from 0) is signed over a `digest` that can be forged."""

    def __init__(self, path: Path, position: int, digest: str) -> None:
        found = f"whose certificate in place {position + 1} is signed with {digest}"
        super().__init__(path, found, "certificates signed with SHA-256 or better")


class CertificateExpired(CredentialError):
    """The certificate of `subject` is no longer valid."""

    def __init__(self, path: Path, subject: str, not_after: datetime) -> None:
        found = f"whose certificate {shown(subject)} expired at {not_after:%Y-%m-%d %H:%M} UTC"
        super().__init__(path, found, "a certificate that is valid now")


class CertificateNotYetValid(CredentialError):
    """The certificate of `subject` is not valid yet, or the clock of this machine is wrong."""

    def __init__(self, path: Path, subject: str, not_before: datetime) -> None:
        found = f"whose certificate {shown(subject)} is valid only from {not_before:%Y-%m-%d %H:%M} UTC"
        super().__init__(path, found, "a certificate that is valid now (is the clock of this machine right?)")


def chain_errors(chain: Chain, path: Path, now: datetime | None) -> Iterator[CredentialError]:
    """Find errors in the certificates of a file, except their order (`order_errors`).

    None: dates are not checked.
    """
    yield from _signature_errors(chain, path)
    if now is not None:
        yield from validity_errors(chain, path, now)


def order_errors(chain: Chain, path: Path) -> Iterator[ChainBroken]:
    """Find certificates that are not the issuer of the one before them."""
    for position, (certificate, issuer) in enumerate(pairwise(chain), start=1):
        if not _is_issued_by(certificate, issuer):
            yield ChainBroken(path, position, _text(issuer.subject), _text(certificate.issuer))


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, InvalidSignature):  # another name; another key
        return False
    except (TypeError, UnsupportedAlgorithm):  # an algorithm that cryptography cannot verify: the name must do
        return certificate.issuer == issuer.subject
    return True


def _signature_errors(chain: Chain, path: Path) -> Iterator[CredentialError]:
    for position, certificate in enumerate(chain):
        if certificate.issuer == certificate.subject:
            continue  # clients do not check the signature of a root
        digest = digest_name(certificate)
        if digest in BROKEN_HASHES:
            yield SignatureTooWeak(path, position, digest)


def signature_name(certificate: x509.Certificate) -> str:
    """How a certificate is signed, such as `ecdsa-sha384` or `mldsa-87`; an unknown way by its
    object identifier.
    """
    oid = certificate.signature_algorithm_oid
    return _SIGNATURES.get(oid, oid.dotted_string)


def weaker_link(chain: Iterable[x509.Certificate]) -> str | None:
    """The first certificate of a chain that is not signed by ML-DSA-87: how, and by whom."""
    for one in chain:
        if signature_name(one) != CNSA_SIGNATURE:
            return f"signed with {signature_name(one)} by {shown(one.issuer.rfc4514_string())}"
    return None


def digest_name(certificate: x509.Certificate) -> str:
    """The hash that a certificate is signed with; nothing where that is none or not known."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return algorithm.name if algorithm else ""


def validity_errors(chain: Chain, path: Path, now: datetime) -> Iterator[CredentialError]:
    """Find certificates that are not valid at `now`."""
    for certificate in chain:
        if certificate.not_valid_after_utc <= now:
            yield CertificateExpired(path, _text(certificate.subject), certificate.not_valid_after_utc)
        if certificate.not_valid_before_utc > now:
            yield CertificateNotYetValid(path, _text(certificate.subject), certificate.not_valid_before_utc)


def alternative_names(certificate: x509.Certificate | x509.CertificateSigningRequest) -> Iterator[str]:
    """The DNS names, in lower case, and IP addresses that a certificate is for (its common name
    counts for nothing).
    """
    names = extension_of(certificate, x509.SubjectAlternativeName)
    if names is not None:
        yield from (name.lower() for name in names.get_values_for_type(x509.DNSName))
        yield from (str(address) for address in names.get_values_for_type(x509.IPAddress))


def extension_of(
    certificate: x509.Certificate | x509.CertificateSigningRequest, kind: type[Extension]
) -> Extension | None:
    """An extension; None if it has none of this kind. Raises `ValueError` for a damaged one."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _text(name: x509.Name) -> str:
    return name.rfc4514_string()

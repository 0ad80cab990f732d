"""The request for a certificate (PKCS #10, RFC 2986), signed by its own key wherever that lives."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certs.keys.generating import digest_for
from config.values.addresses import parse_ip

_LONGEST_COMMON_NAME: Final = 64  # RFC 5280 appendix A.1, ub-common-name


def general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    """Names as a subjectAltName has them (RFC 5280 4.2.1.6)."""
    return [x509.DNSName(name) if parse_ip(name) is None else x509.IPAddress(ip_address(name)) for name in names]


def subject_for(names: Sequence[str]) -> x509.Name:
    """The first name as common name, for people only; none where it is too long for that."""
    if len(names[0]) > _LONGEST_COMMON_NAME:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])


def signing_request(names: Sequence[str], key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """A CSR in DER for these names."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_for(names))
    builder = builder.add_extension(x509.SubjectAlternativeName(general_names(names)), critical=False)
    return builder.sign(key, digest_for(key)).public_bytes(Encoding.DER)


def request_without_subject(
    names: Sequence[str], key: CertificateIssuerPrivateKeyTypes, digest: hashes.SHA256 | hashes.SHA384 | None
) -> str:
    """A CSR in PEM; as its subject is empty, its names are critical (RFC 5280 4.2.1.6)."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(general_names(names)), critical=True)
    return builder.sign(key, digest).public_bytes(Encoding.PEM).decode("ascii")

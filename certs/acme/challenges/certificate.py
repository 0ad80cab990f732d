"""The certificate for tls-alpn-01 (RFC 8737 section 3): self-signed, for one name, with the digest
of one token.

Its key is discarded with it. The CA checks neither its chain nor its dates, so the dates are
constants and no clock is read. Every worker makes its own. Workers import only this module of the
package.
"""

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

ALPN: Final = "acme-tls/1"
"""RFC 8737 section 6.2."""

_ACME_IDENTIFIER: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")  # id-pe-acmeIdentifier, RFC 8737 section 3
_OCTET_STRING: Final = b"\x04\x20"  # DER: its tag, 32 bytes
_SHA256_BYTES: Final = 32
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER: Final = datetime(
    9999, 12, 31, 23, 59, 59, tzinfo=UTC
)  # RFC 5280 section 4.1.2.5: no well-defined expiration date


def server_name_of(name: str) -> str:
    """What a CA asks for in the handshake: the DNS name, or the reverse name of an IP address (RFC
    8738 section 6).
    """
    try:
        return ip_address(name).reverse_pointer
    except ValueError:
        return name


def challenge_certificate(name: str, digest: bytes) -> bytes:
    """In PEM, for a DNS name or IP address and the SHA-256 of a key authorization."""
    assert len(digest) == _SHA256_BYTES  # of our own making
    try:
        alternative: x509.GeneralName = x509.IPAddress(ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme challenge")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGINNING)
        .not_valid_after(_NEVER)
        # "MUST contain a subjectAltName extension containing the dNSName being validated and no
        # other entries"
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.UnrecognizedExtension(_ACME_IDENTIFIER, _OCTET_STRING + digest), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)

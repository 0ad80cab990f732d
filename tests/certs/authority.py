"""Certificates for tests, signed with keys that are made once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)

PrivateKey = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)

_HASHLESS = (
    ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)


_CURVES: dict[str, ec.EllipticCurve] = {
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
    "k256": ec.SECP256K1(),
}
_GENERATORS: dict[str, Callable[[], PrivateKey]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "mldsa-44": mldsa.MLDSA44PrivateKey.generate,
    "mldsa-65": mldsa.MLDSA65PrivateKey.generate,
    "mldsa-87": mldsa.MLDSA87PrivateKey.generate,
}


@cache
def private_key(kind: str, _number: int = 0) -> PrivateKey:
    """A key by the name of its algorithm; another number is another key."""
    family, _, size = kind.partition("-")
    if family == "rsa":
        return rsa.generate_private_key(65_537, int(size))
    if family == "ecdsa":
        return ec.generate_private_key(_CURVES[size])
    return _GENERATORS[kind]()


def key_pem(key: PrivateKey) -> bytes:
    """A key as `openssl genpkey` writes it (ML-DSA: with the seed alone)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)


def issue(
    subject: str,
    key: PrivateKey,
    *,
    issuer: Issued | None = None,
    names: Iterable[str] = (),
    valid: tuple[datetime, datetime] = (NOW - DAY, NOW + 90 * DAY),
    digest: hashes.HashAlgorithm | None = None,
) -> Issued:
    """A certificate of `key`, by `issuer` or self-signed; `names` are DNS names and IP addresses."""
    signer = issuer.key if issuer else key
    name = _name(subject)
    builder = (
        x509.CertificateBuilder(serial_number=x509.random_serial_number())
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
    )
    alternatives = [_general_name(entry) for entry in names]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    algorithm = None if isinstance(signer, _HASHLESS) else digest or hashes.SHA256()
    return Issued(builder.sign(signer, algorithm), key)  # type: ignore[arg-type]


def write(directory: Path, name: str, issued: Issued, *issuers: Issued) -> tuple[Path, Path]:
    """Write a chain and the key of its leaf, and answer both paths."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    certificate.write_bytes(b"".join(one.pem for one in (issued, *issuers)))
    key.touch(mode=0o600)
    key.write_bytes(key_pem(issued.key))
    return certificate, key


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)

"""Authorities of client certificates: chains of every kind, and what they revoke, as PEM files."""

import itertools
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tests.certificates import DAY, P256, CertificateFiles
from tests.certs.authority import PrivateKey, key_pem, private_key

FOR_CLIENTS = ExtendedKeyUsageOID.CLIENT_AUTH
_numbers = itertools.count(500_000)  # each key is a new one


@dataclass(frozen=True)
class ClientAuthority:
    """A root, or an intermediate below `above`."""

    name: str
    kind: str = P256
    above: "ClientAuthority | None" = None
    path_length: int | None = None
    valid: tuple[timedelta, timedelta] = (-100 * DAY, 100 * DAY)
    is_authority: bool = True
    key: PrivateKey = field(init=False, repr=False)
    certificate: x509.Certificate = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", private_key(self.kind, next(_numbers)))
        signer = self.above or self
        builder = _builder(self.subject, signer.subject, self.key, self.valid).add_extension(
            x509.BasicConstraints(ca=self.is_authority, path_length=self.path_length), critical=True
        )
        object.__setattr__(self, "certificate", _signed(builder, signer.key))

    @property
    def subject(self) -> x509.Name:
        """Its name."""
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def _intermediates(self) -> list["ClientAuthority"]:
        """Itself and those above it, without the root."""
        return [] if self.above is None else [self, *self.above._intermediates]

    def issue(
        self,
        directory: Path,
        subject: str | x509.Name,
        *,
        kind: str = P256,
        valid: tuple[timedelta, timedelta] = (-DAY, 30 * DAY),
        purposes: Sequence[ObjectIdentifier] = (FOR_CLIENTS,),
        names: Sequence[str] = (),
    ) -> "ClientFiles":
        """A client's certificate; the file has its chain too, without the root."""
        key = private_key(kind, next(_numbers))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]) if isinstance(subject, str) else subject
        builder = _builder(name, self.subject, key, valid).add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=False)
        if names:
            alternatives = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(one) for one in names])
            builder = builder.add_extension(alternatives, critical=False)
        certificate = _signed(builder, self.key)
        stem = f"client-{certificate.serial_number:x}"
        files = ClientFiles(directory / f"{stem}.pem", directory / f"{stem}.key", certificate, self)
        files.certificate.write_bytes(
            certificate.public_bytes(Encoding.PEM) + b"".join(one.pem for one in self._intermediates)
        )
        files.key.touch(mode=0o600)
        files.key.write_bytes(key_pem(key))
        return files

    def of_another_version(self, issued: "ClientFiles") -> bytes:
        """A certificate in PEM of a version of X.509 that is not there: OpenSSL takes it."""
        content = issued.leaf.tbs_certificate_bytes.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09", 1)
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        signature = b"\x00" + self.key.sign(content, ec.ECDSA(hashes.SHA256()))
        algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
        return ssl.DER_cert_to_PEM_cert(_der(0x30, content + algorithm + _der(0x03, signature))).encode()

    def revocations(
        self,
        *revoked: x509.Certificate,
        valid: tuple[timedelta, timedelta] = (-DAY, 7 * DAY),
        signer: "ClientAuthority | None" = None,
        critical: x509.ExtensionType | None = None,
    ) -> bytes:
        """A list of what it has revoked, in PEM."""
        now = datetime.now(UTC)  # noqa: TID251 - OpenSSL compares with the clock
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.subject)
            .last_update(now + valid[0])
            .next_update(now + valid[1])
        )
        if critical is not None:
            builder = builder.add_extension(critical, critical=True)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(now - DAY / 2)
            builder = builder.add_revoked_certificate(entry.build())
        key = (signer or self).key
        return builder.sign(key, _digest(key)).public_bytes(Encoding.PEM)  # type: ignore[arg-type]


def point(**scope: Any) -> x509.IssuingDistributionPoint:
    """The scope of a list; without arguments all that its authority issues."""
    whole: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**whole | scope)


@dataclass(frozen=True)
class ClientFiles:
    """A client's chain and key."""

    certificate: Path
    key: Path
    leaf: x509.Certificate = field(repr=False)
    issuer: ClientAuthority = field(repr=False)

    @property
    def files(self) -> CertificateFiles:
        """The same without what is inside."""
        return CertificateFiles(self.certificate, self.key)

    @property
    def der(self) -> bytes:
        """The leaf."""
        return self.leaf.public_bytes(Encoding.DER)

    @property
    def chain(self) -> list[bytes]:
        """What stands between the leaf and the root, in DER."""
        return [one.certificate.public_bytes(Encoding.DER) for one in self.issuer._intermediates]


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, valid: tuple[timedelta, timedelta]
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)  # noqa: TID251 - OpenSSL compares with the clock
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + valid[0])
        .not_valid_after(now + valid[1])
    )


def _digest(key: PrivateKey) -> hashes.HashAlgorithm | None:
    return hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else None


def _signed(builder: x509.CertificateBuilder, key: PrivateKey) -> x509.Certificate:
    return builder.sign(key, _digest(key))  # type: ignore[arg-type]  # of any kind that `_digest` knows


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    size = bytes((length,)) if length < 128 else b"\x82" + length.to_bytes(2, "big")
    return bytes((tag,)) + size + content

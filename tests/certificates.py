"""An authority for tests that really verify: certificates of every kind that a client may have to refuse, as PEM files."""

import itertools
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.certs.authority import key_pem, private_key

DAY = timedelta(days=1)
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
P256 = "ecdsa-p256"
"""The usual kind of key, see `private_key`: quick to make."""

_numbers = itertools.count(1_000)  # each key is a new one


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate and its key."""

    certificate: Path
    key: Path

    def server_context(self, *, client_ca: Path | None = None) -> ssl.SSLContext:
        """A server's context; with `client_ca` it demands a certificate of its clients."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Authority:
    """A root and what it issues, in one directory."""

    def __init__(self, directory: Path, name: str = "Test authority", kind: str = P256) -> None:
        self._directory = directory
        self._key = private_key(kind, next(_numbers))
        self._digest = None if kind.startswith("mldsa") else hashes.SHA256()
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)  # noqa: TID251 - OpenSSL compares with the clock
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._subject)
            .issuer_name(self._subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 100 * DAY)
            .not_valid_after(now + 100 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(is_authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, self._digest)
        )
        self.path = directory / f"{name.replace(' ', '-').lower()}.pem"
        """The root, for those who trust it."""
        self.path.write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(
        self,
        file: str,
        names: tuple[str, ...] = LOCAL_NAMES,
        valid: tuple[timedelta, timedelta] = (-DAY, 90 * DAY),
        kind: str = P256,
        *,
        is_named: bool = True,
    ) -> CertificateFiles:
        """Issue a certificate for DNS names and IP addresses; `valid` is relative to now. One that `is_named` has a
        common name."""
        key = private_key(kind, next(_numbers))
        certificate = self.certify(file, key.public_key(), names, valid, is_named=is_named)
        files = CertificateFiles(certificate, self._directory / f"{file}.key")
        files.key.touch(mode=0o600)
        files.key.write_bytes(key_pem(key))
        return files

    def certify(
        self,
        file: str,
        key: CertificatePublicKeyTypes,
        names: tuple[str, ...] = LOCAL_NAMES,
        valid: tuple[timedelta, timedelta] = (-DAY, 90 * DAY),
        *,
        is_named: bool = True,
    ) -> Path:
        """Issue a certificate for a key whose private half is somewhere else."""
        now = datetime.now(UTC)  # noqa: TID251 - as above
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file)] if is_named else []))
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + valid[0])
            .not_valid_after(now + valid[1])
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_authority=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, self._digest)
        )
        path = self._directory / f"{file}.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return path

    def client_context(self) -> ssl.SSLContext:
        """A context that trusts this authority and nobody else, as strictly as Python can."""
        return ssl.create_default_context(cafile=str(self.path))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )

"""The certificates of an internal authority, by extension (RFC 5280 4.2). Pure but for signing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.issuing.internal_ca.names import name_constraints
from certs.issuing.signing_request import general_names, subject_for
from certs.keys.generating import digest_for

BACKDATED: Final = timedelta(hours=1)
"""How long before its making a certificate begins: some clients' clocks are slow."""
ROOT_LIFETIME: Final = timedelta(days=3_650)
"""Ten years: each new root has to be installed by hand on every client."""


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A certificate that signs others, and its key in cryptography's shape."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes


def root_certificate(name: str, key: CertificateIssuerPrivateKeyTypes, now: datetime) -> x509.Certificate:
    """A root: self-signed, one intermediate deep."""
    subject = _common_name(name)
    builder = _builder(subject, subject, key.public_key(), (now - BACKDATED, now + ROOT_LIFETIME))
    builder = _authority(builder, key.public_key(), path_length=1)
    return builder.sign(key, digest_for(key))


def intermediate_certificate(
    name: str,
    public_key: CertificatePublicKeyTypes,
    root: IssuerKey,
    not_after: datetime,
    permitted: Sequence[str],
    now: datetime,
) -> x509.Certificate:
    """An intermediate: signs servers only, of permitted names only."""
    end = min(not_after, root.certificate.not_valid_after_utc)
    builder = _builder(_common_name(name), root.certificate.subject, public_key, (now - BACKDATED, end))
    builder = _authority(builder, public_key, path_length=0)
    builder = builder.add_extension(issued_by(root.certificate), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    constraints = name_constraints(permitted)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(root.key, digest_for(root.key))


def server_certificate(
    names: Sequence[str],
    public_key: CertificatePublicKeyTypes,
    issuer: IssuerKey,
    not_after: datetime,
    now: datetime,
    crl_url: str | None,
) -> x509.Certificate:
    """The certificate of a server; it ends with its issuer at the latest."""
    subject = subject_for(names)  # where it is empty, the names must be critical (RFC 5280 4.2.1.6)
    end = min(not_after, issuer.certificate.not_valid_after_utc)
    builder = (
        _builder(subject, issuer.certificate.subject, public_key, (now - BACKDATED, end))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(general_names(names)), critical=not list(subject))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(issued_by(issuer.certificate), critical=False)
    )
    if crl_url is not None:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    return builder.sign(issuer.key, digest_for(issuer.key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes, valid: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
    )


def _authority(
    builder: x509.CertificateBuilder, key: CertificatePublicKeyTypes, path_length: int
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def issued_by(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """What a certificate or a list says of its issuer."""
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


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

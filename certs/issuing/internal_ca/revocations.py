"""What an authority has revoked, and the list of it that clients may look at (RFC 5280 5).

Pure but for the signatures.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from certs.issuing.internal_ca.profiles import IssuerKey, issued_by
from certs.keys.generating import digest_for

LIST_LIFETIME: Final = timedelta(days=7)
"""How long a list is good: as long as the certificates that are on it, by default."""
_RENEWED_AFTER: Final = LIST_LIFETIME / 2
"""The age at which a list is renewed: a token that is gone may take days to come back."""


class RevocationsDamaged(ValueError):
    """The file is none that this program wrote."""

    def __str__(self) -> str:
        return "not a record of revocations that Plexigate wrote"


@dataclass(frozen=True, slots=True)
class Revocation:
    """A certificate that is not trusted any more; `issuer` is its signer's subject (RFC 4514)."""

    serial: int
    issuer: str
    at: datetime
    not_after: datetime


def encode(revocations: Iterable[Revocation]) -> bytes:
    entries = [
        {
            "serial": f"{one.serial:x}",
            "issuer": one.issuer,
            "at": one.at.isoformat(),
            "not_after": one.not_after.isoformat(),
        }
        for one in revocations
    ]
    return json.dumps({"format": 1, "revoked": entries}, indent=2).encode() + b"\n"


def parse(content: bytes) -> tuple[Revocation, ...]:
    """Read what `encode` wrote. Raises `RevocationsDamaged`."""
    try:
        document = json.loads(content)
        if document["format"] != 1:
            raise RevocationsDamaged
        return tuple(
            Revocation(
                int(one["serial"], 16),
                one["issuer"],
                datetime.fromisoformat(one["at"]),
                datetime.fromisoformat(one["not_after"]),
            )
            for one in document["revoked"]
        )
    except (KeyError, TypeError, ValueError):
        raise RevocationsDamaged from None


def list_address(url: str, number: int) -> str:
    """Where the list of an intermediate is found.

    Each intermediate signs a list of its own, and an address has one list (RFC 2585 section 4.3).
    So the number of the intermediate is the query: a server of files ignores it.
    """
    return f"{url}{'&' if '?' in url else '?'}{number}"


def is_fresh(one: x509.CertificateRevocationList, now: datetime) -> bool:
    """Whether a list need not be renewed yet. One of the future was made while the clock was
    ahead.
    """
    return one.last_update_utc <= now < one.last_update_utc + _RENEWED_AFTER


def is_current(one: x509.CertificateRevocationList | None, now: datetime) -> bool:
    """Whether there is a list, and clients still take it."""
    return one is not None and one.next_update_utc is not None and now < one.next_update_utc


def next_number(before: x509.CertificateRevocationList | None, now: datetime) -> int:
    """The number of a list after the one before: it grows, also if the clock does not (RFC 5280
    5.2.3).
    """
    last = 0 if before is None else before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return max(int(now.timestamp()), last + 1)


def revocation_list(
    signer: IssuerKey, revocations: Iterable[Revocation], number: int, now: datetime
) -> x509.CertificateRevocationList:
    """The list of one signer, without certificates that have expired (RFC 5280 5.1)."""
    subject = signer.certificate.subject
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(subject)
        .last_update(now)
        .next_update(now + LIST_LIFETIME)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(issued_by(signer.certificate), critical=False)
    )
    for one in revocations:
        if one.issuer == subject.rfc4514_string() and one.not_after > now:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(one.serial)
                .revocation_date(one.at)
                .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
                .build()
            )
    return builder.sign(signer.key, digest_for(signer.key))

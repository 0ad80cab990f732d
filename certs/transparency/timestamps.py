"""Verifies the signed certificate timestamps in a certificate (RFC 6962 section 3). Pure.

A log has signed the certificate as it was before its timestamps were put into it, and the key of
its issuer. Browsers want timestamps of several logs of several operators: one of them alone could
hide a certificate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.x509.certificate_transparency import SignedCertificateTimestamp

from certs.identities.chain import extension_of
from certs.keys.signing_key import spki_of
from certs.transparency.log_list import EPOCH, LogList

_MILLISECOND: Final = timedelta(milliseconds=1)
# RFC 6962 section 3.2: version 1, a signature of a timestamp; of a precertificate
_HEAD: Final = b"\x00\x00"
_PRECERTIFICATE: Final = b"\x00\x01"
# Chrome's policy: 2 logs for a certificate of up to 180 days, 3 for a longer one; 2 operators.
_SHORT: Final = timedelta(days=180)
_OF_SHORT: Final = 2
_OF_LONG: Final = 3
_OPERATORS: Final = 2


@dataclass(frozen=True, slots=True)
class Timestamp:
    """One timestamp. `fault` says why it proves nothing; None: a log of the list has signed it.

    `log` is the name in the list, which two may have. `operator` is empty and `at` is the beginning
    of 1970 where they are not known.
    """

    log_id: bytes
    log: str
    operator: str = ""
    at: datetime = EPOCH
    counts: bool = False
    """Whether browsers count it, by the state of its log."""
    is_admissible: bool = False
    fault: str | None = None


def timestamps(chain: Sequence[x509.Certificate], known: LogList, now: datetime) -> list[Timestamp]:
    """Each timestamp in the leaf of a chain, verified."""
    leaf = chain[0]
    found = extension_of(leaf, x509.PrecertificateSignedCertificateTimestamps)
    return [_verified(one, chain, known, now) for one in found or ()]


def timestamp_faults(leaf: x509.Certificate, found: Sequence[Timestamp]) -> Iterator[str]:
    """Why browsers would refuse a certificate with these timestamps."""
    counted = [one for one in found if one.counts and one.fault is None]
    is_short = leaf.not_valid_after_utc - leaf.not_valid_before_utc <= _SHORT
    wanted = _OF_SHORT if is_short else _OF_LONG
    logs = {one.log_id for one in counted}
    operators = {one.operator for one in counted}
    if len(logs) < wanted:
        yield f"timestamps of {len(logs)} logs count, and browsers want {wanted}"
    elif len(operators) < _OPERATORS:
        yield f"all timestamps that count are of one operator ({', '.join(operators)}), and browsers want two"
    elif not any(one.is_admissible for one in counted):
        yield "all logs of its timestamps are retired"


def _verified(
    one: SignedCertificateTimestamp, chain: Sequence[x509.Certificate], known: LogList, now: datetime
) -> Timestamp:
    log = known.logs.get(one.log_id)
    if log is None:
        return Timestamp(one.log_id, one.log_id.hex()[:16], fault="it is of a log that is not in the list")
    try:
        at = one.timestamp.replace(tzinfo=UTC)
    except ValueError:  # a year of five digits
        return Timestamp(one.log_id, log.name, log.operator, fault="its time is damaged")
    fault = None
    if at > now:
        fault = "it is of the future"
    elif len(chain) == 1:
        fault = "the issuer is not in the chain, whose key it covers"
    elif not log.has_signed(_signed_content(one, at, chain[0], chain[1]), one.signature):
        fault = "its signature is not that of the log"
    return Timestamp(one.log_id, log.name, log.operator_at(at), at, log.counts_at(at), log.is_admissible, fault)


def _signed_content(
    one: SignedCertificateTimestamp, at: datetime, leaf: x509.Certificate, issuer: x509.Certificate
) -> bytes:
    key = spki_of(issuer.public_key())
    certificate = leaf.tbs_precertificate_bytes
    moment = (at - EPOCH) // _MILLISECOND
    return b"".join(
        (
            _HEAD,
            moment.to_bytes(8, "big"),
            _PRECERTIFICATE,
            sha256(key).digest(),
            len(certificate).to_bytes(3, "big"),
            certificate,
            len(one.extension_bytes).to_bytes(2, "big"),
            one.extension_bytes,
        )
    )

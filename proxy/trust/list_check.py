"""Looks at the revocation lists that a certificate names, as a client does that checks it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from certs.identities.chain import extension_of
from certs.identities.revocation_list import ListUnusable, has_signed, read_list, scope_fault, time_fault
from proxy.net.fetching import NotFetched, fetch

_SECONDS: Final = 10.0
_MOST_BYTES: Final = 16_777_216
"""As many as a list of `client_certificates.crl` may have."""


@dataclass(frozen=True, slots=True)
class ListCheck:
    text: str
    is_fault: bool


def list_checks(chain: Sequence[x509.Certificate], now: datetime) -> Iterator[ListCheck]:
    """Fetch each list that the leaf names.

    It has to be of its issuer and current, and the leaf must not be on it.
    """
    leaf, *issuers = chain
    for address in list_addresses(leaf):
        try:
            fault, text = _judged(fetch(address, _MOST_BYTES, _SECONDS), leaf, issuers[:1], now)
        except NotFetched as error:
            yield ListCheck(f"the revocation list {error}", is_fault=True)
        else:
            yield ListCheck(f"the revocation list {address} {fault or text}", is_fault=fault is not None)


def list_addresses(leaf: x509.Certificate) -> list[str]:
    """Where the revocation lists of a certificate are, by http or https (RFC 5280 4.2.1.13)."""
    points = extension_of(leaf, x509.CRLDistributionPoints) or ()
    names = [name.value for point in points for name in point.full_name or () if isinstance(name.value, str)]
    return [name for name in names if name.startswith(("http://", "https://"))]


def _judged(
    content: bytes, leaf: x509.Certificate, issuers: Sequence[x509.Certificate], now: datetime
) -> tuple[str | None, str]:
    """The fault of a list, and what else is to say."""
    if not issuers:
        return "cannot be verified: the chain lacks the issuer of the certificate", ""
    try:
        found = read_list(content)
    except ListUnusable:
        found = None
    if found is None or content.startswith(b"-"):  # RFC 2585 section 4.3
        return "is no list in DER", ""
    fault = scope_fault(found)
    if fault is not None:
        return f"is {fault}", ""
    if found.issuer != leaf.issuer or not any(has_signed(issuer, found) for issuer in issuers):
        return "is not of the issuer of the certificate", ""
    if found.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None:
        return "has this certificate: it is revoked", ""
    end = found.next_update_utc
    fault = "does not say when it expires" if end is None else time_fault(found, now)
    return (None, f"is current until {end:%Y-%m-%d %H:%M} UTC") if fault is None else (fault, "")

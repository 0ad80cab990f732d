"""A revocation list of an authority of clients: what makes it usable, and which of two counts.

OpenSSL prefers a list that is current to a newer one that has expired. So it gets only the newest
of each scope: what that has revoked stays revoked.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from certs.keys.signing_key import spki_of
from config.values.problems import shown

_LIST: Final = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)
# The critical extensions that OpenSSL knows; `scope_fault` has the delta first
_KNOWN: Final = (x509.IssuingDistributionPoint, x509.AuthorityKeyIdentifier)


class ListUnusable(Exception):
    """A list that was fetched is not taken; `reason` is a clause."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def fetched_list(content: bytes, authorities: Sequence[x509.Certificate]) -> x509.CertificateRevocationList:
    """Read a list in DER or PEM that came over the network. Raises `ListUnusable`."""
    found = read_list(content)
    fault = next(errors_of_list(found, authorities), None)
    if fault is not None:
        raise ListUnusable(f"its {fault[0].removeprefix('whose ')}; needed: {fault[1]}")
    return found


def pem_lists(content: bytes) -> list[bytes]:
    """The lists in the content of a file."""
    return _LIST.findall(content)


def read_list(content: bytes) -> x509.CertificateRevocationList:
    """Read a list in DER or PEM. Raises `ListUnusable`."""
    try:
        load = x509.load_pem_x509_crl if content.startswith(b"-----") else x509.load_der_x509_crl
        found = load(content)
        _ = found.issuer, found.extensions, found.next_update_utc  # they are parsed when they are read
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise ListUnusable("it is no revocation list, in DER or PEM") from None
    return found


def by_scope(
    lists: Sequence[x509.CertificateRevocationList], authorities: Sequence[x509.Certificate]
) -> list[list[x509.CertificateRevocationList]]:
    """The lists of each scope: an issuer, its key, and a distribution point."""
    scopes: dict[tuple[x509.Name, bytes, bytes], list[x509.CertificateRevocationList]] = {}
    for one in lists:
        signers = (each for each in authorities if each.subject == one.issuer and has_signed(each, one))
        keys = (spki_of(each.public_key()) for each in signers)
        point = _distribution_point(one)
        scope = one.issuer, next(keys, b""), b"" if point is None else point.public_bytes()
        scopes.setdefault(scope, []).append(one)
    return list(scopes.values())


def newest_lists(
    lists: Sequence[x509.CertificateRevocationList], authorities: Sequence[x509.Certificate], now: datetime
) -> list[list[x509.CertificateRevocationList]]:
    """Of each scope the newest list that has begun, if there is one; behind it those of the
    future.
    """
    scopes = []
    for scope in by_scope(lists, authorities):
        begun = [one for one in scope if one.last_update_utc <= now]
        future = [one for one in scope if one.last_update_utc > now]
        scopes.append([*([max(begun, key=_age_of)] if begun else []), *sorted(future, key=_age_of)])
    return scopes


def _age_of(one: x509.CertificateRevocationList) -> tuple[datetime, int]:
    """Orders the lists of a scope: the date, and the number (RFC 5280 section 5.2.3)."""
    number = next((each.value.crl_number for each in one.extensions if isinstance(each.value, x509.CRLNumber)), 0)
    return one.last_update_utc, number


def _distribution_point(one: x509.CertificateRevocationList) -> x509.IssuingDistributionPoint | None:
    values = (each.value for each in one.extensions)
    return next((each for each in values if isinstance(each, x509.IssuingDistributionPoint)), None)


def errors_of_list(
    one: x509.CertificateRevocationList, authorities: Sequence[x509.Certificate]
) -> Iterator[tuple[str, str]]:
    """What is wrong with a list, and what is needed instead."""
    who = f"whose list of {shown(one.issuer.rfc4514_string())}"
    issuers = [authority for authority in authorities if authority.subject == one.issuer]
    if not issuers:
        known = ", ".join(dict.fromkeys(shown(other.subject.rfc4514_string()) for other in authorities))
        yield f"{who} is of no authority in ca", f"lists of these authorities: {known}"
    elif not any(has_signed(issuer, one) for issuer in issuers):
        yield f"{who} is not signed by that authority", "the list as the authority has published it"
    if one.next_update_utc is None:
        yield f"{who} does not say when it expires", "a list with nextUpdate (RFC 5280 section 5.1.2.5)"
    fault = scope_fault(one)
    if fault is not None:
        yield f"{who} is {fault}", "the complete list"
    point = _distribution_point(one)
    below = [other for other in authorities if other.issuer == one.issuer]
    if point is not None and point.only_contains_user_certs and below:
        yield f"{who} has no authorities, which are looked up too", "the complete list"
    if point is not None and point.only_contains_ca_certs and all(other.subject == one.issuer for other in below):
        yield f"{who} has only authorities, and no clients", "the complete list"


def scope_fault(one: x509.CertificateRevocationList) -> str | None:
    """Why OpenSSL would not judge by a list, or by a part of it; None if it would."""
    point = _distribution_point(one)
    if point is not None and (
        point.indirect_crl or point.only_some_reasons is not None or point.only_contains_attribute_certs
    ):
        return "of another scope: indirect, of some reasons, or of attribute certificates"
    for each in one.extensions:
        if isinstance(each.value, x509.DeltaCRLIndicator):
            return "a delta, which has only the latest changes"
        if each.critical and not isinstance(each.value, _KNOWN):
            return f"of a kind that OpenSSL cannot judge: it has the critical extension {each.oid.dotted_string}"
    return None


def time_fault(one: x509.CertificateRevocationList, now: datetime) -> str | None:
    """Why a list is not current; None if it is."""
    end = one.next_update_utc
    if one.last_update_utc > now:
        return f"is current only from {one.last_update_utc:%Y-%m-%d %H:%M} UTC"
    return f"expired at {end:%Y-%m-%d %H:%M} UTC" if end is not None and end <= now else None


def has_signed(issuer: x509.Certificate, one: x509.CertificateRevocationList) -> bool:
    """Whether the signature of a list is that of an authority."""
    try:
        return one.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # of any kind, see below
    except (TypeError, ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False

"""Revocation lists: those that OpenSSL can judge by, and the newest of each scope."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from certs.identities.revocation_list import ListUnusable, fetched_list, newest_lists, read_list
from tests.certificates import DAY
from tests.client_authorities import ClientAuthority, point

NOW = datetime.now(UTC)  # noqa: TID251 - certificates of tests are made by the clock
ROOT = ClientAuthority("Root")
BELOW = ClientAuthority("Below", above=ROOT)
RENEWED = ClientAuthority("Below", above=ROOT)  # with another key
AUTHORITIES = (ROOT.certificate, BELOW.certificate, RENEWED.certificate)
USERS = point(only_contains_user_certs=True)
ISSUERS = point(only_contains_ca_certs=True)
ONE_OF_TWO = point(full_name=[x509.UniformResourceIdentifier("http://ca.test/1.crl")])


@pytest.mark.parametrize(
    ("critical", "fault"),
    [
        (x509.DeltaCRLIndicator(1), "a delta"),
        (point(indirect_crl=True), "of another scope"),
        (point(only_some_reasons=frozenset([x509.ReasonFlags.key_compromise])), "of another scope"),
        (point(only_contains_attribute_certs=True), "of another scope"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), "extension 1.2.3.4"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.28"), b"\x01"), "no revocation list"),
    ],
)
def test_what_openssl_cannot_judge_by_is_refused(critical: x509.ExtensionType, fault: str) -> None:
    with pytest.raises(ListUnusable, match=fault):
        fetched_list(ROOT.revocations(critical=critical), AUTHORITIES)


@pytest.mark.parametrize(
    ("authority", "scope", "fault"),
    [
        (ROOT, USERS, "has no authorities"),
        (BELOW, USERS, None),
        (ROOT, ISSUERS, None),
        (BELOW, ISSUERS, "has only authorities"),
        (BELOW, ONE_OF_TWO, None),
    ],
)
def test_a_list_has_those_whom_its_authority_has_issued(
    authority: ClientAuthority, scope: x509.IssuingDistributionPoint, fault: str | None
) -> None:
    content = authority.revocations(critical=scope)
    if fault is None:
        fetched_list(content, AUTHORITIES)
    else:
        with pytest.raises(ListUnusable, match=fault):
            fetched_list(content, AUTHORITIES)


def span(days: int) -> tuple[timedelta, timedelta]:
    return -days * DAY, 30 * DAY


def test_one_of_each_issuer_key_and_point_counts() -> None:
    old, new = (read_list(BELOW.revocations(valid=span(days))) for days in (2, 1))
    others = [
        read_list(ROOT.revocations(valid=span(3))),
        read_list(RENEWED.revocations(valid=span(3))),
        read_list(BELOW.revocations(valid=span(3), critical=ONE_OF_TWO)),
        read_list(BELOW.revocations(valid=span(-1))),
    ]
    root, renewed, of_point, later = others
    found = newest_lists([new, old, *others], AUTHORITIES, NOW)
    assert found == [[new, later], [root], [renewed], [of_point]], "that of the future counts later"


def test_the_number_tells_lists_of_one_second_apart() -> None:
    made = x509.CertificateRevocationListBuilder().issuer_name(ROOT.subject).last_update(NOW - DAY).next_update(NOW)
    first, second = (
        made.add_extension(x509.CRLNumber(number), critical=False).sign(ROOT.key, hashes.SHA256()) for number in (1, 2)
    )
    assert newest_lists([second, first], AUTHORITIES, NOW) == [[second]]
    assert newest_lists([first, second], AUTHORITIES, NOW) == [[second]]

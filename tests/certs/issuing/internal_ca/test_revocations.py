"""Lists of revocations."""

from datetime import timedelta

import pytest

from certs.issuing.internal_ca.profiles import IssuerKey, root_certificate
from certs.issuing.internal_ca.revocations import (
    LIST_LIFETIME,
    Revocation,
    RevocationsDamaged,
    encode,
    is_current,
    is_fresh,
    list_address,
    next_number,
    parse,
    revocation_list,
)
from certs.keys.generating import ALGORITHMS, generate
from tests.certs.authority import DAY, NOW

KEY = generate(ALGORITHMS["ec-p256"])
SIGNER = IssuerKey(root_certificate("root", KEY, NOW), KEY)
OURS = SIGNER.certificate.subject.rfc4514_string()
REVOKED = Revocation(0x1234, OURS, NOW, NOW + DAY)


def test_it_reads_what_it_writes() -> None:
    assert parse(encode([REVOKED])) == (REVOKED,)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 2}', b'{"format": 1, "revoked": [{}]}'])
def test_anything_else_is_damaged(content: bytes) -> None:
    with pytest.raises(RevocationsDamaged, match="not a record"):
        parse(content)


def test_a_list_has_what_its_signer_signed_and_is_still_valid() -> None:
    others = [Revocation(1, "CN=other", NOW, NOW + DAY), Revocation(2, OURS, NOW, NOW)]
    found = revocation_list(SIGNER, [REVOKED, *others], 7, NOW)
    assert [one.serial_number for one in found] == [0x1234]
    assert found.is_signature_valid(KEY.public_key())
    assert found.next_update_utc == NOW + LIST_LIFETIME


def test_a_list_is_fresh_for_half_of_its_life() -> None:
    found = revocation_list(SIGNER, [], 7, NOW)
    seconds = timedelta(seconds=1)
    half = LIST_LIFETIME / 2
    ages = (-seconds, 0 * seconds, half - seconds, half)
    assert [is_fresh(found, NOW + age) for age in ages] == [False, True, True, False]


def test_a_list_is_current_until_it_expires() -> None:
    found = revocation_list(SIGNER, [], 7, NOW)
    assert is_current(found, NOW + LIST_LIFETIME - timedelta(seconds=1))
    assert not is_current(found, NOW + LIST_LIFETIME)
    assert not is_current(None, NOW)


@pytest.mark.parametrize(("url", "address"), [("http://a/b", "http://a/b?2"), ("http://a/b?c", "http://a/b?c&2")])
def test_the_number_of_the_intermediate_is_the_query(url: str, address: str) -> None:
    assert list_address(url, 2) == address


def test_numbers_grow_also_if_the_clock_does_not() -> None:
    first = next_number(None, NOW)
    assert next_number(revocation_list(SIGNER, [], first, NOW), NOW) == first + 1
    assert next_number(revocation_list(SIGNER, [], first, NOW), NOW - DAY) == first + 1
    assert next_number(revocation_list(SIGNER, [], first, NOW), NOW + DAY) == first + 86_400

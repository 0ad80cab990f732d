"""Which addresses may use a route."""

from ipaddress import ip_network

import pytest

from proxy.routes.access import Access

OFFICE, PRINTER, SIX = ip_network("10.0.0.0/8"), ip_network("10.0.0.9"), ip_network("2001:db8::/32")


@pytest.mark.parametrize(
    "address", [b"10.0.0.1", b"10.255.0.1", b"::ffff:10.0.0.1", b"2001:db8::1", b"2001:db8::1%eth0"]
)
def test_address_in_an_allowed_network_is_let_through(address: bytes) -> None:
    assert Access([OFFICE, SIX], []).admits(address)


@pytest.mark.parametrize(
    "address", [b"192.0.2.1", b"11.0.0.0", b"2001:db9::1", b"::", b"::ffff:192.0.2.1", b"::10.0.0.1"]
)
def test_others_are_not(address: bytes) -> None:
    assert not Access([OFFICE, SIX], []).admits(address)


def test_denied_goes_before_allowed() -> None:
    access = Access([OFFICE], [PRINTER])
    assert access.admits(b"10.0.0.8")
    assert not access.admits(b"10.0.0.9")
    assert not access.admits(b"::ffff:10.0.0.9")


def test_without_allowed_all_others_are_let_through() -> None:
    access = Access([], [OFFICE])
    assert access.admits(b"192.0.2.1")
    assert access.admits(b"2001:db8::1")
    assert not access.admits(b"10.0.0.1")


@pytest.mark.parametrize("access", [Access([], [OFFICE]), Access([OFFICE], [])])
@pytest.mark.parametrize(
    "name", [b"unknown", b"_hidden", b"", b"10.0.0.1:80", b"010.0.0.1", b"\xe9", b"192.0.2.1, 10.0.0.1"]
)
def test_what_is_no_address_is_not_let_through(access: Access, name: bytes) -> None:
    assert not access.admits(name)


def test_verdicts_are_remembered_within_bounds() -> None:
    access = Access([OFFICE], [])
    for number in range(3_000):
        address = b"10.0.%d.%d" % divmod(number, 256)
        assert access.admits(address)
        assert access.admits(address)
    assert not access.admits(b"192.0.2.1")

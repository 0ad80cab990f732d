"""Who counts as one client."""

from ipaddress import ip_network

import pytest

from proxy.limits.networks import is_in, network_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"),
        ("2001:db8::", "2001:0db8:0000:0000::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
    ],
)
def test_these_are_one(one: str, other: str) -> None:
    assert network_of(one) == network_of(other)


def test_these_are_not() -> None:
    addresses = ["192.0.2.7", "192.0.2.8", "2001:db8:0:1::1", "2001:db8:0:2::1", "::1", "0.0.0.1"]
    assert len({network_of(address) for address in addresses}) == len(addresses)


def test_addresses_in_networks() -> None:
    networks = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
    assert is_in("192.0.2.7", networks)
    assert is_in("::ffff:192.0.2.7", networks)
    assert is_in("2001:db8::1", networks)
    assert not is_in("198.51.100.7", networks)
    assert not is_in("2001:db9::1", networks)
    assert not is_in("192.0.2.7", ())

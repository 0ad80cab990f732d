"""The client behind trusted peers: nobody but they can choose it."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.forwarding import NO_CHAIN, Chain, forwarded_chain, x_forwarded_for_chain

TRUSTED = tuple(ip_network(network) for network in ("10.0.0.0/8", "fd00::/8"))
CLIENT, FORGED = "198.51.100.7", "203.0.113.66"


def is_trusted(address: str) -> bool:
    return any(ip_address(address) in network for network in TRUSTED)


def x_forwarded_for(*values: bytes) -> Chain:
    return x_forwarded_for_chain(values, is_trusted)


def forwarded(*values: bytes) -> Chain:
    return forwarded_chain(values, is_trusted)


class TestXForwardedFor:
    """A list of addresses, which has no standard."""

    @pytest.mark.parametrize(
        ("values", "addresses"),
        [
            ([b"198.51.100.7"], [CLIENT]),
            ([b"203.0.113.66, 198.51.100.7"], [CLIENT]),
            ([b"203.0.113.66", b"198.51.100.7"], [CLIENT]),
            ([b"198.51.100.7", b"10.0.0.1"], [CLIENT, "10.0.0.1"]),
            ([b"203.0.113.66,198.51.100.7 ,\t10.0.0.2,10.0.0.1"], [CLIENT, "10.0.0.2", "10.0.0.1"]),
            ([b"10.0.0.9, 10.0.0.1"], ["10.0.0.9", "10.0.0.1"]),
            ([b"198.51.100.7:40123"], [CLIENT]),
            ([b"[2001:db8::7]:40123"], ["2001:db8::7"]),
            ([b"[2001:db8::7]"], ["2001:db8::7"]),
            ([b"2001:DB8:0::7"], ["2001:db8::7"]),
            ([b"::ffff:198.51.100.7"], [CLIENT]),
            ([b"198.51.100.7, ::ffff:10.0.0.1"], [CLIENT, "10.0.0.1"]),
            ([b"198.51.100.7, [fd00::1]:80"], [CLIENT, "fd00::1"]),
        ],
    )
    def test_client_is_the_rightmost_address_that_is_not_trusted(
        self, values: list[bytes], addresses: list[str]
    ) -> None:
        assert x_forwarded_for(*values) == Chain(tuple(addresses), b"", is_whole=True)

    def test_without_the_field_nobody_is_named(self) -> None:
        assert x_forwarded_for() is NO_CHAIN
        assert forwarded() is NO_CHAIN
        assert not NO_CHAIN.is_whole

    @pytest.mark.parametrize(
        "element",
        [
            b"",
            b"unknown",
            b"_hidden",
            b"-",
            b"1.2.3",
            b"1.2.3.4.5",
            b"1.2.3.256",
            b"1.2.3.04",
            b"1.2.3.4:",
            b"1.2.3.4:123456",
            b"1.2.3.4:http",
            b"[1.2.3.4]",
            b"[2001:db8::7",
            b"2001:db8::7]",
            b"[]",
            b"fe80::7%eth0",
            b"2001:db8:::7",
            b'"198.51.100.7"',
            b"198.51.100.7 203.0.113.66",
            b"for=198.51.100.7",
            b"chat.example.org",
            b"\xe9",
            b"1.2.3.4\x00",
        ],
    )
    def test_what_is_not_an_address_ends_the_reading(self, element: bytes) -> None:
        assert x_forwarded_for(b"203.0.113.66, " + element) == Chain((), b"", is_whole=False)
        assert x_forwarded_for(b"203.0.113.66", element, b"10.0.0.1") == Chain(("10.0.0.1",), b"", is_whole=False)


class TestForwarded:
    """RFC 7239."""

    @pytest.mark.parametrize(
        ("values", "addresses", "elements"),
        [
            ([b"for=198.51.100.7"], [CLIENT], b"for=198.51.100.7"),
            ([b"for=203.0.113.66, for=198.51.100.7"], [CLIENT], b"for=198.51.100.7"),
            ([b"for=203.0.113.66", b"for=198.51.100.7"], [CLIENT], b"for=198.51.100.7"),
            ([b"For=198.51.100.7;PROTO=http ; By=_lb"], [CLIENT], b"For=198.51.100.7;PROTO=http ; By=_lb"),
            ([b'host="a,b;c=\\"d";for=198.51.100.7'], [CLIENT], b'host="a,b;c=\\"d";for=198.51.100.7'),
            ([b'for="198.51.100.7:40123"'], [CLIENT], b'for="198.51.100.7:40123"'),
            ([b'for="198.51.100.7:_port"'], [CLIENT], b'for="198.51.100.7:_port"'),
            ([b'for="[2001:DB8::7]:80"'], ["2001:db8::7"], b'for="[2001:DB8::7]:80"'),
            ([b'for="[::ffff:198.51.100.7]"'], [CLIENT], b'for="[::ffff:198.51.100.7]"'),
            (
                [b"for=203.0.113.66", b"for=198.51.100.7;proto=https ,\tfor=10.0.0.1"],
                [CLIENT, "10.0.0.1"],
                b"for=198.51.100.7;proto=https ,\tfor=10.0.0.1",
            ),
            ([b"for=10.0.0.9,for=10.0.0.1"], ["10.0.0.9", "10.0.0.1"], b"for=10.0.0.9,for=10.0.0.1"),
            # what an untrusted client left open does not swallow what the trusted peer has written
            ([b'for="203.0.113.66, for=198.51.100.7'], [CLIENT], b"for=198.51.100.7"),
            ([b'x="', b'for="[2001:db8::7]"'], ["2001:db8::7"], b'for="[2001:db8::7]"'),
            ([b'x="\\', b'for="[2001:db8::7]"'], ["2001:db8::7"], b'for="[2001:db8::7]"'),
        ],
    )
    def test_client_is_the_rightmost_address_that_is_not_trusted(
        self, values: list[bytes], addresses: list[str], elements: bytes
    ) -> None:
        assert forwarded(*values) == Chain(tuple(addresses), elements, is_whole=True)

    @pytest.mark.parametrize(
        "element",
        [
            b"",
            b"for=unknown",
            b"for=_hidden",
            b"for=",
            b"=198.51.100.7",
            b"198.51.100.7",
            b"proto=https",
            b"for=198.51.100.7;",
            b";for=198.51.100.7",
            b"for=198.51.100.7;for=198.51.100.8",
            b"for=198.51.100.7;FOR=198.51.100.7",
            b"proto=a;for=198.51.100.7;proto=b",
            b"for=198.51.100.7:80",
            b"for=[2001:db8::7]",
            b'for="2001:db8::7"',
            b'for="198.51.100.7',
            b'for=198.51.100.7"',
            b'for="198.51.100.7\\"',
            b'for="\\198.51.100.7"',
            b'for="198.51.100.7:_"',
            b'for="1.2.3.256"',
            b'"198.51.100.7"',
            b"for 198.51.100.7",
            b"for = 198.51.100.7",
            b"for=198.51.100.7 proto=https",
            b"f\xe9r=198.51.100.7",
            b"for=\xe9",
        ],
    )
    def test_what_is_not_one_address_ends_the_reading(self, element: bytes) -> None:
        assert forwarded(element) == Chain((), b"", is_whole=False)
        broken = Chain(("10.0.0.1",), b"for=10.0.0.1", is_whole=False)
        assert forwarded(b"for=203.0.113.66", element, b"for=10.0.0.1") == broken


TEXT = st.binary(max_size=40) | st.text('",;=\\ for_1.0[]:', max_size=40).map(str.encode)
HOPS = st.lists(st.sampled_from(["10.0.0.1", "10.1.2.3", "fd00::5"]), max_size=4)
CLIENTS = st.sampled_from([CLIENT, "2001:db8::7"])


def _node(address: str) -> bytes:
    return b'for="[%b]"' % address.encode() if ":" in address else b"for=" + address.encode()


@given(st.lists(TEXT, max_size=4), CLIENTS, HOPS, st.booleans())
def test_stranger_cannot_choose_the_address(forged: list[bytes], client: str, hops: list[str], joined: bool) -> None:  # noqa: FBT001
    expected = (client, *hops)
    for chain_of, write in ((x_forwarded_for, str.encode), (forwarded, _node)):
        honest = [write(hop) for hop in expected]
        values = [b", ".join([*forged, *honest])] if joined else [*forged, *honest]
        chain = chain_of(*values)
        assert (chain.addresses, chain.is_whole) == (expected, True)
        assert chain == chain_of(*honest) or chain.elements == b", ".join(honest)


@given(st.lists(TEXT, max_size=4))
def test_address_is_always_one_and_only_the_first_is_not_trusted(values: list[bytes]) -> None:
    for chain in (x_forwarded_for(*values), forwarded(*values)):
        assert [str(ip_address(address)) for address in chain.addresses] == list(chain.addresses)
        assert all(map(is_trusted, chain.addresses[1:]))
        assert chain.is_whole or all(map(is_trusted, chain.addresses))

"""Version 1: exactly the lines of the specification, and no other."""

import pytest

from proxy.proxy_protocol.header import Endpoints, HeaderFault, ProxyHeader, ProxyHeaderError, Relayed
from proxy.proxy_protocol.version1 import read_line

LINES = {
    b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443": Endpoints("192.0.2.1", 56_324, "198.51.100.2", 443),
    b"PROXY TCP4 9.0.0.0 255.255.255.255 0 65535": Endpoints("9.0.0.0", 0, "255.255.255.255", 65_535),
    b"PROXY TCP6 2001:db8::1 ::1 1 2": Endpoints("2001:db8::1", 1, "::1", 2),
    b"PROXY TCP6 2001:0DB8:0:0:0:0:0:1 :: 1 2": Endpoints("2001:db8::1", 1, "::", 2),
    # as a balancer on a socket for both families writes an IPv4 client
    b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 1 2": Endpoints("192.0.2.1", 1, "198.51.100.2", 2),
}


@pytest.mark.parametrize("line", list(LINES))
def test_a_line_gives_both_ends(line: bytes) -> None:
    assert read_line(line) == ProxyHeader(Relayed.CLIENT, LINES[line])


@pytest.mark.parametrize(
    "line", [b"PROXY UNKNOWN", b"PROXY UNKNOWN ", b"PROXY UNKNOWN ffff:: ffff:: 65535 65535", b"PROXY UNKNOWN what?"]
)
def test_unknown_says_nothing_of_the_client_whatever_follows(line: bytes) -> None:
    assert read_line(line) == ProxyHeader(Relayed.UNKNOWN)


MALFORMED = {
    "no_family": b"PROXY ",
    "lower_case": b"PROXY tcp4 192.0.2.1 198.51.100.2 1 2",
    "other_family": b"PROXY UDP4 192.0.2.1 198.51.100.2 1 2",
    "unknown_with_more_letters": b"PROXY UNKNOWNX",
    "unknown_with_line_feed": b"PROXY UNKNOWN \nPROXY",
    "unknown_with_return": b"PROXY UNKNOWN \rPROXY",
    "unknown_with_zero": b"PROXY UNKNOWN \0",
    "two_spaces": b"PROXY TCP4  192.0.2.1 198.51.100.2 1 2",
    "space_at_the_end": b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 ",
    "tab": b"PROXY TCP4\t192.0.2.1 198.51.100.2 1 2",
    "port_missing": b"PROXY TCP4 192.0.2.1 198.51.100.2 1",
    "port_empty": b"PROXY TCP4 192.0.2.1 198.51.100.2  2",
    "port_with_zero": b"PROXY TCP4 192.0.2.1 198.51.100.2 01 2",
    "port_with_sign": b"PROXY TCP4 192.0.2.1 198.51.100.2 +1 2",
    "port_negative": b"PROXY TCP4 192.0.2.1 198.51.100.2 -1 2",
    "source_port_too_high": b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 2",
    "destination_port_too_high": b"PROXY TCP4 192.0.2.1 198.51.100.2 2 99999",
    "port_with_six_digits": b"PROXY TCP4 192.0.2.1 198.51.100.2 2 100000",
    "port_hexadecimal": b"PROXY TCP4 192.0.2.1 198.51.100.2 0x1 2",
    "port_with_underscore": b"PROXY TCP4 192.0.2.1 198.51.100.2 1_0 2",
    "port_in_other_digits": "PROXY TCP4 192.0.2.1 198.51.100.2 ² 2".encode("latin-1"),
    "octet_with_zero": b"PROXY TCP4 192.0.02.1 198.51.100.2 1 2",
    "octet_too_large": b"PROXY TCP4 192.0.2.256 198.51.100.2 1 2",
    "three_octets": b"PROXY TCP4 192.0.2 198.51.100.2 1 2",
    "five_octets": b"PROXY TCP4 192.0.2.1.1 198.51.100.2 1 2",
    "ipv6_as_ipv4": b"PROXY TCP4 2001:db8::1 ::1 1 2",
    "ipv4_as_ipv6": b"PROXY TCP6 192.0.2.1 198.51.100.2 1 2",
    "mixed": b"PROXY TCP6 2001:db8::1 198.51.100.2 1 2",
    "ipv6_in_brackets": b"PROXY TCP6 [2001:db8::1] ::1 1 2",
    "ipv6_with_zone": b"PROXY TCP6 fe80::1%eth0 ::1 1 2",
    "ipv6_with_two_gaps": b"PROXY TCP6 2001::db8::1 ::1 1 2",
    "ipv6_with_five_digits": b"PROXY TCP6 2001:0db80::1 ::1 1 2",
    "ipv6_too_long": b"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2",
    "ipv6_too_short": b"PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2",
}


@pytest.mark.parametrize("line", list(MALFORMED.values()), ids=list(MALFORMED))
def test_any_other_line_is_refused(line: bytes) -> None:
    with pytest.raises(ProxyHeaderError) as refused:
        read_line(line)
    assert refused.value.fault is HeaderFault.MALFORMED_LINE
    assert str(refused.value).isprintable()

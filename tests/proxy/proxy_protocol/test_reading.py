"""A header is read however it was cut, always in the same way, and any bytes end in a header or a `ProxyHeaderError`."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.proxy_protocol.header import HeaderFault, ProxyHeader, ProxyHeaderError
from proxy.proxy_protocol.reading import ProxyHeaderReader
from tests.proxy.proxy_protocol.headers import (
    IPV4_ENDS,
    IPV6_ENDS,
    LOCAL,
    SIGNATURE,
    TCP4,
    TCP6,
    UNSPEC,
    checksummed,
    extension,
    version2,
)

HELLO = b"\x16\x03\x01\x00\x05hello"
HEADERS = {
    "text": b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
    "text_ipv6": b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
    "text_unknown": b"PROXY UNKNOWN\r\n",
    "text_longest": b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    b" ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
    "binary": version2(TCP4, IPV4_ENDS),
    "binary_ipv6": version2(TCP6, IPV6_ENDS + extension(0x04, bytes(40))),
    "binary_local": version2(UNSPEC, b"", LOCAL),
    "binary_checksum": checksummed(TCP4, IPV4_ENDS + extension(0x02, b"chat.test")),
}

Answer = tuple[ProxyHeader | None, bytes] | tuple[str, HeaderFault, str]


def answer(pieces: list[bytes]) -> Answer:
    """What a reader makes of these pieces: a header and all that is behind it, nothing yet, or a fault."""
    reader = ProxyHeaderReader()
    for number, piece in enumerate(pieces):
        try:
            reader.receive_data(piece)
        except ProxyHeaderError as error:
            return "refused", error.fault, str(error)
        if reader.header is not None:
            return reader.header, reader.rest + b"".join(pieces[number + 1 :])
    return None, b""


def octets(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


@pytest.mark.parametrize("header", list(HEADERS.values()), ids=list(HEADERS))
def test_whole_or_octet_by_octet_it_is_the_same_and_the_rest_is_kept(header: bytes) -> None:
    whole = answer([header + HELLO])
    assert whole[1] == HELLO
    assert isinstance(whole[0], ProxyHeader)
    assert answer(octets(header + HELLO)) == whole
    assert answer([header, HELLO]) == whole


@pytest.mark.parametrize("header", list(HEADERS.values()), ids=list(HEADERS))
def test_a_part_is_no_header(header: bytes) -> None:
    for size in range(len(header)):
        assert answer([header[:size]]) == (None, b"")


def test_a_view_is_copied() -> None:
    reader, buffer = ProxyHeaderReader(), bytearray(HEADERS["text"] + HELLO)
    assert reader.is_empty
    reader.receive_data(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert not reader.is_empty
    assert reader.rest == HELLO


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (HELLO, HeaderFault.BARE_TLS),
        (b"\x16", HeaderFault.BARE_TLS),
        (b"GET / HTTP/1.1\r\n", HeaderFault.NO_HEADER),
        (b"PROXX", HeaderFault.NO_HEADER),
        (b"PROXY\t", HeaderFault.NO_HEADER),
        (b"proxy tcp4", HeaderFault.NO_HEADER),
        (b" PROXY TCP4", HeaderFault.NO_HEADER),
        (b"\r\n\r\n\r\n", HeaderFault.NO_HEADER),
        (b"\nPROXY UNKNOWN\r\n", HeaderFault.NO_HEADER),
        (SIGNATURE[:-1] + b"\r", HeaderFault.NO_HEADER),
        (b"PROXY UNKNOWN".ljust(107), HeaderFault.LINE_TOO_LONG),
        (b"PROXY UNKNOWN".ljust(106) + b"\r\n", HeaderFault.LINE_TOO_LONG),
        (b"PROXY UNKNOWN\n".ljust(107), HeaderFault.LINE_TOO_LONG),
        (b"PROXY UNKNOWN\nGET / HTTP/1.1\r\n", HeaderFault.MALFORMED_LINE),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n", HeaderFault.MALFORMED_LINE),
        (version2(TCP4, IPV4_ENDS, 0x22), HeaderFault.COMMAND),
        (version2(TCP4, IPV4_ENDS + extension(3, b"none")), HeaderFault.CHECKSUM),
    ],
)
def test_what_is_refused_is_refused_for_the_same_reason_however_it_was_cut(data: bytes, fault: HeaderFault) -> None:
    found = answer([data])
    assert found[:2] == ("refused", fault)
    assert answer(octets(data)) == found
    assert answer([data + b"\r\nmore"]) == found


PREFIXES = st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\x00", *HEADERS.values()])


@given(st.tuples(PREFIXES, st.binary(max_size=300)).map(b"".join), st.lists(st.integers(0, 300), max_size=8))
def test_any_bytes_have_one_reading(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    assert answer(pieces) == answer([data]) == answer(octets(data))


@given(st.binary(max_size=200), st.integers(0, 0xFF), st.sampled_from(list(HEADERS.values())), st.integers(0, 60))
def test_a_changed_octet_is_read_or_refused(rest: bytes, octet: int, header: bytes, place: int) -> None:
    place %= len(header)
    changed = header[:place] + bytes([octet]) + header[place + 1 :] + rest
    assert answer([changed]) == answer(octets(changed))

"""Version 2: addresses, what is skipped, and what makes a header wrong."""

import pytest

from proxy.proxy_protocol.crc32c import crc32c
from proxy.proxy_protocol.header import Endpoints, HeaderFault, ProxyHeader, ProxyHeaderError, Relayed
from proxy.proxy_protocol.version2 import FIXED_BYTES, LONGEST_HEADER, announced_bytes, read_binary
from tests.proxy.proxy_protocol.headers import (
    IPV4_ENDS,
    IPV6_ENDS,
    LOCAL,
    TCP4,
    TCP6,
    UDP4,
    UNIX,
    UNSPEC,
    checksummed,
    ends,
    extension,
    version2,
)

CLIENT = Endpoints("192.0.2.1", 56_324, "198.51.100.2", 443)
NOOP = extension(0x04, bytes(7))


def read(header: bytes) -> ProxyHeader:
    assert announced_bytes(header[:FIXED_BYTES]) == len(header)
    return read_binary(header)


@pytest.mark.parametrize(
    ("header", "endpoints"),
    [
        (version2(TCP4, IPV4_ENDS), CLIENT),
        (version2(TCP6, IPV6_ENDS), Endpoints("2001:db8::1", 56_324, "2001:db8::2", 443)),
        (version2(TCP6, ends("::ffff:192.0.2.1", "::ffff:198.51.100.2")), CLIENT),
        (version2(TCP4, IPV4_ENDS + NOOP), CLIENT),
        (version2(TCP4, IPV4_ENDS + extension(0xE0, b"own") + extension(0x20, b"\xff" * 9)), CLIENT),
        (checksummed(TCP4, IPV4_ENDS), CLIENT),
        (checksummed(TCP4, IPV4_ENDS + NOOP), CLIENT),
        (version2(TCP4, IPV4_ENDS + extension(0x04, bytes(LONGEST_HEADER - 31))), CLIENT),
    ],
    ids=["ipv4", "ipv6", "mapped", "noop", "others", "checksum", "checksum_behind_noop", "longest"],
)
def test_a_header_gives_both_ends(header: bytes, endpoints: Endpoints) -> None:
    assert read(header) == ProxyHeader(Relayed.CLIENT, endpoints)


@pytest.mark.parametrize("block", [b"", b"x", IPV4_ENDS, b"\xff" * 300, extension(0x03, b"none")])
@pytest.mark.parametrize("family", [UNSPEC, TCP4, TCP6, UNIX])
def test_the_block_of_local_is_skipped_as_a_whole(block: bytes, family: int) -> None:
    assert read(version2(family, block, LOCAL)) == ProxyHeader(Relayed.LOCAL)


@pytest.mark.parametrize(
    "header",
    [
        version2(UNSPEC, b""),
        version2(UNSPEC, b"anything"),
        version2(0x01, b"anything"),
        version2(0x10, IPV4_ENDS),
        version2(UDP4, IPV4_ENDS),
        version2(0x22, IPV6_ENDS),
        version2(UNIX, bytes(216)),
        version2(0x32, b"/run/a.sock".ljust(216, b"\0") + NOOP),
    ],
)
def test_what_no_client_of_tcp_has_counts_as_unknown(header: bytes) -> None:
    assert read(header) == ProxyHeader(Relayed.UNKNOWN)


@pytest.mark.parametrize(
    ("header", "relayed"),
    [
        (version2(TCP4, IPV4_ENDS + extension(0x05, b"c" * 128)), Relayed.CLIENT),
        (version2(UNIX, bytes(216) + extension(0x05, b"c" * 128)), Relayed.UNKNOWN),
    ],
)
def test_the_unique_id_is_kept(header: bytes, relayed: Relayed) -> None:
    found = read(header)
    assert (found.relayed, found.unique_id) == (relayed, b"c" * 128)


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        (version2(TCP4, IPV4_ENDS, 0x11), HeaderFault.VERSION),
        (version2(TCP4, IPV4_ENDS, 0x31), HeaderFault.VERSION),
        (version2(TCP4, IPV4_ENDS, 0x22), HeaderFault.COMMAND),
        (version2(TCP4, IPV4_ENDS, 0x2F), HeaderFault.COMMAND),
        (version2(0x41, IPV4_ENDS), HeaderFault.FAMILY),
        (version2(0x13, IPV4_ENDS), HeaderFault.FAMILY),
        (version2(0x41, b"", LOCAL), HeaderFault.FAMILY),
        (version2(TCP4, IPV4_ENDS[:-1]), HeaderFault.TOO_SHORT),
        (version2(TCP4, b""), HeaderFault.TOO_SHORT),
        (version2(TCP6, IPV4_ENDS), HeaderFault.TOO_SHORT),
        (version2(UNIX, bytes(215)), HeaderFault.TOO_SHORT),
        (version2(TCP4, IPV4_ENDS, length=LONGEST_HEADER - FIXED_BYTES + 1), HeaderFault.TOO_LONG),
        (version2(TCP4, IPV4_ENDS, length=0xFFFF), HeaderFault.TOO_LONG),
        (version2(UNSPEC, b"", LOCAL, length=0xFFFF), HeaderFault.TOO_LONG),
    ],
)
def test_a_wrong_beginning_is_refused(header: bytes, fault: HeaderFault) -> None:
    with pytest.raises(ProxyHeaderError) as refused:
        announced_bytes(header[:FIXED_BYTES])
    assert refused.value.fault is fault


GOOD = checksummed(TCP4, IPV4_ENDS)


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        (version2(TCP4, IPV4_ENDS + b"\x04"), HeaderFault.TLV),
        (version2(TCP4, IPV4_ENDS + b"\x04\x00"), HeaderFault.TLV),
        (version2(TCP4, IPV4_ENDS + b"\x04\x00\x02x"), HeaderFault.TLV),
        (version2(UNIX, bytes(216) + b"\x04\x00\x02x"), HeaderFault.TLV),
        (version2(TCP4, IPV4_ENDS + extension(0x03, b"")), HeaderFault.TLV),
        (version2(TCP4, IPV4_ENDS + extension(0x03, bytes(8))), HeaderFault.TLV),
        (version2(TCP4, IPV4_ENDS + extension(0x05, b"c" * 129)), HeaderFault.TLV),
        (version2(TCP4, IPV4_ENDS + 2 * extension(0x05, b"c")), HeaderFault.TLV),
        (version2(TCP4, IPV4_ENDS + extension(0x03, bytes(4))), HeaderFault.CHECKSUM),
        (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), HeaderFault.CHECKSUM),
        (GOOD[:19] + bytes([GOOD[19] ^ 1]) + GOOD[20:], HeaderFault.CHECKSUM),
    ],
)
def test_a_wrong_block_is_refused(header: bytes, fault: HeaderFault) -> None:
    with pytest.raises(ProxyHeaderError) as refused:
        read(header)
    assert refused.value.fault is fault


def test_a_second_checksum_is_refused_even_if_the_first_is_right() -> None:
    block = IPV4_ENDS + extension(0x03, bytes(4)) + extension(0x03, bytes(4))
    place = FIXED_BYTES + len(IPV4_ENDS) + 3
    header = version2(TCP4, block)
    right = header[:place] + crc32c(header).to_bytes(4) + header[place + 4 :]
    with pytest.raises(ProxyHeaderError) as refused:
        read(right)
    assert refused.value.fault is HeaderFault.TLV

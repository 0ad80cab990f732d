"""What we write is what we read, and says what is known of a connection."""

import pytest

from config.tables.upstream import ProxyHeaderVersion
from proxy.proxy_protocol.header import Endpoints, Relayed
from proxy.proxy_protocol.reading import ProxyHeaderReader
from proxy.proxy_protocol.tlvs import split
from proxy.proxy_protocol.writing import DescribedConnection, DescribedTls, own_header, proxy_header
from tests.proxy.proxy_protocol.headers import IPV4_ENDS, LOCAL, SIGNATURE, UNSPEC, checksummed

TEXT, BINARY = ProxyHeaderVersion
IPV4 = Endpoints("192.0.2.1", 56_324, "198.51.100.2", 443)
IPV6 = Endpoints("2001:db8::1", 1, "2001:db8::2", 65_535)
MIXED = Endpoints("2001:db8::1", 1, "198.51.100.2", 443)
OTHERWISE_MIXED = Endpoints("192.0.2.1", 1, "2001:db8::2", 443)
TLS = DescribedTls("TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519MLKEM768")


@pytest.mark.parametrize("endpoints", [IPV4, IPV6, MIXED, OTHERWISE_MIXED])
@pytest.mark.parametrize("version", [TEXT, BINARY])
def test_both_ends_arrive(version: ProxyHeaderVersion, endpoints: Endpoints) -> None:
    reader = ProxyHeaderReader()
    reader.receive_data(proxy_header(version, DescribedConnection(endpoints, "chat.test", "h2", TLS, b"id")) + b"rest")
    assert reader.header is not None
    assert (reader.header.relayed, reader.header.endpoints) == (Relayed.CLIENT, endpoints)
    assert reader.header.unique_id == (b"" if version is TEXT else b"id")
    assert reader.rest == b"rest"


def test_the_text_is_that_of_the_specification() -> None:
    assert proxy_header(TEXT, DescribedConnection(IPV4)) == b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
    assert proxy_header(TEXT, DescribedConnection(IPV6)) == b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"
    assert proxy_header(TEXT, DescribedConnection(MIXED)).split()[3] == b"::ffff:198.51.100.2"
    assert proxy_header(TEXT, DescribedConnection(None)) == b"PROXY UNKNOWN\r\n"


def test_the_binary_form_has_a_right_checksum() -> None:
    assert proxy_header(BINARY, DescribedConnection(IPV4)) == checksummed(0x11, IPV4_ENDS)


def extensions(told: DescribedConnection) -> dict[int, bytes]:
    header = proxy_header(BINARY, told)
    return {kind: value for kind, _, value in split(header, 28)}


def test_without_addresses_the_rest_is_still_said() -> None:
    header = proxy_header(BINARY, DescribedConnection(None, "chat.test"))
    assert header[12:14] == bytes([0x21, UNSPEC])
    assert {kind: value for kind, _, value in split(header, 16)}[2] == b"chat.test"


def test_what_is_known_of_tls_is_said() -> None:
    told = extensions(DescribedConnection(IPV4, "chat.test", "h2", TLS))
    assert (told[0x01], told[0x02]) == (b"h2", b"chat.test")
    ssl = told[0x20]
    assert ssl[:5] == b"\x01\0\0\0\1"  # by TLS, and no certificate was verified
    assert [(kind, value) for kind, _, value in split(ssl, 5)] == [
        (0x21, b"TLSv1.3"),
        (0x23, b"TLS_AES_256_GCM_SHA384"),
        (0x26, b"X25519MLKEM768"),
    ]


def test_what_is_not_known_is_not_said() -> None:
    assert set(extensions(DescribedConnection(IPV4))) == {0x03}
    ssl = extensions(DescribedConnection(IPV4, tls=DescribedTls("TLSv1.3", "", "")))[0x20]
    assert [kind for kind, _, _ in split(ssl, 5)] == [0x21]


@pytest.mark.parametrize(("is_resumed", "flags"), [(False, 0x07), (True, 0x05)])
def test_a_client_certificate_is_named(*, is_resumed: bool, flags: int) -> None:
    tls = DescribedTls("TLSv1.3", "", "", is_resumed=is_resumed, has_certificate=True, common_name="bot-ü" * 20)
    ssl = extensions(DescribedConnection(IPV4, tls=tls))[0x20]
    assert ssl[:5] == bytes([flags, 0, 0, 0, 0])
    assert {kind: value for kind, _, value in split(ssl, 5)}[0x22] == ("bot-ü" * 20)[:64].encode()


def test_a_connection_of_our_own_says_so() -> None:
    header = own_header(BINARY, IPV4)
    assert header[:14] == SIGNATURE + bytes([LOCAL, UNSPEC])
    reader = ProxyHeaderReader()
    reader.receive_data(header)
    assert reader.header is not None
    assert reader.header.relayed is Relayed.LOCAL
    assert own_header(TEXT, IPV4) == proxy_header(TEXT, DescribedConnection(IPV4))
    assert own_header(TEXT, None) == b"PROXY UNKNOWN\r\n"

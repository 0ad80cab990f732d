"""The PROXY header in front of TLS: what a broken balancer, or an untrusted client, sends in its place.

A connection without a valid header gets no byte and reaches no server. A valid header names the client once, and nothing that a
client sends behind it is read as another one.
"""

import contextlib
import ssl

import pytest

from tests.hostile.client import Cut, connect, trusting_context
from tests.hostile.scene import CUTS, SMUGGLED, Scene, cases, request
from tests.hostile.segments import Segments
from tests.proxy.proxy_protocol.headers import (
    IPV4_ENDS,
    IPV6_ENDS,
    LOCAL,
    SIGNATURE,
    TCP4,
    TCP6,
    UNIX,
    UNSPEC,
    checksummed,
    extension,
    version2,
)
from tests.proxy.tls.hellos import Hello, record, server_name

LISTENER = "behind"
TRUSTED, STRANGER = "127.0.0.1", "127.0.0.2"
HELLO = record(Hello().with_extensions(server_name(b"chat.test")).message)
TEXT = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
GOOD = checksummed(TCP4, IPV4_ENDS)


def pieces(data: bytes, cut: Cut) -> list[bytes]:
    return [data] if cut is Cut.WHOLE else [data[place : place + 1] for place in range(len(data))]


def answer_to(scene: Scene, data: bytes, cut: Cut = Cut.WHOLE, source: str = TRUSTED) -> bytes:
    """What the proxy says to these bytes, up to its end of the connection."""
    received = b""
    with (
        contextlib.suppress(BrokenPipeError, ConnectionResetError),
        connect(scene.proxy.listeners[LISTENER].port, source=source) as sock,
    ):
        with Segments(sock) as reader:
            reader.send(pieces(data, cut))
        while more := sock.recv(65_536):
            received += more
    scene.settle()
    assert scene.begun == []
    return received


WRONG = {
    # no header
    "tls_at_once": HELLO,
    "http": request(),
    "smtp": b"EHLO chat.test\r\n",
    "zeros": bytes(200),
    "garbage": bytes(range(7, 250)),
    "line_feed_first": b"\n" + TEXT,
    "blank_first": b" " + TEXT,
    "lower_case": TEXT.lower(),
    "signature_cut": SIGNATURE[:-1] + b"\r" + HELLO,
    # version 1
    "endless_line": b"PROXY TCP4 " + b"1" * 300,
    "line_of_108": b"PROXY UNKNOWN".ljust(106) + b"\r\n" + HELLO,
    "bare_line_feed": TEXT.replace(b"\r\n", b"\n") + HELLO + b"\r\n",
    "bare_return": TEXT.replace(b"\r\n", b"\r") + HELLO + b"\r\n",
    "return_return_line_feed": TEXT.replace(b"\r\n", b"\r\r\n") + HELLO,
    "two_lines_in_unknown": b"PROXY UNKNOWN\nPROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n",
    "leading_zero_in_address": TEXT.replace(b"192.0.2.1", b"192.0.02.1") + HELLO,
    "octal_address": TEXT.replace(b"192.0.2.1", b"0300.0.2.1") + HELLO,
    "short_address": TEXT.replace(b"192.0.2.1", b"192.2.1") + HELLO,
    "sign_before_port": TEXT.replace(b"443", b"+443") + HELLO,
    "port_of_65536": TEXT.replace(b"443", b"65536") + HELLO,
    "port_of_20_digits": TEXT.replace(b"443", b"18446744073709551616") + HELLO,
    "ipv6_in_tcp4": TEXT.replace(b"192.0.2.1", b"2001:db8::1") + HELLO,
    "ipv4_in_tcp6": TEXT.replace(b"TCP4", b"TCP6") + HELLO,
    "ipv6_with_zone": b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n" + HELLO,
    "ipv6_with_two_gaps": b"PROXY TCP6 1::2::3 ::1 1 2\r\n" + HELLO,
    "nul_in_line": TEXT.replace(b" 443", b"\x00443") + HELLO,
    "field_too_many": TEXT.replace(b" 443", b" 443 1") + HELLO,
    # version 2
    "version_1_in_binary": version2(TCP4, IPV4_ENDS, 0x11) + HELLO,
    "version_3": version2(TCP4, IPV4_ENDS, 0x31) + HELLO,
    "unknown_command": version2(TCP4, IPV4_ENDS, 0x22) + HELLO,
    "unknown_family": version2(0x41, IPV4_ENDS) + HELLO,
    "unknown_transport": version2(0x13, IPV4_ENDS) + HELLO,
    "no_room_for_addresses": version2(TCP4, IPV4_ENDS[:11]) + HELLO,
    "ipv4_block_for_ipv6": version2(TCP6, IPV4_ENDS) + HELLO,
    "unix_block_cut": version2(UNIX, bytes(200)) + HELLO,
    "longest_length": version2(TCP4, IPV4_ENDS, length=0xFFFF) + bytes(100),
    "long_local": version2(UNSPEC, b"", LOCAL, length=0xFFFF) + bytes(100),
    "length_one_too_long": version2(TCP4, IPV4_ENDS, length=13) + HELLO,
    "tlv_without_length": version2(TCP4, IPV4_ENDS + b"\x04") + HELLO,
    "tlv_overrun": version2(TCP4, IPV4_ENDS + b"\x04\xff\xff") + HELLO,
    "tlv_overrun_by_one": version2(TCP4, IPV4_ENDS + b"\x04\x00\x03ab") + HELLO,
    "bad_checksum": GOOD[:-1] + bytes([GOOD[-1] ^ 1]) + HELLO,
    "changed_address": GOOD[:16] + b"\xcb" + GOOD[17:] + HELLO,
    "short_checksum": version2(TCP4, IPV4_ENDS + extension(3, b"ab")) + HELLO,
    "two_ids": version2(TCP4, IPV4_ENDS + 2 * extension(5, b"id")) + HELLO,
}


@CUTS
@cases(WRONG)
def test_a_wrong_header_gets_no_byte(scene: Scene, case: bytes, cut: Cut) -> None:
    before = scene.failures()["proxy_header"]
    assert answer_to(scene, case, cut) == b""
    assert scene.failures()["proxy_header"] == before + 1


@pytest.mark.parametrize("data", [b"", TEXT, TEXT + HELLO, GOOD, HELLO, b"garbage"])
def test_a_stranger_is_closed_whatever_it_sends(scene: Scene, data: bytes) -> None:
    before = scene.failures()
    assert answer_to(scene, data, source=STRANGER) == b""
    after = scene.failures()
    assert after["proxy_header_sender"] == before["proxy_header_sender"] + 1
    assert after["proxy_header"] == before["proxy_header"]


BEHIND = {
    "the_same_header": TEXT + TEXT,
    "another_header": TEXT + b"PROXY TCP4 203.0.113.9 198.51.100.2 1 2\r\n" + HELLO,
    "binary_behind_text": TEXT + GOOD + HELLO,
    "text_behind_binary": GOOD + TEXT + HELLO,
    "text_behind_local": version2(UNSPEC, b"", LOCAL) + TEXT + HELLO,
    "length_one_too_short": version2(TCP4, IPV4_ENDS + b"\x04", length=12) + HELLO,
    "http": TEXT + request(),
}


@CUTS
@cases(BEHIND)
def test_what_is_behind_a_header_is_tls_or_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    before = scene.failures()
    answer = answer_to(scene, case, cut)
    assert answer[:1] == b"\x15"  # an alert
    after = scene.failures()
    assert after["not_tls"] == before["not_tls"] + 1
    assert after["proxy_header"] == before["proxy_header"]


HEADERS = {
    "text": (TEXT, "192.0.2.1"),
    "text_ipv6": (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "2001:db8::1"),
    "text_unknown": (b"PROXY UNKNOWN anything at all\r\n", TRUSTED),
    "binary": (version2(TCP4, IPV4_ENDS), "192.0.2.1"),
    "binary_ipv6": (version2(TCP6, IPV6_ENDS), "2001:db8::1"),
    "binary_checksum": (GOOD, "192.0.2.1"),
    "binary_other_tlvs": (
        version2(TCP4, IPV4_ENDS + extension(0x20, b"\xff" * 40) + extension(0xE0, b"x")),
        "192.0.2.1",
    ),
    "binary_longest": (version2(TCP4, IPV4_ENDS + extension(4, bytes(16_384 - 16 - 12 - 3))), "192.0.2.1"),
    "binary_local_with_addresses": (version2(TCP4, IPV4_ENDS, LOCAL), TRUSTED),
    "binary_local_with_garbage": (version2(0x00, b"\xff" * 50, LOCAL), TRUSTED),
    "binary_unix": (version2(UNIX, b"/run/secret".ljust(216, b"\0")), TRUSTED),
}


def clients(scene: Scene, header: bytes, cut: Cut, *requests: bytes) -> list[str]:
    """Send requests behind a header; the client that the server is told of for each request that reached it."""
    address = scene.proxy.listeners[LISTENER]
    with connect(address.port, source=TRUSTED) as sock:
        if cut is Cut.WHOLE:
            sock.sendall(header)
        else:
            with Segments(sock) as reader:
                reader.send(pieces(header, cut))
        with trusting_context(address.trusted).wrap_socket(sock, server_hostname="trusting.test") as tls:
            tls.sendall(b"".join(requests))
            with contextlib.suppress(ConnectionResetError, ssl.SSLError):
                while tls.recv(65_536):
                    pass
    scene.settle()
    return [value for one in scene.recorder.complete for value in one.message.values("X-Forwarded-For")]


@CUTS
@pytest.mark.parametrize(("header", "client"), list(HEADERS.values()), ids=list(HEADERS))
def test_the_header_names_the_client(scene: Scene, header: bytes, client: str, cut: Cut) -> None:
    last = request("GET", "/", "Connection: close", host="trusting.test")
    assert clients(scene, header, cut, last) == [client]


UNNAMED = {name: HEADERS[name][0] for name in ("text_unknown", "binary_unix")}


@cases(UNNAMED)
def test_an_unknown_client_does_not_name_itself(scene: Scene, case: bytes) -> None:
    """Its connection counts for the balancer, and the balancer did not write these fields."""
    forged = ("X-Forwarded-For: 192.0.2.9", "X-Forwarded-Proto: http", "Client-Cert: :AAAA:")
    asked = request("GET", "/", *forged, host="trusting.test")
    last = request("GET", "/", "Connection: close", host="trusting.test")
    assert clients(scene, case, Cut.WHOLE, asked, last) == [TRUSTED, TRUSTED]
    message = scene.recorder.complete[0].message
    assert (message.values("X-Forwarded-Proto"), message.values("Client-Cert")) == (["https"], [])


def test_a_header_within_a_request_is_never_one(scene: Scene) -> None:
    forged = b"PROXY TCP4 203.0.113.9 198.51.100.2 1 2\r\n"
    body = request("POST", "/", f"Content-Length: {len(forged)}", host="trusting.test", body=forged)
    last = request("GET", "/", "Connection: close", "X-Forwarded-For: 203.0.113.9", host="trusting.test")
    assert clients(scene, TEXT, Cut.WHOLE, body, last) == ["192.0.2.1", "192.0.2.1"]


@pytest.mark.parametrize("forged", [b"PROXY TCP4 203.0.113.9 198.51.100.2 1 2\r\n", GOOD])
def test_a_header_in_place_of_a_request_ends_the_connection(scene: Scene, forged: bytes) -> None:
    assert clients(scene, TEXT, Cut.WHOLE, request(host="trusting.test"), forged + SMUGGLED) == ["192.0.2.1"]


@pytest.mark.parametrize("data", [b"", b"P", TEXT[:-1], SIGNATURE, GOOD[:-1], TEXT, TEXT + HELLO[:-1]])
def test_a_slow_header_has_the_time_of_the_handshake(hurried: Scene, data: bytes) -> None:
    before = hurried.failures()["timeout"]
    assert answer_to(hurried, data) == b""
    assert hurried.failures()["timeout"] == before + 1


@pytest.mark.parametrize("data", [b"P", TEXT[:-1], SIGNATURE, GOOD[:-1]])
def test_a_part_of_a_header_is_refused_when_the_connection_ends(scene: Scene, data: bytes) -> None:
    before = scene.failures()["proxy_header"]
    with connect(scene.proxy.listeners[LISTENER].port) as sock:
        sock.sendall(data)
        sock.shutdown(1)
        assert sock.recv(1) == b""
    scene.settle()
    assert scene.failures()["proxy_header"] == before + 1


@pytest.mark.parametrize("data", [b"", b"PROXY UNKNOWN\r\n", version2(UNSPEC, b"", LOCAL)])
def test_a_check_of_the_balancer_is_no_failure(scene: Scene, data: bytes) -> None:
    before = scene.failures()
    for _ in range(20):
        with connect(scene.proxy.listeners[LISTENER].port) as sock:
            sock.sendall(data)
            sock.shutdown(1)
            assert sock.recv(1) == b""
    scene.settle()
    assert scene.failures() == before

"""The question to an authorization server."""

from ipaddress import IPv4Address

from proxy.auth.subrequest import subrequest
from proxy.http.forwarded_head import ForwardedPeer
from proxy.http.forwarding import NO_CHAIN
from proxy.http.framing import request_framing
from proxy.http.head import HeadLimits, parse_request_head

LIMITS = HeadLimits(1_000, 50, 1_000)


def asked(*lines: bytes, start: bytes = b"GET /x?y=1 HTTP/1.1", is_trusted: bool = False) -> list[bytes]:
    head = parse_request_head(b"\r\n".join([start, b"Host: chat.test", *lines, b"", b""]), LIMITS)
    peer = ForwardedPeer.of(IPv4Address("192.0.2.7"), "X25519MLKEM768")
    text = subrequest(head, request_framing(head), peer, NO_CHAIN if is_trusted else None, b"/verify", b"f00-1")
    parse_request_head(text, LIMITS)  # it is healthy-formed
    return text[:-4].split(b"\r\n")


def test_it_is_a_get_with_what_the_client_wants_and_who_it_is() -> None:
    lines = asked(b"Cookie: a=b", b"Authorization: Bearer t", b"Accept: text/html")
    assert lines == [
        b"GET /verify HTTP/1.1",
        b"Host: chat.test",
        b"Cookie: a=b",
        b"Authorization: Bearer t",
        b"Accept: text/html",
        b"X-Forwarded-Method: GET",
        b"X-Forwarded-Uri: /x?y=1",
        b"X-TLS-Group: X25519MLKEM768",
        b"X-Forwarded-For: 192.0.2.7",
        b"X-Forwarded-Proto: https",
        b'Forwarded: for=192.0.2.7;proto=https;host="chat.test"',
        b"X-Forwarded-Host: chat.test",
        b"Via: 1.1 plexigate",
        b"X-Request-Id: f00-1",
    ]


def test_neither_a_body_nor_an_upgrade_is_announced() -> None:
    lines = asked(b"Content-Length: 7", b"Content-Type: text/plain", b"Expect: 100-continue", start=b"POST / HTTP/1.1")
    assert b"X-Forwarded-Method: POST" in lines
    assert not [line for line in lines if line.lower().startswith((b"content-", b"expect"))]
    upgrade = asked(
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    assert not [line for line in upgrade if line.lower().startswith((b"connection", b"upgrade", b"sec-"))]


def test_conditions_are_about_the_resource_and_not_about_the_verdict() -> None:
    lines = asked(b"If-None-Match: *", b"If-Modified-Since: x", b"Range: bytes=0-1", b"If-Range: x")
    assert not [line for line in lines if line.startswith((b"If-", b"Range"))]


def test_a_client_cannot_say_what_it_wants_by_fields_not_even_behind_a_trusted_peer() -> None:
    for is_trusted in (False, True):
        lines = asked(
            b"X-Forwarded-Uri: /public",
            b"X-Forwarded-Method: HEAD",
            b"X-Forwarded-Port: 443",
            b"X_Forwarded_Uri: /public",
            b"X-Forwarded-Host: public.test",
            b"X-Original-URL: https://chat.test/public",
            b"X-Original-Method: HEAD",
            b"X-Rewrite-URL: /public",
            is_trusted=is_trusted,
        )
        assert [line for line in lines if b"public" in line or b"HEAD" in line] == []
        assert (b"X-Forwarded-Port: 443" in lines) is is_trusted

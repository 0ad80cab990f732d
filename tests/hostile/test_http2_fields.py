"""Requests of HTTP/2 that must not become requests of HTTP/1.1 (RFC 9113 sections 8.2, 8.3 and 10.3).

A length in front of each field lets HTTP/2 carry octets that end a line, a head or a request once they are written as HTTP/1.1
(CVE-2021-33193, CVE-2021-39240, CVE-2025-57804, CVE-2026-42926). The recorder reads strictly: what got through would be seen.
"""

from tests.hostile import http2_frames as h2
from tests.hostile.scene import SMUGGLED, Scene, cases
from tests.hostile.strict import Message

PSEUDO = h2.fields(b"/x")
METHOD, SCHEME, AUTHORITY, PATH = PSEUDO
X = (b"x", b"y")


def replaced(name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a request with another value of a pseudo-field."""
    return [(one, value if one == name else old) for one, old in PSEUDO]


BREAKS = {
    "crlf": b"a\r\nTransfer-Encoding: chunked",
    "cr": b"a\rb",
    "lf": b"a\nb",
    "nul": b"a\0b",
    "crlf_first": b"\r\nHost: evil.test",
    "crlf_last": b"a\r\n",
    "head_end": b"a\r\n\r\n" + SMUGGLED,
    "vertical_tab": b"a\x0bb",
    "delete": b"a\x7fb",
    "escape": b"a\x1bb",
}

MALFORMED = {
    **{f"value_{name}": [*PSEUDO, (b"x", value)] for name, value in BREAKS.items()},
    **{f"name_{name}": [*PSEUDO, (value, b"y")] for name, value in BREAKS.items()},
    **{f"method_{name}": replaced(b":method", value) for name, value in BREAKS.items()},
    **{f"path_{name}": replaced(b":path", b"/" + value) for name, value in BREAKS.items()},
    **{f"authority_{name}": replaced(b":authority", b"chat.test" + value) for name, value in BREAKS.items()},
    **{f"scheme_{name}": replaced(b":scheme", value) for name, value in BREAKS.items()},
    **{f"cookie_{name}": [*PSEUDO, (b"cookie", value)] for name, value in BREAKS.items()},
    # 8.2.1
    "upper_case": [*PSEUDO, (b"X-Y", b"z")],
    "upper_case_te": [*PSEUDO, (b"Transfer-Encoding", b"chunked")],
    "empty_name": [*PSEUDO, (b"", b"y")],
    "name_with_colon": [*PSEUDO, (b"x:", b"y")],
    "name_with_space": [*PSEUDO, (b"x y", b"z")],
    "name_with_space_behind": [*PSEUDO, (b"transfer-encoding ", b"chunked")],
    "name_with_tab": [*PSEUDO, (b"\tx", b"y")],
    "name_of_latin": [*PSEUDO, (b"\xe4", b"y")],
    "name_with_parentheses": [*PSEUDO, (b"x(y)", b"z")],
    "name_with_a_line": [*PSEUDO, (b"x: y\r\nz", b"w")],
    "space_before_a_value": [*PSEUDO, (b"x", b" y")],
    "space_behind_a_value": [*PSEUDO, (b"x", b"y ")],
    "tab_before_a_value": [*PSEUDO, (b"x", b"\ty")],
    # 8.2.2
    "connection": [*PSEUDO, (b"connection", b"close")],
    "connection_names_ours": [*PSEUDO, (b"connection", b"x-forwarded-for")],
    "keep_alive": [*PSEUDO, (b"keep-alive", b"timeout=5")],
    "proxy_connection": [*PSEUDO, (b"proxy-connection", b"keep-alive")],
    "transfer_encoding": [*PSEUDO, (b"transfer-encoding", b"chunked")],
    "transfer_encoding_identity": [*PSEUDO, (b"transfer-encoding", b"identity")],
    "transfer_encoding_empty": [*PSEUDO, (b"transfer-encoding", b"")],
    "upgrade": [*PSEUDO, (b"upgrade", b"websocket")],
    "upgrade_h2c": [*PSEUDO, (b"upgrade", b"h2c"), (b"http2-settings", b"AAMAAABk")],
    "http2_settings": [*PSEUDO, (b"http2-settings", b"AAMAAABk")],
    "te_gzip": [*PSEUDO, (b"te", b"gzip")],
    "te_trailers_and_more": [*PSEUDO, (b"te", b"trailers, chunked")],
    "te_empty": [*PSEUDO, (b"te", b"")],
    # 8.3
    "no_method": [SCHEME, AUTHORITY, PATH],
    "no_scheme": [METHOD, AUTHORITY, PATH],
    "no_path": [METHOD, SCHEME, AUTHORITY],
    "nothing": [],
    "no_pseudo_fields": [X],
    "two_methods": [METHOD, *PSEUDO],
    "two_paths": [*PSEUDO, PATH],
    "two_schemes": [*PSEUDO, SCHEME],
    "two_authorities": [*PSEUDO, (b":authority", b"other.test")],
    "status": [*PSEUDO, (b":status", b"200")],
    "unknown": [*PSEUDO, (b":version", b"HTTP/1.1")],
    "empty_pseudo_name": [*PSEUDO, (b":", b"x")],
    "late_path": [METHOD, SCHEME, AUTHORITY, X, PATH],
    "late_second_path": [*PSEUDO, X, (b":path", b"/smuggled")],
    "late_unknown": [*PSEUDO, X, (b":x", b"y")],
    "upper_case_pseudo": [*PSEUDO, (b":Path", b"/smuggled")],
    "scheme_with_a_request": replaced(b":scheme", b"https://chat.test/smuggled HTTP/1.1"),
    "scheme_empty": replaced(b":scheme", b""),
    "scheme_of_digits": replaced(b":scheme", b"443"),
    "path_empty": replaced(b":path", b""),
    "path_without_slash": replaced(b":path", b"x"),
    "path_absolute": replaced(b":path", b"https://chat.test/smuggled"),
    "path_of_another_host": replaced(b":path", b"http://evil.test/"),
    "path_of_a_query": replaced(b":path", b"?x"),
    "asterisk_without_options": replaced(b":path", b"*"),
    "path_authority": replaced(b":path", b"chat.test:443"),
    "length_without_body": [*PSEUDO, (b"content-length", b"5")],
    # 8.5
    "protocol_without_connect": [(b":protocol", b"websocket"), *PSEUDO],
    "connect_with_path": replaced(b":method", b"CONNECT"),
    "connect_without_authority": [(b":method", b"CONNECT")],
}
"""Each is an error of its stream: its sender does not speak HTTP/2 (8.1.1)."""


def test_malformed_requests_reset_their_streams_and_reach_no_server(scene: Scene) -> None:
    """Each beside an honest one, on a few connections: a hundred handshakes would test nothing more."""
    cases_of = list(MALFORMED.items())
    for begin in range(0, len(cases_of), 60):
        with scene.connect_http2() as client:
            client.open()
            for number, (name, fields) in enumerate(cases_of[begin : begin + 60]):
                stream = 4 * number + 1
                client.send(h2.frame(h2.HEADERS, h2.block(fields), h2.WHOLE, stream))
                answer = client.answer(stream)
                assert (name, answer.reset, answer.heads) == (name, h2.PROTOCOL_ERROR, [])
                client.send(h2.get(stream + 2, b"/honest"))
                assert client.answer(stream + 2).status == 200
    scene.settle()
    assert scene.targets == ["/honest"] * len(cases_of)


REFUSED = {
    "no_authority": ([METHOD, SCHEME, PATH], 400),
    "host_alone": ([METHOD, SCHEME, PATH, (b"host", b"chat.test")], 400),
    "authority_empty": (replaced(b":authority", b""), 400),
    "authority_with_userinfo": (replaced(b":authority", b"user@chat.test"), 400),
    "authority_with_password": (replaced(b":authority", b"chat.test:x@evil.test"), 400),
    "authority_with_path": (replaced(b":authority", b"chat.test/smuggled"), 400),
    "authority_with_space": (replaced(b":authority", b"chat.test evil.test"), 400),
    "authority_with_fragment": (replaced(b":authority", b"chat.test#x"), 400),
    "authority_list": (replaced(b":authority", b"chat.test,evil.test"), 400),
    "authority_with_port_junk": (replaced(b":authority", b"chat.test:x"), 400),
    "authority_is_foreign": (replaced(b":authority", b"other.test"), 421),
    "authority_is_unknown": (replaced(b":authority", b"evil.test"), 421),
    "host_against_authority": ([*PSEUDO, (b"host", b"a.chat.test")], 400),
    "host_is_foreign": ([*PSEUDO, (b"host", b"other.test")], 400),
    "host_with_userinfo": ([*PSEUDO, (b"host", b"x@chat.test")], 400),
    "two_hosts": ([*PSEUDO, (b"host", b"chat.test"), (b"host", b"chat.test")], 400),
    "fragment": (replaced(b":path", b"/x#y"), 400),
    "dot_segments": (replaced(b":path", b"/x/../vault"), 400),
    "dot_segments_encoded": (replaced(b":path", b"/x/%2e%2e/vault"), 400),
    "backslash": (replaced(b":path", b"/x\\..\\vault"), 400),
    "space_in_the_path": (replaced(b":path", b"/x HTTP/1.1"), 400),
    "latin_in_the_path": (replaced(b":path", b"/\xe4"), 400),
    "half_an_escape": (replaced(b":path", b"/%2"), 400),
    "nul_escaped": (replaced(b":path", b"/%00"), 400),
    "path_too_long": (replaced(b":path", b"/" + b"x" * 8_192), 414),
    "method_with_space": (replaced(b":method", b"GET /smuggled HTTP/1.1"), 400),
    "method_of_colon": (replaced(b":method", b"G:T"), 400),
    "trace": (replaced(b":method", b"TRACE"), 501),
    "connect": ([(b":method", b"CONNECT"), AUTHORITY], 501),
    "scheme_http": (replaced(b":scheme", b"http"), 421),
    "scheme_ftp": (replaced(b":scheme", b"ftp"), 400),
    "expect": ([*PSEUDO, (b"expect", b"y 100-continue")], 417),
    "fields_101": ([*PSEUDO, *[X] * 101], 431),
    "field_of_17_kilobytes": ([*PSEUDO, (b"x", b"y" * 16_400)], 431),
}
"""Well-formed HTTP/2 that HTTP/1.1 would refuse too: the same status."""


def test_what_http_1_refuses_http_2_refuses(scene: Scene) -> None:
    with scene.connect_http2() as client:
        client.open()
        for number, (name, (fields, status)) in enumerate(REFUSED.items()):
            block = h2.block(fields)
            first, rest = block[:16_384], block[16_384:]
            client.send(h2.frame(h2.HEADERS, first, h2.END_STREAM if rest else h2.WHOLE, 2 * number + 1))
            if rest:
                client.send(h2.frame(h2.CONTINUATION, rest, h2.END_HEADERS, 2 * number + 1))
            answer = client.answer(2 * number + 1)
            assert (name, answer.status, answer.reset) == (name, status, None)
    scene.settle()
    assert scene.begun == []


STRIPPED = (
    "proxy",
    "x-forwarded-for",
    "x_forwarded_for",
    "forwarded",
    "x-real-ip",
    "client-cert",
    "proxy-authorization",
)


def only(scene: Scene, *fields: tuple[bytes, bytes]) -> Message:
    """What a server sees of a request with these fields more."""
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.get(1, b"/x", *fields))
        assert client.answer(1).status == 200
    return scene.only_request()


def test_names_that_only_the_proxy_may_say_are_removed(scene: Scene) -> None:
    seen = only(scene, *[(name.encode(), b"6.6.6.6") for name in STRIPPED])
    assert "6.6.6.6" not in repr(seen)


def test_crumbs_of_a_cookie_are_one_line(scene: Scene) -> None:
    assert only(scene, (b"cookie", b"a=b"), X, (b"cookie", b"c=d")).values("Cookie") == ["a=b; c=d"]


def test_empty_crumbs_leave_no_white_space(scene: Scene) -> None:
    crumbs = [(b"cookie", b""), (b"cookie", b"a=b"), (b"cookie", b"")]
    assert only(scene, *crumbs).values("Cookie") == ["a=b"]


WEBSOCKETS = {
    "unknown_protocol": ([(b":protocol", b"h2c"), *h2.fields(b"/chat", h2.CHAT, method=b"CONNECT")], 501, None),
    "connect_udp": ([(b":protocol", b"connect-udp"), *h2.fields(b"/chat", method=b"CONNECT")], 501, None),
    "crlf": ([(b":protocol", b"websocket\r\nx: y"), *h2.fields(b"/chat", method=b"CONNECT")], 0, h2.PROTOCOL_ERROR),
    "length": (
        [(b":protocol", b"websocket"), *h2.fields(b"/chat", h2.CHAT, (b"content-length", b"5"), method=b"CONNECT")],
        0,
        h2.PROTOCOL_ERROR,
    ),
    "length_0": (
        [(b":protocol", b"websocket"), *h2.fields(b"/chat", h2.CHAT, (b"content-length", b"0"), method=b"CONNECT")],
        0,
        h2.PROTOCOL_ERROR,
    ),
    "upgrade": (
        [(b":protocol", b"websocket"), *h2.fields(b"/chat", h2.CHAT, (b"upgrade", b"x"), method=b"CONNECT")],
        0,
        h2.PROTOCOL_ERROR,
    ),
    "no_version": ([(b":protocol", b"websocket"), *h2.fields(b"/chat", method=b"CONNECT")], 400, None),
    "version_1337": (
        [
            (b":protocol", b"websocket"),
            *h2.fields(b"/chat", (b"sec-websocket-version", b"1337"), method=b"CONNECT"),
        ],
        400,
        None,
    ),
    "two_protocols": (
        [(b":protocol", b"websocket"), (b":protocol", b"websocket"), *h2.fields(b"/chat", h2.CHAT, method=b"CONNECT")],
        0,
        h2.PROTOCOL_ERROR,
    ),
    "no_path": ([(b":protocol", b"websocket"), (b":method", b"CONNECT"), SCHEME, AUTHORITY], 0, h2.PROTOCOL_ERROR),
}


@cases(WEBSOCKETS)
def test_extended_connects_that_open_no_websocket_reach_no_server(
    scene: Scene, case: tuple[list[tuple[bytes, bytes]], int, int | None]
) -> None:
    fields, status, reset = case
    with scene.connect_http2() as client:
        client.open()
        client.send(h2.frame(h2.HEADERS, h2.block(fields), h2.END_HEADERS, 1) + h2.data(1, SMUGGLED))
        answer = client.answer(1)
        assert (answer.status, answer.reset) == (status, reset) or answer.status == status
    scene.settle()
    assert scene.begun == []

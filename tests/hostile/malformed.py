"""Requests that must not become requests of HTTP/1.1, as fields and bodies: what HTTP/2 and HTTP/3 refuse alike.

The numbers are sections of RFC 9113; RFC 9114 says the same in its sections 4.1 to 4.4.
"""

from tests.hostile import http2_frames as h2
from tests.hostile.scene import SMUGGLED

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
    "name_of_17_kilobytes": ([*PSEUDO, (b"x" * 16_400, b"y")], 431),
}
"""Well-formed HTTP/2 that HTTP/1.1 would refuse too: the same status."""

STRIPPED = (
    "proxy",
    "x-forwarded-for",
    "x_forwarded_for",
    "forwarded",
    "x-real-ip",
    "client-cert",
    "proxy-authorization",
)

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

WITH_BODY = {
    "crlf": [*PSEUDO, (b"x", b"a\r\nb")],
    "transfer_encoding": [*PSEUDO, (b"transfer-encoding", b"chunked")],
    "two_lengths": [*PSEUDO, (b"content-length", b"3"), (b"content-length", b"3"), (b"transfer-encoding", b"chunked")],
}

LENGTHS = {
    "empty": [b""],
    "sign": [b"+3"],
    "minus": [b"-3"],
    "underscore": [b"1_0"],
    "hex": [b"0x3"],
    "space_inside": [b"3 3"],
    "arabic_digit": ["\N{ARABIC-INDIC DIGIT THREE}".encode()],
    "list_that_differs": [b"3, 4"],
    "two_that_differ": [b"3", b"4"],
    "digits_5000": [b"3" * 5_000],
    "two_equal": [b"3", b"3"],
    "list_that_agrees": [b"3, 3"],
}

BODIES = {
    "shorter": ((b"content-length", b"5"), [b"abc"]),
    "none": ((b"content-length", b"5"), [b""]),
    "longer": ((b"content-length", b"2"), [b"abc"]),
    "longer_by_a_request": ((b"content-length", b"0"), [SMUGGLED]),
    "longer_in_pieces": ((b"content-length", b"2"), [b"a", b"b", b"c"]),
    "shorter_in_pieces": ((b"content-length", b"4"), [b"a", b"b", b"c"]),
}

TRAILERS = {
    "pseudo_field": [(b":path", b"/smuggled")],
    "method": [(b":method", b"GET")],
    "status": [(b":status", b"200")],
    "upper_case": [(b"X", b"y")],
    "crlf": [(b"x", b"y\r\n\r\n" + SMUGGLED)],
    "empty_name": [(b"", b"")],
    "transfer_encoding": [(b"transfer-encoding", b"chunked")],
    "connection": [(b"connection", b"close")],
    "too_many": [X] * 2_000,
}

DROPPED = [(b"host", b"evil.test"), (b"content-length", b"0"), (b"authorization", b"x"), (b"x-forwarded-for", b"::1")]

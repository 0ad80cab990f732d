"""A head is parsed strictly, or refused with the right status: never repaired."""

from collections.abc import Iterable

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http import head as head_module
from proxy.http.grammar import FIELD_VALUE_CHARS, TOKEN_CHARS, WHITESPACE
from proxy.http.head import (
    METHODS,
    Header,
    HeadLimits,
    MalformedMessage,
    RequestHead,
    ResponseHead,
    parse_request_head,
    parse_response_head,
    refuse_hopeless_head,
)
from tests.facts import facts

LIMITS = HeadLimits(target_bytes=64, header_count=5, header_bytes=80)
WIDE = HeadLimits(target_bytes=8_192, header_count=100, header_bytes=16_384)


def refused_request(raw: bytes, limits: HeadLimits = LIMITS) -> int:
    with pytest.raises(MalformedMessage) as caught:
        parse_request_head(raw, limits)
    return caught.value.status


def refused_response(raw: bytes, limits: HeadLimits = LIMITS) -> int:
    with pytest.raises(MalformedMessage) as caught:
        parse_response_head(raw, limits)
    return caught.value.status


def test_request_is_taken_apart() -> None:
    raw = b"POST /a?b=c HTTP/1.1\r\nHost: example.org\r\nX-Empty:\r\nx-trailing: v \t \r\nCookie:\t a=1; b=2\r\n\r\n"
    headers = [(b"Host", b"example.org"), (b"X-Empty", b""), (b"x-trailing", b"v"), (b"Cookie", b"a=1; b=2")]
    assert facts(parse_request_head(raw, LIMITS)) == facts(RequestHead(b"POST", b"/a?b=c", 1, headers))
    assert RequestHead(b"POST", b"/a?b=c", 1, raw).headers == headers


def test_repeated_fields_stay_apart_and_in_order() -> None:
    raw = b"GET / HTTP/1.0\r\nA: 1\r\nB: 2\r\na: 3\r\n\r\n"
    head = parse_request_head(raw, LIMITS)
    assert head.minor_version == 0
    assert head.headers == [(b"A", b"1"), (b"B", b"2"), (b"a", b"3")]


def test_error_says_reason_and_status() -> None:
    assert str(MalformedMessage(400, "invalid host")) == "invalid host (400)"


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_served_method_is_known_to_the_parser(method: bytes) -> None:
    assert parse_request_head(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n", LIMITS).method == method


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"CONNECT example.org:443 HTTP/1.1", 501),
        (b"TRACE / HTTP/1.1", 501),
        (b"BREW / HTTP/1.1", 501),
        (b"get / HTTP/1.1", 501),
        (b"PRI * HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/9.9", 505),
        (b"GET / RTSP/1.0", 400),
        (b"GET / ICE/1.0", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/1.10", 400),
        (b"GET / HTTP/1.", 400),
        (b"GET / HTTP/1", 400),
        (b"GET / HTTP/\xd9\xa1.1", 400),
        (b"GET /", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET /  HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET\t/ HTTP/1.1", 400),
        (b"GET\x0b/\x0bHTTP/1.1", 400),
        (b"GET  HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /\t HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET /\xff HTTP/1.1", 400),
        (b"GET /\x7f HTTP/1.1", 400),
        (b"GET example.org:443 HTTP/1.1", 400),
        (b"G\x00T / HTTP/1.1", 400),
        (b"G@T / HTTP/1.1", 400),
        (b"", 400),
        (b"\x16\x03\x01\x02", 400),
    ],
)
def test_request_line_is_refused(line: bytes, status: int) -> None:
    assert refused_request(line + b"\r\nHost: a\r\n\r\n") == status


BAD_FIELD_LINES = [
    b"X: a\rb",
    b"X: a\nb",
    b"X: x\rTransfer-Encoding: chunked",
    b"X: x\nTransfer-Encoding: chunked",
    b"X: a\r\n folded",
    b"X: a\r\n\tfolded",
    b"X:\r\n folded",
    b" X: a",
    b"\tX: a",
    b"X : a",
    b"X\t: a",
    b"X\x00: a",
    b": a",
    b"X",
    b"X a",
    b"X: a\x00",
    b"X: \x0bchunked",
    b"X: a\x7f",
    b"X(y): a",
    b"X\xc3\xa9: a",
    b"\r\rX: a",
]


@pytest.mark.parametrize("line", BAD_FIELD_LINES)
def test_malformed_field_line_is_refused_in_both_directions(line: bytes) -> None:
    assert refused_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n") == 400
    assert refused_request(b"GET / HTTP/1.1\r\n" + line + b"\r\nHost: a\r\n\r\n") == 400
    assert refused_response(b"HTTP/1.1 200 OK\r\nA: b\r\n" + line + b"\r\n\r\n") == 502
    assert refused_response(b"HTTP/1.1 200 OK\r\n" + line + b"\r\nA: b\r\n\r\n") == 502


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"abc",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\rZ",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
    ],
)
def test_what_is_not_exactly_one_head_is_refused(raw: bytes) -> None:
    assert refused_request(raw) == 400
    assert refused_response(raw.replace(b"GET / HTTP/1.1", b"HTTP/1.1 200 OK")) == 502


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", "line end that is not CRLF"),
        (b"GET / HTTP/1.1\r\nX: a\nb\r\n\r\n", "line end that is not CRLF"),
        (b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", "not exactly one head"),
        (b"G@T / HTTP/1.1\r\n\r\n", "not a method"),
        (b"GET / HTTP/1.1\r\nX : a\r\n\r\n", "malformed head"),
    ],
)
def test_checks_of_our_own_come_before_those_of_the_parser(raw: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_request_head(raw, LIMITS)
    assert caught.value.reason == reason


def test_opinions_of_the_parser_on_bodies_are_left_to_framing() -> None:
    upgrade = b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 3\r\n\r\n"
    assert len(parse_request_head(upgrade, LIMITS).headers) == 4
    coding = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"
    assert parse_request_head(coding, LIMITS).headers[1] == (b"Transfer-Encoding", b"gzip")
    switching = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n"
    assert parse_response_head(switching, LIMITS).status == 101


def test_parser_that_folds_lines_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class LenientParser(httptools.HttpRequestParser):
        def __init__(self, protocol: object) -> None:
            super().__init__(protocol)
            self.set_dangerous_leniencies(lenient_headers=True)

    monkeypatch.setattr(head_module, "HttpRequestParser", LenientParser)
    assert refused_request(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n Content-Length: 3\r\n\r\n") == 400


def accepted_codes(template: bytes) -> set[int]:
    """Try every byte in place of `@`."""
    accepted = set()
    for code in range(256):
        raw = template.replace(b"@", bytes([code]))
        parse = parse_request_head if raw.startswith(b"GET") else parse_response_head
        try:
            parse(raw, WIDE)
        except MalformedMessage:
            continue
        accepted.add(code)
    return accepted


VALUE_CODES = set(FIELD_VALUE_CHARS)
NAME_CODES = set(TOKEN_CHARS)


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize(
    ("line", "codes"),
    [
        (b"X: a@b\r\n", VALUE_CODES),
        (b"X: @b\r\n", VALUE_CODES),
        (b"X:@\r\n", VALUE_CODES),
        (b"X: a@\r\n", VALUE_CODES),
        (b"Connection: a@b\r\n", VALUE_CODES),
        (b"Upgrade: a@b\r\n", VALUE_CODES),
        (b"@X: a\r\n", NAME_CODES),
        # A colon ends the name and the rest is its value: a name either way.
        (b"X@Y: a\r\n", NAME_CODES | {ord(":")}),
        (b"X@: a\r\n", NAME_CODES | {ord(":")}),
        (b"@\r\n", set()),
        (b"A: b\r@", {ord("\n")}),
    ],
)
def test_every_byte_in_every_place_of_a_field_line(start: bytes, line: bytes, codes: set[int]) -> None:
    assert accepted_codes(start + line + b"\r\n") == codes
    assert accepted_codes(start + b"Host: a\r\n" + line + b"Y: z\r\n\r\n") == codes


def test_every_byte_in_a_request_target() -> None:
    visible = set(range(0x21, 0x7F))
    assert accepted_codes(b"GET /a@b HTTP/1.1\r\n\r\n") == visible
    assert accepted_codes(b"GET /@ HTTP/1.1\r\n\r\n") == visible


def test_every_byte_in_a_reason_phrase() -> None:
    assert accepted_codes(b"HTTP/1.1 200 a@b\r\n\r\n") == VALUE_CODES


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /" + b"a" * 63 + b" HTTP/1.1\r\n\r\n", None),
        (b"GET /" + b"a" * 64 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5 + b"\r\n", None),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 6 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 77 + b"\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 78 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a" * 78 + b": b\r\n\r\n", 431),
    ],
)
def test_limits_of_a_request_hold_to_the_byte(raw: bytes, status: int | None) -> None:
    if status is None:
        parse_request_head(raw, LIMITS)
    else:
        assert refused_request(raw) == status


@pytest.mark.parametrize(
    ("raw", "is_refused"),
    [
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5 + b"\r\n", False),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 6 + b"\r\n", True),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 77 + b"\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 78 + b"\r\n\r\n", True),
    ],
)
def test_limits_of_a_response_hold_to_the_byte(raw: bytes, is_refused: bool) -> None:  # noqa: FBT001
    if is_refused:
        assert refused_response(raw) == 502
    else:
        parse_response_head(raw, LIMITS)


@pytest.mark.parametrize(
    ("line", "head"),
    [
        (b"HTTP/1.1 200 OK", ResponseHead(200, b"OK", 1, [])),
        (b"HTTP/1.0 404 Not Found", ResponseHead(404, b"Not Found", 0, [])),
        (b"HTTP/1.1 204 ", ResponseHead(204, b"", 1, [])),
        (b"HTTP/1.1 204", ResponseHead(204, b"", 1, [])),
        (b"HTTP/1.1 599 \xc3\xa9t\xe9\tx", ResponseHead(599, b"\xc3\xa9t\xe9\tx", 1, [])),
        (b"HTTP/1.1 100 Continue", ResponseHead(100, b"Continue", 1, [])),
    ],
)
def test_status_line_is_taken_apart(line: bytes, head: ResponseHead) -> None:
    assert facts(parse_response_head(line + b"\r\n\r\n", LIMITS)) == facts(head)


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 099 X",
        b"HTTP/1.1 600 X",
        b"HTTP/1.1 999 X",
        b"HTTP/1.1 20 X",
        b"HTTP/1.1 2000 X",
        b"HTTP/1.1 +20 X",
        b"HTTP/1.1 2_0 X",
        b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 X",
        b"HTTP/1.1  200 X",
        b"HTTP/1.1\t200 X",
        b"HTTP/1.1",
        b"HTTP/2.0 200 OK",
        b"HTTP/0.9 200 OK",
        b"http/1.1 200 OK",
        b"ICY 200 OK",
        b" HTTP/1.1 200 OK",
        b"HTTP/1.1 200 a\x00b",
        b"HTTP/1.1 200 a\x1bb",
        b"",
    ],
)
def test_status_line_is_refused(line: bytes) -> None:
    assert refused_response(line + b"\r\nA: b\r\n\r\n") == 502


names = st.binary(min_size=1, max_size=12).map(lambda raw: bytes(TOKEN_CHARS[code % len(TOKEN_CHARS)] for code in raw))
values = st.binary(max_size=24).map(
    lambda raw: bytes(FIELD_VALUE_CHARS[code % len(FIELD_VALUE_CHARS)] for code in raw).strip(WHITESPACE)
)
# Fields that the parser looks into have their own rules, which `framing` is tested for.
OPINIONATED = {b"content-length", b"transfer-encoding"}
fields = st.tuples(names, values).filter(lambda field: field[0].lower() not in OPINIONATED)


@given(st.lists(fields, max_size=20), st.sampled_from([b"", b" ", b"\t "]))
def test_what_was_written_is_read(headers: list[Header], padding: bytes) -> None:
    lines = b"".join(b"%b:%b%b%b\r\n" % (name, padding, value, padding) for name, value in headers)
    request = parse_request_head(b"GET /x HTTP/1.1\r\n" + lines + b"\r\n", WIDE)
    assert facts(request) == facts(RequestHead(b"GET", b"/x", 1, headers))
    response = parse_response_head(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n", WIDE)
    assert facts(response) == facts(ResponseHead(200, b"OK", 1, headers))


@given(st.binary(max_size=40), st.integers(0, 60), st.integers(0, 3))
def test_any_bytes_give_a_head_of_whole_lines_or_one_kind_of_error(noise: bytes, place: int, cut: int) -> None:
    raw = b"GET /x HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\n"
    raw = raw[:place] + noise + raw[place + cut :]
    try:
        head = parse_request_head(raw, WIDE)
    except MalformedMessage:
        assert refused_request(raw, WIDE) in (400, 501, 505)
        return
    assert len(head.headers) == raw.count(b"\r\n") - 2
    written = b"%b %b HTTP/1.%d" % (head.method, head.target, head.minor_version)
    assert raw.startswith(written + b"\r\n")
    for line, (name, value) in zip(raw.split(b"\r\n")[1:], head.headers, strict=False):
        sent_name, _, sent_value = line.partition(b":")
        assert (sent_name, sent_value.strip(WHITESPACE)) == (name, value)


HOPELESS = {
    "line_feeds": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "line end that is not CRLF"),
    "line_feed_later": (b"HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 2\n", "line end that is not CRLF"),
    "line_feed_first": (b"HTTP/1.1 200 OK\n", "line end that is not CRLF"),
    "returns": (b"HTTP/1.1 200 OK\rContent-Length: 2", "line end that is not CRLF"),
    "return_before_line_end": (b"HTTP/1.1 200 OK\r\r\nContent-Length: 2", "line end that is not CRLF"),
    "other_protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", "response is neither HTTP/1.0 nor HTTP/1.1"),
    "octet": (b"\x16", "response is neither HTTP/1.0 nor HTTP/1.1"),
    "other_version": (b"HTTP/2.0 200 OK\r\n", "response is neither HTTP/1.0 nor HTTP/1.1"),
    "version_1_2": (b"HTTP/1.2 200 OK\r\n", "response is neither HTTP/1.0 nor HTTP/1.1"),
    "no_status": (b"HTTP/1.1 OK\r\nServer: a", "response without a valid status code"),
}


def begun(pieces: Iterable[bytes]) -> None:
    data = b""
    for piece in pieces:
        scanned = len(data)
        data += piece
        refuse_hopeless_head(data, scanned)


@pytest.mark.parametrize(("data", "reason"), HOPELESS.values(), ids=HOPELESS)
@pytest.mark.parametrize("size", [1, 2, 3, 16, 1_000])
def test_response_head_that_can_become_none_is_not_waited_for(data: bytes, reason: str, size: int) -> None:
    with pytest.raises(MalformedMessage) as caught:
        begun(data[at : at + size] for at in range(0, len(data), size))
    assert (caught.value.status, caught.value.reason) == (502, reason)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 1_000])
def test_response_head_that_may_become_one_is_waited_for(size: int) -> None:
    data = b"HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 2\r\nX: y\r"
    begun(data[at : at + size] for at in range(0, len(data), size))

"""A client of HTTP/2 gets what a client of HTTP/1.1 gets, without what is about a connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.delivery import delivery_frame, downstream_head
from proxy.http.framing import BodyKind
from proxy.http.head import Header, HeadLimits, MalformedMessage
from proxy.http.responses import Response, ResponseReader
from proxy.http.websocket.upgrade import WebSocketOffer, accept_value
from proxy.http2.fields.field_rules import check_characters
from proxy.http2.fields.response_fields import (
    CONTINUE_FIELDS,
    field_frame,
    final_fields,
    informational_fields,
    opened_fields,
    own_answer_fields,
    trailer_fields,
)

LIMITS = HeadLimits(target_bytes=200, header_count=20, header_bytes=300)
DATE = b"Wed, 25 Nov 2026 01:11:35 GMT"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
OUR_DATE: Header = (b"date", DATE)
OUR_ID: Header = (b"x-request-id", b"id-1")
VIA: Header = (b"via", b"1.1 plexigate")


def read(
    *lines: bytes, start: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET", offer: WebSocketOffer | None = None
) -> Response:
    return ResponseReader().read(b"\r\n".join([start, *lines, b"", b""]), LIMITS, method, offer)


def sent(response: Response) -> list[Header]:
    parts = final_fields(response, field_frame(response.framing), DATE, b"id-1")
    return [field for part in parts for field in part]


def test_response_becomes_fields() -> None:
    response = read(b"Server: Chat", b"CONTENT-TYPE: text/html", b"Content-Length: 005")
    assert sent(response) == [
        (b":status", b"200"),
        (b"server", b"Chat"),
        (b"content-type", b"text/html"),
        OUR_DATE,
        OUR_ID,
        VIA,
        (b"content-length", b"5"),
    ]


def test_fields_of_ours_are_a_part_of_their_own() -> None:
    response = read(b"Content-Length: 0")
    ours: list[Header] = [(b"alt-svc", b"clear")]
    parts = final_fields(response, field_frame(response.framing), DATE, b"id-1", ours)
    assert sum(part is ours for part in parts) == 1


def test_date_and_id_of_the_server_are_kept() -> None:
    """RFC 9110 6.6.1."""
    response = read(b"Date: yesterday", b"X-Request-Id: theirs", b"Content-Length: 0")
    assert sent(response) == [
        (b":status", b"200"),
        (b"date", b"yesterday"),
        (b"x-request-id", b"theirs"),
        VIA,
        (b"content-length", b"0"),
    ]


def test_fields_about_the_connection_are_gone() -> None:
    """RFC 9113 8.2.2."""
    response = read(
        b"Connection: close, X-Private, keep-alive",
        b"X-Private: 1",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: close",
        b"Upgrade: h2c",
        b"TE: trailers",
        b"Transfer-Encoding: chunked",
    )
    assert sent(response) == [(b":status", b"200"), OUR_DATE, OUR_ID, VIA]


def test_version_of_the_server_is_named() -> None:
    """RFC 9110 7.6.3."""
    response = read(b"Content-Length: 0", start=b"HTTP/1.0 404 Not Found")
    assert sent(response)[0] == (b":status", b"404")
    assert (b"via", b"1.0 plexigate") in sent(response)


@pytest.mark.parametrize(
    ("status", "method", "line", "length"),
    [
        (200, b"GET", b"Content-Length: 5", b"5"),
        (200, b"GET", b"Transfer-Encoding: chunked", None),
        (200, b"GET", b"Server: x", None),
        (200, b"HEAD", b"Content-Length: 5", b"5"),
        (200, b"HEAD", b"Server: x", None),
        (304, b"GET", b"Content-Length: 5", b"5"),
        (304, b"GET", b"Server: x", None),
        (204, b"GET", b"Content-Length: 0", None),
        (205, b"GET", b"Server: x", b"0"),
        (421, b"GET", b"Content-Length: 0", b"0"),
    ],
)
def test_content_length_is_as_judged(status: int, method: bytes, line: bytes, length: bytes | None) -> None:
    """RFC 9110 8.6."""
    response = read(line, start=b"HTTP/1.1 %d X" % status, method=method)
    lengths = [value for name, value in sent(response) if name == b"content-length"]
    assert lengths == ([] if length is None else [length])
    assert sent(response)[0] == (b":status", b"%d" % status)


def test_responses_of_one_framing_share_a_frame() -> None:
    reader = ResponseReader()
    first = reader.read(b"HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 0\r\n\r\n", LIMITS, b"GET")
    second = reader.read(b"HTTP/1.1 200 OK\r\nX: 2\r\nContent-Length: 0\r\n\r\n", LIMITS, b"GET")
    assert field_frame(first.framing) is field_frame(second.framing)


def test_trailers_pass_whether_announced_or_not() -> None:
    response = read(
        b"Transfer-Encoding: chunked", b"Trailer: X-Sum, Content-Length", b"Connection: X-Secret", b"X-Secret: 1"
    )
    frame = field_frame(response.framing)
    assert sent(response)[-1] == (b"trailer", b"x-sum")
    trailers = [(b"X-Sum", b"1"), (b"Grpc-Status", b"0"), (b"x-secret", b"2"), (b"Content-Length", b"5")]
    assert trailer_fields(trailers, frame.delivery) == [(b"x-sum", b"1"), (b"grpc-status", b"0")]
    plain = field_frame(read(b"Content-Length: 0").framing)
    assert trailer_fields(trailers, plain.delivery) == []


def test_body_without_an_end_of_its_own_ends_with_the_stream() -> None:
    assert field_frame(read(b"Server: x").framing).delivery.body is BodyKind.CHUNKED


def test_interim_responses_are_relayed() -> None:
    """RFC 9110 15.2, RFC 8297."""
    response = read(b"Link: </a.css>; rel=preload", start=b"HTTP/1.1 103 Early Hints")
    assert informational_fields(response) == [(b":status", b"103"), (b"link", b"</a.css>; rel=preload")]
    assert informational_fields(read(start=b"HTTP/1.1 102 Processing")) == [(b":status", b"102")]
    assert CONTINUE_FIELDS == [(b":status", b"100")]


def test_an_accepted_websocket_is_a_200() -> None:
    """RFC 8441 section 5."""
    response = read(
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_value(KEY),
        b"Sec-WebSocket-Protocol: chat",
        b"Sec-WebSocket-Extensions: permessage-deflate",
        b"Server: Chat",
        start=b"HTTP/1.1 101 Switching Protocols",
        offer=WebSocketOffer(KEY, (b"chat",), b"permessage-deflate"),
    )
    assert opened_fields(response, DATE, b"id-1") == [
        (b":status", b"200"),
        (b"server", b"Chat"),
        (b"sec-websocket-protocol", b"chat"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
        OUR_DATE,
        OUR_ID,
        VIA,
    ]


def test_answers_of_ours_lose_what_is_about_a_connection() -> None:
    lines = b"Content-Type: text/plain\r\nUpgrade: websocket\r\nConnection: close\r\nX-Request-Id: id-1\r\n"
    assert own_answer_fields(421, lines) == [(b":status", b"421"), (b"content-type", b"text/plain"), OUR_ID]
    assert own_answer_fields(404, b"") == [(b":status", b"404")]


LINES = st.sampled_from(
    [
        b"Server: chat",
        b"X-Odd:  a: b ",
        b"x-empty:",
        b"Date: yesterday",
        b"Set-Cookie: a=b",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Connection: close, X-Odd",
        b"Trailer: X-Sum",
        b"Keep-Alive: timeout=5",
        b"Upgrade: h2c",
    ]
)


@given(st.lists(LINES, max_size=6), st.sampled_from([200, 204, 304, 404]), st.sampled_from([b"GET", b"HEAD"]))
def test_client_gets_the_same_fields_as_one_of_http_1_1(lines: list[bytes], status: int, method: bytes) -> None:
    try:
        response = read(*lines, start=b"HTTP/1.1 %d X" % status, method=method)
    except MalformedMessage:
        return
    frame = delivery_frame(response.framing, 1, True, True)  # noqa: FBT003 - as its cache wants them
    _, *written = downstream_head(response, frame, DATE, b"id-1")[:-4].split(b"\r\n")
    (pseudo, *fields) = sent(response)
    assert pseudo == (b":status", b"%d" % status)
    check_characters(fields, 0)
    expected = {(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in written)}
    assert set(fields) == expected - {(b"transfer-encoding", b"chunked")}

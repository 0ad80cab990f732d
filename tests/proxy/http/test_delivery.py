"""How a response is sent on: framed as the client can take it, with a head that is ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.delivery import (
    Delivery,
    Persistence,
    delivery,
    delivery_frame,
    downstream_head,
    forwardable_trailers,
    informational_head,
    switching_head,
)
from proxy.http.framing import BodyKind, request_framing
from proxy.http.head import (
    Header,
    RequestHead,
    parse_response_head,
)
from proxy.http.responses import Response, ResponseReader
from proxy.http.websocket.upgrade import WebSocketOffer
from tests.proxy.http.test_forwarded_head import ACCEPT, DATE, KEY, LIMITS, headers_in_any_mixture, lines
from tests.proxy.http.test_framing import CHUNKED, LENGTH, request, responded


def sent_on(head: RequestHead, *headers: Header, keep_alive: bool = True) -> Delivery:
    """How a response to such a request is delivered."""
    framing = request_framing(head)
    return delivery(
        responded(200, *headers),
        head.minor_version,
        accepts_trailers=framing.accepts_trailers,
        keep_alive=keep_alive and framing.keep_alive,
    )


MODERN = request(method=b"GET")
OLD = request((b"Connection", b"keep-alive"), method=b"GET", minor=0)


@pytest.mark.parametrize(
    ("head", "header", "expected"),
    [
        (MODERN, LENGTH, (BodyKind.LENGTH, Persistence.IMPLICIT)),
        (MODERN, CHUNKED, (BodyKind.CHUNKED, Persistence.IMPLICIT)),
        (MODERN, (b"A", b"b"), (BodyKind.CHUNKED, Persistence.IMPLICIT)),
        (OLD, LENGTH, (BodyKind.LENGTH, Persistence.KEEP_ALIVE)),
        (OLD, CHUNKED, (BodyKind.UNTIL_CLOSE, Persistence.CLOSE)),
        (OLD, (b"A", b"b"), (BodyKind.UNTIL_CLOSE, Persistence.CLOSE)),
    ],
)
def test_response_is_delivered_as_the_client_can_take_it(
    head: RequestHead, header: Header, expected: tuple[BodyKind, Persistence]
) -> None:
    sent = sent_on(head, header)
    assert (sent.body, sent.persistence, sent.trailers, sent.withheld) == (*expected, (), None)


def test_connection_is_closed_if_either_side_wants_it() -> None:
    closing = request((b"Connection", b"close"))
    for head, keep_alive in ((MODERN, False), (OLD, False), (closing, True)):
        assert sent_on(head, LENGTH, keep_alive=keep_alive).persistence is Persistence.CLOSE


def test_trailers_are_delivered_if_announced_allowed_and_accepted() -> None:
    trailer = (b"Trailer", b"X-Sum, content-length, X-Other, Authorization, b@d")
    asking = request((b"TE", b"trailers"))

    assert sent_on(asking, CHUNKED, trailer).trailers == (b"x-sum", b"x-other")
    assert sent_on(asking, CHUNKED).trailers == ()
    assert sent_on(asking, CHUNKED).withheld == frozenset()
    named = sent_on(asking, CHUNKED, trailer, (b"Connection", b"X-Sum"))
    assert (named.trailers, named.withheld) == ((b"x-other",), frozenset({b"x-sum"}))
    assert sent_on(MODERN, CHUNKED, trailer).withheld is None
    assert sent_on(asking, LENGTH, trailer).withheld is None
    assert sent_on(asking, LENGTH, trailer).trailers == ()
    assert sent_on(MODERN, CHUNKED, trailer).trailers == ()


def answer(start: bytes, *headers: Header, asked: bytes = b"GET", offer: WebSocketOffer | None = None) -> Response:
    """A response as it is read."""
    raw = b"\r\n".join([start, *(b": ".join(header) for header in headers)]) + b"\r\n\r\n"
    return ResponseReader().read(raw, LIMITS, asked, offer)


def sent_downstream(
    *headers: Header,
    status: int = 200,
    minor: int = 1,
    client_minor: int = 1,
    connection: bytes = b"keep-alive",
    asked: bytes = b"GET",
) -> list[bytes]:
    request = RequestHead(
        asked, b"/", client_minor, [(b"Host", b"h"), (b"TE", b"trailers"), (b"Connection", connection)]
    )
    framing = request_framing(request)
    response = answer(b"HTTP/1.%d %d Fine" % (minor, status), *headers, asked=asked)
    frame = delivery_frame(response.framing, client_minor, framing.accepts_trailers, framing.keep_alive)
    return lines(downstream_head(response, frame, DATE, b"id-1"))


def test_line_of_ours_about_http_3_stands_among_the_fields() -> None:
    response = answer(b"HTTP/1.1 200 Fine", (b"Content-Length", b"0"))
    frame = delivery_frame(response.framing, 1, accepts_trailers=False, keep_alive=True)
    said = lines(downstream_head(response, frame, DATE, b"id-1", b"Alt-Svc: clear\r\n"))
    silent = lines(downstream_head(response, frame, DATE, b"id-1"))
    assert [line for line in said if line not in silent] == [b"Alt-Svc: clear"]
    assert said[-1] == silent[-1]


def test_response_is_written_anew() -> None:
    headers = [
        (b"Server", b"demo"),
        (b"date", b"then"),
        (b"Set-Cookie", b"a=b"),
        (b"Set-Cookie", b"c=d"),
        (b"Connection", b"keep-alive, X-Secret"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Upgrade", b"h2c"),
        (b"X-Secret", b"1"),
        (b"Content-Length", b"005"),
        (b"X-Request-Id", b"theirs"),
    ]
    assert sent_downstream(*headers) == [
        b"HTTP/1.1 200 Fine",
        b"Server: demo",
        b"date: then",
        b"Set-Cookie: a=b",
        b"Set-Cookie: c=d",
        b"X-Request-Id: theirs",
        b"Via: 1.1 plexigate",
        b"Content-Length: 5",
    ]


def test_date_and_request_id_are_added_if_missing() -> None:
    assert sent_downstream((b"Content-Length", b"0"), minor=0) == [
        b"HTTP/1.1 200 Fine",
        b"Date: " + DATE,
        b"X-Request-Id: id-1",
        b"Via: 1.0 plexigate",
        b"Content-Length: 0",
    ]


@pytest.mark.parametrize(
    ("header", "client_minor", "connection", "expected"),
    [
        ((b"Content-Length", b"5"), 1, b"keep-alive", [b"Content-Length: 5"]),
        ((b"Content-Length", b"5"), 1, b"close", [b"Content-Length: 5", b"Connection: close"]),
        ((b"Content-Length", b"5"), 0, b"keep-alive", [b"Content-Length: 5", b"Connection: keep-alive"]),
        ((b"Transfer-Encoding", b"chunked"), 1, b"keep-alive", [b"Transfer-Encoding: chunked"]),
        ((b"Transfer-Encoding", b"chunked"), 0, b"keep-alive", [b"Connection: close"]),
        ((b"A", b"b"), 1, b"keep-alive", [b"Transfer-Encoding: chunked"]),
    ],
)
def test_framing_and_persistence_are_ours(
    header: Header, client_minor: int, connection: bytes, expected: list[bytes]
) -> None:
    head = sent_downstream(header, client_minor=client_minor, connection=connection)
    assert head[head.index(b"Via: 1.1 plexigate") + 1 :] == expected


@pytest.mark.parametrize(
    ("status", "asked", "headers", "expected"),
    [
        (200, b"HEAD", [(b"Content-Length", b"5")], [b"Content-Length: 5"]),
        (200, b"HEAD", [(b"Transfer-Encoding", b"chunked")], []),
        (304, b"GET", [(b"Content-Length", b"5")], [b"Content-Length: 5"]),
        (204, b"GET", [(b"Content-Length", b"0")], []),
        (205, b"GET", [], [b"Content-Length: 0"]),
    ],
)
def test_response_without_body_announces_only_what_is_true(
    status: int, asked: bytes, headers: list[Header], expected: list[bytes]
) -> None:
    assert sent_downstream(*headers, status=status, asked=asked)[4:] == expected


def test_trailers_are_announced_if_they_will_be_sent() -> None:
    headers = [(b"Transfer-Encoding", b"chunked"), (b"Trailer", b"X-Sum, Content-Length")]
    assert sent_downstream(*headers)[-1] == b"Trailer: x-sum"
    assert sent_downstream(*headers, client_minor=0)[-1] == b"Connection: close"


def test_trailers_that_are_allowed_are_forwarded_announced_or_not() -> None:
    sent = Delivery(BodyKind.CHUNKED, Persistence.IMPLICIT, (b"x-sum",), frozenset({b"x-named"}))
    trailers = [(b"X-Sum", b"1"), (b"X-Other", b"2"), (b"Content-Length", b"3"), (b"x-sum", b"4"), (b"X-Named", b"5")]
    assert forwardable_trailers(trailers, sent) == [(b"X-Sum", b"1"), (b"X-Other", b"2"), (b"x-sum", b"4")]
    assert forwardable_trailers(trailers, Delivery(BodyKind.CHUNKED, Persistence.IMPLICIT, (b"x-sum",))) == []


def test_interim_response_is_written_anew() -> None:
    hints = answer(b"HTTP/1.1 103 Early Hints", (b"Link", b"</a>; rel=preload"), (b"Connection", b"close"))
    assert informational_head(hints) == b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
    assert informational_head(answer(b"HTTP/1.1 100 Continue")) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_switch_to_a_websocket_is_written_anew() -> None:
    headers = [
        (b"upgrade", b"WebSocket"),
        (b"connection", b"upgrade"),
        (b"sec-websocket-accept", ACCEPT),
        (b"Sec-WebSocket-Protocol", b"chat"),
        (b"Set-Cookie", b"a=b"),
        (b"Keep-Alive", b"timeout=5"),
    ]
    offer = WebSocketOffer(KEY, (b"chat",), b"")
    switched = answer(b"HTTP/1.1 101 Switching Protocols", *headers, offer=offer)
    assert lines(switching_head(switched, b"id-1")) == [
        b"HTTP/1.1 101 Switching Protocols",
        b"Set-Cookie: a=b",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Accept: " + ACCEPT,
        b"Sec-WebSocket-Protocol: chat",
        b"X-Request-Id: id-1",
        b"Via: 1.1 plexigate",
    ]
    named = answer(b"HTTP/1.1 101 ", *headers, (b"X-Request-Id", b"theirs"), offer=offer)
    written = lines(switching_head(named, b"id-1"))
    assert [line for line in written if line.startswith(b"X-Request-Id")] == [b"X-Request-Id: theirs"]


@given(headers_in_any_mixture, st.sampled_from([200, 204, 304, 404]), st.integers(0, 1))
def test_written_response_is_one_that_we_would_take(headers: list[Header], status: int, client_minor: int) -> None:
    written = b"\r\n".join(sent_downstream(*headers, status=status, client_minor=client_minor)) + b"\r\n\r\n"
    assert ResponseReader().read(written, LIMITS, b"GET").framing.length in (None, 0)
    assert sum(name.lower() == b"date" for name, _ in parse_response_head(written, LIMITS).headers) >= 1

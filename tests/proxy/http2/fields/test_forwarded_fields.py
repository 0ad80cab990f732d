"""Our HTTP/1.1 heads as fields of HTTP/2."""

from proxy.http2.fields.forwarded_fields import ForwardedFields

HEAD = (
    b"POST /a?b HTTP/1.1\r\nHost: chat.example\r\nAccept: */*\r\nCookie: secret\r\nConnection: TE\r\nTE: trailers\r\n"
    b"Transfer-Encoding: chunked\r\nX-Request-Id: %b\r\n\r\n"
)


def test_pseudo_fields_come_first_and_lines_about_the_connection_stay_behind() -> None:
    assert ForwardedFields(b"https").read(HEAD % b"1") == [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"chat.example"),
        (b":path", b"/a?b"),
        (b"accept", b"*/*"),
        (b"cookie", b"secret"),
        (b"te", b"trailers"),
        (b"x-request-id", b"1"),
    ]


def test_lines_are_remembered_but_no_secret_and_no_identifier() -> None:
    fields = ForwardedFields(b"http")
    first, second = fields.read(HEAD % b"1"), fields.read(HEAD % b"2")
    assert second == [*first[:-1], (b"x-request-id", b"2")]
    assert second[4] is first[4]
    assert not any(b"secret" in line or b"Id" in line for line in fields._known)


def test_the_memory_is_bounded() -> None:
    fields = ForwardedFields(b"http")
    for number in range(3_000):
        assert fields.read(b"GET / HTTP/1.1\r\nHost: a\r\nX-Sum: %d\r\n\r\n" % number)[-1] == (b"x-sum", b"%d" % number)
        assert len(fields._known) <= 1_024
    assert fields.read(b"GET / HTTP/1.1\r\nX-Long: " + b"z" * 500 + b"\r\n\r\n")[-1] == (b"x-long", b"z" * 500)
    assert len(fields._known) <= 1_024


def test_lines_that_a_client_marked_are_not_remembered() -> None:
    fields = ForwardedFields(b"http")
    fields.read(b"GET / HTTP/1.1\r\nX-Key: secret\r\nAccept: */*\r\n\r\n", frozenset({b"x-key"}))
    assert list(fields._known) == [b"Accept: */*"]


def test_an_upgrade_becomes_an_extended_connect() -> None:
    head = b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nAccept: */*\r\n\r\n"
    assert ForwardedFields(b"https").read(head, is_upgrade=True) == [
        (b":method", b"CONNECT"),
        (b":scheme", b"https"),
        (b":authority", b"x"),
        (b":path", b"/chat"),
        (b":protocol", b"websocket"),
        (b"accept", b"*/*"),
    ]

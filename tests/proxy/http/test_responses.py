"""The memory of a server's field lines: it never changes what a response means."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.http.fields import Fields, sort_response_fields
from proxy.http.head import HeadLimits, MalformedMessage, parse_response_head
from proxy.http.responses import ResponseReader

LIMITS = HeadLimits(target_bytes=200, header_count=6, header_bytes=300)

LINES = st.sampled_from(
    [
        b"Server: chat",
        b"server:chat  ",
        b"Date: Wed, 25 Nov 2026 02:05:00 GMT",
        b"Content-Length: 5",
        b"Content-Length: 6",
        b"Transfer-Encoding: chunked",
        b"Connection: close, X-Private",
        b"X-Private: 1",
        b"Set-Cookie: a=b",
        b"X-Long: " + b"y" * 150,
        b"X-Longest: " + b"y" * 300,
        b" folded",
        b": nameless",
        b"no colon",
        b"X-Bad: a\x00b",
        b"X-Bare: a\nb",
        b"X-Bare: a\rb",
        b"X Y: z",
    ]
)
STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 404 ", b"HTTP/1.1 099 No", b"HTTP/1.1 200 O\nK", b"nonsense"]
)


def understood(raw: bytes, reader: ResponseReader | None) -> tuple[object, ...]:
    """What a head comes to, a refusal included: its status, whatever the sentence."""
    try:
        if reader is not None:
            head, fields = reader.read(raw, LIMITS)
        else:
            head = parse_response_head(raw, LIMITS)
            fields = sort_response_fields(head.headers)
    except MalformedMessage as error:
        return (error.status,)
    return head[:3], fields


@given(st.lists(st.tuples(STATUS_LINES, st.lists(LINES, max_size=8)), max_size=12))
def test_a_response_means_the_same_whatever_came_before_it(heads: list[tuple[bytes, list[bytes]]]) -> None:
    reader = ResponseReader()
    for status_line, lines in heads:
        raw = b"\r\n".join([status_line, *lines]) + b"\r\n\r\n"
        assert understood(raw, reader) == understood(raw, None)


def test_a_cookie_is_not_remembered() -> None:
    reader = ResponseReader()
    reader.read(b"HTTP/1.1 200 OK\r\nServer: chat\r\nSet-Cookie: secret=1\r\n\r\n", LIMITS)
    assert list(reader._known) == [b"Server: chat"]


def test_the_memory_is_bounded_and_goes_on_after_it_was_emptied() -> None:
    reader = ResponseReader()
    for number in range(3_000):
        raw = b"HTTP/1.1 200 OK\r\nServer: chat\r\nContent-Length: %d\r\n\r\n" % number
        _, fields = reader.read(raw, LIMITS)
        assert fields == Fields([(b"Server", b"chat")], [], {b"content-length": [b"%d" % number]})
        assert len(reader._known) <= 1_024


def test_known_lines_are_counted_as_well() -> None:
    reader = ResponseReader()
    assert understood(b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\n", reader) == ((200, b"OK", 1), Fields([(b"X", b"1")], [], {}))
    assert understood(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 7 + b"\r\n", reader) == (502,)

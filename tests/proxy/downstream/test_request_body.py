"""Where a body ends, how long it may be, and how it goes on."""

from collections.abc import Callable

import pytest

from proxy.downstream.request_body import RequestBody, framed
from proxy.downstream.requests import RequestReader
from proxy.http.framing import RequestFraming
from proxy.http.head import MalformedMessage
from tests.fakes import FakeLoop
from tests.fakes_http import CHUNKS, LIMITS, octets, request

Feed = Callable[[bytes], list[bytes]]
FEEDS = pytest.mark.parametrize("feed", [lambda data: [data], octets], ids=["whole", "octets"])

LENGTH = b"Content-Length: 5"
CHUNKED = b"Transfer-Encoding: chunked"


def framing(line: bytes) -> RequestFraming:
    return RequestReader().read(request(line, start=b"POST / HTTP/1.1"), LIMITS.head).framing


def body_of(line: bytes, limit: int = 1_000) -> RequestBody:
    body = RequestBody(framing(line), CHUNKS, FakeLoop().time)
    body.bound(limit)
    return body


@FEEDS
@pytest.mark.parametrize(("line", "data"), [(LENGTH, b"hello"), (CHUNKED, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")])
def test_ends_where_its_framing_says(line: bytes, data: bytes, feed: Feed) -> None:
    body = body_of(line)
    pieces = []
    for piece in feed(data):
        assert not body.is_complete
        content, excess = body.receive_data(piece)
        assert excess == b""
        pieces.append(content)
    assert body.is_complete
    assert b"".join(pieces) == b"hello"


@pytest.mark.parametrize(("line", "data"), [(LENGTH, b"hello"), (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n")])
def test_what_stands_behind_it_is_given_back(line: bytes, data: bytes) -> None:
    assert body_of(line).receive_data(data + b"GET /") == (b"hello", b"GET /")


def test_declared_length_is_known_to_be_too_long_at_once() -> None:
    assert not RequestBody(framing(LENGTH), CHUNKS, FakeLoop().time).bound(4)
    assert RequestBody(framing(LENGTH), CHUNKS, FakeLoop().time).bound(5)
    assert RequestBody(framing(CHUNKED), CHUNKS, FakeLoop().time).bound(0)


def test_chunks_over_the_limit_are_refused() -> None:
    body = body_of(CHUNKED, limit=4)
    assert body.receive_data(b"4\r\nhell") == (b"hell", b"")
    with pytest.raises(MalformedMessage) as caught:
        body.receive_data(b"\r\n1\r\no\r\n")
    assert caught.value.status == 413


def test_broken_chunk_is_refused() -> None:
    with pytest.raises(MalformedMessage) as caught:
        body_of(CHUNKED).receive_data(b"x\r\n")
    assert caught.value.status == 400


def test_goes_on_as_its_framing_says() -> None:
    assert framed(framing(LENGTH), b"hello", is_complete=True) == b"hello"
    assert framed(framing(CHUNKED), b"hello", is_complete=False) == b"5\r\nhello\r\n"
    assert framed(framing(CHUNKED), b"hello", is_complete=True) == b"5\r\nhello\r\n0\r\n\r\n"
    assert framed(framing(CHUNKED), b"", is_complete=True) == b"0\r\n\r\n"
    assert framed(framing(CHUNKED), b"", is_complete=False) == b""

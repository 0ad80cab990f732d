"""The recorder itself: it takes what the proxy writes, and fails on everything else. Else it would prove nothing."""

import socket
from collections.abc import Iterator

import pytest

from tests.hostile.answers import SWITCHING, Answer, Moment, Then
from tests.hostile.client import connect
from tests.hostile.recorder import SENTINEL, Recorder
from tests.hostile.scene import cases
from tests.hostile.strict import NotStrict, ResponseReader
from tests.hostile.strict_frames import Frame, FrameReader, unmasked

FIELDS = (
    b"X-TLS-Group: X25519\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=127.0.0.1\r\n"
    b"X-Forwarded-Host: chat.test\r\nX-Request-Id: 1\r\nVia: 1.1 plexigate\r\n"
)


def plain(*lines: bytes, start: bytes = b"GET /outer HTTP/1.1", body: bytes = b"") -> bytes:
    """A request as the proxy writes it."""
    head = [start, b"Host: chat.test", *lines]
    return b"\r\n".join(head) + b"\r\n" + FIELDS + b"\r\n" + body


UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: a")
MASK_KEY = b"\1\2\3\4"
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.fixture
def fresh() -> Iterator[Recorder]:
    """A recorder of its own, behind which there is no proxy."""
    recorder = Recorder(["chat"])
    yield recorder
    recorder.stop()


def sent(recorder: Recorder, *pieces: bytes) -> socket.socket:
    """A connection on which these bytes were sent."""
    sock = connect(recorder.ports["chat"])
    for piece in pieces:
        sock.sendall(piece)
        recorder.settle()
    return sock


GOOD = {
    "get": plain(),
    "empty_value": plain(b"X: "),
    "length": plain(b"Content-Length: 5", start=b"POST /outer HTTP/1.1", body=b"hello"),
    "zero_length": plain(b"Content-Length: 0", start=b"POST /outer HTTP/1.1"),
    "chunked": plain(
        CHUNKED, start=b"POST /outer HTTP/1.1", body=b"5\r\nhello\r\n1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n"
    ),
    "expectation": plain(b"Expect: 100-continue", b"Content-Length: 1", start=b"POST /outer HTTP/1.1", body=b"x"),
    "trailers_wanted": plain(b"Connection: TE", b"TE: trailers"),
    "websocket": plain(*UPGRADE),
}


@cases(GOOD)
@pytest.mark.parametrize("cut", ["whole", "in_bytes"])
def test_it_takes_a_strict_request(fresh: Recorder, case: bytes, cut: str) -> None:
    pieces = [case] if cut == "whole" else [case[i : i + 1] for i in range(len(case))]
    with sent(fresh, *pieces):
        assert fresh.violations == []
        assert [request.target for request in fresh.complete] == ["/outer"]


BAD = {
    "newline_only": plain().replace(b"\r\n", b"\n") + b"\r\n\r\n",
    "newline_behind_a_field": plain(b"X: a\nY: b"),
    "return_in_a_field": plain(b"X: a\rY: b"),
    "nul": plain(b"X: a\0"),
    "no_space_behind_the_colon": plain(b"X:a"),
    "two_spaces_behind_the_colon": plain(b"X:  a"),
    "space_before_the_colon": plain(b"X : a"),
    "space_behind_the_value": plain(b"X: a "),
    "folded": plain(b"X: a", b" b"),
    "empty_name": plain(b": a"),
    "no_colon": plain(b"X"),
    "leading_empty_line": b"\r\n" + plain(),
    "two_spaces": plain(start=b"GET  / HTTP/1.1"),
    "old_version": plain(start=b"GET / HTTP/1.0"),
    "new_version": plain(start=b"GET / HTTP/2.0"),
    "absolute_form": plain(start=b"GET https://chat.test/ HTTP/1.1"),
    "fragment": plain(start=b"GET /#a HTTP/1.1"),
    "raw_octet": plain(start=b"GET /\xff HTTP/1.1"),
    "no_host": plain().replace(b"Host: chat.test\r\n", b""),
    "two_hosts": plain(b"Host: chat.test"),
    "host_with_user": plain().replace(b"Host: chat.test", b"Host: a@chat.test"),
    "empty_host": plain().replace(b"Host: chat.test", b"Host: "),
    "length_and_coding": plain(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"),
    "two_lengths": plain(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "leading_zero": plain(b"Content-Length: 05", body=b"hello"),
    "plus": plain(b"Content-Length: +5", body=b"hello"),
    "coding_list": plain(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "coding_capitals": plain(b"Transfer-Encoding: Chunked", body=b"0\r\n\r\n"),
    "two_codings": plain(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "chunk_extension": plain(CHUNKED, body=b"5;a\r\nhello\r\n0\r\n\r\n"),
    "chunk_capitals": plain(CHUNKED, body=b"A\r\n0123456789\r\n0\r\n\r\n"),
    "chunk_leading_zero": plain(CHUNKED, body=b"05\r\nhello\r\n0\r\n\r\n"),
    "chunk_two_zeros": plain(CHUNKED, body=b"00\r\n\r\n"),
    "chunk_newline": plain(CHUNKED, body=b"5\nhello\r\n0\r\n\r\n"),
    "chunk_end": plain(CHUNKED, body=b"5\r\nhelloXX0\r\n\r\n"),
    "trailer": plain(CHUNKED, body=b"0\r\nX: y\r\n\r\n"),
    "keep_alive": plain(b"Keep-Alive: 5"),
    "connection_close": plain(b"Connection: close"),
    "connection_keep_alive": plain(b"Connection: keep-alive"),
    "upgrade_to_another": plain(b"Connection: Upgrade", b"Upgrade: h2c"),
    "upgrade_without_key": plain(*UPGRADE[:3]),
    "websocket_key_without_upgrade": plain(UPGRADE[3]),
    "te": plain(b"TE: gzip"),
    "te_not_named": plain(b"TE: trailers"),
    "trailer_field": plain(b"Trailer: X"),
    "proxy": plain(b"Proxy: x"),
    "proxy_connection": plain(b"Proxy-Connection: x"),
    "http2_settings": plain(b"HTTP2-Settings: x"),
    "twin": plain(b"X_Forwarded_For: 1.2.3.4"),
    "twin_of_length": plain(b"Content_Length: 5"),
    "real_ip": plain(b"X-Real-IP: 1.2.3.4"),
    "second_forwarded_for": plain(b"X-Forwarded-For: 127.0.0.1"),
    "other_forwarded_for": plain().replace(b"For: 127.0.0.1", b"For: 6.6.6.6"),
    "no_request_id": plain().replace(b"X-Request-Id: 1\r\n", b""),
    "expectation_without_a_body": plain(b"Expect: 100-continue"),
    "other_expectation": plain(b"Expect: y", b"Content-Length: 1", body=b"x"),
    "two_at_once": plain() + plain(),
    "one_octet_behind": plain() + b"x",
    "line_end_behind": plain() + b"\r\n",
    "garbage": b"\x16\x03\x01\x00\x00\r\n\r\n",
}


@cases(BAD)
@pytest.mark.parametrize("cut", ["whole", "in_halves"])
def test_it_fails_on_anything_else(fresh: Recorder, case: bytes, cut: str) -> None:
    middle = 0 if cut == "whole" or case.startswith(plain()) else len(case) // 2
    with sent(fresh, case[:middle], case[middle:]):
        assert len(fresh.violations) == 1


@pytest.mark.parametrize("behind", [b"x", b"\r\n", plain()])
def test_it_fails_on_bytes_behind_a_request_that_it_has_not_answered(fresh: Recorder, behind: bytes) -> None:
    fresh.answer_next()
    with sent(fresh, plain(), behind):
        assert len(fresh.violations) == 1


def test_it_fails_on_a_head_that_is_cut(fresh: Recorder) -> None:
    sent(fresh, plain()[:-1]).close()
    fresh.settle()
    assert len(fresh.violations) == 1


def test_it_counts_what_was_begun_and_what_was_completed(fresh: Recorder) -> None:
    sent(fresh, plain(b"Content-Length: 5", start=b"POST /outer HTTP/1.1", body=b"hell")).close()
    with sent(fresh, plain(), plain(start=b"GET /next HTTP/1.1")):
        pass
    fresh.settle()
    assert [request.target for request in fresh.begun] == ["/outer", "/outer", "/next"]
    assert [request.target for request in fresh.complete] == ["/outer", "/next"]
    assert [request.target for request in fresh.cut] == ["/outer"]
    assert fresh.violations == []


def test_it_counts_no_probe(fresh: Recorder) -> None:
    with sent(fresh, plain(start=f"GET {SENTINEL}1 HTTP/1.1".encode())) as sock:
        assert sock.recv(1_000).endswith(b"/sentinel/1")
    assert (fresh.begun, fresh.complete) == ([], [])


def test_it_answers_with_the_very_bytes(fresh: Recorder) -> None:
    fresh.answer_next(Answer(b"early", Moment.HEAD), Answer(b"\0late\n", then=Then.END))
    with sent(fresh, plain(b"Content-Length: 1", start=b"POST /outer HTTP/1.1")) as sock:
        assert sock.recv(100) == b"early"
        sock.sendall(b"x")
        assert sock.recv(100) == b"\0late\n"
        assert sock.recv(100) == b""


def test_it_resets(fresh: Recorder) -> None:
    fresh.answer_next(Answer(b"", then=Then.RESET))
    with sent(fresh, plain()) as sock, pytest.raises(ConnectionResetError):
        sock.recv(1)


FRAMES = {
    "unmasked": b"\x81\x01x",
    "reserved": b"\xc1\x81\0\0\0\0x",
    "unknown": b"\x83\x81\0\0\0\0x",
    "ping_in_fragments": b"\x09\x80\0\0\0\0",
    "ping_too_long": b"\x89\xfe\x00\x7e\0\0\0\0" + bytes(126),
    "length_too_wide": b"\x81\xfe\x00\x01\0\0\0\0x",
    "length_much_too_wide": b"\x81\xff" + (1).to_bytes(8) + b"\0\0\0\0x",
    "continuation_of_nothing": b"\x80\x80\0\0\0\0",
    "message_within_a_message": b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0",
    "behind_close": b"\x88\x80\0\0\0\0\x89\x80\0\0\0\0",
}


@cases(FRAMES)
def test_it_fails_on_frames_that_are_not_in_order(fresh: Recorder, case: bytes) -> None:
    hello = b"\x81\x85" + MASK_KEY + unmasked(b"hello", MASK_KEY)
    fresh.answer_next(SWITCHING)
    with sent(fresh, plain(*UPGRADE), hello, case):
        assert fresh.frames[0] == Frame(0x81, b"hello")
        assert len(fresh.violations) == 1


RESPONSES = {
    "two_lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "length_and_coding": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "keep_alive": b"HTTP/1.1 200 OK\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n",
    "two_dates": b"HTTP/1.1 200 OK\r\nDate: a\r\nDate: b\r\nContent-Length: 0\r\n\r\n",
    "upgrade": b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
    "interim_with_length": b"HTTP/1.1 103 Hints\r\nContent-Length: 0\r\n\r\n",
    "newline": b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n",
    "version": b"HTTP/2.0 200 OK\r\n\r\n",
    "status": b"HTTP/1.1 099 OK\r\n\r\n",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n05\r\nhello\r\n",
    "trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX : y\r\n\r\n",
}


@cases(RESPONSES)
def test_the_clients_reader_is_as_strict(case: bytes) -> None:
    with pytest.raises(NotStrict):
        ResponseReader().feed(case)


def test_the_clients_reader_knows_how_a_response_ends() -> None:
    reader = ResponseReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\nrest")
    assert reader.message is not None
    assert (reader.is_complete, reader.message.body, reader.message.trailers, reader.rest) == (
        True,
        b"hello",
        [(b"X", b"y")],
        b"rest",
    )
    until_close = ResponseReader()
    until_close.feed(b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert not until_close.is_complete
    until_close.end()
    assert until_close.is_complete
    with pytest.raises(NotStrict):
        ResponseReader().end()


def test_the_clients_reader_of_frames_wants_no_masks() -> None:
    reader = FrameReader(is_masked=False)
    reader.feed(b"\x81\x02hi")
    assert reader.frames == [Frame(0x81, b"hi")]
    with pytest.raises(NotStrict):
        reader.feed(b"\x81\x81\0\0\0\0x")

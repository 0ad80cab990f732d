"""What the frames of a server mean for the streams that we opened."""

from dataclasses import replace

import pytest

from proxy.http2.session.events import BodyReceived, PeerLeaves, ResponseReceived, StreamReset, TrailersReceived
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import Flag, FrameType
from tests.http2_client import ClientWire
from tests.http2_frames import GET, H2_LIMITS, OK, block, body, frame, headers, number, rst

PROTOCOL, CLOSED = ErrorCode.PROTOCOL_ERROR, ErrorCode.STREAM_CLOSED
ANSWER = block(OK)
EARLY = block([(b":status", b"103")])


def test_a_response_with_body_and_trailers() -> None:
    wire = ClientWire()
    stream = wire.request()
    events = wire.receive(
        headers(1, ends=False, payload=EARLY)
        + headers(1, ends=False, payload=ANSWER)
        + body(1, b"hello")
        + headers(1, payload=block([(b"grpc-status", b"0")]))
    )
    assert [type(one) for one in events] == [ResponseReceived, ResponseReceived, BodyReceived, TrailersReceived]
    assert [one.is_interim for one in events if isinstance(one, ResponseReceived)] == [True, False]
    assert stream.is_closed


def test_a_response_without_body_ends_with_its_head() -> None:
    wire = ClientWire()
    stream = wire.request()
    (event,) = wire.receive(headers(1, payload=ANSWER))
    assert isinstance(event, ResponseReceived)
    assert (event.stream, event.is_ended, event.is_interim) == (stream, True, False)
    assert stream.is_closed


def test_a_list_that_is_too_large_counts_as_a_final_head() -> None:
    wire = ClientWire(replace(H2_LIMITS, header_list_bytes=100))
    wire.request()
    (event,) = wire.receive(headers(1, payload=block([*OK, (b"x", b"y" * 100)])))
    assert isinstance(event, ResponseReceived)
    assert (event.decoded.is_too_large, event.is_interim) == (True, False)


def test_a_response_before_the_end_of_its_request_leaves_our_half_open() -> None:
    wire = ClientWire()
    stream = wire.request(ends=False)
    wire.receive(headers(1, payload=ANSWER))
    assert (stream.is_closed, stream.is_remote_ended) == (False, True)
    wire.session.send_data(stream, b"rest")
    wire.session.send_end(stream)
    (sent,) = wire.sent()
    assert (sent.kind, sent.ends, stream.is_closed) == (FrameType.DATA, True, True)


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (body(1, b"x"), PROTOCOL, "DATA before the head of a response"),
        (headers(1, payload=EARLY), PROTOCOL, "interim response that ends its stream"),
        (headers(1, ends=False, payload=ANSWER) * 2, PROTOCOL, "trailers do not end the message"),
    ],
)
def test_what_ends_a_stream(data: bytes, code: int, reason: str) -> None:
    wire = ClientWire()
    wire.request()
    assert wire.reset(data) == (code, reason)


def test_nothing_may_follow_the_end_of_a_response() -> None:
    for more in (headers(1, payload=ANSWER), body(1, b"x")):
        wire = ClientWire()
        wire.request(ends=False)
        wire.receive(headers(1, payload=ANSWER))
        assert wire.reset(more)[0] == CLOSED


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (headers(3, payload=ANSWER), PROTOCOL, "HEADERS for an idle stream"),
        (headers(2, payload=ANSWER), PROTOCOL, "HEADERS for an idle stream"),
        (body(2, b"x"), PROTOCOL, "DATA for an idle stream"),
        (rst(3), PROTOCOL, "RST_STREAM for an idle stream"),
        (frame(FrameType.PUSH_PROMISE, Flag.END_HEADERS, 1, number(2) + block(GET)), PROTOCOL, None),
        (frame(FrameType.CONTINUATION, 4, 1, b"x"), PROTOCOL, "CONTINUATION without HEADERS before it"),
        (headers(1, payload=b"\xff\xff\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR, None),
    ],
)
def test_what_ends_the_connection(data: bytes, code: int, reason: str | None) -> None:
    wire = ClientWire()
    wire.request()
    found = wire.failure(data)
    assert found == (code, reason or found[1])


def test_goaway_refuses_later_streams_and_lets_earlier_ones_go_on() -> None:
    wire = ClientWire()
    first, second = wire.request(), wire.request()
    leaves, refused = wire.receive(frame(FrameType.GOAWAY, 0, 0, number(1) + number(0)))
    assert isinstance(leaves, PeerLeaves)
    assert isinstance(refused, StreamReset)
    assert (refused.stream, refused.code, refused.reason) == (second, ErrorCode.REFUSED_STREAM, "")
    assert (first.is_closed, second.is_closed, wire.session.may_open) == (False, True, False)
    (event,) = wire.receive(headers(1, payload=ANSWER))
    assert isinstance(event, ResponseReceived)


def test_the_second_goaway_names_the_last_stream() -> None:
    wire = ClientWire()
    stream = wire.request()
    (leaves,) = wire.receive(frame(FrameType.GOAWAY, 0, 0, number(2**31 - 1) + number(0)))
    assert isinstance(leaves, PeerLeaves)
    (refused,) = wire.receive(frame(FrameType.GOAWAY, 0, 0, number(0) + number(0)))
    assert isinstance(refused, StreamReset)
    assert refused.stream is stream


def test_a_window_that_was_not_ours_to_give_is_watched() -> None:
    wire = ClientWire()
    wire.request()
    wire.receive(headers(1, ends=False, payload=ANSWER))
    size = H2_LIMITS.stream_window_bytes
    for _ in range(size // 16_384):
        wire.receive(body(1, bytes(16_384)))
    assert wire.reset(body(1, bytes(size % 16_384 + 1)))[0] == ErrorCode.FLOW_CONTROL_ERROR

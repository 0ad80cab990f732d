"""A stream begins in a state, and moves by the table of them."""

import pytest

from proxy.http2.streams.states import (
    CUT,
    DONE,
    END,
    END_LEFT,
    END_SENT,
    ENDED_CUT,
    ENDED_CUT_AT_WORK,
    ENDING,
    OPEN,
    REMOTE_ENDED,
)
from proxy.http2.streams.stream import DEFAULT_URGENCY, SessionStream, StreamSide, own_pieces


def test_a_new_stream_is_open_on_both_sides() -> None:
    stream = SessionStream(5, send_window=65_535, receive_window=70_000)
    assert (stream.id, stream.send_window, stream.receive_window) == (5, 65_535, 70_000)
    assert (stream.state, stream.is_remote_ended, stream.is_end_sent, stream.is_closed) == (OPEN, False, False, False)
    assert (stream.queued, stream.received_bytes, stream.sent_bytes) == (0, 0, 0)
    assert (stream.urgency, stream.is_incremental) == (DEFAULT_URGENCY, False)


def test_it_moves_to_the_next_state() -> None:
    stream = SessionStream(1, 65_535, 65_535)
    assert (stream.on(END), stream.state) == (DONE, OPEN | ENDING)
    assert (stream.on(END_LEFT), stream.state) == (DONE, OPEN | END_SENT)


@pytest.mark.parametrize(
    ("state", "is_remote_ended", "is_end_sent", "is_closed"),
    [
        (OPEN | ENDING, False, False, False),
        (OPEN | END_SENT, False, True, False),
        (REMOTE_ENDED, True, False, False),
        (REMOTE_ENDED | END_SENT, True, True, True),
        (CUT, False, False, True),
        (ENDED_CUT, True, False, True),
        (ENDED_CUT_AT_WORK, True, False, True),
    ],
)
def test_what_a_state_says(state: int, *, is_remote_ended: bool, is_end_sent: bool, is_closed: bool) -> None:
    stream = SessionStream(1, 65_535, 65_535, state)
    assert (stream.is_remote_ended, stream.is_end_sent, stream.is_closed) == (is_remote_ended, is_end_sent, is_closed)


def test_the_driver_hangs_its_own_side_to_a_stream() -> None:
    stream = SessionStream(1, 65_535, 65_535)
    side = StreamSide()
    stream.owner = side
    assert stream.owner is side


def test_views_that_wait_are_copied_from_where_they_were_sent_up_to() -> None:
    stream = SessionStream(1, 65_535, 65_535)
    buffer = bytearray(b"abcdef")
    stream.pieces = [memoryview(buffer)[:3], b"kept", memoryview(buffer)[3:]]
    stream.offset = 1
    own_pieces(stream)
    buffer[:] = b"------"
    assert (stream.pieces, stream.offset) == ([b"bc", b"kept", b"def"], 0)
    stream.pieces = []
    own_pieces(stream)
    assert stream.pieces == []

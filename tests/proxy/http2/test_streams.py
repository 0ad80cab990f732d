"""A stream begins open on both sides, with work to do."""

from proxy.http2.streams import DEFAULT_URGENCY, SessionStream, StreamSide


def test_a_new_stream_is_open_on_both_sides() -> None:
    stream = SessionStream(5, send_window=65_535, receive_window=70_000)
    assert (stream.id, stream.send_window, stream.receive_window) == (5, 65_535, 70_000)
    assert [stream.is_remote_ended, stream.is_local_ended, stream.is_closed] == [False] * 3
    assert stream.has_work
    assert (stream.queued, stream.received_bytes, stream.sent_bytes) == (0, 0, 0)
    assert (stream.urgency, stream.is_incremental) == (DEFAULT_URGENCY, False)


def test_the_driver_hangs_its_own_side_to_a_stream() -> None:
    stream = SessionStream(1, 65_535, 65_535)
    side = StreamSide()
    stream.owner = side
    assert stream.owner is side

"""Events carry what the driver needs."""

from proxy.http2.session.events import ConnectionFailed, PeerLeaves, StreamReset
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ErrorCode


def test_a_reset_tells_who_did_it_by_its_reason() -> None:
    stream = SessionStream(1, 65_535, 65_535)
    event = StreamReset(stream, ErrorCode.CANCEL, "")
    assert (event.stream, event.code, event.reason) == (stream, 8, "")


def test_the_end_of_a_connection_has_a_code() -> None:
    event = ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "no preface")
    assert (event.code, event.reason) == (1, "no preface")
    assert PeerLeaves(ErrorCode.NO_ERROR).code == 0

"""What both sides of a connection do alike: how they begin, and how they fail."""

from dataclasses import replace

import pytest

from proxy.http2.session.client_session import ClientSession
from proxy.http2.session.server_session import ServerSession
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import PREFACE, FrameType
from tests.http2_client import ClientWire
from tests.http2_frames import H2_LIMITS, ROOM, Clock, Wire, cut, headers, number


@pytest.mark.parametrize("side", [ServerSession, ClientSession])
def test_only_another_window_of_the_connection_than_the_default_needs_a_word(
    side: type[ServerSession | ClientSession],
) -> None:
    sessions = [side(replace(H2_LIMITS, connection_window_bytes=size), Clock()) for size in (65_535, 65_536)]
    begun = [cut(one.data_to_send(ROOM).removeprefix(PREFACE)) for one in sessions]
    assert [[one.kind for one in frames] for frames in begun] == [
        [FrameType.SETTINGS],
        [FrameType.SETTINGS, FrameType.WINDOW_UPDATE],
    ]
    assert begun[1][1].number == 1


def test_a_session_that_failed_names_the_last_stream_of_its_peer_once_and_reads_no_more() -> None:
    server, client = Wire(), ClientWire()
    server.request(3)
    client.request()
    for wire, last in ((server, 3), (client, 0)):
        wire.session.fail(ErrorCode.INTERNAL_ERROR)
        wire.session.fail(ErrorCode.SETTINGS_TIMEOUT)
        (goaway,) = wire.sent()
        assert (goaway.kind, goaway.payload) == (FrameType.GOAWAY, number(last) + number(ErrorCode.INTERNAL_ERROR))
        assert wire.receive(headers(5)) == []
        assert wire.session.has_failed

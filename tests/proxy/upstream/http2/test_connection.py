"""One connection to a server of HTTP/2: when it is lent, and how it ends."""

import pytest

from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import FrameType, Setting
from proxy.net.deadlines import NEVER
from proxy.upstream.pooling.failures import UpstreamFault
from tests.fakes_http import request_head
from tests.http2_client import SERVER_HELLO
from tests.http2_frames import OK, block, body, frame, headers, number, rst, setting
from tests.http2_upstream import ANSWER, CLIENT, POST_HEAD, Backend

GOAWAY = frame(FrameType.GOAWAY, 0, 0, number(1) + number(0))


class TestBeginning:
    def test_it_is_lent_when_the_settings_came(self) -> None:
        backend = Backend(hello=b"")
        assert (backend.pool.events, backend.connection.deadline) == ([], backend.loop.now + 5.0)
        backend.receive(SERVER_HELLO)
        assert (backend.pool.events, backend.connection.deadline) == (["ready"], backend.loop.now + 20.0)

    @pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", ANSWER])
    def test_a_server_that_does_not_speak_http2(self, data: bytes) -> None:
        backend = Backend(hello=b"")
        backend.receive(data)
        (event,) = backend.pool.events
        assert event.startswith("lost: ")
        assert (backend.stream.ending, backend.sent()[-1].kind) == ("end", FrameType.GOAWAY)

    def test_a_server_that_says_nothing(self) -> None:
        backend = Backend(hello=b"")
        backend.connection.deadline_passed(backend.loop.now)
        assert backend.pool.events == ["lost: the server sent no SETTINGS in time"]
        assert backend.sent()[-1].number == ErrorCode.SETTINGS_TIMEOUT

    def test_a_server_that_closes_at_once(self) -> None:
        backend = Backend(hello=b"")
        backend.stream.lose(ConnectionResetError(104, "reset"))
        assert backend.pool.events == ["lost: [Errno 104] reset"]


class TestRoom:
    def test_the_servers_limit_counts(self) -> None:
        backend = Backend(hello=setting(Setting.MAX_CONCURRENT_STREAMS, 2))
        for has_room in (True, True, False):
            assert backend.connection.has_room is has_room
            backend.lend()
        assert len([one for one in backend.sent() if one.kind == FrameType.HEADERS]) == 3

    def test_what_is_lent_counts_before_its_stream_is_open(self) -> None:
        backend = Backend(hello=setting(Setting.MAX_CONCURRENT_STREAMS, 1))
        backend.connection.lend(CLIENT)
        assert not backend.connection.has_room


class TestEnds:
    def test_an_idle_connection_ends_with_goaway(self) -> None:
        backend = Backend()
        backend.lend()
        assert backend.connection.deadline == NEVER
        backend.receive(ANSWER)
        backend.connection.keep_unused()
        backend.sent()
        backend.connection.deadline_passed(backend.loop.now)
        assert ([one.kind for one in backend.sent()], backend.stream.ending) == ([FrameType.GOAWAY], "end")

    def test_goaway_of_the_server_lets_streams_end_first(self) -> None:
        backend = Backend()
        _, exchange = backend.lend()
        backend.receive(GOAWAY)
        assert (backend.connection.has_room, backend.stream.ending) == (False, None)
        backend.receive(ANSWER)
        assert (exchange.told(), backend.stream.ending) == ([("started", 200), ("ended", [])], "end")

    def test_goaway_of_an_idle_server_ends_the_connection(self) -> None:
        backend = Backend()
        backend.receive(GOAWAY)
        assert backend.stream.ending == "end"

    def test_leaving_waits_for_open_streams(self) -> None:
        backend = Backend()
        backend.lend()
        backend.connection.leave()
        assert backend.stream.ending is None
        backend.receive(ANSWER)
        assert backend.stream.ending == "end"
        backend.connection.leave()

    def test_a_fault_of_the_server_fails_all_streams(self) -> None:
        backend = Backend()
        exchanges = [backend.lend()[1] for _ in range(2)]
        backend.receive(headers(1, ends=False, payload=block(OK)) + frame(FrameType.DATA, 0, 0, b"x"))
        assert exchanges[0].told() == [("started", 200), ("failed", (UpstreamFault.CUT, False))]
        assert [kind for kind, _ in exchanges[1].told()] == ["failed"]
        assert backend.stream.ending == "end"
        backend.receive(ANSWER)
        backend.stream.lose()

    def test_events_for_streams_that_were_left_mean_nothing(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend(POST_HEAD, is_complete=False)
        backend.receive(headers(1, ends=False, payload=block(OK)))
        carrier.abandon()
        backend.loop.settle()
        backend.receive(body(1, b"x") + headers(1, payload=block([(b"x", b"1")])) + rst(1))
        assert exchange.told() == [("started", 200)]


class TestWriting:
    def test_a_server_that_takes_nothing_keeps_requests_here(self) -> None:
        backend = Backend()
        backend.stream.is_full = True
        backend.lend()
        backend.lend()
        assert len(backend.sent()) == 1
        backend.connection.resume_writing()
        assert len(backend.sent()) == 1

    def test_requests_of_one_turn_leave_together(self) -> None:
        backend = Backend()
        for _ in range(3):
            carrier = backend.connection.lend(CLIENT)
            carrier.is_request_complete = True
            carrier.begin(backend.lend()[1], request_head(), None, POST_HEAD)
        assert len([one for one in backend.sent() if one.kind == FrameType.HEADERS]) == 6


def test_what_a_server_refuses_is_counted() -> None:
    backend = Backend()
    backend.lend()
    backend.lend()
    backend.receive(rst(1, ErrorCode.REFUSED_STREAM) + frame(FrameType.GOAWAY, 0, 0, number(1) + number(0)) * 2)
    assert (backend.counts.refused, backend.counts.goaways) == (2, 1)

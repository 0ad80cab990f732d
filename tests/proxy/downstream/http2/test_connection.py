"""One HTTP/2 connection: its streams, its ends, and what its client owes it."""

import gc
from dataclasses import replace

import pytest
from h2.events import ConnectionTerminated
from h2.settings import SettingCodes

from proxy.downstream.http2.patience import StreamPatience
from proxy.downstream.http2.stream import Http2Stream
from proxy.downstream.pipeline.exchange import Exchange
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import PREFACE, FrameType
from proxy.limits.idleness import Shown
from tests.fakes_http import CLASSICAL, HYBRID, LIMITS, changed, handshake_policy, response
from tests.fakes_http2 import GET, POST, Http2Conversation, frames
from tests.http2_frames import SETTINGS, frame, headers, number
from tests.proxy.downstream.http2.test_byte_stream import Socket

OK = response(b"Content-Length: 2", body=b"ok")


def goodbyes(talk: Http2Conversation) -> list[tuple[int, int]]:
    """Code and last stream of each GOAWAY."""
    return [
        (int(event.error_code or 0), event.last_stream_id or 0)
        for event in talk.events
        if isinstance(event, ConnectionTerminated)
    ]


class TestSettings:
    """The beginning of a connection."""

    def test_client_is_told_the_limits_and_that_websockets_work(self) -> None:
        settings = Http2Conversation().peer.remote_settings
        assert settings.max_concurrent_streams == 8
        assert settings.initial_window_size == 65_536
        assert settings.max_header_list_size == 2_000
        assert settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1

    def test_client_that_does_not_acknowledge_them_is_told_so(self) -> None:
        talk = Http2Conversation(silent=True)
        talk.advance(8.0)
        talk.client.receive(PREFACE + SETTINGS)
        talk.advance(9.0)
        assert talk.cuts == [], "it has its time from its first byte on"
        talk.advance(2.0)
        talk.loop.settle()
        assert frames(talk.client.sent())[-1][-4:] == b"\0\0\0\x04", "SETTINGS_TIMEOUT"
        assert talk.client.ending == "end"
        assert [cut.detail for cut in talk.cuts] == ["our SETTINGS were not acknowledged"]

    @pytest.mark.parametrize("first", [PREFACE[:1], PREFACE, PREFACE + SETTINGS[:-1], PREFACE + SETTINGS + headers(1)])
    def test_client_that_has_begun_to_speak_owes_them(self, first: bytes) -> None:
        talk = Http2Conversation(silent=True)
        talk.client.receive(first)
        talk.advance(11.0)
        assert [cut.detail for cut in talk.cuts] == ["our SETTINGS were not acknowledged"]

    def test_client_that_connects_ahead_is_idle(self) -> None:
        """Chromium does, and says nothing for minutes."""
        talk = Http2Conversation(silent=True)
        talk.advance(74.0)
        assert talk.connection.idle is not None
        assert (talk.connection.idle.shown, talk.client.ending) == (Shown.HANDSHAKE, None)
        talk.advance(3.0)
        goaways = [frame for frame in frames(talk.client.sent()) if frame[3] == FrameType.GOAWAY]
        assert [frame[-4:] for frame in goaways] == [bytes(4)] * 2, "NO_ERROR"
        assert (talk.client.ending, talk.cuts) == ("end", [])

    def test_client_that_connected_ahead_may_ask_later(self) -> None:
        talk = Http2Conversation(silent=True)
        talk.advance(50.0)
        talk.peer.initiate_connection()
        talk.pump()
        talk.ask()
        talk.respond(OK)
        assert talk.connection.idle is not None
        assert talk.connection.idle.shown is Shown.REQUEST

    def test_connection_preface_of_another_protocol_is_refused(self) -> None:
        talk = Http2Conversation(silent=True)
        talk.client.receive(b"GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        talk.loop.settle()
        assert talk.client.ending == "end"
        assert len(talk.cuts) == 1
        assert not talk.server.waiting


class TestLeaving:
    """Connections end so that no request is lost (RFC 9113 6.8)."""

    def test_idle_connection_is_told_twice(self) -> None:
        talk = Http2Conversation()
        talk.ask()
        talk.respond(OK)
        talk.advance(75.5)
        talk.pump()
        assert goodbyes(talk) == [(0, 2**31 - 1)]
        assert talk.client.ending is None
        talk.advance(1.5)
        talk.pump()
        assert goodbyes(talk)[1:] == [(0, 1)]
        assert talk.client.ending == "end"

    def test_drain_finishes_what_is_open_and_what_was_on_its_way(self) -> None:
        talk = Http2Conversation()
        first = talk.ask()
        talk.peer.send_headers(3, list(GET), end_stream=True)
        on_its_way = talk.peer.data_to_send()
        talk.service.connections.drain(10.0)
        talk.loop.settle()
        talk.client.receive(on_its_way)
        talk.advance(1.5)
        talk.pump()
        for _ in range(2):
            talk.server.lend().receive(OK)
        talk.pump()
        assert (talk.body(first), talk.body(3)) == (b"ok", b"ok")
        assert goodbyes(talk) == [(0, 2**31 - 1)]
        talk.advance(1.5)
        talk.pump()
        assert goodbyes(talk)[1:] == [(0, 3)]
        assert talk.client.ending == "end"

    def test_drain_of_a_connection_without_streams_ends_it_after_a_round_trip(self) -> None:
        talk = Http2Conversation()
        talk.ask()
        talk.respond(OK)
        talk.service.connections.drain(10.0)
        talk.advance(1.9)
        talk.pump()
        assert goodbyes(talk) == []
        talk.advance(1.5)
        talk.pump()
        assert goodbyes(talk) == [(0, 2**31 - 1), (0, 1)]
        assert talk.client.ending == "end"
        talk.client.lose()
        assert talk.service.count == 0

    def test_goaway_of_a_drain_comes_in_one_piece_with_the_last_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """python-hyper takes it for the end, and drops what is in progress."""
        talk = Http2Conversation()
        streams = [talk.ask(), talk.ask()]
        talk.service.connections.drain(10.0)
        talk.advance(4.9)
        talk.respond(OK)
        assert goodbyes(talk) == []
        pieces: list[bytes] = []
        monkeypatch.setattr(talk.client, "write", pieces.append)
        talk.server.lend().receive(OK)
        talk.loop.settle()
        assert [[(one[3], one[4] & 1) for one in frames(piece)] for piece in pieces] == [
            [(FrameType.HEADERS, 0), (FrameType.DATA, 1), (FrameType.GOAWAY, 0)]
        ]
        assert streams == [1, 3]

    @pytest.mark.parametrize("ends", [True, False])
    def test_drain_waits_for_half_of_its_time_and_not_for_later_requests(self, *, ends: bool) -> None:
        talk = Http2Conversation()
        talk.ask()
        talk.service.connections.drain(10.0)
        talk.service.connections.drain(10.0)
        talk.advance(3.0)
        later = talk.ask()
        if ends:
            talk.respond(OK)
        else:
            talk.advance(1.9)
            talk.pump()
            assert goodbyes(talk) == []
            talk.advance(0.2)
            talk.pump()
        assert goodbyes(talk) == [(0, 2**31 - 1)]
        talk.service.connections.drain(10.0)
        talk.advance(1.1)
        talk.pump()
        assert goodbyes(talk)[1:] == [(0, later)]
        while talk.server.waiting:
            talk.respond(OK)
        assert talk.body(later) == b"ok"
        assert talk.client.ending == "end"

    def test_drain_does_not_wait_for_what_the_client_has_reset(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask()
        talk.service.connections.drain(10.0)
        talk.peer.reset_stream(stream)
        talk.pump()
        assert goodbyes(talk) == [(0, 2**31 - 1)]

    def test_drain_does_not_wait_for_websockets(self) -> None:
        talk = Socket().talk
        talk.service.connections.drain(10.0)
        talk.advance(2.1)
        talk.pump()
        assert goodbyes(talk) == [(0, 2**31 - 1)]

    @pytest.mark.parametrize("is_new", [True, False])
    @pytest.mark.parametrize("asks", [True, False])
    def test_drain_gives_a_connection_without_a_request_two_seconds_to_ask(self, *, asks: bool, is_new: bool) -> None:
        """Else a client that is between two polls would lose the next one."""
        talk = Http2Conversation()
        if not is_new:
            talk.ask()
            talk.respond(OK)
        talk.service.connections.drain(10.0)
        if asks:
            talk.advance(1.9)
            stream = talk.ask()
            assert goodbyes(talk) == []
            talk.respond(OK)
            assert talk.body(stream) == b"ok"
        else:
            talk.advance(2.1)
            talk.pump()
        assert goodbyes(talk) == [(0, 2**31 - 1)]

    def test_reload_that_forbids_the_client_lets_its_requests_end(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask()
        policies = {"public": handshake_policy(CLASSICAL)}
        talk.service.use(replace(talk.service.runtime, policies=policies), 10.0)
        talk.advance(1.5)
        talk.pump()
        assert goodbyes(talk)
        talk.respond(OK)
        assert talk.body(stream) == b"ok"
        assert talk.client.ending == "end"

    def test_reload_that_allows_the_client_changes_nothing(self) -> None:
        talk = Http2Conversation()
        talk.service.use(replace(talk.service.runtime, policies={"public": handshake_policy()}), 10.0)
        talk.advance(1.5)
        talk.pump()
        assert not goodbyes(talk)
        assert talk.ask() == 1
        assert talk.server.waiting

    def test_client_that_leaves_has_its_streams_finished(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask()
        talk.peer.close_connection()
        frames = talk.peer.data_to_send()
        talk.client.receive(frames)
        talk.advance(1.5)
        assert talk.client.ending is None
        server = talk.server.lend()
        server.receive(OK)
        talk.loop.settle()
        assert stream == 1
        assert b"ok" in talk.client.sent()
        assert talk.client.ending == "end"

    def test_request_behind_the_goaway_of_its_client_is_answered(self) -> None:
        talk = Http2Conversation()
        talk.client.receive(frame(FrameType.GOAWAY, payload=number(0) + number(0)))
        talk.advance(0.5)
        assert talk.client.ending is None
        talk.pump()  # the library forgets what it wrote before it reads our GOAWAY
        stream = talk.ask()
        talk.respond(OK)
        assert talk.body(stream) == b"ok"
        talk.advance(1.0)
        assert talk.client.ending == "end"

    def test_client_that_said_goodbye_is_drained_all_the_same(self) -> None:
        talk = Http2Conversation()
        talk.ask()
        talk.client.receive(frame(FrameType.GOAWAY, payload=number(0) + number(0)))
        talk.service.connections.drain(10.0)
        talk.advance(1.5)
        talk.pump()
        assert [code for code, _ in goodbyes(talk)] == [0, 0]
        late = talk.ask()
        assert talk.reset_code(late) == ErrorCode.REFUSED_STREAM


class TestEnds:
    """Connections that end at once."""

    def test_client_that_leaves_learns_how_its_last_stream_ended(self) -> None:
        talk = Http2Conversation()
        talk.ask()
        talk.peer.close_connection()
        talk.pump()
        backend = talk.server.lend()
        backend.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha")
        talk.advance(1.5)
        backend.lose()
        talk.loop.settle()
        reset = bytes([3, 0]) + (1).to_bytes(4) + ErrorCode.INTERNAL_ERROR.to_bytes(4)
        assert frames(talk.client.sent())[-1][3:] == reset
        assert talk.client.ending == "end"

    def test_fault_of_a_client_that_leaves_is_named(self) -> None:
        talk = Http2Conversation()
        talk.ask()
        talk.peer.close_connection()
        talk.pump()
        talk.client.receive(b"\0\0\0\0\0\0\0\0\0")  # DATA for stream 0
        assert [frame[3:] for frame in frames(talk.client.sent())] == [
            bytes([7, 0]) + bytes(4) + (1).to_bytes(4) + ErrorCode.PROTOCOL_ERROR.to_bytes(4)
        ]
        assert talk.client.ending == "end"

    def test_fault_ends_all_streams(self) -> None:
        talk = Http2Conversation()
        talk.ask()
        server = talk.server.lend()
        talk.client.receive(b"\0\0\x05\x06\0\0\0\0\0hello")  # a PING has eight bytes
        talk.pump()
        assert goodbyes(talk)[-1][0] == ErrorCode.FRAME_SIZE_ERROR
        assert server.ending == "abort"
        assert talk.client.ending == "end"
        assert len(talk.cuts) == 1
        assert talk.records[0].status == 499

    def test_silent_end_of_the_client_ends_it(self) -> None:
        talk = Http2Conversation()
        talk.ask()
        talk.client.receive_end()
        assert talk.client.ending == "end"
        assert [record.status for record in talk.records] == [499]

    def test_idle_connection_makes_room_and_a_busy_one_does_not(self) -> None:
        talk = Http2Conversation()
        began = talk.loop.time()
        talk.advance(30.0)
        assert talk.connection.idle is not None
        assert talk.connection.idle.since == began
        talk.ask()
        assert talk.connection.idle is None
        talk.respond(OK)
        talk.advance(30.0)
        assert len(talk.service.shed(1)) == 1
        talk.pump()
        assert goodbyes(talk)[-1] == (0, 1)
        assert talk.client.ending == "end_at_once"

    def test_connection_that_is_given_up_is_cut(self) -> None:
        talk = Http2Conversation()
        talk.ask()
        talk.service.connections.give_up("the process ends")
        talk.loop.settle()
        assert talk.client.ending == "cut"
        assert talk.records[0].error == "the process ends"


class TestTransport:
    """A client whose socket takes nothing."""

    def test_nothing_is_fetched_while_it_is_blocked_and_all_comes_afterwards(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask()
        talk.client.is_full = True
        talk.respond(response(b"Content-Length: 40000", body=b"x" * 40_000))
        second = talk.ask()
        assert talk.client.is_blocked
        talk.client.take()
        talk.pump()
        assert len(talk.body(stream)) == 40_000
        assert second == 3

    def test_client_that_takes_nothing_is_given_up(self) -> None:
        talk = Http2Conversation(limits=changed(LIMITS, response_bytes_per_second=1_000))
        talk.ask()
        talk.client.is_full = True
        talk.respond(response(b"Content-Length: 40000", body=b"x" * 40_000))
        for _ in range(10):
            talk.advance(30.0)
        assert talk.client.ending == "abort"
        assert str(talk.records[0].error).startswith("reader_timeout")

    def test_answers_of_one_turn_leave_as_one_piece(self) -> None:
        talk = Http2Conversation()
        talk.ask()
        talk.ask()
        servers = [talk.server.lend(), talk.server.lend()]
        for server in servers:
            server.receive(OK)
        assert not talk.client.written, "they wait for the end of the turn"
        talk.pump()
        assert [record.status for record in talk.records] == [200, 200]


@pytest.mark.parametrize("group", [HYBRID])
def test_all_of_a_connection_is_let_go_when_it_ends(group: object) -> None:
    assert group is HYBRID
    talk = Http2Conversation()
    talk.ask(POST, b"hello")
    talk.respond(OK)
    talk.client.lose()
    talk.loop.settle()
    assert talk.service.count == 0
    assert talk.connection.idle is not None
    assert not talk.connection.facts.keeps_servers


def test_stream_is_let_go_when_it_ends_without_the_garbage_collector() -> None:
    def kept() -> set[int]:
        kinds = (Http2Stream, StreamPatience, Exchange)
        return {id(one) for one in gc.get_objects() if isinstance(one, kinds)}

    talk = Http2Conversation()
    gc.collect()
    gc.disable()
    others = kept()
    try:
        for _ in range(3):
            talk.ask()
            talk.respond(OK)
            talk.ask(POST, b"hello")
            talk.respond(OK)
        assert kept() <= others
        talk.peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        talk.ask()
        talk.respond(OK)
        talk.client.lose()
        talk.loop.settle()
        assert kept() <= others, "its answer could not be sent"
    finally:
        gc.enable()

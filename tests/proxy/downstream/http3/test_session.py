"""The session of HTTP/3 over a connection that is played: what it tells its driver, and what it asks of QUIC."""

from dataclasses import replace
from typing import Any

import pytest

from proxy.downstream.http3.session import Http3Session
from proxy.http2.hpack.never_indexed import SECRET_NAMES
from proxy.http2.session.events import (
    BodyReceived,
    ConnectionFailed,
    PeerLeaves,
    RequestReceived,
    SessionEvent,
    StreamReset,
    TrailersReceived,
)
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ErrorCode
from proxy.limits.reasons import ConnectionReason
from proxy.quic.events import QuicEvent as Q
from proxy.quic.faults import QuicFault
from tests.fakes_quic import FakeQuicTransport, fields
from tests.http2_frames import H2_LIMITS, Clock

OK = [[(b":status", b"200")], [(b"a", b"b")]]
# with one stream, each free place is told
LIMITS = replace(H2_LIMITS, streams=1, connection_window_bytes=1_000, resets=2, resets_per_second=0.001)


class Conversation:
    """One session, and the connection below it."""

    def __init__(self) -> None:
        self.transport = FakeQuicTransport()
        self.native = self.transport.native
        self.session = Http3Session(LIMITS, self.transport, Clock())

    def came(self, *events: tuple[Any, ...]) -> list[SessionEvent]:
        """What the driver is told of these."""
        self.transport.tell(*events)
        return self.session.receive_data(b"")

    def went(self, *events: tuple[Any, ...]) -> None:
        """These happen as packets are written."""
        self.transport.leave(*events)
        assert self.session.data_to_send(1) == b""

    def request(self, number: int = 0, *, ends: bool = True) -> SessionStream:
        """One with an identifier of QUIC."""
        (event,) = self.came((Q.HEAD, number, fields(), None, 0, int(ends)))
        assert isinstance(event, RequestReceived)
        return event.stream

    def answer(self, stream: SessionStream, number: int = 0) -> None:
        """All of one, which the client takes."""
        self.session.send_head(stream, OK, ends=True)
        self.went((Q.END_SENT, number))
        self.came((Q.CLOSED, number))


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


class TestRequests:
    def test_identifiers_are_those_that_http_2_would_have(self, talk: Conversation) -> None:
        assert [talk.request(number).id for number in (0, 4, 12, 8)] == [1, 3, 7, 5]
        assert talk.session.last_taken == 7

    def test_a_head_brings_its_fields_and_what_is_never_indexed(self, talk: Conversation) -> None:
        marked = [b"x-secret", b"cookie"]
        (event,) = talk.came((Q.HEAD, 0, fields(b"/a"), marked, 1, 0))
        assert isinstance(event, RequestReceived)
        assert (event.decoded.fields, event.decoded.is_too_large) == (fields(b"/a"), True)
        assert event.decoded.never_indexed == {b"x-secret"}
        assert not event.is_ended
        assert not event.stream.is_remote_ended

    def test_a_body_comes_in_one_piece_for_one_turn_with_its_end(self, talk: Conversation) -> None:
        stream = talk.request(ends=False)
        (event,) = talk.came((Q.BODY, 0, b"a"), (Q.BODY, 0, b"b"), (Q.END, 0))
        assert isinstance(event, BodyReceived)
        assert (event.data, event.is_ended, event.stream) == (b"ab", True, stream)
        assert talk.came((Q.END, 0)) == []

    def test_two_streams_get_their_bodies_apart(self, talk: Conversation) -> None:
        talk.request(0, ends=False)
        talk.request(4, ends=False)
        events = talk.came((Q.BODY, 0, b"a"), (Q.BODY, 4, b"b"))
        assert [one.data for one in events if isinstance(one, BodyReceived)] == [b"a", b"b"]

    def test_trailers_end_a_request(self, talk: Conversation) -> None:
        stream = talk.request(ends=False)
        (event,) = talk.came((Q.TRAILERS, 0, [(b"t", b"1")], None, 0, 1), (Q.END, 0))
        assert isinstance(event, TrailersReceived)
        assert stream.is_remote_ended
        assert talk.came((Q.TRAILERS, 0, [], None, 0, 1)) == []

    def test_what_is_not_wanted_is_credited_and_not_told(self, talk: Conversation) -> None:
        stream = talk.request(ends=False)
        talk.session.stop_request(stream)
        assert talk.came((Q.BODY, 0, b"abc")) == []
        assert talk.native.calls("credit") == [("credit", 0, 3, 3)]
        other = talk.request(4, ends=False)
        talk.session.stop_request(other)
        assert talk.came((Q.END, 0), (Q.TRAILERS, 4, [], None, 0, 1)) == []

    def test_a_length_is_watched(self, talk: Conversation) -> None:
        stream = talk.request(ends=False)
        assert talk.session.expects(stream, 3)
        talk.came((Q.BODY, 0, b"abcd"))
        assert not talk.session.expects(stream, 3)
        ended = talk.request(4)
        assert talk.session.expects(ended, 0)
        assert not talk.session.expects(ended, 1)

    def test_a_client_that_leaves_is_told_of(self, talk: Conversation) -> None:
        (event,) = talk.came((Q.LEAVES,))
        assert isinstance(event, PeerLeaves)

    def test_a_head_that_is_not_complete_is_seen(self, talk: Conversation) -> None:
        assert not talk.session.is_head_incomplete
        talk.native.incomplete_heads = 1
        assert talk.session.is_head_incomplete
        assert talk.session.settings_acked
        assert talk.session.refused_streams == 0


class TestCredit:
    def test_the_stream_waits_where_bytes_are_kept(self, talk: Conversation) -> None:
        stream = talk.request(ends=False)
        talk.came((Q.BODY, 0, b"x" * 1_000))
        assert talk.session.is_window_used_up
        talk.session.keep(stream, 600)
        assert not talk.session.is_window_used_up
        talk.session.consumed(stream, 1_000)
        talk.session.keep(stream, 1)
        talk.session.consumed(stream, 1)
        assert talk.native.calls("credit") == [("credit", 0, 0, 600), ("credit", 0, 1_000, 400)]

    def test_a_stream_that_has_ended_needs_none(self, talk: Conversation) -> None:
        stream = talk.request(ends=False)
        talk.came((Q.BODY, 0, b"abc"), (Q.END, 0))
        talk.session.consumed(stream, 3)
        assert talk.native.calls("credit") == [("credit", 0, 0, 3)]

    def test_the_connection_gets_back_what_a_stream_leaves(self, talk: Conversation) -> None:
        stream = talk.request(ends=False)
        talk.came((Q.BODY, 0, b"abc"))
        talk.session.reset(stream, ErrorCode.CANCEL)
        assert talk.native.calls("credit") == [("credit", 0, 0, 3)]


class TestAnswers:
    def test_heads_go_by_their_kind(self, talk: Conversation) -> None:
        stream = talk.request(4)
        stream.never_indexed = frozenset({b"x"})
        interim = [[(b":status", b"103")]]
        talk.session.send_head(stream, interim, ends=False)
        talk.session.send_head(stream, OK, ends=False)
        other = talk.request(8)
        talk.session.send_head(other, OK, ends=True)
        talk.session.send_head(other, OK, ends=True)  # it has ended
        marked = SECRET_NAMES | {b"x"}
        assert talk.native.calls("send_head") == [
            ("send_head", 4, interim, marked, 0),
            ("send_head", 4, OK, marked, 1),
            ("send_head", 8, OK, SECRET_NAMES, 2),
        ]

    def test_a_body_waits_until_packets_take_it(self, talk: Conversation) -> None:
        stream = talk.request()
        talk.session.send_head(stream, OK, ends=False)
        talk.session.send_data(stream, memoryview(b"x" * 70_000))
        talk.session.send_data(stream, b"")
        assert (stream.queued, stream.is_blocked) == (70_000, True)
        talk.went((Q.LEFT, 0, 20_000))
        assert (stream.queued, stream.is_blocked, talk.session.take_unblocked()) == (50_000, True, [])
        talk.went((Q.LEFT, 0, 40_000))
        assert (stream.sent_bytes, talk.session.sent_bytes, stream.is_blocked) == (60_000, 60_000, False)
        assert talk.session.take_unblocked() == [stream]
        assert talk.session.take_unblocked() == []

    def test_an_answer_ends_when_its_end_left(self, talk: Conversation) -> None:
        stream = talk.request()
        talk.session.send_head(stream, OK, ends=False)
        talk.session.send_end(stream, [(b"t", b"1")])
        talk.session.send_end(stream)
        assert talk.native.calls("send_end") == [("send_end", 0, [(b"t", b"1")])]
        assert not stream.is_end_sent
        talk.went((Q.END_SENT, 0))
        assert stream.is_end_sent
        assert stream.is_closed
        assert talk.session.has_streams
        talk.came((Q.CLOSED, 0))
        assert not talk.session.has_streams
        assert talk.native.calls("allow_streams", "keep_alive")[-2:] == [("keep_alive", 0.0), ("allow_streams", 1)]

    def test_nothing_is_sent_where_only_acknowledgements_are_to_be_taken(self, talk: Conversation) -> None:
        assert talk.session.data_to_send(0) == b""
        assert talk.transport.transmits == 0

    def test_a_turn_that_brought_requests_alone_waits_once_for_their_answer(self, talk: Conversation) -> None:
        talk.request()
        talk.session.data_to_send(1)
        assert (talk.transport.holds, talk.transport.transmits) == (1, 0)
        talk.session.data_to_send(1)
        assert (talk.transport.holds, talk.transport.transmits) == (1, 1)

    def test_an_answer_in_the_same_turn_is_sent(self, talk: Conversation) -> None:
        talk.session.send_head(talk.request(), OK, ends=True)
        talk.session.data_to_send(1)
        assert (talk.transport.holds, talk.transport.transmits) == (0, 1)

    def test_our_reset_and_our_goaway_are_sent(self, talk: Conversation) -> None:
        talk.session.reset(talk.request(0), ErrorCode.INTERNAL_ERROR)
        talk.session.data_to_send(1)
        talk.request(4)
        talk.session.go_away(is_final=False)
        talk.session.data_to_send(1)
        talk.request(8)
        talk.session.fail(ErrorCode.INTERNAL_ERROR)
        talk.session.data_to_send(1)
        assert (talk.transport.holds, talk.transport.transmits) == (0, 3)

    def test_a_body_is_acknowledged_at_once(self, talk: Conversation) -> None:
        talk.request(0, ends=False)
        talk.session.data_to_send(1)
        talk.came((Q.HEAD, 4, fields(), None, 0, 1), (Q.BODY, 0, b"a"))
        talk.session.data_to_send(1)
        assert (talk.transport.holds, talk.transport.transmits) == (0, 2)

    def test_no_answer_waits_for_another_one(self, talk: Conversation) -> None:
        first = talk.request(0)
        talk.session.send_head(first, OK, ends=False)
        talk.session.send_data(first, b"abc")
        talk.request(4)
        talk.session.data_to_send(1)
        assert (talk.transport.holds, talk.transport.transmits) == (0, 1)

    def test_priorities_are_those_of_quic(self, talk: Conversation) -> None:
        talk.session.prioritize(talk.request(), b"u=0")
        assert talk.native.calls("prioritize") == []


class TestEnds:
    def test_a_client_may_give_up(self, talk: Conversation) -> None:
        stream = talk.request(4)
        talk.session.send_head(stream, OK, ends=False)
        talk.session.send_data(stream, b"abc")
        (event,) = talk.came((Q.RESET, 4, 0x10C))
        assert isinstance(event, StreamReset)
        assert (event.stream, event.reason) == (stream, "")
        assert stream.is_closed
        assert stream.queued == 0
        assert talk.native.calls("reset") == [("reset", 4, 0x10C)]
        assert talk.came((Q.RESET, 4, 0x10C), (Q.BODY, 4, b"x")) == []
        talk.went((Q.LEFT, 4, 3))
        talk.session.send_data(stream, b"x")
        assert talk.session.sent_bytes == 0

    def test_a_stream_counts_until_the_work_for_it_has_ended(self, talk: Conversation) -> None:
        stream = talk.request()
        talk.came((Q.RESET, 0, 0x10C))
        talk.came((Q.CLOSED, 0))
        assert talk.native.calls("allow_streams") == []
        talk.session.work_ended(stream)
        talk.session.work_ended(stream)
        assert talk.native.calls("allow_streams") == [("allow_streams", 1)]

    def test_work_that_ends_first_leaves_the_place_to_the_end_of_the_stream(self, talk: Conversation) -> None:
        stream = talk.request()
        talk.came((Q.RESET, 0, 0x10C))
        talk.session.work_ended(stream)
        assert talk.native.calls("allow_streams") == []
        talk.came((Q.CLOSED, 0))
        assert talk.native.calls("allow_streams") == [("allow_streams", 1)]

    def test_a_client_that_stops_an_answer_is_found_when_the_stream_closes(self, talk: Conversation) -> None:
        stream = talk.request()
        (event,) = talk.came((Q.CLOSED, 0))
        assert isinstance(event, StreamReset)
        assert event.stream is stream

    def test_what_packets_find_is_told_in_the_next_turn(self, talk: Conversation) -> None:
        talk.request()
        talk.session.data_to_send(1)  # waits for the answer
        talk.went((Q.RESET, 0, 0x10C))
        assert talk.transport.turns == 1
        (event,) = talk.session.receive_data(b"")
        assert isinstance(event, StreamReset)

    def test_a_fault_of_a_message_is_one_of_its_client(self, talk: Conversation) -> None:
        stream = talk.request(ends=False)
        (event,) = talk.came((Q.FAULT, 0, 0x10E, None), (Q.FAULT, 0, 0x10E, None))
        assert isinstance(event, StreamReset)
        assert (event.stream, event.code) == (stream, ErrorCode.PROTOCOL_ERROR)
        assert event.reason
        assert event.fields is None, "its request has a line of its own"

    def test_a_request_that_is_refused_below_brings_the_fields_that_came(self, talk: Conversation) -> None:
        came: list[tuple[bytes, bytes]] | None
        for number, came in ((4, fields()), (8, None)):
            (event,) = talk.came((Q.FAULT, number, 0x10E, came), (Q.FAULT, number, 0x10E, None))
            assert isinstance(event, StreamReset)
            assert (event.stream.is_closed, event.fields) == (True, came or [])

    def test_a_stream_behind_our_goaway_is_nobodys_fault(self, talk: Conversation) -> None:
        assert talk.came((Q.FAULT, 4, 0x10B, None), (Q.CLOSED, 4), (Q.END, 4)) == []
        assert talk.native.calls("allow_streams") == [("allow_streams", 1)]

    def test_our_reset_has_a_code_of_http_3(self, talk: Conversation) -> None:
        stream = talk.request()
        talk.session.reset(stream, ErrorCode.INTERNAL_ERROR)
        talk.session.reset(stream, ErrorCode.INTERNAL_ERROR)
        assert talk.native.calls("reset") == [("reset", 0, 0x102)]

    def test_a_request_that_is_answered_is_asked_to_stop(self, talk: Conversation) -> None:
        stream = talk.request(ends=False)
        talk.session.send_head(stream, OK, ends=True)
        talk.went((Q.END_SENT, 0))
        talk.session.stop_request(stream)
        talk.session.reset(stream, ErrorCode.NO_ERROR)
        assert talk.native.calls("stop", "reset") == [("stop", 0, 0x100)]
        assert stream.is_closed

    def test_goaway_comes_twice(self, talk: Conversation) -> None:
        for is_final in (False, False, True, True):
            talk.session.go_away(is_final=is_final)
        assert talk.native.calls("go_away") == [("go_away", False), ("go_away", True)]

    def test_too_many_resets_end_the_connection(self, talk: Conversation) -> None:
        for number in (0, 4, 8):
            talk.request(number)
        events = talk.came(*((Q.RESET, number, 0x10C) for number in (0, 4, 8)))
        failed = events[-1]
        assert isinstance(failed, ConnectionFailed)
        assert talk.session.reason_of(failed.code, failed.reason) is ConnectionReason.HTTP3_RAPID_RESET
        assert talk.transport.close_code == 0x107
        assert talk.session.has_failed
        assert talk.came((Q.HEAD, 12, fields(), None, 0, 1)) == []

    def test_answered_requests_earn_resets(self, talk: Conversation) -> None:
        for place in range(12):
            talk.answer(talk.request(8 * place), 8 * place)
            if place % 4 == 3:
                talk.request(8 * place + 4)
                (event,) = talk.came((Q.RESET, 8 * place + 4, 0x10C))
                assert isinstance(event, StreamReset)

    def test_too_many_of_our_resets_for_its_errors_end_it_too(self, talk: Conversation) -> None:
        for number in (0, 4, 8):
            talk.session.reset(talk.request(number), ErrorCode.PROTOCOL_ERROR)
        (failed,) = talk.came()
        assert isinstance(failed, ConnectionFailed)
        assert talk.session.reason_of(failed.code, failed.reason) is ConnectionReason.HTTP3_PROVOKED_RESETS

    def test_a_fault_of_the_connection_ends_all(self, talk: Conversation) -> None:
        stream = talk.request(ends=False)
        closed = talk.request(4)
        talk.session.reset(closed, ErrorCode.CANCEL)
        assert talk.session.reason_of(ErrorCode.ENHANCE_YOUR_CALM, "?") is ConnectionReason.HTTP3_PROTOCOL_ERROR
        talk.transport.fault = QuicFault(ConnectionReason.HTTP3_PATH_FLOOD, "too many of them")
        (failed,) = talk.came()
        assert isinstance(failed, ConnectionFailed)
        assert failed.reason == "too many of them"
        assert talk.session.reason_of(failed.code, failed.reason) is ConnectionReason.HTTP3_PATH_FLOOD
        assert stream.is_closed
        talk.session.fail(ErrorCode.CANCEL)
        talk.session.go_away(is_final=True)
        assert talk.native.calls("go_away") == []

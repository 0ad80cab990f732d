"""The server's side of one HTTP/2 connection: with python-hyper as its client, and with anything at all."""

from dataclasses import replace
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http2.session.events import (
    BodyReceived,
    ConnectionFailed,
    RequestReceived,
    SessionEvent,
    StreamReset,
    TrailersReceived,
)
from proxy.http2.session.server_session import ServerSession
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import LAST_STREAM, Flag, FrameType
from proxy.http2.wire.limits import SessionLimits
from tests.http2_frames import (
    GET,
    H2_LIMITS,
    HELLO,
    OK,
    SETTINGS,
    Clock,
    Wire,
    block,
    body,
    frame,
    headers,
    number,
    rst,
    window_update,
)


class TestBeginning:
    def test_our_settings_and_the_window_of_the_connection_come_first(self) -> None:
        first, second = Wire(hello=b"").sent()
        assert (first.kind, first.flags) == (FrameType.SETTINGS, 0)
        assert (second.kind, second.stream, second.number) == (FrameType.WINDOW_UPDATE, 0, 200_000 - 65_535)


class TestClosedStreams:
    def test_calls_for_them_do_nothing(self) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        wire.receive(rst(1))
        wire.session.send_head(stream, [OK], ends=False)
        wire.session.send_data(stream, b"x")
        wire.session.send_end(stream)
        wire.session.stop_request(stream)
        wire.session.reset(stream, ErrorCode.CANCEL)
        wire.session.consumed(stream, 5)
        wire.session.prioritize(stream, b"u=1")
        assert wire.sent() == []
        assert stream.urgency == 3

    def test_nothing_follows_the_end_of_an_answer(self) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        wire.session.send_head(stream, [OK], ends=True)
        wire.sent()
        wire.session.send_head(stream, [OK], ends=False)
        wire.session.send_data(stream, b"x")
        wire.session.send_end(stream)
        assert wire.sent() == []


class TestStoppedRequests:
    """An early answer (RFC 9113 8.1)."""

    @pytest.mark.parametrize("answers_first", [True, False])
    def test_the_client_is_told_behind_the_answer(self, *, answers_first: bool) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        wire.receive(body(1, b"x" * 100))
        wire.session.send_head(stream, [[(b":status", b"413")]], ends=False)
        if not answers_first:
            wire.session.stop_request(stream)
        wire.session.send_data(stream, b"too long")
        wire.session.send_end(stream)
        if answers_first:
            wire.session.stop_request(stream)
        assert wire.receive(body(1, b"y" * 100)) == []
        assert [(one.kind, one.ends) for one in wire.sent()] == [
            (FrameType.HEADERS, False),
            (FrameType.DATA, True),
        ]
        assert (stream.is_closed, wire.session.has_streams) == (False, True)
        wire.session.reset(stream, ErrorCode.NO_ERROR)
        assert [(one.kind, one.number) for one in wire.sent()] == [(FrameType.RST_STREAM, ErrorCode.NO_ERROR)]
        assert (stream.is_closed, wire.session.has_streams, wire.session._table.open) == (True, False, 0)
        assert wire.receive(body(1, b"y" * 100, ends=True)) == []

    @pytest.mark.parametrize(
        ("rest", "code"),
        [
            (body(1, b"abcde", ends=True), ErrorCode.PROTOCOL_ERROR),
            (body(1, b"abcde"), ErrorCode.PROTOCOL_ERROR),
            (body(1, b"a", ends=True), ErrorCode.PROTOCOL_ERROR),
            (headers(1, ends=False, payload=block([(b"x-sum", b"1")])), ErrorCode.PROTOCOL_ERROR),
            (body(1, b"abc") + headers(1, payload=block([(b":method", b"GET")])), ErrorCode.PROTOCOL_ERROR),
            (window_update(1, LAST_STREAM) * 2, ErrorCode.FLOW_CONTROL_ERROR),
            (window_update(1, 0), ErrorCode.PROTOCOL_ERROR),
        ],
        ids=["longer", "longer_without_end", "shorter", "no_trailers", "pseudo_trailers", "window", "no_credit"],
    )
    def test_a_request_is_judged_to_its_end_behind_its_answer(self, rest: bytes, code: int) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        assert wire.session.expects(stream, 3)
        wire.session.send_head(stream, [OK], ends=True)
        wire.session.stop_request(stream)
        assert [one.kind for one in wire.sent()] == [FrameType.HEADERS]
        assert wire.reset(rest)[0] == code

    @pytest.mark.parametrize("end", [body(1, b"", ends=True), headers(1, payload=block([(b"x-sum", b"1")]))])
    def test_a_request_that_ends_meanwhile_needs_no_word(self, end: bytes) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        wire.session.stop_request(stream)
        assert wire.receive(end) == []
        wire.session.stop_request(stream)
        wire.session.send_head(stream, [OK], ends=True)
        assert [one.kind for one in wire.sent()] == [FrameType.HEADERS]
        assert (stream.is_closed, wire.session.has_streams) == (True, False)

    def test_the_body_that_is_dropped_gets_credit(self) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        wire.receive(body(1, bytes(16_384)) * 3)
        wire.session.stop_request(stream)
        (sent,) = wire.sent()
        assert (sent.stream, sent.number) == (1, 3 * 16_384)


class TestGoingAway:
    def test_first_all_may_come_then_those_that_were_taken_up(self) -> None:
        wire = Wire()
        first = wire.request(1)
        wire.session.go_away(is_final=False)
        wire.session.go_away(is_final=False)
        second = wire.request(3)
        assert wire.session.last_taken == 3
        wire.session.go_away(is_final=True)
        wire.session.go_away(is_final=True)
        wire.session.go_away(is_final=False)
        assert [(one.payload[:4], one.number) for one in wire.sent()] == [
            (number(LAST_STREAM), ErrorCode.NO_ERROR),
            (number(3), ErrorCode.NO_ERROR),
        ]
        assert wire.receive(headers(5)) == []
        (refused,) = wire.sent()
        assert (refused.stream, refused.number) == (5, ErrorCode.REFUSED_STREAM)
        for stream in (first, second):
            wire.session.send_head(stream, [OK], ends=True)
        assert [one.stream for one in wire.sent()] == [1, 3]
        assert wire.session._table.open == 0

    def test_without_streams_none_is_taken_up(self) -> None:
        wire = Wire()
        wire.session.go_away(is_final=True)
        (sent,) = wire.sent()
        assert sent.payload == bytes(8)
        assert wire.receive(headers(1)) == []


class TestFailing:
    def test_the_driver_may_end_all(self) -> None:
        wire = Wire(hello=b"")
        wire.receive(HELLO[:-9])
        streams = [wire.request(1), wire.request(3, ends=False)]
        wire.session.send_head(streams[0], [OK], ends=False)
        wire.session.send_data(streams[0], b"x")
        wire.session.fail(ErrorCode.SETTINGS_TIMEOUT)
        wire.session.fail(ErrorCode.INTERNAL_ERROR)
        wire.session.go_away(is_final=True)
        assert [stream.is_closed for stream in streams] == [True, True]
        last = wire.sent()[-1]
        assert (last.payload, last.number) == (number(3) + number(4), ErrorCode.SETTINGS_TIMEOUT)
        assert wire.receive(headers(5)) == []
        assert not wire.session._outbox.has_data

    def test_too_many_provoked_resets_end_it_with_the_next_input(self) -> None:
        wire = Wire(replace(H2_LIMITS, resets=1, resets_per_second=0.001))
        for one in (1, 3):
            wire.session.reset(wire.request(one), ErrorCode.PROTOCOL_ERROR)
        code, reason = wire.failure(SETTINGS)
        assert (code, reason.partition(":")[0]) == (ErrorCode.ENHANCE_YOUR_CALM, "provoked_resets")


class Dialogue:
    """python-hyper talks to a session; each answer of the session is by `answer`."""

    def __init__(self, limits: SessionLimits = H2_LIMITS) -> None:
        self.clock = Clock()
        self.server = ServerSession(limits, self.clock)
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.client.initiate_connection()
        self.told: list[SessionEvent] = []
        self.got: list[Any] = []

    def turn(self, room: int = 65_536) -> bool:
        """Carry bytes both ways; whether there were any. Whatever arrives is consumed at once."""
        up = self.client.data_to_send()
        events = self.server.receive_data(up)
        for event in events:
            assert not isinstance(event, ConnectionFailed), event.reason
            if isinstance(event, BodyReceived):
                self.server.consumed(event.stream, len(event.data))
        self.told += events
        down = self.server.data_to_send(room)
        for one in self.client.receive_data(down):
            if isinstance(one, h2.events.DataReceived):
                self.client.acknowledge_received_data(one.flow_controlled_length, one.stream_id)
            self.got.append(one)
        return bool(up or down)

    def rest(self) -> None:
        """Go on until both are silent."""
        while self.turn():
            self.clock.now += 0.01

    def ask(self, stream: int, *, ends: bool = True) -> SessionStream:
        """A request that arrives."""
        self.client.send_headers(stream, GET, end_stream=ends)
        self.turn()
        event = self.told[-1]
        assert isinstance(event, RequestReceived)
        assert event.decoded.fields == GET
        return event.stream

    def answer_of(self, stream: int) -> bytes:
        return b"".join(
            one.data for one in self.got if isinstance(one, h2.events.DataReceived) and one.stream_id == stream
        )


class TestPythonHyper:
    def test_many_requests(self) -> None:
        talk = Dialogue()
        for one in range(1, 601, 2):
            stream = talk.ask(one)
            talk.server.send_head(stream, [[*OK, (b"x-number", b"%d" % one)]], ends=False)
            talk.server.send_data(stream, b"answer %d" % one)
            talk.server.send_end(stream)
            talk.rest()
            assert talk.answer_of(one) == b"answer %d" % one
        assert talk.server._table.open == 0
        assert talk.server.settings_acked

    def test_a_download_of_many_windows_with_trailers(self) -> None:
        talk = Dialogue()
        stream = talk.ask(1)
        talk.server.send_head(stream, [OK], ends=False)
        whole = bytes(index % 251 for index in range(1_000_000))
        for start in range(0, len(whole), 50_000):
            talk.server.send_data(stream, whole[start : start + 50_000])
            while stream.is_blocked:
                talk.turn()
        talk.server.send_end(stream, [(b"grpc-status", b"0")])
        talk.rest()
        assert talk.answer_of(1) == whole
        kinds = [type(one) for one in talk.got[-2:]]
        assert kinds == [h2.events.TrailersReceived, h2.events.StreamEnded]
        assert (stream.sent_bytes, talk.server.sent_bytes) == (1_000_000, 1_000_000)

    @pytest.mark.parametrize("with_trailers", [True, False])
    def test_an_upload_of_many_windows(self, *, with_trailers: bool) -> None:
        talk = Dialogue()
        stream = talk.ask(1, ends=False)
        assert talk.server.expects(stream, 700_000)
        left = 700_000
        while left:
            size = min(left, talk.client.local_flow_control_window(1), 16_384)
            if size:
                talk.client.send_data(1, bytes(size), pad_length=7 if size > 100 and size < 16_000 else None)
                left -= size
            talk.turn()
        if with_trailers:
            talk.client.send_headers(1, [(b"x-sum", b"1")], end_stream=True)
        else:
            talk.client.end_stream(1)
        talk.rest()
        assert stream.received_bytes == 700_000
        assert stream.is_remote_ended
        assert isinstance(talk.told[-1], TrailersReceived if with_trailers else BodyReceived)

    def test_window_of_an_upload_grows_when_it_holds_up_the_client(self) -> None:
        talk = Dialogue(replace(H2_LIMITS, connection_window_bytes=1_000_000, stream_window_most_bytes=300_000))
        talk.turn()
        talk.clock.now += 0.05
        talk.turn()  # the acknowledgement of our SETTINGS: a round trip
        stream = talk.ask(1, ends=False)
        for _ in range(30):
            talk.clock.now += 0.05
            while (size := min(talk.client.local_flow_control_window(1), 16_384)) > 0:
                talk.client.send_data(1, bytes(size))
            talk.turn()
        assert stream.window_size == 300_000

    def test_resets_of_both_sides(self) -> None:
        talk = Dialogue()
        first, second = talk.ask(1), talk.ask(3, ends=False)
        talk.client.reset_stream(1, 8)
        talk.server.reset(second, ErrorCode.INTERNAL_ERROR)
        talk.client.send_data(3, b"on its way")
        talk.rest()
        resets = [one for one in talk.told if isinstance(one, StreamReset)]
        assert [(one.stream, one.code) for one in resets] == [(first, 8)]
        seen = [one for one in talk.got if isinstance(one, h2.events.StreamReset)]
        assert [(one.stream_id, int(one.error_code or 0)) for one in seen] == [(3, 2)]

    def test_ping_settings_and_goaway(self) -> None:
        talk = Dialogue()
        talk.client.ping(b"01234567")
        talk.client.update_settings({3: 10, 4: 1_000})
        stream = talk.ask(1)
        talk.server.send_head(stream, [OK], ends=False)
        talk.server.send_data(stream, bytes(5_000))
        talk.server.send_end(stream)
        talk.rest()
        talk.server.go_away(is_final=True)  # python-hyper takes no frame after it
        talk.rest()
        kinds = {type(one) for one in talk.got}
        assert {h2.events.PingAckReceived, h2.events.SettingsAcknowledged, h2.events.ConnectionTerminated} <= kinds
        assert talk.answer_of(1) == bytes(5_000)

    def test_long_lists_of_fields_both_ways(self) -> None:
        talk = Dialogue(replace(H2_LIMITS, header_list_bytes=40_000, header_count=100, header_bytes=30_000))
        long = [*GET, (b"x-long", b"z" * 25_000)]
        talk.client.send_headers(1, long, end_stream=True)
        talk.turn()
        event = talk.told[-1]
        assert isinstance(event, RequestReceived)
        assert event.decoded.fields == long
        talk.server.send_head(event.stream, [[*OK, (b"x-long", b"z" * 40_000)]], ends=True)
        talk.rest()
        (answer,) = [one for one in talk.got if isinstance(one, h2.events.ResponseReceived)]
        assert answer.headers[-1] == (b"x-long", b"z" * 40_000)


def frames() -> st.SearchStrategy[bytes]:
    """Frames that mean something, frames that nearly do, and others."""
    streams = st.sampled_from([0, 1, 2, 3, 5, 7, 9, 0x7FFF_FFFF])
    small = st.binary(max_size=24)
    numbers = st.sampled_from([0, 1, 8, 65_535, 0x7FFF_FFFF, 0xFFFF_FFFF])
    return st.one_of(
        st.builds(headers, streams, ends=st.booleans()),
        st.builds(headers, streams, ends=st.booleans(), payload=small),
        st.builds(body, streams, st.binary(max_size=300), ends=st.booleans()),
        st.builds(lambda stream: body(stream, bytes(16_384)), streams),
        st.builds(window_update, streams, numbers),
        st.builds(rst, streams, numbers),
        st.builds(
            lambda key, value: frame(4, 0, 0, b"\x00" + bytes((key,)) + number(value)), st.integers(0, 10), numbers
        ),
        st.builds(lambda stream, field: frame(0x10, 0, 0, number(stream) + field), streams, small),
        st.builds(frame, st.integers(0, 0x12), st.integers(0, 255), streams, small),
        st.binary(max_size=40),
    )


class Driver:
    """Answers whatever comes, as far as `choices` say."""

    def __init__(self, session: ServerSession, choices: list[int]) -> None:
        self.session = session
        self.choices = choices
        self.failures = 0

    def act(self, events: list[SessionEvent]) -> None:
        for event in events:
            assert self.failures == 0, "an event behind the last one"
            if isinstance(event, ConnectionFailed):
                self.failures += 1
            elif isinstance(event, RequestReceived):
                self.answer(event.stream)
            elif isinstance(event, BodyReceived):
                self.session.consumed(event.stream, len(event.data))
            elif isinstance(event, StreamReset):
                self.session.work_ended(event.stream)

    def answer(self, stream: SessionStream) -> None:
        choice = self.choices[stream.id % len(self.choices)]
        if choice & 1:
            self.session.expects(stream, 5)
        if choice & 2:
            self.session.send_head(stream, [OK], ends=bool(choice & 4))
            self.session.send_data(stream, bytes(choice * 100))
        if choice & 8:
            self.session.stop_request(stream)
        if choice & 16:
            self.session.send_end(stream, [(b"x", b"y")] if choice & 32 else [])
        if choice & 64:
            self.session.reset(stream, choice & 15)


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(frames(), max_size=40),
    choices=st.lists(st.integers(0, 127), min_size=1, max_size=8),
    step=st.sampled_from([0, 1, 7, 10_000]),
    begins_well=st.booleans(),
)
def test_no_frames_raise_or_are_kept_or_fail_twice(
    parts: list[bytes], choices: list[int], step: int, *, begins_well: bool
) -> None:
    session = ServerSession(replace(H2_LIMITS, streams=3), Clock())
    driver = Driver(session, choices)
    data = (HELLO if begins_well else b"") + b"".join(parts)
    step = step or max(1, len(data))
    for start in range(0, len(data), step):
        driver.act(session.receive_data(data[start : start + step]))
        if start % 3 == 0:
            session.data_to_send(1_000)
    assert driver.failures == session.has_failed
    assert session._table.open <= 3
    assert len(session.data_to_send(0)) < 100_000 + 50 * len(data)


@settings(max_examples=200, deadline=None)
@given(st.lists(frames(), max_size=30))
def test_how_input_is_cut_makes_no_difference(parts: list[bytes]) -> None:
    data = HELLO + b"".join(parts)
    whole, bytewise = Wire(hello=b""), Wire(hello=b"")
    whole.receive(data)
    for start in range(0, len(data), 37):
        bytewise.receive(data[start : start + 37])
    assert [type(one) for one in whole.events] == [type(one) for one in bytewise.events]
    assert whole.session.data_to_send(0) == bytewise.session.data_to_send(0)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_behind_the_preface_never_raise(data: bytes) -> None:
    wire = Wire()
    wire.receive(data)
    wire.receive(b"\x00" * 50)
    assert sum(isinstance(one, ConnectionFailed) for one in wire.events) <= 1


def test_flags_that_mean_nothing_are_ignored() -> None:
    wire = Wire()
    assert len(wire.receive(frame(FrameType.HEADERS, 0xD2 | Flag.END_HEADERS, 1, block()))) == 1

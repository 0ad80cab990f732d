"""The client's side of one HTTP/2 connection: with python-hyper as its server, and with anything at all."""

from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http2.session.client_session import ClientSession
from proxy.http2.session.events import BodyReceived, ConnectionFailed, ResponseReceived, SessionEvent, StreamReset
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import LAST_STREAM, PREFACE, FrameType, Setting
from tests.http2_client import SERVER_HELLO, ClientWire
from tests.http2_frames import GET, H2_LIMITS, OK, Clock, block, body, cut, frame, headers, number, rst, setting


class TestBeginning:
    def test_the_preface_comes_first_then_settings_without_push(self) -> None:
        wire = ClientWire()
        first, second = cut(wire.begin.removeprefix(PREFACE))
        assert first.kind == FrameType.SETTINGS
        assert first.payload.startswith(bytes((0, Setting.ENABLE_PUSH, 0, 0, 0, 0)))
        assert (second.kind, second.stream, second.number) == (FrameType.WINDOW_UPDATE, 0, 200_000 - 65_535)

    def test_settings_of_the_server_are_known_when_they_came(self) -> None:
        wire = ClientWire(hello=b"")
        assert (wire.session.has_settings, wire.session.settings_acked) == (False, False)
        wire.receive(SERVER_HELLO)
        assert (wire.session.has_settings, wire.session.settings_acked) == (True, True)

    @pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", headers(1), PREFACE, rst(1)])
    def test_a_server_that_does_not_begin_with_settings_fails(self, data: bytes) -> None:
        assert isinstance(ClientWire(hello=b"").receive(data)[-1], ConnectionFailed)


class TestStreams:
    def test_identifiers_are_odd_and_rise(self) -> None:
        wire = ClientWire()
        assert [wire.request().id for _ in range(3)] == [1, 3, 5]

    def test_streams_end_when_both_sides_have_ended(self) -> None:
        wire = ClientWire()
        wire.receive(setting(Setting.MAX_CONCURRENT_STREAMS, 1))
        wire.request()
        assert not wire.session.may_open
        wire.receive(headers(1, payload=block(OK)))
        assert wire.session.may_open

    def test_identifiers_run_out(self) -> None:
        wire = ClientWire()
        wire.session._table.last_seen = LAST_STREAM - 2
        assert not wire.session.may_open

    def test_calls_for_closed_streams_do_nothing(self) -> None:
        wire = ClientWire()
        stream = wire.request(ends=False)
        wire.session.reset(stream, ErrorCode.CANCEL)
        (sent,) = wire.sent()
        assert (sent.kind, sent.number) == (FrameType.RST_STREAM, ErrorCode.CANCEL)
        wire.session.reset(stream, ErrorCode.CANCEL)
        wire.session.send_data(stream, b"x")
        wire.session.send_end(stream)
        wire.session.consumed(stream, 5)
        assert wire.sent() == []

    def test_nothing_follows_the_end_of_a_request(self) -> None:
        wire = ClientWire()
        stream = wire.request()
        wire.session.send_data(stream, b"x")
        wire.session.send_end(stream)
        assert wire.sent() == []

    def test_frames_for_a_stream_that_was_given_up_are_ignored(self) -> None:
        wire = ClientWire()
        stream = wire.request()
        wire.session.reset(stream, ErrorCode.CANCEL)
        late = headers(1, ends=False, payload=block(OK)) + body(1, b"on its way", ends=True)
        assert wire.receive(late) == []
        assert not wire.session.has_failed

    @pytest.mark.parametrize(
        ("length", "early", "later", "is_right"),
        [
            (5, body(1, b"hello", ends=True), b"", True),
            (5, body(1, b"hell", ends=True), b"", False),
            (5, body(1, b"hello!"), b"", False),
            (0, b"", body(1, b"", ends=True), True),
            (0, b"", body(1, b"x"), False),
            (5, b"", body(1, b"hell", ends=True), False),
        ],
    )
    def test_a_body_has_the_length_that_was_announced(
        self, length: int, early: bytes, later: bytes, *, is_right: bool
    ) -> None:
        wire = ClientWire()
        stream = wire.request()
        wire.receive(headers(1, ends=False, payload=block(OK)) + early)
        fits = wire.session.expects(stream, length)
        events = wire.receive(later)
        assert (fits and not isinstance(events[-1] if events else None, StreamReset)) is is_right


class TestLeaving:
    def test_goaway_is_sent_once_and_open_streams_go_on(self) -> None:
        wire = ClientWire()
        wire.request()
        wire.session.go_away()
        wire.session.go_away()
        (sent,) = wire.sent()
        assert (sent.kind, sent.payload) == (FrameType.GOAWAY, bytes(8))
        assert (wire.session.is_going_away, wire.session.may_open) == (True, False)
        assert len(wire.receive(headers(1, payload=block(OK)))) == 1

    def test_a_fault_of_the_driver_closes_all_streams(self) -> None:
        wire = ClientWire()
        stream = wire.request()
        wire.session.fail(ErrorCode.SETTINGS_TIMEOUT)
        wire.session.fail(ErrorCode.SETTINGS_TIMEOUT)
        wire.session.go_away()
        (sent,) = wire.sent()
        assert (sent.kind, sent.number, stream.is_closed) == (FrameType.GOAWAY, ErrorCode.SETTINGS_TIMEOUT, True)
        assert wire.receive(headers(1)) == []


class TestFloods:
    """A server is held to the budgets of a client."""

    @pytest.mark.parametrize(
        "data",
        [
            setting(Setting.HEADER_TABLE_SIZE, 1),
            frame(FrameType.PING, 0, 0, bytes(8)),
            frame(FrameType.PRIORITY, 0, 1, bytes(5)),
            frame(0x42),
            frame(FrameType.WINDOW_UPDATE, 0, 1, number(1)),
        ],
    )
    def test_control_frames(self, data: bytes) -> None:
        wire = ClientWire()
        wire.request()
        code, _ = wire.failure(data * 5_000)
        assert code == ErrorCode.ENHANCE_YOUR_CALM

    def test_empty_data(self) -> None:
        wire = ClientWire()
        wire.request()
        wire.receive(headers(1, ends=False, payload=block(OK)))
        assert wire.failure(body(1, b"") * 5_000)[0] == ErrorCode.ENHANCE_YOUR_CALM


class Dialogue:
    """python-hyper is the server; each answer of it is by the test."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.client = ClientSession(H2_LIMITS, self.clock)
        self.server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self.server.initiate_connection()
        self.told: list[SessionEvent] = []
        self.got: list[Any] = []

    def turn(self) -> bool:
        """Carry bytes both ways; whether there were any. Whatever arrives is consumed at once."""
        up = self.client.data_to_send(65_536)
        for one in self.server.receive_data(up):
            if isinstance(one, h2.events.DataReceived):
                self.server.acknowledge_received_data(one.flow_controlled_length, one.stream_id)
            self.got.append(one)
        self.client.take_unblocked()
        down = self.server.data_to_send()
        for event in self.client.receive_data(down):
            assert not isinstance(event, ConnectionFailed), event.reason
            if isinstance(event, BodyReceived):
                self.client.consumed(event.stream, len(event.data))
            self.told.append(event)
        return bool(up or down)

    def rest(self) -> None:
        """Go on until both are silent."""
        while self.turn():
            self.clock.now += 0.01


class TestPythonHyper:
    def test_many_requests_on_one_connection(self) -> None:
        talk = Dialogue()
        for index in range(300):
            stream = talk.client.open([*GET, (b"x-number", b"%d" % index)], ends=True)
            talk.rest()
            seen = [one for one in talk.got if isinstance(one, h2.events.RequestReceived)][-1]
            assert seen.headers[-1] == (b"x-number", b"%d" % index)
            talk.server.send_headers(stream.id, [(b":status", b"200"), (b"x-number", b"%d" % index)])
            talk.server.send_data(stream.id, b"answer", end_stream=True)
            talk.rest()
            head, end = talk.told[-2:]
            assert isinstance(head, ResponseReceived)
            assert isinstance(end, BodyReceived)
            assert (head.decoded.fields[-1][1], end.data, end.is_ended) == (b"%d" % index, b"answer", True)
            assert stream.is_closed

    def test_a_large_body_each_way_and_trailers(self) -> None:
        talk = Dialogue()
        stream = talk.client.open([(b":method", b"POST"), *GET[1:]], ends=False)
        whole = bytes(index % 251 for index in range(500_000))
        for start in range(0, len(whole), 50_000):
            talk.client.send_data(stream, whole[start : start + 50_000])
            while stream.is_blocked:
                talk.turn()
        talk.client.send_end(stream)
        talk.rest()
        assert b"".join(one.data for one in talk.got if isinstance(one, h2.events.DataReceived)) == whole
        talk.server.send_headers(1, [(b":status", b"200")])
        left = whole
        while left:
            size = min(len(left), talk.server.local_flow_control_window(1), 16_384)
            talk.server.send_data(1, left[:size])
            left = left[size:]
            talk.rest()
        talk.server.send_headers(1, [(b"grpc-status", b"0")], end_stream=True)
        talk.rest()
        assert b"".join(one.data for one in talk.told if isinstance(one, BodyReceived)) == whole
        assert stream.is_closed


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.builds(
            frame,
            st.integers(0, 0x11),
            st.integers(0, 0x2D),
            st.integers(0, 7),
            st.one_of(st.binary(max_size=20), st.just(block(OK)), st.just(number(1))),
        ),
    ),
    max_size=12,
)


@given(PIECES)
def test_whatever_a_server_sends_the_session_lives_or_fails_in_order(pieces: list[bytes]) -> None:
    """It never raises, and its failure is its last event."""
    wire = ClientWire()
    wire.request()
    wire.request(ends=False)
    events: list[SessionEvent] = []
    for piece in pieces:
        events += wire.receive(piece)
    assert not any(isinstance(one, ConnectionFailed) for one in events[:-1])
    assert wire.session.has_failed is (bool(events) and isinstance(events[-1], ConnectionFailed))
    for stream in wire.session._table.streams.values():
        assert not stream.is_closed


def test_marks_of_a_request_are_kept() -> None:
    wire = ClientWire()
    wire.session.open([*GET, (b"x-key", b"1")], frozenset({b"x-key"}), ends=True)
    (sent,) = wire.sent()
    assert sent.payload.endswith(b"\x10\x05x-key\x011")

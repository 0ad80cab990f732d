"""HEADERS, CONTINUATION, DATA and RST_STREAM in each state of a stream."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.http2.session.events import (
    BodyReceived,
    ConnectionFailed,
    RequestReceived,
    SessionEvent,
    StreamReset,
    TrailersReceived,
)
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import Flag, FrameType, Setting
from tests.http2_frames import (
    GET,
    H2_LIMITS,
    OK,
    Wire,
    block,
    body,
    frame,
    headers,
    number,
    rst,
    setting,
    window_update,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOL, CLOSED, SIZE = ErrorCode.PROTOCOL_ERROR, ErrorCode.STREAM_CLOSED, ErrorCode.FRAME_SIZE_ERROR
CALM = ErrorCode.ENHANCE_YOUR_CALM
TRAILERS = block([(b"x-sum", b"1")])


def answered(wire: Wire, number: int) -> SessionStream:
    """A stream that both sides have ended."""
    stream = wire.request(number)
    wire.session.send_head(stream, [OK], ends=True)
    wire.sent()
    return stream


class TestRequests:
    def test_a_request_without_body_ends_with_its_head(self) -> None:
        wire = Wire()
        (event,) = wire.receive(headers(1))
        assert isinstance(event, RequestReceived)
        assert (event.decoded.fields, event.is_ended, event.stream.is_remote_ended) == (GET, True, True)
        assert (wire.session._table.open, wire.session._table.last_taken) == (1, 1)

    def test_a_request_may_have_trailers(self) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        events = wire.receive(body(1, b"x") + headers(1, payload=TRAILERS))
        assert [type(one) for one in events] == [BodyReceived, TrailersReceived]
        assert isinstance(events[1], TrailersReceived)
        assert events[1].decoded.fields == [(b"x-sum", b"1")]
        assert stream.is_remote_ended

    def test_a_list_that_is_too_large_is_for_the_driver_to_answer(self) -> None:
        wire = Wire()
        big = [*GET, *[(b"a", b"b" * 120)] * 14]
        (event,) = wire.receive(headers(1, payload=block(big)))
        assert isinstance(event, RequestReceived)
        assert (event.decoded.is_too_large, event.decoded.fields) == (True, [])

    @pytest.mark.parametrize("kind", [FrameType.HEADERS, FrameType.DATA])
    def test_padding_is_cut_off(self, kind: int) -> None:
        wire = Wire()
        if kind == FrameType.HEADERS:
            flags = Flag.PADDED | Flag.PRIORITY | Flag.END_HEADERS
            (event,) = wire.receive(frame(kind, flags, 1, b"\x03" + number(1) + b"\xff" + block() + b"pad"))
            assert isinstance(event, RequestReceived)
            assert event.decoded.fields == GET
        else:
            stream = wire.request(1, ends=False)
            (event,) = wire.receive(frame(kind, Flag.PADDED, 1, b"\x03" + b"content" + b"pad"))
            assert isinstance(event, BodyReceived)
            assert event.data == b"content"
            assert (stream.unconsumed_bytes, stream.received_bytes) == (7, 7)

    @pytest.mark.parametrize(
        ("data", "code", "reason"),
        [
            (headers(0), PROTOCOL, "HEADERS for stream 0"),
            (headers(2), PROTOCOL, "client opened an even stream"),
            (frame(FrameType.HEADERS, 0x2C, 1, b"\x00\x00\x00\x00"), SIZE, "HEADERS too short for its flags"),
            (frame(FrameType.HEADERS, 0x24, 1, bytes(4)), SIZE, "HEADERS too short for its flags"),
            (frame(FrameType.HEADERS, 0x0C, 1), SIZE, "frame has no room for the length of its padding"),
            (frame(FrameType.HEADERS, 0x0C, 1, b"\x01"), PROTOCOL, "frame is shorter than its padding"),
            (frame(FrameType.DATA, 0x08, 1), SIZE, "frame has no room for the length of its padding"),
            (frame(FrameType.DATA, 0x08, 1, b"\x02x"), PROTOCOL, "frame is shorter than its padding"),
            (body(0, b"x"), PROTOCOL, "DATA for stream 0"),
            (body(1, b"x"), PROTOCOL, "DATA for an idle stream"),
            (body(2, b"x"), PROTOCOL, "DATA for an idle stream"),
            (rst(0), PROTOCOL, "RST_STREAM for an idle stream"),
            (rst(1), PROTOCOL, "RST_STREAM for an idle stream"),
            (frame(FrameType.RST_STREAM, 0, 1, bytes(3)), SIZE, "RST_STREAM is not 4 bytes long"),
            (frame(FrameType.CONTINUATION, 4, 1, b"x"), PROTOCOL, "CONTINUATION without HEADERS before it"),
            (frame(FrameType.CONTINUATION, 4, 0, b"x"), PROTOCOL, "CONTINUATION without HEADERS before it"),
        ],
    )
    def test_what_ends_the_connection(self, data: bytes, code: int, reason: str) -> None:
        assert Wire().failure(data) == (code, reason)

    def test_a_broken_block_ends_the_connection(self) -> None:
        code, _ = Wire().failure(headers(1, payload=b"\xff\xff\xff\xff\xff"))
        assert code == ErrorCode.COMPRESSION_ERROR


class TestContinuation:
    def blocks(self, parts: list[bytes], *, ends: bool = True) -> bytes:
        first = frame(FrameType.HEADERS, Flag.END_STREAM if ends else 0, 1, parts[0])
        rest = [frame(FrameType.CONTINUATION, 0, 1, part) for part in parts[1:-1]]
        return first + b"".join(rest) + frame(FrameType.CONTINUATION, Flag.END_HEADERS, 1, parts[-1])

    @pytest.mark.parametrize("ends", [True, False])
    def test_a_block_may_be_continued(self, *, ends: bool) -> None:
        wire = Wire()
        whole = block()
        assert wire.receive(frame(FrameType.HEADERS, 0, 1, b"")) == []
        assert wire.session.is_head_incomplete
        wire = Wire()
        (event,) = wire.receive(self.blocks([whole[:5], whole[5:20], whole[20:]], ends=ends))
        assert isinstance(event, RequestReceived)
        assert (event.decoded.fields, event.is_ended) == (GET, ends)
        assert not wire.session.is_head_incomplete

    def test_eight_are_enough_for_all_and_nine_are_a_flood(self) -> None:
        whole = block()
        wire = Wire()
        (event,) = wire.receive(self.blocks([whole[index : index + 1] for index in range(8)] + [whole[8:]]))
        assert isinstance(event, RequestReceived)
        code, reason = Wire().failure(self.blocks([whole[index : index + 1] for index in range(9)] + [whole[9:]]))
        assert (code, reason) == (CALM, "continuation_flood: header block without end")

    def test_bytes_are_bounded_too(self) -> None:
        limits = replace(H2_LIMITS, header_list_bytes=20_000)
        part = b"x" * 10_000
        wire = Wire(limits)
        assert wire.receive(frame(FrameType.HEADERS, 0, 1, part) + frame(FrameType.CONTINUATION, 0, 1, part)) == []
        assert wire.failure(frame(FrameType.CONTINUATION, 0, 1, b"x")) == (
            CALM,
            "continuation_flood: header block without end",
        )

    @pytest.mark.parametrize("flags", [0, Flag.END_HEADERS])
    def test_an_empty_one_is_a_flood(self, flags: int) -> None:
        wire = Wire()
        wire.receive(frame(FrameType.HEADERS, 0, 1, block()))
        assert wire.failure(frame(FrameType.CONTINUATION, flags, 1)) == (
            CALM,
            "continuation_flood: CONTINUATION is empty",
        )

    def test_another_stream_does_not_continue_it(self) -> None:
        wire = Wire()
        wire.receive(frame(FrameType.HEADERS, 0, 1, block()))
        code, _ = wire.failure(frame(FrameType.CONTINUATION, 4, 3, b"x"))
        assert code == PROTOCOL


class TestStates:
    def test_data_behind_the_end_of_a_request_resets_the_stream(self) -> None:
        wire = Wire()
        wire.request(1)
        assert wire.reset(body(1, b"x")) == (CLOSED, "DATA behind the end of a message")
        assert wire.failure(body(1, b"x")) == (CLOSED, "DATA for a closed stream")

    def test_headers_behind_the_end_of_a_request_reset_the_stream(self) -> None:
        wire = Wire()
        wire.request(1)
        assert wire.reset(headers(1)) == (CLOSED, "HEADERS behind the end of a message")

    def test_trailers_have_to_end_the_request(self) -> None:
        wire = Wire()
        wire.request(1, ends=False)
        assert wire.reset(headers(1, ends=False, payload=TRAILERS)) == (PROTOCOL, "trailers do not end the message")

    @pytest.mark.parametrize("data", [headers(1), body(1, b"x"), body(1, b"")])
    def test_frames_for_a_stream_that_both_have_ended_end_the_connection(self, data: bytes) -> None:
        wire = Wire()
        answered(wire, 1)
        code, _ = wire.failure(data)
        assert code == CLOSED

    @pytest.mark.parametrize("data", [headers(1), body(1, b"x")])
    def test_frames_for_a_stream_that_the_client_reset_end_the_connection(self, data: bytes) -> None:
        wire = Wire()
        wire.request(1, ends=False)
        wire.receive(rst(1))
        code, _ = wire.failure(data)
        assert code == CLOSED

    def test_a_lower_identifier_was_passed_over(self) -> None:
        wire = Wire()
        wire.request(5)
        assert wire.failure(headers(3)) == (PROTOCOL, "identifier of a stream is too low")

    def test_frames_that_were_on_their_way_when_we_reset_are_ignored(self) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        wire.session.reset(stream, ErrorCode.INTERNAL_ERROR)
        late = body(1, b"x" * 100) + body(1, b"") + window_update(1, 7) + headers(1, payload=TRAILERS)
        assert wire.receive(late) == []
        # its end has come: now it is closed for good
        assert wire.failure(body(1, b"x")) == (CLOSED, "DATA for a closed stream")

    def test_late_headers_keep_the_table_in_step(self) -> None:
        wire = Wire()
        wire.session.reset(wire.request(1, ends=False), ErrorCode.INTERNAL_ERROR)
        wire.receive(headers(1, payload=b"\x40\x01a\x01b"))  # joins the table
        (event,) = wire.receive(headers(3, payload=b"\xbe"))  # the newest of the table
        assert isinstance(event, RequestReceived)
        assert event.decoded.fields == [(b"a", b"b")]

    def test_late_data_uses_both_windows(self) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        wire.receive(body(1, b"x" * 16_000))
        wire.session.reset(stream, ErrorCode.INTERNAL_ERROR)
        wire.receive(body(1, b"x" * 16_000) * 3)
        assert wire.failure(body(1, b"x" * 2_000)) == (
            ErrorCode.FLOW_CONTROL_ERROR,
            "more data than the window of a closed stream",
        )

    def test_late_data_gives_its_credit_back(self) -> None:
        wire, credit = Wire(), 0
        for one in range(1, 101, 2):
            stream = wire.request(one, ends=False)
            wire.session.reset(stream, ErrorCode.INTERNAL_ERROR)
            wire.session.work_ended(stream)
            wire.receive(body(one, b"x" * 16_000, ends=True))
            credit += sum(sent.number for sent in wire.sent() if sent.kind == FrameType.WINDOW_UPDATE)
        assert not wire.session.has_failed
        assert credit >= 700_000

    def test_the_client_may_reset_what_we_have_reset_or_ended(self) -> None:
        wire = Wire()
        wire.session.reset(wire.request(1, ends=False), ErrorCode.INTERNAL_ERROR)
        answered(wire, 3)
        assert wire.receive(rst(1) + rst(3)) == []
        assert wire.failure(body(1, b"x")) == (CLOSED, "DATA for a closed stream")

    def test_the_client_resets_a_stream(self) -> None:
        wire = Wire()
        stream = wire.request(1)
        (event,) = wire.receive(rst(1, 0xABCD))
        assert isinstance(event, StreamReset)
        assert (event.stream, event.code, event.reason) == (stream, 0xABCD, "")
        assert (stream.is_closed, wire.session._table.open) == (True, 1)
        wire.session.work_ended(stream)
        assert wire.session._table.open == 0


def bodies(events: list[SessionEvent]) -> list[tuple[int, bytes, bool]]:
    return [(one.stream.id, one.data, one.is_ended) for one in events if isinstance(one, BodyReceived)]


class TestBodies:
    def test_pieces_and_the_end(self) -> None:
        wire = Wire()
        wire.request(1, ends=False)
        assert bodies(wire.receive(body(1, b"one") + body(1, b""))) == [(1, b"one", False)]
        assert bodies(wire.receive(body(1, b"two"))) == [(1, b"two", False)]
        assert bodies(wire.receive(body(1, b"", ends=True))) == [(1, b"", True)]

    def test_frames_that_come_together_are_one_piece(self) -> None:
        wire = Wire()
        wire.request(1, ends=False)
        wire.request(3, ends=False)
        events = wire.receive(body(1, b"a") + body(1, b"b") + body(3, b"c") + body(1, b"d") + body(1, b"", ends=True))
        assert bodies(events) == [(1, b"ab", False), (3, b"c", False), (1, b"d", True)]
        assert bodies(wire.receive(body(3, b"e") + body(3, b"f", ends=True))) == [(3, b"ef", True)]

    @pytest.mark.parametrize("is_taken", [True, False])
    def test_a_body_may_end_after_the_answer(self, *, is_taken: bool) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        wire.session.send_head(stream, [OK], ends=True)
        if is_taken:
            wire.sent()
        (event,) = wire.receive(body(1, b"x", ends=True))
        assert isinstance(event, BodyReceived)
        assert (stream.is_closed, wire.session._table.open) == (is_taken, not is_taken)
        wire.sent()
        assert (stream.is_closed, wire.session._table.open) == (True, 0)
        wire.session.consumed(stream, 1)

    def test_more_than_the_window_of_the_stream_resets_it(self) -> None:
        wire = Wire()
        wire.request(1, ends=False)
        assert wire.receive(body(1, b"x" * 16_384) * 4)
        assert wire.reset(body(1, b"x")) == (ErrorCode.FLOW_CONTROL_ERROR, "more data than the stream's window")

    def test_more_than_the_window_of_the_connection_ends_it(self) -> None:
        wire = Wire(replace(H2_LIMITS, connection_window_bytes=70_000))
        wire.request(1, ends=False)
        wire.request(3, ends=False)
        wire.receive(body(1, b"x" * 16_384) * 4)
        assert wire.failure(body(3, b"x" * 5_000)) == (
            ErrorCode.FLOW_CONTROL_ERROR,
            "more data than the connection's window",
        )

    def test_padding_gets_credit_at_once(self) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        for _ in range(1_000):
            wire.receive(frame(FrameType.DATA, Flag.PADDED, 1, b"\xff" + b"x" + bytes(255)))
            wire.session.consumed(stream, 1)
            wire.sent()
        assert not stream.is_closed

    @pytest.mark.parametrize(
        ("parts", "is_right"),
        [
            ([body(1, b"12345", ends=True)], True),
            ([body(1, b"123"), body(1, b"45"), body(1, b"", ends=True)], True),
            ([body(1, b"12345"), headers(1, payload=TRAILERS)], True),
            ([body(1, b"1234", ends=True)], False),
            ([body(1, b"123456")], False),
            ([body(1, b"123456", ends=True)], False),
            ([body(1, b"1234"), headers(1, payload=TRAILERS)], False),
        ],
    )
    def test_a_body_has_the_length_that_was_announced(self, parts: list[bytes], *, is_right: bool) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        assert wire.session.expects(stream, 5)
        if is_right:
            wire.receive(b"".join(parts))
            assert stream.is_remote_ended
            assert not stream.is_closed
        else:
            code, reason = wire.reset(b"".join(parts))
            assert (code, "content-length" in reason) == (PROTOCOL, True)

    def test_a_body_of_no_length_has_no_byte(self) -> None:
        for data in (body(1, b"x"), body(1, b"x", ends=True)):
            wire = Wire()
            assert wire.session.expects(wire.request(1, ends=False), 0)
            wire.reset(data)

    def test_what_came_with_the_head_is_judged_when_the_length_is_known(self) -> None:
        for data, length, is_right in [
            (headers(1), 0, True),
            (headers(1), 1, False),
            (headers(1, ends=False) + body(1, b"12"), 2, True),
            (headers(1, ends=False) + body(1, b"12"), 1, False),
            (headers(1, ends=False) + body(1, b"12", ends=True), 3, False),
        ]:
            wire = Wire()
            event = wire.receive(data)[0]
            assert isinstance(event, RequestReceived)
            assert wire.session.expects(event.stream, length) is is_right


class TestFloods:
    def failed(self, wire: Wire, name: str) -> None:
        event = wire.events[-1]
        assert isinstance(event, ConnectionFailed)
        assert (event.code, event.reason.partition(":")[0]) == (CALM, name)

    def test_rapid_reset(self) -> None:
        wire = Wire()
        for one in range(1, 4_001, 2):
            for event in wire.receive(headers(one) + rst(one)):
                if isinstance(event, StreamReset):
                    wire.session.work_ended(event.stream)
        self.failed(wire, "rapid_reset")
        assert sum(isinstance(event, RequestReceived) for event in wire.events) == H2_LIMITS.resets + 1

    def test_resets_that_the_client_provokes(self) -> None:
        """CVE-2025-8671."""
        makers: list[Callable[[int], bytes]] = [lambda one: window_update(one, 0), lambda one: body(one, b"x"), headers]
        for provoke in makers:
            wire = Wire()
            for one in range(1, 4_001, 2):
                for event in wire.receive(headers(one) + provoke(one)):
                    if isinstance(event, StreamReset):
                        wire.session.work_ended(event.stream)
                wire.sent()
            self.failed(wire, "provoked_resets")
            assert sum(isinstance(event, RequestReceived) for event in wire.events) == H2_LIMITS.resets + 1

    def test_resets_of_the_driver_for_malformed_requests(self) -> None:
        wire = Wire()
        for one in range(1, 4_001, 2):
            for event in wire.receive(headers(one)):
                if isinstance(event, RequestReceived):
                    wire.session.reset(event.stream, PROTOCOL)
                    wire.session.work_ended(event.stream)
            wire.sent()
        self.failed(wire, "provoked_resets")

    def test_lists_that_are_too_large(self) -> None:
        wire = Wire()
        big = block([*GET, *[(b"a", b"b" * 120)] * 14])
        for one in range(1, 4_001, 2):
            for event in wire.receive(headers(one, payload=big)):
                if isinstance(event, RequestReceived):
                    wire.session.send_head(event.stream, [OK], ends=True)
            wire.sent()
        self.failed(wire, "provoked_resets")
        assert sum(isinstance(event, RequestReceived) for event in wire.events) <= H2_LIMITS.resets + 1

    def test_resets_of_the_driver_for_faults_of_others_are_free(self) -> None:
        wire = Wire()
        for one in range(1, 4_001, 2):
            stream = wire.request(one)
            wire.session.reset(stream, ErrorCode.INTERNAL_ERROR)
            wire.session.work_ended(stream)
            wire.sent()

    def test_a_browser_that_leaves_a_page_cancels_all_of_it(self) -> None:
        wire = Wire()
        one = 1
        for _ in range(50):
            wire.clock.now += 7.0
            streams = []
            for _ in range(128):
                streams.append(wire.request(one))
                one += 2
            wire.receive(b"".join(rst(stream.id) for stream in streams))
            for stream in streams:
                wire.session.work_ended(stream)

    @pytest.mark.parametrize("answers", [4, 3])
    @pytest.mark.at_length
    def test_four_answers_that_were_taken_allow_one_reset(self, answers: int) -> None:
        """So cheap answers do not pay for as many requests that reach a server and are cancelled."""
        wire, one = Wire(), 1
        for _ in range(2_000):
            for _ in range(answers):
                answered(wire, one)
                one += 2
            stream = wire.request(one)
            one += 2
            wire.receive(rst(stream.id))
            wire.session.work_ended(stream)
            if wire.session.has_failed:
                break
        assert wire.session.has_failed is (answers < 4)
        if wire.session.has_failed:
            self.failed(wire, "rapid_reset")

    def test_a_browser_may_leave_a_page_with_all_requests_under_way(self) -> None:
        """Two pages one after the other, then a third one behind the answers and the time of a few pages."""
        wire, one = Wire(), 1
        for _ in range(2):
            one = self.leave_page(wire, one)
        for _ in range(5):
            for _ in range(50):
                answered(wire, one)
                one += 2
            wire.clock.now += 1.0
        self.leave_page(wire, one)
        assert not wire.session.has_failed

    def leave_page(self, wire: Wire, one: int) -> int:
        streams = [wire.request(number) for number in range(one, one + 256, 2)]
        wire.receive(b"".join(rst(stream.id) for stream in streams))
        for stream in streams:
            wire.session.work_ended(stream)
        return one + 256

    def test_empty_data(self) -> None:
        for empty in (body(1, b""), frame(FrameType.DATA, Flag.PADDED, 1, b"\x05" + bytes(5))):
            wire = Wire()
            wire.request(1, ends=False)
            for _ in range(1_000):
                wire.receive(empty)
            self.failed(wire, "empty_data_flood")

    @pytest.mark.parametrize("data", [body(1, b""), rst(3), headers(1, ends=False, payload=TRAILERS)])
    def test_frames_for_closed_streams(self, data: bytes) -> None:
        wire = Wire()
        wire.session.reset(wire.request(1, ends=False), ErrorCode.INTERNAL_ERROR)
        answered(wire, 3)
        for _ in range(1_100):
            wire.receive(data)
        self.failed(wire, "late_frame_flood")


def test_nothing_is_memorable_about_a_window_that_shrinks_below_zero() -> None:
    """A stream that is reset for too much data lets no more of it in."""
    wire = Wire()
    wire.request(1, ends=False)
    wire.receive(body(1, b"x" * 16_384) * 4)
    wire.reset(body(1, b"x"))
    assert wire.receive(setting(Setting.INITIAL_WINDOW_SIZE, 5)) == []
    code, _ = wire.failure(body(1, b"x"))
    assert code == ErrorCode.FLOW_CONTROL_ERROR

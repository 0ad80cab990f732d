"""Frames about the connection: what they do, and what they must not be."""

import pytest

from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import PREFACE, Flag, FrameType, Setting
from tests.http2_frames import (
    OK,
    SETTINGS,
    SETTINGS_ACK,
    Sent,
    Wire,
    frame,
    headers,
    number,
    setting,
    window_update,
)

LARGEST = 0x7FFF_FFFF
PROTOCOL, FLOW, SIZE = ErrorCode.PROTOCOL_ERROR, ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.FRAME_SIZE_ERROR


def priority_update(stream: int, field: bytes) -> bytes:
    return frame(FrameType.PRIORITY_UPDATE, 0, 0, number(stream) + field)


PING = frame(FrameType.PING, 0, 0, b"12345678")


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (frame(FrameType.SETTINGS, 0, 1), PROTOCOL, "SETTINGS for a stream"),
        (frame(FrameType.SETTINGS, 0, 0, bytes(5)), SIZE, "SETTINGS end within a setting"),
        (frame(FrameType.SETTINGS, Flag.ACK, 0, bytes(6)), SIZE, "acknowledgement of SETTINGS with content"),
        (SETTINGS_ACK, PROTOCOL, "acknowledgement of SETTINGS that were not sent"),
        (frame(FrameType.SETTINGS, 0, 0, bytes(33 * 6)), ErrorCode.ENHANCE_YOUR_CALM, "too many settings in one frame"),
        (setting(Setting.ENABLE_PUSH, 2), PROTOCOL, "setting is neither 0 nor 1"),
        (setting(Setting.INITIAL_WINDOW_SIZE, LARGEST + 1), FLOW, "initial window above 2^31-1"),
        (frame(FrameType.PING, 0, 1, bytes(8)), PROTOCOL, "PING for a stream"),
        (frame(FrameType.PING, 0, 0, bytes(7)), SIZE, "PING is not 8 bytes long"),
        (frame(FrameType.GOAWAY, 0, 1, bytes(8)), PROTOCOL, "GOAWAY for a stream"),
        (frame(FrameType.GOAWAY, 0, 0, bytes(7)), SIZE, "GOAWAY is too short"),
        (frame(FrameType.WINDOW_UPDATE, 0, 0, bytes(3)), SIZE, "WINDOW_UPDATE is not 4 bytes long"),
        (window_update(0, 0), PROTOCOL, "WINDOW_UPDATE of 0 for the connection"),
        (window_update(0, LARGEST), FLOW, "window of the connection above 2^31-1"),
        (window_update(3, 1), PROTOCOL, "WINDOW_UPDATE for an idle stream"),
        (window_update(2, 1), PROTOCOL, "WINDOW_UPDATE for an idle stream"),
        (frame(FrameType.PRIORITY, 0, 0, bytes(5)), PROTOCOL, "PRIORITY for stream 0"),
        (frame(FrameType.PRIORITY, 0, 3, bytes(4)), SIZE, "PRIORITY is not 5 bytes long"),
        (frame(FrameType.PRIORITY_UPDATE, 0, 1, bytes(4)), PROTOCOL, "PRIORITY_UPDATE for a stream"),
        (frame(FrameType.PRIORITY_UPDATE, 0, 0, bytes(3)), SIZE, "PRIORITY_UPDATE is too short"),
        (priority_update(0, b"u=1"), PROTOCOL, "PRIORITY_UPDATE about no stream of the client"),
        (priority_update(2, b"u=1"), PROTOCOL, "PRIORITY_UPDATE about no stream of the client"),
    ],
)
def test_what_ends_the_connection(data: bytes, code: int, reason: str) -> None:
    wire = Wire()
    wire.request(1)
    assert wire.failure(data) == (code, reason)


class TestSettings:
    def test_they_are_acknowledged(self) -> None:
        wire = Wire()
        wire.receive(SETTINGS)
        assert wire.sent() == [Sent(FrameType.SETTINGS, Flag.ACK, 0, b"")]

    def test_an_acknowledgement_of_ours_is_noted(self) -> None:
        wire = Wire(hello=PREFACE + SETTINGS)
        assert not wire.session.settings_acked
        wire.receive(SETTINGS_ACK)
        assert wire.session.settings_acked

    def test_up_to_32_values_pass(self) -> None:
        wire = Wire()
        assert wire.receive(frame(FrameType.SETTINGS, 0, 0, (b"\x0a\x0a" + number(1)) * 32)) == []

    def test_the_first_window_of_the_client_is_for_all_streams(self) -> None:
        wire = Wire()
        old = wire.request(1)
        wire.receive(setting(Setting.INITIAL_WINDOW_SIZE, 10))
        wire.sent()
        new = wire.request(3)
        assert (old.send_window, new.send_window) == (10, 10)

    def test_a_window_may_become_negative_and_recover(self) -> None:
        wire = Wire()
        stream = wire.request(1)
        wire.session.send_head(stream, [OK], ends=False)
        wire.session.send_data(stream, b"x" * 1_000)
        wire.sent()
        wire.session.send_data(stream, b"y" * 1_000)
        wire.receive(setting(Setting.INITIAL_WINDOW_SIZE, 400))
        assert stream.send_window == -600
        wire.sent()
        assert not wire.session._outbox.has_data
        wire.receive(window_update(1, 600))
        assert wire.sent() == []
        wire.receive(window_update(1, 1))
        (sent,) = wire.sent()
        assert sent.payload == b"y"

    def test_a_window_that_becomes_too_large_ends_the_connection(self) -> None:
        wire = Wire()
        wire.request(1)
        wire.receive(window_update(1, LARGEST - 65_535))
        assert wire.failure(setting(Setting.INITIAL_WINDOW_SIZE, 65_536)) == (FLOW, "window of a stream above 2^31-1")

    def test_table_sizes_that_jump_are_obeyed(self) -> None:
        wire = Wire()
        for size in (0, 4_096, 0xFFFF_FFFF, 100):
            wire.receive(setting(Setting.HEADER_TABLE_SIZE, size))
        stream = wire.request(1)
        wire.session.send_head(stream, [OK], ends=True)
        # RFC 7541 4.2: the smallest size first, then the last one
        assert wire.sent()[-1].payload[:3] == b"\x20\x3f\x45"


def test_ping_goes_back_and_an_answer_to_none_is_ignored() -> None:
    wire = Wire()
    wire.receive(PING + frame(FrameType.PING, Flag.ACK, 0, bytes(8)))
    assert wire.sent() == [Sent(FrameType.PING, Flag.ACK, 0, b"12345678")]


class TestWindowUpdate:
    def test_zero_for_a_stream_resets_it(self) -> None:
        wire = Wire()
        wire.request(1)
        assert wire.reset(window_update(1, 0)) == (PROTOCOL, "WINDOW_UPDATE of 0")

    def test_overflow_of_a_stream_resets_it(self) -> None:
        wire = Wire()
        wire.request(1)
        assert wire.receive(window_update(1, LARGEST - 65_535)) == []
        assert wire.reset(window_update(1, 1)) == (FLOW, "window of a stream above 2^31-1")

    def test_the_connection_may_have_the_largest_window(self) -> None:
        wire = Wire()
        assert wire.receive(window_update(0, LARGEST - 65_535)) == []

    def test_the_reserved_bit_is_ignored(self) -> None:
        wire = Wire()
        stream = wire.request(1)
        wire.receive(window_update(1, 0x8000_0005))
        assert stream.send_window == 65_540

    def test_a_stream_that_is_closed_needs_none(self) -> None:
        wire = Wire()
        wire.session.send_head(wire.request(1), [OK], ends=True)
        wire.sent()
        assert wire.receive(window_update(1, 5) + window_update(1, 0)) == []


class TestPriority:
    def test_priority_frames_are_ignored_for_any_stream_and_itself(self) -> None:
        wire = Wire()
        own = number(5) + b"\x00"
        assert wire.receive(b"".join(frame(FrameType.PRIORITY, 0, one, own) for one in (1, 2, 5, 99))) == []
        assert wire.request(1).urgency == 3

    def test_an_update_changes_an_open_stream(self) -> None:
        wire = Wire()
        stream = wire.request(1)
        assert wire.receive(priority_update(1, b"u=0, i")) == []
        assert (stream.urgency, stream.is_incremental) == (0, True)
        wire.session.prioritize(stream, b"u=7")  # the field of the request is older
        assert stream.urgency == 0

    def test_an_update_may_come_before_its_stream(self) -> None:
        wire = Wire()
        wire.receive(priority_update(1, b"u=1"))
        assert wire.request(1).urgency == 1

    def test_a_field_that_is_too_long_changes_nothing(self) -> None:
        wire = Wire()
        stream = wire.request(1)
        wire.receive(priority_update(1, b"u=0," + b" " * 300))
        assert (stream.urgency, stream.is_prioritized_by_frame) == (3, False)


class TestFloods:
    @pytest.mark.parametrize(
        ("data", "name"),
        [
            (PING, "ping_flood"),
            (frame(FrameType.PING, Flag.ACK, 0, bytes(8)), "ping_flood"),
            (SETTINGS, "settings_flood"),
            (frame(FrameType.SETTINGS, 0, 0, (b"\0\x04" + number(100)) * 32), "settings_flood"),
            (frame(FrameType.PRIORITY, 0, 1, bytes(5)), "priority_flood"),
            (priority_update(1, b"u=1"), "priority_flood"),
            (window_update(0, 1), "window_update_flood"),
            (window_update(1, 1), "window_update_flood"),
            (frame(0x55, 0, 0, b"x"), "unknown_frame_flood"),
            (frame(FrameType.GOAWAY, 0, 0, bytes(8)), "unknown_frame_flood"),
        ],
    )
    def test_frames_that_bring_nothing_end_the_connection(self, data: bytes, name: str) -> None:
        wire = Wire()
        wire.request(1)
        count = 0
        while not wire.session.has_failed:
            wire.receive(data)
            wire.sent()
            count += 1
        assert count <= 1_005
        (event,) = wire.events[-1:]
        assert getattr(event, "reason").startswith(f"{name}: ")  # noqa: B009 - one of several kinds
        assert getattr(event, "code") == ErrorCode.ENHANCE_YOUR_CALM  # noqa: B009

    @pytest.mark.parametrize("data", [PING, window_update(0, 1)])
    def test_at_a_steady_pace_they_go_on_for_ever(self, data: bytes) -> None:
        wire = Wire()
        for _ in range(5_000):
            wire.clock.now += 0.11
            assert wire.receive(data) == []
            wire.sent()

    @pytest.mark.parametrize("data", [PING, SETTINGS])
    def test_answers_that_the_client_does_not_read_are_bounded(self, data: bytes) -> None:
        wire = Wire()
        while not wire.session.has_failed:
            wire.clock.now += 0.2
            wire.receive(data)
        assert getattr(wire.events[-1], "reason").startswith("unread_frames: ")  # noqa: B009
        assert len(wire.session.data_to_send(0)) < 100_000


@pytest.mark.at_length
def test_each_frame_of_a_download_may_be_answered_by_updates_and_a_ping() -> None:
    wire = Wire()
    stream = wire.request(1)
    wire.session.send_head(stream, [OK], ends=False)
    for _ in range(20_000):  # 100 MB
        wire.session.send_data(stream, b"x" * 5_000)
        sent = [one for one in wire.sent() if one.kind == FrameType.DATA]
        assert [len(one.payload) for one in sent] == [5_000]
        assert wire.receive(window_update(0, 5_000) + window_update(1, 5_000) + PING) == []


def test_messages_of_a_chat_may_be_answered_by_updates() -> None:
    wire = Wire()
    stream = wire.request(1)
    wire.session.send_head(stream, [OK], ends=False)
    for _ in range(10_000):
        wire.session.send_data(stream, b"hello")
        wire.sent()
        assert wire.receive(window_update(0, 5) + window_update(1, 5)) == []


def test_a_window_of_one_byte_ends_the_connection() -> None:
    wire = Wire()
    wire.receive(setting(Setting.INITIAL_WINDOW_SIZE, 0))
    stream = wire.request(1)
    wire.session.send_head(stream, [OK], ends=False)
    wire.session.send_data(stream, b"x" * 100_000)
    count = 0
    while not wire.session.has_failed:
        wire.receive(window_update(1, 1))
        count += sum(one.kind == FrameType.DATA for one in wire.sent())
    assert count <= 1_010
    assert stream.sent_bytes == count


def test_a_priority_with_each_request_is_no_flood() -> None:
    wire = Wire()
    for one in range(1, 10_001, 2):
        wire.receive(frame(FrameType.PRIORITY, 0, one, bytes(5)) + priority_update(one, b"u=1") + headers(one))
        event = wire.events[-1]
        wire.session.send_head(getattr(event, "stream"), [OK], ends=True)  # noqa: B009
        wire.sent()
    assert not wire.session.has_failed

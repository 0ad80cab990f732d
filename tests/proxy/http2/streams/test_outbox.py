"""What is sent, in which order, and how much of it waits."""

from dataclasses import replace

import hpack
import pytest

from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import BODY_BYTES, Flag, FrameType, Setting
from tests.http2_frames import H2_LIMITS, OK, Sent, Wire, body, fields_of, rst, setting, window_update

LARGE = window_update(0, 0x7FFF_0000 - 65_535) + setting(Setting.INITIAL_WINDOW_SIZE, 0x7FFF_0000)


def begun(wire: Wire, number: int, *, ends: bool = True) -> SessionStream:
    """A stream whose head is sent."""
    stream = wire.request(number, ends=ends)
    wire.session.send_head(stream, [OK], ends=False)
    wire.sent()
    return stream


def content(sent: list[Sent], stream: int) -> bytes:
    return b"".join(one.payload for one in sent if one.kind == FrameType.DATA and one.stream == stream)


@pytest.fixture
def wire() -> Wire:
    """A client with windows that never end."""
    made = Wire()
    made.receive(LARGE)
    made.sent()
    return made


class TestFrames:
    def test_a_small_answer_is_head_and_data_that_ends(self, wire: Wire) -> None:
        stream = wire.request(1)
        wire.session.send_head(stream, [OK], ends=False)
        wire.session.send_data(stream, b"hello")
        wire.session.send_end(stream)
        assert (stream.queued, wire.session._outbox.has_data) == (5, True)
        head, data = wire.sent()
        assert (head.kind, head.flags, data) == (
            FrameType.HEADERS,
            Flag.END_HEADERS,
            Sent(0, Flag.END_STREAM, 1, b"hello"),
        )
        assert fields_of(head, hpack.Decoder()) == OK
        assert (stream.is_closed, stream.sent_bytes, wire.session._table.open) == (True, 5, 0)
        assert not wire.session._outbox.has_data
        assert wire.session.data_to_send(1_000) == b""

    def test_an_answer_without_body_is_one_frame(self, wire: Wire) -> None:
        stream = wire.request(1)
        wire.session.send_head(stream, [[(b":status", b"103")]], ends=False)
        wire.session.send_head(stream, [[(b":status", b"204")]], ends=True)
        assert [one.flags for one in wire.sent()] == [Flag.END_HEADERS, Flag.END_HEADERS | Flag.END_STREAM]
        assert stream.is_closed

    def test_an_end_that_comes_later_is_an_empty_frame(self, wire: Wire) -> None:
        stream = begun(wire, 1)
        wire.session.send_data(stream, b"x")
        wire.session.send_data(stream, b"")
        assert [one.ends for one in wire.sent()] == [False]
        wire.session.send_end(stream)
        assert wire.sent() == [Sent(FrameType.DATA, Flag.END_STREAM, 1, b"")]

    @pytest.mark.parametrize("waits", [True, False])
    def test_trailers_follow_the_body(self, wire: Wire, *, waits: bool) -> None:
        stream = begun(wire, 1)
        wire.session.send_data(stream, b"x")
        if not waits:
            wire.sent()
        wire.session.send_end(stream, [(b"grpc-status", b"0")])
        *data, trailers = wire.sent()
        assert [one.ends for one in data] == [False] * waits
        assert (trailers.kind, trailers.ends) == (FrameType.HEADERS, True)
        assert stream.is_closed

    def test_header_blocks_are_encoded_in_the_order_in_which_they_are_sent(self, wire: Wire) -> None:
        first, second = begun(wire, 1), wire.request(3)
        decoder = hpack.Decoder()
        wire.session.send_data(first, b"x")
        wire.session.send_end(first, [(b"x-one", b"1")])
        wire.session.send_head(second, [[*OK, (b"x-two", b"2")]], ends=True)
        heads = [one for one in wire.sent() if one.kind == FrameType.HEADERS]
        decoder.decode(b"\x88")
        assert [fields_of(one, decoder)[-1] for one in heads] == [(b"x-two", b"2"), (b"x-one", b"1")]

    @pytest.mark.parametrize(
        "sizes", [[100_000], [1] * 3_000, [16_384, 16_384], [16_383, 2, 40_000, 1], [600, 10, 700, 10, 10], [16_385, 5]]
    )
    def test_bytes_arrive_as_they_were_given(self, wire: Wire, sizes: list[int]) -> None:
        stream = begun(wire, 1)
        given = bytes(index % 251 for index in range(sum(sizes)))
        start = 0
        for size in sizes:
            wire.session.send_data(stream, given[start : start + size])
            start += size
        wire.session.send_end(stream)
        sent = wire.sent(10_000_000)
        assert content(sent, 1) == given
        assert max(len(one.payload) for one in sent) <= BODY_BYTES
        assert [one.ends for one in sent] == [False] * (len(sent) - 1) + [True]

    def test_small_pieces_are_kept_as_few(self, wire: Wire) -> None:
        stream = begun(wire, 1)
        for _ in range(10_000):
            wire.session.send_data(stream, b"abc")
        assert len(stream.pieces) < 100
        assert content(wire.sent(), 1) == b"abc" * 10_000


class TestRoom:
    def test_about_as_much_as_there_is_room_for(self, wire: Wire) -> None:
        stream = begun(wire, 1)
        wire.session.send_data(stream, bytes(1_000_000))
        for room in (1, 20_000, 65_536):
            got = len(wire.session.data_to_send(room))
            assert 0 < got <= room + BODY_BYTES + 9

    def test_a_full_frame_fills_one_tls_record(self, wire: Wire) -> None:
        stream = begun(wire, 1)
        wire.session.send_data(stream, bytes(1_000_000))
        assert len(wire.session.data_to_send(65_536)) == 4 * 16_384

    def test_frames_without_body_are_not_held_back(self, wire: Wire) -> None:
        stream = begun(wire, 1)
        wire.session.send_data(stream, b"x")
        wire.receive(setting(Setting.ENABLE_PUSH, 0))
        assert [one.kind for one in wire.sent(0)] == [FrameType.SETTINGS]
        assert [one.kind for one in wire.sent(1)] == [FrameType.DATA]


class TestWindows:
    def test_the_window_of_a_stream_holds_it_and_not_others(self) -> None:
        wire = Wire()
        wire.receive(window_update(0, 1_000_000))
        first, second = begun(wire, 1), begun(wire, 3)
        wire.session.send_data(first, bytes(70_000))
        wire.session.send_end(first)
        assert len(content(wire.sent(1_000_000), 1)) == 65_535
        assert not wire.session._outbox.has_data
        wire.session.send_data(second, b"hello")
        assert content(wire.sent(), 3) == b"hello"
        wire.receive(window_update(1, 10))
        assert len(content(wire.sent(), 1)) == 10
        wire.receive(window_update(1, 100_000))
        assert wire.sent()[-1].ends

    def test_the_window_of_the_connection_holds_all(self) -> None:
        wire = Wire()
        first, second = begun(wire, 1), begun(wire, 3)
        wire.session.send_data(first, bytes(65_535))
        wire.session.send_data(second, b"hello")
        sent = wire.sent(1_000_000)
        assert len(content(sent, 1)) + len(content(sent, 3)) == 65_535
        assert (wire.session._outbox.has_data, wire.sent()) == (False, [])
        wire.receive(window_update(0, 5))
        assert wire.session._outbox.has_data
        sent = wire.sent()
        assert len(content(sent, 1)) + len(content(sent, 3)) == 5

    def test_an_end_needs_no_window(self) -> None:
        wire = Wire()
        first, second = begun(wire, 1), begun(wire, 3)
        wire.session.send_data(first, bytes(65_535))
        wire.sent(1_000_000)
        wire.session.send_end(second, [(b"grpc-status", b"0")])
        wire.session.send_end(first)
        assert [one.ends for one in wire.sent()] == [True, True]


class TestOrder:
    def test_small_answers_pass_a_download(self, wire: Wire) -> None:
        download = begun(wire, 1)
        wire.session.send_data(download, bytes(1_000_000))
        wire.sent(100_000)
        small = begun(wire, 3)
        wire.session.send_data(small, bytes(100))
        wire.session.send_end(small)
        assert wire.sent(30_000)[0].stream == 3

    def test_the_download_goes_on_beside_small_answers(self, wire: Wire) -> None:
        download = begun(wire, 1)
        wire.session.send_data(download, bytes(10_000_000))
        wire.sent(100_000)
        before = download.sent_bytes
        for one in range(3, 403, 2):
            small = wire.request(one)
            wire.session.send_head(small, [OK], ends=False)
            wire.session.send_data(small, bytes(10_000))
            wire.session.send_end(small)
            if one % 40 == 1:
                wire.sent(300_000)
        assert download.sent_bytes - before > 400_000

    def test_incremental_streams_share_and_others_take_longer_turns(self, wire: Wire) -> None:
        streams = [begun(wire, one) for one in (1, 3)]
        for field, size in ((b"i", 1), (b"", 4)):
            for stream in streams:
                wire.session.prioritize(stream, field)
                wire.session.send_data(stream, bytes(300_000 - stream.queued))
            order = [one.stream for one in wire.sent(8 * 16_384)]
            assert [len(set(order[start : start + size])) for start in range(0, 8, size)] == [1] * (8 // size)
            assert order[0] != order[size]

    def test_a_priority_moves_a_stream_that_waits(self, wire: Wire) -> None:
        first, second = begun(wire, 1), begun(wire, 3)
        wire.session.send_data(first, bytes(10))
        wire.session.send_data(second, bytes(10))
        wire.session.prioritize(second, b"u=0")
        assert [one.stream for one in wire.sent()] == [3, 1]


class TestBlocking:
    def test_a_stream_with_much_waiting_is_blocked_until_half_is_gone(self, wire: Wire) -> None:
        stream = begun(wire, 1)
        wire.session.send_data(stream, bytes(65_536))
        assert not stream.is_blocked
        wire.session.send_data(stream, b"x")
        assert stream.is_blocked
        while stream.queued > 32_768:
            assert wire.session.take_unblocked() == []
            wire.sent(1)
        assert (stream.is_blocked, wire.session.take_unblocked()) == (False, [stream])

    def test_all_streams_together_hold_little(self) -> None:
        """The client opens no window: what waits for it is bounded."""
        wire = Wire()
        wire.receive(setting(Setting.INITIAL_WINDOW_SIZE, 0))
        streams = [begun(wire, one) for one in range(1, 257, 2)]
        for stream in streams:
            while not stream.is_blocked:
                wire.session.send_data(stream, bytes(8_192))
        assert sum(stream.queued for stream in streams) < 4_500_000

    def test_crowded_streams_unblock_as_well(self, wire: Wire) -> None:
        streams = [begun(wire, one) for one in range(1, 101, 2)]
        for stream in streams:
            while not stream.is_blocked:
                wire.session.send_data(stream, bytes(8_192))
        while wire.session._outbox.has_data:
            wire.sent()
        assert {stream.id for stream in wire.session.take_unblocked()} == {stream.id for stream in streams}

    @pytest.mark.parametrize("are_read", [True, False])
    def test_a_crowd_that_is_gone_blocks_no_stream(self, wire: Wire, *, are_read: bool) -> None:
        for one in range(1, 101, 2):
            stream = begun(wire, one)
            wire.session.send_data(stream, bytes(40_000))
            wire.receive(b"" if are_read else rst(one))
            while wire.sent():
                pass
        last = begun(wire, 101)
        wire.session.send_data(last, bytes(60_000))
        assert not last.is_blocked

    def test_what_a_closed_stream_had_is_forgotten(self, wire: Wire) -> None:
        stream = begun(wire, 1)
        wire.session.send_data(stream, bytes(100_000))
        wire.receive(rst(1))
        assert (stream.queued, stream.pieces, wire.session._outbox.has_data) == (0, [], False)
        wire.session.send_data(stream, b"more")
        wire.session.send_end(stream)
        assert wire.sent() == []


class TestEnds:
    """A stream ends when its last frame is handed out."""

    @pytest.mark.parametrize("has_body", [True, False])
    def test_an_answer_that_waits_keeps_its_stream_open(self, wire: Wire, *, has_body: bool) -> None:
        stream = wire.request(1)
        wire.session.send_head(stream, [OK], ends=not has_body)
        wire.session.send_end(stream)
        assert (stream.is_end_sent, stream.is_closed, wire.session._table.open) == (False, False, 1)
        assert [one.ends for one in wire.sent()] == [False] * has_body + [True]
        assert (stream.is_end_sent, stream.is_closed, wire.session._table.open) == (True, True, 0)

    def test_it_allows_nothing_before(self, wire: Wire) -> None:
        budget = wire.session._budgets.refused
        budget.spend(1)
        left = budget._left
        wire.session.send_head(wire.request(1), [OK], ends=True)
        assert budget._left == left
        wire.sent()
        assert budget._left == left + 1

    def test_a_client_that_needs_credit_for_a_request_that_was_stopped_gets_a_reset(self, wire: Wire) -> None:
        """Credit only until it has the answer, which it may read behind its upload."""
        stream = wire.request(1, ends=False)
        wire.session.send_head(stream, [OK], ends=True)
        wire.session.stop_request(stream)
        wire.receive(body(1, bytes(16_384)) * 3)
        assert [(one.kind, one.stream) for one in wire.sent()] == [(FrameType.HEADERS, 1), (FrameType.WINDOW_UPDATE, 1)]
        assert wire.receive(body(1, bytes(16_384))) == []
        (sent,) = wire.sent()
        assert (sent.kind, sent.stream, sent.number) == (FrameType.RST_STREAM, 1, ErrorCode.NO_ERROR)
        assert stream.is_closed

    @pytest.mark.parametrize("by_client", [True, False])
    def test_a_reset_while_the_end_waits_is_the_end(self, wire: Wire, *, by_client: bool) -> None:
        """The head still goes out: later header blocks depend on it."""
        stream = wire.request(1)
        wire.session.send_head(stream, [OK], ends=True)
        if by_client:
            assert len(wire.receive(rst(1))) == 1
        else:
            wire.session.reset(stream, 2)
        assert (stream.is_closed, wire.session._table.open) == (True, 0)
        assert [one.kind for one in wire.sent()] == [FrameType.HEADERS] + [FrameType.RST_STREAM] * (not by_client)
        assert not stream.is_end_sent


class TestCredit:
    def test_the_connection_gets_one_frame_when_data_is_fetched(self) -> None:
        """A client that reads nothing gets no credit, so its window bounds what it sends."""
        wire = Wire()
        streams = [wire.request(one, ends=False) for one in (1, 3, 5)]
        for _ in range(3):
            for stream in streams:
                wire.receive(body(stream.id, bytes(16_384)))
                wire.session.consumed(stream, 16_384)
        assert wire.session._outbox.has_data
        assert [one.number for one in wire.sent() if one.stream == 0] == [9 * 16_384]
        assert not wire.session._outbox.has_data

    def test_a_stalled_body_holds_back_no_credit_of_others(self) -> None:
        wire = Wire(replace(H2_LIMITS, connection_window_bytes=131_070))
        stalled, other = wire.request(1, ends=False), wire.request(3, ends=False)
        wire.receive(body(stalled.id, bytes(16_000)) * 4)
        wire.receive(body(other.id, bytes(16_000)))
        wire.session.consumed(other, 1_000)
        (sent,) = wire.sent()
        assert (sent.kind, sent.stream, sent.number) == (FrameType.WINDOW_UPDATE, 0, 1_000)

    def test_bytes_that_are_kept_give_their_credit_to_the_connection_alone(self) -> None:
        wire = Wire(replace(H2_LIMITS, connection_window_bytes=65_535))
        stream = wire.request(1, ends=False)
        wire.receive(body(1, bytes(16_000)) * 4 + body(1, bytes(1_535)))
        assert wire.session.is_window_used_up
        wire.session.keep(stream, 65_535)
        wire.session.keep(stream, 1)
        assert not wire.session.is_window_used_up
        assert [(one.stream, one.number) for one in wire.sent()] == [(0, 65_535)]
        wire.session.consumed(stream, 65_535)
        assert [(one.stream, one.number) for one in wire.sent()] == [(1, 65_535)]

    def test_bytes_that_were_kept_of_a_stream_that_was_reset_give_it_no_credit(self) -> None:
        """RFC 9113 5.1: on a closed stream nothing is sent."""
        wire = Wire()
        stream = wire.request(1, ends=False)
        wire.receive(body(1, bytes(16_384)) * 4)
        wire.session.keep(stream, 65_535)
        wire.receive(rst(1))
        wire.sent()
        wire.session.consumed(stream, 65_535)
        assert wire.sent() == []

    def test_nothing_follows_the_last_goaway(self, wire: Wire) -> None:
        wire.request(1, ends=False)
        wire.receive(body(1, bytes(16_384)) * 4)
        wire.request(3, ends=False)
        wire.receive(body(3, bytes(16_384)) * 4)
        wire.session.fail(11)
        assert [one.kind for one in wire.sent()] == [FrameType.GOAWAY]

    def test_it_follows_consumption(self) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        wire.receive(body(1, bytes(16_384)) * 4)
        assert wire.sent() == []
        wire.session.consumed(stream, 32_767)
        assert wire.sent() == []
        wire.session.consumed(stream, 1)
        assert wire.sent() == [Sent(FrameType.WINDOW_UPDATE, 0, 1, (32_768).to_bytes(4, "big"))]

    def test_more_than_was_received_is_not_consumed(self) -> None:
        wire = Wire()
        stream = wire.request(1, ends=False)
        wire.receive(body(1, bytes(100)))
        wire.session.consumed(stream, 1_000_000)
        assert (stream.unconsumed_bytes, wire.sent()) == (0, [])

    def test_a_stream_that_is_closed_leaves_its_credit_to_the_connection(self) -> None:
        wire = Wire()
        for one in range(1, 101, 2):
            stream = wire.request(one, ends=False)
            wire.receive(body(one, bytes(16_384)) + rst(one))
            wire.session.consumed(stream, 16_384)
            wire.session.work_ended(stream)
            wire.sent()
        assert not wire.session.has_failed

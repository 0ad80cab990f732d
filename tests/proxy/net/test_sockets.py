"""One connected socket: back-pressure, failed sends, lingering, and the order in which owners hear of things."""

import asyncio
import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from proxy.net.linger import Linger
from proxy.net.readiness import EPOLLIN, EPOLLOUT
from proxy.net.shared_io import READ_BUFFER_BYTES, RELAYED_BYTES, SharedIo
from proxy.net.sockets import SocketStream
from tests.fakes import LINGER, FakeLoop, RecordingOwner, Wire, broken_pipe

MEGABYTE = 1_000_000


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def wire(loop: FakeLoop) -> Iterator[Wire]:
    wire = Wire(loop)
    yield wire
    wire.close()


def blocked(wire: Wire, loop: FakeLoop, size: int = MEGABYTE) -> None:
    """Write until the kernel takes no more."""
    wire.limit_buffers()
    wire.stream.write(b"x" * size)
    assert wire.stream.is_blocked
    assert wire.owner.events == [("pause", None)]
    loop.settle()


class TestReading:
    def test_nothing_is_read_before_it_is_asked_for(self, wire: Wire, loop: FakeLoop) -> None:
        wire.peer.send(b"early")
        loop.settle()
        assert wire.owner.events == []
        wire.stream.resume_reading()
        loop.settle()
        assert wire.owner.events == [("data", b"early")]

    def test_paused_reading_leaves_bytes_in_the_kernel(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.resume_reading()
        wire.stream.resume_reading()
        wire.stream.pause_reading()
        wire.stream.pause_reading()
        wire.peer.send(b"waits")
        loop.settle()
        assert wire.owner.events == []
        wire.stream.resume_reading()
        loop.settle()
        assert wire.owner.data == b"waits"

    def test_view_is_that_of_the_loop(self, wire: Wire, loop: FakeLoop) -> None:
        """No more is read at a time than the shared buffer holds."""
        sizes: list[int] = []
        wire.owner.when_data = lambda data: sizes.append(len(data))
        wire.stream.resume_reading()
        for _ in range(2):
            wire.peer.send(b"y" * 60_000)
        loop.settle()
        assert sizes == [READ_BUFFER_BYTES, 120_000 - READ_BUFFER_BYTES]

    def test_full_reads_get_more_room_until_reading_pauses(self, wire: Wire, loop: FakeLoop) -> None:
        """So a peer that is not read holds no more than a small read."""
        sizes: list[int] = []
        wire.owner.when_data = lambda data: sizes.append(len(data))
        wire.peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10 * READ_BUFFER_BYTES)
        wire.stream.resume_reading()
        for _ in range(8):
            wire.peer.send(b"y" * READ_BUFFER_BYTES)
        loop.settle()
        assert sizes == [READ_BUFFER_BYTES, 2 * READ_BUFFER_BYTES, 4 * READ_BUFFER_BYTES, READ_BUFFER_BYTES]
        wire.stream.pause_reading()
        wire.stream.resume_reading()
        for _ in range(3):
            wire.peer.send(b"y" * READ_BUFFER_BYTES)
        loop.settle()
        assert sizes[4:] == [READ_BUFFER_BYTES, 2 * READ_BUFFER_BYTES]

    def test_several_reads_in_a_turn_end_with_one_that_is_not_full(self, wire: Wire, loop: FakeLoop) -> None:
        sizes: list[int] = []
        wire.owner.when_data = lambda data: sizes.append(len(data))
        wire.stream.limit_reads(10, 3)
        wire.stream.resume_reading()
        wire.peer.send(b"y" * 45)
        loop.turn()
        assert sizes == [10, 10, 10]
        loop.turn()
        assert sizes[3:] == [10, 5]

    def test_several_reads_in_a_turn_are_for_one_that_is_alone(self, wire: Wire, loop: FakeLoop) -> None:
        other = Wire(loop, io=wire.io)
        for one in (wire, other):
            one.stream.limit_reads(10, 3)
            one.stream.resume_reading()
            one.peer.send(b"y" * 45)
        loop.turn()
        assert len(wire.owner.data) == len(other.owner.data) == 10
        other.close()

    @pytest.mark.parametrize("what", ["pause_reading", "drop", "limit_reads"])
    def test_several_reads_in_a_turn_end_when_the_owner_says_so(self, wire: Wire, loop: FakeLoop, what: str) -> None:
        wire.owner.when_data = lambda _: getattr(wire.stream, what)(*[10] * (what == "limit_reads"))
        wire.stream.limit_reads(10, 3)
        wire.stream.resume_reading()
        wire.peer.send(b"y" * 45)
        loop.turn()
        assert len(wire.owner.data) == 10

    def test_relay_gets_no_large_reads(self, wire: Wire, loop: FakeLoop) -> None:
        owner = RecordingOwner()
        wire.stream.hand_over(owner)
        sizes: list[int] = []
        owner.when_data = lambda data: sizes.append(len(data))
        wire.stream.resume_reading()
        for _ in range(2):
            wire.peer.send(b"y" * RELAYED_BYTES)
        loop.settle()
        assert sizes == [RELAYED_BYTES, RELAYED_BYTES]

    def test_owner_may_read_on_when_it_is_done_with_its_view(self, wire: Wire, loop: FakeLoop) -> None:
        more: list[bytes] = []

        def read_on(_: bytes) -> None:
            for _turn in range(3):
                more.append(bytes(wire.stream.read_on(1_000)))
                wire.peer.close()

        wire.owner.when_data = read_on
        wire.stream.resume_reading()
        wire.peer.send(b"y" * READ_BUFFER_BYTES)
        wire.peer.send(b"z")
        loop.settle()
        assert more == [b"z", b"", b""]
        assert wire.owner.kinds == ["data", "eof"]

    def test_reset_is_told_after_the_call_that_reads_on(self, loop: FakeLoop) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname())
            sock, _ = listening.accept()
        sock.settimeout(0)
        owner = RecordingOwner()
        stream = SocketStream(SharedIo(loop), sock, owner, LINGER)

        def read_on(_: bytes) -> None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            assert not len(stream.read_on(1_000))
            assert owner.kinds == ["data"]

        owner.when_data = read_on
        stream.resume_reading()
        client.send(b"x")
        loop.settle()
        assert owner.kinds == ["data", "lost"]
        assert owner.events[-1] == ("lost", ConnectionResetError)
        assert not len(stream.read_on(1_000))

    def test_end_of_the_peer_is_told_once_and_leaves_our_direction_open(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.resume_reading()
        wire.peer.shutdown(socket.SHUT_WR)
        loop.settle()
        assert wire.owner.events == [("eof", None)]
        assert not wire.is_watched
        wire.stream.write(b"the answer")
        assert wire.received() == b"the answer"
        assert wire.stream.is_open

    def test_reset_of_the_peer_is_an_error(self, loop: FakeLoop) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listening.getsockname())
        sock, _ = listening.accept()
        sock.settimeout(0)
        owner = RecordingOwner()
        stream = SocketStream(SharedIo(loop), sock, owner, LINGER, read_bytes=1_024)
        stream.resume_reading()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        listening.close()
        loop.settle()
        assert owner.events == [("lost", ConnectionResetError)]
        assert not stream.is_open

    def test_spurious_report_of_the_loop_is_ignored(self, wire: Wire) -> None:
        wire.stream.resume_reading()
        wire.stream.ready(EPOLLIN)
        assert wire.owner.events == []
        assert wire.stream.is_open


class TestWriting:
    def test_small_writes_of_a_turn_go_out_as_one_when_it_ends(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.write(b"one")
        wire.stream.write(b"two")
        assert wire.sock.sent == []
        loop.settle()
        assert wire.sock.sent == [6]
        assert wire.received() == b"onetwo"
        assert not wire.is_watched
        assert wire.owner.events == []

    def test_large_write_goes_out_at_once(self, wire: Wire) -> None:
        wire.stream.write(b"x" * 16_385)
        assert wire.sock.sent == [16_385]

    def test_small_writes_that_are_large_together_go_out_at_once(self, wire: Wire) -> None:
        wire.stream.write(b"x" * 16_384)
        assert wire.sock.sent == []
        wire.stream.write(b"y")
        assert wire.sock.sent == [16_385]

    @pytest.mark.parametrize("end", ["end", "end_at_once", "abort"])
    def test_what_was_written_is_sent_before_an_end_of_any_kind(self, wire: Wire, loop: FakeLoop, end: str) -> None:
        wire.stream.write(b"last words")
        getattr(wire.stream, end)()
        loop.settle()
        assert wire.received() == b"last words"
        assert wire.peer_sees_end

    def test_what_the_kernel_does_not_take_at_an_end_is_lost_by_an_abort_only(self, wire: Wire, loop: FakeLoop) -> None:
        wire.sock.takes = 4
        wire.stream.write(b"last words")
        wire.stream.end_at_once()
        wire.sock.takes = 100
        loop.settle()
        assert wire.received() == b"last words"

    def test_what_the_kernel_does_not_take_is_kept_and_the_owner_paused_until_all_of_it_is_taken(
        self, wire: Wire, loop: FakeLoop
    ) -> None:
        blocked(wire, loop)
        wire.stream.write(b"more")
        assert wire.owner.events == [("pause", None)]
        data = b""
        while len(data) < MEGABYTE + 4:
            assert wire.owner.kinds == ["pause"]
            data += wire.received(10_000)
            loop.turn()
            if not wire.stream.is_blocked:
                data += wire.received()
        assert data == b"x" * MEGABYTE + b"more"
        assert wire.owner.kinds == ["pause", "resume"]
        assert not wire.is_watched

    def test_owner_may_write_from_inside_resume(self, wire: Wire, loop: FakeLoop) -> None:
        blocked(wire, loop, 100_000)
        rounds = iter(range(3))

        def again() -> None:
            if next(rounds, None) is not None:
                wire.stream.write(b"y" * 100_000)

        wire.owner.when_resumed = again
        data = wire.received()
        while wire.stream.is_blocked:
            loop.turn()
            data += wire.received()
        assert data == b"x" * 100_000 + b"y" * 300_000
        assert wire.owner.kinds.count("pause") == wire.owner.kinds.count("resume") == 4

    def test_writer_that_is_called_for_nothing_keeps_everything(self, wire: Wire, loop: FakeLoop) -> None:
        blocked(wire, loop)
        wire.stream.ready(EPOLLOUT)
        assert wire.stream.is_blocked
        assert wire.owner.kinds == ["pause"]

    def test_nothing_is_written_after_the_end(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.end()
        wire.stream.write(b"too late")
        loop.settle()
        assert wire.received() == b""
        assert wire.peer_sees_end

    def test_nothing_is_written_to_a_closed_socket(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.abort()
        loop.settle()
        wire.stream.write(b"too late")
        assert wire.owner.events == [("lost", None)]


class TestFailedSend:
    def test_owner_does_not_hear_of_it_inside_its_own_call(self, wire: Wire, loop: FakeLoop) -> None:
        wire.sock.send_error = broken_pipe()
        wire.stream.write(b"request")
        assert wire.owner.events == []
        loop.settle()
        assert wire.owner.events == [("lost", BrokenPipeError)]
        assert wire.closed == [True]

    def test_answer_that_had_arrived_before_is_delivered_first(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.resume_reading()
        wire.peer.send(b"413 and goodbye")
        wire.peer.close()
        wire.stream.write(b"the rest of an upload")
        wire.io.flush()
        loop.settle()
        assert wire.owner.events == [("data", b"413 and goodbye"), ("lost", BrokenPipeError)]

    def test_answer_is_delivered_though_reading_was_paused(self, wire: Wire, loop: FakeLoop) -> None:
        wire.peer.send(b"goodbye")
        wire.sock.send_error = broken_pipe()
        wire.stream.write(b"x")
        loop.settle()
        assert wire.owner.events == [("data", b"goodbye"), ("lost", BrokenPipeError)]

    def test_a_peer_that_never_stops_cannot_hold_the_loop_with_it(self, wire: Wire, loop: FakeLoop) -> None:
        wire.sock.send_error = broken_pipe()
        wire.owner.when_data = wire.peer.sendall
        wire.peer.send(b"again")
        wire.stream.write(b"x")
        loop.settle()
        assert wire.owner.data == b"again" * 16
        assert wire.owner.is_lost

    def test_owner_may_end_the_connection_from_inside_that_delivery(self, wire: Wire, loop: FakeLoop) -> None:
        wire.sock.send_error = broken_pipe()
        wire.owner.when_data = lambda _: wire.stream.end()
        wire.peer.send(b"goodbye")
        wire.stream.write(b"x")
        loop.settle()
        loop.advance(LINGER.seconds)
        assert wire.owner.kinds == ["data", "lost"]
        assert not loop.timers

    def test_send_that_fails_later_is_reported_too(self, wire: Wire, loop: FakeLoop) -> None:
        blocked(wire, loop)
        wire.sock.send_error = broken_pipe()
        wire.received()
        loop.settle()
        assert wire.owner.events == [("pause", None), ("lost", BrokenPipeError)]
        assert not wire.is_watched

    def test_two_failed_sends_lose_the_connection_once(self, wire: Wire, loop: FakeLoop) -> None:
        wire.sock.send_error = broken_pipe()
        wire.stream.write(b"x")
        wire.stream.write(b"y")
        loop.settle()
        assert wire.owner.kinds == ["lost"]


def lingers(wire: Wire) -> bool:
    """Whether a time of its end is still running."""
    return any(limit._limited for limit in wire.stream._io._limits.values())


class TestEnd:
    def test_peer_sees_a_clean_end_and_what_it_still_sends_is_taken_and_forgotten(
        self, wire: Wire, loop: FakeLoop
    ) -> None:
        wire.stream.resume_reading()
        wire.stream.write(b"last words")
        wire.stream.end()
        assert lingers(wire)
        assert wire.received() == b"last words"
        assert wire.peer_sees_end
        wire.peer.send(b"rest of an upload")
        loop.settle()
        assert wire.owner.events == []
        wire.peer.close()
        loop.settle()
        assert wire.owner.events == [("lost", None)]
        assert not lingers(wire)
        assert not wire.is_watched
        assert wire.closed == [True]

    def test_bytes_that_wait_go_out_before_the_end(self, wire: Wire, loop: FakeLoop) -> None:
        blocked(wire, loop)
        wire.stream.end()
        data = b""
        while len(data) < MEGABYTE:
            assert not wire.peer_sees_end
            data += wire.received(10_000)
            loop.turn()
        loop.settle()
        assert wire.peer_sees_end
        assert "resume" not in wire.owner.kinds

    def test_a_slow_reader_is_not_cut_off_by_the_time_of_lingering(self, wire: Wire, loop: FakeLoop) -> None:
        blocked(wire, loop, 100_000)
        wire.stream.end()
        data = b""
        while len(data) < 100_000:
            data += wire.received(10_000)
            loop.advance(LINGER.seconds)
        assert data == b"x" * 100_000
        assert wire.peer_sees_end

    def test_a_reader_that_takes_nothing_is_given_up(self, wire: Wire, loop: FakeLoop) -> None:
        blocked(wire, loop)
        wire.stream.end()
        loop.advance(LINGER.flush_seconds - 0.001)
        assert not wire.owner.is_lost
        loop.advance(0.001)
        assert wire.owner.is_lost
        assert not loop.timers

    def test_a_peer_that_keeps_its_side_open_is_left_after_a_while(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.end()
        loop.advance(LINGER.seconds - 0.001)
        assert not wire.owner.is_lost
        loop.advance(0.001)
        assert wire.owner.events == [("lost", None)]

    def test_time_of_lingering_begins_when_everything_is_flushed(self, wire: Wire, loop: FakeLoop) -> None:
        blocked(wire, loop, 100_000)
        wire.stream.end()
        loop.advance(30)
        assert len(wire.received()) + len(drained(wire, loop)) == 100_000
        loop.advance(LINGER.seconds - 0.001)
        assert not wire.owner.is_lost
        loop.advance(0.001)
        assert wire.owner.is_lost
        assert not lingers(wire)

    def test_a_peer_that_sends_too_much_is_left(self, loop: FakeLoop) -> None:
        wire = Wire(loop, linger=Linger(discard_bytes=10, seconds=2.0, flush_seconds=60.0))
        wire.stream.end()
        wire.peer.send(b"0123456789")
        loop.settle()
        assert not wire.owner.is_lost
        wire.peer.send(b"!")
        loop.settle()
        assert wire.owner.events == [("lost", None)]
        wire.close()

    def test_a_peer_that_sends_too_much_while_we_flush_is_left_when_it_has_all(self, loop: FakeLoop) -> None:
        wire = Wire(loop, linger=Linger(discard_bytes=10, seconds=2.0, flush_seconds=60.0))
        wire.stream.resume_reading()
        blocked(wire, loop)
        wire.stream.end()
        wire.peer.send(b"more than ten bytes")
        loop.settle()
        taken = 0
        while piece := wire.received():
            taken += len(piece)
            with contextlib.suppress(BrokenPipeError):  # when it is gone
                wire.peer.send(b"nobody listens")
            loop.settle()
        assert taken == MEGABYTE
        assert wire.owner.events == [("pause", None), ("lost", None)]
        wire.close()

    def test_end_twice_is_end_once(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.end()
        wire.stream.end()
        assert len(loop.timers) == 1
        wire.peer.close()
        loop.settle()
        assert wire.owner.kinds == ["lost"]

    def test_end_of_a_closed_stream_does_nothing(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.abort()
        loop.settle()
        wire.stream.end()
        assert not loop.timers

    def test_end_on_a_socket_that_the_peer_reset_is_reported_later(self, wire: Wire, loop: FakeLoop) -> None:
        wire.sock.shutdown_error = OSError(errno.ENOTCONN, "not connected")
        wire.stream.end()
        assert wire.owner.events == []
        loop.settle()
        assert wire.owner.kinds == ["lost"]
        assert not lingers(wire)


class TestEndAtOnce:
    """For a peer that has said that it sends no more: nothing has to be read for its sake."""

    def test_closes_in_the_next_turn(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.write(b"last words")
        wire.stream.end_at_once()
        wire.stream.write(b"too late")
        assert wire.owner.events == []
        loop.settle()
        assert wire.owner.events == [("lost", None)]
        assert wire.received() == b"last words"
        assert wire.peer_sees_end
        assert not loop.timers

    def test_bytes_that_wait_go_out_first(self, wire: Wire, loop: FakeLoop) -> None:
        blocked(wire, loop, 100_000)
        wire.stream.end_at_once()
        assert len(drained(wire, loop)) == 100_000
        loop.settle()
        assert wire.peer_sees_end

    def test_does_nothing_when_the_end_is_under_way_or_over(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.end()
        wire.stream.end_at_once()
        loop.settle()
        assert not wire.owner.is_lost
        wire.stream.abort()
        loop.settle()
        wire.stream.end_at_once()
        loop.settle()
        assert wire.owner.kinds == ["lost"]


class TestAbort:
    def test_owner_hears_of_it_in_the_next_turn(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.resume_reading()
        wire.peer.send(b"never read")
        wire.stream.abort()
        assert wire.owner.events == []
        loop.settle()
        assert wire.owner.events == [("lost", None)]
        assert not wire.is_watched

    def test_kept_bytes_are_lost(self, wire: Wire, loop: FakeLoop) -> None:
        blocked(wire, loop)
        wire.stream.abort()
        loop.settle()
        assert wire.owner.kinds == ["pause", "lost"]
        assert len(wire.received()) < MEGABYTE
        assert not wire.is_watched

    def test_abort_ends_lingering(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.end()
        wire.stream.abort()
        loop.settle()
        assert wire.owner.kinds == ["lost"]
        assert not lingers(wire)

    def test_abort_twice_loses_the_connection_once(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.abort()
        wire.stream.abort()
        loop.settle()
        wire.stream.abort()
        loop.settle()
        assert wire.owner.kinds == ["lost"]
        assert wire.closed == [True]

    def test_closed_stream_can_be_asked_anything(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.abort()
        loop.settle()
        wire.stream.pause_reading()
        wire.stream.resume_reading()
        wire.stream.end()
        loop.settle()
        assert wire.owner.kinds == ["lost"]

    def test_new_owner_hears_of_what_comes_after_it_took_over(self, wire: Wire, loop: FakeLoop) -> None:
        wire.stream.owner = heir = RecordingOwner()
        wire.stream.resume_reading()
        wire.peer.send(b"for the heir")
        loop.settle()
        assert heir.data == b"for the heir"
        assert wire.owner.events == []


class TestOnTheLoopOfTheProduct:
    """Numbers of descriptors are reused at once: what is closed must not hear of its successor (TRAPS)."""

    async def test_close_in_the_turn_in_which_reading_began_harms_nobody(self) -> None:
        loop = asyncio.get_running_loop()
        io, reused = SharedIo(loop), 0
        for _ in range(50):
            first = Wire(loop, io=io)
            number = first.sock.fileno()
            first.stream.resume_reading()
            first.peer.send(b"for the first")
            first.stream.abort()
            await first.gone()
            assert first.owner.kinds == ["lost"]

            second = Wire(loop, io=io)
            reused += second.sock.fileno() == number
            second.stream.resume_reading()
            second.peer.send(b"for the second")
            got = loop.create_future()
            second.owner.when_data = got.set_result
            assert await got == b"for the second"
            assert first.owner.kinds == ["lost"]
            second.stream.abort()
            await second.gone()
            first.close()
            second.close()
        assert reused >= 45  # but for where garbage of an earlier test left a lower number free

    @pytest.mark.parametrize("size", [3, 3_000])
    async def test_reset_right_behind_bytes_is_seen_when_they_have_been_read(self, size: int) -> None:
        """The loop calls once for the two together, and stops to watch the socket."""
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname())
            sock, _ = listening.accept()
        sock.settimeout(0)
        owner = RecordingOwner()
        closed = asyncio.Event()
        stream = SocketStream(SharedIo(loop), sock, owner, LINGER, read_bytes=1_024, closed=closed.set)
        client.sendall(b"x" * size)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        stream.resume_reading()
        async with asyncio.timeout(5):
            await closed.wait()
        assert owner.data == b"x" * size
        assert owner.events[-1] == ("lost", ConnectionResetError)

    async def test_megabytes_go_through_a_slow_reader_unharmed(self) -> None:
        loop = asyncio.get_running_loop()
        wire = Wire(loop)
        wire.limit_buffers()
        data = os.urandom(MEGABYTE)
        wire.stream.write(data)
        wire.stream.end()
        received = b""
        while piece := await loop.sock_recv(wire.peer, 50_000):
            received += piece
        assert received == data
        wire.peer.close()
        await wire.gone()
        wire.close()


def drained(wire: Wire, loop: FakeLoop) -> bytes:
    """Read everything that still waits, turn by turn."""
    data = b""
    while wire.stream.is_blocked:
        loop.turn()
        data += wire.received()
    return data


class TestLastSegment:
    @pytest.mark.parametrize("end", ["end", "end_at_once"])
    def test_last_bytes_and_the_end_are_one(self, loop: FakeLoop, end: str) -> None:
        """As the peer's kernel counts them: it is woken once."""
        client, stream = tcp(loop, RecordingOwner())
        before = segments_received(client)
        stream.write(b"last words")
        getattr(stream, end)()
        loop.turn()
        assert client.recv(100) == b"last words"
        assert client.recv(100) == b""
        assert segments_received(client) - before == 1
        client.close()
        loop.settle()

    def test_last_bytes_before_an_abort_are_not_lost_with_what_nobody_read(self, loop: FakeLoop) -> None:
        client, stream = tcp(loop, RecordingOwner())
        client.send(b"too late")
        stream.write(b"last words")
        stream.abort()
        loop.settle()
        assert client.recv(100) == b"last words"
        client.close()

    def test_others_wait_for_nothing(self, loop: FakeLoop) -> None:
        client, stream = tcp(loop, RecordingOwner())
        for word in (b"one", b"two"):
            stream.write(word)
            loop.settle()
            assert client.recv(100) == word
        stream.abort()
        client.close()
        loop.settle()


class TestAcknowledging:
    """A peer without TCP_NODELAY keeps its second small write back until the first one is acknowledged."""

    def test_the_next_small_write_of_the_peer_comes_at_once(self, loop: FakeLoop) -> None:
        owner = RecordingOwner()
        client, stream = tcp(loop, owner)
        stream.resume_reading()
        client.send(b"hello")
        loop.settle()
        stream.write(b"hello too")  # an exchange: from here on acknowledgements travel with data
        loop.settle()
        assert client.recv(100) == b"hello too"
        client.send(b" finished")
        loop.settle()
        assert unacknowledged(client) == 1, "or this test tries nothing"
        stream.acknowledge()
        assert unacknowledged(client) == 0
        client.send(b" request")
        loop.settle()
        assert owner.data == b"hello finished request"
        assert unacknowledged(client) == 1, "what comes later travels with data again"
        stream.abort()
        loop.settle()
        stream.acknowledge()  # nothing: it is gone
        client.close()

    def test_other_sockets_have_nothing_to_say(self, wire: Wire) -> None:
        wire.stream.acknowledge()
        assert wire.stream.is_open


def unacknowledged(sock: socket.socket) -> int:
    """How many segments the other side owes an answer to: `tcpi_unacked` of tcp_info (linux/tcp.h)."""
    return int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)[24:28], sys.byteorder)


def tcp(loop: FakeLoop, owner: RecordingOwner) -> tuple[socket.socket, SocketStream]:
    """A client, which waits for what it reads, and the stream on the other side."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        sock, _ = listening.accept()
    client.settimeout(5)
    sock.settimeout(0)
    return client, SocketStream(SharedIo(loop), sock, owner, LINGER)


def segments_received(sock: socket.socket) -> int:
    """What the kernel says: `tcpi_segs_in` of tcp_info (linux/tcp.h)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 144)
    return int.from_bytes(info[140:144], sys.byteorder)


class TestWaitingBytes:
    """What a peer has not taken, wherever it is."""

    def test_are_those_in_the_kernel_and_those_that_it_has_no_room_for(self, loop: FakeLoop) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            peer.connect(listening.getsockname())
            sock = listening.accept()[0]
        sock.settimeout(0)
        stream = SocketStream(SharedIo(loop), sock, RecordingOwner(), LINGER)
        assert stream.waiting_bytes == 0
        stream.write(b"small")
        assert stream.waiting_bytes == 5
        stream.write(bytes(8 * MEGABYTE))
        before = stream.waiting_bytes
        assert 7 * MEGABYTE < before < 8 * MEGABYTE
        taken = len(peer.recv(4_096, socket.MSG_WAITALL))
        while stream.waiting_bytes > before - taken // 2:
            taken += len(peer.recv(4_096, socket.MSG_WAITALL))  # the window opens when there is room for a segment
        peer.close()
        stream.abort()
        loop.settle()
        assert stream.waiting_bytes == 0

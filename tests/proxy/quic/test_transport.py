"""One QUIC connection over a played library: turns, the timer, and the ends."""

import socket
from collections.abc import Callable, Iterator

import pytest

from proxy.net.byte_stream import StreamOwner
from proxy.quic.events import QuicEvent as Q
from proxy.quic.transport import QuicTransport
from tests.fakes import FakeLoop
from tests.fakes_quic import quic_connection

DRAINING, RETRY, DROP, IDLE, PROTOCOL = -224, -231, -232, -238, -501


class Owner(StreamOwner[bytes]):
    """What it is told."""

    def __init__(self, does: Callable[[], None] = lambda: None) -> None:
        self.told: list[object] = []
        self.does = does

    def data_received(self, data: bytes) -> None:
        self.told.append(data)
        self.does()

    def connection_lost(self, error: OSError | None) -> None:
        self.told.append(("lost", error))


class Crypto:
    """A handshake, which is told what comes."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def crypto_received(self, level: int, data: bytes) -> None:
        self.told.append((level, data))

    def run_steps(self) -> None:
        self.told.append("steps")

    def connection_lost(self, error: OSError | None) -> None:
        self.told.append(("lost", error))

    def broken(self, sentence: str) -> None:
        self.told.append(("broken", sentence))


class World:
    """A transport, the IDs that lead to it, and its library."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.ids: dict[bytes, QuicTransport] = {}
        self.native = quic_connection()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.transport = QuicTransport(self.loop, self.sock, self)
        self.transport.use(self.native, b"original")
        self.ends = 0
        self.transport.closed = self.count

    def count(self) -> None:
        self.ends += 1

    def route(self, connection_id: bytes, transport: QuicTransport) -> None:
        self.ids[connection_id] = transport

    def forget(self, connection_id: bytes) -> None:
        self.ids.pop(connection_id, None)

    def came(self, data: bytes = b"packet") -> None:
        self.transport.received(data, b"local", b"remote", 0)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.sock.close()


class TestTurns:
    def test_ids_lead_to_it_as_they_come_and_go(self, world: World) -> None:
        assert set(world.ids) == {b"original", b"own"}
        world.native.told = [(Q.ID_MADE, b"new"), (Q.ID_GONE, b"original"), (Q.BODY, 0, b"x")]
        world.came()
        world.transport.turn()
        assert set(world.ids) == {b"own", b"new"}
        assert world.transport.take_events() == [(Q.BODY, 0, b"x")]
        assert world.transport.take_events() == []

    def test_the_owner_sends_and_without_one_it_sends_by_itself(self, world: World) -> None:
        world.transport.turn()
        assert world.native.calls("transmit") == [("transmit",)]
        owner = Owner()
        world.transport.hand_over(owner)
        world.transport.turn()
        assert owner.told == [b""]
        assert len(world.native.calls("transmit")) == 1

    def test_what_packets_do_is_kept_apart(self, world: World) -> None:
        world.native.sends = [[(Q.LEFT, 0, 3)]]
        world.transport.transmit()
        assert world.transport.take_events() == []
        assert world.transport.take_sent() == [(Q.LEFT, 0, 3)]

    def test_what_is_held_waits_for_the_timer(self, world: World) -> None:
        world.native.due = 0.5
        world.transport.hold()
        assert world.native.calls("transmit") == []
        world.native.due = 0.0
        world.loop.advance(0.5)
        assert world.native.calls("expired", "transmit") == [("expired",), ("transmit",)]

    def test_nothing_is_held_behind_the_end(self, world: World) -> None:
        world.transport.drop()
        world.transport.hold()
        world.loop.advance(60.0)
        assert world.native.calls("expired", "transmit") == []

    def test_a_large_answer_goes_on_in_the_next_turn(self, world: World) -> None:
        world.native.has_more = 1
        world.transport.transmit()
        world.transport.turn_soon()
        world.loop.settle()
        assert len(world.native.calls("transmit")) == 2

    def test_the_handshake_reads_in_the_middle_of_a_packet(self, world: World) -> None:
        world.transport.crypto_received(0, b"nobody reads it")
        world.transport.crypto = crypto = Crypto()
        world.transport.crypto_received(2, b"finished")
        assert crypto.told == [(2, b"finished"), "steps"]
        world.transport.turn()
        assert crypto.told[2:] == ["steps"]


class TestTimer:
    def test_it_fires_when_the_library_says(self, world: World) -> None:
        world.native.due = 0.5
        world.transport.transmit()
        world.native.due = 0.0
        world.loop.advance(0.4)
        assert world.native.calls("expired") == []
        world.loop.advance(0.2)
        assert len(world.native.calls("expired")) == 1

    def test_it_is_set_anew_only_to_fire_earlier(self, world: World) -> None:
        for due in (5.0, 9.0, 0.5):
            world.native.due = due
            world.transport.transmit()
        world.loop.advance(1.0)  # nothing is due any more
        assert world.native.calls("expired") == []

    def test_silence_ends_the_connection_without_a_word(self, world: World) -> None:
        owner = Owner()
        world.transport.hand_over(owner)
        world.native.due = 0.5
        world.transport.transmit()
        world.native.due, world.native.expiry_error = 0.0, IDLE
        world.loop.advance(1.0)
        world.loop.settle()
        assert owner.told == [("lost", None)]
        assert world.native.calls("close") == []
        assert world.ends == 1


class TestEnds:
    def test_a_client_that_closes_is_gone(self, world: World) -> None:
        owner = Owner()
        world.transport.hand_over(owner)
        world.native.errors = [DRAINING]
        world.came()
        world.loop.settle()
        assert owner.told == [("lost", None)]
        assert world.native.calls("close", "free") == [("free",)]
        world.came(b"late")
        assert len(world.native.calls("receive")) == 1
        world.loop.advance(1.0)
        assert world.ids == {}

    @pytest.mark.parametrize("error", [RETRY, DROP])
    def test_one_that_has_not_begun_is_forgotten_at_once(self, world: World, error: int) -> None:
        world.native.errors = [error]
        assert world.transport.received(b"packet", b"local", b"remote", 0) == error
        assert world.ids == {}
        world.loop.settle()
        assert world.native.calls("close", "free") == [("free",)]

    def test_a_fault_is_told_to_the_owner_which_ends_it(self, world: World) -> None:
        owner = Owner(lambda: world.transport.end())
        world.transport.hand_over(owner)
        world.native.errors = [PROTOCOL]
        world.came()
        world.came(b"behind the fault")
        assert len(world.native.calls("receive")) == 1
        assert world.transport.fault
        world.loop.settle()
        assert world.native.calls("close") == [("close", PROTOCOL, 0x100)]
        assert owner.told[-1] == ("lost", None)

    def test_a_fault_in_the_handshake_ends_it_at_once(self, world: World) -> None:
        world.transport.crypto = crypto = Crypto()
        world.transport.refuse(PROTOCOL)
        world.loop.settle()
        assert world.native.calls("close") == [("close", PROTOCOL, 0x100)]
        assert crypto.told[-1] == ("broken", "QUIC error -501")

    @pytest.mark.parametrize(
        ("way", "code"), [("end", 0x100), ("end_at_once", 0x100), ("abort", 0x100), ("cut", 0x102)]
    )
    def test_our_end_has_a_code(self, world: World, way: str, code: int) -> None:
        getattr(world.transport, way)()
        world.loop.settle()
        assert world.native.calls("close") == [("close", 0, code)]
        getattr(world.transport, way)()
        world.transport.turn()
        world.transport.transmit()
        world.transport.drop()
        world.loop.settle()
        assert len(world.native.calls("close")) == 1
        assert world.ends == 1

    def test_a_turn_ends_what_is_to_end(self, world: World) -> None:
        world.transport.end()
        world.transport.turn()
        assert world.transport.is_over

    def test_drop_says_nothing(self, world: World) -> None:
        world.native.unacked = 7
        assert world.transport.waiting_bytes == 7
        world.transport.drop()
        world.loop.settle()
        assert world.native.calls("close") == []
        assert (world.transport.waiting_bytes, world.transport.held_bytes) == (0, 0)

    def test_a_packet_that_cannot_be_written_is_a_fault(self, world: World) -> None:
        world.native.transmit_error = PROTOCOL
        world.transport.transmit()
        world.loop.settle()
        assert world.native.calls("close") == [("close", PROTOCOL, 0x100)]

    def test_bytes_mean_nothing(self, world: World) -> None:
        world.transport.write(b"x")
        world.transport.pause_reading()
        world.transport.resume_reading()
        assert world.native.asked == []

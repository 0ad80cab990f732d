"""Established TLS connections: one driver for all of them, which is empty whenever anybody else is called."""

import random
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from proxy.tls.openssl.driver import TlsDriver
from proxy.tls.openssl.stream import TlsLimits, TlsStream
from proxy.tls.wire.record_flood import FORGIVEN_PER_SECOND, RECORDS_WITHOUT_DATA, RecordFlood
from proxy.tls.wire.waiting_data import RECORD_BYTES, RECORD_WIRE_BYTES, SEND_BYTES
from tests.fakes import LINGER, FakeLoop, RecordingOwner, Wire
from tests.proxy.tls import hellos
from tests.proxy.tls.clients import KEY_UPDATE_NOT_REQUESTED, TlsClient
from tests.proxy.tls.drivers import is_empty

SERVER = hellos.server_context("X25519")
CLIENT = hellos.client_context("X25519")
LIMITS = TlsLimits(key_updates_per_minute=32)
KEY_UPDATE_BYTES = 27
# header 5, content type 1, tag 16
RECORD_OVERHEAD = 22
MEGABYTE = 1_000_000


class CheckingOwner(RecordingOwner):
    """Owner that looks into the driver whenever it is called: it must be empty."""

    def __init__(self, driver: TlsDriver) -> None:
        super().__init__()
        self._driver = driver

    def __getattribute__(self, name: str) -> object:
        if name.endswith(("_received", "_writing", "_lost")) and not name.startswith("when"):
            assert is_empty(object.__getattribute__(self, "_driver"))
        return object.__getattribute__(self, name)


@dataclass
class Connection:
    """Both ends of one connection."""

    loop: FakeLoop
    wire: Wire
    client: TlsClient
    stream: TlsStream
    owner: RecordingOwner

    def feed(self, *pieces: bytes) -> None:
        """Let bytes arrive at the server, each piece in a turn of its own."""
        for piece in pieces:
            self.wire.peer.sendall(piece)
            self.loop.settle()

    @property
    def delivers(self) -> bool:
        """Whether the owner gets what the client sends next."""
        before = len(self.owner.data)
        self.feed(self.client.sealed(b"?"))
        return len(self.owner.data) > before


@dataclass
class World:
    """A loop, and the driver that all of its connections share."""

    loop: FakeLoop
    driver: TlsDriver
    wires: list[Wire]

    def connect(self, limits: TlsLimits = LIMITS) -> Connection:
        """One more established connection, which is reading."""
        wire = Wire(self.loop, read_bytes=RECORD_WIRE_BYTES)
        self.wires.append(wire)
        client = TlsClient(wire.peer, CLIENT)
        tls = self.driver.server_side(SERVER)
        is_finished = False
        while not is_finished:
            is_finished, output, *_ = self.driver.handshake(tls, client.handshake_step(), 0, 0)
            client.incoming.write(output)
        stream = TlsStream(wire.stream, tls, self.driver, limits, self.loop.time)
        stream.owner = owner = CheckingOwner(self.driver)
        stream.resume_reading()
        return Connection(self.loop, wire, client, stream, owner)

    @property
    def is_clean(self) -> bool:
        """Whether no byte of any connection is left in the shared driver."""
        return is_empty(self.driver)


@pytest.fixture
def world(driver: TlsDriver) -> Iterator[World]:
    world = World(FakeLoop(), driver, [])
    yield world
    for wire in world.wires:
        wire.end()


@pytest.fixture
def connection(world: World) -> Connection:
    return world.connect()


class TestSharedDriver:
    """The theory of operation: between two callbacks no byte of any connection is in it."""

    def test_record_may_be_cut_at_every_byte_while_another_connection_works(self, world: World) -> None:
        one, two = world.connect(), world.connect()
        for cut in range(1, len(b"firstsecond") + 2 * RECORD_OVERHEAD):
            data = one.client.sealed(b"first") + one.client.sealed(b"second")
            before = len(one.owner.data)
            one.feed(data[:cut])
            assert world.is_clean
            two.feed(two.client.sealed(b"%d" % cut))
            assert two.owner.data.endswith(b"%d" % cut)
            two.stream.write(b"%d" % cut)
            assert two.client.read() == b"%d" % cut
            one.stream.write(b"in between")
            assert one.client.read() == b"in between"
            one.feed(data[cut:])
            assert one.owner.data[before:] == b"firstsecond"
            assert world.is_clean

    def test_byte_by_byte(self, connection: Connection, world: World) -> None:
        data = connection.client.sealed(b"x" * 300) + connection.client.sealed(b"y")
        for byte in data:
            connection.feed(bytes((byte,)))
            assert world.is_clean
        assert connection.owner.data == b"x" * 300 + b"y"

    @pytest.mark.parametrize("seed", range(5))
    def test_many_connections_in_any_order_each_get_their_own_bytes(self, world: World, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
        many = [world.connect() for _ in range(12)]
        sent = [chance.randbytes(chance.choice((1, 100, 20_000, 70_000))) for _ in many]
        answers = [chance.randbytes(chance.choice((1, 100, 40_000))) for _ in many]
        waiting = [one.client.sealed(data) for one, data in zip(many, sent, strict=True)]
        while any(waiting):
            index = chance.choice([number for number, data in enumerate(waiting) if data])
            size = chance.choice((1, 5, 21, 1_000, 16_384, 30_000))
            many[index].feed(waiting[index][:size])
            waiting[index] = waiting[index][size:]
            assert world.is_clean
            if chance.random() < 0.1:
                other = chance.choice(many)
                other.stream.write(b"")
                assert world.is_clean
        for one, data, answer in zip(many, sent, answers, strict=True):
            assert one.owner.data == data
            one.stream.write(answer)
            assert world.is_clean
            assert one.client.read() == answer

    @pytest.mark.parametrize("spoiled", range(0, 40, 3))
    def test_error_of_one_connection_leaves_the_others_alone(self, world: World, spoiled: int) -> None:
        bad, good = world.connect(), world.connect()
        half = good.client.sealed(b"unharmed")
        good.feed(half[:10])
        data = bytearray(bad.client.sealed(b"spoiled in between") + bad.client.sealed(b"never seen") * 3)
        data[spoiled] ^= 0x40
        bad.feed(bytes(data))
        assert world.is_clean
        bad.feed(b"and more of it" * 10)
        good.feed(half[10:])
        assert good.owner.data == b"unharmed"
        good.stream.write(b"fine")
        assert good.client.read() == b"fine"
        assert world.is_clean

    def test_owner_may_use_another_connection_from_inside_its_delivery(self, world: World) -> None:
        """As a proxy of proxies would: nobody is called while the driver is in use, so anybody can use it."""
        one, two = world.connect(), world.connect()

        def pass_on(data: bytes) -> None:
            two.stream.write(data)
            one.stream.write(b"passed on")

        one.owner.when_data = pass_on
        one.feed(one.client.sealed(b"through"))
        assert two.client.read() == b"through"
        assert one.client.read() == b"passed on"
        assert world.is_clean


class TestErrors:
    def test_peer_reads_the_alert_and_the_owner_hears_the_error(self, connection: Connection) -> None:
        data = bytearray(connection.client.sealed(b"spoiled"))
        data[-1] ^= 1
        connection.feed(bytes(data))
        with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
            connection.client.read()
        assert connection.owner.events == []
        connection.wire.peer.close()
        connection.loop.settle()
        assert connection.owner.kinds == ["lost"]
        assert issubclass(connection.owner.events[-1][1], ssl.SSLError)

    def test_data_before_the_error_is_delivered(self, connection: Connection) -> None:
        connection.feed(connection.client.sealed(b"good") + b"\x17\x03\x03\x00\x14" + bytes(20))
        assert connection.owner.data == b"good"

    def test_alert_is_not_lost_when_the_owner_answers_what_came_before_the_error(self, connection: Connection) -> None:
        """A complete request and rubbish in one segment, with more behind it that nobody will read."""
        connection.owner.when_data = lambda _: connection.stream.write(b"HTTP/1.1 404 Not Found")
        connection.feed(connection.client.sealed(b"GET") + b"\x17\x03\x03\x00\x14" + bytes(20))
        connection.wire.peer.sendall(b"z" * 10_000)
        connection.loop.settle()
        with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
            connection.client.read()
        assert connection.client.sees_end
        assert not connection.owner.is_lost

    @pytest.mark.parametrize("method", ["end", "cut", "abort"])
    def test_owner_may_end_when_data_came_before_an_error(
        self, connection: Connection, world: World, method: str
    ) -> None:
        connection.owner.when_data = lambda _: getattr(connection.stream, method)()
        connection.feed(connection.client.sealed(b"good") + b"\x17\x03\x03\x00\x14" + bytes(20))
        connection.wire.peer.close()
        connection.loop.settle()
        assert connection.owner.kinds == ["data", "lost"]
        assert world.is_clean

    def test_alert_of_the_peer_ends_the_connection(self, connection: Connection, world: World) -> None:
        """A fatal alert is sealed like everything; here it comes in the clear, which is as wrong."""
        connection.feed(b"\x15\x03\x03\x00\x02\x02\x28")
        connection.wire.peer.close()
        connection.loop.settle()
        assert connection.owner.is_lost
        assert world.is_clean

    def test_nothing_can_be_written_after_it(self, connection: Connection, world: World) -> None:
        connection.feed(b"\x17\x03\x03\x00\x14" + bytes(20))
        connection.client.receive()
        connection.stream.write(b"x")
        connection.stream.end()
        assert connection.client.receive() == b""
        assert world.is_clean


class TestKeyUpdates:
    """OpenSSL answers each with the next thing that it does: the last one waits for that, and is not counted before."""

    def test_each_is_answered_without_a_write_of_the_owner(self, connection: Connection) -> None:
        connection.feed(connection.client.key_updates(3))
        assert len(connection.wire.peer.recv(1_000, socket.MSG_PEEK)) == 2 * KEY_UPDATE_BYTES
        connection.feed(connection.client.sealed(b"under new keys"))
        assert connection.owner.data == b"under new keys"
        connection.stream.write(b"under new keys too")
        assert connection.client.read() == b"under new keys too"

    def test_as_many_as_the_limit_are_fine_and_one_more_is_not(self, connection: Connection) -> None:
        for _ in range(LIMITS.key_updates_per_minute + 1):
            connection.feed(connection.client.key_updates(1) + connection.client.sealed(b"."))
        assert connection.owner.kinds == ["data"]
        connection.feed(connection.client.key_updates(1) + connection.client.sealed(b"."))
        connection.client.receive()
        connection.wire.peer.close()
        connection.loop.settle()
        assert connection.owner.events[-1] == ("lost", RecordFlood)

    def test_they_are_counted_by_the_minute(self, connection: Connection) -> None:
        for _ in range(3):
            for _ in range(LIMITS.key_updates_per_minute):
                connection.feed(connection.client.key_updates(1) + connection.client.sealed(b"."))
            connection.loop.now += 60
        assert connection.owner.kinds == ["data"]

    def test_many_in_one_segment_are_counted_one_by_one(self, connection: Connection, world: World) -> None:
        connection.feed(connection.client.key_updates(600))
        connection.wire.peer.close()
        connection.loop.settle()
        assert connection.owner.events == [("lost", RecordFlood)]
        assert world.is_clean

    @pytest.mark.parametrize("before", [b"", b"\x17", b"\x17\x03\x03\x40\x00"], ids=["border", "header", "record"])
    def test_peer_is_told_by_an_alert(self, connection: Connection, world: World, before: bytes) -> None:
        connection.feed(connection.client.key_updates(600) + before)
        with pytest.raises(ssl.SSLError, match="ALERT"):
            connection.client.read()
        assert connection.client.sees_end
        assert world.is_clean

    def test_unanswered_ones_are_counted_one_by_one(self, connection: Connection) -> None:
        connection.feed(connection.client.key_updates(RECORDS_WITHOUT_DATA, KEY_UPDATE_NOT_REQUESTED))
        assert connection.owner.events == []
        connection.feed(connection.client.key_updates(1, KEY_UPDATE_NOT_REQUESTED))
        connection.wire.peer.close()
        connection.loop.settle()
        assert connection.owner.events == [("lost", RecordFlood)]

    def test_time_forgives_unanswered_ones(self, connection: Connection) -> None:
        for _ in range(20):
            connection.feed(connection.client.key_updates(100, KEY_UPDATE_NOT_REQUESTED))
            connection.loop.now += 100 / FORGIVEN_PER_SECOND
        assert connection.delivers

    def test_data_that_comes_along_forgives_by_its_length(self, connection: Connection) -> None:
        for _ in range(20):
            for _ in range(100):
                connection.feed(
                    connection.client.key_updates(1, KEY_UPDATE_NOT_REQUESTED) + connection.client.sealed(bytes(1_024))
                )
        assert connection.delivers

    def test_a_byte_of_data_now_and_then_does_not_pay_for_thousands(self, connection: Connection) -> None:
        for _ in range(6):
            connection.feed(connection.client.key_updates(100, KEY_UPDATE_NOT_REQUESTED))
            connection.feed(connection.client.sealed(b"." * 300))
        assert not connection.delivers

    @pytest.mark.parametrize("block", [512, 4_096, 16_384])
    def test_padding_is_never_held_against_a_record_with_data(self, connection: Connection, block: int) -> None:
        """RFC 8446 section 5.4: its sender may pad it as it likes."""
        connection.feed(connection.client.pad_records(block))
        for _ in range(400):
            data = connection.client.sealed(b".")
            assert len(data) >= block
            connection.feed(data)
        assert connection.owner.data == b"." * 400

    def test_large_records_that_come_slowly_are_no_silence(self, connection: Connection) -> None:
        data = connection.client.sealed(b"x" * 200_000)
        connection.feed(*(data[start : start + 100] for start in range(0, len(data), 100)))
        assert len(connection.owner.data) == 200_000


class TestReadingOn:
    """Several records in one turn, while a server takes a body: a read for each, then one for all."""

    @pytest.fixture(autouse=True)
    def _body(self, connection: Connection) -> None:
        connection.wire.peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MEGABYTE)
        connection.stream.reads_on = True

    def test_three_records_are_delivered_as_one_piece(self, connection: Connection) -> None:
        sizes = sizes_of_pieces(connection)
        connection.feed(connection.client.sealed(bytes(6 * RECORD_BYTES + 1)))
        assert sizes == [3 * RECORD_BYTES, 3 * RECORD_BYTES, 1]

    def test_short_records_between_full_ones_end_no_turn(self, connection: Connection) -> None:
        """As curl sends uploads over HTTP/2: the last bytes of each frame have a record of their own."""
        both = [size for _ in range(3) for size in (RECORD_BYTES, 9)]
        sizes = sizes_of_pieces(connection)
        connection.feed(b"".join(connection.client.sealed(bytes(size)) for size in both))
        assert sizes == [3 * RECORD_BYTES + 18, 9]

    def test_requests_get_one_read_a_turn(self, connection: Connection) -> None:
        connection.stream.reads_on = False
        sizes = sizes_of_pieces(connection)
        connection.feed(connection.client.sealed(bytes(3 * RECORD_BYTES + 1)))
        assert sizes == [RECORD_BYTES] * 3 + [1]

    def test_reads_end_where_records_end_again_after_a_short_one(self, connection: Connection, world: World) -> None:
        """The first read ends in the second record, the next where that one ends."""
        connection.wire.peer.sendall(connection.client.sealed(b"x") + connection.client.sealed(bytes(6 * RECORD_BYTES)))
        sizes = sizes_of_pieces(connection)
        connection.loop.turn()
        assert sizes == [1 + 3 * RECORD_BYTES]
        assert connection.wire.stream.unread_bytes == 3 * RECORD_WIRE_BYTES
        assert world.is_clean

    @pytest.mark.parametrize("before", [0, 1], ids=["alone", "behind data"])
    def test_flood_is_read_no_faster_than_before_a_request(self, connection: Connection, before: int) -> None:
        data = connection.client.sealed(bytes(before * RECORD_BYTES))
        flood = connection.client.key_updates(2_000, KEY_UPDATE_NOT_REQUESTED)
        connection.wire.peer.sendall(data + flood)
        connection.loop.turn()
        assert connection.wire.stream.unread_bytes == len(flood) - RECORD_WIRE_BYTES
        connection.wire.peer.close()
        connection.loop.settle()
        assert connection.owner.events[-1] == ("lost", RecordFlood)

    def test_flood_that_comes_with_data_gets_one_read_a_turn(self, connection: Connection) -> None:
        flood = b""
        for _ in range(4):
            flood += connection.client.sealed(bytes(RECORD_BYTES // 2))
            flood += connection.client.key_updates(RECORD_BYTES // 50, KEY_UPDATE_NOT_REQUESTED)
        connection.wire.peer.sendall(flood)
        connection.loop.turn()
        assert connection.wire.stream.unread_bytes == len(flood) - RECORD_WIRE_BYTES

    def test_flood_of_one_byte_records_gets_one_read_a_turn(self, connection: Connection) -> None:
        """Each costs the proxy a microsecond: 2.1 ms for three reads."""
        flood = b"".join(connection.client.sealed(b"x") for _ in range(3_000))
        connection.wire.peer.sendall(flood)
        connection.loop.turn()
        assert connection.wire.stream.unread_bytes == len(flood) - RECORD_WIRE_BYTES

    @pytest.mark.parametrize("spoiled", [3, -1], ids=["header", "tag"])
    def test_nothing_is_read_behind_a_bad_record(self, connection: Connection, spoiled: int) -> None:
        data = connection.client.sealed(bytes(RECORD_BYTES))
        bad = bytearray(connection.client.sealed(bytes(RECORD_BYTES)))
        bad[spoiled] ^= 0xFF
        connection.wire.peer.sendall(data + bytes(bad) + b"." * 40_000)
        connection.loop.turn()
        assert connection.wire.stream.unread_bytes == 40_000
        assert connection.owner.data == bytes(RECORD_BYTES)

    def test_after_a_turn_of_full_records_one_read_takes_as_many(self, connection: Connection) -> None:
        """It ends where it ends, and not with a record."""
        sizes = sizes_of_pieces(connection)
        sent = [3 * RECORD_BYTES, 1, 3 * RECORD_BYTES]
        connection.feed(b"".join(connection.client.sealed(bytes(size)) for size in sent))
        assert sizes == [3 * RECORD_BYTES, 1 + 2 * RECORD_BYTES, RECORD_BYTES]

    def test_then_a_report_of_the_kernel_is_for_four_turns(self, connection: Connection) -> None:
        connection.feed(connection.client.sealed(bytes(6 * RECORD_BYTES)))
        connection.wire.peer.sendall(connection.client.sealed(bytes(15 * RECORD_BYTES)))
        sizes = sizes_of_pieces(connection)
        connection.loop.turn()
        assert sizes == [3 * RECORD_BYTES] * 4

    def test_small_records_get_one_turn_behind_a_report(self, connection: Connection) -> None:
        """They hold enough to be no flood, and each takes as long as ten times its bytes in a large one."""
        connection.feed(connection.client.sealed(bytes(6 * RECORD_BYTES)))
        small = b"".join(connection.client.sealed(bytes(100)) for _ in range(1_600))
        connection.wire.peer.sendall(small)
        for reads in (1, 2):
            connection.loop.turn()
            assert connection.wire.stream.unread_bytes == len(small) - reads * 3 * RECORD_WIRE_BYTES

    def test_behind_the_body_and_one_large_read_each_takes_one_record_again(self, connection: Connection) -> None:
        connection.feed(connection.client.sealed(bytes(6 * RECORD_BYTES)))
        connection.stream.reads_on = False
        sizes = sizes_of_pieces(connection)
        connection.feed(connection.client.sealed(bytes(5 * RECORD_BYTES)))
        assert sizes == [3 * RECORD_BYTES, RECORD_BYTES, RECORD_BYTES]

    def test_flood_behind_full_records_gets_one_large_read(self, connection: Connection) -> None:
        connection.feed(connection.client.sealed(bytes(6 * RECORD_BYTES)))
        flood = b"".join(connection.client.sealed(b"x") for _ in range(4_000))
        connection.wire.peer.sendall(flood)
        for read in (3 * RECORD_WIRE_BYTES, RECORD_WIRE_BYTES):
            before = connection.wire.stream.unread_bytes
            connection.loop.turn()
            assert before - connection.wire.stream.unread_bytes == read


def sizes_of_pieces(connection: Connection) -> list[int]:
    """Filled with the sizes of what the owner is given from now on."""
    sizes: list[int] = []
    connection.owner.when_data = lambda data: sizes.append(len(data))
    return sizes


class TestWriting:
    def test_records_hold_at_most_16_kib(self, connection: Connection, world: World) -> None:
        connection.stream.write(b"x" * 50_000)
        wire = connection.client.receive()
        lengths = []
        while wire:
            length = int.from_bytes(wire[3:5])
            lengths.append(length - 17)  # content type and tag
            wire = wire[5 + length :]
        assert lengths == [RECORD_BYTES] * 3 + [50_000 - 3 * RECORD_BYTES]
        assert connection.client.read() == b"x" * 50_000
        assert world.is_clean

    def test_view_is_kept_by_its_bytes(self, connection: Connection) -> None:
        connection.wire.limit_buffers()
        body = bytes(range(250)) * 4_000
        buffer = bytearray(body)
        connection.stream.write(memoryview(buffer))
        buffer[:] = bytes(len(body))
        received = b""
        while len(received) < len(body):
            received += connection.client.read()
            connection.loop.turn()
        assert received == body

    def test_slow_reader_costs_what_was_written_and_no_more_is_encrypted_than_one_send(
        self, connection: Connection
    ) -> None:
        connection.wire.limit_buffers()
        connection.stream.write(b"x" * MEGABYTE)
        assert connection.owner.kinds == ["pause"]
        assert 0 < len(connection.wire.stream._backlog) <= SEND_BYTES + 5 * RECORD_OVERHEAD
        plain = MEGABYTE - connection.stream.held_bytes + len(connection.wire.stream._backlog)
        assert plain % SEND_BYTES == 0, "what is encrypted waits as well"
        connection.stream.write(b"y" * 10)
        assert connection.owner.kinds == ["pause"]

        received = b""
        while len(received) < MEGABYTE + 10:
            received += connection.client.read()
            connection.loop.turn()
            assert len(connection.wire.stream._backlog) <= SEND_BYTES + 5 * RECORD_OVERHEAD
        assert received == b"x" * MEGABYTE + b"y" * 10
        assert connection.owner.kinds[-1] == "resume"
        assert connection.owner.kinds.count("resume") == 1

    def test_other_connections_go_on_while_one_is_blocked(self, world: World) -> None:
        blocked, free = world.connect(), world.connect()
        blocked.wire.limit_buffers()
        blocked.stream.write(b"x" * MEGABYTE)
        assert world.is_clean
        free.feed(free.client.sealed(b"hello"))
        free.stream.write(b"there")
        assert free.client.read() == b"there"
        received = b""
        while len(received) < MEGABYTE:
            received += blocked.client.read()
            world.loop.turn()
        assert received == b"x" * MEGABYTE

    def test_paused_reading_leaves_records_in_the_kernel(self, connection: Connection) -> None:
        connection.stream.pause_reading()
        connection.feed(connection.client.sealed(b"waits"))
        assert connection.owner.events == []
        connection.stream.resume_reading()
        connection.loop.settle()
        assert connection.owner.data == b"waits"

    def test_what_waits_is_what_the_peer_has_not_got(self, connection: Connection) -> None:
        assert (connection.stream.waiting_bytes, connection.stream.held_bytes) == (0, 0)
        connection.wire.limit_buffers()
        connection.stream.write(bytes(MEGABYTE))
        assert connection.stream.waiting_bytes >= MEGABYTE - RECORD_BYTES

    def test_failed_send_is_told_with_the_answer_that_had_arrived(self, connection: Connection, world: World) -> None:
        connection.wire.peer.sendall(connection.client.sealed(b"413"))
        connection.wire.sock.send_error = BrokenPipeError()
        connection.stream.write(b"x" * 100_000)
        assert connection.owner.events == []
        connection.loop.settle()
        assert connection.owner.events == [("data", b"413"), ("lost", BrokenPipeError)]
        assert world.is_clean

    def test_tls_that_cannot_write_ends_the_connection(self, connection: Connection, world: World) -> None:
        world.driver.close_notify(connection.stream._tls)  # it writes nothing from now on
        connection.stream.write(b"x")
        connection.loop.settle()
        assert connection.owner.events == [("lost", ssl.SSLError)]
        assert world.is_clean

    @pytest.mark.parametrize("method", ["resume_writing", "end"])
    def test_tls_that_cannot_write_what_has_waited_asks_for_no_more(
        self, connection: Connection, world: World, method: str
    ) -> None:
        connection.wire.limit_buffers()
        connection.stream.write(b"x" * MEGABYTE)
        world.driver.close_notify(connection.stream._tls)
        connection.wire.peer.close()
        connection.wire.stream._backlog = b""  # the kernel took it
        getattr(connection.stream, method)()
        connection.loop.settle()
        assert connection.owner.events == [("pause", None), ("lost", ssl.SSLError)]
        assert world.is_clean


class TestHalfEnd:
    """We send no more, and the peer still may (RFC 8446 section 6.1)."""

    def test_close_notify_goes_behind_what_waits_and_the_peer_goes_on(self, connection: Connection) -> None:
        connection.wire.limit_buffers()
        connection.stream.write(b"x" * MEGABYTE)
        connection.stream.end_writing()
        connection.stream.end_writing()
        received = b""
        while not connection.client.sees_end:
            received += connection.client.read()
            connection.loop.turn()
        assert received + connection.client.read() == b"x" * MEGABYTE
        assert connection.client.is_closed
        connection.feed(connection.client.sealed(b"thanks"))
        assert connection.owner.data == b"thanks"

    def test_no_record_follows_our_close_notify(self, connection: Connection, world: World) -> None:
        connection.stream.end_writing()
        assert connection.client.read() == b""
        assert connection.client.is_closed
        connection.feed(connection.client.key_updates(1) + connection.client.sealed(b"."))
        assert connection.owner.events == [("data", b".")], "the KeyUpdate has no answer"
        connection.feed(b"\x17\x03\x03\x00\x14" + bytes(20))
        connection.wire.peer.close()
        connection.loop.settle()
        assert connection.owner.events == [("data", b"."), ("lost", ssl.SSLError)], "the bad record has no alert"
        assert world.is_clean

    def test_end_after_it_says_nothing_more(self, connection: Connection) -> None:
        connection.stream.end_writing()
        connection.stream.end()
        assert connection.client.read() == b""
        assert connection.client.is_closed
        assert connection.client.sees_end


class TestPeerEnds:
    def test_close_notify_is_told_once_and_is_no_truncation(self, connection: Connection) -> None:
        connection.feed(connection.client.sealed(b"bye") + connection.client.close_notify())
        assert connection.owner.events == [("data", b"bye"), ("eof", None)]
        assert not connection.stream.was_truncated
        connection.wire.peer.shutdown(1)
        connection.loop.settle()
        assert connection.owner.kinds == ["data", "eof"]
        assert not connection.stream.was_truncated

    def test_half_closed_peer_still_gets_its_answer(self, connection: Connection) -> None:
        connection.owner.when_eof = lambda: connection.stream.write(b"the answer" * 5_000)
        connection.feed(connection.client.close_notify())
        connection.wire.peer.shutdown(1)
        connection.loop.settle()
        assert connection.client.read() == b"the answer" * 5_000
        connection.stream.end()
        assert connection.client.is_closed

    def test_bytes_behind_close_notify_are_ignored(self, connection: Connection, world: World) -> None:
        data = connection.client.sealed(b"first")
        connection.feed(data + connection.client.close_notify() + b"\x17\x03\x03\x00\x14" + bytes(20))
        connection.feed(b"rubbish")
        assert connection.owner.events == [("data", b"first"), ("eof", None)]
        assert world.is_clean

    def test_end_of_the_stream_without_close_notify_is_a_truncation(self, connection: Connection) -> None:
        connection.feed(connection.client.sealed(b"cut off"))
        connection.wire.peer.shutdown(1)
        connection.loop.settle()
        assert connection.owner.events == [("data", b"cut off"), ("eof", None)]
        assert connection.stream.was_truncated

    def test_stream_cut_in_every_place_of_a_record_is_a_truncation(self, world: World) -> None:
        size = len(world.connect().client.sealed(b"record"))
        for cut in range(size + 1):
            connection = world.connect()
            connection.feed(connection.client.sealed(b"record")[:cut])
            connection.wire.peer.shutdown(1)
            connection.loop.settle()
            assert connection.owner.kinds == (["data", "eof"] if cut == size else ["eof"])
            assert connection.stream.was_truncated
            assert world.is_clean
            connection.stream.abort()
            world.loop.settle()

    def test_reset_is_told_as_an_error(self, connection: Connection) -> None:
        connection.stream.write(b"never read")
        connection.wire.io.flush()
        connection.wire.peer.close()
        connection.loop.settle()
        assert connection.owner.kinds == ["lost"]
        assert issubclass(connection.owner.events[0][1], ConnectionResetError)


class TestEnding:
    def test_end_says_close_notify_then_ends_the_stream(self, connection: Connection, world: World) -> None:
        connection.stream.write(b"last words")
        connection.stream.end()
        assert world.is_clean
        assert connection.client.read() == b"last words"
        assert connection.client.is_closed
        assert not connection.delivers
        assert connection.client.sees_end
        connection.wire.peer.close()
        connection.loop.settle()
        assert connection.owner.events == [("lost", None)]

    def test_end_says_close_notify_though_the_client_has_sent_what_nobody_read(
        self, connection: Connection, world: World
    ) -> None:
        connection.stream.pause_reading()
        connection.feed(connection.client.sealed(b"unread" * 1_000))
        connection.stream.end()
        connection.loop.settle()
        connection.feed(connection.client.sealed(b"and more" * 1_000))
        assert connection.client.read() == b""
        assert connection.client.is_closed
        assert not connection.client.is_reset
        assert connection.owner.events == []
        assert world.is_clean

    def test_cut_ends_the_stream_without_close_notify(self, connection: Connection) -> None:
        connection.stream.write(b"half a mess")
        connection.stream.cut()
        connection.client.receive()
        assert connection.client.sees_end
        assert connection.client.tls.read(100) == b"half a mess"
        with pytest.raises(ssl.SSLEOFError):
            connection.client.tls.read(100)

    @pytest.mark.parametrize("method", ["end", "cut"])
    def test_everything_that_waits_goes_out_before_the_end(
        self, connection: Connection, world: World, method: str
    ) -> None:
        connection.wire.limit_buffers()
        connection.stream.write(b"x" * MEGABYTE)
        getattr(connection.stream, method)()
        assert world.is_clean
        connection.stream.write(b"too late")
        received = b""
        try:
            while not connection.client.sees_end:
                received += connection.client.read()
                connection.loop.turn()
            received += connection.client.read()
        except ssl.SSLEOFError:
            assert method == "cut"
        else:
            assert method == "end"
            assert connection.client.is_closed
        assert received[-100_000:] == b"x" * 100_000
        assert connection.owner.kinds == ["pause"]

    def test_reader_that_takes_nothing_of_the_end_is_given_up(self, connection: Connection) -> None:
        connection.wire.limit_buffers()
        connection.stream.write(b"x" * MEGABYTE)
        connection.stream.end()
        connection.loop.advance(LINGER.flush_seconds)
        assert connection.owner.kinds == ["pause", "lost"]
        assert not connection.loop.timers

    def test_owner_is_not_asked_to_pause_when_the_close_notify_has_to_wait(self, connection: Connection) -> None:
        connection.wire.sock.takes = 10
        connection.stream.end()
        assert connection.owner.events == []
        connection.wire.sock.takes = None
        connection.loop.settle()
        assert connection.client.is_closed
        assert connection.owner.events == []

    def test_end_at_once_says_so_and_waits_for_nothing(self, connection: Connection) -> None:
        connection.stream.end_at_once()
        connection.loop.settle()
        assert connection.client.read() == b""
        assert connection.client.is_closed
        assert connection.client.sees_end
        assert connection.owner.is_lost
        assert connection.wire.closed == [True]
        connection.stream.end_at_once()

    def test_first_ending_counts(self, connection: Connection) -> None:
        connection.stream.cut()
        connection.stream.end()
        connection.client.receive()
        with pytest.raises(ssl.SSLEOFError):
            connection.client.tls.read(100)

    def test_end_from_inside_a_delivery(self, connection: Connection, world: World) -> None:
        connection.owner.when_data = lambda _: connection.stream.end()
        connection.feed(connection.client.sealed(b"enough") + connection.client.sealed(b", thank you"))
        assert connection.owner.events == [("data", b"enough, thank you")]
        assert connection.client.is_closed
        assert world.is_clean

    def test_data_after_the_end_is_not_delivered(self, connection: Connection) -> None:
        connection.stream.end()
        connection.feed(connection.client.sealed(b"too late"))
        assert connection.owner.events == []

    def test_what_came_with_the_handshake_is_not_delivered_after_the_end(self, connection: Connection) -> None:
        connection.stream.end()
        connection.stream.data_received(memoryview(connection.client.sealed(b"too late")))
        assert connection.owner.events == []

    def test_abort_closes_at_once(self, connection: Connection) -> None:
        connection.wire.limit_buffers()
        connection.stream.write(b"x" * MEGABYTE)
        connection.stream.abort()
        assert "lost" not in connection.owner.kinds
        connection.loop.settle()
        assert connection.owner.kinds == ["pause", "lost"]
        connection.stream.write(b"x")
        connection.stream.end()
        connection.loop.settle()
        assert connection.owner.is_lost

    def test_abort_after_an_end_closes_at_once(self, connection: Connection) -> None:
        connection.stream.end()
        connection.stream.abort()
        connection.loop.settle()
        assert connection.owner.events == [("lost", None)]
        connection.loop.advance(LINGER.seconds)
        assert not connection.loop.timers

    def test_owner_is_not_asked_for_more_after_an_abort(self, connection: Connection) -> None:
        connection.wire.limit_buffers()
        connection.stream.write(b"x" * 100_000)
        connection.stream.abort()
        connection.client.receive()
        connection.stream.resume_writing()
        assert "resume" not in connection.owner.kinds

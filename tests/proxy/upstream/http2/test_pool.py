"""Streams are lent from few connections, within the limits of the server; no request is forgotten."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import uvloop

from config.schema import HttpProtocol, ServerAddress
from proxy.http.websocket.upgrade import WebSocketOffer
from proxy.http2.wire.frames import Setting
from proxy.net.deadlines import Deadlines
from proxy.net.shared_io import SharedIo
from proxy.net.tasks import Tasks
from proxy.tls.openssl.stream import TlsLimits
from proxy.upstream.http2.pool import StreamPool
from proxy.upstream.pooling.dial import DialSettings
from proxy.upstream.pooling.failures import UpstreamFault
from proxy.upstream.pooling.pools import PoolResources, PoolSettings, ServerLimits
from tests.fakes import LINGER
from tests.fakes_http import RESPONSES
from tests.http2_frames import OK, SETTINGS_ACK, block, frame, headers, number, rst, setting
from tests.http2_upstream import CLIENT, GET_HEAD, StreamGuest

GOAWAY, REFUSED = 7, 7
MOST_STREAMS = 3


class Place:
    """A server at a Unix socket whose frames the test sends, and the pool in front of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path, limits: ServerLimits, streams: int) -> None:
        self.loop = loop
        self.path = path
        self.hello = setting(MOST_STREAMS, streams) + SETTINGS_ACK
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen(100)
        self.listening.settimeout(0)
        self.peers: list[socket.socket] = []
        self.faults: list[UpstreamFault | None] = []
        self.errors: list[BaseException] = []
        self.keeps_idle = True
        self.tasks = Tasks(loop, self.errors.append)
        resources = PoolResources(SharedIo(loop), self.tasks, Deadlines(loop))
        address = ServerAddress("unix", path=str(path))
        dialling = DialSettings(address, 5.0, None, "", TlsLimits(32), LINGER, HttpProtocol.HTTP_2)
        self.pool = StreamPool(PoolSettings(dialling, RESPONSES, limits), resources)
        self.pool.owner = self

    def dialled(self, fault: UpstreamFault | None) -> None:
        """Note how a dial ended."""
        self.faults.append(fault)

    def acquire(self, holder: bytes = CLIENT) -> StreamGuest:
        """One more guest asks for a stream."""
        guest = StreamGuest(holder=holder)
        self.pool.acquire(guest)
        return guest

    def settle(self) -> None:
        """Let the loop turn; connecting to a Unix socket never waits."""

        async def turns() -> None:
            for _ in range(8):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def accept(self, hello: bytes | None = None) -> socket.socket:
        """Take the next connection, and send the SETTINGS of the server."""
        self.settle()
        peer, _ = self.listening.accept()
        self.peers.append(peer)
        self.send(peer, self.hello if hello is None else hello)
        return peer

    def send(self, peer: socket.socket, data: bytes) -> None:
        """The server sends."""
        peer.sendall(data)
        self.settle()

    def close(self) -> None:
        """End everything."""
        self.loop.run_until_complete(self.tasks.cancel_all())
        self.listening.close()
        for peer in self.peers:
            peer.close()
        self.settle()


@contextmanager
def place(connections: int = 2, waiting: int = 2, streams: int = 2) -> Iterator[Place]:
    """A pool with these limits, on a loop of its own."""
    with TemporaryDirectory() as directory, closing(uvloop.new_event_loop()) as loop:
        made = Place(loop, Path(directory) / "server.sock", ServerLimits(connections, waiting, 5.0), streams)
        try:
            yield made
        finally:
            made.close()
        assert made.errors == []


def answer(stream: int) -> bytes:
    """A whole response."""
    return headers(stream, payload=block(OK))


def test_requests_share_one_connection() -> None:
    with place(streams=50) as at:
        guests = [at.acquire() for _ in range(20)]
        assert repr(at.pool.figures()) == "PoolFigures(open=0, idle=0, dialling=1, waiting=0, streams=0)"
        at.accept()
        assert all(guest.carrier is not None for guest in guests)
        assert repr(at.pool) == f"<StreamPool unix:{at.path} open=1 idle=0 dialling=0 waiting=0 streams=20>"
        assert (at.pool.exchanges, at.pool.requests, at.faults) == (20, 20, [None])


def test_a_second_connection_is_made_when_the_first_is_full_and_then_requests_wait() -> None:
    with place() as at:
        guests = [at.acquire(bytes((10, 0, 0, number))) for number in range(6)]
        first = at.accept()
        at.accept()
        assert [guest.carrier is not None for guest in guests] == [True] * 4 + [False] * 2
        assert at.pool.line.waiting == 2
        at.send(first, answer(1))
        assert guests[0].exchange.told() == [("started", 200), ("ended", [])]
        assert (guests[4].carrier is not None, at.pool.line.waiting) == (True, 1)


def test_a_released_stream_is_lent_again_on_its_connection() -> None:
    with place() as at:
        at.acquire()
        peer = at.accept()
        at.send(peer, answer(1))
        assert at.pool.figures().idle == 1
        guest = at.acquire()
        assert guest.carrier is not None
        assert at.pool.figures().open == 1


def test_a_server_that_does_not_speak_http2_is_a_failure_of_dialling() -> None:
    with place() as at:
        guests = [at.acquire(), at.acquire()]
        at.accept(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert at.faults == [UpstreamFault.NOT_HTTP2]
        for guest in guests:
            assert guest.failure is not None
            assert guest.failure.fault is UpstreamFault.NOT_HTTP2
        assert at.pool.exchanges == 0


def test_a_server_that_cannot_be_reached() -> None:
    with place() as at:
        at.path.unlink()
        guest = at.acquire()
        at.settle()
        assert guest.failure is not None
        assert (guest.failure.fault, at.faults) == (UpstreamFault.UNREACHABLE, [UpstreamFault.UNREACHABLE])
        assert at.pool.exchanges == 0


def test_goaway_moves_later_requests_to_a_new_connection_and_lets_earlier_ones_end() -> None:
    with place() as at:
        first, second = at.acquire(), at.acquire()
        peer = at.accept()
        at.send(peer, frame(GOAWAY, 0, 0, number(1) + number(0)))
        other = at.accept()
        at.send(other, answer(1))
        assert second.exchange.told() == [("started", 200), ("ended", [])]
        at.send(peer, answer(1))
        assert first.exchange.told() == [("started", 200), ("ended", [])]
        assert at.pool.figures().open == 2  # until the server closes as well
        peer.close()
        at.settle()
        assert (at.pool.figures().open, at.pool.exchanges, at.pool.requests) == (1, 0, 2)


def test_a_refused_stream_is_lent_again() -> None:
    with place() as at:
        guest = at.acquire()
        peer = at.accept()
        at.send(peer, rst(1, REFUSED))
        at.send(peer, answer(3))
        assert guest.exchange.told() == [("started", 200), ("ended", [])]
        assert at.pool.exchanges == 0


def test_those_that_left_while_it_was_dialled_get_nothing() -> None:
    with place() as at:
        guest, other = at.acquire(), at.acquire()
        guest.is_waiting = False
        at.accept()
        assert (guest.carrier, other.carrier is not None, at.pool.exchanges) == (None, True, 1)


def test_idle_connections_are_closed_on_demand_and_others_when_their_work_is_done() -> None:
    with place() as at:
        at.acquire()
        peer = at.accept()
        at.pool.close_idle()
        assert at.pool.figures().open == 1
        at.keeps_idle = False
        at.send(peer, answer(1))
        peer.close()
        at.settle()
        assert at.pool.figures().open == 0


def test_close_idle_closes_what_is_idle() -> None:
    with place() as at:
        at.acquire()
        peer = at.accept()
        at.send(peer, answer(1))
        at.pool.close_idle()
        peer.close()
        at.settle()
        assert at.pool.figures().open == 0


def test_a_loss_makes_room_for_those_that_wait() -> None:
    with place(connections=1, streams=1) as at:
        first, second = at.acquire(), at.acquire()
        peer = at.accept()
        assert second.carrier is None
        peer.close()
        at.settle()
        at.accept()
        assert [kind for kind, _ in first.exchange.told()] == ["failed"]
        assert second.carrier is not None


@pytest.mark.parametrize("streams", [1, 3])
def test_one_client_does_not_hold_everything(streams: int) -> None:
    with place(connections=4, waiting=50, streams=streams) as at:
        for _ in range(4 * streams):
            at.acquire()
            at.settle()
            if at.pool.figures().dialling:
                at.accept()
        other = at.acquire(b"\x0a\0\0\2")
        at.settle()
        if at.pool.figures().dialling:
            at.accept()
        assert other.carrier is not None


def test_websockets_take_no_connection_and_no_share_from_requests() -> None:
    offer = WebSocketOffer(b"dGhlIHNhbXBsZSBub25jZQ==", (), b"")
    opened = headers(1, ends=False, payload=block(OK)) + headers(3, ends=False, payload=block(OK))
    with place(connections=1, streams=2) as at:
        at.hello = setting(Setting.ENABLE_CONNECT_PROTOCOL, 1) + at.hello
        sockets = [StreamGuest(GET_HEAD, offer=offer) for _ in range(2)]
        for one in sockets:
            at.pool.acquire(one)
        at.send(at.accept(), opened)
        assert [one.exchange.told()[0][0] for one in sockets] == ["switched"] * 2
        assert (at.pool.exchanges, at.pool.figures().open) == (0, 1)
        guests = [at.acquire() for _ in range(3)]
        second = at.accept()
        assert [guest.carrier is not None for guest in guests] == [True, True, False]
        at.send(second, answer(1))
        assert guests[2].carrier is not None
        at.send(at.peers[0], rst(1))
        assert at.pool.figures().open == 2


def test_a_websocket_makes_room_for_one_that_waits() -> None:
    offer = WebSocketOffer(b"dGhlIHNhbXBsZSBub25jZQ==", (), b"")
    with place(connections=1, streams=1) as at:
        at.hello = setting(Setting.ENABLE_CONNECT_PROTOCOL, 1) + at.hello
        first = StreamGuest(GET_HEAD, offer=offer)
        at.pool.acquire(first)
        peer = at.accept()
        second = at.acquire()
        assert at.pool.figures().waiting == 1
        at.send(peer, headers(1, ends=False, payload=block(OK)))
        at.accept()
        assert second.carrier is not None

"""Large bodies through slow readers: nothing of them stays in the proxy.

The proxy's memory is measured at its peak, over what it held before. What the kernel holds for its sockets is not counted; it
cannot hold all of a body.
"""

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Client
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.upstreams import OK, Peer, scripted
from tests.ports import lasting_port

MIB = 1 << 20
SIZE = 100 * MIB
ALLOWED_BYTES = 4 * MIB
"""By how much the proxy may grow: buffers of one connection, 128 KiB at most, and what the allocator makes of them: up to 2 MiB."""
PIECE = os.urandom(65_536)


@pytest.fixture(scope="module")
def port() -> int:
    """Where each test's server listens: TCP, as its buffers are the larger ones."""
    return lasting_port()


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, port: int, authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    """A proxy that takes bodies of that size."""
    upstreams = {"raw": Upstream((f"http://127.0.0.1:{port}",), path="/", route="body_bytes = 200_000_000")}
    with site(tmp_path_factory.mktemp("large"), authority, localhost, upstreams) as running:
        yield running


class Progress:
    """How much a sender got rid of; a reader waits for it to come to a standstill."""

    def __init__(self) -> None:
        self.count = 0
        self.is_done = threading.Event()

    def standstill(self) -> int:
        """Wait until the sender gets nothing more off; returns how much it did."""
        before = -1
        while before != self.count and not self.is_done.is_set():
            before = self.count
            self.is_done.wait(0.25)
        return self.count


def send_slowly_read(send: Callable[[bytes], None], size: int, progress: Progress) -> None:
    """Send `size` bytes as fast as they are taken."""
    while progress.count < size:
        send(PIECE[: size - progress.count])
        progress.count += len(PIECE)
    progress.is_done.set()


@pytest.mark.parametrize("is_chunked", [False, True])
def test_upload_to_a_slow_server(proxy: Site, port: int, *, is_chunked: bool) -> None:
    progress = Progress()
    stood_at: list[int] = []

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        peer.read_head()
        stood_at.append(progress.standstill())
        got = 0
        while got < SIZE:
            piece = peer.read_some()
            assert piece
            got += len(piece)
        peer.send(OK)
        peer.read_to_end()

    warm_up(proxy, port)
    with scripted(script, port), proxy.connect() as client:
        before = proxy.resident_bytes
        proxy.forget_peak()
        framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {SIZE}"
        client.send(request(framing, start="POST / HTTP/1.1"))

        def send(data: bytes) -> None:
            client.send(b"%x\r\n%b\r\n" % (len(data), data) if is_chunked else data)

        sender = threading.Thread(target=send_slowly_read, args=(send, SIZE, progress))
        sender.start()
        sender.join(60)
        if is_chunked:
            client.send(b"0\r\n\r\n")
        assert client.read_response().status == 200
        grown = proxy.peak_bytes - before
    assert stood_at[0] < SIZE, "nothing held the client back"
    assert grown < ALLOWED_BYTES


def test_early_answer_to_an_upload_is_not_lost_to_what_is_under_way(proxy: Site, port: int) -> None:
    """All that the kernels on both sides hold is still discarded: after a reset a client that is sending reads no answer."""
    is_stuck = threading.Event()

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        peer.read_head()
        assert is_stuck.wait(30)
        peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        peer.read_to_end()

    with scripted(script, port), proxy.connect() as client:
        client.send(request(f"Content-Length: {SIZE}", start="POST / HTTP/1.1"))
        left = client.send_until_blocked(bytes(SIZE))
        assert left, "nothing held the client back"
        is_stuck.set()
        # Its kernel has room again once the proxy has read what had come, or has reset the connection.
        assert select.select([], [client.sock], [], 30)[1]
        assert client.sock.send(left[:1]) == 1, "curl gives up here, without a look at what came"
        answer = client.read_response()
        assert (answer.status, answer.body) == (413, b"no")


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_download_by_a_slow_client(proxy: Site, port: int, framing: str) -> None:
    progress = Progress()
    heads = {"length": b"Content-Length: %d\r\n" % SIZE, "chunked": b"Transfer-Encoding: chunked\r\n", "close": b""}

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + heads[framing] + b"\r\n")
        is_chunked = framing == "chunked"
        send_slowly_read(
            lambda data: peer.send(b"%x\r\n%b\r\n" % (len(data), data) if is_chunked else data), SIZE, progress
        )
        if is_chunked:
            peer.send(b"0\r\n\r\n")
        if framing != "close":
            peer.read_to_end()

    warm_up(proxy, port)
    with scripted(script, port), proxy.connect() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        before = proxy.resident_bytes
        proxy.forget_peak()
        client.send(request())
        stood_at = progress.standstill()
        got = received(client, SIZE)
        grown = proxy.peak_bytes - before
    assert stood_at < SIZE, "nothing held the server back"
    assert got >= SIZE
    assert grown < ALLOWED_BYTES


def received(client: Client, size: int) -> int:
    """Read until that much has come, without keeping it."""
    got = 0
    while got < size:
        data = client.read()
        assert data, "cut"
        got += len(data)
    return got


def warm_up(proxy: Site, port: int) -> None:
    """Have the proxy serve something, so that what it needs once is there."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (4 * MIB) + bytes(4 * MIB))
        peer.read_to_end()

    with scripted(script, port), proxy.connect() as client:
        client.send(request("Content-Length: 1000000", start="POST / HTTP/1.1", body=bytes(1_000_000)))
        assert received(client, 4 * MIB)


def test_answers_that_a_client_does_not_take_do_not_pile_up(proxy: Site, port: int) -> None:
    """It asks and asks, and never reads."""
    size = 4 * MIB
    answered = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        for _ in peer.requests():
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
            answered.release()

    warm_up(proxy, port)
    with scripted(script, port), proxy.connect() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        before = proxy.resident_bytes
        proxy.forget_peak()
        client.send(request() * 30)
        count = 0
        while answered.acquire(timeout=0.5):
            count += 1
        assert count < 10
        assert proxy.peak_bytes - before < ALLOWED_BYTES
        received(client, 30 * size)

"""Clients that are slow, or say nothing: what they get, and after which time."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import End
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.upstreams import OK, Peer, answering, scripted

pytestmark = pytest.mark.paced

LIMITS = """
[limits]
head_timeout = "400ms"
body_idle_timeout = "400ms"
keep_alive_timeout = "400ms"
write_idle_timeout = "400ms"
linger_timeout = "300ms"
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the upstream's socket is."""
    return tmp_path_factory.mktemp("time")


@pytest.fixture(scope="module")
def proxy(directory: Path, authority: Authority, localhost: CertificateFiles) -> Iterator[Site]:
    """A proxy that does not wait for long."""
    upstreams = {"raw": Upstream((f"unix:{directory / 'raw.sock'}",), path="/")}
    with site(directory, authority, localhost, upstreams, LIMITS) as running:
        yield running


@pytest.fixture
def raw(directory: Path) -> Path:
    """Where a test's server listens."""
    return directory / "raw.sock"


def test_head_that_does_not_come_in_time(proxy: Site) -> None:
    with proxy.connect() as client:
        client.send(b"GET /slow-head HTTP/1.1\r\nHost: local")
        answer = client.read_response()
        assert (answer.status, answer.values("Connection")) == (408, ["close"])
        assert client.await_end() is End.CLEAN


def test_head_that_drips_does_not_come_in_time_either(proxy: Site) -> None:
    pause = threading.Event()
    with proxy.connect() as client:
        for octet in b"GET / HTTP/1.1\r\n"[:8]:
            client.send(bytes((octet,)))
            pause.wait(0.1)  # never set: the head would take 1.6 s
        assert client.read_response().status == 408


@pytest.mark.parametrize("lines", [("Content-Length: 9",), ("Transfer-Encoding: chunked",)])
def test_body_that_does_not_come_in_time(proxy: Site, raw: Path, lines: tuple[str, ...]) -> None:
    with scripted(answering(), raw) as server, proxy.connect() as client:
        client.send(request(*lines, start="POST /slow-body HTTP/1.1", body=b"4\r\nhalf"))
        answer = client.read_response()
        assert (answer.status, answer.values("Connection")) == (408, ["close"])
        assert client.await_end() is End.CLEAN
        assert server.peers == [], "no server was asked"


def test_long_body_that_stops_frees_its_server(proxy: Site, raw: Path) -> None:
    gone = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.read_to_end()
        gone.set()

    with scripted(script, raw), proxy.connect() as client:
        client.send(request("Content-Length: 70000", start="POST /slow-body HTTP/1.1", body=bytes(66_000)))
        answer = client.read_response()
        assert (answer.status, answer.values("Connection")) == (408, ["close"])
        assert client.await_end() is End.CLEAN
        assert gone.wait(10)


def test_body_that_takes_its_time_is_taken(proxy: Site, raw: Path) -> None:
    """500 bytes a second, in pieces: 240 are asked for."""
    pause = threading.Event()
    with scripted(answering(OK), raw), proxy.connect() as client:
        client.send(request("Content-Length: 600", start="POST /slow HTTP/1.1"))
        for _ in range(24):
            pause.wait(0.05)  # never set; each piece has eight times as long
            client.send(bytes(25))
        assert client.read_response().status == 200


def test_body_that_drips_does_not_come_in_time(proxy: Site, raw: Path) -> None:
    """Each piece comes long before the time for one is over."""
    pause = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.read_to_end()

    with scripted(script, raw), proxy.connect() as client:
        client.send(request("Content-Length: 600", start="POST /drips HTTP/1.1"))
        for _ in range(24):
            pause.wait(0.05)  # never set
            client.send(b"x")
        answer = client.read_response()
        assert (answer.status, answer.values("Connection")) == (408, ["close"])
        assert client.await_end() is End.CLEAN
        assert proxy.record("/drips")["error"] == "body_too_slow"


def test_unused_connection_is_closed_cleanly(proxy: Site, raw: Path) -> None:
    with scripted(answering(OK), raw), proxy.connect() as client:
        client.send(request())
        assert client.read_response().status == 200
        assert client.await_end() is End.CLEAN


def test_connection_that_is_used_lives_on(proxy: Site, raw: Path) -> None:
    pause = threading.Event()
    with scripted(answering(OK, OK, OK), raw), proxy.connect() as client:
        for _ in range(3):
            pause.wait(0.25)  # never set
            client.send(request())
            assert client.read_response().status == 200


def test_client_that_takes_nothing_is_let_go(proxy: Site, raw: Path) -> None:
    gone = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        try:
            while True:
                peer.send(bytes(100_000))
        except (BrokenPipeError, ConnectionResetError):
            gone.set()

    with scripted(script, raw), proxy.connect() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        client.send(request(start="GET /taken-by-nobody HTTP/1.1"))
        assert gone.wait(10)
        record = proxy.record("/taken-by-nobody")
        assert (record["status"], record["error"]) == (499, "reader_timeout: the client takes no more of the response")


def test_slow_client_gets_the_end_of_its_response(proxy: Site, raw: Path) -> None:
    """It takes longer over what the kernel holds than we linger for one that has taken everything."""
    size = 8_000_000
    pause = threading.Event()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    with scripted(answering(answer), raw), proxy.connect() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.send(request("Connection: close", start="GET /slow-reader HTTP/1.1"))
        head_and_body = 0
        while head_and_body < size:
            piece = client.read()
            assert piece, "cut"
            head_and_body += len(piece)
            if head_and_body > size - 5_000_000:
                pause.wait(0.005)  # never set: what the kernel holds at the end takes a second
        client.read_to_end()
        assert client.end is End.CLEAN

"""Upstreams that speak HTTP/2: nginx, python-hyper by a script, and servers that do not."""

import itertools
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
from hpack import NeverIndexedHeaderTuple

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Address
from tests.integration.http2 import Http2Client
from tests.integration.nginx_backend import NGINX, Nginx, nginx
from tests.integration.stage import Site, Upstream, body_of, site
from tests.integration.upstreams import Peer, scripted
from tests.ports import lasting_port
from tests.waiting import until_found

LISTENER = '[listener.public]\nbind = "127.0.0.1:0"\nhttp = ["h2", "http/1.1"]\n'
H2 = 'http = "h2"\n'
HEALTH = '[upstream.checked.health]\npath = "/nginx/small"\ninterval = "100ms"\n'

pytestmark = pytest.mark.skipif(NGINX is None, reason="apt-get install nginx (./dev test does)")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, localhost: CertificateFiles) -> Iterator[Nginx]:
    """It ends a connection after ten requests, and takes four at once."""
    with nginx(tmp_path_factory.mktemp("nginx"), localhost, requests=10, streams=4) as running:
        yield running


@pytest.fixture(scope="module")
def scripted_port() -> int:
    """Where a test has a server of its own."""
    return lasting_port()


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    localhost: CertificateFiles,
    backend: Nginx,
    scripted_port: int,
) -> Iterator[Site]:
    """A proxy with an upstream for each kind of server."""
    tls = f'{H2}ca = "{authority.path}"\nserver_name = "localhost"\n'
    upstreams = {
        "nginx": Upstream((f"http://127.0.0.1:{backend.clear}",), H2),
        "secure": Upstream((f"https://127.0.0.1:{backend.tls}",), tls, "/nginx/secure"),
        "old": Upstream((f"https://127.0.0.1:{backend.old}",), tls),
        "scripted": Upstream((f"http://127.0.0.1:{scripted_port}",), H2),
        "checked": Upstream((f"https://127.0.0.1:{backend.tls}",), tls + HEALTH),
        "wrong": Upstream((f"https://127.0.0.1:{backend.old}",), tls + HEALTH.replace("checked", "wrong")),
    }
    with site(tmp_path_factory.mktemp("http2"), authority, localhost, upstreams, LISTENER) as running:
        yield running


def load_on(backend: Nginx) -> list[list[str]]:
    """The requests of h2load, without those of health checks."""
    return [one for one in backend.requests() if one[3] == "/nginx/small?load" and one[4] == "https"]


class TestNginx:
    @pytest.mark.parametrize("version", ["--http1.1", "--http2"])
    def test_answers_of_all_kinds(self, proxy: Site, version: str, tmp_path: Path) -> None:
        big = tmp_path / "upload"
        big.write_bytes(b"x" * 300_000)
        assert body_of(proxy.curl(version, path="/nginx/small")) == b"small"
        assert body_of(proxy.curl(version, path="/nginx/big")) == bytes(range(256)) * 20_000
        assert body_of(proxy.curl(version, path="/nginx/echo")) == b"GET http localhost "
        assert body_of(proxy.curl(version, "-d", f"@{big}", path="/nginx/echo")) == b"POST http localhost 300000"
        assert b" 204" in body_of(proxy.curl(version, "-i", path="/nginx/empty"))
        head = body_of(proxy.curl(version, "-I", path="/nginx/small")).lower()
        assert b"content-length: 5" in head
        assert b"via: 2.0 plexigate" in head
        assert b" 404" in body_of(proxy.curl(version, "-i", path="/nginx/none"))

    def test_over_tls(self, proxy: Site, backend: Nginx) -> None:
        assert b" 404" in body_of(proxy.curl("-i", path="/nginx/secure"))
        assert backend.requests()[-1][0] == "HTTP/2.0"

    def test_no_request_is_lost_when_connections_end_and_streams_are_few(self, proxy: Site, backend: Nginx) -> None:
        command = ["h2load", "-n", "600", "-c", "5", "-m", "10", proxy.url("/nginx/small?load")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert "600 succeeded, 0 failed, 0 errored" in done.stdout
        seen = until_found(lambda: found if len(found := load_on(backend)) >= 600 else [])
        assert len(seen) == 600
        assert {request[0] for request in seen} == {"HTTP/2.0"}
        assert len({request[1] for request in seen}) >= 20

    def test_a_server_that_does_not_choose_h2(self, proxy: Site) -> None:
        assert b" 502" in body_of(proxy.curl("-i", path="/old/x"))
        error = proxy.record("/old/x")["error"]
        assert "the TLS handshake with the upstream failed" in error

    def test_health_checks(self, proxy: Site) -> None:
        def states() -> bool | None:
            found = [proxy.admin.server_states(name) for name in ("checked", "wrong")]
            up, down = (set(next(iter(states.values()))) for states in found)
            return (up == {"up"} and down == {"down"}) or None

        assert until_found(states)

    def test_websockets_need_http1(self, proxy: Site) -> None:
        lines = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        options = [part for line in (*lines, key) for part in ("-H", line)]
        assert b" 501" in body_of(proxy.curl("-i", "--http1.1", *options, path="/nginx/socket"))
        assert "takes no WebSockets" in proxy.record("/nginx/socket")["error"]


class Hyper:
    """The server's side of one connection, by python-hyper."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()
        self.bodies: dict[int, bytes] = {}
        self.heads: dict[int, Sequence[Sequence[str | bytes]]] = {}
        self._whole: list[int] = []

    def flush(self) -> None:
        """Send."""
        self.peer.send(self.h2.data_to_send())

    def read_request(self) -> int:
        """Read one whole request; returns its stream."""
        while not self._whole:
            for event in self.h2.receive_data(self.peer.read_some()):
                if isinstance(event, h2.events.RequestReceived):
                    self.heads[event.stream_id] = event.headers
                elif isinstance(event, h2.events.DataReceived):
                    self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self._whole.append(event.stream_id)
            self.flush()
        return self._whole.pop(0)

    def answer(self, stream: int) -> None:
        """Answer with what was sent."""
        self.h2.send_headers(stream, [(":status", "200")])
        self.h2.send_data(stream, self.bodies.get(stream, b"nothing"), end_stream=True)
        self.flush()


class TestScripted:
    def test_a_refused_request_goes_out_once_more_whatever_its_method(self, proxy: Site, scripted_port: int) -> None:
        def script(peer: Peer) -> None:
            server = Hyper(peer)
            server.h2.reset_stream(server.read_request(), h2.errors.ErrorCodes.REFUSED_STREAM)
            server.flush()
            server.answer(server.read_request())
            peer.read_to_end()

        with scripted(script, scripted_port):
            assert body_of(proxy.curl("-d", "hello", path="/scripted/refused")) == b"hello"

    def test_goaway_moves_requests_that_it_excludes(self, proxy: Site, scripted_port: int) -> None:
        connections: list[Peer] = []

        def script(peer: Peer) -> None:
            connections.append(peer)
            server = Hyper(peer)
            stream = server.read_request()
            if len(connections) == 1:
                server.h2.close_connection(last_stream_id=0)
                server.flush()
            else:
                server.answer(stream)
            peer.read_to_end()

        with scripted(script, scripted_port):
            assert body_of(proxy.curl("-d", "hello", path="/scripted/goaway")) == b"hello"
        assert len(connections) == 2

    def test_a_server_that_refuses_everything_is_asked_twice(self, proxy: Site, scripted_port: int) -> None:
        asked = []

        def script(peer: Peer) -> None:
            server = Hyper(peer)
            while True:
                asked.append(server.read_request())
                server.h2.reset_stream(asked[-1], h2.errors.ErrorCodes.REFUSED_STREAM)
                server.flush()

        with scripted(script, scripted_port):
            assert b" 503" in body_of(proxy.curl("-i", "-d", "hello", path="/scripted/never"))
        assert len(asked) == 2
        assert "refused the request" in proxy.record("/scripted/never")["error"]

    def test_a_stalled_stream_holds_up_no_other_one(self, proxy: Site, scripted_port: int) -> None:
        def script(peer: Peer) -> None:
            server = Hyper(peer)
            first, second = server.read_request(), server.read_request()
            server.answer(second)
            server.answer(first)
            peer.read_to_end()

        with scripted(script, scripted_port), ThreadPoolExecutor(2) as pool:
            paths = ("/scripted/one", "/scripted/two")
            assert [body_of(one) for one in pool.map(lambda path: proxy.curl(path=path), paths)] == [b"nothing"] * 2

    def test_fields_that_a_client_marks_stand_in_no_table_on_the_way_to_the_server(
        self, proxy: Site, scripted_port: int
    ) -> None:
        """RFC 7541 6.2.3, also where tables have the same fields from requests without marks."""
        seen: list[set[str | bytes]] = []

        def script(peer: Peer) -> None:
            server = Hyper(peer)
            while True:
                stream = server.read_request()
                seen.append({one[0] for one in server.heads[stream] if isinstance(one, NeverIndexedHeaderTuple)})
                server.answer(stream)

        plain: list[Any] = [("x-key", "secret"), ("accept", "*/*")]
        marked = [*itertools.starmap(NeverIndexedHeaderTuple, plain), ("x-open", "1")]
        host: Any = NeverIndexedHeaderTuple("host", "localhost")
        address = Address(proxy.port(), proxy.ca)
        with scripted(script, scripted_port):
            for fields in (plain, marked, [host]):
                with Http2Client(address) as client:  # its own table knows none of them
                    assert [client.get("/scripted/marks", *fields).status for _ in range(2)] == [200, 200]
        keys, hosts = {"x-key", "accept"}, {":authority", "forwarded", "x-forwarded-host"}
        assert seen == [set(), set(), keys, keys, hosts, hosts]

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            b"",
            b"\0\0\0\x04\x01\0\0\0\0",
        ],
    )
    def test_a_server_in_clear_that_speaks_something_else(self, proxy: Site, scripted_port: int, answer: bytes) -> None:
        def script(peer: Peer) -> None:
            peer.read_some()
            peer.send(answer)

        path = f"/scripted/other-{len(answer)}"
        with scripted(script, scripted_port):
            assert b" 502" in body_of(proxy.curl("-i", path=path))
        assert "does not speak HTTP/2" in proxy.record(path)["error"]

"""Servers that are down, slow, wrong or gone: what the client is told, and how soon."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import End
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.upstreams import OK, WAIT_SECONDS, Peer, Script, answering, scripted
from tests.ports import lasting_port

SHORT = 'connect_timeout = "300ms"\nfirst_byte_timeout = "400ms"\nstall_timeout = "400ms"'


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the upstreams' sockets are."""
    return tmp_path_factory.mktemp("failures")


@pytest.fixture(scope="module")
def full_backlog() -> Iterator[str]:
    """A server whose kernel takes no more connections, so that connecting to it never ends."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def proxy(directory: Path, full_backlog: str, authority: Authority, localhost: CertificateFiles) -> Iterator[Site]:
    """A proxy with an upstream for each kind of trouble."""
    raw = f"unix:{directory / 'raw.sock'}"
    down = f"http://127.0.0.1:{lasting_port()}"
    upstreams = {
        "raw": Upstream((raw,), SHORT),
        "down": Upstream((down,)),
        "missing": Upstream((f"unix:{directory / 'missing.sock'}",)),
        "nameless": Upstream(("http://nothing.invalid",)),
        "deaf": Upstream((full_backlog,), SHORT),
        "second": Upstream((down, raw)),
        "patient": Upstream((raw,)),
    }
    with site(directory, authority, localhost, upstreams) as running:
        yield running


@pytest.fixture
def raw(directory: Path) -> Path:
    """Where a test's server listens."""
    return directory / "raw.sock"


def refused(proxy: Site, path: str, status: int, *, most_seconds: float = 5.0) -> str:
    """Ask for a path that is answered with an error, soon enough; returns what the log says about it."""
    began = time.monotonic()
    with proxy.session() as session:
        response = session.get(proxy.url(path), timeout=WAIT_SECONDS)
    assert time.monotonic() - began < most_seconds
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert "127.0.0.1" not in response.text
    assert ".sock" not in response.text
    record = proxy.record(path)
    assert record["status"] == status
    error: str = record["error"]
    assert error.startswith(problem["detail"])
    return error


class TestUnreachable:
    """502 at once, 504 after `connect_timeout`."""

    @pytest.mark.parametrize("path", ["/down/x", "/missing/x", "/nameless/x"])
    def test_nobody_is_there(self, proxy: Site, path: str) -> None:
        error = refused(proxy, path, 502)
        assert error.startswith("the upstream could not be reached: ")

    def test_server_that_does_not_accept(self, proxy: Site) -> None:
        assert "did not accept a connection in time" in refused(proxy, "/deaf/x", 504)

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_next_server_is_tried_whatever_the_method(self, proxy: Site, raw: Path, method: str) -> None:
        path = f"/second/{method}"
        with scripted(answering(OK), raw), proxy.session() as session:
            response = session.request(method, proxy.url(path), data=b"x" if method == "POST" else None)
        assert (response.status_code, response.text) == (200, "ok")
        assert proxy.record(path)["upstream"] == f"unix:{raw}"

    def test_upload_is_refused_without_waiting_for_its_end(self, proxy: Site) -> None:
        with proxy.connect() as client:
            client.send(request("Content-Length: 100000", start="POST /down/upload HTTP/1.1", body=bytes(70_000)))
            response = client.read_response()
            assert response.status == 502
            assert response.values("Connection") == ["close"]
            assert client.await_end() is End.CLEAN


def silent(part: bytes = b"") -> Script:
    """Read a request, send a part of an answer, then nothing more."""

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(part)
        assert peer.read_to_end() == b"", "the proxy closes the connection that did not answer"

    return script


class TestSilence:
    """504 after `first_byte_timeout` or, once a byte has come, `stall_timeout`; and a cut where an answer had begun."""

    @pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
    def test_server_that_does_not_answer(self, proxy: Site, raw: Path, part: bytes) -> None:
        with scripted(silent(part), raw), proxy.connect() as client:
            client.send(request(start="GET /raw/silent HTTP/1.1"))
            response = client.read_response()
            if b"103" in part:
                assert response.status == 103
                response = client.read_response()
            assert response.status == 504

    def test_response_that_stalls_is_cut(self, proxy: Site, raw: Path) -> None:
        part = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
        with scripted(silent(part), raw), proxy.connect() as client:
            client.send(request(start="GET /raw/stalled HTTP/1.1"))
            assert client.read_to_end().endswith(b"\r\n\r\nhalf")
            assert client.end is End.CUT
        assert "stopped in the middle" in proxy.record("/raw/stalled")["error"]

    def test_server_is_not_blamed_for_a_client_that_pauses(self, proxy: Site, raw: Path) -> None:
        """Its time for the first byte begins when it has the request."""

        def script(peer: Peer) -> None:
            assert len(peer.read_request().body) == 4
            peer.send(OK)
            peer.read_to_end()

        pause = threading.Event()
        with scripted(script, raw), proxy.connect() as client:
            client.send(request("Content-Length: 4", start="POST /raw/slow HTTP/1.1"))
            for piece in (b"ab", b"cd"):
                pause.wait(0.7)  # never set
                client.send(piece)
            assert client.read_response().status == 200


class TestWrongAnswers:
    """502: what is not HTTP/1.1 by its rules goes no further."""

    @pytest.mark.parametrize(
        "answer",
        [
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            b"HTTP/1.1 102 Processing\r\n\r\n" * 17,
            b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        ],
        ids=["ssh", "two lengths", "both", "gzip", "switch", "flood", "long"],
    )
    def test_malformed_answer(self, proxy: Site, raw: Path, answer: bytes) -> None:
        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(answer)
            peer.read_to_end()

        with scripted(script, raw), proxy.connect() as client:
            client.send(request(start="GET /patient/wrong HTTP/1.1"))
            while (response := client.read_response()).status < 200:
                pass
            assert response.status == 502
            assert b"patient" not in response.body

    def test_bytes_behind_an_answer_are_never_the_next_one(self, proxy: Site, raw: Path) -> None:
        extra = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nWRONG"
        with scripted(answering(OK + extra), raw) as server, proxy.connect() as client:
            for _ in range(2):
                client.send(request(start="GET /patient/extra HTTP/1.1"))
                assert bytes(client.read_response().body) == b"ok"
            assert len(server.peers) == 2

    def test_bytes_before_a_request_are_never_its_answer(self, proxy: Site, raw: Path) -> None:
        idle, closed = threading.Event(), threading.Event()

        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(OK)
            if len(server.peers) == 1:
                assert idle.wait(WAIT_SECONDS)
                peer.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
                assert peer.read_to_end() == b""
                closed.set()
            peer.read_to_end()

        with scripted(script, raw) as server, proxy.connect() as client:
            client.send(request(start="GET /patient/early HTTP/1.1"))
            assert client.read_response().status == 200
            idle.set()
            assert closed.wait(WAIT_SECONDS)
            client.send(request(start="GET /patient/early HTTP/1.1"))
            assert client.read_response().status == 200


class TestRetry:
    """DESIGN section 5: once, on a reused connection that died unanswered, of idempotent requests that the proxy has whole."""

    @staticmethod
    def dying(heads: list[bytes]) -> Script:
        """Answer the first request of the first connection only, and close upon its second; answer on later ones."""

        def script(peer: Peer) -> None:
            is_first = not heads
            heads.append(peer.read_head())
            peer.send(OK)
            heads.append(peer.read_head())
            if is_first:
                return
            peer.send(OK)
            peer.read_to_end()

        return script

    @pytest.mark.parametrize(
        ("lines", "body"), [(("Content-Length: 2",), b"hi"), (("Transfer-Encoding: chunked",), b"2\r\nhi\r\n0\r\n\r\n")]
    )
    def test_idempotent_request_whose_body_was_complete_is_sent_again_with_it(
        self, proxy: Site, raw: Path, lines: tuple[str, ...], body: bytes
    ) -> None:
        bodies: list[bytes] = []

        def script(peer: Peer) -> None:
            is_first = not bodies
            if is_first:
                peer.read_request()
                peer.send(OK)
            bodies.append(bytes(peer.read_request().body))
            if not is_first:
                peer.send(OK)
                peer.read_to_end()

        with scripted(script, raw) as server, proxy.connect() as client:
            client.send(request(start="GET /patient/first HTTP/1.1"))
            assert client.read_response().status == 200
            client.send(request(*lines, start="PUT /patient/with-body HTTP/1.1", body=body))
            assert client.read_response().status == 200
            assert len(server.peers) == 2
        assert bodies == [b"hi", b"hi"]

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"])
    def test_idempotent_request_is_sent_again(self, proxy: Site, raw: Path, method: str) -> None:
        heads: list[bytes] = []
        with scripted(self.dying(heads), raw) as server, proxy.connect() as client:
            client.send(request(start="GET /patient/first HTTP/1.1"))
            assert client.read_response().status == 200
            client.send(request(start=f"{method} /patient/again HTTP/1.1"))
            assert client.read_response(method).status == 200
            assert len(server.peers) == 2
        again = [head for head in heads if b"/patient/again" in head]
        assert len(again) == 2
        assert again[0] == again[1]

    @pytest.mark.parametrize(
        ("start", "lines", "body"),
        [
            ("POST /patient/once HTTP/1.1", (), b""),
            ("PATCH /patient/once HTTP/1.1", (), b""),
            ("POST /patient/once HTTP/1.1", ("Content-Length: 2",), b"hi"),
            ("PUT /patient/once HTTP/1.1", ("Content-Length: 100000",), bytes(70_000)),
        ],
    )
    def test_other_requests_are_not(
        self, proxy: Site, raw: Path, start: str, lines: tuple[str, ...], body: bytes
    ) -> None:
        heads: list[bytes] = []
        with scripted(self.dying(heads), raw) as server, proxy.connect() as client:
            client.send(request(start="GET /patient/first HTTP/1.1"))
            assert client.read_response().status == 200
            client.send(request(*lines, start=start, body=body))
            assert client.read_response().status == 502
            assert len(server.peers) == 1
        assert len([head for head in heads if b"/patient/once" in head]) == 1

    def test_restarted_server_loses_no_idempotent_request(self, proxy: Site, raw: Path) -> None:
        """It has closed all of several connections at the moment when one of them is reused."""
        everyone = threading.Barrier(4)

        def script(peer: Peer) -> None:
            if len(server.peers) <= 4:
                peer.read_head()
                everyone.wait(WAIT_SECONDS)
                peer.send(OK)
                peer.read_head()
                for other in server.peers[:4]:
                    other.end()
                return
            peer.read_request()
            peer.send(OK)
            peer.read_to_end()

        with scripted(script, raw) as server:
            clients = [proxy.connect() for _ in range(4)]
            for client in clients:
                client.send(request(start="GET /patient/before HTTP/1.1"))
            for client in clients:
                assert client.read_response().status == 200
            clients[0].send(request(start="GET /patient/after HTTP/1.1"))
            assert clients[0].read_response().status == 200
            for client in clients:
                client.sock.close()


class TestClientGone:
    """Nobody waits for an answer any more."""

    @pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
    def test_its_server_is_let_go(self, proxy: Site, raw: Path, part: bytes) -> None:
        asked, gone = threading.Event(), threading.Event()
        path = f"/patient/gone-{len(part)}"

        def script(peer: Peer) -> None:
            peer.read_head()
            peer.send(part)
            asked.set()
            peer.read_to_end()
            gone.set()

        with scripted(script, raw), proxy.connect() as client:
            client.send(request(start=f"GET {path} HTTP/1.1"))
            assert asked.wait(WAIT_SECONDS)
            if part:
                client.read()
            client.reset()
            assert gone.wait(WAIT_SECONDS)
        record = proxy.record(path)
        assert record["status"] == 499
        assert "the connection was lost" in record["error"]

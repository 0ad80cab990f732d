"""Every kind of message, through the proxy and back: what a client and a server that speak plainly see of each other."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Client, End
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.upstreams import OK, WAIT_SECONDS, Peer, Script, answering, scripted

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the upstream's socket is."""
    return tmp_path_factory.mktemp("messages")


@pytest.fixture(scope="module")
def proxy(directory: Path, authority: Authority, localhost: CertificateFiles) -> Iterator[Site]:
    """A proxy in front of one socket, at which each test puts a server of its own."""
    server = (f"unix:{directory / 'raw.sock'}",)
    upstreams = {
        "raw": Upstream(server, path="/"),
        "streamed": Upstream(server, route="stream_requests = true"),
    }
    with site(directory, authority, localhost, upstreams) as running:
        yield running


@pytest.fixture
def socket_path(directory: Path) -> Path:
    """Where a test's server listens."""
    return directory / "raw.sock"


def raw_answer(client: Client, data: bytes) -> tuple[bytes, End | None]:
    """Send a request; all that came back until the end of the connection, and how it ended."""
    client.send(data)
    return client.read_to_end(), client.end


class TestResponses:
    """RFC 9112 section 6: bodies of each kind, to clients of both versions."""

    @pytest.mark.parametrize(
        ("answer", "body"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
            (CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
            (CHUNKED + b"0\r\n\r\n", b""),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        ],
    )
    def test_delimited_response_leaves_the_connection(
        self, proxy: Site, socket_path: Path, answer: bytes, body: bytes
    ) -> None:
        with scripted(answering(answer, answer), socket_path), proxy.connect() as client:
            for _ in range(2):
                client.send(request())
                response = client.read_response()
                assert (response.status, bytes(response.body)) == (200, body)

    def test_close_delimited_response_reaches_a_modern_client_in_chunks(self, proxy: Site, socket_path: Path) -> None:
        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
            peer.send(b"until the")
            peer.send(b" end")
            peer.close()

        with scripted(script, socket_path), proxy.connect() as client:
            for _ in range(2):
                client.send(request())
                response = client.read_response()
                assert response.values("Transfer-Encoding") == ["chunked"]
                assert bytes(response.body) == b"until the end"

    @pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"])
    def test_old_client_gets_the_end_of_the_connection(self, proxy: Site, socket_path: Path, answer: bytes) -> None:
        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(answer)
            peer.close()

        with scripted(script, socket_path), proxy.connect() as client:
            data, end = raw_answer(client, request("Connection: keep-alive", start="GET / HTTP/1.0"))
        head, _, body = data.partition(b"\r\n\r\n")
        assert body == b"hello"
        assert b"chunked" not in head
        assert b"\r\nConnection: close" in head
        assert end is End.CLEAN

    def test_old_client_may_keep_its_connection(self, proxy: Site, socket_path: Path) -> None:
        with scripted(answering(OK, OK), socket_path), proxy.connect() as client:
            for _ in range(2):
                client.send(request("Connection: keep-alive", start="GET / HTTP/1.0"))
                response = client.read_response()
                assert response.values("Connection") == ["keep-alive"]

    def test_old_client_that_does_not_ask_for_it_may_not(self, proxy: Site, socket_path: Path) -> None:
        with scripted(answering(OK), socket_path), proxy.connect() as client:
            data, end = raw_answer(client, request(start="GET / HTTP/1.0"))
        assert data.endswith(b"\r\n\r\nok")
        assert end is End.CLEAN

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
            b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n',
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        ],
    )
    def test_status_without_a_body_leaves_both_connections(self, proxy: Site, socket_path: Path, answer: bytes) -> None:
        with scripted(answering(answer, OK), socket_path) as server, proxy.connect() as client:
            client.send(request())
            assert client.read_response().status == int(answer[9:12])
            client.send(request())
            assert bytes(client.read_response().body) == b"ok"
            assert len(server.peers) == 1

    @pytest.mark.parametrize(
        "answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", CHUNKED, b"HTTP/1.1 404 Not Found\r\n\r\n"]
    )
    def test_head_is_answered_without_a_body(self, proxy: Site, socket_path: Path, answer: bytes) -> None:
        with scripted(answering(answer, OK), socket_path), proxy.connect() as client:
            client.send(request(start="HEAD / HTTP/1.1"))
            response = client.read_response("HEAD")
            assert response.status == int(answer[9:12])
            assert response.values("Content-Length") == (["5000"] if b"5000" in answer else [])
            client.send(request())
            assert bytes(client.read_response().body) == b"ok"

    def test_fields_reach_the_client_as_the_server_sent_them(self, proxy: Site, socket_path: Path) -> None:
        answer = (
            b"HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nX-MiXed: \xe4\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
        )
        with scripted(answering(answer), socket_path), proxy.connect() as client:
            client.send(request())
            response = client.read_response()
        assert response.start == (b"HTTP/1.1", b"200", b"Fine")
        assert response.headers[:3] == [(b"Set-Cookie", b"a=1"), (b"X-MiXed", b"\xe4"), (b"Set-Cookie", b"b=2")]
        assert response.names.count("date") == 1


class TestTrailers:
    """RFC 9110 section 6.5: for clients that take them, announced or not."""

    ANSWER = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Other: 8\r\nContent-Length: 9\r\n\r\n"
    )

    def test_client_that_takes_trailers(self, proxy: Site, socket_path: Path) -> None:
        with scripted(answering(self.ANSWER), socket_path), proxy.connect() as client:
            client.send(request("TE: trailers", "Connection: TE"))
            response = client.read_response()
        assert response.trailers == [(b"X-Sum", b"7"), (b"X-Other", b"8")]
        assert response.values("Trailer") == ["x-sum"] or response.values("Trailer") == ["X-Sum"]

    def test_client_that_does_not(self, proxy: Site, socket_path: Path) -> None:
        with scripted(answering(self.ANSWER), socket_path), proxy.connect() as client:
            client.send(request())
            response = client.read_response()
        assert (response.trailers, response.values("Trailer")) == ([], [])
        assert bytes(response.body) == b"ok"

    def test_trailers_of_a_request_are_dropped(self, proxy: Site, socket_path: Path) -> None:
        with scripted(answering(OK), socket_path), proxy.connect() as client:
            client.send(
                request("Transfer-Encoding: chunked", "Trailer: X", start="POST / HTTP/1.1")
                + b"2\r\nhi\r\n0\r\nX: y\r\n\r\n"
            )
            assert client.read_response().status == 200  # the script takes strict requests only, without trailers


class TestInterim:
    """RFC 9110 section 15.2: 100 and 103."""

    def test_body_is_sent_after_the_server_has_asked_for_it(self, proxy: Site, socket_path: Path) -> None:
        def script(peer: Peer) -> None:
            head = peer.read_head()
            assert b"\r\nExpect: 100-continue\r\n" in head
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert peer.read(5) == b"hello"
            peer.send(OK)
            peer.read_to_end()

        with scripted(script, socket_path), proxy.connect() as client:
            client.send(request("Content-Length: 5", "Expect: 100-continue", start="POST /streamed HTTP/1.1"))
            assert client.read_response().status == 100
            client.send(b"hello")
            assert client.read_response().status == 200

    def test_proxy_asks_for_it_where_it_is_gathered_first(self, proxy: Site, socket_path: Path) -> None:
        heads: list[bytes] = []

        def script(peer: Peer) -> None:
            heads.append(peer.read_head())
            assert peer.read(5) == b"hello"
            peer.send(OK)
            peer.read_to_end()

        with scripted(script, socket_path), proxy.connect() as client:
            client.send(request("Content-Length: 5", "Expect: 100-continue", start="POST / HTTP/1.1"))
            assert client.read_response().status == 100
            assert heads == [], "no server was asked"
            client.send(b"hello")
            assert client.read_response().status == 200
        assert b"Expect" not in heads[0]

    def test_server_may_refuse_instead_of_asking(self, proxy: Site, socket_path: Path) -> None:
        def script(peer: Peer) -> None:
            peer.read_head()
            peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            assert peer.read_to_end() == b""

        with scripted(script, socket_path), proxy.connect() as client:
            client.send(request("Content-Length: 5", "Expect: 100-continue", start="POST /streamed HTTP/1.1"))
            response = client.read_response()
            assert response.status == 403
            assert response.values("Connection") == ["close"], "a body may or may not follow"

    def test_early_hints_come_early(self, proxy: Site, socket_path: Path) -> None:
        seen = threading.Event()

        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
            assert seen.wait(WAIT_SECONDS)
            peer.send(OK)
            peer.read_to_end()

        with scripted(script, socket_path), proxy.connect() as client:
            client.send(request())
            hints = client.read_response()
            assert hints.status == 103
            assert hints.values("Link") == ["</style.css>; rel=preload"]
            seen.set()
            assert client.read_response().status == 200

    def test_old_client_sees_none_of_them(self, proxy: Site, socket_path: Path) -> None:
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        with scripted(answering(hints + OK), socket_path), proxy.connect() as client:
            data, _ = raw_answer(client, request(start="GET / HTTP/1.0"))
        assert data.startswith(b"HTTP/1.1 200 OK\r\n")


class TestRequests:
    """Bodies of each kind, as the server gets them."""

    @pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
    def test_body_of_a_length(self, proxy: Site, socket_path: Path, size: int) -> None:
        body = bytes(index % 251 for index in range(size))
        got: list[bytes] = []
        with scripted(recording(got), socket_path), proxy.connect() as client:
            client.send(request(f"Content-Length: {size}", start="PUT / HTTP/1.1", body=body))
            assert client.read_response().status == 200
        assert got == [body]

    def test_body_in_chunks(self, proxy: Site, socket_path: Path) -> None:
        got: list[bytes] = []
        with scripted(recording(got), socket_path), proxy.connect() as client:
            client.send(request("Transfer-Encoding: chunked", start="POST / HTTP/1.1"))
            for piece in (b"1", b"22", b"333"):
                client.send(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece))
            client.send(b"0\r\n\r\n")
            assert client.read_response().status == 200
        assert got == [b"122333"]

    def test_body_reaches_the_server_while_it_is_still_being_sent(self, proxy: Site, socket_path: Path) -> None:
        """A client that waits for an answer to the first half before it sends the second."""

        def script(peer: Peer) -> None:
            peer.read_head()
            assert peer.read(10) == b"5\r\nfirst\r\n"
            peer.send(CHUNKED + b"2\r\ngo\r\n")
            assert peer.read(16) == b"6\r\nsecond\r\n0\r\n\r\n"
            peer.send(b"0\r\n\r\n")
            peer.read_to_end()

        with scripted(script, socket_path), proxy.connect() as client:
            head = request("Transfer-Encoding: chunked", start="POST /streamed HTTP/1.1")
            client.send(head + b"5\r\nfirst\r\n")
            data = b""
            while b"2\r\ngo\r\n" not in data:
                data += client.read()
            client.send(b"6\r\nsecond\r\n0\r\n\r\n")
            assert client.read_to_end() == b"0\r\n\r\n"
            assert client.end is End.CLEAN

    def test_answer_to_an_unfinished_upload_reaches_a_client_that_goes_on_sending(
        self, proxy: Site, socket_path: Path
    ) -> None:
        def script(peer: Peer) -> None:
            peer.read_head()
            peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo long")
            peer.read_to_end()

        with scripted(script, socket_path), proxy.connect() as client:
            client.send(request("Content-Length: 100000", start="POST / HTTP/1.1", body=bytes(70_000)))
            response = client.read_response()
            assert (response.status, bytes(response.body)) == (413, b"too long")
            assert response.values("Connection") == ["close"]
            assert client.await_end() is End.CLEAN


def recording(bodies: list[bytes]) -> Script:
    """Record the bodies of all requests."""

    def script(peer: Peer) -> None:
        for message in peer.requests():
            bodies.append(bytes(message.body))
            peer.send(OK)

    return script


class TestPipelining:
    """RFC 9112 section 9.3.2."""

    def test_answers_come_in_order_and_the_server_sees_one_at_a_time(self, proxy: Site, socket_path: Path) -> None:
        def script(peer: Peer) -> None:
            for message in peer.requests():
                target = message.target.encode()
                assert peer._rest == b"", "the next request came before this one was answered"
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))

        targets = [f"/{number}" for number in range(50)]
        with scripted(script, socket_path) as server, proxy.connect() as client:
            client.send(b"".join(request(start=f"GET {target} HTTP/1.1") for target in targets))
            assert [client.read_response().body.decode() for _ in targets] == targets
            assert len(server.peers) == 1

    @pytest.mark.parametrize("says_so", [True, False])
    def test_half_closed_client_gets_all_its_answers(self, proxy: Site, socket_path: Path, *, says_so: bool) -> None:
        with scripted(answering(OK, OK, OK), socket_path), proxy.connect() as client:
            client.send(request() * 3)
            client.shut_down(says_so=says_so)
            data = client.read_to_end()
        assert data.count(b"HTTP/1.1 200 OK") == 3
        assert client.end is End.CLEAN


class TestCuts:
    """A response that the server ends early is visibly broken off for the client."""

    @pytest.mark.parametrize("start", ["GET / HTTP/1.1", "GET / HTTP/1.0"])
    @pytest.mark.parametrize(
        "part",
        [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n", CHUNKED + b"a\r\nhello"],
    )
    def test_cut_response_ends_without_close_notify(
        self, proxy: Site, socket_path: Path, part: bytes, start: str
    ) -> None:
        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(part)
            peer.close()

        with scripted(script, socket_path), proxy.connect() as client:
            data, end = raw_answer(client, request(start=start))
        assert b"hello" in data
        assert not data.endswith(b"0\r\n\r\n")
        assert end is End.CUT

    def test_curl_fails_on_it(self, proxy: Site, socket_path: Path) -> None:
        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(CHUNKED + b"5\r\nhello\r\n")
            peer.close()

        with scripted(script, socket_path):
            completed = proxy.curl()
        assert completed.returncode in {18, 56}, completed.stderr
        assert completed.stdout == b"hello"

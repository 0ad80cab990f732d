"""Connections to a server: reused, bounded, waited for, and let go."""

import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Client
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.upstreams import OK, WAIT_SECONDS, Peer, ScriptedServer, scripted

OTHER = "127.0.0.2"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the upstream's socket is."""
    return tmp_path_factory.mktemp("pool")


@pytest.fixture(scope="module")
def proxy(directory: Path, authority: Authority, localhost: CertificateFiles) -> Iterator[Site]:
    """A proxy with several pools to one server."""
    server = (f"unix:{directory / 'raw.sock'}",)
    upstreams = {
        "narrow": Upstream(server, "connections = 1\nwaiting = 1"),
        "hasty": Upstream(server, 'connections = 1\nwaiting = 1\nwait_timeout = "300ms"'),
        "short": Upstream(server, 'idle_timeout = "300ms"'),
        "shared": Upstream(server, 'connections = 8\nwaiting = 4\nwait_timeout = "1m"'),
        "three": Upstream(server, "connections = 3\nwaiting = 20"),
    }
    with site(directory, authority, localhost, upstreams) as running:
        yield running


class Held:
    """A server that reads requests and answers each when the test says so."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.arrived = threading.Semaphore(0)
        self.most_at_once = 0
        self._under_way = 0
        self._lock = threading.Lock()
        self._answers = threading.Semaphore(0)

    def script(self, peer: Peer) -> None:
        """Play one connection."""
        for message in peer.requests():
            with self._lock:
                self._under_way += 1
                self.most_at_once = max(self.most_at_once, self._under_way)
                self.asked.append(message.target)
            self.arrived.release()
            assert self._answers.acquire(timeout=WAIT_SECONDS)
            with self._lock:
                self._under_way -= 1
            peer.send(OK)

    def answer(self, count: int = 1) -> None:
        """Answer some that are waiting, or will be."""
        self._answers.release(count)

    def await_requests(self, count: int = 1) -> None:
        """Wait until more requests are here."""
        for _ in range(count):
            assert self.arrived.acquire(timeout=WAIT_SECONDS)


@pytest.fixture
def held(directory: Path) -> Iterator[tuple[Held, ScriptedServer]]:
    """Such a server."""
    made = Held()
    with scripted(made.script, directory / "raw.sock") as server:
        yield made, server


def ask(client: Client, path: str) -> None:
    """Send a request."""
    client.send(request(start=f"GET {path} HTTP/1.1"))


def test_one_connection_serves_one_request_after_the_other(proxy: Site, held: tuple[Held, ScriptedServer]) -> None:
    server, listening = held
    server.answer(20)
    with proxy.session() as session:
        assert [session.get(proxy.url("/three/x")).status_code for _ in range(10)] == [200] * 10
    for _ in range(10):
        with proxy.connect() as client:
            ask(client, "/three/y")
            assert client.read_response().status == 200
    assert len(listening.peers) == 1


def test_requests_beyond_the_limit_wait_for_a_connection(proxy: Site, held: tuple[Held, ScriptedServer]) -> None:
    server, listening = held
    clients = [proxy.connect() for _ in range(10)]
    for number, client in enumerate(clients):
        ask(client, f"/three/{number}")
    server.await_requests(3)
    server.answer(10)
    assert [client.read_response().status for client in clients] == [200] * 10
    for client in clients:
        client.sock.close()
    assert server.most_at_once == 3
    assert len(listening.peers) == 3


def test_requests_beyond_those_that_may_wait_are_refused_at_once(
    proxy: Site, held: tuple[Held, ScriptedServer]
) -> None:
    server, _ = held
    with proxy.connect() as first, proxy.connect() as one, proxy.connect() as other, ThreadPoolExecutor(2) as readers:
        ask(first, "/narrow/first")
        server.await_requests()
        ask(one, "/narrow/waits-or-not")
        ask(other, "/narrow/waits-or-not")
        reading = [readers.submit(client.read_response) for client in (one, other)]
        done, waiting = wait(reading, WAIT_SECONDS, FIRST_COMPLETED)
        refusal = done.pop().result()
        assert refusal.status == 503
        assert refusal.values("Retry-After") == ["1"]
        assert refusal.values("Connection") == []
        assert server.asked == ["/narrow/first"]
        server.answer(2)
        assert first.read_response().status == 200
        assert waiting.pop().result().status == 200
    records = proxy.records("/narrow/waits-or-not", 2)
    assert sorted(record["status"] for record in records) == [200, 503]
    assert records[0]["error"].startswith("all connections to the upstream are in use")


def test_client_that_holds_connections_leaves_some_to_others(proxy: Site, held: tuple[Held, ScriptedServer]) -> None:
    server, _ = held
    with ExitStack() as stack:
        greedy = [stack.enter_context(proxy.connect()) for _ in range(10)]
        for client in greedy:
            ask(client, "/shared/greedy")
        server.await_requests(6)
        with proxy.connect(OTHER) as other:
            ask(other, "/shared/other")
            server.await_requests()
            assert server.asked == ["/shared/greedy"] * 6 + ["/shared/other"]
            server.answer(11)
            assert other.read_response().status == 200
        assert [client.read_response().status for client in greedy] == [200] * 10
    assert server.most_at_once == 7


def test_client_with_most_requests_in_the_queue_gives_way(proxy: Site, held: tuple[Held, ScriptedServer]) -> None:
    server, _ = held
    with ExitStack() as stack:
        greedy = [stack.enter_context(proxy.connect()) for _ in range(10)]
        for client in greedy:
            ask(client, "/shared/most")
        server.await_requests(6)
        others = [stack.enter_context(proxy.connect(OTHER)) for _ in range(3)]
        for other in others:
            ask(other, "/shared/fewer")
        # two find connections; the third waits, for which the newest of the ten gives way
        refused = proxy.record("/shared/most")
        assert (refused["status"], refused["client"]) == (503, "127.0.0.1")
        server.answer(12)
        assert [other.read_response().status for other in others] == [200] * 3
        assert sorted(client.read_response().status for client in greedy) == [200] * 9 + [503]


def test_request_that_waits_too_long_is_refused(proxy: Site, held: tuple[Held, ScriptedServer]) -> None:
    server, _ = held
    with proxy.connect() as first, proxy.connect() as second:
        ask(first, "/hasty/first")
        server.await_requests()
        ask(second, "/hasty/second")
        refused = second.read_response()
        assert (refused.status, refused.values("Retry-After")) == (503, ["1"])
        server.answer(2)
        assert first.read_response().status == 200
        ask(second, "/hasty/third")
        assert second.read_response().status == 200
    assert server.asked == ["/hasty/first", "/hasty/third"]


def test_client_that_left_keeps_nobody_out(proxy: Site, held: tuple[Held, ScriptedServer]) -> None:
    server, _ = held
    with proxy.connect() as first, proxy.connect() as second, proxy.connect() as third:
        ask(first, "/narrow/held")
        server.await_requests()
        ask(second, "/narrow/left")
        second.reset()
        assert proxy.record("/narrow/left")["status"] == 499
        ask(third, "/narrow/taken")
        server.answer(2)
        assert first.read_response().status == 200
        assert third.read_response().status == 200
    assert server.asked == ["/narrow/held", "/narrow/taken"]


def test_unused_connection_is_closed_after_its_time(proxy: Site, directory: Path) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        assert peer.read_to_end() == b""
        closed.set()

    with scripted(script, directory / "raw.sock") as listening, proxy.connect() as client:
        for number in range(2):
            ask(client, "/short/x")
            assert client.read_response().status == 200
            assert closed.wait(WAIT_SECONDS)
            closed.clear()
            assert len(listening.peers) == number + 1

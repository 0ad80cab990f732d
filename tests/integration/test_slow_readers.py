"""Clients that take their answers slowly: their server is free, what waits for them is bounded, counted and given back."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Address, Client
from tests.integration.admin import found
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.upstreams import OK, WAIT_SECONDS, Peer, scripted
from tests.waiting import until_found

pytestmark = pytest.mark.paced

MIB = 1 << 20
SIZE = 12 * MIB
"""More than the kernel holds for a client with a small buffer: 4 MiB of tcp_wmem on this side."""
BODY = b"".join(number.to_bytes(8) for number in range(SIZE // 8))
ALLOWED_BYTES = 6 * MIB
SLOW = 65_536


def limits(answer: int, total: int) -> str:
    """The memory for one answer, and for all."""
    return f"[limits]\nresponse_buffer_bytes = {answer}\nresponse_buffer_total_bytes = {total}\n"


class Large:
    """A server that answers /large with `SIZE` bytes, and everything else briefly."""

    def __init__(self) -> None:
        self.begun = 0
        """Large answers that were asked for."""
        self.sent = 0
        """Those that were taken to their end."""
        self._lock = threading.Lock()

    def script(self, peer: Peer) -> None:
        """Play one connection."""
        for message in peer.requests():
            if not message.target.endswith("/large"):
                peer.send(OK)
                continue
            with self._lock:
                self.begun += 1
            peer.sock.settimeout(60)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            for at in range(0, SIZE, MIB):
                peer.send(BODY[at : at + MIB])
            with self._lock:
                self.sent += 1


@pytest.fixture(
    params=[(64 * MIB, 256 * MIB), (0, 0), (64 * MIB, 0), (MIB // 4, 256 * MIB)],
    ids=["buffer", "no buffer", "no room", "spool"],
)
def proxy(
    request: pytest.FixtureRequest, tmp_path: Path, authority: Authority, localhost: CertificateFiles
) -> Iterator[tuple[Site, bool]]:
    """A proxy with one connection to its server, and whether an answer fits into its memory or its spool."""
    upstreams = {
        "one": Upstream((f"unix:{tmp_path / 'raw.sock'}",), 'connections = 1\nwait_timeout = "500ms"', path="/")
    }
    with site(tmp_path, authority, localhost, upstreams, limits(*request.param)) as running:
        yield running, request.param[1] > 0


def slow(proxy: Site) -> Client:
    """A client whose kernel takes little for it."""
    return Client(Address(proxy.port(), proxy.ca), "localhost", receive_bytes=SLOW)


def ask(client: Client, path: str) -> None:
    """Send a request."""
    client.send(request(start=f"GET {path} HTTP/1.1"))


def test_server_is_free_while_its_client_still_reads(proxy: tuple[Site, bool], tmp_path: Path) -> None:
    running, fits = proxy
    server = Large()
    with scripted(server.script, tmp_path / "raw.sock"), slow(running) as reader, running.connect() as other:
        ask(reader, "/large")
        until_found(lambda: server.sent if fits else server.begun)
        ask(other, "/small")
        assert other.read_response().status == (200 if fits else 503), "there is one connection"
        assert not any('"path":"/large"' in line for line in running.program.output), "it is not over yet"
        assert reader.read_response().body == BODY, "it gets all of it, whatever room there was"
        record = running.record("/large")
        assert (record["status"], record["response_bytes"], record.get("error")) == (200, SIZE, None)
        assert record["duration_ms"] > record["first_byte_ms"]
        ask(reader, "/small")
        assert reader.read_response().status == 200
        until_found(lambda: found(running.admin.metrics(), "plexigate_response_buffer_bytes") == 0)
        assert found(running.admin.metrics(), "plexigate_spool_bytes") == 0


@pytest.fixture
def roomy(tmp_path: Path, authority: Authority, localhost: CertificateFiles) -> Iterator[Site]:
    """A proxy with the limits that it has of its own, but for a small total."""
    upstreams = {"one": Upstream((f"unix:{tmp_path / 'raw.sock'}",), path="/")}
    with site(tmp_path, authority, localhost, upstreams, limits(MIB, 16 * MIB)) as running:
        yield running


def test_what_waits_is_bounded_and_given_back(roomy: Site, tmp_path: Path) -> None:
    """Twenty clients of one address, which come to a half of the total; then they take it or leave."""
    server = Large()

    def held() -> float:
        return found(roomy.admin.metrics(), "plexigate_response_buffer_bytes")

    def fill(stack: ExitStack) -> list[Client]:
        clients = [stack.enter_context(slow(roomy)) for _ in range(20)]
        for client in clients:
            ask(client, "/large")
        until_found(lambda: held() > 7 * MIB)
        return clients

    with scripted(server.script, tmp_path / "raw.sock"):
        with ExitStack() as stack:
            fill(stack)[0].read_response()  # what a first time leaves in the heap is none of the answers
        until_found(lambda: held() == 0)
        roomy.forget_peak()
        before = roomy.resident_bytes
        with ExitStack() as stack:
            clients = fill(stack)
            assert held() < 9 * MIB
            assert roomy.peak_bytes - before < 16 * MIB
            readers = [threading.Thread(target=client.read_response) for client in clients[:10]]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join(WAIT_SECONDS)
            for client in clients[10:]:
                client.reset()
            until_found(lambda: held() == 0)
            until_found(lambda: roomy.resident_bytes - before < ALLOWED_BYTES)
            ask(clients[0], "/small")
            assert clients[0].read_response().status == 200
    assert found(roomy.admin.metrics(), "plexigate_response_buffer_shortages_total") > 0

"""What streams of one HTTP/2 connection do to each other, and to the memory of the proxy."""

import statistics
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Address
from tests.integration.gateway import Gateway, Trust, gateway
from tests.integration.http2 import LISTENER, Http2Client
from tests.integration.stage import Site, Upstream, site
from tests.integration.upstreams import OK, Peer, ScriptedServer, scripted

pytestmark = pytest.mark.paced

MIB = 1 << 20
BIG = 100 * MIB
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
SMALL = 300
ROUNDS = 5
# The usual time beside a download, measured on a busy machine of two processors: 1.5 to 2.6 times that without it. The
# 99th percentile of so few requests is what the scheduler makes of three: 0.9 to 22 times. What the proxy decides is how
# many bytes stand in front of a small answer, and that is asserted below.
MOST_OF_USUAL = 4.0
UPLOADS = 4
SOCKET_BYTES = 4 * MIB
RECEIVE_BYTES = 65_536
# Measured: 246,000 to 275,000; without the option that keeps little in the kernel 4,211,000.
MOST_IN_FRONT = 450_000


class Server:
    """Sends much for /one/big, reads nothing of what comes to /one/deaf, and answers everything else briefly."""

    def __init__(self) -> None:
        self.sent = 0
        """Bytes of big answers that the proxy took."""
        self.may_read, self.took, self.answered = threading.Event(), threading.Event(), threading.Event()

    def script(self, peer: Peer) -> None:
        """Play one connection."""
        while True:
            path = peer.read_head().split(b" ")[1]
            if path.startswith(b"/one/deaf"):
                self.may_read.wait(30)
                peer.read_to_end()
                return
            if path.startswith(b"/one/big"):
                peer.sock.settimeout(60)
                peer.send(HEAD % BIG)
                for _ in range(BIG // MIB):
                    peer.send(bytes(MIB))
                    self.sent += MIB
                    self.took.set()
            else:
                peer.send(OK)
                self.answered.set()


@pytest.fixture
def server() -> Iterator[Server]:
    """It reads in the end, so that its threads end."""
    made = Server()
    yield made
    made.may_read.set()


@pytest.fixture
def proxy(tmp_path: Path, authority: Authority, localhost: CertificateFiles, server: Server) -> Iterator[Site]:
    with scripted(server.script) as upstream:
        upstreams = {"one": Upstream((upstream.url,), route="body_bytes = 1_000_000_000")}
        with site(tmp_path, authority, localhost, upstreams, LISTENER) as running:
            yield running
            server.may_read.set()


def client(proxy: Site, *, window: int = 0, receive_bytes: int = 0) -> Http2Client:
    """A connection."""
    return Http2Client(Address(proxy.port(), proxy.ca), window=window, receive_bytes=receive_bytes)


def taken(proxy: Site, directory: Path, paths: list[str], streams: int) -> list[int]:
    """Microseconds that each request took, in the order of their ends, on one connection of h2load."""
    log, uris = directory / "log", directory / "uris"
    uris.write_text("".join(f"{proxy.url(path)}\n" for path in paths))
    log.unlink(missing_ok=True)
    command = ["h2load", "-c", "1", "-m", str(streams), "-n", str(len(paths)), "-i", str(uris), f"--log-file={log}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert f"{len(paths)} succeeded, 0 failed" in done.stdout, done.stdout
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    assert {line[1] for line in lines} == {"200"}
    return [int(line[2]) for line in lines]


@pytest.mark.alone
def test_small_requests_are_quick_beside_a_download(proxy: Site, tmp_path: Path) -> None:
    """Rounds side by side, since other programs on the machine disturb single ones."""
    small = ["/one/small"] * SMALL
    ratios: list[float] = []
    for _ in range(ROUNDS):
        alone = taken(proxy, tmp_path, small, 1)
        beside = sorted(taken(proxy, tmp_path, ["/one/big", *small], 2))[:-1]
        ratios.append(statistics.median(beside) / statistics.median(alone))
    assert statistics.median(ratios) < MOST_OF_USUAL, ratios


def test_little_of_a_download_is_in_front_of_a_small_answer(proxy: Site, server: Server) -> None:
    """The client is slow, and its windows are large, as those of browsers are."""
    with client(proxy, receive_bytes=RECEIVE_BYTES, window=BIG) as asking:
        asking.h2.increment_flow_control_window(BIG)
        big = asking.answers[asking.ask("/one/big")]
        asking.until(lambda: len(big.body) > MIB)
        while server.took.wait(0.3):  # until the proxy takes no more
            server.took.clear()
        server.answered.clear()
        small = asking.ask("/one/small")
        before = len(big.body)
        assert server.answered.wait(30)
        with client(proxy) as other:
            assert other.get("/one/small").status == 200  # so that the proxy has read the answer before it
        assert asking.answer(small).status == 200
        assert len(big.body) - before < MOST_IN_FRONT


def test_two_downloads_get_the_same_share(proxy: Site) -> None:
    with client(proxy) as asking:
        first, second = asking.answers[asking.ask("/one/big")], asking.answers[asking.ask("/one/big")]
        asking.until(lambda: len(first.body) + len(second.body) > 40 * MIB)
        assert 0.8 < len(first.body) / len(second.body) < 1.25


def test_urgent_download_goes_first(proxy: Site) -> None:
    """RFC 9218: the later one has what the client takes."""
    with client(proxy) as asking:
        late = asking.answers[asking.ask("/one/big", ("priority", "u=5"))]
        asking.until(lambda: len(late.body) > MIB)
        urgent = asking.answers[asking.ask("/one/big", ("priority", "u=1"))]
        asking.until(lambda: urgent.status)
        before = len(late.body)
        asking.until(lambda: len(urgent.body) > 40 * MIB)
        assert len(late.body) - before < 10 * MIB


def test_server_that_does_not_read_stops_the_upload(proxy: Site) -> None:
    """Streams and connection have windows: what the proxy holds is no more than they allow."""
    with client(proxy) as asking, client(proxy) as other:
        assert other.get("/one/small").status == 200
        before = proxy.resident_bytes
        streams = [asking.ask("/one/deaf", method="POST", ends=False) for _ in range(UPLOADS)]
        sent = 0
        rounds_without = 0
        while rounds_without < 10:
            before_round = sent
            for stream in streams:
                room = min(asking.h2.local_flow_control_window(stream), asking.h2.max_outbound_frame_size)
                if room > 0:
                    asking.h2.send_data(stream, bytes(room))
                    sent += room
                asking.flush()
                if room <= 0:
                    asking.receive_until_silent(0.02)
            rounds_without = rounds_without + 1 if sent == before_round else 0
        assert sent < UPLOADS * MIB + 4 * UPLOADS * SOCKET_BYTES
        assert proxy.resident_bytes - before < 16 * MIB
        assert other.get("/one/small").status == 200


def test_client_that_does_not_read_stops_the_server(proxy: Site, server: Server) -> None:
    """The proxy keeps no more of the answer than its buffer, and the server has to wait."""
    with client(proxy) as asking:
        assert asking.get("/one/small").status == 200
        before = proxy.resident_bytes
        asking.gives_credit = False
        asking.ask("/one/big")
        asking.receive_until_silent(0.5)
        held = server.sent
        asking.receive_until_silent(0.5)
        assert server.sent == held < BIG
        assert proxy.resident_bytes - before < 72 * MIB, "the buffer of one answer"
        assert not asking.is_over


@pytest.fixture(scope="module")
def names(trust: Trust, echo_server: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A proxy for several names, with certificates of their own."""
    with gateway(
        tmp_path_factory.mktemp("names"), trust, echo_server, 'listener.standard.bind = "127.0.0.1:0"\n'
    ) as one:
        yield one


def test_foreign_name_on_the_same_connection_is_misdirected(names: Gateway) -> None:
    """RFC 9110 section 7.4, RFC 9113 section 9.1.1: the client asks again over another connection."""
    with Http2Client(Address(names.port(), names.trust.classical.path), "chat.test") as asking:
        statuses = [
            asking.answer(asking.ask("/", authority=name)).status
            for name in ("chat.test", "files.test", "room.chat.test", "elsewhere.test", "chat.test")
        ]
    assert statuses == [200, 421, 200, 421, 200]

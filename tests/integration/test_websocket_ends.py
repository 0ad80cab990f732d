"""How WebSockets end: by a restart, by silence, by a peer that is gone, by too much; and what slow readers cost."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from config.tables.limits import LimitsConfig
from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Client, End
from tests.hostile.strict_frames import BINARY, CLOSE, Frame, FrameReader
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.upstreams import WAIT_SECONDS, Peer, Script, scripted
from tests.ports import lasting_port

MIB = 1 << 20
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What answers the key (RFC 6455 section 1.3)."""
MASK = b"\x12\x34\x56\x78"


@pytest.fixture(scope="module")
def port() -> int:
    """Where each test's server listens."""
    return lasting_port()


@pytest.fixture(scope="module")
def upstreams(port: int) -> dict[str, Upstream]:
    """One server."""
    return {"raw": Upstream((f"http://127.0.0.1:{port}",), path="/")}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the configurations are."""
    return tmp_path_factory.mktemp("ends")


@pytest.fixture(scope="module")
def proxy(
    directory: Path, upstreams: dict[str, Upstream], authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    """A proxy with its own limits."""
    with site(
        directory, authority, localhost, upstreams, "[limits]\nwebsocket_message_bytes = 200_000_000\n"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(
    directory: Path, upstreams: dict[str, Upstream], authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    """A proxy that does not wait for long, and takes small messages only."""
    limits = 'websocket_idle_timeout = "1s"\nwebsocket_close_timeout = "300ms"\nwebsocket_message_bytes = 1_000'
    with site(directory, authority, localhost, upstreams, f"[limits]\n{limits}\n") as running:
        yield running


def header(size: int, *, masked: bool = False) -> bytes:
    """The header of a binary frame, and its key, if any."""
    mask = 0x80 if masked else 0
    is_long = size > 65_535
    length = bytes(((127 if is_long else 126) | mask,)) + size.to_bytes(8 if is_long else 2, "big")
    return bytes((0x80 | BINARY,)) + length + (MASK if masked else b"")


def close_frame(code: int, *, masked: bool = False) -> bytes:
    """A close frame."""
    payload = code.to_bytes(2, "big")
    if masked:
        return b"\x88\x82" + MASK + bytes(octet ^ key for octet, key in zip(payload, MASK, strict=False))
    return b"\x88\x02" + payload


def switched(peer: Peer) -> None:
    """Take the handshake."""
    assert f"Sec-WebSocket-Key: {KEY}".encode() in peer.read_head()
    lines = [b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + ACCEPT]
    peer.send(b"\r\n".join([b"HTTP/1.1 101 Switching Protocols", *lines, b"", b""]))


def opened(proxy: Site, path: str = "/") -> Client:
    """Open a WebSocket."""
    client = proxy.connect()
    lines = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
    client.send(request(*lines, start=f"GET {path} HTTP/1.1"))
    assert client.read_response().status == 101
    return client


def read(client: Client) -> bytes:
    """Read something, which must come."""
    data = client.read()
    assert data, client.end
    return data


def frames_of(data: bytes, *, masked: bool = False) -> list[Frame]:
    """The frames in what was received."""
    reader = FrameReader(is_masked=masked)
    reader.feed(data)
    return reader.frames


def code_of(frame: Frame) -> int:
    """The code of a close frame."""
    assert frame.opcode == CLOSE
    return int.from_bytes(frame.payload[:2], "big")


class TestRestart:
    """SIGTERM: clients are asked to come again, between two frames."""

    @pytest.fixture
    def ending(
        self, directory: Path, upstreams: dict[str, Upstream], authority: Authority, localhost: CertificateFiles
    ) -> Iterator[Site]:
        """A proxy that may be ended."""
        limits = 'drain_timeout = "2s"\nwebsocket_close_timeout = "2s"'
        with site(directory, authority, localhost, upstreams, f"[limits]\n{limits}\n") as running:
            yield running

    def test_large_message_under_way_arrives_whole_before_the_close_frame(self, ending: Site, port: int) -> None:
        payload = os.urandom(MIB)
        half, go_on, server_got = threading.Event(), threading.Event(), []

        def script(peer: Peer) -> None:
            switched(peer)
            whole = header(len(payload)) + payload
            peer.send(whole[: MIB // 2])
            half.set()
            assert go_on.wait(WAIT_SECONDS)
            peer.send(whole[MIB // 2 :])
            server_got.append(peer.read_to_end())

        with scripted(script, port), opened(ending) as client:
            assert half.wait(WAIT_SECONDS)
            data = b""
            while len(data) < MIB // 2:
                data += read(client)
            os.kill(ending.pid, signal.SIGTERM)
            # the time that the proxy spreads its close frames over is half of its drain timeout
            threading.Timer(1.2, go_on.set).start()
            while not (frames := frames_of(data)) or frames[-1].opcode != CLOSE:
                data += read(client)
            client.send(close_frame(1012, masked=True))
            assert client.read_to_end() == b""
            assert client.end is End.CLEAN
        assert [frame.opcode for frame in frames] == [BINARY, CLOSE]
        assert frames[0].payload == payload
        assert code_of(frames[1]) == 1012
        assert code_of(frames_of(server_got[0], masked=True)[-1]) == 1001

    def test_process_ends_when_all_are_told(self, ending: Site, port: int) -> None:
        with scripted(switching(), port), ExitStack() as connections:
            clients = [connections.enter_context(opened(ending)) for _ in range(10)]
            os.kill(ending.pid, signal.SIGTERM)
            for client in clients:
                data = b""
                while not frames_of(data):
                    data += read(client)
                assert code_of(frames_of(data)[0]) == 1012
                client.send(close_frame(1012, masked=True))
                client.read_to_end()
                assert client.end is End.CLEAN
            ending.program.wait_for(lambda output: [line for line in output if '"event": "stopped"' in line] or None)


def switching(gone: threading.Event | None = None, answer: bytes = b"") -> Script:
    """Take the handshake, then listen until the end."""

    def script(peer: Peer) -> None:
        switched(peer)
        peer.send(answer)
        peer.read_to_end()
        if gone is not None:
            gone.set()

    return script


class TestSilence:
    """`websocket_idle_timeout`, and an hour by default."""

    def test_silent_connection_is_closed_with_a_reason(self, hasty: Site, port: int) -> None:
        with scripted(switching(), port), opened(hasty, "/silent") as client:
            (frame,) = frames_of(client.read())
            assert code_of(frame) == 1001
            client.send(close_frame(1001, masked=True))
            assert client.await_end() is End.CLEAN
        assert "idle" in hasty.record("/silent")["error"]

    def test_silent_client_does_not_delay_the_end(self, hasty: Site, port: int) -> None:
        with scripted(switching(), port), opened(hasty, "/deaf") as client:
            assert code_of(frames_of(client.read())[0]) == 1001
            assert client.await_end() is End.CLEAN

    def test_pings_keep_it_alive(self, hasty: Site, port: int) -> None:
        pause = threading.Event()
        with scripted(switching(), port), opened(hasty, "/pings") as client:
            for _ in range(4):
                pause.wait(0.4)  # never set: 1.6 s in all
                client.send(b"\x89\x80" + MASK)
            client.send(close_frame(1000, masked=True))
            assert code_of(frames_of(client.read())[0]) == 1001  # this server does not answer, so the proxy ends it

    def test_hour_is_the_default(self) -> None:
        assert LimitsConfig().websocket_idle_seconds == 3_600


class TestClosed:
    """Close frames have passed: whatever TCP does then is not a failure."""

    @pytest.mark.parametrize("leave", [Peer.reset, Peer.end], ids=["reset", "end"])
    def test_client_has_its_time_to_answer_a_server_that_has_gone(
        self, proxy: Site, port: int, leave: Callable[[Peer], None]
    ) -> None:
        left, answered = threading.Event(), threading.Event()

        def script(peer: Peer) -> None:
            switched(peer)
            peer.send(close_frame(4_000))
            assert peer.read_some() != b"never"
            leave(peer)
            left.set()
            answered.wait(WAIT_SECONDS)

        path = f"/kicked-{leave.__name__}"
        with scripted(script, port), opened(proxy, path) as client:
            assert code_of(frames_of(read(client))[0]) == 4_000
            client.send(b"\x89\x80" + MASK)  # a ping: it was on its way when the close frame came
            assert left.wait(WAIT_SECONDS)
            client.send(close_frame(4_000, masked=True))
            assert client.await_end() is End.CLEAN
            answered.set()
        assert "error" not in proxy.record(path)

    def test_client_that_ends_with_its_close_frame_gets_that_of_its_server(self, proxy: Site, port: int) -> None:
        has_read = threading.Event()

        def script(peer: Peer) -> None:
            switched(peer)
            assert code_of(frames_of(peer.read_some(), masked=True)[0]) == 4_001
            assert has_read.wait(WAIT_SECONDS)
            peer.send(close_frame(4_001))
            peer.read_to_end()

        with scripted(script, port), opened(proxy, "/leaves") as client:
            client.send(close_frame(4_001, masked=True))
            client.shut_down(says_so=True)
            has_read.set()
            assert [code_of(frame) for frame in frames_of(client.read_to_end())] == [4_001]
            assert client.end is End.CLEAN
        assert "error" not in proxy.record("/leaves")


class TestGone:
    """One side vanishes: the other one learns of it."""

    def test_client_that_is_reset_frees_the_server(self, proxy: Site, port: int) -> None:
        gone = threading.Event()
        with scripted(switching(gone), port):
            opened(proxy, "/reset").reset()
            assert gone.wait(WAIT_SECONDS)
        assert "client was lost" in proxy.record("/reset")["error"]

    @pytest.mark.parametrize("says_so", [True, False])
    def test_client_that_ends_without_a_close_frame_frees_the_server(
        self, proxy: Site, port: int, *, says_so: bool
    ) -> None:
        gone = threading.Event()
        with scripted(switching(gone), port), opened(proxy, f"/ended-{says_so}") as client:
            client.shut_down(says_so=says_so)
            assert gone.wait(WAIT_SECONDS)
        assert "without a close frame" in proxy.record(f"/ended-{says_so}")["error"]

    @pytest.mark.parametrize("leave", [Peer.reset, Peer.close], ids=["reset", "end"])
    def test_server_that_is_gone_ends_the_client(self, proxy: Site, port: int, leave: Callable[[Peer], None]) -> None:
        def script(peer: Peer) -> None:
            switched(peer)
            peer.send(header(100) + bytes(50))
            leave(peer)

        with scripted(script, port), opened(proxy) as client:
            assert frames_of(client.read_to_end()) == []  # half of a frame, and no close frame: an abnormal closure
            assert client.end is not None

    def test_half_open_peers_are_found_by_the_kernel(self, proxy: Site, port: int) -> None:
        with scripted(switching(), port) as server, opened(proxy) as client:
            ports = {client.sock.getpeername()[1], server.peers[-1].sock.getpeername()[1]}
            pause, timers = threading.Event(), [""]
            for _ in range(50):
                shown = subprocess.run(["ss", "-tnoHp"], capture_output=True, text=True, check=True, timeout=10).stdout
                lines = [line for line in shown.splitlines() if f"pid={proxy.worker_pids[0]}," in line]
                ours = [line for line in lines if int(line.split()[3].rpartition(":")[2]) in ports]
                timers = [line.partition("timer:(")[2].partition(",")[0] for line in ours]
                if "on" not in timers:
                    break
                pause.wait(0.02)  # never set: a segment is still to be acknowledged
            assert timers == ["keepalive"] * 2


class TestTooMuch:
    """Limits on messages."""

    def test_message_over_the_limit_is_told_its_code(self, hasty: Site, port: int) -> None:
        gone = threading.Event()
        with scripted(switching(gone), port), opened(hasty, "/big") as client:
            client.send(header(1_000, masked=True) + bytes(1_000) + header(1_001, masked=True))
            assert code_of(frames_of(client.read())[0]) == 1009
            assert client.await_end() is End.CLEAN
            assert gone.wait(WAIT_SECONDS)

    def test_frame_that_is_not_masked_is_told_its_code(self, hasty: Site, port: int) -> None:
        with scripted(switching(), port), opened(hasty, "/unmasked") as client:
            client.send(b"\x81\x02hi")
            assert code_of(frames_of(client.read())[0]) == 1002
            assert client.await_end() is End.CLEAN


class TestSlowReaders:
    """Back-pressure, not memory."""

    SIZE = 100 * MIB
    ALLOWED_BYTES = 1 * MIB

    def test_slow_client(self, proxy: Site, port: int) -> None:
        sent, is_done = [0], threading.Event()

        def script(peer: Peer) -> None:
            switched(peer)
            peer.send(header(self.SIZE))
            while sent[0] < self.SIZE:
                peer.send(bytes(65_536))
                sent[0] += 65_536
            is_done.set()
            peer.send(close_frame(1000))
            peer.read_to_end()

        with scripted(script, port), opened(proxy) as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            proxy.forget_peak()
            before = proxy.resident_bytes
            assert standstill(sent, is_done) < self.SIZE
            got = 0
            while got < self.SIZE:
                got += len(read(client))
            assert proxy.peak_bytes - before < self.ALLOWED_BYTES

    def test_slow_server(self, proxy: Site, port: int) -> None:
        sent, is_done, go_on, has_all = [0], threading.Event(), threading.Event(), threading.Event()
        got = [0]

        def script(peer: Peer) -> None:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            switched(peer)
            assert go_on.wait(30)
            while got[0] < self.SIZE:
                piece = peer.read_some()
                assert piece
                got[0] += len(piece)
            has_all.set()
            peer.read_to_end()

        def send() -> None:
            client.send(header(self.SIZE, masked=True))
            while sent[0] < self.SIZE:
                client.send(bytes(65_536))
                sent[0] += 65_536
            is_done.set()

        with scripted(script, port), opened(proxy) as client:
            proxy.forget_peak()
            before = proxy.resident_bytes
            sender = threading.Thread(target=send)
            sender.start()
            assert standstill(sent, is_done) < self.SIZE
            go_on.set()
            sender.join(30)
            client.send(close_frame(1000, masked=True))
            client.shut_down()
            client.read_to_end()
            assert has_all.wait(30)
            assert proxy.peak_bytes - before < self.ALLOWED_BYTES


def standstill(sent: list[int], is_done: threading.Event) -> int:
    """Wait until the sender gets nothing more off; returns how much it did."""
    before = -1
    while before != sent[0] and not is_done.is_set():
        before = sent[0]
        is_done.wait(0.25)
    return sent[0]

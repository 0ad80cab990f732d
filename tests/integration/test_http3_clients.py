"""HTTP/3 as ngtcp2's own client speaks it, with GnuTLS, and qh3, with AWS-LC."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qh3 import H3Connection, QuicConfiguration, QuicConnection, h3_events

from proxy.quic.availability import unavailable
from tests.integration.test_http3_network import served
from tests.soak.scenes import Scene
from tests.waiting import until_found

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

BODY = bytes(range(256)) * 5_000
LARGE = 1_000_000
_WINDOW_BYTES = 65_536
_SECONDS = 30
_SUITES = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with served(tmp_path_factory.mktemp("clients")) as running:
        yield running


def lines(running: Scene, path: str, count: int = 1) -> list[dict[str, Any]]:
    """Those of the access log for a path, when there are as many."""

    def found() -> list[dict[str, Any]]:
        entries = running.requests(path)
        return entries if len(entries) >= count else []

    return until_found(found)


# -- ngtcp2


def ngtcp2(running: Scene, path: str, *arguments: str) -> str:
    """What its client tells of a request, or of several for one path."""
    command = ["gtlsclient", "--exit-on-all-streams-close", "--no-quic-dump", "--no-http-dump", *arguments]
    command += ["127.0.0.1", str(running.port), f"https://localhost:{running.port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_ngtcp2_gets_and_sends_more_than_the_windows(running: Scene, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(BODY)
    windows = (f"--max-data={2 * _WINDOW_BYTES}", f"--max-stream-data-bidi-local={_WINDOW_BYTES}")
    to = f"--download={tmp_path}"
    ngtcp2(running, f"/large/{LARGE}", "--quiet", to, *windows)
    assert (tmp_path / str(LARGE)).stat().st_size == LARGE
    ngtcp2(running, "/up", "--quiet", to, "--http-method=POST", f"--data={body}")
    assert (tmp_path / "up").read_bytes().split()[:2] == [b"/up", b"%d" % len(BODY)]


@pytest.mark.parametrize("suite", ["AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"])
def test_ngtcp2_changes_its_keys_and_its_address_with_each_cipher_suite(running: Scene, suite: str) -> None:
    """Before its request. It takes another connection ID, and validates the new path (RFC 9000 section 9)."""
    changes = ("--key-update=1ms", "--change-local-addr=2ms", "--delay-stream=10ms")
    told = ngtcp2(running, "/large/100000", f"--ciphers={_SUITES}{suite}", *changes)
    for each in (
        f"Negotiated cipher suite is {suite}",
        "key update confirmed",
        "path has been validated",
        "[:status: 200]",
    ):
        assert each in told


def test_ngtcp2_goes_on_with_the_version_that_it_is_told(running: Scene) -> None:
    """RFC 9000 section 6.2."""
    told = ngtcp2(running, "/version", "--version=0x1a2a3a4a", "--preferred-versions=v1")
    assert "ERR_RECV_VERSION_NEGOTIATION" in told
    assert "[:status: 200]" in told


def test_ngtcp2_has_many_streams(running: Scene) -> None:
    """More than may be open at once."""
    ngtcp2(running, "/many", "--quiet", "--nstreams=1000")
    assert [line["status"] for line in lines(running, "/many", 1_000)] == [200] * 1_000


def test_ngtcp2_resumes_and_its_early_data_is_refused(running: Scene, tmp_path: Path) -> None:
    kept = [f"--{what}-file={tmp_path / what}" for what in ("session", "tp", "token")]
    ngtcp2(running, "/first", *kept, "--wait-for-ticket")
    told = ngtcp2(running, "/second", *kept)
    assert "Early data was rejected by server" in told
    assert "[:status: 200]" in told
    assert [line["resumed"] for line in (*lines(running, "/first"), *lines(running, "/second"))] == [False, True]


# -- qh3


class Qh3Client:
    """One connection. Use as a context manager."""

    def __init__(self, running: Scene) -> None:
        self._server = ("127.0.0.1", running.port)
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        settings = QuicConfiguration(
            alpn_protocols=["h3"],
            server_name="localhost",
            cafile=str(running.authority.path),
            max_data=2 * _WINDOW_BYTES,
            max_stream_data=_WINDOW_BYTES,
        )
        self._quic = QuicConnection(configuration=settings)
        self._quic.connect(self._server, time.monotonic())
        self._http = H3Connection(self._quic)
        self._answer = b""
        self._is_over = False

    def __enter__(self) -> "Qh3Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._quic.close()
        self._turn()
        self._socket.close()

    def ask(self, path: bytes, body: bytes = b"") -> bytes:
        """The body of an answer."""
        method = b"POST" if body else b"GET"
        head = [(b":method", method), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", path)]
        stream = self._quic.get_next_available_stream_id()
        self._http.send_headers(stream, head, end_stream=not body)
        if body:
            self._http.send_data(stream, body, end_stream=True)
        self._answer, self._is_over = b"", False
        deadline = time.monotonic() + _SECONDS
        while not self._is_over:
            assert time.monotonic() < deadline
            self._turn()
        return self._answer

    def _turn(self) -> None:
        for data, _ in self._quic.datagrams_to_send(time.monotonic()):
            self._socket.sendto(data, self._server)
        timer = self._quic.get_timer()
        assert timer is not None
        self._socket.settimeout(max(timer - time.monotonic(), 0.0005))
        try:
            self._quic.receive_datagram(self._socket.recv(65_536), self._server, time.monotonic())
        except TimeoutError:
            self._quic.handle_timer(time.monotonic())
        while (event := self._quic.next_event()) is not None:
            for one in self._http.handle_event(event):
                if isinstance(one, h3_events.DataReceived):
                    self._answer += one.data
                    self._is_over = one.stream_ended


def test_qh3_gets_and_sends_more_than_the_windows_with_a_hybrid_group(running: Scene) -> None:
    with Qh3Client(running) as client:
        assert client.ask(b"/qh3").split()[0] == b"/qh3"
        assert len(client.ask(b"/large/%d" % LARGE)) == LARGE
        assert client.ask(b"/up", BODY).split()[:2] == [b"/up", b"%d" % len(BODY)]
    (line,) = lines(running, "/qh3")
    assert (line["protocol"], line["group"], line["outcome"]) == ("h3", "X25519MLKEM768", "hybrid")

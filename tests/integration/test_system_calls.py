"""What the proxy asks of the kernel for a request and for a handshake: exactly these calls.

A call more is a regression that no clock shows. A call that is gone for good leaves its table here.
"""

import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded

from tests.certificates import Authority, CertificateFiles
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.system_calls import count, each, traced, wait_for_closed
from tests.integration.upstreams import OK, Peer, scripted

OPERATIONS = 5

# The client's request, ours to the server, its answer, ours to the client; each is waited for once.
REQUEST = {"epoll_wait": 2, "recvfrom": 2, "sendto": 2}

# A connection that asks for one answer, and that we close behind it.
CONNECTION = {
    # the length of the queue, one connection; CPython looks whether it is one, and cannot have
    # accept4 make it non-blocking
    "getsockopt": 1,
    "accept4": 1,
    "getsockname": 1,
    "ioctl": 1,
    # the ClientHello, Finished with the request, the answer, the client's FIN
    "epoll_wait": 4,
    "recvfrom": 4,
    # our flight, the request, tickets with the answer and our close_notify
    "sendto": 3,
    # the end: our FIN, then we wait for the client's (RFC 9112 section 9.6)
    "shutdown": 1,
    "epoll_ctl": 2,
    "close": 1,
}
# OpenSSL looks at each of its random numbers whether it is in a new process.
FULL = {**CONNECTION, "getpid": 10}
RESUMED = {**CONNECTION, "getpid": 6}


def answer_all(peer: Peer) -> None:
    """Answer each request at once."""
    for _ in peer.requests():
        peer.send(OK)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, localhost: CertificateFiles
) -> Iterator[Site]:
    """A proxy with one worker, which has a connection to its upstream."""
    directory = tmp_path_factory.mktemp("system-calls")
    with (
        scripted(answer_all) as server,
        site(directory, authority, localhost, {"chat": Upstream((server.url,), path="/")}) as proxy,
    ):
        for _ in range(3):
            Visitor(proxy).visit()
        yield proxy


@dataclass
class Visitor:
    """A client that sends each flight in one piece, so that the proxy reads it at once."""

    site: Site
    session: ssl.SSLSession | None = None

    def __post_init__(self) -> None:
        """Trust the authority."""
        self.context = ssl.create_default_context(cafile=str(self.site.ca))

    def again(self) -> "Visitor":
        """The same client, which resumes its session."""
        returning = Visitor(self.site, self.tls.session)
        returning.context = self.context
        return returning

    def connect(self, first: bytes) -> None:
        """Shake hands, and send the first request with our Finished."""
        self.sock = socket.create_connection(("127.0.0.1", self.site.port()), 10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = self.context.wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost", session=self.session
        )
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._exchange()
        self.send(first)

    def send(self, data: bytes) -> None:
        """Send it in one piece."""
        self.tls.write(data)
        self.sock.sendall(self.outgoing.read())

    def receive(self) -> bytes:
        """Read what comes next."""
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                return self.tls.read(65_536)
            self._exchange()

    def _exchange(self) -> None:
        if self.outgoing.pending:
            self.sock.sendall(self.outgoing.read())
        self.incoming.write(self.sock.recv(65_536))

    def ask(self) -> None:
        """Send another request."""
        self.send(request())

    def read(self) -> bytes:
        """Read until an answer has ended."""
        answer = b""
        while not answer.endswith(b"\r\n\r\nok"):
            answer += self.receive()
        return answer

    def visit(self) -> None:
        """One request on a connection that the proxy ends."""
        self.connect(request("Connection: close"))
        with self.sock:
            assert self.read().startswith(b"HTTP/1.1 200 ")
            assert self.tls.session_reused == (self.session is not None)
            while self.sock.recv(65_536):
                pass


def test_a_kept_alive_request(running: Site, tmp_path: Path) -> None:
    """Counted as what a connection with more requests needs more: only `accept4` tells its descriptor."""

    def calls(requests: int) -> Counter[str]:
        client = Visitor(running)
        with traced(running.worker_pids[0], tmp_path / f"log-{requests}") as trace:
            client.connect(request())
            with client.sock:
                client.read()
                for _ in range(requests - 1):
                    client.ask()
                    client.read()
            wait_for_closed(trace, 1)
        return trace.calls

    assert each(calls(1 + OPERATIONS) - calls(1), OPERATIONS) == REQUEST


def test_a_stream(running: Site, tmp_path: Path) -> None:
    """One after the other, counted as above: no more calls than for HTTP/1.1."""

    def calls(requests: int) -> Counter[str]:
        client, h2 = Visitor(running), H2Connection(H2Configuration())
        client.context.set_alpn_protocols(["h2"])
        h2.initiate_connection()

        def asked(stream: int) -> bytes:
            fields = {":method": "GET", ":scheme": "https", ":authority": "localhost", ":path": "/"}
            h2.send_headers(stream, list(fields.items()), end_stream=True)
            return h2.data_to_send()  # with what the last answer asked for

        def read() -> None:
            while not any(isinstance(event, StreamEnded) for event in h2.receive_data(client.receive())):
                pass

        with traced(running.worker_pids[0], tmp_path / f"log-{requests}") as trace:
            client.connect(asked(1))
            with client.sock:
                read()
                for number in range(1, requests):
                    client.send(asked(2 * number + 1))
                    read()
            wait_for_closed(trace, 1)
        return trace.calls

    assert each(calls(1 + OPERATIONS) - calls(1), OPERATIONS) == REQUEST


@pytest.mark.parametrize(("is_resumed", "expected"), [(False, FULL), (True, RESUMED)], ids=["full", "resumed"])
def test_a_handshake_with_one_request(
    running: Site,
    tmp_path: Path,
    is_resumed: bool,  # noqa: FBT001 - a parameter
    expected: dict[str, int],
) -> None:
    known = Visitor(running)
    known.visit()
    with traced(running.worker_pids[0], tmp_path / "log") as trace:
        for number in range(OPERATIONS):
            visitor = known.again() if is_resumed else Visitor(running)
            visitor.visit()
            wait_for_closed(trace, number + 1)  # else its end and the next beginning may be reported at once
    assert each(trace.calls, OPERATIONS) == expected


def test_only_what_is_for_connections_is_counted() -> None:
    log = """
accept4(17, {sa_family=AF_INET}, [16], SOCK_CLOEXEC) = 19
getsockname(19, {sa_family=AF_INET}, [128 => 16]) = 0
epoll_ctl(13, EPOLL_CTL_ADD, 19, {events=EPOLLIN, data=0x7fffffff00000013}) = 0
epoll_ctl(3, EPOLL_CTL_ADD, 22, {events=EPOLLIN, data=0x7fffffff00000013}) = 0
recvmsg(22, {msg_name=0x7ffcbfceb7d0, msg_iov=[{iov_base="{ask: (Ping)}"..., iov_len=262144}], 0) = 27
recvfrom(20, "HTTP/1.1 200 OK\\r\\n"..., 65536, 0, NULL, NULL) = 1278
futex(0x7f8420b588c0, FUTEX_WAKE_PRIVATE, 1) = 1
getpid()                                = 27822
epoll_pwait(3,  <detached ...>
"""
    assert count(log.splitlines()) == {"accept4": 1, "getsockname": 1, "epoll_ctl": 1, "recvfrom": 1, "getpid": 1}

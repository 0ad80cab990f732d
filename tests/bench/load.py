"""The load, always against a port on this machine. Raises LoadError when a server misbehaves."""

import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import MESSAGE, SIZES, Server

VISIT = f"GET {MESSAGE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
SECONDS = 10.0  # for any one answer
MANY = 32  # handshakes in flight at the same time, as in a storm


class LoadError(Exception):
    """A server did not do the job it is measured at."""

    def __init__(self, server: Server, found: str) -> None:
        super().__init__(server, found)
        self.server = server
        self.found = found

    def __str__(self) -> str:
        return f"{self.server.name}: {self.found}"


def handshakes(
    server: Server,
    count: int,
    authority: Path,
    *,
    at_once: int = 1,
    request: bytes = b"",
    names: Sequence[str] = ("localhost",),
) -> int:
    """Full handshakes, none resumed, each on its own connection that both sides close.

    A server for which many wait `at_once` takes their steps in a row, and so pays less for each. A `request` goes out behind each,
    after whose answer the server closes. The names are asked for in turn. Answers how many: `count` rounded up to whole batches.
    """
    context = client_context(authority)
    done = 0
    while done < count:
        _batch(server, context, request, [(names[(done + one) % len(names)], None) for one in range(at_once)])
        done += at_once
    return done


@dataclass(frozen=True, slots=True)
class Resumptions:
    """Clients that have been there before, and come one at a time: each has the ticket of its last visit."""

    server: Server
    context: ssl.SSLContext
    request: bytes
    sessions: list[ssl.SSLSession]

    @classmethod
    def of(cls, server: Server, authority: Path, request: bytes) -> "Resumptions":
        """Visit once, for a ticket each. The server closes after its answer to `request`."""
        context = client_context(authority)
        first = _batch(server, context, request, [("localhost", None)] * MANY)
        return cls(server, context, request, [_session(server, one) for one in first])

    def visit(self, count: int) -> int:
        """Resume, ask, and close; a ticket is used once, as browsers do. Answers how many."""
        for place in range(count):
            session = self.sessions[place % MANY]
            (one,) = _batch(self.server, self.context, self.request, [("localhost", session)])
            if not one.session_reused:
                raise LoadError(self.server, "did not take up a session by its ticket")
            self.sessions[place % MANY] = _session(self.server, one)
        return count


def _session(server: Server, tls: ssl.SSLObject) -> ssl.SSLSession:
    if tls.session is None or not tls.session.has_ticket:
        raise LoadError(server, "gave no ticket with its answer")
    return tls.session


def _batch(
    server: Server, context: ssl.SSLContext, request: bytes, visits: Sequence[tuple[str, ssl.SSLSession | None]]
) -> list[ssl.SSLObject]:
    """Visits at the same time: the names that they ask for, and what they resume. Answers their ended TLS connections."""
    with ExitStack() as stack:
        clients = [_Handshake(stack.enter_context(_tcp(server)), context, *visit) for visit in visits]
        for client in clients:
            client.send_hello()
        for client in clients:
            client.finish(request)
        for client in clients:
            answer = client.read_to_end()
            if request and not answer.startswith(b"HTTP/1.1 200 "):
                raise LoadError(server, f"answered {answer[:60]!r}")
        return [client.tls for client in clients]


class _Handshake:
    """A TLS client that can be left waiting between its steps."""

    def __init__(
        self, connection: socket.socket, context: ssl.SSLContext, name: str, session: ssl.SSLSession | None
    ) -> None:
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)

    def send_hello(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self._connection.sendall(self._outgoing.read())

    def finish(self, request: bytes) -> None:
        """Read the server's flight, answer it, and ask, or say goodbye at once."""
        while True:
            data = self._connection.recv(65_536)
            if not data:
                raise ConnectionError("the server ended a handshake")
            self._incoming.write(data)
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                continue
            break
        if request:
            self.tls.write(request)
            self._connection.sendall(self._outgoing.read())
            return
        with suppress(ssl.SSLWantReadError):  # it waits for the server's goodbye
            self.tls.unwrap()
        self._connection.sendall(self._outgoing.read())
        self._connection.shutdown(socket.SHUT_WR)

    def read_to_end(self) -> bytes:
        """Read until the server closes; answers the first of what it sent."""
        while data := self._connection.recv(65_536):
            self._incoming.write(data)
        with suppress(ssl.SSLError):  # a goodbye of its own, when ours came first
            return self.tls.read(16_384)
        return b""


@dataclass(frozen=True, slots=True)
class Handshakes:
    """What many clients came to, and their time of the processor."""

    finished: int
    failed: int
    cpu_seconds: float


def handshakes_at_once(server: Server, program: Path, *, clients: int, seconds: int) -> Handshakes:
    """Full handshakes by so many clients at one time, each one after the other."""
    before = os.times()
    words = [str(program), str(server.port), str(clients), str(seconds)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + SECONDS, check=False)
    after = os.times()
    if done.returncode or done.stdout.startswith("0 "):
        raise LoadError(server, f"the clients say {done.stderr or done.stdout}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    finished, failed = map(int, done.stdout.split())
    return Handshakes(finished, failed, cpu)


@contextmanager
def idle_connections(server: Server, count: int, path: str, authority: Path) -> Iterator[None]:
    """Connections that got one answer each and stay open until the block ends."""
    context = client_context(authority)
    with ExitStack() as stack:
        for _ in range(count):
            fetch(server, stack.enter_context(connection(server, context)), path)
        yield


def fetch(server: Server, client: ssl.SSLSocket, path: str) -> None:
    """Ask for a file of the backend, and read it whole."""
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
    received = bytearray()
    while (end := received.find(b"\r\n\r\n")) < 0 or len(received) < end + 4 + SIZES[path]:
        data = client.recv(65_536)
        if not data:
            raise LoadError(server, f"ended the connection in the middle of {path}")
        received += data
    if not received.startswith(b"HTTP/1.1 200 "):
        raise LoadError(server, f"answered {received[:60]!r}")


def negotiated_group(server: Server, authority: Path) -> str:
    """The group that OpenSSL's own client gets with its defaults."""
    command = ["openssl", "s_client", "-brief", "-CAfile", str(authority), "-verify_return_error"]
    command += ["-connect", f"127.0.0.1:{server.port}", "-servername", "localhost"]
    run = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    group = re.search(r"Negotiated TLS1\.3 group: (\S+)", run.stdout + run.stderr)
    if group is None:
        raise LoadError(server, f"no TLS 1.3 handshake:\n{run.stderr}")
    return group[1]


def client_context(authority: Path) -> ssl.SSLContext:
    """For clients that verify the server."""
    context = ssl.create_default_context(cafile=str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


@contextmanager
def connection(server: Server, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """A TLS connection."""
    with _tcp(server) as plain, context.wrap_socket(plain, server_hostname="localhost") as client:
        yield client


def _tcp(server: Server) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a goodbye waits 40 ms for a delayed ACK
    return client

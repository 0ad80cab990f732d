"""The load: bounded in count or time, always against a port on this machine. Raises LoadError when a server misbehaves."""

import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import SIZES, SMALL, Server

SECONDS = 10.0  # for any one answer
BATCH = 32  # handshakes under way at the same time
_SCRIPT = Path(__file__).with_name("browser.lua")
_CLIENTS = Path(__file__).with_name("handshakes.c")


class LoadError(Exception):
    """A server did not do the job it is measured at."""

    def __init__(self, server: Server, found: str) -> None:
        super().__init__(server, found)
        self.server = server
        self.found = found

    def __str__(self) -> str:
        return f"{self.server.name}: {self.found}"


def requests(server: Server, *, seconds: int, connections: int = 64) -> int:
    """Browser-like requests on keep-alive connections for some seconds; answers how many."""
    url = f"https://localhost:{server.port}{SMALL}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT), url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + SECONDS).stdout
    done = re.search(r"(\d+) requests in", printed)
    if done is None or "Non-2xx" in printed or "Socket errors" in printed:
        raise LoadError(server, f"wrk says\n{printed}")
    return int(done[1])


def handshakes(server: Server, count: int, authority: Path, *, request: bytes = b"", is_resumed: bool = False) -> int:
    """Full handshakes, or resumed ones, each on its own connection that both sides close; many at a time, as in a busy hour.

    A `request` goes out behind each, after whose answer the server closes. Answers how many: `count` rounded up to whole batches.
    """
    context = _context(authority)
    session = _session(server, context) if is_resumed else None
    done = 0
    while done < count:
        with ExitStack() as stack:
            clients = [_Handshake(stack.enter_context(_tcp(server)), context, session) for _ in range(BATCH)]
            for client in clients:
                client.send_hello()
            for client in clients:
                client.finish(request)
            for client in clients:
                client.read_to_end()
            if any(client.is_resumed != is_resumed for client in clients):
                raise LoadError(server, "resumed a handshake that should be full, or did not resume")
        done += BATCH
    return done


def build_clients(directory: Path) -> Path:
    """Compile the clients of `handshakes_at_once`. Fails aloud where a tool is missing."""
    program = directory / "handshakes"
    flags = ["-Wall", "-Wextra", "-Werror", "-O2", "-pthread", "-o", str(program)]
    # by their whole names: the short ones are of a package with headers
    libraries = ["-l:libssl.so.3", "-l:libcrypto.so.3"]
    done = subprocess.run(["gcc", *flags, str(_CLIENTS), *libraries], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"the clients cannot be built (apt-get install gcc libc6-dev libssl3t64): {done.stderr}"
    )
    return program


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


class _Handshake:
    """A TLS client that can be left waiting between its steps."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, session: ssl.SSLSession | None) -> None:
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost", session=session)

    @property
    def is_resumed(self) -> bool:
        return bool(self._tls.session_reused)

    def send_hello(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        self._connection.sendall(self._outgoing.read())

    def finish(self, request: bytes) -> None:
        """Read the server's flight, answer it, and ask, or say goodbye at once."""
        while True:
            data = self._connection.recv(65_536)
            if not data:
                raise ConnectionError("the server ended a handshake")
            self._incoming.write(data)
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                continue
            break
        if request:
            self._tls.write(request)
            self._connection.sendall(self._outgoing.read())
            return
        with suppress(ssl.SSLWantReadError):  # it waits for the server's goodbye
            self._tls.unwrap()
        self._connection.sendall(self._outgoing.read())
        self._connection.shutdown(socket.SHUT_WR)

    def read_to_end(self) -> None:
        while self._connection.recv(65_536):
            pass


@contextmanager
def idle_connections(server: Server, count: int, path: str, authority: Path) -> Iterator[None]:
    """Connections that got one answer each and stay open until the block ends."""
    context = _context(authority)
    with ExitStack() as stack:
        for _ in range(count):
            _fetch(server, stack.enter_context(_connection(server, context)), path)
        yield


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


def _session(server: Server, context: ssl.SSLContext) -> ssl.SSLSession:
    """What a connection with one answer was given to resume by."""
    with _connection(server, context) as connection:
        _fetch(server, connection, SMALL)
        session = connection.session
    if session is None or not session.has_ticket:
        raise LoadError(server, "gave no ticket")
    return session


def _context(authority: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


@contextmanager
def _connection(server: Server, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with _tcp(server) as plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
        yield connection


def _tcp(server: Server) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a goodbye waits 40 ms for a delayed ACK
    return connection


def _fetch(server: Server, connection: ssl.SSLSocket, path: str) -> None:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
    received = bytearray()
    while (end := received.find(b"\r\n\r\n")) < 0 or len(received) < end + 4 + SIZES[path]:
        data = connection.recv(65_536)
        if not data:
            raise LoadError(server, f"ended the connection in the middle of {path}")
        received += data
    if not received.startswith(b"HTTP/1.1 200 "):
        raise LoadError(server, f"answered {received[:60]!r}")

"""100 MB on one connection that stays open, down or up."""

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import LoadError, client_context, connection
from tests.bench.servers import LARGE, LARGE_SINK, SIZES, Server

BYTES = SIZES[LARGE]
MEGABYTES = BYTES // 1_000_000
_PIECE = b"x" * 1_000_000


@dataclass(frozen=True, slots=True)
class Bulk:
    """A connection, for one transfer after the other."""

    server: Server
    client: ssl.SSLSocket

    def down(self) -> int:
        """Fetch the file; answers its megabytes."""
        self.client.sendall(f"GET {LARGE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        received = len(self._head()[1])
        buffer = bytearray(262_144)
        while received < BYTES:
            count = self.client.recv_into(buffer)
            if count == 0:
                raise LoadError(self.server, f"ended the connection in the middle of {LARGE}")
            received += count
        return MEGABYTES

    def up(self) -> int:
        """Send as much, and read that it came; answers its megabytes."""
        self.client.sendall(
            f"POST {LARGE_SINK} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BYTES}\r\n\r\n".encode()
        )
        for _ in range(MEGABYTES):
            self.client.sendall(_PIECE)
        head, body = self._head()
        while len(body) < int(re.findall(rb"content-length: *(\d+)", head.lower())[0]):
            body += self.client.recv(65_536)
        if json.loads(body) != {"octets": BYTES}:
            raise LoadError(self.server, f"the upstream got {body!r}")
        return MEGABYTES

    def _head(self) -> tuple[bytes, bytes]:
        """Read the head of an answer; answers what has come behind it, too."""
        received = b""
        while b"\r\n\r\n" not in received:
            data = self.client.recv(65_536)
            if not data:
                raise LoadError(self.server, f"ended the connection after {received!r}")
            received += data
        if not received.startswith(b"HTTP/1.1 200 "):
            raise LoadError(self.server, f"answered {received[:60]!r}")
        head, _, body = received.partition(b"\r\n\r\n")
        return head, body


@contextmanager
def bulk(server: Server, authority: Path) -> Iterator[Bulk]:
    """A connection until the block ends."""
    with connection(server, client_context(authority)) as client:
        yield Bulk(server, client)

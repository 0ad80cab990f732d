"""100 MB, down or up: by curl, and on a connection that stays open by larger writes than curl makes."""

import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import LoadError, client_context, connection
from tests.bench.servers import LARGE, LARGE_SINK, SIZES, Server

BYTES = SIZES[LARGE]
MEGABYTES = BYTES // 1_000_000
_PIECE = b"x" * 1_000_000
_SECONDS = 60.0


def curl(server: Server, authority: Path, *arguments: str) -> int:
    """Fetch the file, or send one with `-T`; answers its megabytes. Raises LoadError where not all of it has arrived."""
    path = LARGE_SINK if "-T" in arguments else LARGE
    command = ["curl", "--silent", "--show-error", "--fail", "--cacert", str(authority), *arguments]
    command += ["--write-out", "%{stderr}%{size_upload} %{size_download}", f"https://localhost:{server.port}{path}"]
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode or str(BYTES) not in done.stderr.split():
        raise LoadError(server, f"curl says {done.stderr}")
    return MEGABYTES


@dataclass(frozen=True, slots=True)
class Bulk:
    """A connection, for one transfer after the other."""

    server: Server
    client: ssl.SSLSocket

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

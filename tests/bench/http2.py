"""Load over HTTP/2: requests of h2load (of nghttp2), and connections that rest after one request."""

import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded

from tests.bench.exchanges import BROWSER
from tests.bench.load import LoadError, client_context, connection
from tests.bench.servers import LARGE, MESSAGE, SIZES, Server, pinned

_RUN_SECONDS = 120.0
_SMALL = 300
# HTTP/2 has no fields about a connection (RFC 9113 8.2.2).
FIELDS = [line for line in BROWSER.lower().splitlines() if not line.startswith("connection:")]


@dataclass(frozen=True, slots=True)
class Load:
    """So many requests for one path, over new connections with so many open streams each."""

    path: str
    requests: int
    connections: int
    streams: int

    def run(self, server: Server, core: int) -> int:
        """Send them from this core; returns their number."""
        if shutil.which("h2load") is None:
            raise LoadError(server, "h2load is missing, which makes the load (apt-get install nghttp2-client)")
        command = pinned(core, "h2load", "--connect-to", f"127.0.0.1:{server.port}")
        command += ["-n", str(self.requests), "-c", str(self.connections), "-m", str(self.streams)]
        for field in FIELDS:
            command += ["-H", field]
        command += [f"https://localhost{self.path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
        if done.returncode or "Application protocol: h2\n" not in done.stdout:
            raise LoadError(server, f"h2load says {done.stderr or done.stdout}")
        if f"status codes: {self.requests} 2xx," not in done.stdout:
            raise LoadError(server, f"did not answer all: {_told(done.stdout)}")
        return self.requests


def late_beside_download(server: Server, core: int, directory: Path) -> float:
    """The 99th percentile of small answers beside a large one on the same connection, in microseconds."""
    return _late(server, core, directory, [LARGE, *[MESSAGE] * _SMALL], "2")


def late_alone(server: Server, core: int, directory: Path) -> float:
    """The same without the large one."""
    return _late(server, core, directory, [MESSAGE] * _SMALL, "1")


def _late(server: Server, core: int, directory: Path, paths: Sequence[str], streams: str) -> float:
    log, asked = directory / "h2load.log", directory / "h2load.uris"
    asked.write_text("".join(f"https://localhost{path}\n" for path in paths))
    log.unlink(missing_ok=True)
    command = pinned(core, "h2load", "--connect-to", f"127.0.0.1:{server.port}", "-c", "1", "-m", streams)
    command += ["-n", str(len(paths)), "-i", str(asked), f"--log-file={log}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
    if f"status codes: {len(paths)} 2xx," not in done.stdout:
        raise LoadError(server, f"did not answer all: {_told(done.stdout)}")
    small = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())[:_SMALL]
    return float(small[_SMALL * 99 // 100])


def _told(printed: str) -> str:
    """The lines of h2load about requests."""
    return ", ".join(re.findall(r"^(?:requests|status codes): .*", printed, re.MULTILINE))


@contextmanager
def idle_connections(server: Server, count: int, path: str, authority: Path) -> Iterator[None]:
    """Connections that got one answer each and stay open until the block ends."""
    context = client_context(authority)
    context.set_alpn_protocols(["h2"])
    with ExitStack() as stack:
        for _ in range(count):
            fetch(server, stack.enter_context(connection(server, context)), path)
        yield


def fetch(server: Server, client: ssl.SSLSocket, path: str) -> None:
    """Begin to speak HTTP/2, ask for a file of the backend, and read it whole."""
    if client.selected_alpn_protocol() != "h2":
        raise LoadError(server, f"chose {client.selected_alpn_protocol()}, not h2")
    h2 = H2Connection(H2Configuration(header_encoding=None))
    h2.initiate_connection()
    pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
    fields = [(name, value) for name, _, value in (field.partition(": ") for field in FIELDS)]
    h2.send_headers(1, pseudo + fields, end_stream=True)
    received, status, is_complete = 0, b"", False
    while not is_complete:
        client.sendall(h2.data_to_send())
        data = client.recv(65_536)
        if not data:
            raise LoadError(server, f"ended the connection in the middle of {path}")
        for event in h2.receive_data(data):
            if isinstance(event, ResponseReceived):
                status = dict(event.headers or ())[b":status"]
            elif isinstance(event, DataReceived):
                received += len(event.data or b"")
            is_complete |= isinstance(event, StreamEnded)
    client.sendall(h2.data_to_send())  # what the last frames asked for
    if (status, received) != (b"200", SIZES[path]):
        raise LoadError(server, f"answered {status!r} with {received} octets")

"""Exchanges on connections that stay open (exchanges.c): requests, and WebSocket messages that come back."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from tests.bench.load import LoadError
from tests.bench.servers import MESSAGE, PICTURE, SINK, Server

BROWSER = """\
Connection: keep-alive
sec-ch-ua-platform: "Linux"
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36
sec-ch-ua: "Chromium";v="156", "Not)A;Brand";v="24"
sec-ch-ua-mobile: ?0
Accept: application/json, text/plain, */*
Sec-Fetch-Site: same-origin
Sec-Fetch-Mode: cors
Sec-Fetch-Dest: empty
Referer: https://localhost/channels/1
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-GB,en;q=0.9,de;q=0.8
"""
"""The fields of a browser that fetches something for a page; the 13th is Host."""
POSTED_BYTES = 1_024
MESSAGE_BYTES = 200


class Kind(StrEnum):
    """What is exchanged."""

    HTTP = "http"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a client sends; the answer to it is awaited before the next."""

    name: str
    kind: Kind
    data: bytes


def request(name: str, line: str, further: str = "", body: bytes = b"", host: str = "localhost") -> Exchange:
    """A request as a browser makes it."""
    fields = f"Host: {host}\n{BROWSER}{further}".replace("\n", "\r\n")
    return Exchange(name, Kind.HTTP, f"{line} HTTP/1.1\r\n{fields}\r\n".encode() + body)


GET = request("get", f"GET {MESSAGE}")
GET_PICTURE = request("picture", f"GET {PICTURE}")
POST = request(
    "post",
    f"POST {SINK}",
    f"Content-Type: application/json\nContent-Length: {POSTED_BYTES}\nOrigin: https://localhost\n",
    b'{"text":"' + b"x" * (POSTED_BYTES - 11) + b'"}',
)
# final, binary; masked, and its length in two octets (RFC 6455 5.2)
ECHOED = Exchange(
    "message",
    Kind.WEBSOCKET,
    b"\x82\xfe" + MESSAGE_BYTES.to_bytes(2) + b"\x37\xfa\x21\x3d" + bytes(range(MESSAGE_BYTES)),
)


@dataclass(frozen=True, slots=True)
class Period:
    """What was done in it; the times of an exchange in microseconds."""

    exchanges: int
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Clients:
    """Open connections to a server, at rest between the periods."""

    server: Server
    process: "subprocess.Popen[str]"

    def run(self, seconds: float, *, in_flight: int, rate: float = 0) -> Period:
        """Exchange for some time: so many at once, or at most so many and `rate` of them in each second."""
        stdin = _pipe(self.process.stdin)
        stdin.write(f"{round(seconds * 1_000)} {in_flight} {rate}\n")
        stdin.flush()
        exchanges, p50, p99 = self.read().split()
        return Period(int(exchanges), float(p50), float(p99))

    def read(self) -> str:
        """The next line of the program. Raises LoadError with its reason when it has ended."""
        line = _pipe(self.process.stdout).readline()
        if not line:
            raise LoadError(self.server, _pipe(self.process.stderr).read().strip() or "the clients ended")
        return line.strip()


@contextmanager
def clients(server: Server, directory: Path, exchange: Exchange, connections: int) -> Iterator[Clients]:
    """So many open connections, until the block ends."""
    sent = directory / f"{exchange.name}.sent"
    sent.write_bytes(exchange.data)
    command = [str(directory / "exchanges"), str(server.port), exchange.kind.value, str(connections), str(sent)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        opened = Clients(server, process)
        try:
            assert opened.read() == "ready"
            yield opened
        finally:
            _pipe(process.stdin).close()
            process.terminate()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream

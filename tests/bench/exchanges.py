"""Exchanges on connections that stay open (exchanges.c): requests, and WebSocket messages that come back."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from tests.bench import messages
from tests.bench.load import LoadError
from tests.bench.messages import Message
from tests.bench.servers import MESSAGE, PICTURE, Server

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
MESSAGE_BYTES = 200


class Kind(StrEnum):
    """What is exchanged."""

    HTTP = "http"
    H2 = "h2"
    """Requests of HTTP/1.1, sent over HTTP/2."""
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a client sends; the answer to it is awaited before the next.

    Messages of one name follow each other on one connection or stream, others are for others.
    """

    name: str
    kind: Kind
    messages: Sequence[Message]

    @property
    def data(self) -> bytes:
        """The first message."""
        return self.messages[0].data


def request(name: str, line: str, further: str = "", body: bytes = b"", host: str = "localhost") -> Exchange:
    """A request as a browser makes it."""
    fields = f"Host: {host}\n{BROWSER}{further}".replace("\n", "\r\n")
    return Exchange(name, Kind.HTTP, [Message(name, f"{line} HTTP/1.1\r\n{fields}\r\n".encode() + body)])


GET = request("get", f"GET {MESSAGE}")
GET_PICTURE = request("picture", f"GET {PICTURE}")
# final, binary; masked, and its length in two octets (RFC 6455 5.2)
ECHOED = Exchange(
    "message",
    Kind.WEBSOCKET,
    [Message("message", b"\x82\xfe" + MESSAGE_BYTES.to_bytes(2) + b"\x37\xfa\x21\x3d" + bytes(range(MESSAGE_BYTES)))],
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

    def run(self, seconds: float, *, in_flight: int, rate: float = 0, count: int = 0) -> Period:
        """Exchange for some time: so many at once, or at most so many and `rate` of them in each second; `count` in all, if it is not 0."""
        self.begin(seconds, in_flight=in_flight, rate=rate, count=count)
        return self.end()

    def begin(self, seconds: float, *, in_flight: int, rate: float = 0, count: int = 0) -> None:
        """Do that, and do not wait."""
        stdin = _pipe(self.process.stdin)
        stdin.write(f"{round(seconds * 1_000)} {in_flight} {rate} {count}\n")
        stdin.flush()

    def end(self) -> Period:
        """Wait for the end of what has begun."""
        exchanges, p50, p99 = self.read().split()
        return Period(int(exchanges), float(p50), float(p99))

    def read(self) -> str:
        """The next line of the program. Raises LoadError with its reason when it has ended."""
        line = _pipe(self.process.stdout).readline()
        if not line:
            raise LoadError(self.server, _pipe(self.process.stderr).read().strip() or "the clients ended")
        return line.strip()


@contextmanager
def clients(
    server: Server, directory: Path, exchange: Exchange, connections: int, streams: int = 1
) -> Iterator[Clients]:
    """So many open connections, over HTTP/2 with so many streams each, until the block ends."""
    sent = directory / f"{exchange.name}.sent"
    messages.write(sent, exchange.messages)
    program, places = str(directory / "exchanges"), [str(connections), str(streams)]
    command = [program, str(server.port), exchange.kind.value, *places, str(sent)]
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

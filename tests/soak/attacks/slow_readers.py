"""Clients of many addresses that hold large answers: by windows that stay shut, or by reading too little.

`python -m tests.soak.attacks.slow_readers PORT KIND` holds them, and asks again for what is cut.
"""

import contextlib
import enum
import select
import socket
import ssl
import sys
import time
from dataclasses import dataclass
from typing import Final

from tests.hostile import http2_frames as h2
from tests.soak.attacks.attack import HELD, Allowed, Attack, addresses, bounded, held

NAME = "tests.soak.attacks.slow_readers"
_REOPENED_PER_SECOND: Final = 50
_TURN_SECONDS: Final = 0.2
_STEP_SECONDS: Final = 5.0
_RECEIVE_BYTES: Final = 4_096
_SEGMENT_BYTES: Final = 1_460
# Of two workers with the default limits: the memory for responses, and for 256 reads of servers each.
_GROWTH_BYTES: Final = 2 * (67_108_864 + 256 * 131_072)
_STREAMS: Final = range(1, 80, 2)


def _get(stream: int, path: bytes) -> bytes:
    return h2.frame(h2.HEADERS, h2.block(h2.fields(path, authority=b"localhost")), h2.WHOLE, stream)


@dataclass(frozen=True, slots=True)
class _Shape:
    """So many connections from so many addresses, what each sends first, and what it does in each turn."""

    addresses: int
    connections: int
    first: bytes
    says: bytes = b""
    reads: int = 0

    @property
    def protocol(self) -> str:
        """What it speaks."""
        return "h2" if self.first.startswith(h2.PREFACE) else "http/1.1"


def _streams(window: int) -> bytes:
    return (
        h2.HELLO + h2.settings((h2.INITIAL_WINDOW, window)) + b"".join(_get(one, b"/large/1000000") for one in _STREAMS)
    )


class Kind(enum.Enum):
    """The shapes."""

    SHUT_WINDOWS = _Shape(12, 120, _streams(0))
    DRIBBLED_WINDOWS = _Shape(12, 120, _streams(1), says=b"".join(h2.window_update(one, 1) for one in _STREAMS))
    SLOW_READERS = _Shape(60, 600, b"GET /large/8000000 HTTP/1.1\r\nHost: localhost\r\n\r\n", reads=2_000)
    DRIBBLED_READS = _Shape(60, 600, b"GET /large/8000000 HTTP/1.1\r\nHost: localhost\r\n\r\n", reads=1)


ATTACKS = tuple(
    Attack(
        f"slow readers, {kind.name.lower().replace('_', ' ')}",
        f"{kind.value.connections} connections from {kind.value.addresses} addresses",
        held(NAME, kind.name),
        Allowed(p99_seconds=2.0, growth_bytes=_GROWTH_BYTES),
        has_yardstick=kind.value.protocol != "h2",
    )
    for kind in Kind
)


class Crowd:
    """The connections of one shape."""

    def __init__(self, port: int, shape: _Shape) -> None:
        self._port = port
        self._shape = shape
        self._missing = shape.connections
        self._made = 0
        self._sources = addresses(shape.addresses)
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._context.set_alpn_protocols([shape.protocol])
        self._poll = select.poll()
        self._open: dict[int, ssl.SSLSocket] = {}

    def fill(self, most: int) -> None:
        """Open what is missing, so many at most; what is not let in is missing still."""
        for _ in range(min(most, self._missing)):
            with contextlib.suppress(OSError):
                self._begin()

    def _begin(self) -> None:
        raw = socket.socket()
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
            # one address after the other: each takes all that it may have before the next one comes
            number = self._made * len(self._sources) // self._shape.connections % len(self._sources)
            raw.bind((self._sources[number], 0))
            raw.settimeout(_STEP_SECONDS)
            raw.connect(("127.0.0.1", self._port))
            tls = self._context.wrap_socket(raw, server_hostname="localhost")
        except OSError:
            raw.close()
            raise
        tls.sendall(self._shape.first)
        tls.settimeout(0)
        self._made += 1
        self._poll.register(tls, select.POLLRDHUP)
        self._open[tls.fileno()] = tls
        self._missing -= 1

    def go_on(self) -> None:
        """Read and say what the shape has for a turn, and see who was ended."""
        for descriptor, _ in self._poll.poll(0):
            self._lose(descriptor)
        for descriptor, tls in list(self._open.items()):
            try:
                if self._shape.reads:
                    tls.recv(self._shape.reads)
                if self._shape.says:
                    tls.recv(16_384)
                    tls.send(self._shape.says)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError:
                self._lose(descriptor)

    def end(self) -> None:
        """Close all."""
        for descriptor in list(self._open):
            self._lose(descriptor)

    def _lose(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._open.pop(descriptor).close()
        self._missing += 1


def main() -> None:
    """Hold the attack until a signal ends it."""
    port, name = bounded(sys.argv[1:])
    shape = Kind[name].value
    crowd = Crowd(int(port), shape)
    crowd.fill(shape.connections)
    crowd.go_on()
    print(HELD, flush=True)  # noqa: T201 - how its starter learns that it is held
    while True:
        time.sleep(_TURN_SECONDS)
        crowd.go_on()
        crowd.fill(int(_REOPENED_PER_SECOND * _TURN_SECONDS))


if __name__ == "__main__":
    main()

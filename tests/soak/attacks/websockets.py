"""WebSockets that are opened and held: silent ones, ones that look busy, and many on few connections of HTTP/2.

`python -m tests.soak.attacks.websockets PORT COUNT ADDRESSES KIND` holds so many connections, and opens again what is ended.
"""

import contextlib
import enum
import itertools
import select
import socket
import ssl
import sys
import time

from tests.hostile import http2_frames as h2
from tests.soak.attacks.attack import HELD, Allowed, Attack, Settings, addresses, bounded, held

NAME = "tests.soak.attacks.websockets"
FEW = 256
"""Descriptors of each process: no more than one of HTTP/2 could take by itself."""
_REOPENED_PER_SECOND = 100
_TURN_SECONDS = 0.1
_SIGN_OF_LIFE_SECONDS = 2.0
_STEP_SECONDS = 5.0
_STREAMS = range(1, 257, 2)

UPGRADE = (
    b"GET /gateway HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MESSAGE = b"\x81\x82\0\0\0\0hi"
_TUNNELS = h2.HELLO + b"".join(h2.websocket(stream, b"/gateway", authority=b"localhost") for stream in _STREAMS)


class Kind(enum.Enum):
    """What a connection says when it is open, and again from time to time."""

    SILENT = (UPGRADE, b"")
    BUSY = (UPGRADE, MESSAGE)
    STREAMS = (_TUNNELS, b"")
    BUSY_STREAMS = (_TUNNELS, b"".join(h2.data(stream, MESSAGE) for stream in _STREAMS))

    @property
    def protocol(self) -> str:
        """What it chooses by ALPN."""
        return "h2" if self.value[0] is _TUNNELS else "http/1.1"


def _attack(kind: Kind, count: int, sources: int, descriptors: int) -> Attack:
    streams = f" of {len(_STREAMS)} streams" if kind.protocol == "h2" else ""
    return Attack(
        f"WebSockets, {kind.name.lower().replace('_', ' ')}, {sources} address{'es' if sources > 1 else ''}",
        f"{count} connections{streams}, {descriptors} descriptors",
        held(NAME, str(count), str(sources), kind.name),
        # each stream is a handshake of the backend too, which is a program in Python
        Allowed(p99_seconds=2.0 if streams else 1.0),
        settings=Settings(descriptors=descriptors),
    )


ATTACKS = tuple(
    _attack(kind, count, sources, descriptors)
    for descriptors in (1_024, FEW)
    for kind, count, sources in (
        (Kind.SILENT, 1_200, 60),
        (Kind.SILENT, 600, 1),
        (Kind.BUSY, 1_200, 60),
        (Kind.STREAMS, 20, 1),
        (Kind.BUSY_STREAMS, 20, 5),
    )
)


class Crowd:
    """So many connections of one kind, from these addresses in turn."""

    def __init__(self, port: int, kind: Kind, count: int, sources: int) -> None:
        self._port = port
        self._greeting, self._sign_of_life = kind.value
        self._missing = count
        self._sources = itertools.cycle(addresses(sources))
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._context.set_alpn_protocols([kind.protocol])
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
            raw.bind((next(self._sources), 0))
            raw.settimeout(_STEP_SECONDS)
            raw.connect(("127.0.0.1", self._port))
            tls = self._context.wrap_socket(raw, server_hostname="localhost")
            tls.sendall(self._greeting)
        except OSError:
            raw.close()
            raise
        tls.settimeout(0)
        self._poll.register(tls, select.POLLIN | select.POLLRDHUP)
        self._open[tls.fileno()] = tls
        self._missing -= 1

    def look(self) -> None:
        """Take what came, and see who was ended."""
        for descriptor, events in self._poll.poll(0):
            try:
                while self._open[descriptor].recv(65_536):
                    pass
            except ssl.SSLWantReadError:
                if not events & (select.POLLRDHUP | select.POLLHUP | select.POLLERR):
                    continue
            except OSError:
                pass
            self._lose(descriptor)

    def show_life(self) -> None:
        """Have all of them send a message."""
        for descriptor, tls in list(self._open.items()):
            if self._sign_of_life:
                try:
                    tls.send(self._sign_of_life)
                except ssl.SSLWantWriteError:
                    pass  # the proxy does not read
                except OSError:
                    self._lose(descriptor)

    def _lose(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._open.pop(descriptor).close()
        self._missing += 1


def main() -> None:
    """Hold the attack until a signal ends it."""
    port, count, sources, name = bounded(sys.argv[1:])
    crowd = Crowd(int(port), Kind[name], int(count), int(sources))
    for _ in range(0, int(count), _REOPENED_PER_SECOND):
        crowd.fill(_REOPENED_PER_SECOND)
        crowd.look()
    print(HELD, flush=True)  # noqa: T201 - how its starter learns that it is held
    shown = 0.0
    while True:
        time.sleep(_TURN_SECONDS)
        crowd.look()
        crowd.fill(int(_REOPENED_PER_SECOND * _TURN_SECONDS))
        if time.monotonic() > shown + _SIGN_OF_LIFE_SECONDS:
            shown = time.monotonic()
            crowd.show_life()


if __name__ == "__main__":
    main()

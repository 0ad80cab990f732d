"""Connections that never come to a ClientHello: silent ones, ones with half of it, ones that let it drip.

`python -m tests.soak.attacks.silent PORT COUNT ADDRESSES KIND` holds so many, and opens again what is closed.
"""

import contextlib
import enum
import itertools
import selectors
import socket
import ssl
import sys
import time
from collections.abc import Iterator

from tests.soak.attacks.attack import HELD, Attack, addresses, bounded, held

NAME = "tests.soak.attacks.silent"
COUNT = 2_000
# What one machine with a script does; also what leaves the processor to the others of the run.
_REOPENED_PER_SECOND = 500
_TURN_SECONDS = 0.02
_DRIP_SECONDS = 1.0


class Kind(enum.Enum):
    """What such a connection says."""

    SILENT = "silent"
    HALF = "half"
    DRIPPING = "dripping"
    """A byte a second."""


ATTACKS = tuple(
    Attack(
        f"{kind.value}, {sources} address{'es' if sources > 1 else ''}",
        f"{COUNT:,} connections that never come to a ClientHello",
        held(NAME, str(COUNT), str(sources), kind.value),
        # at one address behind which there are honest clients, too
        neighbours=tuple(addresses(1)) if sources == 1 else (),
    )
    for kind in Kind
    for sources in (1, 10, 1_000)
)


def hello() -> bytes:
    """A ClientHello as OpenSSL sends it."""
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class Crowd:
    """So many connections of one kind."""

    def __init__(self, port: int, kind: Kind, count: int, sources: Iterator[str]) -> None:
        self._port = port
        self._kind = kind
        self._sources = sources
        self._hello = hello()
        self._selector = selectors.DefaultSelector()
        self._missing = count
        self._sent: dict[socket.socket, int] = {}

    def fill(self, most: int) -> None:
        """Open what is missing, so many at most."""
        for _ in range(min(most, self._missing)):
            sock = socket.socket()
            sock.bind((next(self._sources), 0))
            sock.settimeout(5)
            try:
                sock.connect(("127.0.0.1", self._port))
            except OSError:
                sock.close()
                continue
            sock.settimeout(0)
            self._missing -= 1
            self._selector.register(sock, selectors.EVENT_READ)
            self._sent[sock] = 0
            if self._kind is Kind.HALF:
                self._say(sock, len(self._hello) // 2)

    def look(self) -> None:
        """See who was closed meanwhile."""
        for key, _ in self._selector.select(0):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            with contextlib.suppress(BlockingIOError):
                self._lose(sock)

    def _lose(self, sock: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            if sock.recv(4_096):
                return  # an alert
        self._selector.unregister(sock)
        del self._sent[sock]
        sock.close()
        self._missing += 1

    def drip(self) -> None:
        """One byte more from each, but not all of them: the last one would be the end of the hello."""
        for sock, sent in list(self._sent.items()):
            if sent < len(self._hello) - 1:
                self._say(sock, 1)

    def _say(self, sock: socket.socket, count: int) -> None:
        with contextlib.suppress(OSError):  # it is found to be closed soon
            self._sent[sock] += sock.send(self._hello[self._sent[sock] : self._sent[sock] + count])


def main() -> None:
    """Hold the attack until a signal ends it."""
    port, count, sources, kind = bounded(sys.argv[1:])
    crowd = Crowd(int(port), Kind(kind), int(count), itertools.cycle(addresses(int(sources))))
    crowd.fill(int(count))
    print(HELD, flush=True)  # noqa: T201 - how its starter learns that it is held
    dripped = time.monotonic()
    while True:
        time.sleep(_TURN_SECONDS)
        crowd.look()
        crowd.fill(int(_REOPENED_PER_SECOND * _TURN_SECONDS))
        if kind == Kind.DRIPPING.value and time.monotonic() > dripped + _DRIP_SECONDS:
            dripped = time.monotonic()
            crowd.drip()


if __name__ == "__main__":
    main()

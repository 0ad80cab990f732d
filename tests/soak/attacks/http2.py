"""Clients of HTTP/2 that flood, or that hold many streams of one connection.

`python -m tests.soak.attacks.http2 PORT COUNT KIND` holds so many connections, and opens again what is ended, 50 in a second.
"""

import contextlib
import enum
import select
import socket
import ssl
import sys
import time

from tests.hostile import http2_frames as h2
from tests.soak.attacks.attack import HELD, Allowed, Attack, bounded, held
from tests.soak.attacks.crowd import ADDRESS

NAME = "tests.soak.attacks.http2"
_REOPENED_PER_SECOND = 50
_TURN_SECONDS = 0.2
_STEP_SECONDS = 5.0
_STREAMS = range(1, 257, 2)
_FLOOD = range(1, 4_001, 2)


def _get(stream: int, path: bytes, flags: int = h2.WHOLE) -> bytes:
    return h2.frame(h2.HEADERS, h2.block(h2.fields(path, authority=b"localhost")), flags, stream)


def _post(stream: int) -> bytes:
    fields = h2.fields(b"/upload", method=b"POST", authority=b"localhost")
    return h2.frame(h2.HEADERS, h2.block(fields), h2.END_HEADERS, stream)


class Kind(enum.Enum):
    """What each connection says; how many there are."""

    RAPID_RESET = (20, h2.HELLO + b"".join(_get(one, b"/x") + h2.rst(one) for one in _FLOOD))
    PROVOKED_RESETS = (20, h2.HELLO + b"".join(_get(one, b"/x") + h2.window_update(one, 0) for one in _FLOOD))
    CONTINUATIONS = (
        20,
        h2.HELLO + _get(1, b"/x", h2.END_STREAM) + h2.frame(h2.CONTINUATION, b"\x82", 0, 1) * 5_000,
    )
    PINGS = (20, h2.HELLO + h2.ping() * 10_000)
    FIELDS = (20, h2.HELLO + b"".join(h2.frame(h2.HEADERS, b"\x82" * 16_000, h2.WHOLE, one) for one in _STREAMS))
    # as many answers as `unread_answers` leaves unread over HTTP/1.1
    SHUT_WINDOWS = (
        5,
        h2.HELLO + h2.settings((h2.INITIAL_WINDOW, 0)) + b"".join(_get(one, b"/large/200000") for one in _STREAMS),
    )
    HALF_UPLOADS = (20, h2.HELLO + b"".join(_post(one) + h2.data(one, b"x") for one in _STREAMS))
    UNSETTLED = (600, h2.HELLO)

    @property
    def count(self) -> int:
        """How many connections."""
        return self.value[0]

    @property
    def frames(self) -> bytes:
        """All that one of them sends."""
        return self.value[1]


ATTACKS = tuple(
    Attack(
        f"HTTP/2, {kind.name.lower().replace('_', ' ')}",
        f"{kind.count} connections, {len(kind.frames):,} bytes each",
        held(NAME, str(kind.count), kind.name),
        Allowed(p99_seconds=1.0),
        has_yardstick=False,
    )
    for kind in Kind
)


class Crowd:
    """So many connections of one kind, which read nothing."""

    def __init__(self, port: int, kind: Kind, count: int) -> None:
        self._port = port
        self._kind = kind
        self._missing = count
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._context.set_alpn_protocols(["h2"])
        self._poll = select.poll()
        self._open: dict[int, tuple[ssl.SSLSocket, bytes]] = {}

    def fill(self, most: int) -> None:
        """Open what is missing, so many at most; what is not let in is missing still."""
        for _ in range(min(most, self._missing)):
            with contextlib.suppress(OSError):
                self._begin()

    def _begin(self) -> None:
        raw = socket.socket()
        try:
            raw.bind((ADDRESS, 0))
            raw.settimeout(_STEP_SECONDS)
            raw.connect(("127.0.0.1", self._port))
            tls = self._context.wrap_socket(raw, server_hostname="localhost")
        except OSError:
            raw.close()
            raise
        tls.settimeout(0)
        self._poll.register(tls, select.POLLRDHUP)
        self._open[tls.fileno()] = (tls, self._kind.frames)
        self._missing -= 1

    def go_on(self) -> None:
        """Send more where it is taken, and see who was ended."""
        for descriptor, _ in self._poll.poll(0):
            self._lose(descriptor)
        for descriptor, (tls, left) in list(self._open.items()):
            try:
                while left:
                    left = left[tls.send(left[:16_384]) :]
            except ssl.SSLWantWriteError:
                pass  # the proxy does not read
            except OSError:
                self._lose(descriptor)
                continue
            self._open[descriptor] = (tls, left)

    def _lose(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._open.pop(descriptor)[0].close()
        self._missing += 1


def main() -> None:
    """Hold the attack until a signal ends it."""
    port, count, name = bounded(sys.argv[1:])
    crowd = Crowd(int(port), Kind[name], int(count))
    crowd.fill(int(count))
    crowd.go_on()
    print(HELD, flush=True)  # noqa: T201 - how its starter learns that it is held
    while True:
        time.sleep(_TURN_SECONDS)
        crowd.go_on()
        crowd.fill(int(_REOPENED_PER_SECOND * _TURN_SECONDS))


if __name__ == "__main__":
    main()

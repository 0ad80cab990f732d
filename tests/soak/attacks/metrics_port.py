"""Half-sent requests at the port for monitoring, behind which is the process that leads the workers.

`python -m tests.soak.attacks.metrics_port PORT COUNT ADDRESSES` sends so many, then as many as it can hold, and opens again what is closed.
"""

import contextlib
import itertools
import selectors
import socket
import sys
import time

from tests.soak.attacks.attack import HELD, Attack, Settings, addresses, bounded, held

NAME = "tests.soak.attacks.metrics_port"
COUNT = 20_000
SETTINGS = Settings(
    top='admin.metrics_bind = "127.0.0.1:{metrics}"\n',
    route='[upstream.backend.health]\npath = "/"\ninterval = "500ms"\nrise = 1\nfall = 1\n',
)
"""Health checks are made by the same process: it must not run out of descriptors for them."""
ATTACKS = tuple(
    Attack(
        f"metrics port, {sources} addresses",
        f"{COUNT:,} half-sent requests from {sources} addresses",
        held(NAME, str(COUNT), str(sources), port="metrics"),
        settings=SETTINGS,
        has_yardstick=False,
    )
    for sources in (1, 1_000)
)
_HALF = b"GET /metrics HTTP/1.1\r\nHost: plexigate\r\nX-Half: "
# What leaves the processor to the others of the run, and some descriptors to this one.
_AT_ONCE = 50
_MOST_HELD = 500
_TURN_SECONDS = 0.02


class Crowd:
    """Connections with half a request each."""

    def __init__(self, port: int, sources: int) -> None:
        self._port = port
        self._places = itertools.cycle(addresses(sources))
        self._selector = selectors.DefaultSelector()
        self.sent = 0

    def grow(self) -> None:
        """Open some more."""
        for _ in range(min(_AT_ONCE, _MOST_HELD - len(self._selector.get_map()))):
            sock = socket.socket()
            sock.bind((next(self._places), 0))
            sock.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", self._port))
            self._selector.register(sock, selectors.EVENT_WRITE)

    def turn(self) -> None:
        """Send to those that are connected, and close those that were closed."""
        for key, events in self._selector.select(_TURN_SECONDS):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            try:
                if events & selectors.EVENT_WRITE:
                    sock.send(_HALF)
                    self.sent += 1
                    self._selector.modify(sock, selectors.EVENT_READ)
                    continue
                sock.recv(1)
            except OSError:
                self.sent += 1
            self._selector.unregister(sock)
            sock.close()


def main() -> None:
    """Hold the attack until a signal ends it."""
    port, count, sources = bounded(sys.argv[1:])
    crowd = Crowd(int(port), int(sources))
    while crowd.sent < int(count):
        crowd.grow()
        crowd.turn()
    print(HELD, flush=True)  # noqa: T201 - how its starter learns that it is held
    while True:
        crowd.grow()
        crowd.turn()
        time.sleep(_TURN_SECONDS)


if __name__ == "__main__":
    main()

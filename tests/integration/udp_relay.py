"""A way on which datagrams get lost, as the seed says or for their size, and overtake each other."""

import random
import selectors
import socket
import threading
from typing import Self

_WAIT_SECONDS = 0.2


class Relay:
    """Between one client and a server, in a thread of its own. Use as a context manager."""

    def __init__(
        self, port: int, *, lost: float = 0.0, late: float = 0.0, most_bytes: int = 65_536, seed: int = 1
    ) -> None:
        """Of a hundred datagrams, 100 times `lost` vanish, and 100 times `late` come behind the next one. Those of more
        than `most_bytes` vanish too.
        """
        self._most_bytes = most_bytes
        self._lost = lost
        self._late = late
        self._random = random.Random(seed)  # noqa: S311 - it hides nothing
        self._server = ("127.0.0.1", port)
        self._inner = socket.socket(type=socket.SOCK_DGRAM)
        self._outer = socket.socket(type=socket.SOCK_DGRAM)
        self._outer.bind(("127.0.0.1", 0))
        self._inner.bind(("127.0.0.1", 0))
        self._client: tuple[str, int] | None = None
        self._kept: dict[socket.socket, bytes] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_open = True
        self.dropped = 0
        self.overtaken = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where the client sends to."""
        return "127.0.0.1", self._outer.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        self._thread.join()
        self._inner.close()
        self._outer.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for one in (self._inner, self._outer):
                one.settimeout(0)
                selector.register(one, selectors.EVENT_READ)
            while self._is_open:
                for key, _ in selector.select(_WAIT_SECONDS):
                    assert isinstance(key.fileobj, socket.socket)
                    self._pass_on(key.fileobj)

    def _pass_on(self, came: socket.socket) -> None:
        data, sender = came.recvfrom(65_536)
        if came is self._outer:
            self._client = sender
        drawn = self._random.random()
        if drawn < self._lost or len(data) > self._most_bytes:
            self.dropped += 1
        elif drawn < self._lost + self._late and came not in self._kept:
            self._kept[came] = data
        else:
            self._send(came, data)
            if came in self._kept:
                self.overtaken += 1
                self._send(came, self._kept.pop(came))

    def _send(self, came: socket.socket, data: bytes) -> None:
        if came is self._outer:
            self._inner.sendto(data, self._server)
        elif self._client is not None:
            self._outer.sendto(data, self._client)

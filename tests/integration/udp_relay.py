"""A way on which datagrams get lost, damaged, doubled and delayed, and overtake each other, as the seed says."""

import random
import selectors
import socket
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Self

_WAIT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Way:
    """What happens to datagrams. Of a hundred, 100 times `lost` vanish, 100 times `late` come behind the next one, and so on."""

    lost: float = 0.0
    late: float = 0.0
    twice: float = 0.0
    damaged: float = 0.0
    most_bytes: int = 65_536
    """Larger ones vanish."""
    missing: int | None = None
    """The number of one that vanishes, the first one being 0."""
    seconds: float = 0.0
    """How long each takes, in each direction."""


class Relay:
    """Between one client and a server, in a thread of its own. Use as a context manager."""

    def __init__(self, port: int, way: Way) -> None:
        self._way = way
        self._random = random.Random(1)  # noqa: S311 - it hides nothing
        self._server = ("127.0.0.1", port)
        self._inner = socket.socket(type=socket.SOCK_DGRAM)
        self._outer = socket.socket(type=socket.SOCK_DGRAM)
        self._outer.bind(("127.0.0.1", 0))
        self._inner.bind(("127.0.0.1", 0))
        self._client: tuple[str, int] | None = None
        self._kept: dict[socket.socket, bytes] = {}
        self._travelling: deque[tuple[float, socket.socket, bytes]] = deque()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_open = True
        self.came = 0
        self.happened = Counter[str]()
        """How many were what `Way` says."""

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
                for key, _ in selector.select(self._wait()):
                    assert isinstance(key.fileobj, socket.socket)
                    self._pass_on(key.fileobj)
                while self._travelling and self._travelling[0][0] <= time.monotonic():
                    self._arrive(*self._travelling.popleft()[1:])

    def _wait(self) -> float:
        return max(0.0, self._travelling[0][0] - time.monotonic()) if self._travelling else _WAIT_SECONDS

    def _pass_on(self, came: socket.socket) -> None:
        data, sender = came.recvfrom(65_536)
        if came is self._outer:
            self._client = sender
        what = self._fate(data)
        self.came += 1
        self.happened[what] += 1
        if what == "late" and came not in self._kept:
            self._kept[came] = data
        elif what != "lost":
            self._send(came, self._damaged(data) if what == "damaged" else data)
            if what == "twice":
                self._send(came, data)
            if came in self._kept:
                self._send(came, self._kept.pop(came))

    def _fate(self, data: bytes) -> str:
        way = self._way
        if len(data) > way.most_bytes or self.came == way.missing:
            return "lost"
        drawn = self._random.random()
        for what, share in (("lost", way.lost), ("late", way.late), ("twice", way.twice), ("damaged", way.damaged)):
            if drawn < share:
                return what
            drawn -= share
        return ""

    def _damaged(self, data: bytes) -> bytes:
        made = bytearray(data)
        made[self._random.randrange(len(made))] ^= 1 << self._random.randrange(8)
        return bytes(made)

    def _send(self, came: socket.socket, data: bytes) -> None:
        self._travelling.append((time.monotonic() + self._way.seconds, came, data))

    def _arrive(self, came: socket.socket, data: bytes) -> None:
        if came is self._outer:
            self._inner.sendto(data, self._server)
        elif self._client is not None:
            self._outer.sendto(data, self._client)

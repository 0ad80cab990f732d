"""A service manager as systemd is one: it passes sockets, listens to what it is told, and keeps sockets between two processes."""

import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.waiting import until_found

WATCHDOG_SECONDS = 2.0
STORE = 64
_SECONDS = 10.0
_MOST_DESCRIPTORS = 256

# Makes the sockets, given by their numbers, the third descriptor and those behind it, as sd_listen_fds(3) has it; then the
# process becomes the service, whose number is its own by that.
LAUNCHER = """
import fcntl, os, sys
kept = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1].split(",") if number]
for place, number in enumerate(kept, 3):
    os.dup2(number, place)
os.closerange(100, 200)
os.environ.update(LISTEN_FDS=str(len(kept)), LISTEN_FDNAMES=sys.argv[2], LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
"""


def activation(**sockets: socket.socket) -> tuple[list[str], list[int]]:
    """The program that starts a service with these sockets by their names, and what it has to inherit."""
    return launcher([(name, sock.fileno()) for name, sock in sockets.items()])


def launcher(sockets: Sequence[tuple[str, int]]) -> tuple[list[str], list[int]]:
    """The same for descriptors, of which several may have one name."""
    numbers, names = [number for _, number in sockets], [name for name, _ in sockets]
    return [sys.executable, "-c", LAUNCHER, ",".join(map(str, numbers)), ":".join(names)], numbers


class Manager:
    """Hears what the service tells, in a thread of its own: when it came counts too."""

    def __init__(self, path: Path, store: int = 0) -> None:
        """`store`: how many sockets it keeps (FileDescriptorStoreMax=)."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.environment = [
            f"NOTIFY_SOCKET={path}",
            f"WATCHDOG_USEC={round(WATCHDOG_SECONDS * 1_000_000)}",
            *([f"FDSTORE={store}"] if store else []),
        ]
        self.states: list[dict[str, str]] = []
        """All but the signs of life, and what is to be kept."""
        self.signs: list[float] = []
        """When signs of life came."""
        self._kept: dict[tuple[str, int], int] = {}
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 4_096, _MOST_DESCRIPTORS)
            message = data.decode()
            if not message:
                return
            if message == "WATCHDOG=1":
                self.signs.append(time.monotonic())
                continue
            fields = dict(line.split("=", 1) for line in message.splitlines())
            if "FDSTORE" in fields or "FDSTOREREMOVE" in fields:
                self._keep(fields, descriptors)
            else:
                self.states.append(fields)

    def _keep(self, fields: dict[str, str], descriptors: Sequence[int]) -> None:
        """As systemd does: a socket that is there already is not kept twice."""
        name = fields["FDNAME"]
        if "FDSTOREREMOVE" in fields:
            for key in [key for key in self._kept if key[0] == name]:
                os.close(self._kept.pop(key))
        for descriptor in descriptors:
            key = (name, os.fstat(descriptor).st_ino)
            if key in self._kept:
                os.close(descriptor)
            else:
                self._kept[key] = descriptor

    @property
    def kept(self) -> list[tuple[str, int]]:
        """The names and descriptors that the next process gets."""
        return [(name, descriptor) for (name, _), descriptor in list(self._kept.items())]

    def close(self) -> None:
        """Listen no more, and keep nothing."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join(_SECONDS)
        self._socket.close()
        for descriptor in self._kept.values():
            os.close(descriptor)

    def heard(self, count: int) -> dict[str, str]:
        """Wait for so many messages; answers the last one of them."""
        return until_found(lambda: self.states[count - 1 : count])[0]

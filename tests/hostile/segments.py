"""TCP segments that are read one by one.

Bytes sent one after the other meet in the receiver's queue and are read together, unless the sender waits for each to be read.
The kernel says what is in the queue of a socket, also of another process (sock_diag(7)), so this needs no pause and no luck.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable
from time import monotonic
from types import TracebackType
from typing import Self

PATIENCE_SECONDS = 2.0
"""A proxy that reads nothing for this long does not want to: it waits for somebody else."""

_SOCK_DIAG = 4
_BY_FAMILY = 20
_REQUEST = 1
_ERROR = 2
_ANY = 0xFFFFFFFF
# struct nlmsghdr: 16 bytes; struct inet_diag_msg: 4 bytes of states, 48 of addresses, 4 of expiry, then the queue
_QUEUE_OFFSET = 16 + 4 + 48 + 4


class Segments:
    """Sends on the client's end of a connection over IPv4 loopback. Use as a context manager."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock` is the connection."""
        self._sock = sock
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG)
        self._netlink.connect((0, 0))
        (local, local_port), (remote, remote_port) = sock.getsockname(), sock.getpeername()
        addresses = [socket.inet_aton(address).ljust(16, b"\0") for address in (remote, local)]
        connection = (
            struct.pack("!HH", remote_port, local_port) + b"".join(addresses) + struct.pack("=III", 0, _ANY, _ANY)
        )
        question = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ANY) + connection
        self._question = struct.pack("=IHHII", 16 + len(question), _BY_FAMILY, _REQUEST, 1, 0) + question

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._netlink.close()

    def unread(self) -> int:
        """How many bytes wait in the other end's queue; 0 once it is closed."""
        self._netlink.send(self._question)
        answer = self._netlink.recv(4_096)
        if struct.unpack_from("=H", answer, 4)[0] == _ERROR:
            code = -struct.unpack_from("=i", answer, 16)[0]
            if code != errno.ENOENT:
                raise OSError(code, "the kernel does not tell about sockets")
            return 0
        queue: int = struct.unpack_from("=I", answer, _QUEUE_OFFSET)[0]
        return queue

    def send(self, segments: Iterable[bytes]) -> None:
        """Send each segment when the one before it has been read. Raises BrokenPipeError, ConnectionResetError."""
        for segment in segments:
            self._sock.sendall(segment)
            patience = monotonic() + PATIENCE_SECONDS
            while self.unread() and monotonic() < patience:
                os.sched_yield()  # to who reads, where processors are few

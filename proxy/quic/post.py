"""Datagrams that one worker has read and that are for another one: handed on by a Unix socket.

Theory of operation. The IDs that a process makes begin with the slot of its worker and a number of
its own. The kernel gives a datagram to the socket of the slot (`steer_by_connection_id`). Another
process may read it there: the next one of the slot, while this one drains. That one knows by the
number that the datagram is not its own, and sends it to the address that the number leads to. Only
processes of the same user, or of root, are believed.
"""

import os
import socket
import struct
from collections.abc import Callable
from typing import Final

_MOST_BYTES: Final = 2_048
_CREDENTIALS: Final = struct.Struct("iii")  # unix(7): process, user, group

Taken = Callable[[bytes, bytes, bytes, int], None]
"""Takes a datagram, the local address, the remote one, and the ECN bits."""


class Post:
    """The address of this process for one listener."""

    def __init__(self, listener: str, prefix: bytes) -> None:
        """`prefix` is what our connection IDs begin with. Raises `OSError` if it is taken."""
        self._listener: Final = listener
        self.sock: Final = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self.sock.bind(_place(listener, prefix))
        except OSError:
            self.sock.close()
            raise

    def hand_on(self, prefix: bytes, data: bytes, local: bytes, remote: bytes, ecn: int) -> bool:
        """Send a datagram to the process whose IDs have this prefix; False if there is none."""
        head = bytes((ecn & 0xFF, len(local), len(remote)))
        try:
            self.sock.sendto(head + local + remote + data, _place(self._listener, prefix))
        except BlockingIOError:
            return True  # lost, as a datagram may be
        except OSError:
            return False
        return True

    def deliver(self, taken: Taken, most: int) -> None:
        """Take up to `most` datagrams that others have handed on."""
        for _ in range(most):
            try:
                message, control, _, _ = self.sock.recvmsg(_MOST_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
            except OSError:
                return
            if _is_believed(control):
                _unpack(message, taken)

    def close(self) -> None:
        self.sock.close()


def _is_believed(control: list[tuple[int, int, bytes]]) -> bool:
    return any(
        kind == socket.SCM_CREDENTIALS and _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[1] in (0, os.geteuid())
        for _, kind, data in control
    )


def _unpack(message: bytes, taken: Taken) -> None:
    ecn, local_bytes, remote_bytes = message[:3]
    middle = 3 + local_bytes
    end = middle + remote_bytes
    taken(message[end:], message[3:middle], message[middle:end], ecn)


def _place(listener: str, prefix: bytes) -> bytes:
    """The name of the Unix socket, which stands in no directory (unix(7))."""
    return b"\0plexigate-quic-" + prefix.hex().encode() + b"-" + listener.encode()
